"""Features of the frozen backbone, computed once for each photo and for a few randomly changed variants of it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from core.transfer.classifier import Classifier, augment
from core.transfer.datasets import Dataset, Splits
from core.transfer.requests import TrainingConfig

FEATURES_MAX_BYTES = 1000**3
BATCH = 32  # always the same, for the random changes depend on it


@dataclass(frozen=True)
class Prepared:
    """The features of `done` of `total` photos and variants are computed."""

    done: int
    total: int


@dataclass(frozen=True)
class Noted:
    """A sentence that the person should read: something is done in another way than was asked for."""

    words: str


@dataclass(frozen=True)
class Features:
    """`training` is `float32[variants, T, F]`, the first variant unchanged; `held_back` `float32[V, F]`.

    Either is `None` where it would be too large; the photos then go through the backbone each time.
    """

    training: np.ndarray | None = field(repr=False)
    held_back: np.ndarray | None = field(repr=False)


def plain(config: TrainingConfig, dataset: Dataset) -> np.ndarray:
    """The features `float32[N, F]` of every photo of `dataset`, unchanged, by the backbone and pooling of `config`."""
    raise NotImplementedError


def variants(classifier: Classifier, splits: Splits, config: TrainingConfig) -> int:
    """How many variants of each training photo are cached, itself among them; 0 where none are."""
    if classifier.augmentation is not None and not config.variants:
        return 0
    each = classifier.head.input_shape[-1] * np.dtype(np.float32).itemsize
    fitting = (FEATURES_MAX_BYTES - len(splits.validation) * each) // (len(splits.training) * each)
    wanted = config.variants if classifier.augmentation is not None else 1
    return int(max(0, min(wanted, fitting)))


def computed(
    classifier: Classifier, splits: Splits, config: TrainingConfig
) -> Generator[Prepared | Noted, None, Features]:
    """The features that the head is trained and judged on, with events on the way."""
    photos = splits.dataset.photos
    count = variants(classifier, splits, config)
    held_back = yield from _all(classifier.features, photos[splits.validation], None)
    training = []
    for variant in range(count):
        changes = augment(config.augmentation, config.seed + variant) if variant else None
        training.append((yield from _all(classifier.features, photos[splits.training], changes)))
    return Features(np.stack(training) if training else None, held_back)


def _all(model: keras.Model, photos: np.ndarray, changes: keras.Model | None) -> Generator[Prepared, None, np.ndarray]:
    @tf.function(input_signature=[tf.TensorSpec((None, *photos.shape[1:]), tf.uint8)], autograph=False)
    def infer(pixels):
        pixels = tf.cast(pixels, tf.float32)
        return model(changes(pixels, training=True) if changes is not None else pixels, training=False)

    result = np.empty((len(photos), model.output_shape[-1]), np.float32)
    for start in range(0, len(photos), BATCH):
        part = photos[start : start + BATCH]
        result[start : start + len(part)] = infer(tf.constant(part)).numpy()
        yield Prepared(start + len(part), len(photos))
    return result
