"""Networks that hold their channels before height and width, turned while they are walked through.

TensorFlow cannot compute convolutions that way on a processor (and XLA, which can, does so wrongly), and nothing else
here expects it. Each layer is replaced by its twin of the same weights for channels that come last; what is not known
stays as it is, between transpositions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras

from core.backbones import graph
from core.errors import UserError

Call = Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What computes each number from the numbers at the same place only (in inference mode), wherever that is.
_ELEMENTWISE = _words("""
    Activation ReLU LeakyReLU ELU Identity Dropout AlphaDropout GaussianDropout GaussianNoise ActivityRegularization
    Rescaling
    Add Subtract Multiply Average Maximum Minimum Divide TrueDivide Power
    Absolute Cast Clip Exp Log Negative Sqrt Square Tanh Elu Gelu HardSigmoid HardSilu LeakyRelu Relu Relu6 Selu Sigmoid
    Silu Softplus Softsign HardTanh Celu LogSigmoid
    """)
_ALONG_AN_AXIS = _words("""
    BatchNormalization LayerNormalization GroupNormalization RMSNormalization UnitNormalization Softmax LogSoftmax
    Concatenate
    """)
_KEEPS_ITS_SHAPE = _words("Normalization PReLU LayerNormalization Softmax UnitNormalization LayerScale Clip")
_UNDECIDED = _words("Flatten")  # has a data format that nobody sets


def is_channels_first(functional: Any, place: int) -> bool:
    """Whether the functional model's input number `place` has its channels before its sides.

    Told by the first layer behind it that says so, else by its shape: 3 × 32 × 32 is no picture 3 high.
    """
    source = functional.inputs[place]
    if len(source.shape) not in (3, 4, 5):
        return False
    formats = list(_data_formats(functional, source))
    if formats:
        return formats[0] == "channels_first"
    return len(source.shape) == 4 and source.shape[1] in (1, 3) and source.shape[3] not in (1, 2, 3, 4)


def _data_formats(functional: Any, source: Any) -> Iterator[str]:
    """What the layers that read `source`, itself or what its numbers become one by one, say of the order of axes."""
    reached = {id(source)}
    for node in graph.in_order(functional):
        places = [place for place, tensor in enumerate(node.input_tensors) if id(tensor) in reached]
        if not places:
            continue
        nested = graph.functional_of(node.operation)
        if nested is not None:
            yield from (one for place in places for one in _data_formats(nested, nested.inputs[place]))
            continue
        kind = type(node.operation).__name__
        inner = getattr(node.operation, "layer", node.operation)
        data_format = getattr(inner, "data_format", None)
        if data_format is not None and kind not in _UNDECIDED:
            yield data_format
        elif kind in _ELEMENTWISE | _ALONG_AN_AXIS | _KEEPS_ITS_SHAPE:
            reached.update(id(output) for output in node.outputs)


class ChannelsLast:
    """For one walk through a model (`graph.flatten`) whose input number `place` is turned: it calls the twins.

    It knows which of the new graph's tensors have their channels last where the model has them first.
    """

    def __init__(self, place: int):
        self._place = place
        self._turned: dict[int, Any] = {}  # by id; the tensors are held, so that no other gets theirs
        self._transposed: dict[tuple[int, bool], Any] = {}
        self._twins: dict[int, tuple[Any, Any]] = {}

    def begin(self, arguments: list[Any]) -> None:
        """`arguments` are what the model's inputs are given; that of `place` has its channels last already."""
        self._turn(arguments[self._place])

    def same(self, old: Any, new: Any) -> None:
        """`new` is `old` in another precision."""
        if id(old) in self._turned:
            self._turn(new)

    def call(self, operation: Any, arguments: tuple[Any, ...], named: dict[str, Any], call: Call) -> Any:
        """What `call(operation, arguments, named)` gives, with all that has its channels first turned."""
        data_format = getattr(operation, "data_format", None)
        tensors = [each for each in keras.tree.flatten((arguments, named)) if keras.backend.is_keras_tensor(each)]
        is_turned = any(id(tensor) in self._turned for tensor in tensors)
        if _holds_channels_first(operation):
            raise UserError(
                f"The network's layer {operation.name!r} works on channels that come before height and width, inside "
                "of a layer of steps: that cannot be looked into here."
            )
        if data_format == "channels_first":
            return self._by_twin(operation, {"data_format": "channels_last"}, arguments, named, call)
        if not is_turned:
            return call(operation, arguments, named)
        kind, rank = type(operation).__name__, max(len(tensor.shape) for tensor in tensors)
        if kind in _ELEMENTWISE and all(_fits(each, rank) for each in keras.tree.flatten((arguments, named))):
            return self._marked(call(operation, *self._all(arguments, named, last=True)))
        axis = getattr(operation, "axis", None)
        if kind in _ALONG_AN_AXIS and type(axis) is int and all(len(tensor.shape) == rank for tensor in tensors):
            return self._by_twin(operation, {"axis": _moved(axis, rank)}, arguments, named, call)
        outputs = call(operation, *self._all(arguments, named, last=False))
        if kind in _KEEPS_ITS_SHAPE:
            return self._to(outputs, last=True)
        return outputs

    def _by_twin(
        self, operation: Any, changes: dict[str, Any], arguments: tuple[Any, ...], named: dict[str, Any], call: Call
    ) -> Any:
        known = self._twins.get(id(operation))
        twin = type(operation).from_config({**operation.get_config(), **changes}) if known is None else known[1]
        outputs = self._marked(call(twin, *self._all(arguments, named, last=True)))
        if known is None:
            self._twins[id(operation)] = (operation, twin)
            graph.copy_weights(operation, twin)
        return outputs

    def _all(self, arguments: Any, named: Any, *, last: bool) -> tuple[Any, Any]:
        return keras.tree.map_structure(lambda each: self._to(each, last=last), (arguments, named))

    def _to(self, tensor: Any, *, last: bool) -> Any:
        if not keras.backend.is_keras_tensor(tensor) or len(tensor.shape) < 3 or (id(tensor) in self._turned) == last:
            return tensor
        if (id(tensor), last) not in self._transposed:
            rank = len(tensor.shape)
            axes = (0, *range(2, rank), 1) if last else (0, rank - 1, *range(1, rank - 1))
            other = keras.ops.transpose(tensor, axes)
            other._keras_history.operation.name = f"{graph.PREFIX}turned_{len(self._transposed) + 1}"
            if last:
                self._turn(other)
            self._transposed[id(tensor), last] = other
            self._transposed[id(other), not last] = tensor
        return self._transposed[id(tensor), last]

    def _marked(self, outputs: Any) -> Any:
        for tensor in keras.tree.flatten(outputs):
            if len(tensor.shape) >= 3:
                self._turn(tensor)
        return outputs

    def _turn(self, tensor: Any) -> None:
        self._turned[id(tensor)] = tensor


def _holds_channels_first(operation: Any) -> bool:
    inner = getattr(operation, "layer", None) or getattr(operation, "cell", None)
    return getattr(inner, "data_format", None) == "channels_first"


def _fits(value: Any, rank: int) -> bool:
    """Whether an argument means the same whichever way the others are turned."""
    if keras.backend.is_keras_tensor(value):
        return len(value.shape) in (0, rank)
    return value is None or isinstance(value, (bool, int, float, str)) or getattr(value, "ndim", None) == 0


def _moved(axis: int, rank: int) -> int:
    """Where an axis is once the channels come last."""
    axis = axis % rank
    return axis if axis == 0 else rank - 1 if axis == 1 else axis - 1
