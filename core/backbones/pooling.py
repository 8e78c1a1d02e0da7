"""Max pooling whose gradient is quick on a processor.

TensorFlow's own gradient of it runs there at a fifth of the speed: in Xception it costs as much as all that lies before
it. Here it is a handful of comparisons that XLA makes one loop of. (XLA is slow at convolutions on a processor, and so
compiles nothing else.)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

Sides = tuple[int, int]


def max_pool(images: tf.Tensor, size: Sides, strides: Sides, padding: str) -> tf.Tensor:
    """`tf.nn.max_pool2d` of `[B, H, W, C]`, with its gradient. A pixel that equals another of its window gets its
    share of the gradient as well, where TensorFlow gives all to the first."""
    if not _has_xla() or None in images.shape:
        return tf.nn.max_pool2d(images, size, strides, padding)

    @tf.custom_gradient
    def pool(images: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        largest = tf.nn.max_pool2d(images, size, strides, padding)

        @tf.function(jit_compile=True, autograph=False)
        def back(images: tf.Tensor, largest: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
            return _gradient(images, largest, upstream, size, strides, padding)

        return largest, lambda upstream: back(images, largest, upstream)

    return pool(images)


@functools.lru_cache(maxsize=1)
def _has_xla() -> bool:
    """On processors alone: a GPU's own gradient is quick. Some builds of TensorFlow come without XLA."""
    if tf.config.list_logical_devices("GPU"):
        return False
    try:
        tf.function(lambda x: x + 1, jit_compile=True, autograph=False)(tf.zeros([1]))
    except (tf.errors.OpError, ValueError, RuntimeError):
        return False
    return True


def _gradient(images: tf.Tensor, largest: tf.Tensor, upstream: tf.Tensor, *how: Any) -> tf.Tensor:
    """Each cell of a window asks whether it is the largest one. What the cells get is sorted by their place in blocks
    of `strides` cells, and the blocks are put together again."""
    size, strides, padding = how
    height, width = images.shape[1:3]
    down, right = (_Axis(images.shape[1 + i], size[i], strides[i], padding) for i in (0, 1))
    room = [[0, 0], [down.before, down.after], [right.before, right.after], [0, 0]]
    padded = tf.pad(images, room, constant_values=images.dtype.min)
    planes: dict[Sides, list[tf.Tensor]] = {}
    for row in range(size[0]):
        for column in range(size[1]):
            cells = padded[:, down.taken(row), right.taken(column)]
            share = tf.where(tf.equal(cells, largest), upstream, tf.zeros_like(upstream))
            place = [[0, 0], down.room(row), right.room(column), [0, 0]]
            planes.setdefault((row % strides[0], column % strides[1]), []).append(tf.pad(share, place))
    nothing = [tf.zeros([images.shape[0], down.blocks, right.blocks, images.shape[3]], upstream.dtype)]
    rows = [
        tf.stack([tf.add_n(planes.get((row, column), nothing)) for column in range(strides[1])], axis=3)
        for row in range(strides[0])
    ]
    together = tf.stack(rows, axis=2)
    together = tf.reshape(together, padded.shape)
    return together[:, down.before : down.before + height, right.before : right.before + width]


class _Axis:
    """One axis: how many windows there are, and how far the images must be padded to whole blocks of a stride."""

    def __init__(self, length: int, size: int, stride: int, padding: str) -> None:
        self.stride = stride
        self.windows = -(-length // stride) if padding == "SAME" else (length - size) // stride + 1
        reach = (self.windows - 1) * stride + size
        self.before = max(0, reach - length) // 2 if padding == "SAME" else 0
        self.blocks = -(-max(reach, length + self.before) // stride)
        self.after = self.blocks * stride - length - self.before

    def taken(self, start: int) -> slice:
        """Of the padded axis: the cell number `start` of every window."""
        return slice(start, start + (self.windows - 1) * self.stride + 1, self.stride)

    def room(self, start: int) -> Sides:
        """How many blocks lie before and after those that hold these cells."""
        before = start // self.stride
        return before, self.blocks - self.windows - before
