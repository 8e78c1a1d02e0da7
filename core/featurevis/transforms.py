"""Random changes that the image must survive, drawn anew at every step.

Configure, then apply: `jitter(8)` is a `Transform`. Each image has its own random numbers, so that what happens to one
does not depend on which others are in the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import tensorflow as tf

Apply = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class Transform:
    """`transform(images, seeds)`: `float32[B, H, W, 3]`, `int64[B, 2]` -> images of the same shape.

    Transforms of the same `name` do the same, so that compiled graphs can be shared.
    """

    name: str
    apply: Apply = field(compare=False, repr=False)

    def __call__(self, images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        return self.apply(images, seeds)


identity = Transform("identity", lambda images, seeds: images)


def jitter(pixels: int) -> Transform:
    """Shift each image by up to `pixels` in both directions, wrapping at the border."""

    def apply(images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        shifts = tf.map_fn(
            lambda seed: tf.random.stateless_uniform([2], seed, -pixels, pixels + 1, tf.int32),
            seeds,
            fn_output_signature=tf.TensorSpec([2], tf.int32),
        )
        return _roll(_roll(images, shifts[:, 0], axis=1), shifts[:, 1], axis=2)

    return Transform(f"jitter({pixels})", apply)


def compose(*transforms: Transform) -> Transform:
    """One after the other, each with random numbers of its own."""

    def apply(images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        for place, transform in enumerate(transforms):
            images = transform(images, seeds + tf.constant([place << 40, 0], tf.int64))
        return images

    return Transform(f"compose({', '.join(transform.name for transform in transforms)})", apply)


def _roll(images: tf.Tensor, shifts: tf.Tensor, axis: int) -> tf.Tensor:
    """`tf.roll` along one axis, with a shift for each image."""
    length = images.shape[axis]
    sources = tf.math.floormod(tf.range(length)[None] - shifts[:, None], length)
    return tf.gather(images, sources, axis=axis, batch_dims=1)
