"""One job: what is known of a computation that runs elsewhere."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any, Literal, Protocol

from core.audience import Audience
from core.errors import WENT_WRONG
from core.messages import JobSnapshot, Progress, digest_of

log = logging.getLogger(__name__)

# How long somebody waits: a moment (up to two seconds), longer, with something to look at meanwhile, or not at all.
Kind = Literal["interactive", "study", "render", "training"]


class EngineError(RuntimeError):
    """A job failed for a reason that is not the person's. `id` finds the traceback in the log."""

    def __init__(self, sentence: str, id: str = ""):
        super().__init__(sentence)
        self.id = id


class Office(Protocol):
    """What a job needs of the engine that it belongs to."""

    def outlook(self, job: Job) -> tuple[int | None, float | None]: ...

    def joined(self, job: Job, viewer: str | None) -> None: ...

    def left(self, job: Job, viewer: str | None) -> None: ...

    def over(self, job: Job) -> None: ...

    def call(self, function: Callable[..., Any], *arguments: Any) -> None: ...


def id_of(task: str, request: Any) -> str:
    """Equal requests have equal ids."""
    return digest_of(f"{task}{request!r}".encode())


class Job:
    """One computation and what is known of it. Any number of viewers may look, from any thread.

    What comes after `leave` is for the engine alone.
    """

    def __init__(self, id: str, task: str, request: Any, kind: Kind, number: int, office: Office):
        self.id, self.task, self.kind, self.number = id, task, kind, number
        self.office = office
        self.request = request  # `None` once it is over
        self.known = JobSnapshot("queued")
        self.error: Exception | None = None
        self._over = threading.Event()
        self._lock = threading.Lock()
        # Who waits for it, and whether it is kept though nobody does.
        self.audience, self.keep = Audience(), False
        # How long jobs like it take; when it began; how long it may take.
        self.likes: tuple[Hashable, ...] = ()
        self.began = 0.0
        self.seconds: float | None = None
        # How often it was started, in all and before it was last submitted; lost; out of memory.
        self.starts = self.starts_before = self.losses = self.hungers = 0
        self.bytes = 0
        self.worker = ""  # the address of the one that has done it
        self.following: asyncio.Task | None = None
        self.parts: list[Job] = []  # the jobs that compute it, where several workers share it
        self.whole: Job | None = None  # the one that this is a part of
        self.told: Callable[[], None] | None = None  # called in the engine's thread when something is new

    def snapshot(self) -> JobSnapshot:
        """What is known now; never blocks."""
        known = self.known
        if known.state != "queued":
            return known
        place, seconds = self.office.outlook(self)
        return replace(known, place=place, wait_seconds=seconds)

    def wait(self, timeout: float | None = None) -> JobSnapshot:
        """Blocks until the job is over, or for `timeout` seconds."""
        self._over.wait(timeout)
        return self.snapshot()

    def result(self, timeout: float | None = None) -> Any:
        """The result. Raises the task's `UserError`; `EngineError` where it failed otherwise or was cancelled;
        `TimeoutError` after `timeout` seconds."""
        if not self._over.wait(timeout):
            raise TimeoutError(f"{self.task} is not done after {timeout} seconds.")
        if self.error is not None:
            raise self.error
        return self.known.result

    def cancel(self) -> None:
        """Cancelled from now on, for every viewer; the worker stops at its next snapshot. `latest` is kept."""
        self.end(replace(self.known, state="cancelled"), EngineError("The computation was cancelled."))
        self.office.call(self.unfollow)

    def join(self, viewer: str | None) -> None:
        """`viewer`, a session's id, looks at the job; `None` is somebody who will not leave."""
        self.office.joined(self, viewer)

    def leave(self, viewer: str | None) -> None:
        """`viewer` looks at something else. What nobody looks at is dropped soon, unless it is kept."""
        self.office.left(self, viewer)

    @property
    def over(self) -> bool:
        return self._over.is_set()

    def unfollow(self) -> None:
        if self.following is not None:
            self.following.cancel()
        for part in self.parts:
            part.cancel()

    def start(self) -> None:
        self.starts += 1
        self.began = time.monotonic()
        self.update(state="running", attempt=self.starts)

    def show(self, latest: Any) -> None:
        """A snapshot from the worker. When the work is done again, what was seen stays until there is more to see."""
        if self.starts > 1 and isinstance(latest, Progress) and not isinstance(self.known.latest, Progress | None):
            return
        self.update(latest=latest)

    def update(self, **changes: Any) -> None:
        with self._lock:
            if not self.over:
                self.known = replace(self.known, **changes)
        self._tell()

    def end(self, known: JobSnapshot, error: Exception | None) -> None:
        with self._lock:
            if self.over:
                return
            self.known, self.error = known, error
            if self.whole is None:
                self.request = None  # it may hold a photograph
            self._over.set()
        self.office.over(self)
        self._tell()

    def _tell(self) -> None:
        if self.told is not None:
            self.office.call(self.told)

    def succeed(self, value: Any, size: int) -> None:
        self.bytes = size
        self.end(replace(self.known, state="done", latest=value, result=value), None)

    def fail(self, error: Exception, latest: Any = None) -> None:
        changes = {"state": "failed", "error": str(error)} | ({} if latest is None else {"latest": latest})
        self.end(replace(self.known, **changes), error)

    def fail_inside(self, words: str, latest: Any = None) -> None:
        """An error that is ours: `words` (a traceback) go to the log, the person gets its id."""
        id = uuid.uuid4().hex[:8]
        log.error("[%s] %s failed: %s", id, self.task, words)
        self.fail(EngineError(WENT_WRONG.format(id=id), id), latest)
