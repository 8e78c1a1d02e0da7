"""The data doctor: what there is to say about a data set before anything is learned from it.

Each finding is one sentence that says what is so, where it matters why, and what can be done; with the files it is
about. Nothing is ever changed or deleted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from core import images
from core.transfer.datasets import PART_NAMES, SIDE_MIN, Dataset, LeftOut
from core.transfer.folders import TEST, TRAINING, VALIDATION
from core.transfer.requests import Finding

IMBALANCE = 2.0  # the largest class has more than so many times the photos of the smallest
FEW = 10  # photos of a class
COLOUR_MIN = 6  # of 255: what the values of red, green and blue differ by at most in a grey photo saved as JPEG
ONE_SIDED = 0.5  # grey photos are a class's mark where its share of them is above that of all others by so much
SMALL_SIDE = 96  # pixels
LONG = 2.0  # times as long as wide, or more
MIXED = 4.0  # the longest side of one photo is so many times that of another
ROWS_MAX = 300
SHOWN_MAX = 8  # photos or pairs

_LEFT_OUT = {  # kind -> (one file, several files, what to do)
    "damaged": (
        "is damaged or cannot be opened",
        "are damaged or cannot be opened",
        "Save or copy the original again.",
    ),
    "no picture": ("is no picture", "are no pictures", ""),
    "small": (f"is smaller than {SIDE_MIN} pixels a side", f"are smaller than {SIDE_MIN} pixels a side", ""),
    "duplicate": ("is a copy of another, pixel for pixel", "are copies of others, pixel for pixel", ""),
    "two classes": (
        "is the same photo as one of another class",
        "are the same photos as some of another class",
        "Which class is right?",
    ),
    "outside": ("lies outside the class folders", "lie outside the class folders", "Of which class?"),
}


def findings(dataset: Dataset) -> tuple[Finding, ...]:
    """All that is worth a sentence, what matters most first; at least one."""
    found = [
        *_left_out(dataset),
        *_leaks(dataset),
        *_empty_parts(dataset),
        *_alike(dataset),
        *_imbalance(dataset),
        *_few(dataset),
        *_grey(dataset),
        *_turned(dataset),
        *_sizes(dataset),
    ]
    order = {"attend": 0, "note": 1, "good": 2}
    found.sort(key=lambda finding: order[finding.level])
    return tuple(found) or (Finding("nothing", "good", "Nothing is wrong with these photos."),)


def counts(dataset: Dataset) -> np.ndarray:
    """`int64[C]`: the photos of each class."""
    return np.bincount(dataset.labels, minlength=len(dataset.classes))


def part_counts(dataset: Dataset) -> tuple[tuple[int, int, int], ...]:
    """For each class, its photos for training, validation and test, as the folders say; empty where they do not."""
    if dataset.given is None:
        return ()
    table = [np.bincount(dataset.labels[dataset.given == part], minlength=len(dataset.classes)) for part in PART_NAMES]
    return tuple((int(train), int(valid), int(test)) for train, valid, test in zip(*table, strict=True))


# --- What is left out ------------------------------------------------------------------------------------------------


def _left_out(dataset: Dataset) -> Iterator[Finding]:
    for kind, (one, several, advice) in _LEFT_OUT.items():
        files = [each for each in dataset.refused if each.kind == kind]
        if files:
            if len(files) == 1:
                said = f"1 file {one}; it is left out. {advice}".rstrip()
            else:
                said = f"{len(files):,} files {several}; they are left out. {advice}".rstrip()
            level = "note" if kind in ("no picture", "duplicate") else "attend"
            rows = tuple((each.file, each.why) for each in files)
            yield Finding(kind, level, said, ("file", "why"), rows[:ROWS_MAX], _strip(_pixels(files)))


def _pixels(files: Sequence[LeftOut]) -> np.ndarray:
    shown = [each.pixels for each in files if each.pixels is not None]
    return np.stack(shown) if shown else np.zeros((0, 1, 1, 3), np.uint8)


def _leaks(dataset: Dataset) -> Iterator[Finding]:
    leaked = np.flatnonzero(dataset.given == -1) if dataset.given is not None else []
    if len(leaked):
        held_back = np.flatnonzero(dataset.given > TRAINING)
        twins = [held_back[dataset.groups[held_back] == dataset.groups[index]][0] for index in leaked]
        pairs = list(zip(leaked, twins, strict=True))
        said = (
            f"{_number(len(leaked), 'training photo')} {_is(leaked)} nearly the same as others in the validation or "
            f"test folder. To be asked what one knows by heart is no test: {_left(leaked)} left out of the training."
        )
        rows = tuple((dataset.files[a], dataset.files[b]) for a, b in pairs)
        yield Finding("leak", "attend", said, ("file", "nearly the same as"), rows[:ROWS_MAX], _rows(dataset, pairs))


def _empty_parts(dataset: Dataset) -> Iterator[Finding]:
    if dataset.given is None:
        return
    table = np.array(part_counts(dataset))
    for part, words in ((VALIDATION, "validation"), (TEST, "test")):
        empty = [name for name, count in zip(dataset.classes, table[:, part], strict=True) if not count]
        if empty and table[:, part].any():
            said = f"There are no photos for {words} of {_list(empty)}: nobody will know how well it is recognised."
            yield Finding("empty part", "attend", said)
    if not table[:, VALIDATION].any():
        yield Finding("no validation", "note", "No folder is for validation: a share of the training photos is drawn.")


# --- Nearly the same -------------------------------------------------------------------------------------------------


def _alike(dataset: Dataset) -> Iterator[Finding]:
    groups = _groups(dataset)
    if dataset.given is not None:  # those are told already
        groups = [group for group in groups if np.all(dataset.given[group] != -1)]
    across = [group for group in groups if len(set(dataset.labels[group])) > 1]
    within = [group for group in groups if len(set(dataset.labels[group])) == 1]
    if across:
        photos = sum(map(len, across))
        said = f"{photos:,} photos are nearly the same as one of another class. Which class is right?"
        yield Finding("alike across", "attend", said, *_group_table(dataset, across))
    alone = [
        name
        for label, name in enumerate(dataset.classes)
        if len(np.unique(dataset.groups[dataset.labels == label])) == 1
    ]
    if alone:
        said = (
            f"All photos of {_list(alone)} are nearly the same: the network will learn this one picture by heart. "
            "Take photos from other sides, in other places, in other light."
        )
        yield Finding("all alike", "attend", said)
    if within:
        photos = sum(map(len, within))
        said = (
            f"{photos:,} photos are nearly the same as another one ({_number(len(within), 'group')}). "
            "They are kept together: either all of a group are learned from, or all are held back."
        )
        yield Finding("alike", "note", said, *_group_table(dataset, within))


def _groups(dataset: Dataset) -> list[np.ndarray]:
    """The groups of two and more photos, as indices."""
    if dataset.groups is None:
        return []
    order = np.argsort(dataset.groups, kind="stable")
    starts = np.flatnonzero(np.diff(dataset.groups[order])) + 1
    return [group for group in np.split(order, starts) if len(group) > 1]


def _group_table(dataset: Dataset, groups: list[np.ndarray]) -> tuple:
    rows = [(str(number), dataset.files[index]) for number, group in enumerate(groups, 1) for index in group]
    return ("group", "file"), tuple(rows[:ROWS_MAX]), _rows(dataset, [group[:2] for group in groups])


# --- Too many, too few -----------------------------------------------------------------------------------------------


def _imbalance(dataset: Dataset) -> Iterator[Finding]:
    found = counts(dataset)
    most, least = int(np.argmax(found)), int(np.argmin(found))
    times = found[most] / found[least]
    if times > IMBALANCE:
        said = (
            f"{dataset.classes[most]} has {found[most]:,} photos, {times:.2g} times as many as "
            f"{dataset.classes[least]} with {found[least]:,}. A network prefers what it has seen more often. "
            "Add photos of the rare ones, or switch class weights on in the recipe."
        )
        yield Finding("imbalance", "attend", said)


def _few(dataset: Dataset) -> Iterator[Finding]:
    few = [name for name, count in zip(dataset.classes, counts(dataset), strict=True) if count < FEW]
    if few:
        said = f"{_list(few)} {'has' if len(few) == 1 else 'have'} fewer than {FEW} photos. More would help a lot."
        yield Finding("few", "note", said)


# --- How they look ---------------------------------------------------------------------------------------------------


def _grey(dataset: Dataset) -> Iterator[Finding]:
    if dataset.smalls is None:
        return
    grey = np.ptp(dataset.smalls, axis=-1).max(axis=(1, 2)) <= COLOUR_MIN
    if not grey.any():
        return
    number = int(grey.sum())
    if grey.all():
        yield Finding("grey", "note", "None of the photos has any colour.")
        return
    in_class = np.bincount(dataset.labels[grey], minlength=len(dataset.classes))
    share = in_class / counts(dataset)
    most = int(np.argmax(share))
    others = (number - in_class[most]) / (len(dataset) - counts(dataset)[most])
    said = f"{_number(number, 'photo')} {_has(number)} no colour."
    level = "note"
    if share[most] - others > ONE_SIDED:
        level = "attend"
        said += (
            f" {in_class[most]:,} of them {'are' if in_class[most] > 1 else 'is'} of {dataset.classes[most]}: "
            "the network could tell this class by that alone."
        )
    yield Finding("grey", level, said, *_files_and_strip(dataset, np.flatnonzero(grey)))


def _turned(dataset: Dataset) -> Iterator[Finding]:
    turned = np.array([place for place, original in enumerate(dataset.originals) if original.turned], dtype=int)
    if len(turned):
        said = f"{_number(len(turned), 'photo')} lay on the side or was mirrored, and is set upright (EXIF)."
        if len(turned) > 1:
            said = f"{_number(len(turned), 'photo')} lay on their sides or were mirrored, and are set upright (EXIF)."
        yield Finding("turned", "good", said, *_files_and_strip(dataset, turned))


def _sizes(dataset: Dataset) -> Iterator[Finding]:
    if not dataset.originals:
        return
    sizes = np.array([original.size for original in dataset.originals])
    short, long = sizes.min(axis=1), sizes.max(axis=1)
    small = np.flatnonzero(short < SMALL_SIDE)
    if len(small):
        said = (
            f"{_number(len(small), 'photo')} {_is(small)} small, less than {SMALL_SIDE} pixels on one side: "
            "enlarged for the network, they are blurred."
        )
        yield Finding("blurred", "note", said, *_files_and_strip(dataset, small, sizes))
    oblong = np.flatnonzero(long >= LONG * short)
    if len(oblong):
        said = (
            f"{_number(len(oblong), 'photo')} {_is(oblong)} at least twice as long as wide: only the square in the "
            "middle is used. Is the subject in it?"
        )
        yield Finding("oblong", "note", said, *_files_and_strip(dataset, oblong, sizes))
    if long.max() >= MIXED * long.min():
        least, most = sizes[np.argmin(long)], sizes[np.argmax(long)]
        said = (
            f"The sizes are mixed, from {least[1]:,} × {least[0]:,} to {most[1]:,} × {most[0]:,} pixels: sharp photos "
            "beside blurred ones. That does no harm if every class has some of both."
        )
        yield Finding("mixed sizes", "note", said)


# --- Words and pictures ----------------------------------------------------------------------------------------------


def _files_and_strip(dataset: Dataset, indices: np.ndarray, sizes: np.ndarray | None = None) -> tuple:
    shown = indices[:ROWS_MAX]
    strip = _strip(dataset.photos[indices[:SHOWN_MAX]])
    if sizes is None:
        return ("file",), tuple((dataset.files[index],) for index in shown), strip
    rows = tuple((dataset.files[index], f"{sizes[index][1]:,} × {sizes[index][0]:,}") for index in shown)
    return ("file", "size in pixels"), rows, strip


def _strip(photos: np.ndarray) -> bytes | None:
    """The first few photos beside each other, as a WebP picture."""
    shown = photos[:SHOWN_MAX]
    return images.encode_webp(images.stitch(shown, len(shown), 4, background=255)) if len(shown) else None


def _rows(dataset: Dataset, pairs: Sequence[Sequence[int]]) -> bytes | None:
    """The first few pairs of photos, one photo above the other."""
    shown = np.array([list(pair)[:2] for pair in pairs[:SHOWN_MAX]])
    tiles = dataset.photos[shown.T.reshape(-1)]
    return images.encode_webp(images.stitch(tiles, len(shown), 4, background=255))


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _is(indices: Sequence[int]) -> str:
    return "is" if len(indices) == 1 else "are"


def _left(indices: Sequence[int]) -> str:
    return "it is" if len(indices) == 1 else "they are"


def _has(count: int) -> str:
    return "has" if count == 1 else "have"


def _list(names: Sequence[str], most: int = 3) -> str:
    """`cat`, `cat and dog`, `cat, dog, cow and 4 others`."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {_number(len(names) - most, 'other')}"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
