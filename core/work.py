"""What happens on a worker: a task is found by its name, run, its snapshots streamed to whoever asked.

Values cross to the serving process as pickles made here and opened by `unpack`, which refuses anything that would
bring TensorFlow into that process. Exceptions cross as words, for the same reason.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import io
import logging
import os
import pickle
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

import psutil
from distributed import Status, get_worker

from core.errors import TooLarge, UserError

log = logging.getLogger(__name__)

HEAVY = {"tensorflow", "keras", "tf_keras", "jax", "torch"}
NOTHING = object()
# TensorFlow's modules import each other in circles: two threads that begin at different ends find them half made.
_importing = threading.Lock()


@dataclass(frozen=True)
class Outcome:
    """How a task ended: `kind` is "done", "cancelled", "user error", "out of memory", "too large" or "error".

    "too large" is out of memory too, where the next attempt will need less. `words` are the sentence of a `UserError`,
    or the traceback of any other; `latest` is the last snapshot before it.
    """

    kind: str
    value: Any = None
    words: str = ""
    latest: Any = None
    worker: str = ""


def resolve(task: str) -> Callable[[Any], Any]:
    """The function that "module:function" names; `ValueError` where the name is not one that workers may run."""
    check_name(task)
    module, _, function = task.partition(":")
    found = getattr(importlib.import_module(module), function, None)
    if not callable(found):
        raise ValueError(f"`task` must name a function, got {task!r}: {module} has no function {function!r}.")
    return found


def check_name(task: str) -> None:
    """Raises `ValueError` unless `task` is "module:function" with a public function of a module of `core`.

    `LAYERSCOPE_TASK_MODULES` (comma-separated) admits other modules, for tests.
    """
    module, _, function = task.partition(":")
    others = os.environ.get("LAYERSCOPE_TASK_MODULES", "").split(",")
    if not ((module.startswith("core.") or module in others) and function.isidentifier() and function[0] != "_"):
        raise ValueError(f"`task` must be 'core.module:function', got {task!r}.")


def pack(value: Any) -> bytes:
    return pickle.dumps(value, protocol=5)


class _LightUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] in HEAVY:
            raise pickle.UnpicklingError(f"A result must not contain {module}.{name}: return NumPy arrays or messages.")
        return super().find_class(module, name)


def unpack(payload: bytes) -> Any:
    """The value that `pack` packed; raises `pickle.UnpicklingError` where opening it would import TensorFlow."""
    return _LightUnpickler(io.BytesIO(payload)).load()


class Stream:
    """Sends the newest snapshot of one task to a queue, at most five times a second, without holding the task up."""

    interval = 0.2  # seconds

    def __init__(self, worker: Any, queue: str, key: str):
        self._scheduler, self._queue, self._key = worker.scheduler, queue, key
        self._loop = worker.loop.asyncio_loop
        self._news = asyncio.Event()
        self._latest: Any = NOTHING
        self._ended = False

    def __enter__(self) -> Stream:
        """Tells that the task has started, and waits until that is known: it may be the last that is heard of it."""
        started = asyncio.run_coroutine_threadsafe(self._put("started", b""), self._loop)
        with suppress(Exception):  # the computation matters more than the view of it
            started.result(timeout=5)
        asyncio.run_coroutine_threadsafe(self._send(), self._loop)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._loop.call_soon_threadsafe(self._news.set)

    def offer(self, snapshot: Any) -> None:
        self._latest = snapshot
        self._loop.call_soon_threadsafe(self._news.set)

    async def _send(self) -> None:
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                if self._ended:
                    return  # the outcome carries the last snapshot
                snapshot, self._latest = self._latest, NOTHING
                if snapshot is not NOTHING:
                    await self._put("snapshot", pack(snapshot))
                    await asyncio.sleep(self.interval)
        except Exception:
            log.warning("Snapshots of %s are no longer sent.", self._key, exc_info=True)

    async def _put(self, kind: str, payload: bytes) -> None:
        await self._scheduler.queue_put(name=self._queue, data=(self._key, kind, payload), timeout=None)


def run(task: str, request: bytes, key: str, queue: str) -> bytes:
    """Runs `task` on the packed `request` under Dask's `key`, streams to `queue`; returns a packed `Outcome`.

    A generator is closed at its next snapshot once the key has been released: by `Job.cancel`, or because the
    process that asked is gone.
    """
    worker = get_worker()
    last = NOTHING
    try:
        with Stream(worker, queue, key) as stream:
            with _importing:
                function = resolve(task)
                _prepare_device()
            if _released(worker, key):
                return pack(Outcome("cancelled"))
            value = function(pickle.loads(request))
            if inspect.isgenerator(value):
                with closing(value) as snapshots:
                    for last in snapshots:
                        if _released(worker, key):
                            return pack(Outcome("cancelled"))
                        stream.offer(last)
                value = None if last is NOTHING else last
        return pack(Outcome("done", value, worker=worker.address))
    except Exception as error:
        return _pack_failure(error, None if last is NOTHING else last, worker.address)


def _pack_failure(error: Exception, latest: Any, worker: str) -> bytes:
    if isinstance(error, UserError):
        outcome = Outcome("user error", words=str(error), latest=latest)
    elif isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        kind = "too large" if isinstance(error, TooLarge) else "out of memory"
        outcome = Outcome(kind, words=traceback.format_exc(), latest=latest, worker=worker)
    else:
        outcome = Outcome("error", words=traceback.format_exc(), latest=latest)
    try:
        return pack(outcome)
    except Exception:  # the error may be that `latest` cannot be pickled
        return pack(Outcome("error", words=outcome.words))


def _released(worker: Any, key: str) -> bool:
    """The worker's own record of the task tells; asking the scheduler would cost a round trip for each snapshot."""
    task = worker.state.tasks.get(key)
    gone = task is None or task.state in ("cancelled", "released", "forgotten")
    return gone or worker.status in (Status.closing, Status.closed)


def _prepare_device() -> None:
    """Memory growth and threads can be set only before TensorFlow computes for the first time."""
    if "tensorflow" in sys.modules:
        importlib.import_module("core.device").prepare()


def dask_setup(worker: Any) -> None:
    """Dask calls this in each worker that is started with `--preload core.work`."""
    niceness = int(os.environ.get("LAYERSCOPE_NICE", "0"))
    if niceness:
        if os.name == "nt":
            psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        else:
            os.nice(niceness)
    if os.environ.get("LAYERSCOPE_WARM_UP") == "1":
        threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()


def _warm_up() -> None:
    try:
        with _importing:
            importlib.import_module("core.device").prepare()
    except Exception:
        log.exception("TensorFlow could not be started.")
    gc.collect()
    gc.freeze()  # else each full collection walks through TensorFlow's millions of objects
