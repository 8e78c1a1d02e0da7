"""One step of training, and looking without learning: compiled once, on as many devices as there are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

ARRAY_MAX_BYTES = 32 * 1024**2
MOST_AT_A_TIME = 64

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]  # inputs, labels, weights (0 for what only fills the last batch)


@dataclass(frozen=True)
class Group:
    """Variables that one optimiser changes."""

    optimizer: keras.optimizers.Optimizer
    variables: Sequence[Any]


def make_step(
    model: keras.Model,
    groups: Sequence[Group],
    loss: keras.losses.Loss,
    strategy: tf.distribute.Strategy | None = None,
    augmentation: keras.Model | None = None,
    *,
    eager: bool = False,
) -> Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[tf.Tensor, tf.Tensor]]:
    """One step of `groups`, all with the gradients of one tape: (inputs, labels, weights) -> (mean loss, recognised).

    The loss is the weighted sum over the photos, divided by how many of them have a weight at all, as Keras' `fit`
    does. All batches must have one shape, for then the step is traced once (`.traced`, where it is not `eager`); a
    batch is shared out among the replicas of `strategy`. Their gradients add up to one device's, with two exceptions:
    each draws the same dropout and augmentation for its share, and BatchNorm that learns sees its share alone.
    """
    strategy = strategy or tf.distribute.get_strategy()
    with strategy.scope():
        for group in groups:
            group.optimizer.build(group.variables)  # nothing happens where it is built
    variables = [variable for group in groups for variable in group.variables]

    def on_replica(inputs, labels, weights, total):
        inputs = tf.cast(inputs, tf.float32)
        if augmentation is not None:
            inputs = augmentation(inputs, training=True)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            for variable in variables:
                tape.watch(variable.value)
            probabilities = model(inputs, training=True)
            value = tf.reduce_sum(loss(labels, probabilities) * weights) / total
        gradients = iter(tape.gradient(value, [variable.value for variable in variables]))
        for group in groups:
            group.optimizer.apply([next(gradients) for _ in group.variables], group.variables)
        right = (tf.argmax(probabilities, axis=-1) == labels) & (weights > 0)
        return value, tf.reduce_sum(tf.cast(right, tf.float32))

    def step(inputs, labels, weights, total):
        values = strategy.run(on_replica, args=(inputs, labels, weights, total))
        return tuple(strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None) for value in values)

    traced = step if eager else tf.function(step, autograph=False)

    def shared_out(inputs, labels, weights):
        total = tf.constant(np.count_nonzero(weights), tf.float32)
        return traced(*(_share_out(strategy, array) for array in (inputs, labels, weights)), total)

    shared_out.traced = traced
    return shared_out


def _share_out(strategy: tf.distribute.Strategy, array: np.ndarray) -> Any:
    """Each replica's rows of a batch that every process has; a process gives only to those that are its own."""
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


def predict(model: keras.Model, inputs: np.ndarray) -> np.ndarray:
    """Probabilities `float32[N, C]` of `inputs`, in inference mode."""
    return predictor(model)(inputs)


def predictor(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """`predict` for the same model again and again: it is traced once, and sees the weights as they then are."""
    batch = at_a_time(model)

    @tf.function(input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)], autograph=False)
    def infer(inputs):
        return model(inputs, training=False)

    def over(inputs: np.ndarray) -> np.ndarray:
        parts = [inputs[start : start + batch] for start in range(0, len(inputs), batch)]
        return np.concatenate([infer(tf.constant(part, tf.float32)).numpy() for part in parts])

    return over


def at_a_time(model: keras.Model) -> int:
    """How many photos are best looked at together where nothing is learned; a power of two.

    Twice to three times as fast as more of them on the CPU: the C library gives arrays beyond 32 MB back to the system
    at once, which clears each new one page by page.
    """
    largest = max((math.prod(shape) for shape in _shapes(model) if None not in shape), default=1)
    fitting = ARRAY_MAX_BYTES // (largest * np.dtype(np.float32).itemsize)
    return 2 ** int(math.log2(min(max(fitting, 1), MOST_AT_A_TIME)))


def _shapes(model: keras.Model) -> Iterator[tuple[int | None, ...]]:
    """Of what each layer gives for one photo, where that is one array."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _shapes(layer)
        elif keras.backend.is_keras_tensor(layer.output):
            yield layer.output.shape[1:]
