"""Random changes that the image must survive, drawn anew at every step.

Configure, then apply: `jitter(8)` is a `Transform`. Each image has its own random numbers, so that what happens to one
does not depend on which others are in the batch. All are differentiable, and their shapes are known when traced.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import tensorflow as tf

Apply = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class Transform:
    """`transform(images, seeds)`: `float32[B, H, W, 3]`, `int64[B, 2]` -> images.

    The shape stays, except for `pad` and `crop`. Transforms of the same `name` do the same, so that compiled graphs can
    be shared.
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


def scale(low: float, high: float) -> Transform:
    """Enlarge each image about its middle by a factor of U(low, high), bilinearly; its edge is continued outwards."""
    if not 0 < low <= high:
        raise ValueError(f"`low` and `high` must be factors above 0 with low ≤ high, got {low!r} and {high!r}.")

    def apply(images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        factors = _uniform(seeds, low, high)
        down = _resampling(images.shape[1], factors)
        across = _resampling(images.shape[2], factors)
        return tf.einsum("bij,bjkc,blk->bilc", down, images, across)

    return Transform(f"scale({low!r}, {high!r})", apply)


def rotate(degrees: float) -> Transform:
    """Turn each image about its middle by U(−degrees, degrees), bilinearly; its edge is continued outwards."""

    def apply(images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        angles = _uniform(seeds, -degrees, degrees) * (math.pi / 180)
        return tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=_rotations(angles, images.shape[1], images.shape[2]),
            output_shape=images.shape[1:3],
            interpolation="BILINEAR",
            fill_mode="NEAREST",
            fill_value=0.0,
        )

    return Transform(f"rotate({degrees!r})", apply)


def pad(pixels: int, value: float = 0.5) -> Transform:
    """A frame of `pixels` of one brightness around each image, which grows by twice as much."""

    def apply(images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        return tf.pad(images, [[0, 0], [pixels, pixels], [pixels, pixels], [0, 0]], constant_values=value)

    return Transform(f"pad({pixels}, {value!r})", apply)


def crop(pixels: int) -> Transform:
    """Each image without `pixels` a side: the opposite of `pad`."""

    def apply(images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        height, width = images.shape[1:3]
        return images[:, pixels : height - pixels, pixels : width - pixels]

    return Transform(f"crop({pixels})", apply)


def compose(*transforms: Transform) -> Transform:
    """One after the other, each with random numbers of its own."""

    def apply(images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        for place, transform in enumerate(transforms):
            images = transform(images, seeds + tf.constant([place << 40, 0], tf.int64))
        return images

    return Transform(f"compose({', '.join(transform.name for transform in transforms)})", apply)


def _uniform(seeds: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """`float32[B]`: one number of U(low, high) for each image."""
    return tf.map_fn(
        lambda seed: tf.random.stateless_uniform([], seed, low, high),
        seeds,
        fn_output_signature=tf.TensorSpec([], tf.float32),
    )


def _roll(images: tf.Tensor, shifts: tf.Tensor, axis: int) -> tf.Tensor:
    """`tf.roll` along one axis, with a shift for each image."""
    length = images.shape[axis]
    sources = tf.math.floormod(tf.range(length)[None] - shifts[:, None], length)
    return tf.gather(images, sources, axis=axis, batch_dims=1)


def _resampling(length: int, factors: tf.Tensor) -> tf.Tensor:
    """`float32[B, length, length]`: the matrix that enlarges a line of pixels about its middle.

    As a product of matrices it has an exact gradient, which scattering back to the source pixels is slower at.
    """
    middle = (length - 1) / 2
    pixels = tf.range(length, dtype=tf.float32)
    sources = tf.clip_by_value((pixels[None] - middle) / factors[:, None] + middle, 0.0, length - 1.0)
    return tf.nn.relu(1 - tf.abs(sources[:, :, None] - pixels))


def _rotations(angles: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """`float32[B, 8]`: where each pixel of the turned image comes from, as the projective transform wants it."""
    x, y = (width - 1) / 2, (height - 1) / 2
    cos, sin = tf.cos(angles), tf.sin(angles)
    zero = tf.zeros_like(angles)
    return tf.stack([cos, -sin, x - x * cos + y * sin, sin, cos, y - x * sin - y * cos, zero, zero], axis=1)
