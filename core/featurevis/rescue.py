"""What to do where gradient ascent would stand still: blocked ReLUs, and filters that never fire."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from core.backbones.folding import FoldedNetwork

_CHUNK = 8  # images at a time, so that memory does not grow with their number


def rescued(model: keras.Model, dtype: str = "float32") -> Callable[[tf.Tensor], list[tf.Tensor]]:
    """The flat `model` as a function with the same values and another gradient, which is to be followed upwards.

    Where a ReLU or ReLU6 blocks all of an image's gradient, it is let through, except where it would only push a unit
    further into what blocks it. Meant for the first steps. Source: Lucid, `optvis/overrides/redirected_relu_grad.py`
    (Olah et al., *Feature Visualization*, Distill 2017), with the sign of what is maximised.
    """
    network = FoldedNetwork(model, dtype)
    return lambda images: network(images, rescue=True)


def never_fires(model: keras.Model, targets: Sequence[int], images: np.ndarray) -> np.ndarray:
    """`bool[N]`: whether the target channel is silent on its own image although that was made to excite it.

    `model` gives one layer, `images` (`float32[N, H, W, 3]`) are as the network gets them. Silent means: no activation
    above 0 anywhere, or none that any pixel has an influence on.
    """
    silent = []
    for start in range(0, len(images), _CHUNK):
        chunk = tf.constant(images[start : start + _CHUNK])
        chosen = tf.constant(targets[start : start + _CHUNK], tf.int32)
        with tf.GradientTape() as tape:
            tape.watch(chunk)
            (outputs,) = tf.nest.flatten(model(chunk, training=False))
            activation = tf.gather(outputs, chosen, axis=-1, batch_dims=1)
            activation = tf.reshape(activation, [len(chunk), -1])
            total = tf.reduce_sum(activation)
        gradient = tf.reshape(tape.gradient(total, chunk), [len(chunk), -1])
        fires = tf.reduce_any(activation > 0, axis=1) & tf.reduce_any(gradient != 0, axis=1)
        silent.append(~fires.numpy())
    return np.concatenate(silent) if silent else np.zeros(0, bool)
