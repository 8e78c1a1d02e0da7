"""Class folders, or a ZIP of them, to checked photos with labels.

What a file contains decides whether it is a photo, not its name. A file that cannot be used is left out and listed with
the reason; it is never deleted and never ends the run. What is left out does not depend on the size that the photos are
read at, so that the data doctor and the training speak of the same photos.
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
from core.archives import Entry, Unreadable, entries, name_of
from core.errors import UserError
from core.images import Original
from core.messages import Progress, digest_of
from core.transfer import alike
from core.transfer.folders import TEST, TRAINING, VALIDATION, Folders, class_folders
from core.transfer.splitting import Splits, split

__all__ = ["Dataset", "LeftOut", "Splits", "inspect", "read", "reading", "split"]

SIDE_MIN = 32  # pixels; there is little to see in a smaller photo, and most networks would see nothing
PIXELS_MAX_BYTES = 2 * 1000**3
REPORT_EVERY = 20  # photos
SHOWN_MAX = 24  # photos that are left out and can be shown
PART_NAMES = {TRAINING: "training", VALIDATION: "validation", TEST: "test"}


@dataclass(frozen=True)
class LeftOut:
    """A file that is not used. `kind` is "no picture", "damaged", "small", "duplicate", "two classes" or "outside".

    `pixels` are there for some of those that can be shown: `uint8[size, size, 3]`.
    """

    file: str
    why: str  # completes "the file ...", or is a sentence
    kind: str
    pixels: np.ndarray | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Dataset:
    """Checked photos: `photos` is `uint8[N, size, size, 3]`, `labels` `int64[N]` indexes `classes`.

    Photos with the same `digests` entry have the same pixels at this size. `given`, `int8[N]`, is there where folders
    say what a photo is for: 0 training, 1 validation, 2 test, and -1 for a photo in the training folder that is nearly
    the same as one of validation or test, so that nothing could be learned from it honestly. `groups`, `int64[N]`, has
    the same number for photos that are nearly the same. `smalls`, `uint8[N, 32, 32, 3]`, are the whole photos without
    their aspect, and `originals` what their files were.
    """

    name: str
    classes: tuple[str, ...]
    photos: np.ndarray = field(repr=False, compare=False)
    labels: np.ndarray = field(repr=False, compare=False)
    files: tuple[str, ...] = field(repr=False)
    digests: tuple[str, ...] = field(repr=False)
    refused: tuple[LeftOut, ...] = field(default=(), repr=False)
    given: np.ndarray | None = field(default=None, repr=False, compare=False)
    groups: np.ndarray | None = field(default=None, repr=False, compare=False)
    smalls: np.ndarray | None = field(default=None, repr=False, compare=False)
    originals: tuple[Original, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def left_out(self) -> tuple[tuple[str, str], ...]:
        """(file, why) of what is not used."""
        return tuple((each.file, each.why) for each in self.refused)

    @property
    def words(self) -> str:
        """What there is, as a sentence: "360 photos in 6 classes: bishop (60), king (60) ..."."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        shown = ", ".join(f"{name} ({count})" for name, count in zip(self.classes[:8], counts[:8], strict=True))
        more = f" and {len(self.classes) - 8} more" if len(self.classes) > 8 else ""
        left = f" {_files(len(self.refused))} left out." if self.refused else ""
        return f"{len(self):,} photos in {len(self.classes)} classes: {shown}{more}.{left}"


@dataclass(frozen=True)
class _Photo:
    file: str
    label: str
    part: int
    identity: str  # of all its pixels
    pixels: np.ndarray
    small: np.ndarray
    original: Original


def read(data: str, size: int, per_class: int | None = None) -> Dataset:
    """The photos of `data` (a folder or ZIP of class folders, or "chessman"), each cropped to `size` × `size` pixels.

    `per_class` takes at most so many of each class, drawn always alike; where there are folders for training,
    validation and test, so many from each of them. Raises `UserError` where there are fewer than two classes, or fewer
    than two different photos in one.
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
    name = name_of(Path(data) if Path(data).name else path.resolve())
    with entries(path) as found:
        folders = class_folders(name, found)
        total = _count(name, folders, size, per_class)
        reader = _Reader(size, [LeftOut(file, why, "outside") for file, why in folders.outside])
        done = 0
        for label, parts in folders.classes.items():
            for part in sorted(parts, reverse=True):  # of two equal photos that of the test folder is kept
                for _ in reader.read(label, part, parts[part], per_class):
                    if done % REPORT_EVERY == 0:
                        yield Progress(f"Reading the photos: {done:,} of {total:,}", min(done / total, 1.0))
                    done += 1
    if len(reader.kept) > 1000:
        yield Progress("Comparing the photos with each other", 1.0)
    yield _dataset(name, folders, reader)


def _count(name: str, folders: Folders, size: int, per_class: int | None) -> int:
    lists = [files for parts in folders.classes.values() for files in parts.values()]
    total = sum(min(len(files), per_class or len(files)) for files in lists)
    if total * size * size * 3 > PIXELS_MAX_BYTES:
        most = PIXELS_MAX_BYTES // (size * size * 3 * len(folders.classes))
        raise UserError(
            f"{name} has {total:,} photos, too many to hold at {size} × {size} pixels. "
            f"Use at most {most:,} photos per class, or a smaller size."
        )
    return total


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


class _Reader:
    """Reads files one by one: those that are kept, and those that are left out."""

    def __init__(self, size: int, left_out: list[LeftOut]):
        self.size = size
        self.kept: list[_Photo] = []
        self.left_out = left_out
        self.first: dict[str, _Photo] = {}  # by the identity
        self.shown = 0

    def read(self, label: str, part: int, files: Sequence[Entry], per_class: int | None) -> Iterator[None]:
        """Read one folder, and pause after each file; end when `per_class` photos are kept."""
        kept = len(self.kept)
        # Neighbours in a folder are often pictures of one scene, so a few are drawn from all over it.
        by_chance = sorted(files, key=lambda entry: digest_of("/".join(entry.parts).encode()))
        for entry in files if per_class is None else by_chance:
            if per_class is not None and len(self.kept) - kept >= per_class:
                return
            self._read_one(label, part, entry)
            yield

    def _read_one(self, label: str, part: int, entry: Entry) -> None:
        data = b""
        try:
            data = entry.read()
            photo, original = images.photo_and_original(data, entry.parts[-1])
        except (Unreadable, UserError) as reason:
            kind = "damaged" if isinstance(reason, Unreadable) or images.looks_like_picture(data) else "no picture"
            self.left_out.append(LeftOut(entry.label, str(reason), kind))
            return
        pixels = images.fit(photo.pixels, (self.size, self.size))
        small = alike.small(photo.pixels)
        new = _Photo(entry.label, label, part, photo.digest, pixels, small, original)
        if min(original.size) < SIDE_MIN:
            height, width = original.size
            self._leave_out(new, f"has only {width} × {height} pixels; at least {SIDE_MIN} a side are needed", "small")
            return
        first = self.first.setdefault(photo.digest, new)
        if first is new:
            self.kept.append(new)
        elif first.label != label:
            self._leave_out(new, f"is the same photo as {first.file}, of another class", "two classes")
        else:
            where = "" if first.part == part else f", which is kept for {PART_NAMES[first.part]}"
            self._leave_out(new, f"is the same photo as {first.file}{where}", "duplicate")

    def _leave_out(self, photo: _Photo, why: str, kind: str) -> None:
        self.shown += 1
        self.left_out.append(LeftOut(photo.file, why, kind, photo.pixels if self.shown <= SHOWN_MAX else None))


def _dataset(name: str, folders: Folders, reader: _Reader) -> Dataset:
    classes = tuple(folders.classes)
    _check_photos(name, classes, reader)
    kept = sorted(reader.kept, key=lambda photo: (photo.label, photo.file))
    place = {label: index for index, label in enumerate(classes)}
    pixels = np.stack([photo.pixels for photo in kept])
    smalls = np.stack([photo.small for photo in kept])
    groups = alike.groups(smalls)
    given = _given(kept, groups) if folders.has_parts else None
    for values in (pixels, smalls, groups, *([] if given is None else [given])):
        values.setflags(write=False)
    return Dataset(
        name=name,
        classes=classes,
        photos=pixels,
        labels=np.array([place[photo.label] for photo in kept], dtype=np.int64),
        files=tuple(photo.file for photo in kept),
        digests=tuple(hashlib.sha256(photo.pixels).hexdigest() for photo in kept),
        refused=tuple(reader.left_out),
        given=given,
        groups=groups,
        smalls=smalls,
        originals=tuple(photo.original for photo in kept),
    )


def _given(photos: Sequence[_Photo], groups: np.ndarray) -> np.ndarray:
    given = np.array([photo.part for photo in photos], dtype=np.int8)
    held_back = np.isin(groups, groups[given != TRAINING])
    given[held_back & (given == TRAINING)] = -1
    return given


def _check_photos(name: str, classes: Sequence[str], reader: _Reader) -> None:
    different = Counter(photo.label for photo in reader.kept)
    poor = [label for label in classes if different[label] < 2]
    if poor:
        has = {0: "no photo that can be used", 1: "only one"}[different[poor[0]]]
        left_out = reader.left_out
        first = f" Left out: {left_out[0].file}: {left_out[0].why}" if left_out else ""
        raise UserError(
            f"{name} needs at least two different photos in each of at least two classes; {poor[0]!r} has {has}. "
            f"Add photos to this folder or take it out.{first}"
        )


def _files(count: int) -> str:
    return "1 file was" if count == 1 else f"{count:,} files were"
