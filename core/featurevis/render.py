"""Gradient ascent: from noise to an image that a filter answers to.

Source: Chollet, *Deep Learning with Python*, 2nd ed., section 9.4.2: a step of fixed length along the gradient of the
score, whose L2 norm over the image is made one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from core.backbones import graph
from core.backbones.backbone import Backbone
from core.backbones.compiled import CompiledPerModel
from core.featurevis.objectives import Objective
from core.featurevis.parameterisations import Parameterisation
from core.featurevis.transforms import Transform, compose

_SMALLEST_NORM_SQUARED = 1e-12  # of the textbook's `tf.math.l2_normalize`
_compiled = CompiledPerModel(most=8)


@dataclass(frozen=True)
class RenderStep:
    """The images after `step` steps, `float32[N, H, W, 3]`, and the objective of each, `float32[N]`."""

    step: int
    images: np.ndarray
    scores: np.ndarray


def render(
    backbone: Backbone,
    objective: Objective,
    targets: Sequence[int],
    *,
    parameterisation: Parameterisation,
    transforms: Sequence[Transform] = (),
    steps: int = 30,
    learning_rate: float = 10.0,
    report_every: int = 5,
    seed: int = 0,
    batch: int = 8,
) -> Iterator[RenderStep]:
    """Draw what maximises `objective` for each of `targets`; yield all of them after 1 step, then every `report_every`.

    The targets advance in turn, `batch` at a time, so that all sharpen together and memory for activations does not
    grow with their number. A target's images depend on the target and `seed`, not on its company. The network gets the
    images as they are, as in the textbook. To cancel, stop iterating. Raises `UserError` where the backbone cannot take
    images of the parameterisation's size.
    """
    advance = _advance(backbone, objective, parameterisation, tuple(transforms), batch)
    chunks = [targets[start : start + batch] for start in range(0, len(targets), batch)]
    # The last chunk is filled up with its first target: a smaller batch would be another graph.
    filled = [tuple(chunk) + (chunk[0],) * (batch - len(chunk)) for chunk in chunks]
    params = [parameterisation.initial(chunk, seed) for chunk in filled]
    seeds = [_seeds(chunk, seed) for chunk in filled]
    evaluated = 0  # points at which the gradient has been taken; the point after k steps is the (k + 1)st
    for step in _report_steps(steps, report_every):
        images, scores = [], []
        for place, chunk in enumerate(chunks):
            params[place], image, score = advance(
                params[place],
                tf.constant(filled[place], tf.int32),
                seeds[place],
                tf.constant(evaluated),
                tf.constant(step + 1),
                tf.constant(learning_rate, tf.float32),
            )
            images.append(image[: len(chunk)])
            scores.append(score[: len(chunk)])
        evaluated = step + 1
        yield RenderStep(step, np.concatenate(images), np.concatenate(scores))


def _report_steps(steps: int, report_every: int) -> list[int]:
    return sorted({1, steps, *range(1 + report_every, steps, report_every)})


def _seeds(targets: Sequence[int], seed: int) -> tf.Tensor:
    """`int64[B, 2]`; a step is added to the first column, so seeds lie far apart."""
    return tf.constant([[seed << 20, target] for target in targets], tf.int64)


def _advance(
    backbone: Backbone,
    objective: Objective,
    parameterisation: Parameterisation,
    transforms: tuple[Transform, ...],
    batch: int,
) -> Any:
    """The compiled `advance` of `_compile`: traced once, whatever the targets, steps and learning rates."""
    (layer,) = objective.layers

    def build() -> Any:
        model = graph.at_size(backbone, layer, parameterisation.size)
        return _compile(model, objective, parameterisation, transforms, batch)

    return _compiled.get(backbone.model, (objective, parameterisation, transforms, batch), build)


def _compile(
    model: Any,
    objective: Objective,
    parameterisation: Parameterisation,
    transforms: tuple[Transform, ...],
    batch: int,
) -> Any:
    """`advance(params, targets, seeds, start, stop, learning_rate) -> (next params, images, scores)`.

    It takes the gradient at points `start` to `stop - 1` of the ascent. `images` and `scores` are those of the last of
    these points; `next params` are one step further: so a report costs no pass through the network of its own.
    """
    (layer,) = objective.layers
    change = compose(*transforms)
    start_shape = parameterisation.initial([0], 0).shape[1:]

    def value_and_gradient(params: tf.Tensor, targets: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, ...]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(params)
            images = parameterisation.to_image(params)
            scores = objective.score({layer: model(change(images, seeds), training=False)}, targets)
            total = tf.reduce_sum(scores)
        return images, scores, tape.gradient(total, params)

    @tf.function(
        input_signature=[
            tf.TensorSpec([batch, *start_shape], tf.float32),
            tf.TensorSpec([batch], tf.int32),
            tf.TensorSpec([batch, 2], tf.int64),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([], tf.float32),
        ]
    )
    def advance(params, targets, seeds, start, stop, learning_rate):
        images = tf.zeros([batch, parameterisation.size, parameterisation.size, 3])
        scores = tf.zeros([batch])
        for point in tf.range(start, stop):
            step_seeds = seeds + tf.cast(tf.stack([point, 0]), tf.int64)
            images, scores, gradient = value_and_gradient(params, targets, step_seeds)
            params += learning_rate * _unit_length(gradient)
        return params, images, scores

    return advance.get_concrete_function()


def _unit_length(gradient: tf.Tensor) -> tf.Tensor:
    """Each image's gradient with an L2 norm of one; a gradient that is zero, or is no number, moves nothing."""
    gradient = tf.where(tf.math.is_finite(gradient), gradient, 0.0)
    return tf.math.l2_normalize(gradient, axis=list(range(1, gradient.shape.rank)), epsilon=_SMALLEST_NORM_SQUARED)
