"""The best weights so far, kept in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Score = tuple[float, float]  # validation accuracy, and minus the validation loss, which decides between equals


@dataclass
class Best:
    """More than one phase offers its own; each changes other variables."""

    score: Score | None = None
    epoch: int = 0
    variables: Sequence[Any] = ()
    values: Sequence[np.ndarray] = field(default=())

    def watch(self, variables: Sequence[Any]) -> None:
        """From now on keep `variables`, the earlier best among them restored."""
        self.restore()
        self.variables = list(variables)
        self.values = [variable.numpy() for variable in variables]

    def offer(self, score: Score, epoch: int, values: Sequence[np.ndarray]) -> bool:
        """Keep `values` if `score` is better than all before; says whether it is."""
        if self.score is not None and score <= self.score:
            return False
        self.score, self.epoch, self.values = score, epoch, values
        return True

    def restore(self) -> None:
        """Give the variables their best values again; before the first offer they stay as they are."""
        if self.score is not None:
            for variable, value in zip(self.variables, self.values, strict=True):
                variable.assign(value)
