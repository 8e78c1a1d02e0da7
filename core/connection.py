"""The engine's thread: an event loop that starts or joins a cluster, stays connected to it, and hears its workers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol

import dask
from distributed import Client, Queue

log = logging.getLogger(__name__)

CONNECT_SECONDS = 15
LOOK = 2.0  # seconds between two looks at the workers


@dataclass(frozen=True)
class Resources:
    """What is at work: `memory_bytes` is in use by all workers together; `threads` says of each, by its address, how
    many it has, and how many jobs of which kinds it is for (none: for everything)."""

    workers: int = 0
    memory_bytes: int = 0
    threads: dict[str, tuple[int, dict[str, float]]] = field(default_factory=dict)


class Office(Protocol):
    """Whom a connection tells, in its own thread, what happens."""

    def connected(self) -> None: ...

    def heard(self, key: str, kind: str, payload: bytes) -> None: ...

    def unreachable(self, error: Exception) -> None: ...

    def looked(self) -> None: ...


class Connection:
    """Everything but `call` and `close` belongs to the engine's thread."""

    def __init__(self, cluster: Any, office: Office):
        self.cluster, self._office = cluster, office
        self.session = uuid.uuid4().hex[:8]
        self.client: Client | None = None
        self.queue = ""
        self.resources = Resources()
        self._background: set[asyncio.Task] = set()
        self._loop = asyncio.SelectorEventLoop() if sys.platform == "win32" else asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="layerscope-engine", daemon=True)

    def start(self) -> None:
        """Returns at once; the workers come up in the background."""
        self._thread.start()

    def close(self) -> None:
        """Ends the cluster, if it is our own. Returns when its processes are gone."""
        self.call(self._stop)
        if self._thread is not threading.current_thread():
            self._thread.join(15)

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Have it called in the engine's thread; from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nothing is left to be done
            self._loop.call_soon_threadsafe(function, *arguments)

    def call_later(self, seconds: float, function: Callable[..., Any], *arguments: Any) -> None:
        self._loop.call_later(seconds, function, *arguments)

    def spawn(self, coroutine: Coroutine) -> asyncio.Task:
        task = self._loop.create_task(coroutine)
        self._background.add(task)
        task.add_done_callback(self._discard)
        return task

    async def look(self) -> dict[str, dict[str, Any]]:
        """All workers by their addresses, as the scheduler knows them."""
        return (await self.client.scheduler.identity(n_workers=-1))["workers"]

    def _discard(self, task: asyncio.Task) -> None:
        self._background.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("The engine stumbled.", exc_info=task.exception())

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._main = self._loop.create_task(self._stay_connected())
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._main)
        self._loop.run_until_complete(self._loop.shutdown_default_executor())  # the cluster may still be starting
        self.cluster.close()
        self._loop.close()

    def _stop(self) -> None:
        self._main.cancel()

    async def _stay_connected(self) -> None:
        dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GB"})
        failures = 0
        while True:
            try:
                address, security = await asyncio.to_thread(self.cluster.start)
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
                log.warning("The connection to the workers was lost or not made.", exc_info=error)
                if failures >= 3:  # until then what was submitted waits for the next connection
                    self._office.unreachable(error)
            await asyncio.to_thread(self.cluster.close)
            await asyncio.sleep(min(failures, 10))

    async def _serve(self, client: Client) -> None:
        queue = await Queue(f"layerscope-{self.session}-{uuid.uuid4().hex[:8]}", client=client, maxsize=64)
        self.client, self.queue = client, queue.name
        watching = self.spawn(self._watch())
        try:
            self._office.connected()
            while True:
                self._office.heard(*await queue.get())
        finally:
            self.client, self.resources = None, Resources()
            watching.cancel()

    async def _watch(self) -> None:
        """How many workers there are, what for, and how much memory they use."""
        with contextlib.suppress(OSError):  # the connection is lost; `_serve` sees it too
            while True:
                workers = await self.look()
                memory = sum(worker["metrics"].get("memory", 0) for worker in workers.values())
                threads = {address: (worker["nthreads"], worker["resources"]) for address, worker in workers.items()}
                self.resources = Resources(len(workers), memory, threads)
                self._office.looked()
                await asyncio.sleep(LOOK)
