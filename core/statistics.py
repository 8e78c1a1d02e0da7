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

    `zeros` is the share of cells that are exactly 0. `peak` is the cell of the highest value, the first of several:
    `int[C, k]`, its index along each of the k axes of the cells (step; y and x; depth, y and x); −1 where there is
    none. `states` says what is wrong with a channel: "silent" (0 everywhere), "constant"
    (another value everywhere), "no numbers" (no finite value), or "".
    """

    mean: np.ndarray
    std: np.ndarray
    low: np.ndarray
    high: np.ndarray
    zeros: np.ndarray
    peak: np.ndarray
    states: tuple[str, ...]


def of_channels(values: np.ndarray) -> Statistics:
    """The statistics of `float32[..., C]`: of maps, steps or a volume, or of a vector as of maps of one cell."""
    cells = as_cells(values)
    cells = np.where(np.isfinite(cells), cells, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of channels without a number
        mean, std = np.nanmean(cells, axis=0, dtype=np.float64), np.nanstd(cells, axis=0, dtype=np.float64)
        low, high = np.nanmin(cells, axis=0), np.nanmax(cells, axis=0)
        zeros = np.sum(cells == 0, axis=0) / np.sum(~np.isnan(cells), axis=0)
    first = np.argmax(np.where(np.isnan(cells), -np.inf, cells), axis=0)
    place = np.stack(np.unravel_index(first, values.shape[:-1] or (1,)), axis=-1)
    peak = np.where(np.isnan(high)[:, None], -1, place)
    return Statistics(mean, std, low, high, zeros, peak, _states(low, high, cells=len(cells)))


def states(values: np.ndarray) -> tuple[str, ...]:
    """`Statistics.states` alone, which is quicker to find."""
    cells = as_cells(values)
    low, high = (extreme.astype(np.float64) for extreme in (cells.min(axis=0), cells.max(axis=0)))
    for channel in np.flatnonzero(~np.isfinite(low) | ~np.isfinite(high)):
        finite = cells[:, channel][np.isfinite(cells[:, channel])]
        low[channel], high[channel] = (finite.min(), finite.max()) if finite.size else (np.nan, np.nan)
    return _states(low, high, cells=len(cells))


def _states(low: np.ndarray, high: np.ndarray, cells: int) -> tuple[str, ...]:
    silent = (low == 0) & (high == 0)
    constant = (low == high) & (cells > 1)
    return tuple(np.select([np.isnan(low), silent, constant], [NO_NUMBERS, SILENT, CONSTANT], "").tolist())


def as_cells(values: np.ndarray) -> np.ndarray:
    """`[..., C]` as `[n, C]`: a row for each cell; a vector is one."""
    return values.reshape(-1, values.shape[-1])


_PLACES = {0: (), 1: ("peak step",), 2: ("peak y", "peak x"), 3: ("peak depth", "peak y", "peak x")}


def to_csv(found: Statistics, axes: int = 2) -> bytes:
    """A table with one line a channel; cells about which nothing is known are empty.

    `axes` is on how many axes a channel has cells: none for a vector, two for maps.
    """
    file = io.StringIO(newline="")
    table = csv.writer(file)
    table.writerow(("channel", "mean", "std", "min", "max", "share of zeros", *_PLACES[axes], "state"))
    columns = (found.mean, found.std, found.low, found.high, found.zeros)
    for channel, state in enumerate(found.states):
        numbers = [_number(column[channel]) for column in columns]
        place = [int(side) if side >= 0 else "" for side in found.peak[channel][:axes]]
        table.writerow((channel, *numbers, *place, state))
    return file.getvalue().encode()


def _number(value: float) -> str:
    return f"{float(value):.7g}" if np.isfinite(value) else ""
