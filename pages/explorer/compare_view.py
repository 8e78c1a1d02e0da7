"""Two scenes side by side on the same channels."""

from __future__ import annotations

from pages.explorer.common import Scene

NAMES: tuple[str, ...] = ()


def show(scene: Scene) -> None:
    """Being built."""
