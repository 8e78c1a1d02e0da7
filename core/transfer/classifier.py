"""A backbone with a new head: the model that is exported, and the parts of it that are trained.

The exported model takes pixels 0..255 and contains the backbone's preprocessing, so that nobody preprocesses by hand.
Augmentation only ever stands before it during training and is no part of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from core.backbones import loading
from core.backbones.preprocessing import Preprocessing
from core.errors import UserError
from core.messages import ModelRef
from core.transfer.requests import Augmentation, TrainingConfig

FINE_TUNED_SHARE = 0.3  # of the backbone's layers, counted from its end


@dataclass(frozen=True)
class Classifier:
    """`model` maps `float32[B, size, size, 3]` in 0..255 to probabilities `float32[B, C]`.

    `features` is its frozen part, up to the pooled `float32[B, F]`; `head` maps those to the probabilities. All three
    share their layers with `backbone`, which is nested in `model` and always runs in inference mode.
    `augmentation` maps pixels to pixels, or is `None`.
    """

    model: keras.Model
    features: keras.Model
    head: keras.Model
    backbone: keras.Model
    augmentation: keras.Sequential | None
    classes: tuple[str, ...]
    origin: str = "random (untrained)"

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
    """A classifier of `classes` on the backbone `ref`, frozen, with a fresh head drawn by `config.seed`.

    `backbone` is used, and from then on owned, in the place of `ref`'s own: a model without its top, with
    `preprocessing`. Raises `UserError` where the backbone does not give maps or a vector.
    """
    origin, size = "random (untrained)", config.size
    if backbone is None:
        source = loading.load(ref)
        preprocessing, origin = source.preprocessing, source.origin
        backbone = loading.headless(ref, (size, size, 3))
    backbone.trainable = False
    inputs = keras.Input((size, size, 3), dtype="float32", name="pixels")
    # The keyword is written into the graph: BatchNorm stays in inference whoever calls the model, and how.
    maps = backbone(preprocess(preprocessing or Preprocessing(), inputs), training=False)
    pooled = _pooled(maps, ref)
    dropout = keras.layers.Dropout(config.dropout, seed=config.seed, dtype="float32", name="dropout")
    dense = keras.layers.Dense(
        len(classes),
        activation="softmax",
        kernel_initializer=keras.initializers.GlorotUniform(seed=config.seed),
        dtype="float32",
        name="predictions",
    )
    vector = keras.Input(pooled.shape[1:], dtype="float32", name="features")
    return Classifier(
        model=keras.Model(inputs, dense(dropout(pooled)), name="classifier"),
        features=keras.Model(inputs, pooled, name="feature_extractor"),
        head=keras.Model(vector, dense(dropout(vector)), name="head"),
        backbone=backbone,
        augmentation=augment(config.augmentation, config.seed),
        classes=tuple(classes),
        origin=origin,
    )


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
    """Random changes of pixels, `None` where there are none; the same sequence for the same `seed`."""
    if settings is None:
        return None
    layers = keras.layers
    seeds = [(seed + place) % 2**31 for place in range(4)]
    options = {"fill_mode": settings.fill_mode, "dtype": "float32"}
    chosen = []
    if settings.flip != "none":
        chosen.append(layers.RandomFlip("horizontal", seed=seeds[0], dtype="float32"))
    if settings.rotation:
        chosen.append(layers.RandomRotation(settings.rotation, seed=seeds[1], **options))
    if settings.zoom:
        chosen.append(layers.RandomZoom(settings.zoom, seed=seeds[2], **options))
    if settings.shear:
        chosen.append(layers.RandomShear(x_factor=settings.shear, y_factor=settings.shear, seed=seeds[3], **options))
    return keras.Sequential(chosen, name="augmentation") if chosen else None


def unfreeze(classifier: Classifier, share: float = FINE_TUNED_SHARE) -> list[Any]:
    """Let the last `share` of the backbone's layers be trained, BatchNorm excepted; returns all trainable variables.

    A BatchNorm keeps its statistics and its scale: both were learned on far more photos than are given here. Whatever
    was traced before must be traced anew (a new `tf.function` and a new optimiser).
    """
    layers = [layer for layer in _leaves(classifier.backbone) if layer.weights]
    first = len(layers) - max(1, round(share * len(layers)))
    classifier.backbone.trainable = True
    for place, layer in enumerate(layers):
        layer.trainable = place >= first and not isinstance(layer, keras.layers.BatchNormalization)
    return classifier.model.trainable_variables


def _leaves(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        else:
            yield layer


def _pooled(maps: Any, ref: ModelRef) -> Any:
    if len(maps.shape) == 4:
        return keras.layers.GlobalAveragePooling2D(dtype="float32", name="pooling")(maps)
    if len(maps.shape) == 2:
        return maps
    raise UserError(f"{ref.name} cannot carry a new head: it ends in a tensor of shape {tuple(maps.shape[1:])}.")
