"""The phases of a training run: which variables each changes, by which optimisers, and on what."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from core.transfer import features, optimisers, weights
from core.transfer.classifier import Classifier, unfreeze
from core.transfer.datasets import Splits
from core.transfer.features import Noted, Prepared
from core.transfer.requests import TrainingConfig
from core.transfer.steps import Batch, Group, shuffled

# The head has learned something by then, and large steps would carry the backbone off with it; but it still may go
# faster than what was learned on millions of photos (Howard & Ruder, *Universal Language Model Fine-tuning*, 2018,
# section 3.2: "discriminative fine-tuning"; fastai's `fine_tune` has its last layers 100 times as fast as its first).
HEAD_WHILE_FINE_TUNING = 0.1  # of the head's own learning rate
STREAM = {"head": 0, "fine-tuning": 1, "scratch": 2}  # of random numbers, that each phase has its own order of photos


@dataclass(frozen=True)
class Data:
    """`batches` gives those of an epoch; `judged` maps the inputs `held_back` to probabilities."""

    batches: Callable[[int], Iterator[Batch]]
    judged: keras.Model
    held_back: np.ndarray


@dataclass(frozen=True)
class Phase:
    """`groups` go by the names that their optimisers have in a `LoopState`; `photos` are those of one epoch, variants
    counted; `variables` are all that changes, `random` the states of all that draws at random.

    `prepare` gives `data`, and events on the way.
    """

    name: str
    epochs: int
    photos: int
    model: keras.Model
    augmentation: keras.Model | None
    groups: dict[str, Group]
    variables: list[Any]
    random: list[Any]
    prepare: Callable[[], Generator[Prepared | Noted, None, Data]]


def planned(config: TrainingConfig) -> list[str]:
    """The names of the phases, in their order."""
    if config.from_scratch:
        return ["scratch"]
    return ["head", "fine-tuning"] if config.fine_tune_epochs else ["head"]


def open_phase(
    name: str, classifier: Classifier, splits: Splits, config: TrainingConfig, strategy: tf.distribute.Strategy
) -> Phase:
    """The phase `name`, its optimisers fresh; from then on only what it trains is trainable."""
    with strategy.scope():
        return {"head": _head, "fine-tuning": _fine_tuning, "scratch": _scratch}[name](classifier, splits, config)


def _head(classifier: Classifier, splits: Splits, config: TrainingConfig) -> Phase:
    variants = features.variants(classifier, splits, config)
    photos = max(1, variants) * len(splits.training)
    known = splits.dataset.labels[splits.training]

    def prepare() -> Generator[Prepared | Noted, None, Data]:
        cached = yield from features.computed(classifier, splits, config)
        if not variants:
            judged = classifier.head if cached.held_back is not None else classifier.model
            held_back = splits.dataset.photos[splits.validation] if cached.held_back is None else cached.held_back
            return Data(lambda epoch: _photos(splits, config, "head", epoch), judged, held_back)

        def batches(epoch: int) -> Iterator[Batch]:
            for places, mask in shuffled(photos, config.batch_size, _order(config, "head", epoch)):
                variant, rows = np.divmod(places, len(known))
                yield cached.training[variant, rows], known[rows], mask

        return Data(batches, classifier.head, cached.held_back)

    variables = classifier.head.trainable_variables
    return Phase(
        name="head",
        epochs=config.epochs,
        photos=photos,
        model=classifier.head if variants else classifier.model,
        augmentation=None if variants else classifier.augmentation,
        groups={"optimizer": _group(config.optimizer, config.learning_rate, variables, photos, config.epochs, config)},
        variables=variables,
        random=_random(classifier),
        prepare=prepare,
    )


def _fine_tuning(classifier: Classifier, splits: Splits, config: TrainingConfig) -> Phase:
    photos, epochs = len(splits.training), config.fine_tune_epochs
    backbone = unfreeze(classifier, config.fine_tune_share, config.fine_tune_from)
    head = classifier.head.trainable_variables
    rate = HEAD_WHILE_FINE_TUNING * config.learning_rate
    groups = {
        "optimizer": _group(config.optimizer, rate, head, photos, epochs, config),
        "backbone_optimizer": _group(
            config.fine_tune_optimizer, config.fine_tune_learning_rate, backbone, photos, epochs, config
        ),
    }
    return _whole("fine-tuning", epochs, groups, [*head, *backbone], classifier, splits, config)


def _scratch(classifier: Classifier, splits: Splits, config: TrainingConfig) -> Phase:
    model, photos = classifier.model, len(splits.training)
    group = _group(config.optimizer, config.learning_rate, model.trainable_variables, photos, config.epochs, config)
    # BatchNorm's statistics change too, though no gradient does it.
    return _whole("scratch", config.epochs, {"optimizer": group}, model.weights, classifier, splits, config)


def _whole(
    name: str,
    epochs: int,
    groups: dict[str, Group],
    variables: list[Any],
    classifier: Classifier,
    splits: Splits,
    config: TrainingConfig,
) -> Phase:
    """A phase whose photos go through the whole network at every step."""

    def prepare() -> Generator[Prepared | Noted, None, Data]:
        yield from ()
        held_back = splits.dataset.photos[splits.validation]
        return Data(lambda epoch: _photos(splits, config, name, epoch), classifier.model, held_back)

    return Phase(
        name=name,
        epochs=epochs,
        photos=len(splits.training),
        model=classifier.model,
        augmentation=classifier.augmentation,
        groups=groups,
        variables=variables,
        random=_random(classifier),
        prepare=prepare,
    )


def class_weights(splits: Splits, config: TrainingConfig) -> np.ndarray | None:
    """`float32[C]`, or `None` where every photo weighs the same."""
    if not config.class_weights:
        return None
    return weights.balanced(splits.dataset.labels[splits.training], len(splits.dataset.classes))


def _photos(splits: Splits, config: TrainingConfig, phase: str, epoch: int) -> Iterator[Batch]:
    photos, labels = splits.dataset.photos, splits.dataset.labels
    for rows, mask in shuffled(len(splits.training), config.batch_size, _order(config, phase, epoch)):
        chosen = splits.training[rows]
        yield photos[chosen], labels[chosen], mask


def _order(config: TrainingConfig, phase: str, epoch: int) -> np.random.Generator:
    return np.random.default_rng((config.seed, STREAM[phase], epoch))


def _group(name: str, rate: float, variables: list[Any], photos: int, epochs: int, config: TrainingConfig) -> Group:
    steps = math.ceil(photos / config.batch_size) * epochs
    optimizer = optimisers.named(name, rate, config.schedule, steps)
    optimizer.build(variables)
    return Group(optimizer, variables)


def _random(classifier: Classifier) -> list[Any]:
    """The states of dropout and of augmentation; weights are all that a model has besides."""
    own = {id(variable) for variable in classifier.model.weights}
    states = [variable for variable in classifier.model.variables if id(variable) not in own]
    return states + (classifier.augmentation.variables if classifier.augmentation else [])
