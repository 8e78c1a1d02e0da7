"""Which places of the photo speak for a class."""

from __future__ import annotations

from pages.explorer.common import Scene

NAMES: tuple[str, ...] = ()


def show(scene: Scene) -> None:
    """Being built."""
