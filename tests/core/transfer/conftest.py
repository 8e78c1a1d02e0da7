"""Tiny photos and a tiny backbone."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

COLOURS = {"blue": (40, 60, 200), "green": (50, 180, 60), "red": (200, 50, 40)}


def photo(colour=(128, 128, 128), seed=0, side=32, kind="PNG") -> bytes:
    """A noisy picture of one colour; another seed is another picture."""
    noise = np.random.default_rng(seed).normal(0, 30, (side, side, 3))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(noise + colour, 0, 255).astype(np.uint8)).save(buffer, format=kind)
    return buffer.getvalue()


def zip_of(path: Path, files: dict[str, bytes], method=zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def coloured(per_class: int = 8) -> dict[str, bytes]:
    """`per_class` photos of each of three colours, told apart at a glance."""
    return {
        f"{name}/{index:02}.png": photo(colour, seed=100 * place + index)
        for place, (name, colour) in enumerate(COLOURS.items())
        for index in range(per_class)
    }


def tiny_backbone(size: int = 16, seed: int = 0) -> keras.Model:
    """Three convolutions with a BatchNorm between whose statistics are not the ones it starts with."""
    layers, inputs = keras.layers, keras.Input((size, size, 3))
    draw = {"kernel_initializer": keras.initializers.HeNormal(seed=seed), "padding": "same"}
    x = layers.Conv2D(6, 3, strides=2, activation="relu", name="conv1", **draw)(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Conv2D(8, 3, activation="relu", name="conv2", **draw)(x)
    x = layers.Conv2D(8, 1, activation="relu", name="conv3", **draw)(x)
    model = keras.Model(inputs, x, name="tiny")
    rng = np.random.default_rng(seed)
    model.get_layer("norm").set_weights([rng.uniform(0.5, 1.5, 6).astype(np.float32) for _ in range(4)])
    return model


def save_backbone(path: Path) -> Path:
    """A person's own model with its top, as Keras saves it, to be used as a backbone."""
    inputs = keras.Input((32, 32, 3))
    x = tiny_backbone(32)(keras.layers.Rescaling(1 / 127.5, -1.0)(inputs))
    outputs = keras.layers.Dense(5, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))
    keras.Model(inputs, outputs).save(path)
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    return write(tmp_path / "colours", coloured())
