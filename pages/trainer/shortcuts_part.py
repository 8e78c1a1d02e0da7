"""Does it look at the subject, or at what is around it?"""

from __future__ import annotations

from core.runs import Run

NAMES = ()


def show(run: Run) -> None:
    """Does it look at the subject, or at what is around it?"""
