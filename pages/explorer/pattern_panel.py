"""The chosen channel's pattern, and beside it what fired it in this photo."""

from __future__ import annotations

from core.messages import Activations
from pages.explorer.common import Scene

NAMES: tuple[str, ...] = ()


def show(scene: Scene, channel: int, found: Activations) -> None:
    """Being built."""
