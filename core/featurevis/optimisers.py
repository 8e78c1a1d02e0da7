"""How far to go along a gradient: the step of the ascent, inside the compiled graph and for each image alone.

An optimiser is data: hashable, so that equal ones share a compiled graph. What it remembers from step to step (its
slots) is passed in and handed back. `point` counts from 0; point 0 is the start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import tensorflow as tf

SCHEDULES = ("constant", "cosine", "linear")

Slots = tuple[tf.Tensor, ...]


class Optimiser(Protocol):
    """Hashable. Gradients are those of the score, which is to be maximised; the batch axis comes first."""

    def start(self, params: tf.Tensor) -> Slots:
        """What is remembered at the start, for `params` of `float32[B, ...]`."""

    def step(
        self,
        params: tf.Tensor,
        gradient: tf.Tensor,
        slots: Slots,
        point: tf.Tensor,
        steps: tf.Tensor,
        learning_rate: tf.Tensor,
    ) -> tuple[tf.Tensor, Slots]:
        """The next params and slots. `point` and `steps` are int32 scalars, `learning_rate` is a float32 scalar."""


@dataclass(frozen=True)
class Normalised:
    """A step of a fixed length: the gradient, its L2 norm over each image made one, times the learning rate.

    `schedule` says how the learning rate goes on from there: "constant", or "cosine" or "linear" down to `end` times
    itself at the last step. A gradient of zero moves nothing. Source: Chollet, *Deep Learning with Python*, 2nd ed.,
    section 9.4.2 (constant).

    `evenness` above 0 divides each number by its own size plus 1 / `evenness` of the image's root mean square before:
    else a few pixels take most of a step, and long steps overshoot there. `momentum` is the share of the direction
    before that goes into the next one.
    """

    schedule: str = "constant"
    end: float = 0.0
    evenness: float = 0.0
    momentum: float = 0.0

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise ValueError(f"`schedule` must be one of {', '.join(SCHEDULES)}, got {self.schedule!r}.")

    def start(self, params: tf.Tensor) -> Slots:
        return (tf.zeros_like(params),) if self.momentum else ()

    def step(self, params, gradient, slots, point, steps, learning_rate):
        rate = learning_rate * _fraction(self.schedule, self.end, point, steps)
        direction = unit_length(self._evened(finite(gradient)))
        if self.momentum:
            direction += self.momentum * slots[0]
            slots = (direction,)
            direction = unit_length(direction)
        return params + rate * direction, slots

    def _evened(self, gradient: tf.Tensor) -> tf.Tensor:
        if not self.evenness:
            return gradient
        relative = unit_length(gradient) * math.sqrt(math.prod(gradient.shape[1:]))
        return relative / (tf.abs(relative) + 1 / self.evenness)


@dataclass(frozen=True)
class Adam:
    """Kingma and Ba, *Adam: a method for stochastic optimization*, 2015; with `nesterov` Dozat's Nadam, 2016.

    With `relative` each image's gradient is brought to a root mean square of 1 first, so that `epsilon` means the same
    for every layer of every network. With an `epsilon` near 1 what hardly matters to the score then hardly moves, where
    plain Adam would move it as fast as all else, and fill the image with noise.
    """

    b1: float = 0.9
    b2: float = 0.999
    epsilon: float = 1e-7
    nesterov: bool = False
    relative: bool = False
    schedule: str = "constant"
    end: float = 0.0

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise ValueError(f"`schedule` must be one of {', '.join(SCHEDULES)}, got {self.schedule!r}.")

    def start(self, params: tf.Tensor) -> Slots:
        return tf.zeros_like(params), tf.zeros_like(params)

    def step(self, params, gradient, slots, point, steps, learning_rate):
        gradient = finite(gradient)
        if self.relative:
            gradient = unit_length(gradient) * math.sqrt(math.prod(gradient.shape[1:]))
        first, second = slots
        first = self.b1 * first + (1 - self.b1) * gradient
        second = self.b2 * second + (1 - self.b2) * gradient**2
        count = tf.cast(point + 1, tf.float32)
        direction = first / (1 - self.b1**count)
        if self.nesterov:
            direction = self.b1 * first / (1 - self.b1 ** (count + 1)) + (1 - self.b1) * gradient / (1 - self.b1**count)
        rate = learning_rate * _fraction(self.schedule, self.end, point, steps)
        return params + rate * direction / (tf.sqrt(second / (1 - self.b2**count)) + self.epsilon), (first, second)


def finite(gradient: tf.Tensor) -> tf.Tensor:
    """`gradient` with zeros where it is no number: an infinity would spoil an image for good."""
    return tf.where(tf.math.is_finite(gradient), gradient, tf.zeros_like(gradient))


def unit_length(gradient: tf.Tensor) -> tf.Tensor:
    """Each image's gradient with an L2 norm of one, over all axes but the first; zero stays zero.

    However small or large it is: deep layers of an untrained network answer with 1e-11, and the textbook's
    `tf.math.l2_normalize`, for which a norm below 1e-6 is nearly none, would leave their images as they are.
    """
    axes = list(range(1, gradient.shape.rank))
    largest = tf.reduce_max(tf.abs(gradient), axis=axes, keepdims=True)
    return tf.math.l2_normalize(tf.math.divide_no_nan(gradient, largest), axis=axes)


def _fraction(schedule: str, end: float, point: tf.Tensor, steps: tf.Tensor) -> tf.Tensor | float:
    """What the learning rate is multiplied by at `point`: 1 at point 0, `end` at `steps` and from there on."""
    if schedule == "constant":
        return 1.0
    done = tf.minimum(1.0, tf.cast(point, tf.float32) / tf.cast(steps, tf.float32))
    left = 0.5 * (1 + tf.cos(math.pi * done)) if schedule == "cosine" else 1 - done
    return end + (1 - end) * left
