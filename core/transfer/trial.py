"""What a trial of a few steps stands on: a classifier of its own, and some photos to learn from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from core.backbones import loading
from core.messages import Progress
from core.transfer import datasets, losses, optimisers
from core.transfer.classifier import Classifier, build, unfreeze
from core.transfer.requests import TrainingConfig
from core.transfer.steps import Group

MOST = 512  # photos
BATCH = 32  # photos at a time through the backbone


@dataclass(frozen=True)
class Trial:
    """`classifier` is thrown away afterwards; `photos` `uint8[N, size, size, 3]` and `labels` are for training."""

    config: TrainingConfig
    classifier: Classifier
    photos: np.ndarray = field(repr=False)
    labels: np.ndarray = field(repr=False)

    def head(self, rate: float) -> list[Group]:
        return [Group(optimisers.named(self.config.optimizer, rate), self.classifier.head.trainable_variables)]

    def network(self, rate: float) -> list[Group]:
        """All that learns when it is not the head alone, with the optimisers that the recipe gives it."""
        config = self.config
        if config.from_scratch:
            every = self.classifier.model.trainable_variables
            return [Group(optimisers.named(config.optimizer, rate), every)]
        last = unfreeze(self.classifier, config.fine_tune_share, config.fine_tune_from)
        gentle = optimisers.named(config.fine_tune_optimizer, config.fine_tune_learning_rate)
        return [*self.head(rate), Group(gentle, last)]

    def loss(self) -> keras.losses.Loss:
        return losses.named(self.config.loss, self.config.label_smoothing)


def prepare(config: TrainingConfig, most: int = MOST) -> Iterator[Progress | Trial]:
    """Read the photos and build the network, reporting on the way; the last item is the `Trial`.

    Of the training photos `most` are kept, spread over all. Raises `UserError` as a training run would.
    """
    found = None
    for found in datasets.reading(config.data, config.size, config.per_class):
        if isinstance(found, Progress):
            yield found
    training = datasets.split(found, config.validation, config.seed, own=config.own_splits).training
    rows = training[np.linspace(0, len(training) - 1, min(most, len(training))).round().astype(int)]
    yield Progress("Loading the model")
    for step in loading.load_steps(config.backbone):
        if isinstance(step, Progress):
            yield step
    yield Trial(config, build(config.backbone, found.classes, config), found.photos[rows], found.labels[rows])


def features(trial: Trial) -> Iterator[Progress | np.ndarray]:
    """The head's inputs `float32[N, F]` for the trial's photos, which come last."""
    extract = tf.function(
        lambda pixels: trial.classifier.features(tf.cast(pixels, tf.float32), training=False), autograph=False
    )
    parts = []
    for start in range(0, len(trial.photos), BATCH):
        yield Progress("Looking at the photos with the backbone", start / len(trial.photos))
        parts.append(extract(tf.constant(trial.photos[start : start + BATCH])).numpy())
    yield np.concatenate(parts)
