"""A new photo for the trained network, and whether it is of any class at all."""

from __future__ import annotations

from core.runs import Run

NAMES = ()


def show(run: Run) -> None:
    """A new photo for the trained network, and whether it is of any class at all."""
