"""Metrics that add up over batches: precision, recall and F1, each the plain mean over the classes ("macro").

All keep one confusion matrix, `int[C, C]`: rows are the true class, columns the predicted one. A class that was never
predicted has precision 0, one that never occurred recall 0, as scikit-learn's `zero_division=0`.
"""

from __future__ import annotations

import keras
from keras import ops


class _FromConfusion(keras.metrics.Metric):
    def __init__(self, classes: int, name: str | None = None, **options):
        super().__init__(name=name, **options)
        self.classes = int(classes)
        self.confusion = self.add_variable(
            (self.classes, self.classes), initializer="zeros", dtype="int32", name="confusion"
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Count labels `int[B]` against probabilities `float[B, C]`. Weights are not supported."""
        if sample_weight is not None:
            raise ValueError("`sample_weight` is not supported.")
        true = ops.reshape(ops.cast(y_true, "int32"), (-1,))
        cell = true * self.classes + ops.cast(ops.argmax(y_pred, axis=-1), "int32")
        counts = ops.bincount(cell, minlength=self.classes**2)
        self.confusion.assign_add(ops.reshape(ops.cast(counts, "int32"), (self.classes, self.classes)))

    def get_config(self) -> dict:
        return {**super().get_config(), "classes": self.classes}

    def _precisions(self):
        return _share(ops.diagonal(self.confusion), ops.sum(self.confusion, axis=0))

    def _recalls(self):
        return _share(ops.diagonal(self.confusion), ops.sum(self.confusion, axis=1))


@keras.saving.register_keras_serializable("layerscope")
class Precision(_FromConfusion):
    """Of the photos given to a class, the share that belong to it."""

    def result(self):
        return ops.mean(self._precisions())


@keras.saving.register_keras_serializable("layerscope")
class Recall(_FromConfusion):
    """Of the photos of a class, the share that were given to it."""

    def result(self):
        return ops.mean(self._recalls())


@keras.saving.register_keras_serializable("layerscope")
class MacroF1(_FromConfusion):
    """The harmonic mean of each class's precision and recall, averaged over the classes."""

    def result(self):
        hits = 2 * ops.diagonal(self.confusion)
        return ops.mean(_share(hits, ops.sum(self.confusion, axis=0) + ops.sum(self.confusion, axis=1)))


def _share(part, whole):
    return ops.cast(part, "float32") / ops.cast(ops.maximum(whole, 1), "float32")
