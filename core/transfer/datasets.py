"""Class folders, or a ZIP of them, to checked photos with labels; and their split in two.

What a file contains decides whether it is a photo, not its name. A file that cannot be used is left out and listed with
the reason; it is never deleted and never ends the run.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from core import images, samples
from core.archives import Entry, Unreadable, clean, entries, shorten
from core.errors import UserError
from core.messages import Progress, digest_of

PICTURE_SUFFIXES = {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
SPLIT_FOLDERS = {"train", "training", "val", "valid", "validation", "test", "testing"}
CLASSES_MAX = 1000
PIXELS_MAX_BYTES = 2 * 1000**3
REPORT_EVERY = 20  # photos


@dataclass(frozen=True)
class Dataset:
    """Checked photos: `photos` is `uint8[N, size, size, 3]`, `labels` `int64[N]` indexes `classes`.

    Photos with the same `digests` entry have the same pixels. `left_out` lists (file, why).
    """

    name: str
    classes: tuple[str, ...]
    photos: np.ndarray = field(repr=False, compare=False)
    labels: np.ndarray = field(repr=False, compare=False)
    files: tuple[str, ...] = field(repr=False)
    digests: tuple[str, ...] = field(repr=False)
    left_out: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def words(self) -> str:
        """What there is, as a sentence: "360 photos in 6 classes: bishop (60), king (60) ..."."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        shown = ", ".join(f"{name} ({count})" for name, count in zip(self.classes[:8], counts[:8], strict=True))
        more = f" and {len(self.classes) - 8} more" if len(self.classes) > 8 else ""
        left = f" {_files(len(self.left_out))} left out." if self.left_out else ""
        return f"{len(self):,} photos in {len(self.classes)} classes: {shown}{more}.{left}"


@dataclass(frozen=True)
class Splits:
    """Which photos of `dataset` are trained on and which are held back: sorted indices, `int64[...]`."""

    dataset: Dataset
    training: np.ndarray = field(repr=False, compare=False)
    validation: np.ndarray = field(repr=False, compare=False)


@dataclass(frozen=True)
class _Photo:
    file: str
    label: str
    digest: str
    pixels: np.ndarray


def read(data: str, size: int, per_class: int | None = None) -> Dataset:
    """The photos of `data` (a folder or ZIP of class folders, or "chessman"), each cropped to `size` × `size` pixels.

    `per_class` takes at most so many of each class, drawn always alike. Raises `UserError` where there are fewer than
    two classes, or fewer than two different photos in one.
    """
    *_, dataset = reading(data, size, per_class)
    return dataset


def reading(data: str, size: int, per_class: int | None = None) -> Iterator[Progress | Dataset]:
    """`read`, reporting on the way; the last thing that comes is the `Dataset`."""
    if per_class is not None and per_class < 2:
        raise UserError(f"At least two photos per class are needed, got {per_class}.")
    if data == "chessman":
        path = yield from _drawn_chessman()
    else:
        path = Path(data).expanduser()
    name = clean(Path(data).name or path.resolve().name)
    with entries(path) as found:
        by_class, left_out = _class_folders(found)
        _check_classes(name, list(by_class), left_out)
        total = sum(min(len(files), per_class or len(files)) for files in by_class.values())
        if total * size * size * 3 > PIXELS_MAX_BYTES:
            most = PIXELS_MAX_BYTES // (size * size * 3 * len(by_class))
            raise UserError(
                f"{name} has {total:,} photos, too many to hold at {size} × {size} pixels. "
                f"Use at most {most:,} photos per class, or a smaller size."
            )
        kept: list[_Photo] = []
        for label, files in by_class.items():
            for place, step in enumerate(_read_class(label, files, size, per_class)):
                if isinstance(step, _Photo):
                    kept.append(step)
                else:
                    left_out.append(step)
                if place % REPORT_EVERY == 0:
                    yield Progress(f"Reading the photos: {len(kept):,} of {total:,}", min(len(kept) / total, 1.0))
    yield _dataset(name, by_class, kept, left_out)


def _drawn_chessman() -> Iterator[Progress]:
    """The folder of Chessman, with progress while it is drawn; whoever stops asking stops the drawing."""
    news: queue.SimpleQueue[Progress | Path | BaseException] = queue.SimpleQueue()
    stopped = threading.Event()

    def report(progress: Progress) -> None:
        if stopped.is_set():
            raise InterruptedError("nobody waits for the pictures any more")
        news.put(progress)

    def draw() -> None:
        try:
            news.put(samples.chessman(report))
        except BaseException as error:  # raised again below, in the thread that asked
            news.put(error)

    threading.Thread(target=draw, daemon=True, name="draw-chessman").start()
    try:
        while isinstance(item := news.get(), Progress):
            yield item
    finally:
        stopped.set()
    if isinstance(item, BaseException):
        raise item
    return item


def inspect(path: str | Path) -> str:
    """What the folder or ZIP at `path` holds, in a sentence; raises `UserError` where it could not be trained on."""
    return read(str(path), size=32).words


def split(dataset: Dataset, validation: float, seed: int) -> Splits:
    """Hold back the share `validation` (0 to 1) of each class, drawn by `seed`.

    At least one photo of each class is on each side, and photos with the same pixels are all on the same side.
    """
    if not 0 < validation < 1:
        raise UserError(f"The share of photos held back for validation must lie between 0 and 1, got {validation}.")
    rng = np.random.default_rng(seed)
    held_back: list[int] = []
    for label in range(len(dataset.classes)):
        held_back += _hold_back(dataset, np.flatnonzero(dataset.labels == label), validation, rng)
    inside = np.zeros(len(dataset), dtype=bool)
    inside[held_back] = True
    return Splits(dataset, np.flatnonzero(~inside), np.flatnonzero(inside))


def _hold_back(dataset: Dataset, members: np.ndarray, validation: float, rng: np.random.Generator) -> list[int]:
    alike: dict[str, list[int]] = {}
    for index in members:
        alike.setdefault(dataset.digests[index], []).append(int(index))
    wanted = max(1, round(len(members) * validation))
    groups = list(alike.values())
    taken: list[int] = []
    for place in rng.permutation(len(groups))[: len(groups) - 1]:
        # The first is always taken; after it, only what brings the number nearer to the wanted one.
        if not taken or len(taken) + len(groups[place]) <= wanted:
            taken += groups[place]
    return taken


def _class_folders(found: Sequence[Entry]) -> tuple[dict[str, list[Entry]], list[tuple[str, str]]]:
    """The files of each class by its name, and those that lie outside.

    Folders that hold all the others are opened, and so are "train", "validation" and "test" side by side: their
    classes are put together.
    """
    depth = 0
    pictures = [entry for entry in found if _looks_like_picture(entry)] or list(found)
    deepest = max((len(entry.parts) for entry in pictures), default=0)
    while depth + 2 < deepest:
        tops = {entry.parts[depth].casefold() for entry in pictures if len(entry.parts) > depth + 1}
        if len(tops) > 1 and not (tops <= SPLIT_FOLDERS and tops & {"train", "training"}):
            break
        depth += 1
    by_class: dict[str, list[Entry]] = {}
    left_out = []
    for entry in found:
        if len(entry.parts) > depth + 1:
            by_class.setdefault(entry.parts[depth], []).append(entry)
        elif _looks_like_picture(entry):
            left_out.append((entry.label, "lies outside the class folders"))
    # A folder of texts beside the class folders is no class.
    named = {name: files for name, files in by_class.items() if any(map(_looks_like_picture, files))} or by_class
    short = _unique([shorten(name) for name in sorted(named)])
    return {label: named[name] for label, name in zip(short, sorted(named), strict=True)}, left_out


def _looks_like_picture(entry: Entry) -> bool:
    return Path(entry.parts[-1]).suffix.lower() in PICTURE_SUFFIXES


def _unique(names: Sequence[str]) -> list[str]:
    result: list[str] = []
    for name in names:
        tries = (name, *(f"{name[:70]} ({number})" for number in range(2, len(names) + 2)))
        result.append(next(candidate for candidate in tries if candidate not in result))
    return result


def _read_class(
    label: str, files: Sequence[Entry], size: int, per_class: int | None
) -> Iterator[_Photo | tuple[str, str]]:
    """Each photo of one class, or (file, why) for what is none, until there are `per_class` photos."""
    kept = 0
    # Neighbours in a folder are often pictures of one scene, so a few are drawn from all over it.
    order = files if per_class is None else sorted(files, key=lambda entry: digest_of("/".join(entry.parts).encode()))
    for entry in order:
        if per_class is not None and kept >= per_class:
            return
        try:
            pixels = images.fit(images.photo(entry.read(), entry.parts[-1]).pixels, (size, size))
        except (Unreadable, UserError) as reason:
            yield entry.label, str(reason)
            continue
        kept += 1
        yield _Photo(entry.label, label, hashlib.sha256(pixels).hexdigest(), pixels)


def _dataset(name: str, classes: Sequence[str], photos: list[_Photo], left_out: list[tuple[str, str]]) -> Dataset:
    first: dict[str, _Photo] = {}
    kept = []
    for photo in photos:
        if first.setdefault(photo.digest, photo).label == photo.label:
            kept.append(photo)
        else:
            left_out.append((photo.file, f"is the same photo as {first[photo.digest].file}, of another class"))
    _check_photos(name, classes, kept, left_out)
    kept.sort(key=lambda photo: (photo.label, photo.file))
    place = {label: index for index, label in enumerate(classes)}
    pixels = np.stack([photo.pixels for photo in kept])
    pixels.setflags(write=False)
    return Dataset(
        name=name,
        classes=tuple(classes),
        photos=pixels,
        labels=np.array([place[photo.label] for photo in kept], dtype=np.int64),
        files=tuple(photo.file for photo in kept),
        digests=tuple(photo.digest for photo in kept),
        left_out=tuple(left_out),
    )


def _check_classes(name: str, classes: Sequence[str], left_out: Sequence[tuple[str, str]]) -> None:
    if len(classes) > CLASSES_MAX:
        raise UserError(f"{name} has {len(classes):,} class folders; at most {CLASSES_MAX:,} can be told apart.")
    if len(classes) < 2:
        raise UserError(
            f"{name} needs at least two class folders with at least two photos in each; "
            f"it has {len(classes) or 'none'}. "
            f"Put the photos of each class into a folder named after the class.{_first(left_out)}"
        )


def _check_photos(
    name: str, classes: Sequence[str], kept: Sequence[_Photo], left_out: Sequence[tuple[str, str]]
) -> None:
    different = Counter(label for label, _ in {(photo.label, photo.digest) for photo in kept})
    poor = [label for label in classes if different[label] < 2]
    if poor:
        has = {0: "no photo that can be read", 1: "only one"}[different[poor[0]]]
        raise UserError(
            f"{name} needs at least two different photos in each of at least two classes; {poor[0]!r} has {has}. "
            f"Add photos to this folder or take it out.{_first(left_out)}"
        )


def _first(left_out: Sequence[tuple[str, str]]) -> str:
    return f" Left out: {left_out[0][0]}: {left_out[0][1]}" if left_out else ""


def _files(count: int) -> str:
    return "1 file was" if count == 1 else f"{count:,} files were"
