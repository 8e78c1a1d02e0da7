"""The folder whose photos a teacher shares with a class: what lies in it may be chosen by name, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

from core.errors import UserError

VARIABLE = "LAYERSCOPE_DATA"
MOST = 500  # names in the list
NOT_SHARED = "These photos are not among those that are shared here. Choose others from the list."


def root() -> Path | None:
    """The folder, by its real path; `None` where none is shared."""
    chosen = os.environ.get(VARIABLE)
    path = Path(chosen).expanduser() if chosen else None
    return path.resolve() if path is not None and path.is_dir() else None


def names() -> list[str]:
    """The folders and ZIPs in it, in the order of their names; none that a link leads out to."""
    folder = root()
    if folder is None:
        return []
    try:
        found = sorted(path.name for path in folder.iterdir() if _is_data(path) and not path.name.startswith("."))
    except OSError:
        return []
    return [name for name in found if _below(folder, name) is not None][:MOST]


def find(name: str) -> Path:
    """The real path of the folder or ZIP called `name`. Raises `UserError`: one sentence for what is not there and for
    what may not be seen, so that nobody learns which files this machine has."""
    folder = root()
    path = None if folder is None else _below(folder, name)
    if path is None or not _is_data(path):
        raise UserError(NOT_SHARED)
    return path


def _below(folder: Path, name: str) -> Path | None:
    try:
        path = (folder / name).resolve(strict=True)
    except (OSError, ValueError, RuntimeError):  # gone; a name that is none; links in a circle
        return None
    return path if path != folder and path.is_relative_to(folder) else None


def _is_data(path: Path) -> bool:
    try:
        return path.is_dir() or (path.suffix.lower() == ".zip" and path.is_file())
    except OSError:
        return False
