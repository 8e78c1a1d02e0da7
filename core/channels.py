"""Which channels of a layer to look at first: their numbers in the order of how they answer to a photo."""

from __future__ import annotations

import warnings
from typing import Literal, get_args

import numpy as np

By = Literal["index", "mean", "peak", "variance", "sparsity"]


def order(values: np.ndarray, by: By) -> tuple[int, ...]:
    """All channels of `float[..., C]` (maps, a vector, steps, a volume), the strongest first, equal ones by number.

    "mean" and "peak" are over the map (or whatever a channel has cells on), "variance" is how much its places differ;
    "sparsity" asks how few places do all of the answering: (sum of |x|)² / (n · sum of x²), 1 where all answer alike
    and 1/n where only one does, the least first; channels that do not answer at all are last. NaN and infinities count
    as if their places were not there; a channel that has no other number is last. Source of the sparsity: Treves and
    Rolls, *Network* 2, 1991.
    """
    if by not in get_args(By):
        raise ValueError(f"`by` must be one of {', '.join(get_args(By))}, got {by!r}.")
    if values.ndim == 0:
        raise ValueError("`values` must be [..., C], got a single number.")
    cells = values.reshape(-1, values.shape[-1]).astype(np.float64)
    strength = -np.arange(cells.shape[1], dtype=np.float64) if by == "index" else _strength(cells, by)
    strength = np.where(np.isfinite(strength), strength, -np.inf)
    return tuple(np.argsort(-strength, kind="stable").tolist())


def _strength(cells: np.ndarray, by: By) -> np.ndarray:
    """`[n, C]` -> `[C]`, more for those that come first; NaN for those about which nothing is known."""
    cells = np.where(np.isfinite(cells), cells, np.nan)
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # of channels without a number
        if by == "mean":
            return np.nanmean(cells, axis=0)
        if by == "peak":
            return np.nanmax(cells, axis=0)
        if by == "variance":
            return np.nanvar(cells, axis=0)
        largest = np.nanmax(np.abs(cells), axis=0)
        shares = np.abs(cells) / largest  # so that the squares of tiny numbers are not 0
        return -(np.nanmean(shares, axis=0) ** 2) / np.nanmean(shares**2, axis=0)
