"""How a job that has its turn is computed: submitted to Dask, followed to its end, and done again where it was lost."""

from __future__ import annotations

import asyncio
import logging
import traceback
import uuid
from collections.abc import Callable
from concurrent.futures import CancelledError as FutureCancelled

from distributed import Client, KilledWorker

from core import sharing, work
from core.cluster import STAND_IN
from core.connection import Connection
from core.errors import OUT_OF_MEMORY, UserError
from core.job import EngineError, Job, id_of

log = logging.getLogger(__name__)

PRIORITY = {"interactive": 10, "study": 7, "render": 5, "training": 0}
LOSSES_ALLOWED = 3
HUNGERS_ALLOWED = {"out of memory": 1, "too large": 5}  # five halvings make 32 images one


class Following:
    """Lives in the engine's thread. `ended(job)` is told when a job is no longer followed, whether it is over or its
    connection was lost."""

    def __init__(self, connection: Connection, ended: Callable[[Job], None]):
        self._connection, self._ended = connection, ended
        self._running: dict[str, Job] = {}  # by Dask's keys

    def begin(self, job: Job) -> None:
        """Have `job` computed, unless that is being done already."""
        client = self._connection.client
        if client is None or job.over or (job.whole is not None and job.whole.over):
            if job.whole is None:
                self._ended(job)
        elif job.following is None or job.following.done():
            job.following = self._connection.spawn(self._follow(client, job))

    def part(self, job: Job, task: str, request: object, place: int) -> Job:
        """A job that belongs to `job`, is not listed, and not yet begun."""
        part = Job(f"{id_of(task, request)}{place}", task, request, job.kind, job.number, job.office)
        part.whole = job
        return part

    def heard(self, key: str, kind: str, payload: bytes) -> None:
        """What a worker says of the task that it runs."""
        job = self._running.get(key)
        if job is None:
            return
        if kind == "started":
            job.start()
            if job.seconds is not None:
                self._connection.call_later(job.seconds, self._end_of_patience, key, job)
            return
        try:
            job.show(work.unpack(payload))
        except Exception:
            log.exception("A snapshot of %s could not be read.", job.task)

    # --- To the end ---

    async def _follow(self, client: Client, job: Job) -> None:
        """Has the job computed, again where that was lost through no fault of its own."""
        try:
            await self._compute_until_over(client, job)
        finally:
            self._connection.call(self._after, client, job)

    def _after(self, client: Client, job: Job) -> None:
        if job.whole is None:
            self._ended(job)
        elif client is not self._connection.client:  # a new connection may have been made meanwhile
            self.begin(job)

    async def _compute_until_over(self, client: Client, job: Job) -> None:
        while client is self._connection.client and not job.over:
            try:
                parts = await self._count_parts(client, job)
                if parts > 1 or job.parts:
                    await sharing.share(self, job, parts, lambda: client is self._connection.client)
                else:
                    await self._compute(client, job)
            except KilledWorker as error:
                self.judge_death(job, getattr(error, "allowed_failures", 3) + 1)
            except (FutureCancelled, OSError) as error:  # the scheduler is gone, or has forgotten us
                self._judge_loss(job, error)
                await asyncio.sleep(0.5)
            except Exception as error:
                self._judge_error(job, error)

    async def _compute(self, client: Client, job: Job) -> None:
        request = work.pack(job.request)
        key = f"{job.id}-{self._connection.session}-{job.number}-{job.losses + job.hungers}"
        job.starts_before = job.starts
        restriction = await self._restriction(job.kind)
        future = client.submit(
            *(work.run, job.task, request, key, self._connection.queue),
            key=key,
            resources=restriction and {restriction: 1},
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

    async def _restriction(self, kind: str) -> str | None:
        """Our own workers each have their kinds; those of others may be for everything, or say what they are for."""
        if self._connection.cluster.has_kinds:
            return kind
        offered = {each for worker in (await self._connection.look()).values() for each in worker["resources"]}
        return next((each for each in (kind, STAND_IN.get(kind)) if each in offered), None)

    async def _count_parts(self, client: Client, job: Job) -> int:
        """For how many workers this job is: for those with nothing long to do, if its task can be shared."""
        request = job.request
        if job.task not in sharing.SHARED or job.whole is not None or request is None:
            return 1
        kind = await self._restriction(job.kind)
        workers = (await self._connection.look()).items()
        able = {address for address, each in workers if kind is None or kind in each["resources"]}
        working = (await client.processing()).items()
        busy = {address for address, keys in working if any(map(self._is_long, keys))}
        return len(sharing.SHARED[job.task].split(request, len(able - busy)))

    def _is_long(self, key: str) -> bool:
        job = self._running.get(key)
        return job is not None and job.kind != "interactive"

    async def _conclude(self, client: Client, job: Job, outcome: work.Outcome, size: int) -> None:
        if outcome.kind == "done":
            job.worker = outcome.worker
            job.succeed(outcome.value, size)
        elif outcome.kind == "user error":
            job.fail(UserError(outcome.words), outcome.latest)
        elif outcome.kind in HUNGERS_ALLOWED:
            await self._try_in_a_fresh_worker(client, job, outcome)
        elif outcome.kind == "cancelled":  # not by us: the worker is closing
            self._judge_loss(job, None)
        else:
            job.fail_inside(outcome.words, outcome.latest)

    # --- Processes that must go ---

    def _end_of_patience(self, key: str, job: Job) -> None:
        if self._connection.client is not None and self._running.get(key) is job and not job.over:
            self._connection.spawn(self._give_up(self._connection.client, key, job))

    async def _give_up(self, client: Client, key: str, job: Job) -> None:
        """End the job and the process that is busy with it, which would not stop otherwise. Whatever else is done or
        waits there is done again in the next one."""
        processing = await client.processing()
        address = next((address for address, keys in processing.items() if key in keys), None)
        if job.over or self._running.get(key) is not job:
            return
        log.warning("%s was given up after %s seconds.", job.task, job.seconds)
        job.fail(UserError(TOO_LONG.format(time=_span(job.seconds))))
        job.unfollow()
        if address is not None:
            await self._renew(client, address)

    async def _try_in_a_fresh_worker(self, client: Client, job: Job, outcome: work.Outcome) -> None:
        """There may be enough memory there, all the more if the task will do with less of it."""
        log.warning("%s ran out of memory: %s", job.task, outcome.words)
        job.hungers += 1
        if outcome.latest is not None:
            job.update(latest=outcome.latest)
        if job.hungers > HUNGERS_ALLOWED[outcome.kind]:
            job.fail(UserError(OUT_OF_MEMORY))
        renewing = self._connection.spawn(self._renew(client, outcome.worker))  # for others too, if it is cancelled
        if not (job.over or await asyncio.shield(renewing)):
            job.fail(UserError(OUT_OF_MEMORY))

    async def _renew(self, client: Client, address: str) -> bool:
        """TensorFlow may crash when it goes on in a process that has run out of memory. False where it has to."""
        worker = (await self._connection.look()).get(address)
        if worker is None:
            return True
        if worker["nanny"] is None:
            return False
        # Its nanny starts the next one. That is not waited for: the cluster may put another worker in its place.
        await client.scheduler.restart_workers(
            workers=[address], wait_for_workers=False, on_error="return", stimulus_id=f"layerscope-{uuid.uuid4().hex}"
        )
        return True

    # --- What went wrong ---

    def judge_death(self, job: Job, deaths: int) -> None:
        """Workers died with the job in their hands: its own fault only if it was running each time."""
        if job.starts - job.starts_before >= deaths or job.losses >= LOSSES_ALLOWED:
            log.error("%s: its worker died %d times.", job.task, deaths)
            words = KILLED if job.seconds is None else KILLED_OPENING
            job.fail(EngineError(words.format(times={3: "three", 4: "four"}.get(deaths, deaths))))
        else:
            job.losses += 1

    def _judge_error(self, job: Job, error: Exception) -> None:
        """Errors of Dask itself; those of tasks come as an `Outcome`."""
        if isinstance(error, ModuleNotFoundError) and error.name == "core":
            job.fail(UserError(NOT_INSTALLED))
        else:
            job.fail_inside("".join(traceback.format_exception(type(error), error, error.__traceback__)))

    def _judge_loss(self, job: Job, error: BaseException | None) -> None:
        job.losses += 1
        if job.losses > LOSSES_ALLOWED:
            log.error("%s was lost %d times.", job.task, job.losses, exc_info=error)
            job.fail(EngineError("The connection to the workers was lost again and again. Try again in a minute."))


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
