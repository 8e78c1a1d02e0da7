"""Volumes: maps that lie one behind the other, of which one slice is seen at a time, or all of them as one."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Literal

import numpy as np

from core.plots.maps import Grid, colour_range, grid_of

FILM = 32  # slices that a strip shows at most

Through = Literal["slice", "mean", "max"]


def slice_of(values: np.ndarray, through: Through, depth: int = 0) -> np.ndarray:
    """`float32[D, H, W, C]` -> maps `float32[H, W, C]`: those at `depth`, or the mean or the highest of all of them.

    What is not finite counts as if it were not there.
    """
    if through == "slice":
        return values[depth]
    finite = np.where(np.isfinite(values), values, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of cells without a number
        return (np.nanmean if through == "mean" else np.nanmax)(finite, axis=0)


def liveliest_slice(values: np.ndarray) -> int:
    """The depth at which `float32[D, H, W, C]` varies most: a slice that is worth a look."""
    spread = np.where(np.isfinite(values), values, 0.0).var(axis=(1, 2, 3))
    return int(np.argmax(spread))


def film_strip(values: np.ndarray) -> Grid:
    """One channel, `float32[D, H, W]`, as its slices side by side, in one colour scale; of many, evenly spread ones.

    To be drawn by `channel_grid`, whose numbers are then those of the slices.
    """
    count = len(values)
    places = np.unique(np.linspace(0, count - 1, min(FILM, count)).round().astype(int))
    strip = np.moveaxis(values[places], 0, -1)
    grid = grid_of(strip, range(len(places)), colours=colour_range(values))
    return replace(grid, channels=tuple(int(place) for place in places))
