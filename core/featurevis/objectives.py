"""What to maximise: a score for each image, of the activations that the image causes.

The grammar is Lucid's (Olah et al., *Feature Visualization*, Distill 2017): an objective gives the structure, which
channel is data. One compiled graph therefore serves every channel of a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import tensorflow as tf

BORDER = 2  # the textbook leaves out two cells a side, where the padding shows
_LEAST_LEFT = 3  # cells a side

Score = Callable[[Mapping[str, tf.Tensor], tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class Objective:
    """`score(activations, targets[B]) -> float32[B]`, to be maximised, of the outputs of `layers`.

    Objectives of the same `name` mean the same, so that compiled graphs can be shared; operators make new ones.
    `target_only` says that of each layer the score reads the image's target channel alone. It may then be given that
    channel as the only one, with targets of 0, so that the others need not be computed.
    """

    name: str
    layers: tuple[str, ...]
    score: Score = field(compare=False, repr=False)
    target_only: bool = field(default=False, compare=False)

    def __add__(self, other: Objective) -> Objective:
        return Objective(
            f"({self.name} + {other.name})",
            tuple(dict.fromkeys(self.layers + other.layers)),
            lambda activations, targets: self.score(activations, targets) + other.score(activations, targets),
            self.target_only and other.target_only,
        )

    def __mul__(self, factor: float) -> Objective:
        return Objective(
            f"{factor!r} * {self.name}",
            self.layers,
            lambda activations, targets: factor * self.score(activations, targets),
            self.target_only,
        )

    __rmul__ = __mul__

    def __neg__(self) -> Objective:
        return -1.0 * self

    def __sub__(self, other: Objective) -> Objective:
        return self + -other


def channel(layer: str, border: int = BORDER) -> Objective:
    """The mean of each image's target channel in `layer`, without `border` cells a side where there is room for that.

    Of a layer that gives a vector: the value of the target unit. Source: Chollet, *Deep Learning with Python*, 2nd ed.,
    section 9.4.2.
    """

    def score(activations: Mapping[str, tf.Tensor], targets: tf.Tensor) -> tf.Tensor:
        activation = tf.cast(activations[layer], tf.float32)
        if activation.shape.rank == 4:
            activation = tf.reduce_mean(_without_border(activation, border), axis=[1, 2])
        return tf.gather(activation, targets, axis=1, batch_dims=1)

    return Objective(f"channel({layer!r}, border={border})", (layer,), score, target_only=True)


def _without_border(activation: tf.Tensor, border: int) -> tf.Tensor:
    if border == 0 or min(activation.shape[1:3]) < 2 * border + _LEAST_LEFT:
        return activation
    return activation[:, border:-border, border:-border, :]
