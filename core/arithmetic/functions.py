"""Activation functions: what becomes of one number, within a layer or as a layer of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from core.arithmetic.task import Explained, How, NotInSteps, Task, numbers, same
from core.messages import Formula


def _between(low: float, x: float, high: float) -> float:
    """`x`, but at least `low` and at most `high`; what is no number stays so, as in TensorFlow."""
    return low if x < low else high if x > high else x


def _erf(x: float) -> float:
    return math.erf(x / math.sqrt(2.0))


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x))


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _exponential(x: float) -> float:
    return math.exp(x) if x < 709 else math.inf


_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
_FUNCTIONS: dict[str, tuple[str, Callable[[float], float]]] = {
    "relu": ("max(0, x)", lambda x: _between(0.0, x, math.inf)),
    "relu6": ("min(max(0, x), 6)", lambda x: _between(0.0, x, 6.0)),
    "sigmoid": ("1 / (1 + e^−x)", _sigmoid),
    "tanh": ("tanh(x)", math.tanh),
    "silu": ("x / (1 + e^−x)", lambda x: x * _sigmoid(x)),
    "elu": ("x if x > 0, else e^x − 1", lambda x: x if x > 0 else math.expm1(x)),
    "selu": (
        "1.0507 × (x if x > 0, else 1.6733 × (e^x − 1))",
        lambda x: _SELU_SCALE * (x if x > 0 else _SELU_ALPHA * math.expm1(x)),
    ),
    "gelu": ("x × (share of a normal distribution that lies below x)", lambda x: x * 0.5 * (1.0 + _erf(x))),
    "softplus": ("ln(1 + e^x)", _softplus),
    "softsign": ("x / (1 + |x|)", lambda x: x / (1.0 + abs(x))),
    "exponential": ("e^x", _exponential),
    "hard_sigmoid": ("min(max(0, x / 6 + 0.5), 1)", lambda x: _between(0.0, x / 6.0 + 0.5, 1.0)),
    "hard_silu": ("x × min(max(0, x / 6 + 0.5), 1)", lambda x: x * _between(0.0, x / 6.0 + 0.5, 1.0)),
    "mish": ("x × tanh(ln(1 + e^x))", lambda x: x * math.tanh(_softplus(x))),
    "leaky_relu": ("x if x > 0, else 0.2 × x", lambda x: x if x > 0 else 0.2 * x),
    "absolute": ("|x|", abs),
    "negative": ("−x", lambda x: -x),
    "square": ("x²", lambda x: x * x),
    "sqrt": ("√x", lambda x: math.sqrt(x) if x >= 0 else math.nan),
    "log": ("ln(x)", lambda x: math.log(x) if x > 0 else -math.inf if x == 0 else math.nan),
}
_NAMES = {"swish": "silu", "hard_swish": "hard_silu"}
_WORDS = {
    "relu": "ReLU: what is below 0 becomes 0.",
    "relu6": "ReLU6: what is below 0 becomes 0, what is above 6 becomes 6.",
}


def activation_steps(function: Any, x: float, channel: int, before: Callable[[], np.ndarray]) -> list[Formula]:
    """The step from `x` to the layer's value; none where nothing is done. `before` gives `x` of all channels."""
    name = getattr(function, "__name__", "")
    name = _NAMES.get(name, name)
    if function is None or name == "linear":
        return []
    if name == "softmax":
        return [_softmax(before(), channel)]
    if name in _FUNCTIONS:
        expression, compute = _FUNCTIONS[name]
        return [Formula(expression, (("x", x),), compute(x), _WORDS.get(name, f"Activation: {name}."))]
    units = np.asarray(before(), np.float32)
    result = float(numbers(function(keras.ops.convert_to_tensor(units[None])))[0, channel])
    name = name or type(function).__name__
    return [Formula(f"{name}(x)", (("x", x),), result, f"Activation: {name}, as Keras computes it.")]


def _softmax(units: np.ndarray, channel: int) -> Formula:
    units = units.astype(np.float64)
    most = float(units.max())
    largest = most if abs(most) > 300 else 0.0  # such a power of e does not fit into the numbers that computers use
    total, x = float(np.exp(units - largest).sum()), float(units[channel])
    words = f"Softmax: this unit's share of all {len(units)} units, after e^x has made them positive."
    given = (("x", x), ("total", total))
    if largest:
        given = (("x", x), ("largest", largest), ("total", total))
    return Formula("e^(x − largest) / total" if largest else "e^x / total", given, math.exp(x - largest) / total, words)


def _activation_layer(task: Task) -> Explained:
    x, channel = float(task.values[task.place]), task.channel
    steps = activation_steps(task.operation.activation, x, channel, lambda: task.values[task.place[:-1]])
    return steps or [same(x, "Activation: linear, which changes nothing.")], {0: task.place}


def _softmax_layer(task: Task) -> Explained:
    if task.operation.axis not in (-1, len(task.shape)):
        raise NotInSteps("its softmax is not taken over the channels")
    return [_softmax(task.values[task.place[:-1]], task.channel)], {0: task.place}


def _relu_layer(task: Task) -> Explained:
    layer, x = task.operation, float(task.values[task.place])
    top, slope, threshold = layer.max_value, float(layer.negative_slope), float(layer.threshold)
    if slope == 0 and threshold == 0 and top in (None, 6.0):
        return activation_steps(
            keras.activations.relu if top is None else keras.activations.relu6, x, 0, lambda: task.values
        ), {0: task.place}
    given = [("x", x), ("slope", slope), ("threshold", threshold)]
    result, expression = slope * (x - threshold), "x if x ≥ threshold, else slope × (x − threshold)"
    if x >= threshold:
        result = x
    if top is not None:
        given.append(("top", float(top)))
        result, expression = min(result, float(top)), f"min({expression}; top)"
    return [Formula(expression, tuple(given), result, "ReLU.")], {0: task.place}


def _leaky_layer(task: Task) -> Explained:
    x = float(task.values[task.place])
    if type(task.operation).__name__ == "PReLU":
        slope = float(np.broadcast_to(numbers(task.operation.alpha), task.shape)[task.place])
        words = "PReLU: what is below 0 is multiplied by a slope that was learned."
    else:
        slope = float(task.operation.negative_slope)
        words = "Leaky ReLU: what is below 0 is only made smaller."
    result = x if x > 0 else slope * x
    return [Formula("x if x > 0, else slope × x", (("x", x), ("slope", slope)), result, words)], {0: task.place}


def _elu_layer(task: Task) -> Explained:
    x, alpha = float(task.values[task.place]), float(task.operation.alpha)
    result = x if x > 0 else alpha * math.expm1(x)
    given = (("x", x), ("alpha", alpha))
    return [Formula("x if x > 0, else alpha × (e^x − 1)", given, result, "ELU.")], {0: task.place}


def _function(name: str) -> How:
    """An activation function that is called by itself, without a layer around it."""

    def how(task: Task) -> Explained:
        if name == "gelu" and getattr(task.operation, "approximate", False):
            raise NotInSteps("it uses an approximation of GELU")
        x = float(task.values[task.place])
        expression, compute = _FUNCTIONS[name]
        words = _WORDS.get(name, f"The function {name}.")
        return [Formula(expression, (("x", x),), compute(x), words)], {0: task.place}

    return how


HOW: dict[str, How] = {
    "Activation": _activation_layer,
    "Softmax": _softmax_layer,
    "ReLU": _relu_layer,
    "LeakyReLU": _leaky_layer,
    "PReLU": _leaky_layer,
    "ELU": _elu_layer,
    "Relu": _function("relu"),
    "Relu6": _function("relu6"),
    "Sigmoid": _function("sigmoid"),
    "Tanh": _function("tanh"),
    "Silu": _function("silu"),
    "Gelu": _function("gelu"),
    "HardSigmoid": _function("hard_sigmoid"),
    "HardSilu": _function("hard_silu"),
    "Softplus": _function("softplus"),
    "Absolute": _function("absolute"),
    "Negative": _function("negative"),
    "Square": _function("square"),
    "Sqrt": _function("sqrt"),
    "Exp": _function("exponential"),
    "Log": _function("log"),
    "Softsign": _function("softsign"),
}
