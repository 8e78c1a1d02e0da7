"""The cluster that computes: one that somebody else runs, or our own.

Our own is a scheduler, a worker for what somebody waits for and one for long jobs. It lives in a process of its own,
so that the serving process is only a client: a worker process starts by importing its parent's `__main__`, which under
Streamlit is the page that is being run. The cluster ends when the process that started it ends, in whatever way.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import dask
import psutil
from dask.utils import parse_bytes
from distributed import Nanny, Scheduler, Security, Status
from distributed.system import MEMORY_LIMIT

from core import storage
from core.errors import UserError

log = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parent.parent
HOST = "import sys; sys.path[:1] = [sys.argv[1]]; from core.cluster import host; host()"
LOOPBACK = "127.0.0.1"
CREDENTIALS = (
    *("tls_ca_file", "tls_client_cert", "tls_client_key", "tls_scheduler_cert"),
    *("tls_scheduler_key", "tls_worker_cert", "tls_worker_key"),
)
SETTINGS = {
    # TensorFlow gives memory back late or never: a worker paused for its memory would stay paused. The nanny ends
    # one that comes too near its limit, and its work is done again in a fresh one.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    # Dask's own settings for malloc make every array above 128 kB a new mapping: drawing took twice as long.
    "distributed.nanny.pre-spawn-environ": {},
    # What is served over HTTP asks nobody who they are.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.admin.large-graph-warning-threshold": "1 GB",
}
LONG = {"render", "training"}  # for the second worker
SHORT = {"interactive", "study"}  # for the first: the same networks in the same memory, and neither waits for the other
STAND_IN = {"study": "interactive"}  # what workers of others are for where none says that it is for this


class OwnCluster:
    """A cluster on loopback, encrypted with credentials that exist only in the memory of its processes."""

    has_kinds = True
    unreachable = "The workers could not be started; the log of the server says why."

    def __init__(self, *, warm_up: bool):
        self._warm_up = warm_up
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> tuple[str, Security]:
        """Starts the processes; returns the scheduler's address and the credentials. Takes a second or two."""
        security = _temporary_credentials()
        self._process = subprocess.Popen(
            [sys.executable, "-c", HOST, str(ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment(),
            **_detached(),
        )
        settings = {name: getattr(security, name) for name in CREDENTIALS}
        self._process.stdin.write(json.dumps(settings).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"The cluster's process ended with status {self._process.wait()}.")
        return json.loads(answer)["address"], security

    def rooms(self, _threads: dict[str, tuple[int, dict[str, float]]]) -> dict[str, int]:
        """How many jobs of each kind can run at a time."""
        return dict.fromkeys(LONG | SHORT, 1)

    def close(self) -> None:
        """Ends all processes of the cluster; returns when they are gone, after a few seconds at most."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            process.stdin.close()
        if os.name == "nt":
            process.terminate()
        try:
            process.wait(8)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def _environment(self) -> dict[str, str]:
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        # At level 2 TensorFlow calls it an error that a machine without NVIDIA's driver has no NVIDIA driver.
        quiet = "2" if shutil.which("nvidia-smi") else "3"
        return {
            "TF_CPP_MIN_LOG_LEVEL": quiet,
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "KERAS_BACKEND": "tensorflow",
            "LAYERSCOPE_HOME": str(storage.home()),  # where the named one cannot be written, all use the same other one
            "LAYERSCOPE_WARM_UP": "1" if self._warm_up else "0",
        }


class JoinedCluster:
    """A scheduler that somebody else runs."""

    has_kinds = False

    def __init__(self, address: str):
        self._address = address
        self.unreachable = f"The scheduler at {address} does not answer. Is it running, and is the address right?"

    def start(self) -> tuple[str, Security | None]:
        files = {name: os.environ.get(f"LAYERSCOPE_TLS_{name}") for name in ("CA", "CERT", "KEY")}
        if not any(files.values()):
            return self._address, None
        return self._address, Security(
            tls_ca_file=files["CA"],
            tls_client_cert=files["CERT"],
            tls_client_key=files["KEY"],
            require_encryption=True,
        )

    def rooms(self, threads: dict[str, tuple[int, dict[str, float]]]) -> dict[str, int]:
        """How many jobs of each kind can run at a time: as many as workers say that they are for; where none says so,
        as many as they have threads, of which one is left to short work."""
        everywhere = sum(many for many, _ in threads.values())

        def said(kind: str) -> int:
            return sum(min(many, int(kinds.get(kind, 0))) for many, kinds in threads.values())

        rooms = {kind: said(kind) or said(STAND_IN.get(kind, "")) for kind in LONG | SHORT}
        return {
            kind: room or max(1, everywhere if kind == "interactive" else everywhere - 1)
            for kind, room in rooms.items()
        }

    def close(self) -> None:
        pass


def _temporary_credentials() -> Security:
    try:
        return Security.temporary()
    except ImportError:
        raise UserError(
            "The package `cryptography` is missing, which encrypts what is sent to the workers. "
            "Install it with `pip install -r requirements.txt`."
        ) from None


def _detached() -> dict[str, Any]:
    """Ctrl-C in the terminal is for the serving process; the cluster follows it in its own way."""
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def host() -> None:
    """The cluster's process: reads credentials from its standard input, says its address, serves until that closes."""
    settings = json.loads(sys.stdin.readline())
    security = Security(require_encryption=True, **settings)
    dask.config.set(SETTINGS)
    logging.getLogger("distributed").setLevel(logging.WARNING)
    loop = asyncio.SelectorEventLoop() if os.name == "nt" else asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    stop = asyncio.Event()
    if os.name == "posix":
        threading.Thread(target=_await_end_of_input, args=(loop, stop), daemon=True).start()
    loop.run_until_complete(_serve(security, stop))
    os._exit(0)  # threads of a library must not hold the process


def _await_end_of_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    sys.stdin.buffer.read()
    loop.call_soon_threadsafe(stop.set)
    watchdog = threading.Timer(5, os._exit, (1,))  # the workers end with this process
    watchdog.daemon = True
    watchdog.start()


async def _serve(security: Security, stop: asyncio.Event) -> None:
    parent = psutil.Process(os.getppid())
    async with Scheduler(
        host=LOOPBACK,
        port=0,
        protocol="tls",
        security=security,
        dashboard=False,
        dashboard_address=f"{LOOPBACK}:0",
        allowed_failures=3,  # the fourth death of its worker ends a task: eight images at a time were one by then
    ) as scheduler:
        _say(json.dumps({"address": scheduler.address}))
        async with _interactive_worker(scheduler.address, security) as interactive:
            crew = _JobWorker(scheduler, security, float(os.environ.get("LAYERSCOPE_IDLE_SECONDS", "300")))
            while not stop.is_set() and parent.is_running() and interactive.status != Status.closed:
                try:
                    await crew.adjust()
                except Exception:  # it must not take along those who wait for short work, and is tried again
                    log.warning("The worker for long jobs could not be started or closed.", exc_info=True)
                    await asyncio.sleep(2)
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(stop.wait(), 0.2)
            logging.getLogger("distributed").setLevel(logging.ERROR)  # that a worker is cut off is now what is wanted
            await crew.close()
            await _close(interactive)


def _say(line: str) -> None:
    """The one line on standard output; what a library prints later must not fill a pipe that nobody reads."""
    print(line, flush=True)
    os.dup2(2, 1)


def _interactive_worker(address: str, security: Security) -> Nanny:
    return _worker(address, security, "interactive", share=0.4, resources=SHORT)


def _worker(address: str, security: Security, name: str, *, share: float, resources: set[str]) -> Nanny:
    """A worker that does one job of each kind at a time, with `share` of the machine's memory."""
    chosen = os.environ.get("LAYERSCOPE_MEMORY")
    limit = parse_bytes(chosen) if chosen else int(share * MEMORY_LIMIT)
    return Nanny(
        address,
        name=name,
        nthreads=len(resources),
        resources=dict.fromkeys(resources, 1),
        security=security,
        host=LOOPBACK,
        preload=["core.work"],
        memory_limit=limit,
        env={"LAYERSCOPE_NICE": "10" if name == "jobs" else "0", "LAYERSCOPE_LIMIT": str(limit)},
        silence_logs=logging.WARNING,
    )


async def _close(nanny: Nanny) -> None:
    with contextlib.suppress(asyncio.TimeoutError):  # it was killed: a busy machine takes its time to clear it away
        await nanny.close(timeout=2)


class _JobWorker:
    """Starts the worker for long jobs when one is waiting, and closes it when it has been idle for a while."""

    def __init__(self, scheduler: Scheduler, security: Security, idle_seconds: float):
        self._scheduler, self._security, self._idle_seconds = scheduler, security, idle_seconds
        self._nanny: Nanny | None = None
        self._busy_at = 0.0

    async def adjust(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._nanny is not None and self._nanny.status in (Status.closed, Status.failed):
            self._nanny = None
        waiting = any(LONG & set(task.resource_restrictions or ()) for task in self._scheduler.unrunnable)
        if waiting or self._is_busy():
            self._busy_at = now
        if self._nanny is None and waiting:
            self._nanny = await _worker(self._scheduler.address, self._security, "jobs", share=0.6, resources=LONG)
            self._busy_at = asyncio.get_running_loop().time()
        elif self._nanny is not None and now - self._busy_at > self._idle_seconds:
            await self.close()

    def _is_busy(self) -> bool:
        workers = [worker for worker in self._scheduler.workers.values() if worker.name == "jobs"]
        return any(worker.processing or worker.has_what for worker in workers)

    async def close(self) -> None:
        nanny, self._nanny = self._nanny, None
        if nanny is not None:
            await _close(nanny)
