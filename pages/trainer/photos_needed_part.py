"""How many photos does it need, and how much luck is in the split?"""

from __future__ import annotations

from core.runs import Run

NAMES = ()


def show(run: Run) -> None:
    """How many photos does it need, and how much luck is in the split?"""
