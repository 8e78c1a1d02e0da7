"""How much of a machine a person's network may take, counted on the network as it was built without memory."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.common import global_state

from core import device
from core.backbones import graph, layer_settings
from core.backbones.understanding import Understood
from core.errors import UserError

_MAX_WEIGHT_BYTES = 2_400_000_000
_MAX_UNUSED = 1_000_000  # numbers in layers that the model does not use
_MAX_ACTIVATION_BYTES = 1024**3  # of one layer's output for one image
_MAX_CALLS = 20_000  # of the layers in one that calls them step by step
_DEFAULT_SIZE = 224
_DEFAULT_SIZE_3D = 64


class NoRoom(UserError):
    """There is not enough memory for the network now, in this process."""


def made_here() -> list[keras.Variable]:
    """The variables without memory that were made in this thread, also those that no model knows of."""
    return list(global_state.get_global_attribute("uninitialized_variables") or [])


def check_weights(name: str, model: keras.Model, made: list[keras.Variable], in_file: int) -> int:
    """How many parameters `model` has, where they are not more than the numbers in the file, and not too many.

    `made` are all the variables that came of building it. Raises `UserError` with `name` in its sentence.
    """
    parameters = int(model.count_params())
    size = sum(math.prod(weight.shape) * _item_bytes(weight.dtype) for weight in model.weights)
    if size > _MAX_WEIGHT_BYTES:
        raise UserError(
            f"{name} is refused: {parameters:,} parameters take {size:,} bytes; up to {_MAX_WEIGHT_BYTES:,} are opened."
        )
    if parameters > in_file:
        raise UserError(
            f"{name} is refused: its model has {parameters:,} parameters, but the file holds only {in_file:,} numbers."
        )
    if sum(math.prod(variable.shape) for variable in made) > parameters + _MAX_UNUSED:
        raise UserError(f"{name} is refused: it has large layers that its model does not use.")
    return parameters


def check_memory(name: str, model: keras.Model) -> None:
    """Whether there is room for the numbers of `model`, which has none yet, and for reading them: of the largest list
    three copies for a moment, of all two. Raises `NoRoom`; otherwise the process would be ended for its memory."""
    sizes = [math.prod(weight.shape) * _item_bytes(weight.dtype) for weight in model.weights]
    needed, free = max(2 * sum(sizes), sum(sizes) + 2 * max(sizes, default=0)), max(0, device.free_bytes())
    if needed > free:
        raise NoRoom(
            f"The network in {name} is too large for this machine now: opening it takes {needed / 1e9:.1f} GB of "
            f"memory, and {free / 1e9:.1f} GB are free. Close other programs, or open it on a larger machine."
        )


def check_layers(name: str, found: Understood) -> None:
    """Limit what any one layer needs for one image, whatever its number of dimensions."""
    inputs = {f"input {place}": tensor for place, tensor in enumerate(found.flat.inputs)}
    for layer, tensor in {**inputs, **found.tensors}.items():
        size, shown = _bytes_of(tensor), layer_settings.shown(layer)
        if size > _MAX_ACTIVATION_BYTES:
            needs = f"{size // 1024**3:,} GB" if size < 10**15 else "more memory than there is"
            raise UserError(f"{name} is refused: its layer {shown} would need {needs} for one image.")
        calls = _calls(tensor._keras_history.operation, tuple(tensor.shape))
        if calls > _MAX_CALLS:
            raise UserError(
                f"{name} is refused: its layer {shown} would be computed step by step, {calls:,} times for one image; "
                f"up to {_MAX_CALLS:,} are possible."
            )


def _bytes_of(tensor: Any) -> int:
    """What a symbolic tensor takes for one example, and what a layer of attention takes on the way to it."""
    lengths = list(tensor.shape[1:])
    default = _DEFAULT_SIZE if lengths.count(None) <= 2 else _DEFAULT_SIZE_3D
    lengths = [default if length is None else int(length) for length in lengths]
    size = math.prod(lengths)
    operation = tensor._keras_history.operation
    if "Attention" in type(operation).__name__ and len(lengths) > 1:
        heads = getattr(operation, "num_heads", getattr(operation, "num_query_heads", 1))
        size = max(size, heads * math.prod(lengths[:-1]) ** 2)
    return max(4, _item_bytes(tensor.dtype)) * size


def _item_bytes(dtype: str) -> int:
    return tf.as_dtype(dtype).size


def _calls(operation: Any, shape: tuple[int | None, ...]) -> int:
    """How many calls of layers Keras makes of one call: `TimeDistributed` has no loop but makes one for each step.

    `shape` is that of what `operation` gives out, `[B, steps, ...]`.
    """
    if isinstance(operation, keras.layers.TimeDistributed):
        return (shape[1] or 1) * _calls(operation.layer, (shape[0], *shape[2:]))
    if isinstance(operation, keras.Model):
        return sum(_calls(each, _output_shape(each)) for each in graph.functional_of(operation).operations)
    return 0 if isinstance(operation, keras.layers.InputLayer) else 1


def _output_shape(operation: Any) -> tuple[int | None, ...]:
    return tuple(operation._inbound_nodes[-1].output_tensors[0].shape)
