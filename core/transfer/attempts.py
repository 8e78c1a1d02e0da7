"""Which process is at work on a run, and how many photos at a time the memory has allowed it so far.

A process that is killed says nothing, so a note lies in the run's folder while it works. From it the next process knows
that the one before it was killed, and pages know whether a run is at work that none of their jobs is for. Free of
TensorFlow.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from core import storage

NOTE = "attempt.json"
DEATHS = 2  # in one epoch: once may be anybody's doing, twice looks like too little memory


@dataclass(frozen=True)
class Attempt:
    """`process` (its number, and when it began) is `None` between two attempts. The run had come to the end of `epoch`
    when the process began; `deaths` is how often one was killed since."""

    batch_size: int
    epoch: int = 0
    deaths: int = 0
    host: str = ""
    process: tuple[int, float] | None = None


def at_work(folder: Path) -> bool:
    """Whether a living process of this machine, and not this one, trains the run in `folder`."""
    attempt = read(folder)
    return attempt is not None and _lives(attempt) and attempt.process[0] != os.getpid()


def begin(folder: Path, batch_size: int, epoch: int) -> tuple[Attempt, bool]:
    """Leave a note that this process goes on after `epoch`; says too whether the batch was halved now.

    `batch_size` is what was asked for; a run that has once needed less goes on with that. Raises `UserError` where
    nothing can be written.
    """
    before, halved = read(folder) or Attempt(batch_size), False
    attempt = Attempt(max(1, min(batch_size, before.batch_size)), epoch)
    if before.process is not None and before.host == platform.node():
        deaths = 1 + (before.deaths if before.epoch == epoch else 0)
        halved = deaths >= DEATHS and attempt.batch_size > 1
        attempt = replace(attempt, deaths=0 if halved else deaths)
        attempt = _halved(attempt) if halved else attempt
    attempt = replace(attempt, host=platform.node(), process=_identity(os.getpid()))
    _write(folder, attempt)
    return attempt, halved


def end(folder: Path, attempt: Attempt, asked: int) -> None:
    """The process has done what it could. What is known of the memory stays, if it is less than was `asked`."""
    with contextlib.suppress(ValueError, OSError):
        if attempt.batch_size < asked:
            _write(folder, replace(attempt, process=None))
        else:
            forget(folder)


def halve(attempt: Attempt) -> Attempt:
    return _halved(replace(attempt, deaths=0))


def forget(folder: Path) -> None:
    """The run has ended for good."""
    with contextlib.suppress(OSError):
        (folder / NOTE).unlink(missing_ok=True)


def read(folder: Path) -> Attempt | None:
    try:
        facts = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        facts["process"] = tuple(facts["process"]) if facts["process"] else None
        attempt = Attempt(**facts)
        return attempt if isinstance(attempt.batch_size, int) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _halved(attempt: Attempt) -> Attempt:
    return replace(attempt, batch_size=max(1, attempt.batch_size // 2))


def _write(folder: Path, attempt: Attempt) -> None:
    storage.write_bytes(folder / NOTE, json.dumps(asdict(attempt)).encode())


def _lives(attempt: Attempt) -> bool:
    if attempt.process is None or attempt.host != platform.node():
        return False
    return _identity(attempt.process[0]) == attempt.process


def _identity(pid: int) -> tuple[int, float] | None:
    """Of a living process: its number, which others get later, and when it began."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else (pid, process.create_time())
    except psutil.Error:
        return None
