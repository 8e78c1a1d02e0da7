"""A classifier as the methods need it: scores (logits) of many images, and their slopes.

The graphs are cut out of the shared model and share its weights: a folded copy would be a fifth faster, but for VGG16
half a gigabyte larger. Which class is asked for is a tensor, so that nothing is traced again for another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from core import activations
from core.backbones import classes, graph
from core.backbones.backbone import Backbone
from core.backbones.batches import BATCH_BYTES, bytes_per_photo
from core.backbones.compiled import CompiledPerModel
from core.backbones.logits import BeforeActivation
from core.errors import UserError
from core.messages import digest_of

_TAPE_BYTES = 512 * 1024**2  # of all arrays that a gradient needs
_MOST_IMAGES = 16

_compiled = CompiledPerModel(most=16)
_looks = CompiledPerModel(most=2)  # of an early layer each may have a hundred megabytes


@dataclass(frozen=True)
class Look:
    """One layer's answer to a photo: `maps` and the class's `slopes` by them, both `float32[h, w, C]`, and the
    `logits[classes]`."""

    layer: str
    maps: np.ndarray
    slopes: np.ndarray
    logits: np.ndarray


class Network:
    """`backbone` as a classifier. Raises `UserError` where it tells no classes. Images are preprocessed ones,
    `float32[B, H, W, 3]` at the backbone's input size; a single sigmoid unit is read as two classes."""

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self.activation = activations.class_activation(backbone)
        self.classes = activations.count_classes(backbone)
        sizes = bytes_per_photo(backbone)
        self._rows = max(1, min(_MOST_IMAGES, BATCH_BYTES // max(sizes)))
        self._rows_of_slopes = max(1, min(self._rows, _TAPE_BYTES // sum(sizes)))

    def batches(self, count: int, *, of_slopes: bool = False) -> Iterator[np.ndarray]:
        """The numbers 0 to `count`, in batches that fit into memory, each spread over the whole range: the mean of the
        first ones is an estimate of that of all."""
        parts = -(-count // (self._rows_of_slopes if of_slopes else self._rows))
        return (np.arange(first, count, parts) for first in range(parts))

    def logits(self, images: np.ndarray) -> np.ndarray:
        """`float32[B, classes]`"""
        return self._function("logits", self._compile_logits)(tf.constant(images, tf.float32)).numpy()

    def slopes(self, images: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray]:
        """The class's logits `float32[B]`, and their gradients by the pixels, `float32[B, H, W, 3]`."""
        run = self._function("slopes", self._compile_slopes)
        logits, slopes = run(tf.constant(images, tf.float32), tf.constant(target))
        return logits.numpy(), slopes.numpy()

    def look(self, image: np.ndarray, layer: str | None, target: int) -> Look:
        """One image `[1, H, W, 3]` at `layer` (`None`: the last maps); the latest looks are kept."""
        layer = last_maps(self.backbone) if layer is None else layer
        if not self.backbone.layer(layer).is_spatial:
            raise UserError(f"Layer {layer!r} gives no maps: choose one that does.")

        def do() -> Look:
            run = self._function(("look", layer), lambda: self._compile_look(layer))
            maps, slopes, logits = (found.numpy()[0] for found in run(tf.constant(image), tf.constant(target)))
            return Look(layer, maps, slopes, logits)

        return _looks.get(self.backbone.model, (digest_of(image.tobytes()), layer, target), do)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        return activations.probabilities_of(self.backbone, logits)

    def _is_one_unit(self) -> bool:
        return self.activation == "sigmoid" and self.backbone.model.outputs[0].shape[-1] == 1

    def _function(self, key: Any, build: Any) -> Any:
        return _compiled.get(self.backbone.model, (key, self.backbone.input_size), build)

    def _images(self, batch: int | None = None) -> tf.TensorSpec:
        return tf.TensorSpec([batch, *self.backbone.input_size, 3], tf.float32)

    def _compile_logits(self) -> Any:
        model, read = _cut(self.backbone), reader(self._is_one_unit())
        return tf.function(lambda images: read(model(images, training=False)), [self._images()], autograph=False)

    def _compile_slopes(self) -> Any:
        model, read = _cut(self.backbone), reader(self._is_one_unit())

        def slopes(images: tf.Tensor, target: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(images)
                logits = tf.gather(read(model(images, training=False)), target, axis=1)
            return logits, tape.gradient(logits, images, unconnected_gradients=tf.UnconnectedGradients.ZERO)

        return tf.function(slopes, [self._images(), tf.TensorSpec([], tf.int32)], autograph=False)

    def _compile_look(self, layer: str) -> Any:
        model, read = _cut(self.backbone, layer), reader(self._is_one_unit())

        def look(image: tf.Tensor, target: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(image)
                outputs, maps = model(image, training=False)
                logits = read(outputs)
                score = tf.gather(logits, target, axis=1)
            slopes = tape.gradient(score, maps, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            return tf.cast(maps, tf.float32), tf.cast(slopes, tf.float32), logits

        return tf.function(look, [self._images(1), tf.TensorSpec([], tf.int32)], autograph=False)


def last_maps(backbone: Backbone) -> str:
    """The name of the last layer that gives maps, before the pooling. Raises `UserError` where there is none."""
    layer = maps_before_answer(backbone)
    if layer is None:
        raise UserError(
            f"{backbone.title} has no layer that gives maps: choose a method that looks at the pixels, such as "
            "saliency or occlusion."
        )
    return layer


def maps_before_answer(backbone: Backbone) -> str | None:
    """The last layer on the way to the output that gives maps of more than one row and column, or `None`."""
    on_the_way = {id(tensor) for node in graph.in_order(backbone.model) for tensor in node.outputs}
    for layer in reversed(backbone.layers):
        is_maps = layer.is_spatial and 1 not in layer.output_shape[:2]
        if is_maps and id(backbone.tensor(layer.name)) in on_the_way:
            return layer.name
    return None


def _cut(backbone: Backbone, layer: str | None = None) -> keras.Model:
    """The model up to its logits; with `layer`, that layer's maps as a second output."""
    logits = logits_of(backbone.model)
    return keras.Model(backbone.model.inputs[0], logits if layer is None else [logits, backbone.tensor(layer)])


def logits_of(model: keras.Model) -> Any:
    """The symbolic tensor that the last activation makes probabilities of, in the form of the model's output."""
    output = model.outputs[0]
    deciding, activation = classes.deciding(output)
    if activation == "linear":
        return output
    operation, before = graph.operation_of(deciding), graph.node_of(deciding).input_tensors[0]
    has_weights = isinstance(operation, (keras.layers.Dense, keras.layers.Conv2D))
    logits = BeforeActivation(operation)(before) if has_weights else before
    return logits if deciding is output else graph.continued(deciding, output, logits)


def reader(is_one_unit: bool) -> Any:
    """From a model's output to `float32[B, classes]`."""

    def read(outputs: tf.Tensor) -> tf.Tensor:
        logits = tf.cast(outputs, tf.float32)
        return tf.concat([-logits, logits], axis=-1) if is_one_unit else logits

    return read
