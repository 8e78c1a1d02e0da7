"""Losses for a classifier whose last layer gives probabilities.

All take integer labels `int[B]` and probabilities `float[B, C]`, and can be saved with a model.
"""

from __future__ import annotations

import keras
from keras import ops

from core.errors import UserError

SMALLEST = 1e-30  # probability, in the logarithm of cross-entropy


@keras.saving.register_keras_serializable("layerscope")
class Huber(keras.losses.Loss):
    """Huber's loss between the probabilities and the one-hot truth, averaged over the classes.

    `r²/2` for a difference |r| up to `delta`, `delta (|r| − delta/2)` beyond, so that one wrong label weighs less than
    in a square. Huber, *Robust estimation of a location parameter*, 1964.
    """

    def __init__(self, delta: float = 0.5, reduction: str = "sum_over_batch_size", name: str = "huber", **options):
        super().__init__(reduction=reduction, name=name, **options)
        if not delta > 0:
            raise ValueError(f"`delta` must be positive, got {delta!r}.")
        self.delta = float(delta)

    def call(self, y_true, y_pred):
        error = ops.abs(_one_hot(y_true, y_pred) - y_pred)
        losses = ops.where(error <= self.delta, 0.5 * ops.square(error), self.delta * (error - 0.5 * self.delta))
        return ops.mean(losses, axis=-1)

    def get_config(self) -> dict:
        return {**super().get_config(), "delta": self.delta}


@keras.saving.register_keras_serializable("layerscope")
class Focal(keras.losses.Loss):
    """Focal loss, `−(1 − p)^gamma · log p` for the probability p of the true class; `gamma` 0 is cross-entropy.

    Photos that are already recognised well weigh little. Lin et al., *Focal Loss for Dense Object Detection*, 2017.
    """

    def __init__(self, gamma: float = 2.0, reduction: str = "sum_over_batch_size", name: str = "focal", **options):
        super().__init__(reduction=reduction, name=name, **options)
        if gamma < 0:
            raise ValueError(f"`gamma` must not be negative, got {gamma!r}.")
        self.gamma = float(gamma)

    def call(self, y_true, y_pred):
        true = ops.sum(_one_hot(y_true, y_pred) * y_pred, axis=-1)
        # Kept off 0 for the logarithm and off 1 for the power, whose slope is infinite at 0 where gamma < 1.
        true = ops.clip(true, keras.config.epsilon(), 1.0 - keras.config.epsilon())
        return -ops.power(1.0 - true, self.gamma) * ops.log(true)

    def get_config(self) -> dict:
        return {**super().get_config(), "gamma": self.gamma}


@keras.saving.register_keras_serializable("layerscope")
class CrossEntropy(keras.losses.Loss):
    """Cross-entropy with the true class's share of `1 − smoothing`, and `smoothing` shared out among all classes.

    A network that need not be certain learns longer from what it already recognises. Szegedy et al., *Rethinking the
    Inception Architecture*, 2016, section 7.
    """

    def __init__(
        self, smoothing: float = 0.0, reduction: str = "sum_over_batch_size", name: str = "crossentropy", **options
    ):
        super().__init__(reduction=reduction, name=name, **options)
        if not 0 <= smoothing < 1:
            raise ValueError(f"`smoothing` must be at least 0 and less than 1, got {smoothing!r}.")
        self.smoothing = float(smoothing)

    def call(self, y_true, y_pred):
        # Finite at 0, yet far below Keras' own 1e-7, under which a photo has no slope and can never be learned again.
        logs = ops.log(ops.maximum(y_pred, SMALLEST))
        true = -ops.sum(_one_hot(y_true, y_pred) * logs, axis=-1)
        if not self.smoothing:
            return true
        return (1.0 - self.smoothing) * true - self.smoothing * ops.mean(logs, axis=-1)

    def get_config(self) -> dict:
        return {**super().get_config(), "smoothing": self.smoothing}


LOSSES = {"crossentropy": CrossEntropy, "huber": Huber, "focal": Focal}


def named(name: str, smoothing: float = 0.0) -> keras.losses.Loss:
    """A new loss by its name in `LOSSES`, one value per photo; `smoothing` is that of cross-entropy's labels.

    Raises `UserError` for an unknown name.
    """
    if name not in LOSSES:
        raise UserError(f"There is no loss named {name!r}. Choose one of {', '.join(LOSSES)}.")
    options = {"smoothing": smoothing} if name == "crossentropy" else {}
    return LOSSES[name](reduction="none", dtype="float32", **options)


def _one_hot(labels, probabilities):
    flat = ops.reshape(ops.cast(labels, "int32"), (-1,))
    return ops.one_hot(flat, ops.shape(probabilities)[-1], dtype=probabilities.dtype)
