"""Networks small enough for tests: milliseconds to build and run, with everything a real backbone has."""

from __future__ import annotations

import keras
import numpy as np

from core.backbones import graph, receptive
from core.backbones.backbone import Backbone
from core.backbones.preprocessing import PREPROCESSING
from core.messages import ModelRef

TINY_SIZE = 24


def tiny_model(size: int | None = TINY_SIZE, classes: int = 3, activation: str | None = "softmax") -> keras.Model:
    """Two convolutions, a BatchNorm that does something, pooling and a classifier; the weights are always the same."""
    inputs = keras.Input((size, size, 3), name="photo")
    x = keras.layers.Conv2D(6, 3, padding="same", activation="relu", name="conv1")(inputs)
    x = keras.layers.BatchNormalization(name="bn1")(x)
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="conv2")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    outputs = keras.layers.Dense(classes, activation=activation, name="predictions")(x)
    model = with_seeded_weights(keras.Model(inputs, outputs, name="tiny"))
    classifier = model.get_layer("predictions")  # pixels of 0..255 would drive its softmax to 0 and 1
    classifier.set_weights([weight / 100 for weight in classifier.get_weights()])
    return model


def nested_model(size: int = TINY_SIZE) -> keras.Model:
    """A model within a model, as transfer learning makes them."""
    inner_in = keras.Input((size, size, 3))
    x = keras.layers.Conv2D(5, 3, padding="same", activation="relu", name="inner_conv")(inner_in)
    inner = keras.Model(inner_in, keras.layers.BatchNormalization(name="inner_bn")(x), name="inner")
    inputs = keras.Input((size, size, 3))
    x = keras.layers.Rescaling(2.0, name="rescale")(inputs)
    x = inner(x, training=False)
    x = keras.layers.GlobalAveragePooling2D(name="outer_pool")(x)
    outputs = keras.layers.Dense(3, activation="softmax", name="outer_predictions")(x)
    return with_seeded_weights(keras.Model(inputs, outputs, name="nested"))


def redness_model(size: int | None = TINY_SIZE) -> keras.Model:
    """One layer with two channels: channel 0 is red − (green + blue) / 2 at each pixel, channel 1 is brightness."""
    inputs = keras.Input((size, size, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1, use_bias=False, name="redness")(inputs))
    kernel = np.array([[1.0, 1 / 3], [-0.5, 1 / 3], [-0.5, 1 / 3]], np.float32)
    model.get_layer("redness").set_weights([kernel[None, None]])
    return model


class CountingTraces(keras.layers.Layer):
    """Changes nothing; `calls` counts how often any of its kind was called: a compiled graph does not do so again."""

    calls = 0

    def call(self, inputs):
        CountingTraces.calls += 1
        return inputs


def with_seeded_weights(model: keras.Model, seed: int = 0) -> keras.Model:
    """`model` with weights that do not depend on what ran before; BatchNorm's statistics are not the trivial ones."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        low, high = (0.5, 1.5) if weight.path.endswith(("variance", "gamma")) else (-0.4, 0.4)
        weight.assign(rng.uniform(low, high, weight.shape).astype(np.float32))
    return model


def tiny_backbone(
    model: keras.Model | None = None,
    *,
    preprocessing: str = "none",
    class_names: tuple[str, ...] | None = None,
    input_size: tuple[int, int] = (TINY_SIZE, TINY_SIZE),
) -> Backbone:
    """A `Backbone` around `model` (`tiny_model()` if none is given), as loading makes them."""
    model = tiny_model() if model is None else model
    flat, tensors = graph.flatten(model)
    return Backbone(
        ref=ModelRef(model.name, weights=None),
        title=model.name,
        model=flat,
        tensors=tensors,
        layers=receptive.describe_layers(flat, tensors, input_size),
        input_size=input_size,
        preprocessing=PREPROCESSING[preprocessing],
        class_names=class_names,
        origin="made for a test",
    )
