"""Which folders are classes, and which say what their photos are kept for: training, validation, test."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.archives import Entry, shorten
from core.errors import UserError

TRAINING, VALIDATION, TEST = range(3)
CLASSES_MAX = 1000
PICTURE_SUFFIXES = {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}

_PARTS = {"train": TRAINING, "training": TRAINING, "test": TEST, "testing": TEST}
_PARTS |= dict.fromkeys(("val", "valid", "validation"), VALIDATION)
_PART = re.compile(rf"({'|'.join(_PARTS)})([ _-]?(set|data|images|photos))?", re.IGNORECASE)
_NEEDED = "needs at least two class folders with at least two photos in each"


@dataclass(frozen=True)
class Folders:
    """The files of each class, by what they are kept for (`TRAINING` where no folder says so).

    `has_parts` where there are photos for training, and others for validation or test. `outside` are the pictures that
    lie in no class: (file, why).
    """

    classes: dict[str, dict[int, list[Entry]]]
    has_parts: bool
    outside: tuple[tuple[str, str], ...]


def part_of(folder: str) -> int | None:
    """What a folder of this name is for: "train", "Validation", "test_set" ...; `None` for any other name."""
    found = _PART.fullmatch(folder)
    return _PARTS[found[1].lower()] if found else None


def class_folders(name: str, found: Sequence[Entry]) -> Folders:
    """Sort the files `found` in the data called `name` into classes.

    Folders that hold all the others are opened, and so are folders for training, validation and test side by side, be
    it above the classes or in each of them. Raises `UserError` where there are fewer than two classes.
    """
    pictures = [entry for entry in found if looks_like_picture(entry)] or list(found)
    depth, parts_at = _depths(pictures)
    by_class: dict[str, list[Entry]] = {}
    outside = []
    for entry in found:
        if len(entry.parts) > depth + 1:
            by_class.setdefault(entry.parts[depth], []).append(entry)
        elif looks_like_picture(entry):
            outside.append((entry.label, "lies outside the class folders"))
    # A folder of texts beside the class folders is no class.
    named = {label: files for label, files in by_class.items() if any(map(looks_like_picture, files))} or by_class
    _check(name, found, list(named))
    names = sorted(named)
    short = unique([shorten(label) for label in names])
    classes = {short_name: _by_part(named[label], parts_at) for short_name, label in zip(short, names, strict=True)}
    present = {part for files in classes.values() for part in files}
    return Folders(classes, TRAINING in present and len(present) > 1, tuple(outside))


def looks_like_picture(entry: Entry) -> bool:
    return Path(entry.parts[-1]).suffix.lower() in PICTURE_SUFFIXES


def unique(names: Sequence[str], longest: int = 70) -> list[str]:
    """The same names, a number behind each that was there before."""
    result: list[str] = []
    for name in names:
        tries = (name, *(f"{name[:longest]} ({number})" for number in range(2, len(names) + 2)))
        result.append(next(candidate for candidate in tries if candidate not in result))
    return result


def _depths(pictures: Sequence[Entry]) -> tuple[int, int | None]:
    """At which place of a path the class stands, and at which "train" or "test" does, if any."""
    depth, parts_at = 0, None
    deepest = max((len(entry.parts) for entry in pictures), default=0)
    while depth + 2 < deepest:
        tops = {entry.parts[depth].casefold() for entry in pictures if len(entry.parts) > depth + 1}
        if _are_parts(tops):
            parts_at = depth
        elif len(tops) > 1:
            break
        depth += 1
    if parts_at is None:
        below = {entry.parts[depth + 1] for entry in pictures if len(entry.parts) > depth + 2}
        in_all = all(len(entry.parts) > depth + 2 for entry in pictures if len(entry.parts) > depth + 1)
        parts_at = depth + 1 if in_all and _are_parts(below) else None
    return depth, parts_at


def _are_parts(folders: set[str]) -> bool:
    """True for "train" and others of its kind side by side; "train" beside "bus" is a class."""
    parts = {part_of(folder) for folder in folders}
    return len(folders) > 1 and None not in parts and TRAINING in parts


def _by_part(files: Sequence[Entry], parts_at: int | None) -> dict[int, list[Entry]]:
    result: dict[int, list[Entry]] = {}
    for entry in files:
        part = part_of(entry.parts[parts_at]) if parts_at is not None and len(entry.parts) > parts_at + 1 else TRAINING
        result.setdefault(TRAINING if part is None else part, []).append(entry)
    return result


def _check(name: str, found: Sequence[Entry], classes: Sequence[str]) -> None:
    if len(classes) > CLASSES_MAX:
        raise UserError(f"{name} has {len(classes):,} class folders; at most {CLASSES_MAX:,} can be told apart.")
    pictures = [entry for entry in found if looks_like_picture(entry)]
    archives = [entry.label for entry in found if entry.parts[-1].lower().endswith((".zip", ".rar", ".7z"))]
    if not pictures and archives:
        raise UserError(
            f"{name} {_NEEDED}; it holds other archives ({', '.join(archives[:2])}{' …' if archives[2:] else ''}). "
            "Unpack them, then pack the class folders with the photos into one ZIP."
        )
    if classes and all(part_of(label) is not None for label in classes):
        raise UserError(
            f"{name} {_NEEDED}; it has {' and '.join(sorted(classes))}, but no class folders inside them. "
            "Make a folder for each class in each of them, and sort the photos into these."
        )
    if len(classes) < 2 and len(pictures) > 1:
        raise UserError(
            f"{name} {_NEEDED}; all its {len(pictures):,} photos lie {'in one folder' if classes else 'side by side'}. "
            "Make a folder for each class, named after it, and sort the photos into these."
        )
    if len(classes) < 2:
        raise UserError(
            f"{name} {_NEEDED}; it has {len(classes) or 'none'}. "
            "Put the photos of each class into a folder named after the class."
        )
