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


def _global_pooling_of_steps(kind: str) -> How:
    """Of `[T, C]`: the steps are rows of one cell."""

    def how(task: Task) -> Explained:
        steps, channel = Window.at(np.arange(len(task.values)), len(task.values)), task.channel
        patch, inside = patch_of(task.values[:, None, channel, None], steps, Window.at(np.zeros(1, int), 1))
        cells = patch[..., 0].astype(np.float64)
        step = Pooled(
            kind,
            patch[..., 0],
            steps.places,
            np.zeros(1, int),
            inside,
            float(cells.max() if kind == "max" else cells.mean()),
        )
        return [step], {0: (int(steps.places[step.winner[0]]), channel)}

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
    "GlobalMaxPooling1D": _global_pooling_of_steps("max"),
    "GlobalAveragePooling1D": _global_pooling_of_steps("mean"),
    "GlobalMaxPooling2D": _global_pooling("max"),
    "GlobalAveragePooling2D": _global_pooling("mean"),
}
