"""One cell of one channel's map: what of the photo it can see, what it does see, and how its value comes about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from core import images as pictures
from core.arithmetic import Input, Task, explain, input_number
from core.backbones import graph, loading, receptive
from core.backbones.backbone import Backbone
from core.backbones.compiled import CompiledPerModel
from core.errors import UserError
from core.messages import Arithmetic, Cell, CellRequest, Source

_compiled = CompiledPerModel(most=16)
_FAR_OFF = 1e-3  # relative to the sum of the sizes of all products; float32 is better by far, bfloat16 is not
# What changes each colour by itself: red is still red behind it.
_PER_COLOUR = {"Rescaling", "Normalization", "ZeroPadding2D", "Cropping2D", "Identity", "Cast", "TrueDivide"}


def look(request: CellRequest) -> Cell:
    """The requested cell; raises `UserError` where the layer, the channel or the cell is not there."""
    backbone = loading.load(request.model)
    seen = pictures.fit(request.photo.pixels, backbone.input_size)
    return look_at(backbone, seen, request.layer, request.channel, (request.y, request.x))


def look_at(backbone: Backbone, seen: np.ndarray, layer: str, channel: int, cell: tuple[int, int] = (0, 0)) -> Cell:
    """`look` for a photo at the network's own size, `uint8[h, w, 3]`, and row and column of a cell.

    Values that the layer gets and gives come from one run of one compiled graph for each layer; so does the gradient.
    """
    call = _Call.of(backbone, layer)
    pixels = backbone.preprocessing(seen[None])
    size = pixels.shape[1:3]
    run = _compiled.get(backbone.model, (layer, size), lambda: _compile(backbone, call, size))
    place = _place(layer, tuple(run.outputs[-2].shape[1:]), channel, cell)
    *inputs, outputs, gradient = (each.numpy()[0] for each in run(tf.constant(pixels), tf.constant(place)))
    value = float(outputs[place])
    return Cell(
        value=value,
        region=receptive.region(backbone, layer, cell) if len(place) == 3 else None,
        influence=_influence(gradient, backbone),
        seen=backbone.taken_of(seen),
        arithmetic=_explained(call, inputs, outputs.shape, place, value),
    )


@dataclass(frozen=True)
class _Call:
    """One call of a layer in the flat graph: what it computes with (symbolic tensors), and what comes out."""

    operation: Any
    inputs: tuple[Any, ...]
    operands: tuple[Any, ...]
    again: Any  # from an array in the place of the first input to the output
    sources: tuple[Source, ...]
    output: Any

    @classmethod
    def of(cls, backbone: Backbone, layer: str) -> _Call:
        output = backbone.tensor(layer)
        node = graph.node_of(output)
        inputs = list({id(tensor): tensor for tensor in node.input_tensors}.values())
        order = {id(tensor): input_number(index) for index, tensor in enumerate(inputs)}
        given = keras.tree.flatten((node.arguments.args, node.arguments.kwargs))
        operands = [order.get(id(each), each) for each in given if not isinstance(each, (bool, str, type(None)))]
        names = {id(tensor): name for name, tensor in reversed(backbone.tensors.items())}
        names |= {id(tensor): "" for tensor in backbone.model.inputs}
        sources = [
            Source(names.get(id(tensor)), tuple(tensor.shape[1:]), _colours(backbone, tensor)) for tensor in inputs
        ]

        def again(values: Any) -> Any:
            arguments, named = node.arguments.fill_in({id(inputs[0]): values})
            return graph.infer(node.operation, arguments, dict(named))

        return cls(graph.operation_of(output), tuple(inputs), tuple(operands), again, tuple(sources), output)

    @property
    def shape(self) -> tuple[int | None, ...]:
        return tuple(self.output.shape[1:])


def _colours(backbone: Backbone, tensor: Any) -> tuple[str, ...]:
    """The colours that the channels of `tensor` are, or nothing where colours have been mixed already."""
    while not any(tensor is each for each in backbone.model.inputs):
        parents = graph.node_of(tensor).input_tensors
        if len(parents) != 1 or type(graph.operation_of(tensor)).__name__ not in _PER_COLOUR:
            return ()
        (tensor,) = parents
    return ("blue", "green", "red") if backbone.preprocessing.bgr else ("red", "green", "blue")


def _compile(backbone: Backbone, call: _Call, size: tuple[int, int]) -> Any:
    """`(images, place)` -> the layer's inputs, its output, and the gradient of the cell at `place`, as one graph."""
    photo = backbone.model.inputs[0]
    model = keras.Model(photo, [*(each for each in call.inputs if each is not photo), call.output])
    which = [each is photo for each in call.inputs]

    @tf.function(
        input_signature=[tf.TensorSpec([1, *size, 3], tf.float32), tf.TensorSpec([len(call.shape)], tf.int32)],
        autograph=False,
    )
    def run(images: tf.Tensor, place: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(images)
            *inputs, output = (tf.cast(each, tf.float32) for each in keras.tree.flatten(model(images, training=False)))
        only_this = tf.scatter_nd(place[None], tf.ones([1]), tf.shape(output)[1:])[None]
        gradient = tape.gradient(
            output, images, output_gradients=only_this, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        rest = iter(inputs)
        return [*(images if is_photo else next(rest) for is_photo in which), output, gradient]

    return run.get_concrete_function()


def _influence(gradient: np.ndarray, backbone: Backbone) -> np.ndarray:
    """By how much the value changes with each pixel of 0..255, over all colours and whatever its sign."""
    return np.abs(gradient / np.float32(backbone.preprocessing.scale)).sum(axis=-1)


def _explained(
    call: _Call, inputs: list[np.ndarray], shape: tuple[int, ...], place: tuple[int, ...], value: float
) -> Arithmetic:
    given = tuple(Input(source, values) for source, values in zip(call.sources, inputs, strict=True))
    arithmetic = explain(Task(call.operation, given, call.operands, call.again, shape, place))
    far_off = _FAR_OFF * max(arithmetic.scale, abs(value))
    if arithmetic.steps and not abs(arithmetic.result - value) <= far_off and np.isfinite(value):
        note = "The network computes this layer with less exact numbers than a calculation step by step would."
        return Arithmetic(arithmetic.kind, arithmetic.sources, (), note=note)
    return arithmetic


def _place(layer: str, shape: tuple[int, ...], channel: int, cell: tuple[int, int]) -> tuple[int, ...]:
    """The cell's index in the layer's output without its batch axis."""
    if not 1 <= len(shape) <= 3:
        raise UserError(f"The answer of layer {layer!r} has no maps and no channels, so it has no cells to look at.")
    place = (*cell[: len(shape) - 1], channel)
    if any(not 0 <= index < size for index, size in zip(place, shape, strict=True)):
        kinds = {1: "{2} units", 2: "{0} rows of {2} channels", 3: "{2} channels of {0} × {1} cells"}
        sizes = (*shape[:-1], 1, 1)[:2]
        there = kinds[len(shape)].format(*sizes, shape[-1])
        raise UserError(f"Layer {layer!r} has {there}, counted from 0: there is no cell {list(place)}.")
    return place
