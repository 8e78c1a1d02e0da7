"""Normalised, scaled, or handed on: each number by itself."""

from __future__ import annotations

import math

import keras
import numpy as np

from core.arithmetic.task import Explained, How, NotInSteps, Task, element, numbers, same
from core.messages import Formula


def _unchanged(task: Task) -> Explained:
    kind = type(task.operation).__name__
    training = "Dropout" in kind or "Noise" in kind or "Random" in kind or kind == "StochasticDepth"
    words = "It works only while a network is trained; now it hands on what it gets." if training else "Handed on."
    return [same(float(task.values[task.place]), words)], {0: task.place}


def _batch_normalization(task: Task) -> Explained:
    layer = task.operation
    if layer.axis not in (-1, len(task.shape)):
        raise NotInSteps("it does not normalise channel by channel")
    x, c = float(task.values[task.place]), task.channel
    mean, variance = float(numbers(layer.moving_mean[c])), float(numbers(layer.moving_variance[c]))
    gamma = float(numbers(layer.gamma[c])) if layer.scale else 1.0
    beta = float(numbers(layer.beta[c])) if layer.center else 0.0
    epsilon = float(layer.epsilon)
    result = _standardised(x, mean, variance + epsilon) * gamma + beta
    given = [("x", x), ("mean", mean), ("variance", variance), ("epsilon", epsilon)]
    given += [("gamma", gamma)] * bool(layer.scale) + [("beta", beta)] * bool(layer.center)
    expression = "(x − mean) / √(variance + epsilon)"
    expression += " × gamma" * bool(layer.scale) + " + beta" * bool(layer.center)
    words = "Mean and variance of this channel were measured during training; gamma and beta were learned."
    return [Formula(expression, tuple(given), result, words)], {0: task.place}


def _standardised(x: float, mean: float, variance: float) -> float:
    """No number where the variance, which a file may claim to be anything, is not above 0."""
    return (x - mean) / math.sqrt(variance) if variance > 0 else math.nan


def _layer_normalization(task: Task) -> Explained:
    layer = task.operation
    axis = layer.axis if isinstance(layer.axis, (list, tuple)) else (layer.axis,)
    if tuple(axis) not in ((-1,), (len(task.shape),)) or getattr(layer, "rms_scaling", False):
        raise NotInSteps("it does not normalise over the channels alone")
    units, c = task.values[task.place[:-1]].astype(np.float64), task.channel
    x, mean, variance, epsilon = float(units[c]), float(units.mean()), float(units.var()), float(layer.epsilon)
    result = _standardised(x, mean, variance + epsilon)
    given = [("x", x), ("mean", mean), ("variance", variance), ("epsilon", epsilon)]
    expression = "(x − mean) / √(variance + epsilon)"
    if layer.gamma is not None:
        gamma = float(numbers(layer.gamma[c]))
        result, expression = result * gamma, expression + " × gamma"
        given.append(("gamma", gamma))
    if layer.beta is not None:
        beta = float(numbers(layer.beta[c]))
        result, expression = result + beta, expression + " + beta"
        given.append(("beta", beta))
    words = f"Mean and variance are those of the {len(units)} channels of this cell."
    return [Formula(expression, tuple(given), result, words)], {0: task.place}


def _group_normalization(task: Task) -> Explained:
    layer, c = task.operation, task.channel
    if layer.axis not in (-1, len(task.shape)):
        raise NotInSteps("it does not normalise groups of channels")
    count = task.shape[-1] // (task.shape[-1] if layer.groups == -1 else layer.groups)
    first = c // count * count
    group = task.values[..., first : first + count].astype(np.float64)
    x, mean, variance, epsilon = float(task.values[task.place]), float(group.mean()), float(group.var()), layer.epsilon
    result = _standardised(x, mean, variance + epsilon)
    given = [("x", x), ("mean", mean), ("variance", variance), ("epsilon", float(epsilon))]
    expression = "(x − mean) / √(variance + epsilon)"
    if layer.scale:
        gamma = float(numbers(layer.gamma[c]))
        result, expression = result * gamma, expression + " × gamma"
        given.append(("gamma", gamma))
    if layer.center:
        beta = float(numbers(layer.beta[c]))
        result, expression = result + beta, expression + " + beta"
        given.append(("beta", beta))
    words = f"Mean and variance are those of all cells of channels {first} to {first + count - 1}."
    return [Formula(expression, tuple(given), result, words)], {0: task.place}


def _unit_normalization(task: Task) -> Explained:
    axis = task.operation.axis
    if (axis[0] if isinstance(axis, (list, tuple)) and len(axis) == 1 else axis) not in (-1, len(task.shape)):
        raise NotInSteps("it does not normalise over the channels alone")
    x, units = float(task.values[task.place]), task.values[task.place[:-1]].astype(np.float64)
    length = max(math.sqrt(float((units**2).sum())), 1e-6)  # Keras' least length
    words = f"The {len(units)} channels of this cell together get the length 1."
    return [Formula("x / length", (("x", x), ("length", length)), x / length, words)], {0: task.place}


def _normalization(task: Task) -> Explained:
    layer, x = task.operation, float(task.values[task.place])
    mean = element(numbers(layer.mean)[0], task.place)
    variance = element(numbers(layer.variance)[0], task.place)
    spread = max(math.sqrt(max(variance, 0.0)), keras.config.epsilon())
    given = (("x", x), ("mean", mean), ("spread", spread))
    if layer.invert:
        return [Formula("x × spread + mean", given, x * spread + mean, "Normalisation undone.")], {0: task.place}
    words = "Mean and spread were measured before training."
    return [Formula("(x − mean) / spread", given, (x - mean) / spread, words)], {0: task.place}


def _rescaling(task: Task) -> Explained:
    layer, x = task.operation, float(task.values[task.place])
    scale, offset = (element(np.asarray(each, np.float32), task.place) for each in (layer.scale, layer.offset))
    given = (("x", x), ("scale", scale), ("offset", offset))
    return [Formula("x × scale + offset", given, x * scale + offset)], {0: task.place}


def _layer_scale(task: Task) -> Explained:
    x, gamma = float(task.values[task.place]), float(numbers(task.operation.gamma[task.channel]))
    return [Formula("x × gamma", (("x", x), ("gamma", gamma)), x * gamma, "Gamma was learned.")], {0: task.place}


def _words(text: str) -> list[str]:
    return text.split()


_UNCHANGED = _words("""Dropout SpatialDropout1D SpatialDropout2D AlphaDropout GaussianDropout GaussianNoise Identity
    ActivityRegularization StochasticDepth Cast RandomBrightness RandomColorJitter RandomContrast RandomErasing
    RandomFlip RandomGaussianBlur RandomGrayscale RandomHue RandomInvert RandomPerspective RandomRotation
    RandomSaturation RandomSharpness RandomShear RandomTranslation RandomZoom""")
HOW: dict[str, How] = {
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "GroupNormalization": _group_normalization,
    "UnitNormalization": _unit_normalization,
    "Normalization": _normalization,
    "Rescaling": _rescaling,
    "LayerScale": _layer_scale,
    **dict.fromkeys(_UNCHANGED, _unchanged),
}
