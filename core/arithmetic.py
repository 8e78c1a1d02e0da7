"""How one cell of a layer comes about, computed anew by NumPy from the numbers that the layer uses.

Each kind of layer is one function here: it finds the patch of the input and the weights that belong to the cell and
says in steps what is done with them. Nothing is taken from TensorFlow's kernels but the numbers that go in, so that
the result can be held against what they gave.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from core.messages import Arithmetic, Formula, Pooled, Products, Source

Step = Products | Pooled | Formula


@dataclass(frozen=True)
class Input:
    """One thing that a layer computes with: what it is, and its numbers for the photo (`float32`, no batch axis)."""

    source: Source
    values: np.ndarray


@dataclass(frozen=True)
class Task:
    """One cell of one call of a layer. `place` is its index in the output, whose shape is `shape` (no batch axis).

    `operands` are what the call got, in order: indices into `inputs`, and the numbers and arrays in the model itself.
    """

    operation: Any
    inputs: tuple[Input, ...]
    operands: tuple[Any, ...]
    shape: tuple[int, ...]
    place: tuple[int, ...]

    @property
    def values(self) -> np.ndarray:
        return self.inputs[0].values

    @property
    def channel(self) -> int:
        return self.place[-1]


class NotInSteps(Exception):
    """What this layer does is not said in steps here; the text says why, as the end of a sentence."""


def explain(task: Task) -> Arithmetic:
    """The arithmetic of `task`; where it cannot be said in steps it has none, but a note."""
    operation = task.operation
    kind = type(operation).__name__
    how = _HOW.get(kind) if type(operation).__module__.startswith("keras.") else None
    sources = [each.source for each in task.inputs]
    if how is None or not task.inputs:
        note = f"A cell of this kind of layer ({kind}) is not computed in a few steps that could be shown here."
        return Arithmetic(kind, tuple(sources), (), note=note)
    try:
        if getattr(operation, "data_format", None) == "channels_first":
            raise NotInSteps("its channels come before its rows and columns")
        steps, matters = how(task)
    except NotInSteps as reason:
        note = f"The arithmetic of this layer ({kind}) is not shown: {reason}."
        return Arithmetic(kind, tuple(sources), (), note=note)
    for index, place in matters.items():
        sources[index] = _at(sources[index], place)
    return Arithmetic(kind, tuple(sources), tuple(steps), scale=max(_scale(step) for step in steps))


def _at(source: Source, place: Sequence[int]) -> Source:
    """`source` with the place that matters: (y, x, channel), or (y, channel), or (channel,)."""
    *cell, channel = (int(index) for index in place)
    y, x = [*cell, 0, 0][:2]
    return Source(source.name, source.shape, source.channels, y, x, channel)


def _scale(step: Step) -> float:
    if isinstance(step, Products):
        return float(np.abs(step.products).sum())
    if isinstance(step, Pooled):
        return float(np.abs(step.patch[step.inside]).max())
    return max((abs(value) for _, value in step.given), default=0.0)


def _numbers(array: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(array), dtype=np.float32)


# --- Weighted sums ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Window:
    """Where along one axis a layer looks for one of its cells: `places` in the input, some perhaps outside."""

    places: np.ndarray
    inside: np.ndarray

    @classmethod
    def of(cls, index: int, size: int, length: int, stride: int, dilation: int, padding: str) -> _Window:
        """As TensorFlow places windows; with "same" the smaller half of the padding comes first."""
        reach = (length - 1) * dilation + 1
        before = 0
        if padding == "same":
            before = max((math.ceil(size / stride) - 1) * stride + reach - size, 0) // 2
        elif padding != "valid":
            raise NotInSteps(f"it pads its input in a way of its own ({padding})")
        return cls.at(index * stride - before + dilation * np.arange(length), size)

    @classmethod
    def at(cls, places: np.ndarray, size: int) -> _Window:
        return cls(places, (places >= 0) & (places < size))


def _patch(values: np.ndarray, rows: _Window, columns: _Window) -> tuple[np.ndarray, np.ndarray]:
    """`values[rows][:, columns]` with 0 outside, `float32[k, l, C]`, and what is inside, `bool[k, l]`."""
    inside = rows.inside[:, None] & columns.inside[None, :]
    patch = values[np.where(rows.inside, rows.places, 0)][:, np.where(columns.inside, columns.places, 0)]
    return np.where(inside[:, :, None], patch, np.float32(0)).astype(np.float32), inside


def _products(
    values: np.ndarray, kernel: np.ndarray, rows: _Window, columns: _Window, channels: np.ndarray, *, each: bool = False
) -> Products:
    """`kernel` is `float32[k, l, C]` for `channels` of `values` (some perhaps more than once)."""
    patch, inside = _patch(values, rows, columns)
    return Products(patch[:, :, channels], kernel, rows.places, columns.places, channels, inside, each)


def _windows(task: Task, lengths: Sequence[int], strides: Sequence[int], dilations: Sequence[int], padding: str):
    return tuple(
        _Window.of(task.place[axis], task.values.shape[axis], lengths[axis], strides[axis], dilations[axis], padding)
        for axis in (0, 1)
    )


def _strongest(step: Products) -> tuple[int, int, int]:
    """Where in the input the largest product (in size) of the channel that adds most is found: (y, x, channel)."""
    best = int(np.argmax(np.abs(step.sums)))
    sizes = np.where(step.inside, np.abs(step.products[:, :, best]), -1.0)
    row, column = np.unravel_index(np.argmax(sizes), sizes.shape)
    return int(step.rows[row]), int(step.columns[column]), int(step.channels[best])


def _convolution(task: Task):
    layer = task.operation
    rows, columns = _windows(task, layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding)
    kernel, groups = layer.kernel, layer.groups
    per_group = task.values.shape[-1] // groups
    first = task.channel // (task.shape[-1] // groups) * per_group
    channels = np.arange(first, first + per_group)
    step = _products(task.values, _numbers(kernel[..., task.channel]), rows, columns, channels)

    def all_units() -> np.ndarray:
        patch, _ = _patch(task.values, rows, columns)
        weights = _numbers(kernel).astype(np.float64)
        window, count = weights.shape[:2], weights.shape[-1]
        patches = patch.astype(np.float64).reshape(*window, groups, per_group)
        weights = weights.reshape(*window, per_group, groups, count // groups)
        return np.einsum("klgc,klcgn->gn", patches, weights).reshape(-1)

    return [step, *_bias_and_activation(task, step.result, all_units)], {0: _strongest(step)}


def _dense(task: Task):
    values, kernel = task.values[task.place[:-1]], task.operation.kernel
    weights = _numbers(kernel[:, task.channel])
    y, x = [*task.place[:-1], 0, 0][:2]
    here = (_Window.at(np.array([y]), y + 1), _Window.at(np.array([x]), x + 1))
    channels, inside = np.arange(len(values)), np.ones((1, 1), bool)
    step = Products(values[None, None], weights[None, None], here[0].places, here[1].places, channels, inside)

    def all_units() -> np.ndarray:
        return values.astype(np.float64) @ _numbers(kernel)

    best = int(np.argmax(np.abs(step.sums)))
    return [step, *_bias_and_activation(task, step.result, all_units)], {0: (*task.place[:-1], best)}


def _depthwise(task: Task):
    layer = task.operation
    rows, columns = _windows(task, layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding)
    multiplier = layer.kernel.shape[-1]
    channel = task.channel // multiplier
    kernel = _numbers(layer.kernel[:, :, channel, task.channel % multiplier])[:, :, None]
    step = _products(task.values, kernel, rows, columns, np.array([channel]))

    def all_units() -> np.ndarray:
        patch, _ = _patch(task.values, rows, columns)
        sums = np.einsum("klc,klcm->cm", patch.astype(np.float64), _numbers(layer.kernel).astype(np.float64))
        return sums.reshape(-1)

    return [step, *_bias_and_activation(task, step.result, all_units)], {0: _strongest(step)}


def _separable(task: Task):
    layer = task.operation
    rows, columns = _windows(task, layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding)
    depthwise, pointwise = _numbers(layer.depthwise_kernel), layer.pointwise_kernel
    *window, count, multiplier = depthwise.shape
    channels = np.repeat(np.arange(count), multiplier)
    first = _products(task.values, depthwise.reshape(*window, -1), rows, columns, channels, each=True)
    y, x = np.array(task.place[:1]), np.array(task.place[1:2])
    sums = first.sums.astype(np.float32)
    weights = _numbers(pointwise[0, 0, :, task.channel])
    second = Products(sums[None, None], weights[None, None], y, x, np.arange(len(sums)), np.ones((1, 1), bool))

    def all_units() -> np.ndarray:
        return first.sums @ _numbers(pointwise[0, 0])

    best = int(np.argmax(np.abs(second.sums)))
    sizes = np.where(first.inside, np.abs(first.products[:, :, best]), -1.0)
    row, column = np.unravel_index(np.argmax(sizes), sizes.shape)
    matters = (int(rows.places[row]), int(columns.places[column]), int(channels[best]))
    return [first, second, *_bias_and_activation(task, second.result, all_units)], {0: matters}


def _transposed(task: Task):
    """Each cell of the input spreads out over a window of the output; asked is which of them reach this cell.

    It is the transpose of the convolution that would lead from the output back to the input, so that it is padded as
    that one is.
    """
    layer = task.operation
    windows = []
    for axis in (0, 1):
        length, stride, dilation = layer.kernel_size[axis], layer.strides[axis], layer.dilation_rate[axis]
        reach, size, count = (length - 1) * dilation + 1, task.shape[axis], task.values.shape[axis]
        before = max((math.ceil(size / stride) - 1) * stride + reach - size, 0) // 2 if layer.padding == "same" else 0
        from_here = task.place[axis] + before - dilation * np.arange(length)
        places = np.where(from_here % stride == 0, from_here // stride, -1)
        windows.append(_Window.at(places, count))
    kernel = _numbers(layer.kernel[:, :, task.channel, :])
    step = _products(task.values, kernel, *windows, np.arange(task.values.shape[-1]))

    def all_units() -> np.ndarray:
        patch, _ = _patch(task.values, *windows)
        return np.einsum("klc,kloc->o", patch.astype(np.float64), _numbers(layer.kernel).astype(np.float64))

    return [step, *_bias_and_activation(task, step.result, all_units)], {0: _strongest(step)}


def _bias_and_activation(task: Task, total: float, all_units: Callable[[], np.ndarray]) -> list[Formula]:
    """`all_units` computes the sums of all channels of this cell: a softmax needs them."""
    layer = task.operation
    steps, bias = [], getattr(layer, "bias", None) if layer.use_bias else None
    if bias is not None:
        added = float(_numbers(bias[task.channel]))
        steps.append(Formula("sum + bias", (("sum", total), ("bias", added)), total + added))
        total += added

    def before() -> np.ndarray:
        return all_units() + (0.0 if bias is None else _numbers(bias))

    return [*steps, *_activation(layer.activation, total, task.channel, before)]


# --- Activations -----------------------------------------------------------------------------------------------------


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
    "relu": ("max(0, x)", lambda x: max(0.0, x)),
    "relu6": ("min(max(0, x), 6)", lambda x: min(max(0.0, x), 6.0)),
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
    "hard_sigmoid": ("min(max(0, x / 6 + 0.5), 1)", lambda x: min(max(0.0, x / 6.0 + 0.5), 1.0)),
    "hard_silu": ("x × min(max(0, x / 6 + 0.5), 1)", lambda x: x * min(max(0.0, x / 6.0 + 0.5), 1.0)),
    "mish": ("x × tanh(ln(1 + e^x))", lambda x: x * math.tanh(_softplus(x))),
    "leaky_relu": ("x if x > 0, else 0.2 × x", lambda x: x if x > 0 else 0.2 * x),
}
_NAMES = {"swish": "silu", "hard_swish": "hard_silu"}
_WORDS = {
    "relu": "ReLU: what is below 0 becomes 0.",
    "relu6": "ReLU6: what is below 0 becomes 0, what is above 6 becomes 6.",
}


def _activation(function: Any, x: float, channel: int, before: Callable[[], np.ndarray]) -> list[Formula]:
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
    result = float(_numbers(function(keras.ops.convert_to_tensor(units[None])))[0, channel])
    name = name or type(function).__name__
    return [Formula(f"{name}(x)", (("x", x),), result, f"Activation: {name}, as Keras computes it.")]


def _softmax(units: np.ndarray, channel: int) -> Formula:
    units = units.astype(np.float64)
    most = float(units.max())
    largest = most if most > 300 else 0.0  # e^x of more would not fit into the numbers that computers use
    total, x = float(np.exp(units - largest).sum()), float(units[channel])
    words = f"Softmax: this unit's share of all {len(units)} units, after e^x has made them positive."
    given = (("x", x), ("total", total))
    if largest:
        given = (("x", x), ("largest", largest), ("total", total))
    return Formula("e^(x − largest) / total" if largest else "e^x / total", given, math.exp(x - largest) / total, words)


def _activation_layer(task: Task):
    x, channel = float(task.values[task.place]), task.channel
    steps = _activation(task.operation.activation, x, channel, lambda: task.values[task.place[:-1]])
    return steps or [_same(x, "Activation: linear, which changes nothing.")], {0: task.place}


def _softmax_layer(task: Task):
    if task.operation.axis not in (-1, len(task.shape)):
        raise NotInSteps("its softmax is not taken over the channels")
    return [_softmax(task.values[task.place[:-1]], task.channel)], {0: task.place}


def _relu_layer(task: Task):
    layer, x = task.operation, float(task.values[task.place])
    top, slope, threshold = layer.max_value, float(layer.negative_slope), float(layer.threshold)
    if slope == 0 and threshold == 0 and top in (None, 6.0):
        return _activation(
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


def _leaky_layer(task: Task):
    x = float(task.values[task.place])
    if type(task.operation).__name__ == "PReLU":
        slope = float(np.broadcast_to(_numbers(task.operation.alpha), task.shape)[task.place])
        words = "PReLU: what is below 0 is multiplied by a slope that was learned."
    else:
        slope = float(task.operation.negative_slope)
        words = "Leaky ReLU: what is below 0 is only made smaller."
    result = x if x > 0 else slope * x
    return [Formula("x if x > 0, else slope × x", (("x", x), ("slope", slope)), result, words)], {0: task.place}


def _elu_layer(task: Task):
    x, alpha = float(task.values[task.place]), float(task.operation.alpha)
    result = x if x > 0 else alpha * math.expm1(x)
    given = (("x", x), ("alpha", alpha))
    return [Formula("x if x > 0, else alpha × (e^x − 1)", given, result, "ELU.")], {0: task.place}


def _function(name: str) -> Callable[[Task], Any]:
    """An activation function that is called by itself, without a layer around it."""

    def how(task: Task):
        if name == "gelu" and getattr(task.operation, "approximate", False):
            raise NotInSteps("it uses an approximation of GELU")
        x = float(task.values[task.place])
        expression, compute = _FUNCTIONS[name]
        words = _WORDS.get(name, f"The function {name}.")
        return [Formula(expression, (("x", x),), compute(x), words)], {0: task.place}

    return how


# --- Pooling ---------------------------------------------------------------------------------------------------------


def _pooling(kind: str) -> Callable[[Task], Any]:
    def how(task: Task):
        layer = task.operation
        rows, columns = _windows(task, layer.pool_size, layer.strides, (1, 1), layer.padding)
        return _pool(kind, task, rows, columns)

    return how


def _global_pooling(kind: str) -> Callable[[Task], Any]:
    def how(task: Task):
        rows, columns = (_Window.at(np.arange(size), size) for size in task.values.shape[:2])
        return _pool(kind, task, rows, columns)

    return how


def _pool(kind: str, task: Task, rows: _Window, columns: _Window):
    patch, inside = _patch(task.values[:, :, task.channel][:, :, None], rows, columns)
    cells = patch[:, :, 0].astype(np.float64)[inside]
    result = float(cells.max() if kind == "max" else cells.mean())
    step = Pooled(kind, patch[:, :, 0], rows.places, columns.places, inside, result)
    row, column = step.winner
    return [step], {0: (int(rows.places[row]), int(columns.places[column]), task.channel)}


# --- Number by number ------------------------------------------------------------------------------------------------


def _same(x: float, words: str) -> Formula:
    return Formula("x", (("x", x),), x, words)


def _unchanged(task: Task):
    kind = type(task.operation).__name__
    training = "Dropout" in kind or "Noise" in kind or "Random" in kind or kind == "StochasticDepth"
    words = "It works only while a network is trained; now it hands on what it gets." if training else "Handed on."
    return [_same(float(task.values[task.place]), words)], {0: task.place}


def _batch_normalization(task: Task):
    layer = task.operation
    if layer.axis not in (-1, len(task.shape)):
        raise NotInSteps("it does not normalise channel by channel")
    x, c = float(task.values[task.place]), task.channel
    mean, variance = float(_numbers(layer.moving_mean[c])), float(_numbers(layer.moving_variance[c]))
    gamma = float(_numbers(layer.gamma[c])) if layer.scale else 1.0
    beta = float(_numbers(layer.beta[c])) if layer.center else 0.0
    epsilon = float(layer.epsilon)
    result = (x - mean) / math.sqrt(variance + epsilon) * gamma + beta
    given = [("x", x), ("mean", mean), ("variance", variance), ("epsilon", epsilon)]
    given += [("gamma", gamma)] * bool(layer.scale) + [("beta", beta)] * bool(layer.center)
    expression = "(x − mean) / √(variance + epsilon)"
    expression += " × gamma" * bool(layer.scale) + " + beta" * bool(layer.center)
    words = "Mean and variance of this channel were measured during training; gamma and beta were learned."
    return [Formula(expression, tuple(given), result, words)], {0: task.place}


def _layer_normalization(task: Task):
    layer = task.operation
    axis = layer.axis if isinstance(layer.axis, (list, tuple)) else (layer.axis,)
    if tuple(axis) not in ((-1,), (len(task.shape),)) or getattr(layer, "rms_scaling", False):
        raise NotInSteps("it does not normalise over the channels alone")
    units, c = task.values[task.place[:-1]].astype(np.float64), task.channel
    x, mean, variance, epsilon = float(units[c]), float(units.mean()), float(units.var()), float(layer.epsilon)
    result = (x - mean) / math.sqrt(variance + epsilon)
    given = [("x", x), ("mean", mean), ("variance", variance), ("epsilon", epsilon)]
    expression = "(x − mean) / √(variance + epsilon)"
    if layer.gamma is not None:
        gamma = float(_numbers(layer.gamma[c]))
        result, expression = result * gamma, expression + " × gamma"
        given.append(("gamma", gamma))
    if layer.beta is not None:
        beta = float(_numbers(layer.beta[c]))
        result, expression = result + beta, expression + " + beta"
        given.append(("beta", beta))
    words = f"Mean and variance are those of the {len(units)} channels of this cell."
    return [Formula(expression, tuple(given), result, words)], {0: task.place}


def _normalization(task: Task):
    layer, x = task.operation, float(task.values[task.place])
    mean = _element(_numbers(layer.mean)[0], task.place)
    spread = max(math.sqrt(_element(_numbers(layer.variance)[0], task.place)), keras.config.epsilon())
    given = (("x", x), ("mean", mean), ("spread", spread))
    if layer.invert:
        return [Formula("x × spread + mean", given, x * spread + mean, "Normalisation undone.")], {0: task.place}
    words = "Mean and spread were measured before training."
    return [Formula("(x − mean) / spread", given, (x - mean) / spread, words)], {0: task.place}


def _rescaling(task: Task):
    layer, x = task.operation, float(task.values[task.place])
    scale, offset = (_element(np.asarray(each, np.float32), task.place) for each in (layer.scale, layer.offset))
    given = (("x", x), ("scale", scale), ("offset", offset))
    return [Formula("x × scale + offset", given, x * scale + offset)], {0: task.place}


def _layer_scale(task: Task):
    x, gamma = float(task.values[task.place]), float(_numbers(task.operation.gamma[task.channel]))
    return [Formula("x × gamma", (("x", x), ("gamma", gamma)), x * gamma, "Gamma was learned.")], {0: task.place}


def _element(array: np.ndarray, place: tuple[int, ...]) -> float:
    """The number of `array` that meets the cell at `place`, by the rules of broadcasting."""
    return float(array[_within(array.shape, place)])


def _within(shape: tuple[int, ...], place: tuple[int, ...]) -> tuple[int, ...]:
    places = place[len(place) - len(shape) :]
    return tuple(0 if size == 1 else index for size, index in zip(shape, places, strict=True))


def _operands(task: Task) -> tuple[list[tuple[str, float]], dict[int, tuple[int, ...]]]:
    """The operands at this cell, called a, b, c …, and the places of those that are inputs."""
    names = "abcdefghijklmnopqrstuvwxyz"
    if len(task.operands) > len(names):
        raise NotInSteps("it computes with too many inputs")
    given, matters = [], {}
    for name, operand in zip(names, task.operands, strict=False):
        if isinstance(operand, _Place):
            values = task.inputs[operand.index].values
            matters.setdefault(operand.index, _within(values.shape, task.place))
        else:
            values = np.asarray(operand, np.float32)
            if values.ndim > len(task.place):
                values = values.reshape(values.shape[values.ndim - len(task.place) :])
        given.append((name, _element(values, task.place)))
    return given, matters


@dataclass(frozen=True)
class _Place:
    """An operand that is input number `index` of the layer."""

    index: int


def input_number(index: int) -> _Place:
    """How `Task.operands` says "input number `index`"."""
    return _Place(index)


def _merge(sign: str, compute: Callable[[list[float]], float]) -> Callable[[Task], Any]:
    """`sign` goes between the operands; where it ends in "(" it goes before them."""

    def how(task: Task):
        given, matters = _operands(task)
        names = [name for name, _ in given]
        if len(names) < 2:
            raise NotInSteps("it has only one input")
        expression = f"{sign}{', '.join(names)})" if sign.endswith("(") else f" {sign} ".join(names)
        return [Formula(expression, tuple(given), compute([value for _, value in given]))], matters

    return how


def _custom_scale(task: Task):
    given, matters = _operands(task)
    (_, a), (_, b) = given
    scale = float(task.operation.scale)
    return [Formula("a + b × scale", (*given, ("scale", scale)), a + b * scale)], matters


# --- Taken from another place ----------------------------------------------------------------------------------------


def _taken(task: Task, index: int, place: tuple[int, ...], words: str):
    return [_same(float(task.inputs[index].values[place]), words)], {index: place}


def _concatenate(task: Task):
    axis = task.operation.axis
    axis = axis - 1 if axis > 0 else axis + len(task.shape)
    rest = task.place[axis]
    for operand in task.operands:
        if not isinstance(operand, _Place):
            break
        size = task.inputs[operand.index].values.shape[axis]
        if rest < size:
            place = (*task.place[:axis], rest, *task.place[axis + 1 :])
            which = f"number {operand.index + 1} of its {len(task.inputs)} inputs"
            what = f"channel {rest}" if axis == len(task.shape) - 1 else "this cell"
            return _taken(task, operand.index, place, f"The inputs are put side by side: this is {what} of {which}.")
        rest -= size
    raise NotInSteps("its inputs are not put together as layers do")


def _zero_padding(task: Task):
    (top, _), (left, _) = task.operation.padding
    return _shifted(task, -top, -left)


def _cropping(task: Task):
    (top, _), (left, _) = task.operation.cropping
    return _shifted(task, top, left)


def _shifted(task: Task, down: int, across: int):
    y, x, channel = task.place[0] + down, task.place[1] + across, task.channel
    height, width = task.values.shape[:2]
    if 0 <= y < height and 0 <= x < width:
        return _taken(task, 0, (y, x, channel), f"Taken from row {y}, column {x} of the input.")
    return [Formula("0", (), 0.0, "This cell lies in the border of zeros that is put around the maps.")], {}


def _upsampling(task: Task):
    layer = task.operation
    if layer.interpolation != "nearest":
        raise NotInSteps(f"it mixes neighbouring cells ({layer.interpolation})")
    y, x = task.place[0] // layer.size[0], task.place[1] // layer.size[1]
    words = f"Each cell is repeated; this one is row {y}, column {x} of the input."
    return _taken(task, 0, (y, x, task.channel), words)


def _reshaped(task: Task):
    place = np.unravel_index(np.ravel_multi_index(task.place, task.shape), task.values.shape)
    words = "The same numbers in another order of rows and columns; nothing is computed."
    return _taken(task, 0, tuple(int(index) for index in place), words)


def _product(values: list[float]) -> float:
    return math.prod(values)


def _words(text: str) -> list[str]:
    return text.split()


_UNCHANGED = _words("""Dropout SpatialDropout1D SpatialDropout2D AlphaDropout GaussianDropout GaussianNoise Identity
    ActivityRegularization StochasticDepth Cast RandomBrightness RandomColorJitter RandomContrast RandomErasing
    RandomFlip RandomGaussianBlur RandomGrayscale RandomHue RandomInvert RandomPerspective RandomRotation
    RandomSaturation RandomSharpness RandomShear RandomTranslation RandomZoom""")
_HOW: dict[str, Callable[[Task], Any]] = {
    "Conv2D": _convolution,
    "Dense": _dense,
    "DepthwiseConv2D": _depthwise,
    "SeparableConv2D": _separable,
    "Conv2DTranspose": _transposed,
    "MaxPooling2D": _pooling("max"),
    "AveragePooling2D": _pooling("mean"),
    "GlobalMaxPooling2D": _global_pooling("max"),
    "GlobalAveragePooling2D": _global_pooling("mean"),
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
    "Softsign": _function("softsign"),
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "Normalization": _normalization,
    "Rescaling": _rescaling,
    "LayerScale": _layer_scale,
    "CustomScaleLayer": _custom_scale,
    "Add": _merge("+", math.fsum),
    "Subtract": _merge("−", lambda values: values[0] - values[1]),
    "Multiply": _merge("×", _product),
    "Divide": _merge("/", lambda values: values[0] / values[1] if values[1] else math.nan),
    "TrueDivide": _merge("/", lambda values: values[0] / values[1] if values[1] else math.nan),
    "Average": _merge("mean(", lambda values: math.fsum(values) / len(values)),
    "Maximum": _merge("max(", max),
    "Minimum": _merge("min(", min),
    "Concatenate": _concatenate,
    "ZeroPadding2D": _zero_padding,
    "Cropping2D": _cropping,
    "UpSampling2D": _upsampling,
    "Flatten": _reshaped,
    "Reshape": _reshaped,
    **dict.fromkeys(_UNCHANGED, _unchanged),
}
