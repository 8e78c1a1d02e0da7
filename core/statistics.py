"""What the channels of a layer answered to one photo, in numbers."""

from __future__ import annotations

import csv
import io
import warnings
from dataclasses import dataclass

import numpy as np

SILENT, CONSTANT, NO_NUMBERS = "silent", "constant", "no numbers"


@dataclass(frozen=True)
class Statistics:
    """Of each channel: arrays of length C. Only finite values count; where a channel has none, all is NaN.

    `zeros` is the share of cells that are exactly 0. (`peak_y`, `peak_x`) is the cell of the highest value, the first
    of several; −1 where there is none. `states` says what is wrong with a channel: "silent" (0 everywhere), "constant"
    (another value everywhere), "no numbers" (no finite value), or "".
    """

    mean: np.ndarray
    std: np.ndarray
    low: np.ndarray
    high: np.ndarray
    zeros: np.ndarray
    peak_y: np.ndarray
    peak_x: np.ndarray
    states: tuple[str, ...]


def of_channels(values: np.ndarray) -> Statistics:
    """The statistics of `float32[H, W, C]`, or of a vector `float32[C]` as of maps of one cell."""
    maps = as_maps(values)
    height, width, count = maps.shape
    cells = np.where(np.isfinite(maps), maps, np.nan).reshape(-1, count)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of channels without a number
        mean, std = np.nanmean(cells, axis=0, dtype=np.float64), np.nanstd(cells, axis=0, dtype=np.float64)
        low, high = np.nanmin(cells, axis=0), np.nanmax(cells, axis=0)
        zeros = np.sum(cells == 0, axis=0) / np.sum(~np.isnan(cells), axis=0)
    known = ~np.isnan(high)
    peak = np.argmax(np.where(np.isnan(cells), -np.inf, cells), axis=0)
    return Statistics(
        mean,
        std,
        low,
        high,
        zeros,
        np.where(known, peak // width, -1),
        np.where(known, peak % width, -1),
        _states(low, high, cells=height * width),
    )


def states(values: np.ndarray) -> tuple[str, ...]:
    """`Statistics.states` alone, which is quicker to find."""
    maps = as_maps(values)
    low, high = (extreme.astype(np.float64) for extreme in (maps.min(axis=(0, 1)), maps.max(axis=(0, 1))))
    for channel in np.flatnonzero(~np.isfinite(low) | ~np.isfinite(high)):
        finite = maps[:, :, channel][np.isfinite(maps[:, :, channel])]
        low[channel], high[channel] = (finite.min(), finite.max()) if finite.size else (np.nan, np.nan)
    return _states(low, high, cells=maps.shape[0] * maps.shape[1])


def _states(low: np.ndarray, high: np.ndarray, cells: int) -> tuple[str, ...]:
    silent = (low == 0) & (high == 0)
    constant = (low == high) & (cells > 1)
    return tuple(np.select([np.isnan(low), silent, constant], [NO_NUMBERS, SILENT, CONSTANT], "").tolist())


def as_maps(values: np.ndarray) -> np.ndarray:
    """`[C]` as `[1, 1, C]`; maps stay as they are."""
    return values[None, None] if values.ndim == 1 else values


def to_csv(found: Statistics) -> bytes:
    """A table with one line a channel; cells about which nothing is known are empty."""
    file = io.StringIO(newline="")
    table = csv.writer(file)
    table.writerow(("channel", "mean", "std", "min", "max", "share of zeros", "peak y", "peak x", "state"))
    columns = (found.mean, found.std, found.low, found.high, found.zeros)
    for channel, state in enumerate(found.states):
        numbers = [_number(column[channel]) for column in columns]
        place = [int(side[channel]) if side[channel] >= 0 else "" for side in (found.peak_y, found.peak_x)]
        table.writerow((channel, *numbers, *place, state))
    return file.getvalue().encode()


def _number(value: float) -> str:
    return f"{float(value):.7g}" if np.isfinite(value) else ""
