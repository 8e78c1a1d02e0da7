"""Features of the frozen backbone: computed once for each photo, and for a few randomly changed variants of it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace

import keras
import numpy as np
import tensorflow as tf

from core.transfer import feature_cache
from core.transfer.classifier import Classifier, augment, build
from core.transfer.datasets import Dataset, Splits
from core.transfer.requests import TrainingConfig
from core.transfer.steps import at_a_time

FEATURES_MAX_BYTES = 1000**3  # in memory


@dataclass(frozen=True)
class Prepared:
    """The features of `done` of `total` photos and variants are computed; those that were kept do not count."""

    done: int
    total: int


@dataclass(frozen=True)
class Noted:
    """A sentence that the person should read: something is done in another way than was asked for."""

    words: str


@dataclass(frozen=True)
class Features:
    """`training` is `float32[variants, T, F]`, the first variant unchanged; `held_back` `float32[V, F]`.

    Where there are no variants, or `held_back` is `None`, photos go through the backbone each time.
    """

    training: np.ndarray = field(repr=False)
    held_back: np.ndarray | None = field(repr=False)


Steps = Generator[Prepared | Noted, None, Features]


def plain(config: TrainingConfig, dataset: Dataset) -> np.ndarray:
    """The features `float32[N, F]` of every photo of `dataset`, unchanged, by the backbone and pooling of `config`.

    From the disk where they are there already, without even loading the backbone. It is the backbone as it was before
    any fine-tuning.
    """
    steps = plain_steps(config, dataset)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def plain_steps(config: TrainingConfig, dataset: Dataset) -> Generator[Prepared, None, np.ndarray]:
    """`plain`, saying how far it is; the features are what the generator returns."""
    photos = _Photos(dataset, np.arange(len(dataset)))
    values = feature_cache.read(feature_cache.path(config, photos.digests), len(photos.rows))
    if values is None:
        frozen = replace(config, from_scratch=False)
        values = yield from _Work(build(config.backbone, dataset.classes, frozen), frozen, len(photos.rows)).do(photos)
    return values[photos.inverse]


def variants(classifier: Classifier, splits: Splits, config: TrainingConfig) -> int:
    """How many variants of each training photo are computed once, itself among them; 0 where none are."""
    augmented = classifier.augmentation is not None
    if augmented and not config.variants:
        return 0
    room = FEATURES_MAX_BYTES - _bytes(classifier, len(splits.dataset))
    fitting = room // _bytes(classifier, len(splits.training))
    return max(0, min(config.variants if augmented else 1, fitting))


def computed(classifier: Classifier, splits: Splits, config: TrainingConfig) -> Steps:
    """The features that the head is trained and judged on, with events on the way.

    The variants are drawn by `config.seed`, and each by its own number: more of them leave the first ones as they are.
    """
    count = variants(classifier, splits, config)
    training = np.empty((count, len(splits.training), classifier.head.input_shape[-1]), np.float32)
    yield from _notes(classifier, config, count)
    if _bytes(classifier, len(splits.dataset)) > FEATURES_MAX_BYTES:
        return Features(training, None)
    every, own = _Photos(splits.dataset, np.arange(len(splits.dataset))), _Photos(splits.dataset, splits.training)
    parts = [(every, 0), *((own, variant) for variant in range(1, count))]
    kept = [_kept(classifier, config, photos, variant) for photos, variant in parts]
    missing = [photos for (photos, _), values in zip(parts, kept, strict=True) if values is None]
    work = _Work(classifier, config, sum(len(photos.rows) for photos in missing))
    held_back = None
    for (photos, variant), values in zip(parts, kept, strict=True):
        if values is None:
            values = yield from work.do(photos, variant)
        if variant:
            training[variant] = values[photos.inverse]
            continue
        held_back = values[photos.inverse[splits.validation]]
        if count:
            training[0] = values[photos.inverse[splits.training]]
    return Features(training, held_back)


class _Photos:
    """The different photos among `dataset.photos[rows]`, in the order of their digests.

    Neither the names of the classes nor what is there twice makes another set of them. `rows` are theirs in the
    dataset; `inverse` leads from the given rows to them.
    """

    def __init__(self, dataset: Dataset, rows: np.ndarray):
        digests, first, self.inverse = np.unique(
            np.array(dataset.digests)[rows], return_index=True, return_inverse=True
        )
        self.pixels, self.rows, self.digests = dataset.photos, rows[first], digests.tolist()


class _Work:
    """What has to be computed by the backbone, in one count; each part is kept on disk when it is done."""

    def __init__(self, classifier: Classifier, config: TrainingConfig, total: int):
        self._classifier, self._config, self._total, self._done = classifier, config, total, 0
        # Its own, for the one that is used at every step of fine-tuning must not depend on what was on the disk.
        self._augmentation = augment(config.augmentation, config.seed)
        signature = [tf.TensorSpec((None, *classifier.input_size, 3), tf.float32)]
        self._infer = tf.function(self._features, input_signature=signature, autograph=False)
        self._change = tf.function(self._changed, input_signature=signature, autograph=False)

    def _features(self, pixels):
        return self._classifier.features(pixels, training=False)

    def _changed(self, pixels):
        return self._augmentation(pixels, training=True)

    def do(self, photos: _Photos, variant: int = 0) -> Generator[Prepared, None, np.ndarray]:
        if variant:
            _draw_by(self._augmentation, self._config.seed, variant)
        values = np.empty((len(photos.rows), self._classifier.head.input_shape[-1]), np.float32)
        batch = at_a_time(self._classifier.features)
        for start in range(0, len(photos.rows), batch):
            rows = photos.rows[start : start + batch]
            pixels = tf.constant(photos.pixels[rows], tf.float32)
            values[start : start + len(rows)] = self._infer(self._change(pixels) if variant else pixels).numpy()
            self._done += len(rows)
            yield Prepared(self._done, self._total)
        if self._classifier.known:
            feature_cache.keep(feature_cache.path(self._config, photos.digests, variant), values)
        return values


def _kept(classifier: Classifier, config: TrainingConfig, photos: _Photos, variant: int) -> np.ndarray | None:
    if not classifier.known:
        return None
    return feature_cache.read(feature_cache.path(config, photos.digests, variant), len(photos.rows))


def _draw_by(augmentation: keras.Sequential, seed: int, variant: int) -> None:
    """Set what the layers draw from anew, so that a variant is the same whether the others were computed or not."""
    drawn = np.random.SeedSequence((seed, variant)).generate_state(len(augmentation.variables))
    for state, value in zip(augmentation.variables, drawn, strict=True):
        state.assign([int(value), 0])


def _notes(classifier: Classifier, config: TrainingConfig, count: int) -> Generator[Noted, None, None]:
    wanted = config.variants if classifier.augmentation is not None else 1
    if not wanted or count >= wanted:
        return
    how = "Average pooling makes them smaller." if config.pooling == "flatten" else "Smaller photos make them smaller."
    if count:
        yield Noted(f"Only {count} of {wanted} variants of each photo are used: more would not fit into memory. {how}")
    else:
        yield Noted(f"What the network makes of these photos does not fit into memory, so every step is slow. {how}")


def _bytes(classifier: Classifier, photos: int) -> int:
    return photos * classifier.head.input_shape[-1] * np.dtype(np.float32).itemsize
