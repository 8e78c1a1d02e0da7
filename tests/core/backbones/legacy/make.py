"""Makes this folder's files; run it with the version of Keras whose files are wanted.

    python -m venv old; old/bin/pip install "tensorflow-cpu==2.12.0"; old/bin/python make.py keras212
    TF_USE_LEGACY_KERAS=1 python make.py tf_keras --package tf_keras

Each model is saved as `NAME-MODEL.h5` and, where that version can, as `NAME-MODEL.keras` (HDF5 under another name) and
`NAME-MODEL-v3.keras` (an archive); `NAME-MODEL.npz` has an input and what the model made of it then. The weights are
random, BatchNorm's statistics too. Here are the files of 2.12.0 (`keras212`), 2.15.0 (`keras215`) and of tf_keras 2.21
(`tf_keras`), those that differ.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def functional(keras):
    """Arithmetic on tensors, a branch, separable convolutions."""
    layers = keras.layers
    inputs = keras.Input((16, 16, 3))
    x = inputs / 127.5 - 1.0
    x = layers.SeparableConv2D(6, 3, activation="relu", padding="same")(x)
    x = layers.BatchNormalization()(x)
    side = layers.DepthwiseConv2D(3, padding="same")(x)
    x = layers.ReLU(6.0)(layers.Add()([x, side]) + 3.0) * (1.0 / 6.0)
    x = layers.Concatenate()([x, layers.Conv2D(2, 1, kernel_regularizer="l2")(side)])
    x = layers.Conv2DTranspose(3, 3)(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


def sequential(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Conv2D(4, 3, activation="relu", input_shape=(16, 16, 3)),
            layers.LeakyReLU(0.1),
            layers.MaxPooling2D(),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(4, activation="softmax", kernel_initializer="he_normal"),
        ]
    )


def nested(keras):
    """As the guide to transfer learning makes them: augmentation, preprocessing, a backbone, a head."""
    layers = keras.layers
    inner_input = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, use_bias=False, name="inner_conv")(inner_input)
    x = layers.BatchNormalization(name="inner_bn")(x)
    backbone = keras.Model(inner_input, layers.Activation("relu")(x), name="backbone")
    backbone.trainable = False
    augmentation = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.2)])
    inputs = keras.Input((16, 16, 3))
    x = augmentation(inputs)
    x = keras.applications.mobilenet_v2.preprocess_input(x)
    x = backbone(x, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(2)(layers.Dropout(0.2)(x)))


def caffe(keras):
    """The other usual preprocessing: channels turned round, a mean taken away."""
    layers = keras.layers
    inputs = keras.Input((16, 16, 3))
    x = keras.applications.resnet50.preprocess_input(inputs)
    return keras.Model(inputs, layers.GlobalMaxPooling2D()(layers.Conv2D(5, 3, activation="swish")(x)))


def recurrent(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Embedding(30, 6, input_length=12),
            layers.Conv1D(5, 3, activation="relu"),
            layers.Bidirectional(layers.LSTM(4, return_sequences=True, dropout=0.1)),
            layers.GRU(3),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


MODELS = (functional, sequential, nested, caffe, recurrent)


def random_weights(model, rng):
    model.set_weights([rng.uniform(0.2, 0.7, weight.shape).astype("float32") - 0.2 for weight in model.get_weights()])
    for layer in model.layers:
        if hasattr(layer, "layers"):
            random_weights(layer, rng)
        elif hasattr(layer, "moving_variance"):
            layer.moving_variance.assign(rng.uniform(0.5, 1.5, layer.moving_variance.shape))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--package", default="tensorflow.keras")
    args = parser.parse_args()
    keras = importlib.import_module(args.package)
    for build in MODELS:
        keras.backend.clear_session()
        rng = np.random.default_rng(0)
        model = build(keras)
        random_weights(model, rng)
        shape = (2, *model.input_shape[1:])
        given = rng.integers(0, 30, shape) if build is recurrent else rng.uniform(0, 255, shape).astype("float32")
        stem = f"{args.name}-{build.__name__}"
        np.savez(HERE / f"{stem}.npz", given=given, expected=np.asarray(model(given, training=False)))
        model.save(HERE / f"{stem}.h5")
        if build is not caffe:  # no version of Keras 2 writes an ellipsis into an archive
            model.save(HERE / f"{stem}.keras")
            model.save(HERE / f"{stem}-v3.keras", save_format="keras_v3")


if __name__ == "__main__":
    main()
