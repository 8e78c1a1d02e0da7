"""What happened: how long each thing took, what went wrong, how much memory the processes had; and the table of it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.benchmarks.rows import Row
from tests.load.tab import Trouble


@dataclass
class Ledger:
    """Seconds of each kind of action, and all complaints."""

    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    complaints: list[str] = field(default_factory=list)

    async def time(self, kind: str, action: Callable[[], Awaitable[object]], *, who: str = "") -> float | None:
        """Do it and note how long it took; `None` where it went wrong, which is a complaint."""
        start = time.perf_counter()
        try:
            await action()
        except (Trouble, OSError) as error:
            self.complaints.append(f"{who + ': ' if who else ''}{kind}: {error}")
            return None
        seconds = time.perf_counter() - start
        self.times[kind].append(seconds)
        return seconds

    def rows(self, goals: dict[str, str]) -> list[Row]:
        return [
            Row(kind, f"{len(times)} times", goals.get(kind, "–"), spread(times))
            for kind, times in self.times.items()
            if times
        ]


def percentile(times: list[float], share: float) -> float:
    """The time that `share` (0 to 1) of all did not exceed."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def spread(times: list[float]) -> str:
    """`p50 0.21 s, p95 0.40 s, max 1.20 s`."""
    return f"p50 {percentile(times, 0.5):.2f} s, p95 {percentile(times, 0.95):.2f} s, max {max(times):.2f} s"
