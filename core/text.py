"""Networks that read text: what they answer, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from core import activations
from core.backbones import classes, loading, steps
from core.backbones.backbone import Backbone
from core.backbones.compiled import CompiledPerModel
from core.errors import UserError
from core.messages import ModelRef, Prediction, TextAnswer, TextRequest

_compiled = CompiledPerModel(most=16)


def answer(request: TextRequest) -> TextAnswer:
    """The most probable classes for the text, and the answers of the layers asked for.

    Raises `UserError` for a network that reads no text and for a layer that is not there.
    """
    backbone = load(request.model)
    reading = backbone.tokeniser.read(request.text)
    layers = tuple(dict.fromkeys(request.layers))
    output, *found = run(backbone, reading.numbers, layers)
    values = {layer: value[0] for layer, value in zip(layers, found, strict=True)}
    return TextAnswer(
        tokens=reading.tokens,
        predictions=_predictions(backbone, output, request.top),
        values=values,
        steps=_steps(backbone, values, len(reading.tokens)),
        origin=backbone.origin,
        notes=reading.notes,
    )


def load(ref: ModelRef) -> Backbone:
    """The network, which must be one that reads text. Raises `UserError` where it is none."""
    backbone = loading.load(ref)
    if backbone.reads != "text":
        raise UserError(f"{backbone.title} reads photos, not text: choose a photo for it.")
    return backbone


def run(backbone: Backbone, numbers: np.ndarray, layers: Sequence[str] = ()) -> list[np.ndarray]:
    """The network's output for `numbers`, `int32[B, T]`, and then that of each of `layers`: `float32[B, ...]`."""
    tensors = [backbone.tensor(layer) for layer in layers]

    def build() -> Any:
        model = keras.Model(backbone.model.inputs[0], [*backbone.model.outputs, *tensors])
        shape = backbone.model.inputs[0].shape

        @tf.function(input_signature=[tf.TensorSpec(shape, tf.int32)], autograph=False)
        def forward(texts: tf.Tensor) -> list[tf.Tensor]:
            return [tf.cast(output, tf.float32) for output in keras.tree.flatten(model(texts, training=False))]

        return forward

    forward = _compiled.get(backbone.model, tuple(layers), build)
    return [output.numpy() for output in forward(tf.constant(numbers, tf.int32))]


def probabilities(backbone: Backbone, output: np.ndarray) -> np.ndarray:
    """`float32[B, classes]` of the network's `output`, read as `activations.class_probabilities` does."""
    if activations.class_activation(backbone) == "linear":
        return activations.probabilities_of(backbone, output)
    return np.concatenate([1.0 - output, output], axis=-1) if output.shape[-1] == 1 else output


def _predictions(backbone: Backbone, output: np.ndarray, top: int) -> tuple[Prediction, ...]:
    if classes.activation_of(backbone.model) is None:
        return ()
    found = probabilities(backbone, output)[0]
    best = np.argsort(-found, kind="stable")[: max(top, 0)]
    return tuple(
        Prediction(int(index), activations.class_name(backbone, int(index)), float(found[index])) for index in best
    )


def _steps(
    backbone: Backbone, values: dict[str, np.ndarray], length: int
) -> dict[str, tuple[tuple[int, int], ...] | None]:
    """What the steps of the layers in `values` stand on, where there are as many as there should be."""
    with_steps = {layer: value for layer, value in values.items() if value.ndim == 2}
    if not with_steps:
        return {}
    tensors = {layer: backbone.tensor(layer) for layer in with_steps}
    found = steps.spans(keras.Model(backbone.model.inputs[0], list(tensors.values())), tensors, length)
    return {
        layer: pairs if pairs is not None and len(pairs) == len(with_steps[layer]) else None
        for layer, pairs in found.items()
    }
