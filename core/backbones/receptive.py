"""What one cell of a layer can see of the photo, and what a layer costs: from the graph alone, no image needed.

Theoretical receptive fields are found by going back from a cell: a convolution's cell is computed from a rectangle of
cells of the layer before, and so on until the pixels; where branches meet, the smallest rectangle around all of them
counts. The real sizes of the maps are used, because "same" padding of a stride depends on them. The arithmetic is that
of Araujo, Norris and Sim, *Computing Receptive Fields of Convolutional Neural Networks*, Distill 2019.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import keras
import numpy as np

from core.backbones import graph
from core.backbones.backbone import Backbone
from core.errors import UserError
from core.messages import LayerInfo, Region

# Strides are measured between cells so far apart that any period of upsampling goes into the distance.
_FAR = 720_720


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Layers and operations of Keras whose cell depends on the same cell of its inputs only (in inference mode).
_SAME_CELL = _words("""
    BatchNormalization Rescaling Normalization Activation ReLU LeakyReLU PReLU ELU Identity Dense LayerScale
    CustomScaleLayer StochasticDepth Dropout SpatialDropout2D AlphaDropout GaussianDropout GaussianNoise
    ActivityRegularization RandomBrightness RandomColorJitter RandomContrast RandomErasing RandomFlip RandomGaussianBlur
    RandomGrayscale RandomHue RandomInvert RandomPerspective RandomRotation RandomSaturation RandomSharpness RandomShear
    RandomTranslation RandomZoom
    Add Subtract Multiply Average Maximum Minimum Divide TrueDivide Power
    Absolute Cast Clip Exp Log Negative Sqrt Square Tanh Elu Gelu HardSigmoid HardSilu LeakyRelu Relu Relu6 Selu Sigmoid
    Silu Softplus Softsign
    """)
# The same, as long as they work along the channels.
_ALONG_CHANNELS = _words(
    "LayerNormalization RMSNormalization UnitNormalization Softmax LogSoftmax Concatenate EinsumDense"
)
_WINDOWS = {
    "Conv2D": "kernel_size",
    "DepthwiseConv2D": "kernel_size",
    "SeparableConv2D": "kernel_size",
    "MaxPooling2D": "pool_size",
    "AveragePooling2D": "pool_size",
    "MaxPool": "pool_size",
    "AveragePool": "pool_size",
}


class _Axis(Protocol):
    """How a layer computes its cells along one axis: from which cells of its input."""

    def span(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """From [low, high) of the output to the smallest such range of the input, as if maps had no borders."""

    def sources(self, cells: np.ndarray) -> np.ndarray:
        """`int[n]` cells of the output -> all cells of the input that they are made of, some beyond its borders."""


@dataclass(frozen=True)
class _Window:
    """Convolutions and poolings: `kernel` cells, `dilation` apart, that move by `stride`, from `before` the border."""

    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0

    def span(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        reach = (self.kernel - 1) * self.dilation + 1
        return low * self.stride - self.before, (high - 1) * self.stride - self.before + reach

    def sources(self, cells: np.ndarray) -> np.ndarray:
        return (cells[:, None] * self.stride - self.before + np.arange(self.kernel) * self.dilation).ravel()


@dataclass(frozen=True)
class _Transposed:
    """The way back of a `_Window`: what it would spread from one cell to many is summed up there."""

    window: _Window

    def span(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        window = self.window
        reach = (window.kernel - 1) * window.dilation
        first = np.ceil((low + window.before - reach) / window.stride)
        return first, np.floor((high - 1 + window.before) / window.stride) + 1

    def sources(self, cells: np.ndarray) -> np.ndarray:
        window = self.window
        spread = (cells[:, None] + window.before - np.arange(window.kernel) * window.dilation).ravel()
        return spread[spread % window.stride == 0] // window.stride


@dataclass(frozen=True)
class _Resized:
    """Enlarged or shrunk: the middles of cells correspond, as in TensorFlow's `image.resize`."""

    size: int
    scale: float  # cells of the input for each of the output
    smoothly: bool

    def span(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._first(low), self._last(high - 1) + 1

    def sources(self, cells: np.ndarray) -> np.ndarray:
        both = np.concatenate([self._first(cells), self._last(cells)]).astype(int)
        return np.clip(both, 0, self.size - 1)  # at the border the outermost cell is repeated

    def _first(self, cells: np.ndarray) -> np.ndarray:
        return np.floor((cells + 0.5) * self.scale - (0.5 if self.smoothly else 0.0))

    def _last(self, cells: np.ndarray) -> np.ndarray:
        return np.ceil((cells + 0.5) * self.scale - 0.5) if self.smoothly else self._first(cells)


class _OnlyCell:
    """All cells use the same one, where a map of one cell meets larger ones."""

    def span(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.where(low < high, 0.0, np.inf), np.where(low < high, 1.0, -np.inf)

    def sources(self, cells: np.ndarray) -> np.ndarray:
        return np.zeros(min(len(cells), 1), int)


_SAME = _Window()


@dataclass(frozen=True)
class _Rectangles:
    """Rectangles of cells of one tensor, one for each question asked: `low` to `high`, half open, `float64[2, N]`.

    The first axis is (y, x). Nothing at all is (∞, −∞), everything whatever its size is (−∞, ∞).
    """

    low: np.ndarray
    high: np.ndarray

    def hull(self, other: _Rectangles | None) -> _Rectangles:
        if other is None:
            return self
        return _Rectangles(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    def back(self, rule: tuple[_Axis, _Axis] | None) -> _Rectangles:
        """The rectangles of the input that these are computed from; `None` is the rule that takes everything."""
        if rule == (_SAME, _SAME):
            return self
        if rule is None:
            asked = self.low < self.high
            return _Rectangles(np.where(asked, -np.inf, np.inf), np.where(asked, np.inf, -np.inf))
        spans = [axis.span(low, high) for axis, low, high in zip(rule, self.low, self.high, strict=True)]
        low, high = np.stack([each[0] for each in spans]), np.stack([each[1] for each in spans])
        nothing = (low >= high).any(axis=0)  # what lies between two windows of a transposed convolution
        return _Rectangles(np.where(nothing, np.inf, low), np.where(nothing, -np.inf, high))


def describe_layers(
    model: keras.Model, tensors: dict[str, Any], input_size: tuple[int, int] | None
) -> tuple[LayerInfo, ...]:
    """`graph.list_layers` with what each layer costs and what its cells can see, at `input_size` (height, width).

    All receptive fields are found in one pass back through the graph. Where branches that meet have different strides
    (which no ordinary network has), `stride` is how the middle of the rectangle around them moves on average.
    Facts that need a size stay unknown (`multiply_adds` 0) where the model cannot be computed at `input_size`.
    """
    layers = graph.list_layers(model, tensors)
    inputs = _inputs_by_name(tensors, {layer.name for layer in layers})
    layers = tuple(replace(layer, inputs=inputs[layer.name]) for layer in layers)
    sized = _at_size(model, tensors, input_size)
    if sized is None:
        return layers
    model, tensors = sized
    wanted = [tensors[layer.name] for layer in layers]
    middles = [(tensor.shape[1] // 2, tensor.shape[2] // 2) if len(tensor.shape) == 4 else (0, 0) for tensor in wanted]
    far = [(y + _FAR, x + _FAR) for y, x in middles]
    seen = _seen(model, [*wanted, *wanted], [*middles, *far])
    low, high = seen.low, seen.high
    with np.errstate(invalid="ignore"):  # of what sees everything
        fields, centres = high - low, (low + high) / 2
    count = len(layers)
    return tuple(
        replace(
            layer,
            multiply_adds=_multiply_adds(tensor),
            receptive_field=_whole_numbers(fields[:, place]),
            stride=_stride(centres[:, place], centres[:, count + place]),
        )
        for place, (layer, tensor) in enumerate(zip(layers, wanted, strict=True))
    )


def region(backbone: Backbone, layer: str, cell: tuple[int, int]) -> Region | None:
    """What `cell` (y, x) of `layer` can see, in pixels of the photo as the network sees it; `None`: all of it.

    Inside of the photo it is exact: the smallest rectangle around all pixels that can change the cell at the
    backbone's input size. It goes on into the padding as far as the kernels do. Behind a global pooling, a dense
    layer, an attention, and behind what is not understood here, it is `None`. Raises `UserError` for a layer that is
    not there and for a cell outside of its maps.
    """
    backbone.layer(layer)
    model, tensor = _sized_layer(backbone, layer)
    if len(tensor.shape) != 4:
        return None
    size = tensor.shape[1:3]
    if not all(0 <= place < side for place, side in zip(cell, size, strict=True)):
        raise UserError(f"Layer {layer} has maps of {size[0]} × {size[1]} cells; there is no cell {cell}.")
    wide = _seen(model, [tensor], [cell])
    if np.isneginf(wide.low).any():
        return None
    sides = zip(wide.low[:, 0], wide.high[:, 0], _true_pixels(model, tensor, cell), strict=True)
    return _rectangle([(low, high, pixels) for low, high, pixels in sides])


def _rectangle(sides: Sequence[tuple[float, float, np.ndarray]]) -> Region:
    """Around the true pixels, and beyond the border as far as there is padding.

    `sides` holds for each axis what the kernels reach, from low to high, and which pixels (bool) can really be seen.
    """
    if all(pixels.any() for _, _, pixels in sides):
        found = [_side(low, high, pixels) for low, high, pixels in sides]
    elif any(low >= high for low, high, _ in sides) or all(low < len(p) and high > 0 for low, high, p in sides):
        found = [(0, 0), (0, 0)]  # made of nothing
    else:
        found = [(low, high) for low, high, _ in sides]  # made of padding
    (top, bottom), (left, right) = found
    return Region(int(top), int(left), int(bottom), int(right))


def _side(low: float, high: float, pixels: np.ndarray) -> tuple[float, float]:
    first, last = np.flatnonzero(pixels)[[0, -1]]
    return low if first == 0 and low < 0 else first, high if last == len(pixels) - 1 and high > last else last + 1


def _whole_numbers(field: np.ndarray) -> tuple[int, int] | None:
    if np.isposinf(field).any():
        return None
    height, width = np.maximum(field, 0)
    return int(height), int(width)


def _stride(near: np.ndarray, far: np.ndarray) -> tuple[float, float] | None:
    """From the centres of what two cells see that are `_FAR` apart."""
    if not (np.isfinite(near).all() and np.isfinite(far).all()):
        return None
    down, across = (round(float(each), 6) for each in (far - near) / _FAR)
    return down, across


# --- The graph -------------------------------------------------------------------------------------------------------


def _at_size(
    model: keras.Model, tensors: dict[str, Any], size: tuple[int, int] | None
) -> tuple[keras.Model, dict[str, Any]] | None:
    """The same graph where all sizes are known; `None` where it cannot be had."""
    source = model.inputs[0]
    if len(source.shape) != 4 or source.shape[-1] is None:
        return None
    if None not in source.shape[1:3]:
        return _with_all(model, tensors), tensors
    if size is None:
        return None
    inputs = keras.Input((*size, source.shape[-1]), dtype=source.dtype)
    names = list(tensors)
    try:
        outputs = graph.rerun(keras.Model(source, [tensors[name] for name in names]), inputs)
        return keras.Model(inputs, outputs), dict(zip(names, outputs, strict=True))
    # What a layer raises on a size that does not suit it is its own affair.
    except (ValueError, TypeError, ArithmeticError, IndexError):
        return None


def _with_all(model: keras.Model, tensors: dict[str, Any]) -> keras.Model:
    """`model` with those layers too that lead to other outputs than its own."""
    known = {id(tensor) for node in graph.in_order(model) for tensor in node.outputs}
    others = [tensor for tensor in tensors.values() if id(tensor) not in known]
    return keras.Model(model.inputs[0], [*model.outputs, *others]) if others else model


def _sized_layer(backbone: Backbone, layer: str) -> tuple[keras.Model, Any]:
    if None not in backbone.model.inputs[0].shape[1:3]:
        tensor = backbone.tensor(layer)
        return _with_all(backbone.model, {layer: tensor}), tensor
    names = tuple(each.name for each in backbone.layers)
    model = graph.at_size(backbone, names, backbone.input_size)
    return model, model.outputs[names.index(layer)]


def _inputs_by_name(tensors: dict[str, Any], listed: set[str]) -> dict[str, tuple[str, ...]]:
    """For each layer the nearest listed ones before it."""
    names = {id(tensor): name for name, tensor in tensors.items()}
    found: dict[int, tuple[str, ...]] = {}

    def before(tensor: Any) -> tuple[str, ...]:
        """The listed layers that `tensor` stands for: itself, or what it is made of."""
        name = names.get(id(tensor))
        if name in listed:
            return (name,)
        if id(tensor) not in found:
            found[id(tensor)] = tuple(dict.fromkeys(one for each in _parents(tensor) for one in before(each)))
        return found[id(tensor)]

    return {
        name: tuple(dict.fromkeys(one for each in _parents(tensor) for one in before(each)))
        for name, tensor in tensors.items()
    }


def _parents(tensor: Any) -> Sequence[Any]:
    return graph.node_of(tensor).input_tensors


def _seen(model: keras.Model, wanted: Sequence[Any], cells: Sequence[tuple[int, int]]) -> _Rectangles:
    """What each of `cells` (y, x) of the tensors `wanted` sees of the input of `model`, as if maps had no borders."""
    nothing = np.full((2, len(wanted)), np.inf)
    found: dict[int, _Rectangles] = {}
    for place, (tensor, cell) in enumerate(zip(wanted, cells, strict=True)):
        if id(tensor) not in found:
            found[id(tensor)] = _Rectangles(nothing.copy(), -nothing)
        is_map = len(tensor.shape) == 4
        found[id(tensor)].low[:, place] = cell if is_map else -np.inf
        found[id(tensor)].high[:, place] = np.array(cell) + 1 if is_map else np.inf
    for node in reversed(list(graph.in_order(model))):
        for output in node.outputs:
            asked = found.pop(id(output), None)
            for source in node.input_tensors if asked is not None else ():
                found[id(source)] = asked.back(_rule(output, source)).hull(found.get(id(source)))
    return found.get(id(model.inputs[0]), _Rectangles(nothing, -nothing))


def _true_pixels(model: keras.Model, tensor: Any, cell: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Which rows and columns of the input (bool[height], bool[width]) can change `cell` (y, x) of `tensor`.

    Cells in the padding of any layer are made of nothing, and there may be holes. For cells that do not see everything.
    """
    found = {id(tensor): tuple(np.arange(size) == place for size, place in zip(tensor.shape[1:3], cell, strict=True))}
    for node in reversed(list(graph.in_order(model))):
        for output in node.outputs:
            asked = found.pop(id(output), None)
            for source in node.input_tensors if asked is not None else ():
                found[id(source)] = _true_cells(asked, _rule(output, source), source, found.get(id(source)))
    nothing = tuple(np.zeros(size, bool) for size in model.inputs[0].shape[1:3])
    return found.get(id(model.inputs[0]), nothing)


def _true_cells(
    asked: tuple[np.ndarray, ...], rule: tuple[_Axis, _Axis], source: Any, others: tuple[np.ndarray, ...] | None
) -> tuple[np.ndarray, ...]:
    """The rows and columns of `source` that `asked` are made of, and the `others`."""
    found = tuple(np.zeros(size, bool) for size in source.shape[1:3])
    for axis, cells, mask in zip(rule, asked, found, strict=True):
        sources = axis.sources(np.flatnonzero(cells))
        mask[sources[(sources >= 0) & (sources < len(mask))]] = True
    if not all(mask.any() for mask in found):
        found = tuple(np.zeros_like(mask) for mask in found)
    return found if others is None else tuple(a | b for a, b in zip(found, others, strict=True))


# --- The rules -------------------------------------------------------------------------------------------------------


def _rule(output: Any, source: Any) -> tuple[_Axis, _Axis] | None:
    """How the layer behind `output` computes its cells from those of `source`; `None`: from all of them."""
    operation = graph.operation_of(output)
    kind = type(operation)
    known = kind.__module__.partition(".")[0] == "keras" and getattr(operation, "data_format", None) != "channels_first"
    if not known or len(source.shape) != 4 or len(output.shape) != 4:
        return None
    name, sizes = kind.__name__, (source.shape[1:3], output.shape[1:3])
    if name in _SAME_CELL or (name in _ALONG_CHANNELS and _is_along_channels(operation)):
        return _same_cell(*sizes)
    if name in _WINDOWS:
        return _windows(operation, getattr(operation, _WINDOWS[name]), *sizes)
    if name == "Conv2DTranspose":
        # It is the way back of a convolution from its output to its input.
        small, large = sizes
        return tuple(_Transposed(each) for each in _windows(operation, operation.kernel_size, large, small))
    if name in ("ZeroPadding2D", "Cropping2D"):
        (top, _), (left, _) = operation.padding if name == "ZeroPadding2D" else operation.cropping
        sign = 1 if name == "ZeroPadding2D" else -1
        return _Window(before=sign * top), _Window(before=sign * left)
    if name in ("UpSampling2D", "Resizing"):
        return _resized(operation, *sizes)
    if (name == "GetItem" and _takes_channels(output)) or (name == "Repeat" and operation.axis in (-1, 3)):
        return _same_cell(*sizes)
    return None


def _is_along_channels(operation: Any) -> bool:
    if type(operation).__name__ == "EinsumDense":
        return operation.equation in ("abcd,de->abce", "...x,xy->...y")
    axis = operation.axis
    return axis in (-1, 3) or (isinstance(axis, (list, tuple)) and list(axis) in ([-1], [3]))


def _takes_channels(output: Any) -> bool:
    """Whether it is `x[..., something]`: the colours in another order, as some preprocessing has it."""
    arguments = graph.node_of(output).arguments
    given = (*arguments.args, *arguments.kwargs.values())
    key = given[1] if len(given) == 2 else None
    return isinstance(key, tuple) and len(key) == 2 and key[0] is Ellipsis


def _same_cell(size: tuple[int, int], out_size: tuple[int, int]) -> tuple[_Axis, _Axis] | None:
    if any(one != many and one != 1 for one, many in zip(size, out_size, strict=True)):
        return None
    down, across = (_SAME if one == many else _OnlyCell() for one, many in zip(size, out_size, strict=True))
    return down, across


def _windows(operation: Any, kernel: Any, size: tuple[int, int], out_size: tuple[int, int]) -> tuple[_Window, ...]:
    """One for each axis. TensorFlow's padding "same" puts the smaller half before the first cell."""
    strides, dilations = operation.strides or kernel, getattr(operation, "dilation_rate", 1)
    windows = []
    for axis in range(2):
        side, stride, dilation = (_of_axis(each, axis) for each in (kernel, strides, dilations))
        padding = (out_size[axis] - 1) * stride + (side - 1) * dilation + 1 - size[axis]
        before = max(padding, 0) // 2 if operation.padding == "same" else 0
        windows.append(_Window(side, stride, dilation, before))
    return tuple(windows)


def _of_axis(value: Any, axis: int) -> int:
    return value if isinstance(value, int) else value[axis]


def _resized(operation: Any, size: tuple[int, int], out_size: tuple[int, int]) -> tuple[_Axis, _Axis] | None:
    odd = ("antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio")
    if operation.interpolation not in ("nearest", "bilinear") or any(getattr(operation, each, False) for each in odd):
        return None
    smoothly = operation.interpolation == "bilinear"
    down, across = (_Resized(old, old / new, smoothly) for old, new in zip(size, out_size, strict=True))
    return down, across


# --- The cost --------------------------------------------------------------------------------------------------------


def _multiply_adds(output: Any) -> int:
    """The multiplications of convolutions, dense and recurrent layers, and attentions for one image; 0 for everything
    else."""
    operation = graph.operation_of(output)
    name = type(operation).__name__
    if name == "TimeDistributed":
        return _product(output.shape[1:-1]) * _kernels(operation) if type(operation.layer).__name__ == "Dense" else 0
    if name in ("Conv1D", "Conv2D", "Conv3D", "DepthwiseConv1D", "DepthwiseConv2D", "Dense"):
        return _product(output.shape[1:-1]) * _kernels(operation)
    if name in ("SeparableConv1D", "SeparableConv2D"):
        each = _product(operation.depthwise_kernel.shape) + _product(operation.pointwise_kernel.shape)
        return _product(output.shape[1:-1]) * each
    if name in ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"):
        return _product(_parents(output)[0].shape[1:-1]) * _kernels(operation)
    if name in ("LSTM", "GRU", "SimpleRNN", "Bidirectional"):
        return _product(_parents(output)[0].shape[1:-1]) * _kernels(operation)
    if name == "EinsumDense":
        return _of_einsum(operation, output)
    if name == "MultiHeadAttention":
        return _of_attention(operation, output)
    return 0


def _kernels(operation: Any) -> int:
    """The numbers in all kernels of a layer and of what it wraps: each is a factor once for each place or step."""
    kernels = [weight for weight in operation.weights if weight.name.endswith("kernel")]
    return sum(_product(weight.shape) for weight in kernels)


def _of_einsum(operation: Any, output: Any) -> int:
    """One multiplication for each number of the output and each that is summed over."""
    inputs, _, result = operation.equation.partition("->")
    letters = inputs.partition(",")[2].replace(".", "")
    if len(letters) != len(operation.kernel.shape):
        return 0
    summed = [side for letter, side in zip(letters, operation.kernel.shape, strict=True) if letter not in result]
    return _product(output.shape[1:]) * _product(summed)


def _of_attention(operation: Any, output: Any) -> int:
    """Its four projections, and for each pair of places two products of a head's length."""
    query, *others = _parents(output)
    value = others[0] if others else query
    key = others[1] if len(others) > 1 else value
    places, seen = _product(query.shape[1:-1]), _product(value.shape[1:-1])
    try:
        heads, key_dim, value_dim = operation.num_heads, operation.key_dim, operation.value_dim or operation.key_dim
        widths = query.shape[-1] * key_dim, key.shape[-1] * key_dim, value.shape[-1] * value_dim
        projections = heads * (places * widths[0] + seen * widths[1] + seen * widths[2])
        back = places * heads * value_dim * output.shape[-1]
    except (AttributeError, TypeError):
        return 0
    return projections + back + heads * places * seen * (key_dim + value_dim)


def _product(sizes: Any) -> int:
    return 0 if any(size is None for size in sizes) else math.prod(int(size) for size in sizes)
