"""What people have uploaded: it is kept while their session lasts and for a while after it, and then it goes.

Who has which file is known in the serving process alone. A file that nobody here has (an earlier server kept it, or
another one does) goes when it has not been used for long. What is linked to a run is the run's own by then.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from core import storage

AFTER_SESSION = 3600.0  # seconds: a tab that is loaded anew, and the links of one lesson
VARIABLE = "LAYERSCOPE_UPLOAD_HOURS"
LONGEST_HOURS = 24.0


def age_limit() -> float:
    """Seconds after its last use in which a file that nobody has goes: LAYERSCOPE_UPLOAD_HOURS, else a day."""
    try:
        hours = float(os.environ.get(VARIABLE, ""))
    except ValueError:
        hours = LONGEST_HOURS
    return 3600 * (hours if hours > 0 else LONGEST_HOURS)


class Uploads:
    """Which person has which files, by their paths. Safe to use from any thread.

    `is_here(person)` says whether their session still is.
    """

    def __init__(self, is_here: Callable[[str], bool]):
        self._is_here = is_here
        self._lock = threading.Lock()
        self._having: dict[str, set[str]] = {}
        self._gone_since: dict[str, float] = {}

    def keep(self, data: bytes, suffix: str, person: str) -> Path:
        """`storage.keep_upload` for a person."""
        path = storage.keep_upload(data, suffix)
        self.take(path, person)
        return path

    def take(self, path: Path | str, person: str) -> None:
        """From now on this person has the file, too."""
        with self._lock:
            self._having.setdefault(str(path), set()).add(person)

    def leave(self, path: Path | str, person: str) -> bool:
        """This person has done with the file; whether nobody has it any more."""
        with self._lock:
            people = self._having.get(str(path), set())
            people.discard(person)
            return not people

    def is_free(self, path: Path | str) -> bool:
        """Whether nobody has it."""
        with self._lock:
            return not self._having.get(str(path))

    def sweep(self, now: float | None = None) -> list[Path]:
        """Remove what has had its time, and return it. `now` is in seconds since 1970."""
        now = time.time() if now is None else now
        with self._lock:
            left = self._forget_the_gone(now)
            removed = []
            for path in storage.folder("uploads").iterdir():
                limit = min(AFTER_SESSION, age_limit()) if str(path) in left else age_limit()
                if storage.is_upload(path.name) and not self._having.get(str(path)) and _is_older(path, now - limit):
                    with contextlib.suppress(OSError):  # removed meanwhile, or held by another program
                        path.unlink()
                        removed.append(path)
            for path in left:
                if not self._having[path] and not Path(path).exists():
                    del self._having[path]
            return removed

    def _forget_the_gone(self, now: float) -> list[str]:
        """Takes those out who have been away for long; the paths of what nobody has any more."""
        people = set().union(*self._having.values())
        away = {person for person in people if not self._is_here(person)}
        self._gone_since = {person: self._gone_since.get(person, now) for person in away}
        gone = {person for person, since in self._gone_since.items() if now - since >= AFTER_SESSION}
        for having in self._having.values():
            having -= gone
        return [path for path, having in self._having.items() if not having]


def _is_older(path: Path, moment: float) -> bool:
    try:
        return path.is_file() and path.stat().st_mtime <= moment
    except OSError:
        return False
