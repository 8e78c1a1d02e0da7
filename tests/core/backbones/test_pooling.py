"""Max pooling of our own against TensorFlow's."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from core.backbones.pooling import _has_xla, max_pool

HOW = {
    "vgg": ((2, 2), (2, 2), "VALID"),
    "xception": ((3, 3), (2, 2), "SAME"),
    "inception": ((3, 3), (1, 1), "SAME"),
    "uneven": ((3, 2), (2, 3), "SAME"),
    "gaps between windows": ((2, 2), (3, 3), "VALID"),
}


def value_and_gradient(pool, images, how):
    @tf.function
    def compute():
        with tf.GradientTape() as tape:
            tape.watch(images)
            pooled = pool(images, *how)
            total = tf.reduce_sum(tf.sin(3 * pooled))
        return pooled, tape.gradient(total, images)

    return [each.numpy() for each in compute()]


@pytest.mark.parametrize("how", HOW.values(), ids=HOW)
@pytest.mark.parametrize("shape", [(7, 9), (12, 8)], ids=str)
def test_values_and_gradients_are_those_of_tensorflow(how, shape):
    images = tf.random.stateless_normal([2, *shape, 3], (1, 2))
    theirs, ours = (value_and_gradient(pool, images, how) for pool in (tf.nn.max_pool2d, max_pool))
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_allclose(ours[1], theirs[1], atol=1e-6)


def test_it_is_ours_that_is_tested():
    images = tf.ones([1, 2, 2, 1])
    _, gradient = value_and_gradient(max_pool, images, HOW["vgg"])
    assert np.count_nonzero(gradient) == (4 if _has_xla() else 1)  # all that are largest, or the first of them


def test_bfloat16():
    images = tf.cast(tf.random.stateless_normal([1, 6, 6, 2], (3, 4)), tf.bfloat16)
    pooled, gradient = value_and_gradient(max_pool, images, HOW["xception"])
    assert pooled.dtype == gradient.dtype == tf.bfloat16.as_numpy_dtype
    assert np.any(gradient != 0)
