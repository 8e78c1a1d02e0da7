"""What a network answers to a photograph: layer by layer, and as a prediction."""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from core import images as pictures
from core.backbones import classes, graph, loading
from core.backbones.backbone import Backbone
from core.backbones.compiled import CompiledPerModel
from core.backbones.preprocessing import Preprocessing
from core.errors import UserError
from core.messages import Activations, ActivationsRequest, Photo, Prediction, PredictRequest

_compiled = CompiledPerModel(most=64)  # of about a megabyte: a class looks at as many layers at a time
_looked_at: weakref.WeakKeyDictionary[keras.Model, set[Any]] = weakref.WeakKeyDictionary()
_guard = threading.Lock()  # of `_looked_at`


def infer_layers(backbone: Backbone, images: np.ndarray, layers: Sequence[str]) -> dict[str, np.ndarray]:
    """The outputs of `layers` for `images`, `[B, H, W, 3]` in 0..255 at the backbone's input size, in RGB.

    Returns `float32[B, ...]` for each layer. One truncated model with an output for each layer is run once: nothing
    beyond the last of them is computed. The first single image goes through it layer by layer, which takes a fifth of
    the time that compiling takes; from the second look on it is compiled. Raises `UserError` for a layer that the
    backbone does not have.
    """
    return _outputs(backbone, layers, backbone.preprocessing(images))


def _outputs(backbone: Backbone, layers: Sequence[str], pixels: np.ndarray) -> dict[str, np.ndarray]:
    """`infer_layers` of images that are preprocessed."""
    layers = tuple(dict.fromkeys(layers))
    if not layers:
        return {}
    for layer in layers:
        backbone.layer(layer)
    return dict(zip(layers, _forward(backbone, layers, pixels), strict=True))


def _forward(backbone: Backbone, layers: tuple[str, ...] | None, pixels: np.ndarray) -> list[np.ndarray]:
    """The outputs of `layers` (`None`: of the whole model) for preprocessed images."""
    images = tf.constant(pixels)
    if layers is not None and len(pixels) == 1 and _is_first_look(backbone.model, (layers, pixels.shape[1:3])):
        outputs = keras.tree.flatten(graph.truncated(backbone, layers)(images, training=False))
        return [tf.cast(output, tf.float32).numpy() for output in outputs]

    def build() -> Any:
        model = backbone.model
        cut = keras.Model(model.inputs[0], model.outputs) if layers is None else graph.truncated(backbone, layers)
        return _compile(cut, pixels.shape[1:3])

    forward = _compiled.get(backbone.model, (layers, pixels.shape[1:3]), build)
    return [output.numpy() for output in forward(images)]


def _is_first_look(model: keras.Model, what: Any) -> bool:
    """True the first time only that `what` is asked for."""
    with _guard:
        seen = _looked_at.setdefault(model, set())
        first = what not in seen
        seen.add(what)
        return first


def _compile(model: keras.Model, size: tuple[int, int]) -> Any:
    """`model` as a graph for any number of images of this size: many times faster than `model(images)`."""

    @tf.function(input_signature=[tf.TensorSpec([None, *size, 3], tf.float32)], autograph=False)
    def forward(images: tf.Tensor) -> list[tf.Tensor]:
        return [tf.cast(output, tf.float32) for output in keras.tree.flatten(model(images, training=False))]

    return forward.get_concrete_function()


@functools.lru_cache(maxsize=16)
def _seen(photo: Photo, size: tuple[int, int]) -> np.ndarray:
    """The photo as a network of this input size sees it; kept, for layers are looked at one after the other."""
    seen = pictures.fit(photo.pixels, size)
    seen.setflags(write=False)
    return seen


@functools.lru_cache(maxsize=16)
def _prepared(photo: Photo, size: tuple[int, int], preprocessing: Preprocessing) -> np.ndarray:
    """`_seen`, preprocessed, as a batch of one."""
    return preprocessing(_seen(photo, size)[None])


def infer(request: ActivationsRequest) -> Activations:
    """The requested layers' answers to the photo, which is first resized and cropped to the network's input."""
    backbone = loading.load(request.model)
    pixels = _prepared(request.photo, backbone.input_size, backbone.preprocessing)
    values = _outputs(backbone, request.layers, pixels)
    seen = backbone.taken_of(_seen(request.photo, backbone.input_size))
    return Activations({layer: value[0] for layer, value in values.items()}, seen, backbone.origin)


def predict(request: PredictRequest) -> tuple[Prediction, ...]:
    """The `request.top` most probable classes, best first; raises `UserError` where the model does not tell classes."""
    backbone = loading.load(request.model)
    probabilities = class_probabilities(backbone, _seen(request.photo, backbone.input_size)[None])[0]
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


def count_classes(backbone: Backbone) -> int:
    """A single sigmoid unit tells two. Raises `UserError` where the model tells none."""
    units = backbone.model.outputs[0].shape[-1]
    return 2 if class_activation(backbone) == "sigmoid" and units == 1 else units


def check_class(backbone: Backbone, target: int) -> None:
    """Raises `UserError` where the model tells no classes, or has none of this number."""
    count = count_classes(backbone)
    if not 0 <= target < count:
        raise UserError(f"{backbone.title} tells {count} classes, numbered from 0: there is no class {target}.")


def probabilities_of(backbone: Backbone, logits: np.ndarray) -> np.ndarray:
    """`float32[B, classes]` from the logits of all classes, as `class_probabilities` reads the model's output."""
    if class_activation(backbone) == "sigmoid":
        return 0.5 + 0.5 * np.tanh(0.5 * logits)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def class_name(backbone: Backbone, index: int) -> str:
    names = backbone.class_names
    return names[index] if names is not None and index < len(names) else f"class {index}"
