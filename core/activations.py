"""What a network answers to a photograph: layer by layer, and as a prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from core import images as pictures
from core.backbones import classes, graph, loading
from core.backbones.backbone import Backbone
from core.backbones.compiled import CompiledPerModel
from core.errors import UserError
from core.messages import Activations, ActivationsRequest, Prediction, PredictRequest

_compiled = CompiledPerModel(most=16)


def infer_layers(backbone: Backbone, images: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
    """The outputs of `layers` for `images`, `[B, H, W, 3]` in 0..255 at the backbone's input size, in RGB.

    Returns `float32[B, ...]` for each layer. One truncated model with an output for each layer is run once: nothing
    beyond the last of them is computed. Raises `UserError` for a layer that the backbone does not have.
    """
    layers = tuple(dict.fromkeys(layers))
    if not layers:
        return {}
    for layer in layers:
        backbone.layer(layer)
    outputs = _forward(backbone, layers, backbone.preprocessing(images))
    return dict(zip(layers, outputs, strict=True))


def _forward(backbone: Backbone, layers: tuple[str, ...] | None, pixels: np.ndarray) -> list[np.ndarray]:
    """The outputs of `layers` (`None`: of the whole model) for preprocessed images, by one compiled graph."""

    def build() -> Any:
        model = backbone.model
        cut = keras.Model(model.inputs[0], model.outputs) if layers is None else graph.truncated(backbone, layers)
        return _compile(cut, pixels.shape[1:3])

    forward = _compiled.get(backbone.model, (layers, pixels.shape[1:3]), build)
    return [output.numpy() for output in forward(tf.constant(pixels))]


def _compile(model: keras.Model, size: tuple[int, int]) -> Any:
    """`model` as a graph for any number of images of this size: many times faster than `model(images)`."""

    @tf.function(input_signature=[tf.TensorSpec([None, *size, 3], tf.float32)])
    def forward(images: tf.Tensor) -> list[tf.Tensor]:
        return [tf.cast(output, tf.float32) for output in keras.tree.flatten(model(images, training=False))]

    return forward.get_concrete_function()


def infer(request: ActivationsRequest) -> Activations:
    """The requested layers' answers to the photo, which is first resized and cropped to the network's input."""
    backbone = loading.load(request.model)
    seen = pictures.fit(request.photo.pixels, backbone.input_size)
    values = infer_layers(backbone, seen[None], request.layers)
    return Activations({layer: value[0] for layer, value in values.items()}, seen, backbone.origin)


def predict(request: PredictRequest) -> tuple[Prediction, ...]:
    """The `request.top` most probable classes, best first; raises `UserError` where the model does not tell classes."""
    backbone = loading.load(request.model)
    seen = pictures.fit(request.photo.pixels, backbone.input_size)
    probabilities = class_probabilities(backbone, seen[None])[0]
    best = np.argsort(-probabilities, kind="stable")[: max(request.top, 0)]
    return tuple(
        Prediction(int(index), class_name(backbone, int(index)), float(probabilities[index])) for index in best
    )


def class_probabilities(backbone: Backbone, images: np.ndarray) -> np.ndarray:
    """`float32[B, classes]` for `images`, `[B, H, W, 3]` in 0..255 at the backbone's input size.

    Logits go through a softmax. A single sigmoid unit is read as two classes, "not" and "yes".
    """
    activation = class_activation(backbone)
    (outputs,) = _forward(backbone, None, backbone.preprocessing(images))
    if activation == "linear":
        return keras.ops.convert_to_numpy(keras.ops.softmax(outputs, axis=-1))
    if outputs.shape[-1] == 1:
        return np.concatenate([1.0 - outputs, outputs], axis=-1)
    return outputs


def class_activation(backbone: Backbone) -> str:
    """ "softmax", "sigmoid" or "linear": how the model's output is to be read as classes."""
    activation = classes.activation_of(backbone.model)
    if activation is not None:
        return activation
    raise UserError(
        f"{backbone.title} does not end in a list of classes, so it makes no predictions. "
        "Its layers can be looked at; for predictions choose a model with its classifier."
    )


def class_name(backbone: Backbone, index: int) -> str:
    names = backbone.class_names
    return names[index] if names is not None and index < len(names) else f"class {index}"
