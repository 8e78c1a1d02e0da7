"""Which photos are learned from, and which are held back to see what was learned."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from core.errors import UserError
from core.transfer.folders import TEST, TRAINING, VALIDATION

if TYPE_CHECKING:
    from core.transfer.datasets import Dataset


def _nothing() -> np.ndarray:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Splits:
    """Which photos of `dataset` are trained on and which are held back: sorted indices, `int64[...]`.

    `test` is empty where no folder says what is for it. `unused` are those that are in no part: training photos that
    are nearly the same as one that is held back by its folder.
    """

    dataset: Dataset
    training: np.ndarray = field(repr=False, compare=False)
    validation: np.ndarray = field(repr=False, compare=False)
    test: np.ndarray = field(default_factory=_nothing, repr=False, compare=False)
    unused: np.ndarray = field(default_factory=_nothing, repr=False, compare=False)


def split(dataset: Dataset, validation: float, seed: int, *, own: bool = True) -> Splits:
    """Hold back the share `validation` (0 to 1) of each class, drawn by `seed`; or, with `own`, what the data's folders
    say is for validation and test, where they do. Where these hold nothing for validation, it is drawn from the rest.

    At least one photo of each class is on each side of what is drawn, and photos that are the same, or nearly, are on
    one side as far as that is possible: where all photos of a class are nearly the same, they are parted all the same.
    Raises `UserError` where a class has too few photos for training.
    """
    if not 0 < validation < 1:
        raise UserError(f"The share of photos held back for validation must lie between 0 and 1, got {validation}.")
    if not own or dataset.given is None:
        return _drawn(dataset, np.arange(len(dataset)), validation, seed)
    training, held_back, test, unused = (
        np.flatnonzero(dataset.given == part) for part in (TRAINING, VALIDATION, TEST, -1)
    )
    _check(dataset, training, 1 if len(held_back) else 2)
    if len(held_back):
        return Splits(dataset, training, held_back, test, unused)
    drawn = _drawn(dataset, training, validation, seed)
    return Splits(dataset, drawn.training, drawn.validation, test, unused)


def _check(dataset: Dataset, training: np.ndarray, least: int) -> None:
    counts = np.bincount(dataset.labels[training], minlength=len(dataset.classes)).tolist()
    poor = next((label for label, count in enumerate(counts) if count < least), None)
    if poor is None:
        return
    number = f"{counts[poor] or 'no'} photo{'s' if counts[poor] != 1 else ''}"
    leaks = np.any(dataset.given[dataset.labels == poor] == -1)
    raise UserError(
        f"The class {dataset.classes[poor]!r} of {dataset.name} has {number} to learn from in the training folder"
        f"{', since others are nearly the same as photos that are held back' if leaks else ''}. "
        "Add photos there, or do not use the folders as they are, so that the photos are split anew."
    )


def _drawn(dataset: Dataset, members: np.ndarray, validation: float, seed: int) -> Splits:
    """Part the photos `members` class by class."""
    rng = np.random.default_rng(seed)
    inside = np.zeros(len(dataset), dtype=bool)
    decided: dict[object, bool] = {}  # group -> held back
    for label in range(len(dataset.classes)):
        own = members[dataset.labels[members] == label]
        groups = _groups(dataset, own)
        for group in _hold_back(groups, decided, max(1, round(len(own) * validation)), rng):
            inside[groups[group]] = True
        decided |= {group: bool(inside[indices[0]]) for group, indices in groups.items()}
    return Splits(dataset, members[~inside[members]], members[inside[members]])


def _groups(dataset: Dataset, members: np.ndarray) -> dict[object, list[int]]:
    """The photos of one class, those that are nearly the same together; each alone where all are."""
    names = dataset.digests if dataset.groups is None else dataset.groups.tolist()
    groups: dict[object, list[int]] = {}
    for index in members:
        groups.setdefault(names[index], []).append(int(index))
    return groups if len(groups) > 1 else {("alone", int(index)): [int(index)] for index in members}


def _hold_back(
    groups: dict[object, list[int]], decided: dict[object, bool], wanted: int, rng: np.random.Generator
) -> list[object]:
    """Groups with at most `wanted` photos in all, or the smallest one; never all of them.

    What was decided for a group, since it has photos of another class too, holds here as well where it can.
    """
    taken = [group for group in groups if decided.get(group)][: len(groups) - 1]
    count = sum(len(groups[group]) for group in taken)
    names = list(groups)
    free = [names[place] for place in rng.permutation(len(names)) if names[place] not in decided]
    for group in free:
        if count + len(groups[group]) <= wanted and len(taken) + 1 < len(groups):
            taken.append(group)
            count += len(groups[group])
    return taken or [min(free or names, key=lambda group: len(groups[group]))]
