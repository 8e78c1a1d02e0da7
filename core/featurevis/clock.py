"""How long a drawing has taken, and how long it will."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Times:
    seconds: float
    left: float | None
    to_first_picture: float


class Clock:
    """Seconds since the request, and how many are left: measured between pictures, so without tracing."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._start = time.monotonic()
        self._first: tuple[int, float] | None = None

    def read(self, step: int) -> Times:
        seconds = time.monotonic() - self._start
        if self._first is None:
            self._first = (step, seconds)
        first_step, first_seconds = self._first
        left = None
        if step >= self._steps:
            left = 0.0
        elif step > first_step:
            left = (seconds - first_seconds) / (step - first_step) * (self._steps - step)
        return Times(seconds, left, first_seconds)
