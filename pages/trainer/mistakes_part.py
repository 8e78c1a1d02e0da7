"""Which photos it gets wrong, and where it looked."""

from __future__ import annotations

from core.runs import Run

NAMES = ()


def show(run: Run) -> None:
    """Which photos it gets wrong, and where it looked."""
