"""What is optimised, and how it becomes an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import tensorflow as tf


class Parameterisation(Protocol):
    """Hashable; two that are equal make the same images, so that compiled graphs can be shared."""

    @property
    def size(self) -> int:
        """The side of the square image, in pixels."""

    def initial(self, targets: Sequence[int], seed: int) -> tf.Tensor:
        """The start, `float32[len(targets), ...]`: each entry depends on its own target and on `seed` alone."""

    def to_image(self, params: tf.Tensor) -> tf.Tensor:
        """The images, `float32[B, size, size, 3]`."""


@dataclass(frozen=True)
class Pixels:
    """The pixels themselves, starting from grey noise, U(0.4, 0.6). They are not kept within [0, 1].

    Source: Chollet, *Deep Learning with Python*, 2nd ed., section 9.4.2.
    """

    size: int

    def initial(self, targets: Sequence[int], seed: int) -> tf.Tensor:
        shape = (self.size, self.size, 3)
        return tf.stack([tf.random.stateless_uniform(shape, (seed, target), 0.4, 0.6) for target in targets])

    def to_image(self, params: tf.Tensor) -> tf.Tensor:
        return params


def pixels(size: int) -> Parameterisation:
    """Optimise the pixels of `size` × `size` images."""
    return Pixels(size)
