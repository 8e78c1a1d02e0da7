"""tf-keras-vis's gradient ascent, with everything left out that we do not do either: no regularisers, no modifiers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf
from tf_keras_vis.activation_maximization import ActivationMaximization
from tf_keras_vis.utils.scores import CategoricalScore


def ascent(model: keras.Model, filters: Sequence[int], steps: int) -> Callable[[], object]:
    visualizer = ActivationMaximization(model, clone=False)
    start = tf.random.uniform((len(filters), *model.input_shape[1:]), 100, 150)
    score = CategoricalScore(list(filters))
    return lambda: visualizer(
        score, seed_input=start, steps=steps, input_modifiers=[], regularizers=[], activation_modifiers=None
    )
