"""What to maximise: a score for each image, of the activations that the image causes.

The grammar is Lucid's (Olah et al., *Feature Visualization*, Distill 2017): an objective gives the structure, which
channel is data. One compiled graph therefore serves every channel of a layer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

BORDER = 2  # the textbook leaves out two cells a side, where the padding shows
_LEAST_LEFT = 3  # cells a side

Score = Callable[[Mapping[str, tf.Tensor], tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class Objective:
    """`score(activations, targets[B]) -> float32[B]`, to be maximised, of the outputs of `layers`.

    Objectives of the same `name` mean the same, so that compiled graphs can be shared; operators make new ones.
    `target_only` says that of each layer the score reads the image's target channel alone. It may then be given that
    channel as the only one, with targets of 0, so that the others need not be computed. `before_softmax` says that it
    wants a classifier without its softmax, `logits.with_logits`.
    """

    name: str
    layers: tuple[str, ...]
    score: Score = field(compare=False, repr=False)
    target_only: bool = field(default=False, compare=False)
    before_softmax: bool = field(default=False, compare=False)

    def __add__(self, other: Objective) -> Objective:
        return Objective(
            f"({self.name} + {other.name})",
            tuple(dict.fromkeys(self.layers + other.layers)),
            lambda activations, targets: self.score(activations, targets) + other.score(activations, targets),
            self.target_only and other.target_only,
            self.before_softmax or other.before_softmax,
        )

    def __mul__(self, factor: float) -> Objective:
        return Objective(
            f"{factor!r} * {self.name}",
            self.layers,
            lambda activations, targets: factor * self.score(activations, targets),
            self.target_only,
            self.before_softmax,
        )

    __rmul__ = __mul__

    def __neg__(self) -> Objective:
        return -1.0 * self

    def __sub__(self, other: Objective) -> Objective:
        return self + -other


def channel(layer: str, border: int | None = BORDER) -> Objective:
    """The mean of each image's target channel in `layer`, without `border` cells a side where there is room for that.

    With `border=None` it is a sixteenth of the side and at most two cells: on the small maps of deep layers every cell
    counts, or the image would have a grey frame. Of a layer that gives a vector: the value of the target unit; of one
    that gives steps or a volume: its mean over all of them. Source: Chollet, *Deep Learning with Python*, 2nd ed.,
    section 9.4.2.
    """

    def score(activations: Mapping[str, tf.Tensor], targets: tf.Tensor) -> tf.Tensor:
        activation = tf.cast(activations[layer], tf.float32)
        if activation.shape.rank == 4:
            activation = _without_border(activation, border)
        return tf.gather(_mean_of_cells(activation), targets, axis=1, batch_dims=1)

    return Objective(f"channel({layer!r}, border={border})", (layer,), score, target_only=True)


def neuron(layer: str, row: int | None = None, column: int | None = None) -> Objective:
    """The target channel at one place of the map of `layer`; in the middle where `row` or `column` is left out."""

    def score(activations: Mapping[str, tf.Tensor], targets: tf.Tensor) -> tf.Tensor:
        activation = tf.cast(activations[layer], tf.float32)
        height, width = activation.shape[1:3]
        place = activation[:, height // 2 if row is None else row, width // 2 if column is None else column]
        return tf.gather(place, targets, axis=1, batch_dims=1)

    return Objective(f"neuron({layer!r}, {row}, {column})", (layer,), score, target_only=True)


def class_logit(layer: str) -> Objective:
    """The logit of the target class, before the softmax of the classifier `layer`.

    The probability itself also rises by making the other classes less likely, and it saturates. Source: Simonyan et
    al., *Deep Inside Convolutional Networks*, 2014.
    """

    def score(activations: Mapping[str, tf.Tensor], targets: tf.Tensor) -> tf.Tensor:
        return tf.gather(tf.cast(activations[layer], tf.float32), targets, axis=1, batch_dims=1)

    return Objective(f"class_logit({layer!r})", (layer,), score, target_only=True, before_softmax=True)


def layer(name: str) -> Objective:
    """The mean of the squares of all activations of the layer: more of whatever it sees already. Targets mean nothing.

    Source: Mordvintsev et al., *DeepDream*, 2015.
    """

    def score(activations: Mapping[str, tf.Tensor], targets: tf.Tensor) -> tf.Tensor:
        activation = tf.cast(activations[name], tf.float32)
        return tf.reduce_mean(activation**2, axis=list(range(1, activation.shape.rank)))

    return Objective(f"layer({name!r})", (name,), score)


def direction(layer: str, vector: Sequence[float]) -> Objective:
    """How far the mean activations of `layer` go along `vector`, one number for each channel, of which the length does
    not matter. Targets mean nothing."""
    along = np.asarray(vector, np.float32)
    along = along / max(float(np.linalg.norm(along)), np.finfo(np.float32).tiny)

    def score(activations: Mapping[str, tf.Tensor], targets: tf.Tensor) -> tf.Tensor:
        activation = tf.cast(activations[layer], tf.float32)
        return tf.linalg.matvec(_mean_of_cells(activation), tf.constant(along))

    return Objective(f"direction({layer!r}, {hashlib.sha256(along.tobytes()).hexdigest()[:16]})", (layer,), score)


def diversity(layer: str) -> Objective:
    """How unlike the other images of its batch each image is: minus the mean cosine between their Gram matrices.

    A Gram matrix says which channels are active together, wherever. To be added to an objective, with a weight, for
    several faces of one filter (`parameterisations.faces`); each image then depends on its batch. Source: Olah et al.,
    *Feature Visualization*, Distill 2017, "Diversity".
    """

    def score(activations: Mapping[str, tf.Tensor], targets: tf.Tensor) -> tf.Tensor:
        activation = tf.cast(activations[layer], tf.float32)
        batch, channels = activation.shape[0], activation.shape[-1]
        cells = tf.reshape(activation, [batch, -1, channels])
        # A cosine does not depend on scale, but squares of the faint answers of untrained layers would be lost.
        cells = tf.math.divide_no_nan(cells, tf.reduce_max(tf.abs(cells), axis=[1, 2], keepdims=True))
        if cells.shape[1] == 1:  # the Gram matrices of two vectors have the square of the vectors' cosine
            unit = tf.math.l2_normalize(cells[:, 0], axis=1)
            cosines = tf.linalg.matmul(unit, unit, transpose_b=True) ** 2
        else:
            gram = tf.reshape(tf.linalg.matmul(cells, cells, transpose_a=True), [batch, channels**2])
            gram = tf.math.l2_normalize(gram, axis=1)
            cosines = tf.linalg.matmul(gram, gram, transpose_b=True)
        others = tf.reduce_sum(cosines, axis=1) - tf.linalg.diag_part(cosines)
        return -others / max(1, batch - 1)

    return Objective(f"diversity({layer!r})", (layer,), score)


def _without_border(activation: tf.Tensor, border: int | None) -> tf.Tensor:
    side = min(activation.shape[1:3])
    border = min(BORDER, side // 16) if border is None else border
    if border == 0 or side < 2 * border + _LEAST_LEFT:
        return activation
    return activation[:, border:-border, border:-border, :]


def _mean_of_cells(activation: tf.Tensor) -> tf.Tensor:
    """`[B, ..., C]` -> `[B, C]`: over the cells of maps, the steps of a sequence, the cells of a volume."""
    return tf.reduce_mean(activation, axis=list(range(1, activation.shape.rank - 1)))
