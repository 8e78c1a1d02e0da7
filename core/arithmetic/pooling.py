"""Pooling: the largest or the mean of one channel's cells."""

from __future__ import annotations

import numpy as np

from core.arithmetic.task import Explained, How, Task
from core.arithmetic.windows import Window, patch_of, windows_of
from core.messages import Pooled


def _pooling(kind: str) -> How:
    def how(task: Task) -> Explained:
        layer = task.operation
        rows, columns = windows_of(task, layer.pool_size, layer.strides, (1, 1), layer.padding)
        return _pool(kind, task, rows, columns)

    return how


def _global_pooling(kind: str) -> How:
    def how(task: Task) -> Explained:
        rows, columns = (Window.at(np.arange(size), size) for size in task.values.shape[:2])
        return _pool(kind, task, rows, columns)

    return how


def _pool(kind: str, task: Task, rows: Window, columns: Window) -> Explained:
    patch, inside = patch_of(task.values[:, :, task.channel][:, :, None], rows, columns)
    cells = patch[:, :, 0].astype(np.float64)[inside]
    result = float(cells.max() if kind == "max" else cells.mean())
    step = Pooled(kind, patch[:, :, 0], rows.places, columns.places, inside, result)
    row, column = step.winner
    return [step], {0: (int(rows.places[row]), int(columns.places[column]), task.channel)}


HOW: dict[str, How] = {
    "MaxPooling2D": _pooling("max"),
    "AveragePooling2D": _pooling("mean"),
    "GlobalMaxPooling2D": _global_pooling("max"),
    "GlobalAveragePooling2D": _global_pooling("mean"),
}
