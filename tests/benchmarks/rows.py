"""One line of the table, and how two things are timed fairly."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    what: str
    against: str
    goal: str
    found: str

    def facts(self) -> dict[str, str]:
        return {"what": self.what, "against": self.against, "goal": self.goal, "found": self.found}


def alternately(rounds: int, *things: Callable[[], object]) -> list[float]:
    """Median seconds of each; once before, unmeasured, because of tracing."""
    times: list[list[float]] = [[] for _ in things]
    for count in range(rounds + 1):
        for place, thing in enumerate(things):
            start = time.perf_counter()
            thing()
            if count:
                times[place].append(time.perf_counter() - start)
    return [statistics.median(each) for each in times]
