"""A backbone with a new head: the model that is exported, and the parts of it that are trained.

The exported model takes pixels 0..255 and contains the backbone's preprocessing, so that nobody preprocesses by hand.
Augmentation only ever stands before it during training and is no part of it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from core.backbones import loading
from core.backbones.preprocessing import Preprocessing
from core.errors import UserError
from core.messages import ModelRef
from core.transfer.presets import MOMENTUM_FROM_SCRATCH
from core.transfer.requests import Augmentation, TrainingConfig

FINE_TUNED_SHARE = 0.3  # of the backbone's layers, counted from its end
POOLINGS = {
    "average": keras.layers.GlobalAveragePooling2D,
    "max": keras.layers.GlobalMaxPooling2D,
    "flatten": keras.layers.Flatten,
}


@dataclass(frozen=True)
class Classifier:
    """`model` maps `float32[B, size, size, 3]` in 0..255 to probabilities `float32[B, C]`.

    `features` is its frozen part, up to the pooled `float32[B, F]`; `head` maps those to the probabilities. All three
    share their layers with `backbone`, which is nested in `model` and always runs in inference mode, unless it is to be
    trained from scratch. `augmentation` maps pixels to pixels, or is `None`.
    """

    model: keras.Model
    features: keras.Model
    head: keras.Model
    backbone: keras.Model
    augmentation: keras.Sequential | None
    classes: tuple[str, ...]
    origin: str = "random (untrained)"
    known: bool = False  # whether the backbone is the one that its configuration names, and no other's own

    @property
    def input_size(self) -> tuple[int, int]:
        return tuple(self.model.input_shape[1:3])


def build(
    ref: ModelRef,
    classes: Sequence[str],
    config: TrainingConfig,
    *,
    backbone: keras.Model | None = None,
    preprocessing: Preprocessing | None = None,
) -> Classifier:
    """A classifier of `classes` on the backbone `ref`, with a fresh head drawn by `config.seed`.

    The backbone is frozen, unless `config.from_scratch`. `backbone` is used, and from then on owned, in the place of
    `ref`'s own: a model without its top, with `preprocessing`. Raises `UserError` where the backbone does not give maps
    or a vector.
    """
    origin, size, known = "random (untrained)", config.size, backbone is None
    if backbone is None:
        source = loading.load(ref)
        preprocessing, origin = source.preprocessing, source.origin
        backbone = loading.headless(ref, (size, size, 3))
    backbone.trainable = config.from_scratch
    if config.from_scratch:
        _hurry(backbone)
    inputs = keras.Input((size, size, 3), dtype="float32", name="pixels")
    # The keyword is written into the graph: BatchNorm stays in inference whoever calls the model, and how. Only what
    # begins with random weights has statistics of its own to learn.
    mode = {} if config.from_scratch else {"training": False}
    pooled = _pooled(backbone(preprocess(preprocessing or Preprocessing(), inputs), **mode), config.pooling, ref)
    layers = _head(config, len(classes))
    vector = keras.Input(pooled.shape[1:], dtype="float32", name="features")
    return Classifier(
        model=keras.Model(inputs, _through(layers, pooled), name="classifier"),
        features=keras.Model(inputs, pooled, name="feature_extractor"),
        head=keras.Model(vector, _through(layers, vector), name="head"),
        backbone=backbone,
        augmentation=augment(config.augmentation, config.seed),
        classes=tuple(classes),
        origin=origin,
        known=known,
    )


def _head(config: TrainingConfig, classes: int) -> list[keras.layers.Layer]:
    """`dense` layers with ReLU, each followed by dropout (without any, dropout of the features), then softmax."""
    layers = keras.layers
    chosen: list[keras.layers.Layer] = []
    for place, units in enumerate(config.dense, start=1):
        draw = keras.initializers.GlorotUniform(seed=_seed(config.seed, place))
        chosen += [
            layers.Dense(units, "relu", kernel_initializer=draw, dtype="float32", name=f"dense_{place}"),
            layers.Dropout(config.dropout, seed=_seed(config.seed, place), dtype="float32", name=f"dropout_{place}"),
        ]
    if not chosen:
        chosen.append(layers.Dropout(config.dropout, seed=config.seed, dtype="float32", name="dropout"))
    draw = keras.initializers.GlorotUniform(seed=config.seed)
    return [*chosen, layers.Dense(classes, "softmax", kernel_initializer=draw, dtype="float32", name="predictions")]


def _through(layers: Sequence[keras.layers.Layer], tensor: Any) -> Any:
    for layer in layers:
        tensor = layer(tensor)
    return tensor


def _seed(seed: int, place: int) -> int:
    return (seed + place) % 2**31


def preprocess(preprocessing: Preprocessing, pixels: Any) -> Any:
    """`preprocessing` as a layer that is saved with the model, applied to the symbolic `pixels`."""
    scale = [1.0 / scale for scale in preprocessing.scale]
    offset = [-mean / scale for mean, scale in zip(preprocessing.mean, preprocessing.scale, strict=True)]
    if not preprocessing.bgr:
        return keras.layers.Rescaling(scale, offset, dtype="float32", name="preprocessing")(pixels)
    # No layer of Keras reverses the colours, and a Lambda is code that no careful reader would load.
    layer = keras.layers.Conv2D(3, 1, trainable=False, dtype="float32", name="preprocessing")
    result = layer(pixels)
    layer.set_weights([np.diag(scale)[::-1].reshape(1, 1, 3, 3).astype(np.float32), np.float32(offset)])
    return result


def augment(settings: Augmentation | None, seed: int) -> keras.Sequential | None:
    """Random changes of pixels 0..255, `None` where there are none; the same sequence for the same `seed`."""
    if settings is None:
        return None
    layers = keras.layers
    seeds = [_seed(seed, place) for place in range(7)]
    fill = {"fill_mode": settings.fill_mode, "dtype": "float32"}
    shear = {"x_factor": settings.shear, "y_factor": settings.shear}
    chosen = []
    # Two layers for both ways: Keras' "horizontal_and_vertical" draws once, and turns a photo over in both or in none.
    for way, place in (("horizontal", 0), ("vertical", 6)):
        if settings.flip in (way, "both"):
            chosen.append(layers.RandomFlip(way, seed=seeds[place], dtype="float32"))
    if settings.rotation:
        chosen.append(layers.RandomRotation(settings.rotation, seed=seeds[1], **fill))
    if settings.zoom:
        chosen.append(layers.RandomZoom(settings.zoom, seed=seeds[2], **fill))
    if settings.shear:
        chosen.append(layers.RandomShear(**shear, seed=seeds[3], **fill))
    if settings.shift:
        chosen.append(layers.RandomTranslation(settings.shift, settings.shift, seed=seeds[4], **fill))
    if settings.brightness:
        light = {"value_range": (0, 255), "seed": seeds[5], "dtype": "float32"}
        chosen.append(layers.RandomBrightness(settings.brightness, **light))
    return keras.Sequential(chosen, name="augmentation") if chosen else None


def unfreeze(classifier: Classifier, share: float = FINE_TUNED_SHARE, first: str | None = None) -> list[Any]:
    """Let the backbone's last layers be trained, BatchNorm excepted; returns their variables.

    Those are the layers from the one named `first` on, or else the last `share` of those that have weights. A BatchNorm
    keeps its statistics and its scale: both were learned on far more photos than are given here. Whatever was traced
    before must be traced anew (a new `tf.function` and a new optimiser). Raises `UserError` where no layer is named
    `first`, or nothing from there on can be trained.
    """
    layers = list(_leaves(classifier.backbone))
    if first is not None:
        start = layers.index(_layer(layers, first))
    else:
        able = [place for place, layer in enumerate(layers) if layer.weights]
        start = able[-max(1, round(share * len(able)))] if able else len(layers)
    classifier.backbone.trainable = True
    for place, layer in enumerate(layers):
        layer.trainable = place >= start and not isinstance(layer, keras.layers.BatchNormalization)
    variables = classifier.backbone.trainable_variables
    if first is not None and not variables:
        raise UserError(f"From the layer {first!r} on there is nothing to fine-tune. Choose an earlier one.")
    return variables


def check_fine_tuning(classifier: Classifier, config: TrainingConfig) -> None:
    """Raises `UserError` as `unfreeze` will, before a head is trained for it; the backbone stays frozen."""
    if config.fine_tune_epochs and not config.from_scratch:
        try:
            unfreeze(classifier, config.fine_tune_share, config.fine_tune_from)
        finally:
            classifier.backbone.trainable = False


def _layer(layers: Sequence[keras.layers.Layer], name: str) -> keras.layers.Layer:
    """The one that the Explorer lists as `name`, where a nested model's layers carry its name and later calls a number.

    What was nested is flat in a backbone of ours: there a layer has its own name, or, where that was taken, the long
    one.
    """
    by_name = {layer.name: layer for layer in layers}
    plain = name.partition(":")[0]
    for candidate in (plain, plain.replace("/", "__"), plain.rpartition("/")[2]):
        if candidate in by_name:
            return by_name[candidate]
    near = difflib.get_close_matches(plain, list(by_name), n=3, cutoff=0.4)
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    raise UserError(f"The network has no layer named {name!r} that could be fine-tuned.{hint}")


def _hurry(backbone: keras.Model) -> None:
    """Let BatchNorm take up what it sees within a few dozen steps."""
    for layer in _leaves(backbone):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = min(layer.momentum, MOMENTUM_FROM_SCRATCH)


def _leaves(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        else:
            yield layer


def _pooled(maps: Any, pooling: str, ref: ModelRef) -> Any:
    if len(maps.shape) == 2:
        return maps
    if len(maps.shape) != 4:
        raise UserError(f"{ref.name} cannot carry a new head: it ends in a tensor of shape {tuple(maps.shape[1:])}.")
    if pooling not in POOLINGS:
        raise UserError(f"There is no pooling named {pooling!r}. Choose one of {', '.join(POOLINGS)}.")
    return POOLINGS[pooling](dtype="float32", name="pooling")(maps)
