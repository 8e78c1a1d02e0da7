"""What each class weighs in the loss."""

from __future__ import annotations

import numpy as np


def balanced(labels: np.ndarray, classes: int) -> np.ndarray:
    """`float32[C]`, `n / (C · n_c)` for the `n_c` photos of a class among `labels` `int[n]`: all classes weigh alike.

    One photo weighs 1 on average. A class without photos has weight 0. King & Zeng, *Logistic regression in rare events
    data*, 2001; the same as scikit-learn's `compute_class_weight("balanced")`.
    """
    counts = np.bincount(labels, minlength=classes)
    return np.where(counts, len(labels) / (classes * np.maximum(counts, 1)), 0.0).astype(np.float32)
