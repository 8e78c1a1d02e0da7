"""Jobs: long computations that run in worker processes, watched and cancelled from the serving process.

One thread per engine runs an event loop that talks to Dask: it starts or joins the cluster, submits, receives
snapshots. Everybody else only reads what it last wrote, so nobody waits.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import sys
import threading
import traceback
import uuid
from collections import OrderedDict
from collections.abc import Coroutine
from concurrent.futures import CancelledError as FutureCancelled
from dataclasses import dataclass, replace
from typing import Any

import dask
from distributed import Client, KilledWorker, Queue

from core import sharing, work
from core.cluster import JoinedCluster, OwnCluster
from core.errors import OUT_OF_MEMORY, UserError
from core.job import EngineError, Job, Kind
from core.messages import DeviceInfo, digest_of

__all__ = ["OPENING_SECONDS", "Engine", "EngineError", "Job", "Kind", "Resources"]

log = logging.getLogger(__name__)

PRIORITY = {"interactive": 10, "render": 5, "training": 0}
KEPT_JOBS, KEPT_BYTES = 256, 256 * 2**20
LOSSES_ALLOWED = 3
HUNGERS_ALLOWED = {"out of memory": 1, "too large": 5}  # five halvings make 32 images one
CONNECT_SECONDS = 15
OPENING_SECONDS = 120


@dataclass(frozen=True)
class Resources:
    """What is at work: `memory_bytes` is in use by all workers together."""

    workers: int = 0
    memory_bytes: int = 0


class Engine:
    """Submits tasks to workers. `Engine.start()` makes one; it is safe to use from any thread."""

    def __init__(self, cluster: Any, *, warm_up: bool):
        self._cluster, self._warm_up = cluster, warm_up
        self._session = uuid.uuid4().hex[:8]
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._running: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._submitted = 0
        self._client: Client | None = None
        self._queue = ""
        self._resources = Resources()
        self._warming: Job | None = None
        self._background: set[asyncio.Task] = set()
        self._loop = asyncio.SelectorEventLoop() if sys.platform == "win32" else asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="layerscope-engine", daemon=True)

    @classmethod
    def start(cls, address: str | None = None, *, warm_up: bool = True) -> Engine:
        """Returns at once; the workers come up in the background.

        Joins the scheduler at `address` or `LAYERSCOPE_SCHEDULER` ("tls://host:8786"), with the certificates named
        by `LAYERSCOPE_TLS_CA`, `LAYERSCOPE_TLS_CERT` and `LAYERSCOPE_TLS_KEY`; without either it starts workers here.
        `warm_up=False` leaves TensorFlow unloaded until a task needs it.
        """
        address = address or os.environ.get("LAYERSCOPE_SCHEDULER") or None
        engine = cls(JoinedCluster(address) if address else OwnCluster(warm_up=warm_up), warm_up=warm_up)
        engine._thread.start()
        atexit.register(engine.close)
        if warm_up:
            engine._warming = engine.submit("core.device:describe", None, kind="interactive")
        return engine

    def submit(self, task: str, request: Any, *, kind: Kind, seconds: float | None = None) -> Job:
        """The job that computes `task` ("module:function") of `request`; returns at once.

        An equal request (by its `repr`) that is waiting, running or lately done is not computed again: the same job
        is returned. One that failed or was cancelled is started anew. One that runs for more than `seconds` fails with
        a `UserError`: `seconds=OPENING_SECONDS` is for opening a file that may be hostile.
        """
        work.check_name(task)
        if kind not in PRIORITY:
            raise ValueError(f"`kind` must be one of {', '.join(PRIORITY)}, got {kind!r}.")
        id = _id(task, request)
        with self._lock:
            job = self._jobs.get(id)
            if job is not None and job._snapshot.state not in ("failed", "cancelled"):
                self._jobs.move_to_end(id)
                return job
            self._submitted += 1
            job = Job(id, task, request, kind, self._submitted, self)
            job._seconds = seconds
            self._jobs[id] = job
            self._jobs.move_to_end(id)
            self._forget_the_oldest()
        self._call(self._begin, job)
        return job

    def find(self, task: str, request: Any) -> Job | None:
        """The job of an equal request, if there is one that is remembered; nothing is started."""
        return self.job(_id(task, request))

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
        return self._client is not None and (self._warming is None or self._warming._snapshot.over)

    def device(self) -> DeviceInfo | None:
        """What computes, once it is known."""
        return self._warming._snapshot.result if self._warming else None

    def resources(self) -> Resources:
        return self._resources

    def close(self) -> None:
        """Ends the cluster, if it is our own, and all jobs with it. Returns when its processes are gone."""
        atexit.unregister(self.close)
        self._call(self._stop)
        if self._thread is not threading.current_thread():
            self._thread.join(15)
        for job in self.jobs():
            job._end(replace(job._snapshot, state="cancelled"), EngineError("The engine was closed."))

    # What follows runs in the engine's thread, except `_place`, `_call` and `_forget_the_oldest`.

    def _place(self, job: Job) -> int:
        ahead = (other for other in self.jobs() if other.kind == job.kind and other.number < job.number)
        return 1 + sum(other._snapshot.state == "queued" for other in ahead)

    def _call(self, function: Any, *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nothing is left to be done
            self._loop.call_soon_threadsafe(function, *arguments)

    def _forget_the_oldest(self) -> None:
        size = sum(job._bytes for job in self._jobs.values())
        for id, job in list(self._jobs.items()):
            if len(self._jobs) <= KEPT_JOBS and size <= KEPT_BYTES:
                return
            if job._over.is_set():
                size -= job._bytes
                del self._jobs[id]

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._main = self._loop.create_task(self._stay_connected())
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._main)
        self._loop.run_until_complete(self._loop.shutdown_default_executor())  # the cluster may still be starting
        self._cluster.close()
        self._loop.close()

    def _stop(self) -> None:
        self._main.cancel()

    async def _stay_connected(self) -> None:
        dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GB"})
        failures = 0
        while True:
            try:
                address, security = await asyncio.to_thread(self._cluster.start)
                async with Client(
                    address,
                    security=security,
                    asynchronous=True,
                    set_as_default=False,
                    name="layerscope",
                    timeout=CONNECT_SECONDS,
                ) as client:
                    failures = 0
                    await self._serve(client)
            except Exception as error:
                failures += 1
                self._report_lost_connection(error, failures)
            await asyncio.to_thread(self._cluster.close)
            await asyncio.sleep(min(failures, 10))

    def _report_lost_connection(self, error: Exception, failures: int) -> None:
        """What was submitted waits for the next connection, unless there is none for the third time."""
        log.warning("The connection to the workers was lost or not made.", exc_info=error)
        if failures < 3:
            return
        for job in self.jobs():
            job._fail(error if isinstance(error, UserError) else EngineError(self._cluster.unreachable))

    async def _serve(self, client: Client) -> None:
        queue = await Queue(f"layerscope-{self._session}-{uuid.uuid4().hex[:8]}", client=client, maxsize=64)
        self._client, self._queue = client, queue.name
        watching = self._spawn(self._watch(client))
        try:
            for job in self.jobs():
                self._begin(job)
            while True:
                self._receive(*await queue.get())
        finally:
            self._client, self._resources = None, Resources()
            watching.cancel()

    def _spawn(self, coroutine: Coroutine) -> asyncio.Task:
        task = self._loop.create_task(coroutine)
        self._background.add(task)
        task.add_done_callback(self._discard)
        return task

    def _discard(self, task: asyncio.Task) -> None:
        self._background.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("The engine stumbled.", exc_info=task.exception())

    async def _watch(self, client: Client) -> None:
        """How many workers there are, and how much memory they use."""
        with contextlib.suppress(OSError):  # the connection is lost; `_serve` sees it too
            while True:
                workers = await self._look(client)
                memory = sum(worker["metrics"].get("memory", 0) for worker in workers.values())
                self._resources = Resources(len(workers), memory)
                await asyncio.sleep(2)

    async def _look(self, client: Client) -> dict[str, dict[str, Any]]:
        """All workers by their addresses."""
        return (await client.scheduler.identity(n_workers=-1))["workers"]

    def _receive(self, key: str, kind: str, payload: bytes) -> None:
        job = self._running.get(key)
        if job is None:
            return
        if kind == "started":
            job._start()
            if job._seconds is not None:
                self._loop.call_later(job._seconds, self._end_of_patience, key, job)
            return
        try:
            job._show(work.unpack(payload))
        except Exception:
            log.exception("A snapshot of %s could not be read.", job.task)

    def _end_of_patience(self, key: str, job: Job) -> None:
        if self._client is not None and self._running.get(key) is job and not job._over.is_set():
            self._spawn(self._give_up(self._client, key, job))

    async def _give_up(self, client: Client, key: str, job: Job) -> None:
        """End the job and the process that is busy with it, which would not stop otherwise. Whatever else is done or
        waits there is done again in the next one."""
        processing = await client.processing()
        address = next((address for address, keys in processing.items() if key in keys), None)
        if job._over.is_set() or self._running.get(key) is not job:
            return
        log.warning("%s was given up after %s seconds.", job.task, job._seconds)
        job._fail(UserError(TOO_LONG.format(time=_span(job._seconds))))
        job._unfollow()
        if address is not None:
            await self._renew(client, address)

    def _begin(self, job: Job) -> None:
        is_over = job._over.is_set() or (job._whole is not None and job._whole._over.is_set())
        if self._client is not None and not is_over and (job._following is None or job._following.done()):
            job._following = self._spawn(self._follow(self._client, job))

    async def _follow(self, client: Client, job: Job) -> None:
        """Has the job computed, again where that was lost through no fault of its own."""
        try:
            await self._compute_until_over(client, job)
        finally:
            if client is not self._client:  # a new connection may have been made meanwhile
                self._loop.call_soon(self._begin, job)

    async def _compute_until_over(self, client: Client, job: Job) -> None:
        while client is self._client and not job._over.is_set():
            try:
                parts = await self._count_parts(client, job)
                if parts > 1 or job._parts:
                    await sharing.share(self, job, parts, lambda: client is self._client)
                else:
                    await self._compute(client, job)
            except KilledWorker as error:
                self._judge_death(job, getattr(error, "allowed_failures", 3) + 1)
            except (FutureCancelled, OSError) as error:  # the scheduler is gone, or has forgotten us
                self._judge_loss(job, error)
                await asyncio.sleep(0.5)
            except Exception as error:
                self._judge_error(job, error)

    async def _compute(self, client: Client, job: Job) -> None:
        request = work.pack(job._request)
        key = f"{job.id}-{self._session}-{job.number}-{job._losses + job._hungers}"
        job._starts_before = job._starts
        future = client.submit(
            *(work.run, job.task, request, key, self._queue),
            key=key,
            resources=await self._restriction(client, job.kind),
            priority=PRIORITY[job.kind],
            fifo_timeout="0ms",
            pure=False,
        )
        self._running[key] = job
        try:
            payload = await future
        finally:
            del self._running[key]
            future.release()
        await self._conclude(client, job, work.unpack(payload), len(payload))

    async def _restriction(self, client: Client, kind: str) -> dict[str, float] | None:
        """Our own workers each have their kind; those of others may be for everything."""
        if self._cluster.has_kinds or any(kind in each["resources"] for each in (await self._look(client)).values()):
            return {kind: 1}
        return None

    async def _count_parts(self, client: Client, job: Job) -> int:
        """For how many workers this job is: for those with nothing long to do, if its task can be shared."""
        request = job._request
        if job.task not in sharing.SHARED or job._whole is not None or request is None:
            return 1
        kind = job.kind if await self._restriction(client, job.kind) else None
        able = {
            address for address, each in (await self._look(client)).items() if kind is None or kind in each["resources"]
        }
        working = (await client.processing()).items()
        busy = {address for address, keys in working if any(map(self._is_long, keys))}
        return len(sharing.SHARED[job.task].split(request, len(able - busy)))

    def _is_long(self, key: str) -> bool:
        job = self._running.get(key)
        return job is not None and job.kind != "interactive"

    def _part(self, job: Job, task: str, request: Any, place: int) -> Job:
        """A job that belongs to `job`, is not listed, and not yet begun."""
        part = Job(f"{_id(task, request)}{place}", task, request, job.kind, job.number, self)
        part._whole = job
        return part

    async def _conclude(self, client: Client, job: Job, outcome: work.Outcome, size: int) -> None:
        if outcome.kind == "done":
            job._worker = outcome.worker
            job._succeed(outcome.value, size)
        elif outcome.kind == "user error":
            job._fail(UserError(outcome.words), outcome.latest)
        elif outcome.kind in HUNGERS_ALLOWED:
            await self._try_in_a_fresh_worker(client, job, outcome)
        elif outcome.kind == "cancelled":  # not by us: the worker is closing
            self._judge_loss(job, None)
        else:
            job._fail_inside(outcome.words, outcome.latest)

    async def _try_in_a_fresh_worker(self, client: Client, job: Job, outcome: work.Outcome) -> None:
        """There may be enough memory there, all the more if the task will do with less of it."""
        log.warning("%s ran out of memory: %s", job.task, outcome.words)
        job._hungers += 1
        if outcome.latest is not None:
            job._update(latest=outcome.latest)
        if job._hungers > HUNGERS_ALLOWED[outcome.kind]:
            job._fail(UserError(OUT_OF_MEMORY))
        renewing = self._spawn(self._renew(client, outcome.worker))  # for others too, if this job is cancelled
        if not (job._over.is_set() or await asyncio.shield(renewing)):
            job._fail(UserError(OUT_OF_MEMORY))

    async def _renew(self, client: Client, address: str) -> bool:
        """TensorFlow may crash when it goes on in a process that has run out of memory. False where it has to."""
        worker = (await self._look(client)).get(address)
        if worker is None:
            return True
        if worker["nanny"] is None:
            return False
        # Its nanny starts the next one. That is not waited for: the cluster may put another worker in its place.
        await client.scheduler.restart_workers(
            workers=[address], wait_for_workers=False, on_error="return", stimulus_id=f"layerscope-{uuid.uuid4().hex}"
        )
        return True

    def _judge_death(self, job: Job, deaths: int) -> None:
        """Workers died with the job in their hands: its own fault only if it was running each time."""
        if job._starts - job._starts_before >= deaths or job._losses >= LOSSES_ALLOWED:
            log.error("%s: its worker died %d times.", job.task, deaths)
            words = KILLED if job._seconds is None else KILLED_OPENING
            job._fail(EngineError(words.format(times={3: "three", 4: "four"}.get(deaths, deaths))))
        else:
            job._losses += 1

    def _judge_error(self, job: Job, error: Exception) -> None:
        """Errors of Dask itself; those of tasks come as an `Outcome`."""
        if isinstance(error, ModuleNotFoundError) and error.name == "core":
            job._fail(UserError(NOT_INSTALLED))
        else:
            job._fail_inside("".join(traceback.format_exception(type(error), error, error.__traceback__)))

    def _judge_loss(self, job: Job, error: BaseException | None) -> None:
        job._losses += 1
        if job._losses > LOSSES_ALLOWED:
            log.error("%s was lost %d times.", job.task, job._losses, exc_info=error)
            job._fail(EngineError("The connection to the workers was lost again and again. Try again in a minute."))


def _id(task: str, request: Any) -> str:
    return digest_of(f"{task}{request!r}".encode())


NOT_INSTALLED = (
    "The workers cannot find Layerscope. Start each `dask worker` with the environment variable PYTHONPATH set to "
    "Layerscope's folder."
)
KILLED = (
    "The computation ran out of memory or was killed {times} times, so it was given up. "
    "Try a smaller size or a smaller model."
)
KILLED_OPENING = (
    "Opening it ran out of memory or was killed {times} times, so it was given up. "
    "The network in it is too large for this machine, or the file is damaged."
)
TOO_LONG = (
    "It took longer than {time} to open, so it was given up. "
    "The network in it is too large for this machine, or the file is damaged."
)


def _span(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:g} seconds"
