"""Training a classifier: the loop, as an iterator of events.

While the backbone is frozen its features never change, so they are computed once for each photo and for a few
randomly changed variants of it; the head is then trained on those (Chollet, *Deep Learning with Python*, 2nd ed.,
8.3.1, with the variants in the place of augmentation at every step). Fine-tuning goes through the whole network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from core.errors import UserError
from core.transfer import losses
from core.transfer.classifier import Classifier, unfreeze
from core.transfer.datasets import Splits
from core.transfer.requests import EpochRow, TrainingConfig

VARIANTS = 4  # of each photo, the first one unchanged; an epoch of the head goes through all of them
FEATURES_MAX_BYTES = 1000**3


@dataclass(frozen=True)
class Prepared:
    """The features of `done` of `total` photos and variants are computed."""

    done: int
    total: int


@dataclass(frozen=True)
class BatchEnd:
    """`loss` is the mean over the batch, before the step."""

    phase: str
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float


@dataclass(frozen=True)
class EpochEnd:
    """`row.epoch` counts on from phase to phase; `row.seconds` is left at 0 for whoever holds a clock."""

    row: EpochRow
    epochs: int


@dataclass(frozen=True)
class Saved:
    """The weights after this epoch are the best so far, and are kept in memory."""

    epoch: int
    validation_accuracy: float


Event = Prepared | BatchEnd | EpochEnd | Saved
Batch = tuple[np.ndarray, np.ndarray, np.ndarray]  # inputs, labels, weights (0 for what only fills the last batch)


@dataclass
class _Best:
    """The best weights so far. More than one phase offers its own."""

    score: tuple[float, float] | None = None
    variables: Sequence[Any] = ()
    values: Sequence[np.ndarray] = field(default=())

    def watch(self, variables: Sequence[Any]) -> None:
        """From now on keep `variables`, the earlier best among them restored."""
        self.restore()
        self.variables = list(variables)
        self.values = [variable.numpy() for variable in variables]

    def offer(self, accuracy: float, loss: float) -> bool:
        if self.score is not None and (accuracy, -loss) <= self.score:
            return False
        self.score = (accuracy, -loss)
        self.values = [variable.numpy() for variable in self.variables]
        return True

    def restore(self) -> None:
        if self.score is not None:
            for variable, value in zip(self.variables, self.values, strict=True):
                variable.assign(value)


def train(
    classifier: Classifier, splits: Splits, config: TrainingConfig, *, strategy: tf.distribute.Strategy | None = None
) -> Iterator[Event]:
    """Train the head on the frozen backbone, then (`fine_tune_epochs`) the backbone's last layers with it.

    However it ends, by the last epoch, an error or because nobody asks for the next event, `classifier` is left with
    the weights of the epoch that recognised most of the validation photos. The same `config` gives the same events.
    With a `strategy`, `classifier` must have been built in its scope. Raises `UserError` where the loss is no number.
    """
    best, strategy = _Best(), strategy or tf.distribute.get_strategy()
    devices = strategy.num_replicas_in_sync
    if config.batch_size % devices:
        raise UserError(
            f"A batch of {config.batch_size} cannot be shared out equally among {devices} devices. "
            "Choose a multiple of their number."
        )
    try:
        yield from _train_head(classifier, splits, config, best, strategy)
        if config.fine_tune_epochs:
            yield from _fine_tune(classifier, splits, config, best, strategy)
    finally:
        best.restore()


def _train_head(
    classifier: Classifier, splits: Splits, config: TrainingConfig, best: _Best, strategy: tf.distribute.Strategy
) -> Iterator[Event]:
    photos, labels = splits.dataset.photos, splits.dataset.labels
    held_back = yield from _features(classifier, photos, splits.validation, 1)
    variants = _variants(classifier, len(splits.training), config)
    features = yield from _features(classifier, photos, splits.training, variants)
    known = labels[splits.training]

    def batches(epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng((config.seed, 0, epoch))
        for places, weights in shuffled(variants * len(known), config.batch_size, rng):
            variant, rows = np.divmod(places, len(known))
            yield features[variant, rows], known[rows], weights

    variables = classifier.head.trainable_variables
    best.watch(variables)
    step = make_step(classifier.head, variables, config.learning_rate, losses.named(config.loss), strategy)
    validate = _validation(classifier.head, held_back[0], labels[splits.validation], config)
    numbers = range(1, config.epochs + 1)
    yield from _epochs("head", numbers, batches, step, validate, best, variants * len(known), config)


def _fine_tune(
    classifier: Classifier, splits: Splits, config: TrainingConfig, best: _Best, strategy: tf.distribute.Strategy
) -> Iterator[Event]:
    photos, labels = splits.dataset.photos, splits.dataset.labels

    def batches(epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng((config.seed, 1, epoch))
        for rows, weights in shuffled(len(splits.training), config.batch_size, rng):
            yield photos[splits.training[rows]], labels[splits.training[rows]], weights

    best.restore()
    variables = unfreeze(classifier)
    best.watch(variables)
    step = make_step(
        classifier.model,
        variables,
        config.fine_tune_learning_rate,
        losses.named(config.loss),
        strategy,
        classifier.augmentation,
    )
    held_back = photos[splits.validation]
    validate = _validation(classifier.model, held_back, labels[splits.validation], config)
    numbers = range(config.epochs + 1, config.epochs + config.fine_tune_epochs + 1)
    yield from _epochs("fine-tuning", numbers, batches, step, validate, best, len(splits.training), config)


def _epochs(
    phase: str,
    numbers: range,
    batches: Callable[[int], Iterator[Batch]],
    step: Callable[..., Any],
    validate: Callable[[], tuple[float, float]],
    best: _Best,
    photos: int,
    config: TrainingConfig,
) -> Iterator[Event]:
    steps = math.ceil(photos / config.batch_size)
    planned = config.epochs + config.fine_tune_epochs
    for epoch in numbers:
        total = hits = 0.0
        for place, (inputs, labels, weights) in enumerate(batches(epoch), start=1):
            loss, right = (float(value) for value in step(inputs, labels, weights))
            _check_finite(loss, phase, epoch)
            total, hits = total + loss * weights.sum(), hits + right
            yield BatchEnd(phase, epoch, planned, place, steps, loss)
        validation_loss, validation_accuracy = validate()
        _check_finite(validation_loss, phase, epoch)
        better = best.offer(validation_accuracy, validation_loss)
        row = EpochRow(epoch, phase, float(total) / photos, hits / photos, validation_loss, validation_accuracy, 0.0)
        yield EpochEnd(row, planned)
        if better:
            yield Saved(epoch, validation_accuracy)


def make_step(
    model: keras.Model,
    variables: Sequence[Any],
    learning_rate: float,
    loss: keras.losses.Loss,
    strategy: tf.distribute.Strategy,
    augmentation: keras.Model | None = None,
) -> Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[tf.Tensor, tf.Tensor]]:
    """One step of Adam on `variables`: (inputs, labels, weights) -> (mean loss, number recognised).

    All batches must have one shape, for then the step is traced once; a batch is shared out among the replicas of
    `strategy`.
    """
    with strategy.scope():
        optimizer = keras.optimizers.Adam(learning_rate)
        optimizer.build(variables)

    def on_replica(inputs, labels, weights, total):
        inputs = tf.cast(inputs, tf.float32)
        if augmentation is not None:
            inputs = augmentation(inputs, training=True)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            for variable in variables:
                tape.watch(variable.value)
            probabilities = model(inputs, training=True)
            value = tf.reduce_sum(loss(labels, probabilities) * weights) / total
        gradients = tape.gradient(value, [variable.value for variable in variables])
        optimizer.apply(gradients, variables)
        right = tf.cast(tf.argmax(probabilities, axis=-1) == labels, tf.float32) * weights
        return value, tf.reduce_sum(right)

    @tf.function
    def step(inputs, labels, weights, total):
        values = strategy.run(on_replica, args=(inputs, labels, weights, total))
        return tuple(strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None) for value in values)

    def shared_out(inputs, labels, weights):
        total = tf.constant(weights.sum(), tf.float32)
        return step(*(_share_out(strategy, array) for array in (inputs, labels, weights)), total)

    shared_out.traced = step
    return shared_out


def _share_out(strategy: tf.distribute.Strategy, array: np.ndarray) -> Any:
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return tf.constant(array)
    parts = np.split(array, replicas)
    return strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(parts[context.replica_id_in_sync_group])
    )


def shuffled(photos: int, batch: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All of 0 ... `photos` − 1 in random order, `batch` at a time, each with weight 1.

    The last batch is filled up with rows of weight 0, so that all have one shape.
    """
    order = rng.permutation(photos)
    for start in range(0, photos, batch):
        rows = order[start : start + batch]
        missing = batch - len(rows)
        weights = np.concatenate([np.ones(len(rows)), np.zeros(missing)]).astype(np.float32)
        yield np.concatenate([rows, np.resize(order, missing)]), weights


def predict(model: keras.Model, inputs: np.ndarray, batch: int = 32) -> np.ndarray:
    """Probabilities `float32[N, C]` of `inputs`, in inference mode."""
    return _predictor(model, batch)(inputs)


def _predictor(model: keras.Model, batch: int) -> Callable[[np.ndarray], np.ndarray]:
    @tf.function(input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)])
    def infer(inputs):
        return model(inputs, training=False)

    def over(inputs: np.ndarray) -> np.ndarray:
        parts = [inputs[start : start + batch] for start in range(0, len(inputs), batch)]
        return np.concatenate([infer(tf.constant(part, tf.float32)).numpy() for part in parts])

    return over


def _validation(
    model: keras.Model, inputs: np.ndarray, labels: np.ndarray, config: TrainingConfig
) -> Callable[[], tuple[float, float]]:
    """A function that gives (mean loss, accuracy) of `model` as it is when it is called."""
    predictions, loss = _predictor(model, config.batch_size), losses.named(config.loss)

    def validate() -> tuple[float, float]:
        probabilities = predictions(inputs)
        value = float(np.mean(loss(labels, probabilities)))
        return value, float(np.mean(np.argmax(probabilities, axis=-1) == labels))

    return validate


def _variants(classifier: Classifier, photos: int, config: TrainingConfig) -> int:
    """How many variants of each photo are worth computing, and fit into memory."""
    if classifier.augmentation is None:
        return 1
    fitting = FEATURES_MAX_BYTES // (photos * classifier.head.input_shape[-1] * 4)
    return max(1, min(VARIANTS, config.epochs, fitting))


def _features(
    classifier: Classifier, photos: np.ndarray, rows: np.ndarray, variants: int, batch: int = 32
) -> Iterator[Prepared]:
    """The features `float32[variants, len(rows), F]` of `photos[rows]`; the first variant is the photo unchanged."""
    signature = [tf.TensorSpec((None, *classifier.input_size, 3), tf.uint8)]

    @tf.function(input_signature=signature)
    def plain(pixels):
        return classifier.features(tf.cast(pixels, tf.float32), training=False)

    @tf.function(input_signature=signature)
    def changed(pixels):
        pixels = classifier.augmentation(tf.cast(pixels, tf.float32), training=True)
        return classifier.features(pixels, training=False)

    result = np.empty((variants, len(rows), classifier.head.input_shape[-1]), np.float32)
    for variant in range(variants):
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            values = (changed if variant else plain)(tf.constant(photos[part]))
            result[variant, start : start + len(part)] = values.numpy()
            yield Prepared(variant * len(rows) + start + len(part), variants * len(rows))
    return result


def _check_finite(loss: float, phase: str, epoch: int) -> None:
    if not math.isfinite(loss):
        rate = "fine-tuning learning rate" if phase == "fine-tuning" else "learning rate"
        raise UserError(
            f"The loss is no longer a number in epoch {epoch} ({phase}): the steps are too large. Lower the {rate}."
        )
