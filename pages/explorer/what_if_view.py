"""Channels switched off or up, and the prediction that follows."""

from __future__ import annotations

from pages.explorer.common import Scene

NAMES: tuple[str, ...] = ()


def show(scene: Scene) -> None:
    """Being built."""
