"""How far a trained network can be trusted, from its answers to photos that it did not learn from. NumPy only."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

Z_95 = 1.959963984540054  # standard deviations on each side that hold 95 % of a normal distribution
BINS = 10


@dataclass(frozen=True)
class Share:
    """`right` of `total`, and between which shares `low` and `high` the true one lies with 95 % confidence."""

    right: int
    total: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.right / self.total if self.total else 0.0


@dataclass(frozen=True)
class ClassScore:
    """One class: how many `photos` are of it, how many of them were called so (`right`), and how many photos of any
    class were (`said`). A score that divides by nothing is `None`."""

    name: str
    photos: int
    said: int
    right: int

    @property
    def precision(self) -> float | None:
        """Of the photos that were called so, the share that is."""
        return self.right / self.said if self.said else None

    @property
    def recall(self) -> float | None:
        """Of the photos of this class, the share that was called so."""
        return self.right / self.photos if self.photos else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of the two: 2 TP / (2 TP + FP + FN)."""
        return 2 * self.right / (self.photos + self.said) if self.photos + self.said else None


@dataclass(frozen=True)
class Calibration:
    """Photos in bins by how sure the network was of what it said: bin b holds those above `edges[b]` up to
    `edges[b + 1]`. `sure` and `right` are means over each bin's photos, NaN where there are none.

    `error` is the expected calibration error Σ_b counts_b / N · |right_b − sure_b| (Guo et al. 2017,
    "On Calibration of Modern Neural Networks").
    """

    edges: np.ndarray = field(repr=False)  # float64[B + 1]
    counts: np.ndarray = field(repr=False)  # int64[B]
    hits: np.ndarray = field(repr=False)  # int64[B]
    sure: np.ndarray = field(repr=False)  # float64[B]
    error: float
    mean_sure: float

    @property
    def right(self) -> np.ndarray:
        return np.where(self.counts > 0, self.hits / np.maximum(self.counts, 1), np.nan)


def share(right: int, total: int) -> Share:
    """With the score interval of Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".

    Unlike p ± 1.96 √(p (1 − p) / n) it stays within 0 and 1 and is right for few photos, too. Of no photos it is 0..1.
    """
    if not 0 <= right <= total:
        raise ValueError(f"`right` must lie between 0 and `total`, got {right} of {total}.")
    if total == 0:
        return Share(0, 0, 0.0, 1.0)
    p, spread = right / total, Z_95**2 / total
    middle = (p + spread / 2) / (1 + spread)
    half = Z_95 / (1 + spread) * math.sqrt(p * (1 - p) / total + spread / (4 * total))
    # At the ends rounding would leave a hair.
    return Share(right, total, 0.0 if right == 0 else middle - half, 1.0 if right == total else middle + half)


def class_scores(confusion: np.ndarray, classes: tuple[str, ...]) -> tuple[ClassScore, ...]:
    """From `int[C, C]`, rows: true, columns: said."""
    table = np.asarray(confusion)
    columns = (table.sum(axis=1).tolist(), table.sum(axis=0).tolist(), np.diag(table).tolist())
    return tuple(ClassScore(name, *counts) for name, *counts in zip(classes, *columns, strict=True))


def calibration(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> Calibration:
    """From what the network gave each class, `float[N, C]`, and the true classes `int[N]`."""
    sure = np.max(probabilities, axis=-1).astype(np.float64)
    hit = np.argmax(probabilities, axis=-1) == labels
    edges = np.linspace(0, 1, bins + 1)
    places = np.clip(np.searchsorted(edges, sure, side="left") - 1, 0, bins - 1)
    counts = np.bincount(places, minlength=bins)
    hits = np.bincount(places, weights=hit, minlength=bins).round().astype(np.int64)
    sums = np.bincount(places, weights=sure, minlength=bins)
    error = float(np.abs(hits - sums).sum() / max(1, len(sure)))
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return Calibration(edges, counts, hits, means, error, float(sure.mean()) if len(sure) else 0.0)


def most_confident_wrong(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """`int64[wrong]`: the places of the wrong answers, the surest first; equal ones in their order."""
    sure, said = np.max(probabilities, axis=-1), np.argmax(probabilities, axis=-1)
    order = np.argsort(-sure, kind="stable")
    return order[said[order] != labels[order]]


def least_sure_right(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """`int64[right]`: the places of the right answers, the least sure first; equal ones in their order."""
    sure, said = np.max(probabilities, axis=-1), np.argmax(probabilities, axis=-1)
    order = np.argsort(sure, kind="stable")
    return order[said[order] == labels[order]]


def mix_ups(confusion: np.ndarray) -> tuple[tuple[int, int], ...]:
    """The cells (true, said) of `int[C, C]` that hold photos: mistakes first, the most frequent of them first, then the
    classes that were recognised."""
    table = np.asarray(confusion)
    cells = [(int(true), int(said)) for true, said in np.argwhere(table)]
    return tuple(sorted(cells, key=lambda cell: (cell[0] == cell[1], -table[cell], cell)))
