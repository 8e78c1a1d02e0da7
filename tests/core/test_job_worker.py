"""The worker for long jobs comes and goes; that a busy machine takes its time over it must not end the cluster."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from distributed import Status

from core import cluster


class Nanny:
    """One whose process does not go in time."""

    def __init__(self):
        self.status, self.closed = Status.running, 0

    async def close(self, timeout: float) -> None:
        self.closed += 1
        raise asyncio.TimeoutError

    def __await__(self):
        yield from ()
        return self


@pytest.fixture
def scheduler() -> SimpleNamespace:
    return SimpleNamespace(
        workers={}, unrunnable=[SimpleNamespace(resource_restrictions={"render": 1})], address="here"
    )


def test_one_that_is_slow_to_go_is_left_to_go_and_the_next_one_comes(monkeypatch, scheduler):
    made = []
    monkeypatch.setattr(cluster, "_worker", lambda *_, **__: made.append(Nanny()) or made[-1])

    async def day() -> None:
        crew = cluster._JobWorker(scheduler, None, idle_seconds=0.0)
        await crew.adjust()
        waiting, scheduler.unrunnable = scheduler.unrunnable, []
        await asyncio.sleep(0.01)
        await crew.adjust()
        assert [nanny.closed for nanny in made] == [1]
        scheduler.unrunnable = waiting
        await crew.adjust()
        assert [nanny.closed for nanny in made] == [1, 0]
        await crew.close()

    with ThreadPoolExecutor(1) as pool:  # a browser's tests have a loop of their own in this thread
        pool.submit(asyncio.run, day()).result()
    assert [nanny.closed for nanny in made] == [1, 1]
