"""What Layerscope keeps on disk: files written beside and renamed, and bounded caches.

Everything lives in one private folder, `home()`. A file there is either whole or absent: `model.save`, for one, leaves
a broken file when its process is killed or the disk fills up, so each file is written under another name, forced to the
disk, and only then renamed. What a killed process leaves under such a name is in nobody's way, and goes when it is old.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from core.errors import UserError
from core.messages import digest_of

log = logging.getLogger(__name__)

FOLDERS = ("answers", "drawings", "features", "opened", "runs", "samples", "tuning", "uploads")
UPLOADS_MAX_BYTES = 4 * 1024**3
LEFT_BEHIND = 3600.0  # seconds: nobody takes so long over one file
LITTLE = 1024**2  # bytes: where less is free, whatever goes wrong in writing is taken to come from that
DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}
NOT_A_FOLDER = {errno.ENOTDIR, errno.EEXIST, errno.ENOENT}
_BESIDE = re.compile(r"\.[0-9a-f]{16}(\..*)?", re.DOTALL)


def home() -> Path:
    """The folder that holds all others: `LAYERSCOPE_HOME`, or the platform's place for a person's data.

    Where that cannot be written, a private temporary folder, the same in all processes of this person.
    """
    return _writable(_wanted_home())


def moved() -> tuple[Path, Path] | None:
    """Where things should be kept and cannot, and where they are instead; `None` where all is as it should be."""
    wanted, place = _wanted_home(), home()
    return None if place == wanted else (wanted, place)


def folder(name: str) -> Path:
    """`home() / name`, created (mode 0700) if need be. `name` is one plain folder name.

    Raises `UserError` where it is not there and cannot be made.
    """
    if not re.fullmatch(r"[\w-]+", name):
        raise ValueError(f"`name` must be one plain folder name, got {name!r}.")
    path = home() / name
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _refusal(error, path, 0) or error from error
    return path


def beside(path: Path) -> Path:
    """A name for what is to become `path`, in the same folder and with its suffix: `clean_up` knows such names."""
    return path.with_name(f".{secrets.token_hex(8)}{''.join(path.suffixes[-2:])}")


def clean_up(older: float = LEFT_BEHIND) -> list[Path]:
    """Remove what killed processes have left half made in our folders, `older` seconds ago or more, and return it."""
    removed = []
    for path in _left_behind():
        with contextlib.suppress(OSError):
            if time.time() - path.lstat().st_mtime >= older:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
                removed.append(path)
    return removed


def free_bytes(path: Path | str) -> int:
    """Room left on the disk where `path` is, or would be."""
    path = Path(path).absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def check_room(path: Path, needs: int) -> None:
    """Raises `UserError` where `path` would not find `needs` bytes."""
    if needs > free_bytes(path):
        raise _full(path, needs)


def write_atomically(path: Path | str, write: Callable[[Path], None], *, needs: int = 0) -> None:
    """Call `write(temporary)` and rename the file it makes to `path`, which is thus never half written.

    The temporary file lies beside `path` and has its suffix, since many writers choose their format by it. `needs` is
    the room in bytes that will be needed, where it is known. On any error the temporary file is removed and `path` is
    as it was. Raises `UserError` where the disk is full or the folder cannot be written.
    """
    path = Path(path)
    temporary = beside(path)
    try:
        if needs > free_bytes(path):
            raise OSError(errno.ENOSPC, "not enough room")
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        _force_to_disk(temporary)
        temporary.replace(path)
        _force_to_disk(path.parent)
    except OSError as error:
        refusal = _refusal(error, path, max(needs, _size(temporary)))
        if refusal is None:
            raise
        raise refusal from error
    except UserError:
        raise
    except Exception as error:
        # What HDF5, ZIP and TensorFlow raise on a full disk does not always say so.
        if free_bytes(path) >= LITTLE:
            raise
        raise _full(path, max(needs, _size(temporary))) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path | str, data: bytes) -> None:
    """`write_atomically` for bytes that are already there."""
    write_atomically(path, lambda temporary: _write(temporary, data), needs=len(data))


def read_arrays(file: Path, *names: str) -> list[np.ndarray] | None:
    """These arrays of the NumPy archive `file`, or `None` where one is absent or damaged. Nothing is executed; what
    shapes and types they have is for the caller to check."""
    try:
        with np.load(file, allow_pickle=False) as found:
            return [found[name] for name in names]  # each is held against its checksum
    # A damaged header makes NumPy raise almost anything.
    except Exception:
        return None


def trim(folder: Path, max_bytes: int) -> None:
    """Remove the files of `folder` that were used longest ago until the rest takes at most `max_bytes`.

    The newest file always stays. A file that somebody else removes meanwhile, or that cannot be removed, is passed
    over.
    """
    found = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if path.is_file():
                status = path.stat()
                found.append((status.st_mtime_ns, status.st_size, path))
    found.sort(key=lambda entry: entry[0], reverse=True)
    room = max_bytes - sum(size for _, size, _ in found[:1])
    for _, size, path in found[1:]:
        room -= size
        if room < 0:
            with contextlib.suppress(OSError):
                path.unlink()


def keep_upload(data: bytes, suffix: str) -> Path:
    """Keep an uploaded file under its digest and `suffix` (".zip", ".keras") and return where.

    All uploads together take at most `UPLOADS_MAX_BYTES`: those that were used longest ago go. A suffix that is not
    dots, letters and digits is left out, for it comes from a file name that a stranger chose.
    """
    suffix = suffix.lower() if re.fullmatch(r"(\.[A-Za-z0-9]{1,10}){1,2}", suffix) else ""
    path = folder("uploads") / f"{digest_of(data)}{suffix}"
    if _size(path) == len(data) and path.is_file():
        os.utime(path)
    else:
        write_bytes(path, data)
    trim(path.parent, UPLOADS_MAX_BYTES)
    return path


def is_upload(name: str) -> bool:
    """Whether a file of this name may be one that `keep_upload` keeps: under the digest of what is in it."""
    return re.fullmatch(r"[0-9a-f]{24}(\.[a-z0-9]{1,10}){0,2}", name) is not None


def _platform_home() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "Layerscope"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Layerscope"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "layerscope"


def _wanted_home() -> Path:
    return Path(os.environ.get("LAYERSCOPE_HOME") or _platform_home()).expanduser().absolute()


@functools.cache
def _writable(path: Path) -> Path:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError as error:
        if error.errno in DISK_FULL and path.is_dir():
            return path  # what is in it can be read, and somebody may make room
        place = _temporary_home(path)
        log.warning("%s cannot be written to (%s): what is made is kept in %s.", path, error.strerror, place)
        return place


def _temporary_home(path: Path) -> Path:
    """In place of `path`: always the same folder, so that others find what one process keeps, after a restart too."""
    person = os.getuid() if hasattr(os, "getuid") else "here"
    place = Path(tempfile.gettempdir()) / f"layerscope-{person}-{digest_of(str(path).encode())}"
    with contextlib.suppress(OSError):
        place.mkdir(mode=0o700, exist_ok=True)
        found = place.lstat()
        # Anybody may have been here first, and laid a trap.
        if stat.S_ISDIR(found.st_mode) and (sys.platform == "win32" or _is_mine(found)):
            return place
    return _new_temporary_home()


@functools.cache
def _new_temporary_home() -> Path:
    return Path(tempfile.mkdtemp(prefix="layerscope-"))


def _is_mine(found: os.stat_result) -> bool:
    return found.st_uid == os.getuid() and not stat.S_IMODE(found.st_mode) & 0o077


def _left_behind() -> Iterator[Path]:
    for name in FOLDERS:
        for place, folders, files in os.walk(home() / name):
            left = [each for each in folders if _BESIDE.fullmatch(each)]
            folders[:] = [each for each in folders if each not in left]
            yield from (Path(place, each) for each in (*left, *files) if _BESIDE.fullmatch(each))


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _force_to_disk(path: Path) -> None:
    # Windows cannot open a folder, and flushes only what is open for writing.
    if sys.platform == "win32" and path.is_dir():
        return
    handle = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refusal(error: OSError, path: Path, needed: int) -> UserError | None:
    if error.errno in DISK_FULL:
        return _full(path, needed)
    if error.errno in NOT_ALLOWED:
        return UserError(f"{path.name} cannot be saved: {path.parent} may not be written to. Choose another folder.")
    if error.errno in NOT_A_FOLDER:
        return UserError(f"{path.name} cannot be saved: {path.parent} is not a folder. Choose another one.")
    if error.errno == errno.EFBIG:
        return UserError(f"{path.name} cannot be saved: it is too large for {path.parent}. Choose another folder.")
    if error.errno == errno.EIO:
        return UserError(f"{path.name} cannot be saved: the disk with {path.parent} failed. Choose another folder.")
    return None


def _full(path: Path, needed: int) -> UserError:
    room = f"more than {_megabytes(needed)} is needed, {_megabytes(free_bytes(path))} is free"
    return UserError(f"{path.name} cannot be saved: the disk with {path.parent} is full ({room}). Make room there.")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
