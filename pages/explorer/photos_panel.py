"""The photos that excite the chosen channel most."""

from __future__ import annotations

from core.messages import Activations
from pages.explorer.common import Scene

NAMES: tuple[str, ...] = ("photos",)


def show(scene: Scene, channel: int, found: Activations) -> None:
    """Being built."""
