"""Many heads on the same features, each trained in a moment: one graph for all of them, an epoch in one call.

The features are those of the frozen backbone, computed once (Chollet, *Deep Learning with Python*, 2nd ed., 8.3.1).
A new head is the old one with its variables and its optimiser's set back, so nothing is traced again.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from core.messages import Progress
from core.transfer import features, losses, optimisers, weights
from core.transfer.datasets import Dataset
from core.transfer.requests import TrainingConfig


class Heads:
    """Trains heads as `config` says (dense layers, dropout, loss, optimiser, rate, epochs, best epoch kept) on
    unchanged photos.

    `features` is `float32[N, F]`, `labels` `int[N]` below `classes`; `per_epoch` photos are looked at in an epoch, over
    and over again where there are fewer: then all heads are trained for equally long, on however many photos.
    """

    def __init__(
        self, features: np.ndarray, labels: np.ndarray, classes: int, config: TrainingConfig, per_epoch: int
    ) -> None:
        self._config, self._classes = config, classes
        self._labels_here = np.asarray(labels)
        self._features, self._labels = tf.constant(features, tf.float32), tf.constant(labels, tf.int32)
        self._steps = math.ceil(per_epoch / config.batch_size)
        sizes = (features.shape[1], *config.dense, classes)
        self._kernels = [keras.Variable(tf.zeros(pair)) for pair in itertools.pairwise(sizes)]
        self._biases = [keras.Variable(tf.zeros(size)) for size in sizes[1:]]
        self._variables = [*self._kernels, *self._biases]
        self._loss = losses.named(config.loss, config.label_smoothing)
        steps = self._steps * config.epochs
        self._optimizer = optimisers.named(config.optimizer, config.learning_rate, config.schedule, steps)
        self._optimizer.build(self._variables)
        self._at_first = [variable.numpy() for variable in self._optimizer.variables]
        rows, per_class = tf.TensorSpec([None, config.batch_size], tf.int32), tf.TensorSpec([classes], tf.float32)
        self.epoch = tf.function(self._epoch, [rows, per_class, tf.TensorSpec([], tf.int32)], autograph=False)
        self.judge = tf.function(self._judge, [tf.TensorSpec([None], tf.int32)], autograph=False)

    def train(self, training: np.ndarray, validation: np.ndarray, seed: int) -> float:
        """The accuracy on the rows `validation` of a new head trained on the rows `training`, at its best epoch.

        The same `seed` gives the same number.
        """
        self._begin(seed)
        class_weights = tf.constant(self._class_weights(training), tf.float32)
        held_back = tf.constant(validation, tf.int32)
        best, since = (-1.0, -math.inf), 0
        for number, rows in enumerate(self._orders(training, seed)):
            self.epoch(tf.constant(rows, tf.int32), class_weights, tf.constant(seed * 10_007 + number, tf.int32))
            accuracy, loss = (float(value) for value in self.judge(held_back))
            since = 0 if (accuracy, -loss) > best else since + 1
            best = max(best, (accuracy, -loss))
            if self._config.patience is not None and since >= self._config.patience:
                break
        return best[0]

    def _begin(self, seed: int) -> None:
        for place, kernel in enumerate(self._kernels, start=1):
            # As `classifier.build` draws them, for seed 0: the last layer first.
            draw = keras.initializers.GlorotUniform(seed=seed * 101 + place % len(self._kernels))
            kernel.assign(draw(kernel.shape))
        for bias in self._biases:
            bias.assign(tf.zeros(bias.shape))
        for variable, value in zip(self._optimizer.variables, self._at_first, strict=True):
            variable.assign(value)

    def _class_weights(self, training: np.ndarray) -> np.ndarray:
        if not self._config.class_weights:
            return np.ones(self._classes)
        return weights.balanced(self._labels_here[training], self._classes)

    def _orders(self, training: np.ndarray, seed: int) -> Iterator[np.ndarray]:
        """For each epoch the rows in random order, `int[steps, batch]`: all of them before one comes again."""
        rng = np.random.default_rng((seed, 3))
        wanted = self._steps * self._config.batch_size
        for _ in range(self._config.epochs):
            rounds = [rng.permutation(training) for _ in range(math.ceil(wanted / len(training)))]
            yield np.concatenate(rounds)[:wanted].reshape(self._steps, self._config.batch_size)

    def _epoch(self, rows: tf.Tensor, class_weights: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        def step(number: tf.Tensor) -> tuple[tf.Tensor]:
            batch = rows[number]
            labels = tf.gather(self._labels, batch)
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                for variable in self._variables:
                    tape.watch(variable.value)
                said = self._forward(tf.gather(self._features, batch), tf.stack([seed, number]))
                loss = tf.reduce_mean(self._loss(labels, said) * tf.gather(class_weights, labels))
            self._optimizer.apply(tape.gradient(loss, [each.value for each in self._variables]), self._variables)
            return (number + 1,)

        (done,) = tf.while_loop(lambda number: number < tf.shape(rows)[0], step, (tf.constant(0),))
        return done

    def _judge(self, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        labels, said = tf.gather(self._labels, rows), self._forward(tf.gather(self._features, rows), None)
        right = tf.argmax(said, axis=-1, output_type=tf.int32) == labels
        return tf.reduce_mean(tf.cast(right, tf.float32)), tf.reduce_mean(self._loss(labels, said))

    def _forward(self, values: tf.Tensor, seed: tf.Tensor | None) -> tf.Tensor:
        """Probabilities; with a `seed` there is dropout before the last layer and behind each dense one."""
        for place, (kernel, bias) in enumerate(zip(self._kernels, self._biases, strict=True)):
            last = place == len(self._kernels) - 1
            if seed is not None and self._config.dropout and (place or last):
                values = tf.nn.experimental.stateless_dropout(
                    values, self._config.dropout, tf.stack([seed[0], seed[1] * len(self._kernels) + place])
                )
            values = values @ kernel.value + bias.value
            values = tf.nn.softmax(values) if last else tf.nn.relu(values)
        return values


def passes(config: TrainingConfig) -> int:
    """How often the run itself looked at each photo in an epoch of its head: once for each cached variant."""
    return 1 if config.augmentation is None else max(1, config.variants)


def frozen_features(config: TrainingConfig, dataset: Dataset) -> Iterator[Progress | np.ndarray]:
    """What the run's frozen backbone, as it was before any fine-tuning, makes of all photos as they are.

    `Progress` on the way; the last thing that comes is `float32[N, F]`, pooled as the run's head is. Only this network
    has learned from none of the photos: a fine-tuned one would know those that another split holds back.
    """
    steps = features.plain_steps(config, dataset)
    while True:
        try:
            event = next(steps)
        except StopIteration as end:
            yield end.value
            return
        words = f"Looking at every photo with the frozen network: {event.done:,} of {event.total:,}"
        yield Progress(words, event.done / event.total)
