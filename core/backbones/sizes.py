"""A network at another photo size than its own: all of it that can be computed there.

Convolutions take maps of any size; what lies behind a flattening does not. The weights are shared with the network at
its own size, which is loaded once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras

from core.backbones import graph, receptive
from core.backbones.backbone import Backbone
from core.errors import UserError

LARGEST = 2048  # pixels, each way
_FAILURES = (ValueError, TypeError, ArithmeticError, IndexError, AttributeError)  # of layers, on unsuitable sizes


def at_size(backbone: Backbone, size: tuple[int, int]) -> Backbone:
    """`backbone` for photos of `size` (height, width); itself where that is its own size.

    Its `model` ends in the prediction where that can be computed, else in the last layer on the way there that can.
    Layers that cannot be computed are left out, and a note says how many. Raises `UserError` for what is no size, for a
    network that reads text, and where there is nothing left.
    """
    height, width = _checked(size)
    if backbone.reads == "text":
        raise UserError(f"{backbone.title} reads text; it has no photo whose size could be another.")
    if (height, width) == tuple(backbone.input_size) and None not in backbone.model.inputs[0].shape[1:3]:
        return backbone
    inputs, values = _computed(backbone, (height, width))
    tensors = _tensors(backbone, values)
    if not tensors:
        least, own = _least(backbone), tuple(backbone.input_size)
        wanted = f"it needs {own[0]} × {own[1]}"
        if least is not None and own != (least, least):
            wanted = f"the least that works is {least} × {least}"
        raise UserError(f"No layer of {backbone.title} can be computed at {height} × {width} pixels: {wanted}.")
    output, is_whole = _output(backbone, values)
    model = keras.Model(inputs, output, name=backbone.model.name)
    return replace(
        backbone,
        ref=replace(backbone.ref, size=(height, width)),
        model=model,
        tensors=tensors,
        layers=receptive.describe_layers(model, tensors, (height, width)),
        input_size=(height, width),
        class_names=backbone.class_names if is_whole else None,
        own_size=tuple(backbone.input_size),
        notes=(*backbone.notes, *_missing(backbone, len(backbone.layers) - len(tensors), (height, width))),
    )


def _checked(size: tuple[int, int]) -> tuple[int, int]:
    if len(size) != 2 or not all(isinstance(side, int) and 1 <= side <= LARGEST for side in size):
        shown = " × ".join(str(side) for side in size)
        raise UserError(f"A photo's size is its height and width, from 1 to {LARGEST:,} pixels; {shown} is none.")
    return int(size[0]), int(size[1])


def _computed(backbone: Backbone, size: tuple[int, int]) -> tuple[Any, dict[int, Any]]:
    """The input of that size, and for the `id` of every tensor of the flat graph its like there, if there is one."""
    source = backbone.model.inputs[0]
    wanted = {id(tensor): tensor for tensor in (*backbone.tensors.values(), *backbone.model.outputs)}
    inputs = keras.Input((*size, source.shape[-1]), dtype=source.dtype, name=source._keras_history.operation.name)
    return inputs, computed(keras.Model(source, list(wanted.values())), inputs)


def computed(model: keras.Model, inputs: Any) -> dict[int, Any]:
    """For the `id` of every tensor of the flat `model` its like for another symbolic input, where there is one."""
    values = {id(model.inputs[0]): inputs}
    with graph.building():
        for node in graph.in_order(model):
            if not _can_be_called(node, values):
                continue
            arguments, named = node.arguments.fill_in(values)
            outputs = _attempt(node.operation, arguments, named)
            if outputs is not None and all(_is_there(each) for each in outputs):
                values.update((id(old), new) for old, new in zip(node.outputs, outputs, strict=True))
    return values


def _can_be_called(node: Any, values: dict[int, Any]) -> bool:
    """Not every layer finds out that it is given more or fewer numbers than it has weights for."""
    if any(id(tensor) not in values for tensor in node.input_tensors):
        return False
    operation = graph.operation_of(node.outputs[0])
    if not getattr(operation, "weights", None):
        return True
    return all(has_its_channels(tensor, values[id(tensor)]) for tensor in node.input_tensors)


def _attempt(operation: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> list[Any] | None:
    try:
        graph.check_shapes(operation, arguments)
        return keras.tree.flatten(graph.infer(operation, arguments, named))
    # What a layer raises on a size that does not suit it is its own affair.
    except _FAILURES:
        return None


def _is_there(tensor: Any) -> bool:
    return all(side is None or side > 0 for side in tensor.shape)


def _tensors(backbone: Backbone, values: dict[int, Any]) -> dict[str, Any]:
    """The layers that can be computed, and whose channels are still those that they have."""
    return {
        name: values[id(tensor)]
        for name, tensor in backbone.tensors.items()
        if id(tensor) in values and has_its_channels(tensor, values[id(tensor)])
    }


def has_its_channels(own: Any, other: Any) -> bool:
    """Flattening can be computed at any size, but what comes out are other units."""
    return not own.shape or own.shape[-1] in (None, other.shape[-1])


def _output(backbone: Backbone, values: dict[int, Any]) -> tuple[Any, bool]:
    """The prediction, or the last tensor on the way there; and which of the two it is."""
    output = backbone.model.outputs[0]
    if id(output) in values and has_its_channels(output, values[id(output)]):
        return values[id(output)], True
    last = None
    for node in graph.in_order(backbone.model):
        for tensor in node.outputs:
            if id(tensor) in values and has_its_channels(tensor, values[id(tensor)]):
                last = values[id(tensor)]
    return last, False


def _missing(backbone: Backbone, count: int, size: tuple[int, int]) -> list[str]:
    if count <= 0:
        return []
    own = " × ".join(str(side) for side in backbone.input_size)
    layers, exist, need = f"Its {count} last layers", "exist", "need"
    if count == 1:
        layers, exist, need = "Its last layer", "exists", "needs"
    is_smaller = all(side <= own_side for side, own_side in zip(size, backbone.input_size, strict=True))
    if is_smaller and not backbone.sizes_fixed:
        return [f"{layers} {need} larger photos than {size[0]} × {size[1]}."]
    return [f"{layers} {exist} only at {own}."]


def _least(backbone: Backbone) -> int | None:
    """The smallest square at which there is any layer; `None` where there is none below the network's own size."""
    low, high = 0, min(backbone.input_size)

    def works(side: int) -> bool:
        return bool(_tensors(backbone, _computed(backbone, (side, side))[1]))

    if not works(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if works(middle) else (middle, high)
    return high
