"""How much luck is in a split: the same head on other random splits of the same photos. A task for the pages.

Repeated random sub-sampling; Kohavi 1995, "A study of cross-validation and bootstrap for accuracy estimation".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from core.messages import Progress
from core.transfer import datasets, report
from core.transfer.datasets import Dataset
from core.transfer.finished import Finished, finished
from core.transfer.heads import Heads, frozen_features, passes
from core.transfer.requests import Repeated, RepeatedRequest

OWN_HEADS = 3  # on the run's own split: one may be lucky in its first weights


def run(request: RepeatedRequest) -> Iterator[Progress | Repeated]:
    """A head trained on each of `request.splits` stratified splits, none of them the run's own.

    Each is trained as the run's was, on photos that are not changed at random, and keeps its best epoch as the run did.
    """
    yield Progress("Opening the photos of this run")
    found = finished(request.run)
    features = None
    for features in frozen_features(found.config, found.splits.dataset):
        if isinstance(features, Progress):
            yield features
    yield from repeated(found, features, request.splits)


def repeated(found: Finished, features: np.ndarray, splits: int) -> Iterator[Repeated]:
    """The same on `features` `float32[N, F]` of all photos of the run."""
    config, labels = found.config, found.splits.dataset.labels
    per_epoch = passes(config) * len(found.splits.training)
    heads = Heads(features, labels, len(found.splits.dataset.classes), config, per_epoch)
    accuracies: list[float] = []
    majority: list[float] = []
    yield Repeated(_words(0, splits), splits=splits)
    halves = found.splits.training, found.splits.validation
    own = float(np.mean([heads.train(*halves, seed=splits + place) for place in range(OWN_HEADS)]))
    for place, (training, validation) in enumerate(other_splits(found, splits)):
        accuracies.append(heads.train(training, validation, seed=place))
        majority.append(report.majority_accuracy(labels[training], labels[validation]))
        yield Repeated(_words(place + 1, splits), own, tuple(accuracies), tuple(majority), splits)


def other_splits(found: Finished, splits: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Indices of the photos to learn from and of those held back, drawn by seeds that are not the run's.

    Photos of a test folder take no part. As many of each class are held back as the recipe says.
    """
    taking_part = np.sort(np.concatenate([found.splits.training, found.splits.validation]))
    dataset = _only(found.splits.dataset, taking_part)
    for place in range(splits):
        seed = (found.config.seed + 1 + place) % 2**31
        split = datasets.split(dataset, found.config.validation, seed, own=False)
        yield taking_part[split.training], taking_part[split.validation]


def _only(dataset: Dataset, rows: np.ndarray) -> Dataset:
    """What a split needs to know of the photos `rows`, without their pixels."""
    return replace(
        dataset,
        photos=dataset.photos[:0],
        labels=dataset.labels[rows],
        files=tuple(dataset.files[row] for row in rows),
        digests=tuple(dataset.digests[row] for row in rows),
        groups=None if dataset.groups is None else dataset.groups[rows],
        given=None,
        smalls=None,
        originals=(),
    )


def _words(done: int, splits: int) -> str:
    return f"Training a head on other splits: {done} of {splits}"
