"""Which of a text's tokens each step of a layer stands on: from the graph alone, no text needed.

Followed forwards along the axis of time: a convolution or pooling over steps makes a step of several neighbouring ones
(its window), most other layers keep each step in its place. What a recurrent layer or an attention brings in from other
steps does not count: there a step stands on the token at its own place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from core.backbones import graph

_MOST_NEEDED = 4096  # steps; a network that needs more than that is none for texts


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SAME_STEP = _words("""
    Embedding Masking Identity Activation ReLU LeakyReLU PReLU ELU Dropout SpatialDropout1D AlphaDropout GaussianDropout
    GaussianNoise ActivityRegularization Dense TimeDistributed Rescaling
    LSTM GRU SimpleRNN RNN Bidirectional
    Add Subtract Multiply Average Maximum Minimum Divide TrueDivide Power
    Absolute Cast Clip Exp Log Negative Sqrt Square Tanh Elu Gelu HardSigmoid HardSilu LeakyRelu Relu Relu6 Selu Sigmoid
    Silu Softplus Softsign Equal NotEqual Greater GreaterEqual Less LessEqual LogicalNot
    """)
_ALONG_UNITS = _words(
    "BatchNormalization LayerNormalization RMSNormalization UnitNormalization GroupNormalization Softmax LogSoftmax "
    "ExpandDims Concatenate"
)
_ATTENTIONS = _words("MultiHeadAttention GroupedQueryAttention GroupQueryAttention Attention AdditiveAttention")
_CONVOLUTIONS = _words("Conv1D SeparableConv1D DepthwiseConv1D")
_POOLINGS = _words("MaxPooling1D AveragePooling1D")


def spans(model: keras.Model, tensors: dict[str, Any], length: int) -> dict[str, tuple[tuple[int, int], ...] | None]:
    """For each layer of the flat `model` that has steps: pairs [first, last) of tokens of a text of `length`.

    `None` where a layer's steps cannot be told to stand on certain tokens. A step that only padding made stands on an
    empty pair.
    """
    found = _follow(model, length)
    return {
        name: None if id(tensor) not in found else tuple((int(first), int(last)) for first, last in found[id(tensor)])
        for name, tensor in tensors.items()
        if len(tensor.shape) == 3
    }


def shortest(model: keras.Model) -> int:
    """The least number of tokens for which every window in the flat `model` fits into what it is laid over."""

    def fits(length: int) -> bool:
        return all(len(each) for each in _follow(model, length).values())

    if fits(1):
        return 1
    low, high = 1, 2
    while not fits(high):
        if high >= _MOST_NEEDED:
            return 1
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


def _follow(model: keras.Model, length: int) -> dict[int, np.ndarray]:
    """The spans, `int[S, 2]`, of every tensor for which they are known, by the tensor's `id`."""
    places = np.arange(length)
    found = {id(model.inputs[0]): np.stack([places, places + 1], axis=1)}
    for node in graph.in_order(model):
        after = _after(node, [found.get(id(tensor)) for tensor in node.input_tensors])
        if after is not None:
            found.update((id(output), after) for output in node.outputs if len(output.shape) >= 2)
    return found


def _after(node: Any, given: Sequence[np.ndarray | None]) -> np.ndarray | None:
    operation, output = graph.operation_of(node.outputs[0]), node.outputs[0]
    kind = type(operation).__name__
    if not given or given[0] is None:
        return None
    if kind in _ATTENTIONS:
        return given[0]
    if kind in _SAME_STEP:
        if len(output.shape) < len(node.input_tensors[0].shape):
            return None  # a recurrent layer's last step
        backwards = getattr(operation, "go_backwards", False) and kind != "Bidirectional"
        return _together(given)[::-1] if backwards and _together(given) is not None else _together(given)
    if kind in _ALONG_UNITS:
        axis = _axis(operation, len(output.shape))
        if axis == len(output.shape) - 1:
            return _together(given)
        is_joined = kind == "Concatenate" and axis == 1 and all(each is not None for each in given)
        return np.concatenate(given) if is_joined else None
    return _moved(operation, kind, given[0])


def _moved(operation: Any, kind: str, given: np.ndarray) -> np.ndarray | None:
    if getattr(operation, "data_format", "channels_last") == "channels_first":
        return None
    if kind in _CONVOLUTIONS:
        kernel, stride, dilation = operation.kernel_size[0], operation.strides[0], operation.dilation_rate[0]
        return _windows(given, kernel, stride, dilation, operation.padding)
    if kind in _POOLINGS:
        return _windows(given, _first(operation.pool_size), _first(operation.strides), 1, operation.padding)
    if kind == "UpSampling1D":
        return np.repeat(given, _first(operation.size), axis=0)
    if kind == "ZeroPadding1D":
        return np.pad(given, (tuple(operation.padding), (0, 0)))
    if kind == "Cropping1D":
        before, after = operation.cropping
        return given[before : max(before, len(given) - after)]
    return None


def _windows(given: np.ndarray, kernel: int, stride: int, dilation: int, padding: str) -> np.ndarray:
    """The spans of a window's places, that of each being the hull of what it lies over."""
    size, reach = len(given), (kernel - 1) * dilation + 1
    if padding == "same":
        count = math.ceil(size / stride)
        before = max((count - 1) * stride + reach - size, 0) // 2
    else:
        before = reach - 1 if padding == "causal" else 0
        count = max(0, (size + before - reach) // stride + 1)
    after = np.zeros((count, 2), int)
    for place in range(count):
        start = place * stride - before
        after[place] = _hull(given[max(start, 0) : max(start + reach, 0)])
    return after


def _hull(pieces: np.ndarray) -> tuple[int, int]:
    filled = pieces[pieces[:, 0] < pieces[:, 1]]
    return (int(filled[:, 0].min()), int(filled[:, 1].max())) if len(filled) else (0, 0)


def _together(given: Sequence[np.ndarray | None]) -> np.ndarray | None:
    """Step by step the hull of several layers' spans; `None` where one is not known or they differ in length."""
    if any(each is None for each in given) or len({len(each) for each in given}) != 1:
        return None
    if len(given) == 1:
        return given[0]
    return np.array([_hull(np.stack(steps)) for steps in zip(*given, strict=True)]).reshape(-1, 2)


def _axis(operation: Any, rank: int) -> int | None:
    axis = getattr(operation, "axis", -1)
    if isinstance(axis, (list, tuple)):
        axis = axis[0] if len(axis) == 1 else None
    return axis + rank if isinstance(axis, int) and axis < 0 else axis


def _first(size: Any) -> int:
    return size[0] if isinstance(size, (list, tuple)) else size
