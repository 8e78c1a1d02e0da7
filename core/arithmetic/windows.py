"""Where in its input a layer looks for one of its cells, and what it finds there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.arithmetic.task import NotInSteps, Task


@dataclass(frozen=True)
class Window:
    """Where along one axis a layer looks for one of its cells: `places` in the input, some perhaps outside."""

    places: np.ndarray
    inside: np.ndarray

    @classmethod
    def of(cls, index: int, size: int, length: int, stride: int, dilation: int, padding: str) -> Window:
        """As TensorFlow places windows; with "same" the smaller half of the padding comes first."""
        reach = (length - 1) * dilation + 1
        before = 0
        if padding == "same":
            before = max((math.ceil(size / stride) - 1) * stride + reach - size, 0) // 2
        elif padding != "valid":
            raise NotInSteps(f"it pads its input in a way of its own ({padding})")
        return cls.at(index * stride - before + dilation * np.arange(length), size)

    @classmethod
    def at(cls, places: np.ndarray, size: int) -> Window:
        return cls(places, (places >= 0) & (places < size))


def patch_of(values: np.ndarray, rows: Window, columns: Window) -> tuple[np.ndarray, np.ndarray]:
    """`values[rows][:, columns]` with 0 outside, `float32[k, l, C]`, and what is inside, `bool[k, l]`."""
    inside = rows.inside[:, None] & columns.inside[None, :]
    patch = values[np.where(rows.inside, rows.places, 0)][:, np.where(columns.inside, columns.places, 0)]
    return np.where(inside[:, :, None], patch, np.float32(0)).astype(np.float32), inside


def windows_of(
    task: Task, lengths: Sequence[int], strides: Sequence[int], dilations: Sequence[int], padding: str
) -> tuple[Window, ...]:
    return tuple(
        Window.of(task.place[axis], task.values.shape[axis], lengths[axis], strides[axis], dilations[axis], padding)
        for axis in (0, 1)
    )
