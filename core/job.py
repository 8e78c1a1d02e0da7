"""One job: what is known of a computation that runs elsewhere."""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, Protocol

from core.messages import JobSnapshot, Progress

log = logging.getLogger(__name__)

Kind = Literal["interactive", "render", "training"]


class EngineError(RuntimeError):
    """A job failed for a reason that is not the person's. `id` finds the traceback in the log."""

    def __init__(self, sentence: str, id: str = ""):
        super().__init__(sentence)
        self.id = id


class Office(Protocol):
    """What a job needs of the engine that it belongs to."""

    def _place(self, job: Job) -> int: ...

    def _call(self, function: Callable[..., Any], *arguments: Any) -> None: ...


class Job:
    """One computation and what is known of it. Any number of viewers may look, from any thread."""

    def __init__(self, id: str, task: str, request: Any, kind: Kind, number: int, office: Office):
        self.id, self.task, self.kind, self.number = id, task, kind, number
        self._request, self._office = request, office
        self._snapshot = JobSnapshot("queued")
        self._error: Exception | None = None
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._starts = 0
        self._starts_before = 0  # it was last submitted
        self._losses = 0
        self._bytes = 0
        self._worker = ""  # the address of the one that has done it
        self._hungers = 0  # times that it ran out of memory
        self._seconds: float | None = None  # that it may run
        self._following: asyncio.Task | None = None
        self._parts: list[Job] = []  # the jobs that compute it, where several workers share it
        self._whole: Job | None = None  # the one that this is a part of
        self._told: Callable[[], None] | None = None  # called in the engine's thread when something is new

    def snapshot(self) -> JobSnapshot:
        """What is known now; never blocks."""
        snapshot = self._snapshot
        return replace(snapshot, place=self._office._place(self)) if snapshot.state == "queued" else snapshot

    def wait(self, timeout: float | None = None) -> JobSnapshot:
        """Blocks until the job is over, or for `timeout` seconds."""
        self._over.wait(timeout)
        return self.snapshot()

    def result(self, timeout: float | None = None) -> Any:
        """The result. Raises the task's `UserError`; `EngineError` where it failed otherwise or was cancelled;
        `TimeoutError` after `timeout` seconds."""
        if not self._over.wait(timeout):
            raise TimeoutError(f"{self.task} is not done after {timeout} seconds.")
        if self._error is not None:
            raise self._error
        return self._snapshot.result

    def cancel(self) -> None:
        """Cancelled from now on, for every viewer; the worker stops at its next snapshot. `latest` is kept."""
        self._end(replace(self._snapshot, state="cancelled"), EngineError("The computation was cancelled."))
        self._office._call(self._unfollow)

    def _unfollow(self) -> None:
        if self._following is not None:
            self._following.cancel()
        for part in self._parts:
            part.cancel()

    def _start(self) -> None:
        self._starts += 1
        self._update(state="running", attempt=self._starts)

    def _show(self, latest: Any) -> None:
        """A snapshot from the worker. When the work is done again, what was seen stays until there is more to see."""
        if self._starts > 1 and isinstance(latest, Progress) and not isinstance(self._snapshot.latest, Progress | None):
            return
        self._update(latest=latest)

    def _update(self, **changes: Any) -> None:
        with self._lock:
            if not self._over.is_set():
                self._snapshot = replace(self._snapshot, **changes)
        self._tell()

    def _end(self, snapshot: JobSnapshot, error: Exception | None) -> None:
        with self._lock:
            if not self._over.is_set():
                self._snapshot, self._error = snapshot, error
                if self._whole is None:
                    self._request = None  # it may hold a photograph
                self._over.set()
        self._tell()

    def _tell(self) -> None:
        if self._told is not None:
            self._office._call(self._told)

    def _succeed(self, value: Any, size: int) -> None:
        self._bytes = size
        self._end(replace(self._snapshot, state="done", latest=value, result=value), None)

    def _fail(self, error: Exception, latest: Any = None) -> None:
        changes = {"state": "failed", "error": str(error)} | ({} if latest is None else {"latest": latest})
        self._end(replace(self._snapshot, **changes), error)

    def _fail_inside(self, words: str, latest: Any = None) -> None:
        """An error that is ours: `words` (a traceback) go to the log, the person gets its id."""
        id = uuid.uuid4().hex[:8]
        log.error("[%s] %s failed: %s", id, self.task, words)
        sentence = (
            f"Something went wrong inside Layerscope (log id {id}). "
            "Try again; if it happens again, look for this id in the log of the server."
        )
        self._fail(EngineError(sentence, id), latest)
