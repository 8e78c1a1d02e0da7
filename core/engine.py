"""Jobs: long computations that run in worker processes, watched and cancelled from the serving process.

One thread per engine runs an event loop that talks to Dask (`connection.py`) and follows each job that has its turn
(`following.py`). Everybody else only reads what it last wrote, so nobody waits. Jobs wait here and not in Dask: for
each kind of work there is a line in which sessions take turns (`queueing.py`).
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from core import work
from core.cluster import JoinedCluster, OwnCluster
from core.connection import Connection, Resources
from core.errors import UserError
from core.following import PRIORITY, Following
from core.job import EngineError, Job, Kind, id_of
from core.messages import DeviceInfo
from core.queueing import Durations, Line, kinds_of

__all__ = ["OPENING_SECONDS", "Engine", "EngineError", "Job", "Kind", "Resources", "id_of"]

KEPT_JOBS, KEPT_BYTES = 256, 256 * 2**20
OPENING_SECONDS = 120
A_MOMENT = 2.0  # seconds; what was seen to take longer does not hold up interactive work
AHEAD = 1.0  # seconds; of jobs no longer than this one more is handed out than can run, and begins at once
SWEEP = 0.3  # seconds between two looks for jobs that nobody waits for


class Engine:
    """Submits tasks to workers. `Engine.start()` makes one; it is safe to use from any thread."""

    def __init__(self, cluster: Any, *, is_here: Callable[[str], bool] | None = None):
        self._cluster, self._is_here = cluster, is_here or (lambda viewer: True)
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._lock = threading.RLock()
        self._submitted = 0
        self._durations = Durations()
        self._lines: dict[str, Line] = {kind: Line() for kind in PRIORITY}
        self._waiting: dict[int, Job] = {}  # those in the lines, by their numbers
        self._handed: dict[str, list[Job]] = {kind: [] for kind in PRIORITY}  # out of the lines, followed to their end
        self._rooms = dict.fromkeys(PRIORITY, 1)
        self._warming: Job | None = None
        self._connection = Connection(cluster, self)
        self._following = Following(self._connection, self._followed)

    @classmethod
    def start(
        cls, address: str | None = None, *, warm_up: bool = True, is_here: Callable[[str], bool] | None = None
    ) -> Engine:
        """Returns at once; the workers come up in the background.

        Joins the scheduler at `address` or `LAYERSCOPE_SCHEDULER` ("tls://host:8786"), with the certificates named
        by `LAYERSCOPE_TLS_CA`, `LAYERSCOPE_TLS_CERT` and `LAYERSCOPE_TLS_KEY`; without either it starts workers here.
        `warm_up=False` leaves TensorFlow unloaded until a task needs it. `is_here(viewer)` says from any thread whether
        there still is a viewer of that name.
        """
        address = address or os.environ.get("LAYERSCOPE_SCHEDULER") or None
        engine = cls(JoinedCluster(address) if address else OwnCluster(warm_up=warm_up), is_here=is_here)
        engine._connection.start()
        engine.call(engine._sweep)
        atexit.register(engine.close)
        if warm_up:
            engine._warming = engine.submit("core.device:describe", None, kind="interactive")
        return engine

    def submit(
        self,
        task: str,
        request: Any,
        *,
        kind: Kind,
        seconds: float | None = None,
        viewer: str | None = None,
        keep: bool = False,
    ) -> Job:
        """The job that computes `task` ("module:function") of `request`; returns at once.

        An equal request (by its `repr`) that is waiting, running or lately done is not computed again: the same job
        is returned. One that failed or was cancelled is started anew. One that runs for more than `seconds` fails with
        a `UserError`: `seconds=OPENING_SECONDS` is for opening a file that may be hostile.

        `viewer` is the session that asks: it takes turns with the others, and when all who have asked are gone, or
        look at something else, the job is dropped. A training is not, nor what is to be kept (`keep=True`), nor what
        nobody in particular asks for (`viewer=None`).
        """
        work.check_name(task)
        if kind not in PRIORITY:
            raise ValueError(f"`kind` must be one of {', '.join(PRIORITY)}, got {kind!r}.")
        id = id_of(task, request)
        with self._lock:
            job = self._jobs.get(id)
            if job is None or job.known.state in ("failed", "cancelled"):
                self._submitted += 1
                likes = kinds_of(task, request)
                if kind == "interactive" and self._durations.expected(likes, kind) > A_MOMENT:
                    kind = "study"  # with this network, or on this machine
                job = self._jobs[id] = Job(id, task, request, kind, self._submitted, self)
                job.seconds, job.likes = seconds, likes
                self._enter(job, viewer)
            self._jobs.move_to_end(id)
            job.keep |= keep
            job.join(viewer)
            self._forget_the_oldest()
        self.call(self._hand_out)
        return job

    def find(self, task: str, request: Any) -> Job | None:
        """The job of an equal request, if there is one that is remembered; nothing is started."""
        return self.job(id_of(task, request))

    def job(self, id: str) -> Job | None:
        """The job with this id, if it is still remembered."""
        with self._lock:
            return self._jobs.get(id)

    def jobs(self) -> list[Job]:
        """All jobs that are remembered, the latest submitted last."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: job.number)

    def ready(self) -> bool:
        """True when the workers can compute at once, TensorFlow loaded."""
        return self._connection.client is not None and (self._warming is None or self._warming.over)

    def device(self) -> DeviceInfo | None:
        """What computes, once it is known."""
        return self._warming.known.result if self._warming else None

    def resources(self) -> Resources:
        return self._connection.resources

    def close(self) -> None:
        """Ends the cluster, if it is our own, and all jobs with it. Returns when its processes are gone."""
        atexit.unregister(self.close)
        self._connection.close()
        for job in self.jobs():
            job.end(replace(job.known, state="cancelled"), EngineError("The engine was closed."))

    # --- What jobs need of their office; from any thread ---

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Have it called in the engine's thread."""
        self._connection.call(function, *arguments)

    def joined(self, job: Job, viewer: str | None) -> None:
        with self._lock:
            job.audience.join(viewer)
            if job.number in self._waiting:
                self._enter(job, viewer)

    def left(self, job: Job, viewer: str | None) -> None:
        with self._lock:
            job.audience.leave(viewer, time.monotonic())
            self._lines[job.kind].leave(job.number, viewer or NOBODY)

    def over(self, job: Job) -> None:
        """The job has ended, in whatever way: it waits no longer, and how long it took is remembered."""
        if job.whole is not None:
            return
        with self._lock:
            if self._waiting.pop(job.number, None):
                self._lines[job.kind].leave(job.number)
            if job.known.state == "done" and job.starts == 1:
                self._durations.saw(job.likes, time.monotonic() - job.began)

    def outlook(self, job: Job) -> tuple[int | None, float | None]:
        """The place in the line of a job that waits (1 is next), and in about how many seconds it will begin."""
        with self._lock:
            handed = self._handed[job.kind]
            earlier = handed[: handed.index(job)] if job in handed else handed
            seconds = sum(map(self._seconds_left, earlier))
            place = 1 + sum(each.known.state == "queued" for each in earlier)
            if job.number in self._waiting:
                ahead, more = self._lines[job.kind].ahead_of(job.number)
                place, seconds = place + ahead, seconds + more
            return place, seconds / self._rooms[job.kind]

    def _seconds_left(self, job: Job) -> float:
        expected = self._durations.expected(job.likes, job.kind)
        if job.over or job.known.state == "queued":
            return 0.0 if job.over else expected
        told = getattr(job.known.latest, "seconds_left", None)  # it knows best, once it has begun
        return told if told is not None else max(expected - (time.monotonic() - job.began), 0.1 * expected)

    def _enter(self, job: Job, viewer: str | None) -> None:
        self._waiting[job.number] = job
        expected = self._durations.expected(job.likes, job.kind)
        self._lines[job.kind].join(job.number, viewer or NOBODY, expected)

    def _forget_the_oldest(self) -> None:
        size = sum(job.bytes for job in self._jobs.values())
        for id, job in list(self._jobs.items()):
            if len(self._jobs) <= KEPT_JOBS and size <= KEPT_BYTES:
                return
            if job.over:
                size -= job.bytes
                del self._jobs[id]

    # --- In the engine's thread ---

    def _hand_out(self) -> None:
        """Whoever's turn it is begins, as long as there is room."""
        if self._connection.client is None:
            return
        for kind, line in self._lines.items():
            while True:
                with self._lock:
                    if not self._has_room(kind):
                        break
                    job = self._waiting.pop(line.next())
                    self._handed[kind].append(job)
                self._following.begin(job)

    def _has_room(self, kind: str) -> bool:
        line, handed, rooms = self._lines[kind], self._handed[kind], self._rooms[kind]
        if not line or len(handed) > rooms:
            return False
        if len(handed) < rooms:
            return True
        # The worker need not wait for us between short jobs.
        at_hand = [*handed, self._waiting[line.peek()]]
        return all(self._durations.expected(job.likes, kind) <= AHEAD for job in at_hand)

    def _followed(self, job: Job) -> None:
        """It is over; or its connection was lost, and it waits for the next one."""
        with self._lock:
            if job in self._handed[job.kind]:
                self._handed[job.kind].remove(job)
            if not job.over:
                for viewer in job.audience.looking() or {None}:
                    self._enter(job, viewer)
        self._hand_out()

    def _sweep(self) -> None:
        """Drop what nobody waits for any longer. It is not remembered as cancelled: whoever asks again gets it."""
        now = time.monotonic()
        for job in self.jobs():
            with self._lock:
                if not self._is_deserted(job, now):
                    continue
                del self._jobs[job.id]
                job.cancel()
        self._connection.call_later(SWEEP, self._sweep)

    def _is_deserted(self, job: Job, now: float) -> bool:
        if job.over or job.keep or job.kind == "training":
            return False
        return job.audience.deserted(now, self._is_here, lambda viewer: self._comes_back(job, viewer))

    def _comes_back(self, job: Job, viewer: str) -> bool:
        """A drawing goes on for somebody who looks at something else meanwhile, until they ask for another one."""
        if job.kind != "render":
            return False
        later = (each for each in self._jobs.values() if each.number > job.number and viewer in each.audience)
        return not any(each.kind == job.kind or each.task == job.task for each in later)

    # --- What the connection tells ---

    def connected(self) -> None:
        self.looked()
        self._hand_out()

    def looked(self) -> None:
        self._rooms = self._cluster.rooms(self._connection.resources.threads)
        self._hand_out()

    def heard(self, key: str, kind: str, payload: bytes) -> None:
        self._following.heard(key, kind, payload)

    def unreachable(self, error: Exception) -> None:
        for job in self.jobs():
            job.fail(error if isinstance(error, UserError) else EngineError(self._cluster.unreachable))


NOBODY = ""  # in particular: all who give no name take turns as one
