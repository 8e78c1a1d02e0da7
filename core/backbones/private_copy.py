"""A folder of our own for what is being opened: what has been checked there is what is read afterwards.

A file at its own path can be another one a moment later, because somebody saves into it, or means harm.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from core import storage
from core.errors import UserError

_PREFIX = "layerscope-opening-"
_LEFT_BEHIND_SECONDS = 3600
_CHUNK = 16 * 1024**2
_LITTLE = 1024**2  # bytes: where less is free, HDF5's errors are taken to come from that


@contextmanager
def folder(name: str) -> Iterator[Path]:
    """A folder that only this user can read, and that is gone afterwards. Raises `UserError` where none can be made;
    `name` is for its sentence."""
    _sweep()
    try:
        made = Path(tempfile.mkdtemp(prefix=_PREFIX))
    except OSError as error:
        raise UserError(
            f"{name} cannot be unpacked: no file can be written to the folder for temporary files ({error.strerror})."
        ) from error
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def write(source: BinaryIO, target: Path, size: int, name: str) -> None:
    """Write the next `size` bytes of `source`, or what there is of them, to `target`. Raises `UserError` where there is
    no room; what is wrong with `source` it raises as it is."""
    if size > storage.free_bytes(target.parent):
        raise no_room(name, size)
    with _told_of_a_full_disk(name, size), target.open("wb") as file:
        while size > 0 and (chunk := source.read(min(size, _CHUNK))):
            file.write(chunk)
            size -= len(chunk)


def is_full(place: Path) -> bool:
    """Whether hardly anything can be written to the disk of `place`: HDF5's errors do not say so."""
    return storage.free_bytes(place) < _LITTLE


def no_room(name: str, size: int) -> UserError:
    return UserError(
        f"There is not enough room on the disk to unpack {name}: the folder for temporary files needs {size:,} bytes."
    )


@contextmanager
def _told_of_a_full_disk(name: str, size: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in storage.DISK_FULL:
            raise no_room(name, size) from error
        raise


def _sweep() -> None:
    """Remove what was left behind where a worker was ended, by its time or by a person, while it had a file open."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _LEFT_BEHIND_SECONDS:
                shutil.rmtree(left)
