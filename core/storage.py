"""What Layerscope keeps on disk: files written beside and renamed, and bounded caches.

Everything lives in one private folder, `home()`. A file there is either whole or absent: `model.save`, for one, leaves
a broken file when its process is killed or the disk fills up, so each file is written under another name, forced to the
disk, and only then renamed.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from core.errors import UserError
from core.messages import digest_of

UPLOADS_MAX_BYTES = 4 * 1024**3
DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}
NOT_A_FOLDER = {errno.ENOTDIR, errno.EEXIST, errno.ENOENT}


def home() -> Path:
    """The folder that holds all others: `LAYERSCOPE_HOME`, or the platform's place for a person's data.

    Where that cannot be written, a private temporary folder, the same for the rest of the process.
    """
    return _writable(Path(os.environ.get("LAYERSCOPE_HOME") or _platform_home()).expanduser().absolute())


def folder(name: str) -> Path:
    """`home() / name`, created (mode 0700) if need be. `name` is one plain folder name."""
    if not re.fullmatch(r"[\w-]+", name):
        raise ValueError(f"`name` must be one plain folder name, got {name!r}.")
    path = home() / name
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def free_bytes(path: Path | str) -> int:
    """Room left on the disk where `path` is, or would be."""
    path = Path(path).absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return shutil.disk_usage(path).free


def write_atomically(path: Path | str, write: Callable[[Path], None], *, needs: int = 0) -> None:
    """Call `write(temporary)` and rename the file it makes to `path`, which is thus never half written.

    The temporary file lies beside `path` and has its suffix, since many writers choose their format by it. `needs` is
    the room in bytes that will be needed, where it is known. On any error the temporary file is removed and `path` is
    as it was. Raises `UserError` where the disk is full or the folder cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{secrets.token_hex(8)}{''.join(path.suffixes[-2:])}")
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


@functools.cache
def _writable(path: Path) -> Path:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return path
    except OSError:
        return _temporary_home()


@functools.cache
def _temporary_home() -> Path:
    return Path(tempfile.mkdtemp(prefix="layerscope-"))


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
        room = f"more than {_megabytes(needed)} is needed, {_megabytes(free_bytes(path))} is free"
        return UserError(f"{path.name} cannot be saved: the disk with {path.parent} is full ({room}). Make room there.")
    if error.errno in NOT_ALLOWED:
        return UserError(f"{path.name} cannot be saved: {path.parent} may not be written to. Choose another folder.")
    if error.errno in NOT_A_FOLDER:
        return UserError(f"{path.name} cannot be saved: {path.parent} is not a folder. Choose another one.")
    return None


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
