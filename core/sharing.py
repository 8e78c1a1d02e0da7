"""Tasks that several workers can share, and the job that is many jobs: one for each part, followed as one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from core import gallery
from core.featurevis import parts
from core.job import Job

BETWEEN_MERGES = 4  # times as long as merging takes: it is the serving process that merges
LEAST_BETWEEN_MERGES = 0.2  # seconds


@dataclass(frozen=True)
class Sharing:
    """How a task is shared.

    Unless `is_settled(request)`, the workers are asked by the task `ask`, and `agree(request, answers)` is the request
    that all of them work on. `split(request, workers)` gives at most as many requests as there are workers, to the
    same task; `merge(request, parts, latest)` makes one snapshot of the newest of each. The finished result is what
    `find(request)` finds, or what `keep(request, result)` is told.
    """

    ask: str
    is_settled: Callable[[Any], bool]
    agree: Callable[[Any, Sequence[Any]], Any]
    split: Callable[[Any, int], Sequence[Any]]
    merge: Callable[[Any, Sequence[Any], Sequence[Any]], Any]
    find: Callable[[Any], Any]
    keep: Callable[[Any, Any], None]


SHARED = {
    "core.featurevis.mosaic:run": Sharing(
        "core.featurevis.mosaic:settle",
        *(parts.is_settled, parts.agree, parts.split, parts.merge),
        *(gallery.find, gallery.keep),
    )
}


class Office(Protocol):
    """What sharing needs of the engine."""

    def part(self, job: Job, task: str, request: Any, place: int) -> Job: ...

    def begin(self, job: Job) -> None: ...


async def share(office: Office, job: Job, count: int, is_connected: Callable[[], bool]) -> None:
    """Has `job` computed in `count` parts; returns when it is over, or when the connection to them is lost.

    Called again with the same job, it goes on with the parts that there are.
    """
    sharing, request = SHARED[job.task], job.request
    if request is None:  # cancelled a moment ago
        return
    found = await asyncio.to_thread(sharing.find, request)
    if found is not None:
        job.succeed(found, 0)
        return
    if not job.parts:
        settled = request
        if not sharing.is_settled(request):
            asked = [office.part(job, sharing.ask, request, place) for place in range(count)]
            try:
                answers = await _Following(office, job, asked, _first_news).follow(is_connected)
            finally:
                for part in asked:
                    part.cancel()
            if answers is None:
                return
            settled = sharing.agree(request, answers)
        requests = sharing.split(settled, count)
        job.parts = [office.part(job, job.task, each, place) for place, each in enumerate(requests)]

    def merge(latest: Sequence[Any]) -> Any:
        return sharing.merge(request, [part.request for part in job.parts], latest)

    try:
        results = await _Following(office, job, job.parts, merge).follow(is_connected)
    finally:
        if job.over:
            for part in job.parts:
                part.cancel()
    if results is not None:
        result = await asyncio.to_thread(merge, results)
        job.succeed(result, sum(part.bytes for part in job.parts))
        await asyncio.to_thread(sharing.keep, request, result)


def _first_news(latest: Sequence[Any]) -> Any:
    return next((each for each in latest if each is not None), None)


class _Following:
    """What is known of `parts` becomes what is known of `job`."""

    def __init__(self, office: Office, job: Job, parts: Sequence[Job], merge: Callable[[Sequence[Any]], Any]):
        self._office, self._job, self._parts, self._merge = office, job, parts, merge
        self._news = asyncio.Event()
        self._merged: list[Any] = []
        self._merge_at = 0.0

    async def follow(self, is_connected: Callable[[], bool]) -> list[Any] | None:
        """The parts' results; `None` where one has failed, with which `job` has, or the connection is lost."""
        for part in self._parts:
            part.told = self._news.set
            self._office.begin(part)
        while is_connected() and not self._job.over:
            self._news.clear()
            snapshots = [part.known for part in self._parts]
            failed = next((part for part in self._parts if part.known.state == "failed"), None)
            if failed is not None:
                self._job.fail(failed.error)
                return None
            if all(snapshot.state == "done" for snapshot in snapshots):
                return [snapshot.result for snapshot in snapshots]
            if any(snapshot.state != "queued" for snapshot in snapshots):
                attempt = max(snapshot.attempt for snapshot in snapshots)
                self._job.update(state="running", attempt=attempt)
            await self._show([snapshot.latest for snapshot in snapshots])
            await self._wait()
        return None

    async def _show(self, latest: list[Any]) -> None:
        changed = any(new is not old for new, old in zip(latest, self._merged or [None] * len(latest), strict=True))
        if not changed or time.monotonic() < self._merge_at:
            return
        start = time.monotonic()
        merged = await asyncio.to_thread(self._merge, latest)
        if merged is not None:
            self._job.update(latest=merged)
        self._merged = latest
        end = time.monotonic()
        self._merge_at = end + max(LEAST_BETWEEN_MERGES, BETWEEN_MERGES * (end - start))

    async def _wait(self) -> None:
        try:
            await asyncio.wait_for(self._news.wait(), 0.2)
        except asyncio.TimeoutError:  # the connection may be lost, or a merge be due
            return
