"""The server's processes: how much memory each has, how long each has computed, and how to kill one on purpose."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

import psutil

MB = 2**20
WORKER = 300 * MB  # a process with TensorFlow in it has more, a nanny or a resource tracker less
GONE = (psutil.NoSuchProcess, psutil.AccessDenied)


@dataclass(frozen=True)
class Memory:
    """Resident megabytes."""

    serving: float
    quick: float  # the worker for short work
    long: float  # the workers for long work; 0 while there is none
    others: float  # the scheduler and the nannies

    def words(self) -> str:
        quick, long, others = (
            f"quick worker {self.quick:.0f}",
            f"long work {self.long:.0f}",
            f"others {self.others:.0f}",
        )
        return f"serving {self.serving:.0f}, {quick}, {long}, {others} MB"


class Processes:
    """All that belong to the server with this process id. A worker for long work is known by its niceness."""

    def __init__(self, server: int):
        self._server = psutil.Process(server)
        self._nice = os.nice(0)

    def memory(self) -> Memory:
        sums = {"quick": 0.0, "long": 0.0, "others": 0.0}
        for process, kind in self._kinds():
            with contextlib.suppress(GONE):
                sums[kind] += process.memory_info().rss / MB
        return Memory(self._server.memory_info().rss / MB, **sums)

    def computed(self, kind: str) -> float:
        """Processor seconds of the workers of a kind ("quick", "long") that live now."""
        total = 0.0
        for process, its_kind in self._kinds():
            with contextlib.suppress(GONE):
                total += sum(process.cpu_times()[:2]) if its_kind == kind else 0.0
        return total

    def kill(self, kind: str) -> bool:
        """End a worker of this kind as the system would when memory is short; False where there is none."""
        for process, its_kind in self._kinds():
            if its_kind == kind:
                with contextlib.suppress(GONE):
                    process.kill()
                    return True
        return False

    def _kinds(self) -> list[tuple[psutil.Process, str]]:
        found = []
        for process in self._server.children(recursive=True):
            with contextlib.suppress(GONE):
                large = process.memory_info().rss > WORKER
                nicer = process.nice() > self._server.nice()
                found.append((process, ("long" if nicer else "quick") if large else "others"))
        return found
