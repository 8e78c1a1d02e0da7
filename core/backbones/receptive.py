"""What one cell of a layer can see of the photo, and what a layer costs: from the graph alone, no image needed.

Theoretical receptive fields are found by going back from a cell: a convolution's cell is computed from a rectangle of
cells of the layer before, and so on until the pixels; where branches meet, the smallest rectangle around all of them
counts. The real sizes of the maps are used, because "same" padding of a stride depends on them. The arithmetic is that
of Araujo, Norris and Sim, *Computing Receptive Fields of Convolutional Neural Networks*, Distill 2019.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

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


@dataclass(frozen=True)
class _Cells:
    """Rectangles of cells of one tensor, one for each question asked: `low` to `high`, half open, `float64[2, 2, N]`.

    The first axis tells apart the rectangles as if the maps went on beyond their borders from those of true cells. The
    second is (y, x). Nothing at all is (∞, −∞), everything whatever its size is (−∞, ∞).
    """

    low: np.ndarray
    high: np.ndarray

    def hull(self, other: _Cells | None) -> _Cells:
        if other is None or other is self:
            return self
        return _Cells(np.minimum(self.low, other.low), np.maximum(self.high, other.high))

    def everything(self) -> _Cells:
        asked = self.low < self.high
        return _Cells(np.where(asked, -np.inf, np.inf), np.where(asked, np.inf, -np.inf))

    def only_cell(self, axes: np.ndarray) -> _Cells:
        """Cell 0 along `axes` (bool[2]), where all cells use the same one."""
        chosen = axes[None, :, None] & (self.low < self.high)
        return _Cells(np.where(chosen, 0.0, self.low), np.where(chosen, 1.0, self.high))

    def within(self, size: tuple[int, int]) -> _Cells:
        """True cells are inside of the map; those in the padding are made of nothing."""
        low, high = self.low.copy(), self.high.copy()
        limit = np.asarray(size, np.float64)[:, None]
        low[1] = np.where(np.isneginf(low[1]), low[1], np.maximum(low[1], 0.0))
        high[1] = np.where(np.isposinf(high[1]), high[1], np.minimum(high[1], limit))
        nothing = (low >= high).any(axis=1, keepdims=True)
        return _Cells(np.where(nothing, np.inf, low), np.where(nothing, -np.inf, high))


_Rule = Callable[[_Cells], _Cells]


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
    low, high = seen.low[0], seen.high[0]
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
    seen = _seen(model, [tensor], [cell])
    if np.isneginf(seen.low[0]).any():
        return None
    return _rectangle(seen, model.inputs[0].shape[1:3])


def _rectangle(seen: _Cells, size: tuple[int, int]) -> Region:
    """The only rectangle: its true pixels, and beyond the border what lies in the padding."""
    (wide_low, low), (wide_high, high) = seen.low[:, :, 0], seen.high[:, :, 0]
    limit = np.array(size)
    if (low >= high).any():  # made of padding alone, or of nothing
        outside = (wide_low < wide_high).all() and ((wide_high <= 0) | (wide_low >= limit)).any()
        low, high = (wide_low, wide_high) if outside else (np.zeros(2), np.zeros(2))
    else:
        low = np.where((low == 0) & (wide_low < 0), wide_low, low)
        high = np.where((high == limit) & (wide_high > limit), wide_high, high)
    return Region(int(low[0]), int(low[1]), int(high[0]), int(high[1]))


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
        return model, tensors
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


def _sized_layer(backbone: Backbone, layer: str) -> tuple[keras.Model, Any]:
    if None not in backbone.model.inputs[0].shape[1:3]:
        return backbone.model, backbone.tensor(layer)
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
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index].input_tensors


def _seen(model: keras.Model, wanted: Sequence[Any], cells: Sequence[tuple[int, int]]) -> _Cells:
    """What each of `cells` (y, x) of the tensors `wanted` sees of the input of `model`; all in one pass."""
    found: dict[int, _Cells] = {}
    asked: dict[int, list[int]] = {}
    by_id = {id(tensor): tensor for tensor in wanted}
    for place, tensor in enumerate(wanted):
        asked.setdefault(id(tensor), []).append(place)
    for key, places in asked.items():
        found[key] = _questions(places, cells, spatial=len(by_id[key].shape) == 4)
    for level in sorted(model._nodes_by_depth):
        for node in model._nodes_by_depth[level]:
            if node.is_input:
                continue
            cells_out = None
            for tensor in node.outputs:
                part = found.pop(id(tensor), None)
                cells_out = cells_out if part is None else part.hull(cells_out)
            if cells_out is None:
                continue
            for tensor in node.input_tensors:
                found[id(tensor)] = _rule(node, tensor)(cells_out).hull(found.get(id(tensor)))
    nothing = np.full((2, 2, len(wanted)), np.inf)
    return found.get(id(model.inputs[0]), _Cells(nothing, -nothing))


def _questions(places: list[int], cells: Sequence[tuple[int, int]], *, spatial: bool) -> _Cells:
    low = np.full((2, 2, len(cells)), np.inf)
    high = -low
    chosen = np.array([cells[place] for place in places], np.float64).T
    low[:, :, places] = chosen if spatial else -np.inf
    high[:, :, places] = chosen + 1 if spatial else np.inf
    return _Cells(low, high)


# --- The rules -------------------------------------------------------------------------------------------------------


def _rule(node: Any, source: Any) -> _Rule:
    """From the cells of the node's output to those of its input `source` that they are computed from."""
    operation = graph.operation_of(node.outputs[0])
    output = node.outputs[0]
    kind = type(operation)
    known = kind.__module__.partition(".")[0] == "keras" and getattr(operation, "data_format", None) != "channels_first"
    if not known or len(source.shape) != 4 or len(output.shape) != 4:
        return _Cells.everything
    size, out_size = tuple(source.shape[1:3]), tuple(output.shape[1:3])
    if kind.__name__ in _SAME_CELL or (kind.__name__ in _ALONG_CHANNELS and _is_along_channels(operation)):
        return _same_cell(size, out_size)
    if kind.__name__ in _WINDOWS:
        return _window(operation, getattr(operation, _WINDOWS[kind.__name__]), size, out_size)
    other = {
        "Conv2DTranspose": _transposed,
        "ZeroPadding2D": _padded,
        "Cropping2D": _cropped,
        "UpSampling2D": _resized,
        "Resizing": _resized,
        "GetItem": _taken,
    }.get(kind.__name__)
    return other(operation, node, size, out_size) if other else _Cells.everything


def _is_along_channels(operation: Any) -> bool:
    if type(operation).__name__ == "EinsumDense":
        return operation.equation in ("abcd,de->abce", "...x,xy->...y")
    axis = operation.axis
    return axis in (-1, 3) or (isinstance(axis, (list, tuple)) and list(axis) in ([-1], [3]))


def _same_cell(size: tuple[int, int], out_size: tuple[int, int]) -> _Rule:
    spread = np.array([one == 1 and many != 1 for one, many in zip(size, out_size, strict=True)])
    if spread.any():
        return lambda cells: cells.only_cell(spread)
    if size != out_size:
        return _Cells.everything
    return lambda cells: cells


def _pair(value: Any) -> np.ndarray:
    """One number or (down, across), as a column."""
    pair = (value, value) if isinstance(value, int) else tuple(value)
    return np.array(pair, np.float64)[:, None]


def _window(operation: Any, kernel: Any, size: tuple[int, int], out_size: tuple[int, int]) -> _Rule:
    """Convolutions and poolings: a window that moves by the stride."""
    strides, dilation = _pair(operation.strides or kernel), _pair(getattr(operation, "dilation_rate", 1))
    reach = (_pair(kernel) - 1) * dilation + 1
    before = _same_padding(_pair(out_size), _pair(size), strides, reach) if operation.padding == "same" else 0.0

    def back(cells: _Cells) -> _Cells:
        return _Cells(cells.low * strides - before, (cells.high - 1) * strides - before + reach).within(size)

    return back


def _same_padding(small: np.ndarray, large: np.ndarray, strides: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """How much TensorFlow's padding "same" puts before the first of `large` cells: the smaller half."""
    return np.maximum((small - 1) * strides + reach - large, 0) // 2


def _transposed(operation: Any, node: Any, size: tuple[int, int], out_size: tuple[int, int]) -> _Rule:
    strides = _pair(operation.strides)
    reach = (_pair(operation.kernel_size) - 1) * _pair(operation.dilation_rate) + 1
    before = _same_padding(_pair(size), _pair(out_size), strides, reach) if operation.padding == "same" else 0.0

    def back(cells: _Cells) -> _Cells:
        low = np.ceil((cells.low + before - (reach - 1)) / strides)
        high = np.floor((cells.high - 1 + before) / strides) + 1
        return _Cells(low, high).within(size)

    return back


def _shifted(by: np.ndarray, size: tuple[int, int]) -> _Rule:
    return lambda cells: _Cells(cells.low + by, cells.high + by).within(size)


def _padded(operation: Any, node: Any, size: tuple[int, int], out_size: tuple[int, int]) -> _Rule:
    (top, _), (left, _) = operation.padding
    return _shifted(-_pair((top, left)), size)


def _cropped(operation: Any, node: Any, size: tuple[int, int], out_size: tuple[int, int]) -> _Rule:
    (top, _), (left, _) = operation.cropping
    return _shifted(_pair((top, left)), size)


def _resized(operation: Any, node: Any, size: tuple[int, int], out_size: tuple[int, int]) -> _Rule:
    """Enlarged or shrunk without smoothing: pixels' middles correspond, as in TensorFlow's `image.resize`."""
    odd = ("antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio")
    if operation.interpolation not in ("nearest", "bilinear") or any(getattr(operation, each, False) for each in odd):
        return _Cells.everything
    scale = _pair(size) / _pair(out_size)
    if operation.interpolation == "nearest":

        def back(cells: _Cells) -> _Cells:
            low, high = np.floor((cells.low + 0.5) * scale), np.floor((cells.high - 0.5) * scale) + 1
            return _Cells(low, high).within(size)

    else:

        def back(cells: _Cells) -> _Cells:
            low, high = np.floor((cells.low + 0.5) * scale - 0.5), np.ceil((cells.high - 0.5) * scale - 0.5) + 1
            # Beyond the border the outermost cells are repeated, which are true ones.
            last = _pair(size) - 1
            true_low, true_high = np.minimum(low[1], last), np.maximum(high[1], 1)
            asked = cells.low[1] < cells.high[1]
            low[1], high[1] = np.where(asked, true_low, np.inf), np.where(asked, true_high, -np.inf)
            return _Cells(low, high).within(size)

    return back


def _taken(operation: Any, node: Any, size: tuple[int, int], out_size: tuple[int, int]) -> _Rule:
    """`x[..., something]`: the colours in another order, as some preprocessing does."""
    arguments = (*node.arguments.args, *node.arguments.kwargs.values())
    key = arguments[1] if len(arguments) == 2 else None
    along_channels = isinstance(key, tuple) and len(key) == 2 and key[0] is Ellipsis
    return _same_cell(size, out_size) if along_channels else _Cells.everything


# --- The cost --------------------------------------------------------------------------------------------------------


def _multiply_adds(output: Any) -> int:
    """The multiplications of convolutions and dense layers for one image; 0 for everything else."""
    operation = graph.operation_of(output)
    name = type(operation).__name__
    if name in ("Conv1D", "Conv2D", "Dense"):
        return _product(output.shape[1:-1]) * _product(operation.kernel.shape)
    if name == "DepthwiseConv2D":
        return _product(output.shape[1:-1]) * _product(operation.kernel.shape)
    if name == "SeparableConv2D":
        each = _product(operation.depthwise_kernel.shape) + _product(operation.pointwise_kernel.shape)
        return _product(output.shape[1:-1]) * each
    if name == "Conv2DTranspose":
        return _product(_parents(output)[0].shape[1:-1]) * _product(operation.kernel.shape)
    return 0


def _product(sizes: Any) -> int:
    return 0 if any(size is None for size in sizes) else math.prod(int(size) for size in sizes)
