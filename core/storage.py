"""What Layerscope keeps on disk: files written beside and renamed, bounded caches, and the runs of the trainer.

Everything lives in one private folder, `home()`. A file there is either whole or absent: `model.save`, for one, leaves
a broken file when its process is killed or the disk fills up, so each file is written under another name, forced to the
disk, and only then renamed.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import math
import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path

from core.errors import UserError
from core.messages import TrainingReport, digest_of

UPLOADS_MAX_BYTES = 4 * 1024**3
REPORT_MAX_BYTES = 16 * 1024**2
DISK_FULL = {errno.ENOSPC, errno.EDQUOT}
NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}
NOT_A_FOLDER = {errno.ENOTDIR, errno.EEXIST, errno.ENOENT}


@dataclass(frozen=True)
class FinishedRun:
    """A training run that ended with a model. `path` is its `model.keras`; the accuracy is a fraction."""

    id: str
    path: Path
    classes: tuple[str, ...]
    backbone: str
    validation_accuracy: float
    when: datetime


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


def new_run() -> Path:
    """A new, empty folder for the results of a training run: `runs/<date>-<random>`."""
    path = folder("runs") / f"{datetime.now():%Y-%m-%d}-{secrets.token_hex(6)}"
    path.mkdir(mode=0o700)
    return path


def is_run(name: str) -> bool:
    """True where `name` is that of a folder made by `new_run`, and nothing that leads out of it."""
    return re.fullmatch(r"\d{4}-\d{2}-\d{2}-[0-9a-f]{12}", name) is not None


def finished_models() -> list[FinishedRun]:
    """The runs that have both a `model.keras` and a readable `report.json`, newest first."""
    found = (_finished(path) for path in folder("runs").iterdir())
    return sorted((run for run in found if run is not None), key=lambda run: (run.when, run.id), reverse=True)


def read_report(run: Path) -> TrainingReport | None:
    """The report of the run in folder `run`, or `None` where there is none that can be read."""
    try:
        facts = _facts(run)
        return TrainingReport(**{field.name: _frozen(facts[field.name]) for field in fields(TrainingReport)})
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _finished(run: Path) -> FinishedRun | None:
    model = run / "model.keras"
    try:
        if not model.is_file():
            return None
        facts = _facts(run)
        accuracy = float(facts["validation_accuracy"])
        if not math.isfinite(accuracy):
            return None
        classes = tuple(str(name) for name in facts["classes"])
        when = datetime.fromtimestamp(model.stat().st_mtime).astimezone()
        return FinishedRun(run.name, model, classes, str(facts["backbone"]), accuracy, when)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _facts(run: Path) -> dict:
    report = run / "report.json"
    if report.stat().st_size > REPORT_MAX_BYTES:
        raise ValueError("The report is larger than any that was written here.")
    return json.loads(report.read_text(encoding="utf-8"))


def _frozen(value: object) -> object:
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value


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
