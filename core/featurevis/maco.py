"""One filter as one large picture: only the phases are learned, what matters is opaque and the rest fades.

Source: Fel et al., *Unlocking Feature Visualization for Deeper Networks with MAgnitude Constrained Optimization*, 2023,
and its code in Xplique. The magnitudes are those of the photographs that come with the app, not ImageNet's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from core.backbones.backbone import Backbone
from core.backbones.compiled import CompiledPerModel
from core.backbones.folding import FoldedNetwork
from core.backbones.logits import with_logits
from core.backbones.preprocessing import Preprocessing
from core.featurevis.fitting import at_tile
from core.featurevis.methods import METHODS
from core.featurevis.objectives import Objective
from core.featurevis.optimisers import Optimiser
from core.featurevis.parameterisations import phases

# Mean side of a crop at the first and the last step, as a part of the image's. The authors go from 0.5 to 0.05 in eight
# thousand looks at a larger picture; with fewer looks the small crops would only cover what the large ones have drawn.
_BOXES = (0.75, 0.35)
_BOX_SPREAD = 0.05
_PLACE_SPREAD = 0.2  # of the middles of the crops around the image's
_SMALLEST_BOX = 0.1
_INSIDE = 1e-5
_NOISE = 0.08
_PERCENTILES = (50.0, 95.0)  # of the influence: clear below, opaque above
_BLUR = 0.02  # of the influence, as a part of the side

_METHOD = METHODS["maco"]
_compiled = CompiledPerModel(most=4)


@dataclass(frozen=True)
class MacoStep:
    """After `step` steps: the image, `float32[size, size, 3]`, its opacity, `float32[size, size]`, both in [0, 1], and
    the mean score of its crops."""

    step: int
    image: np.ndarray
    alpha: np.ndarray
    score: float


def render_one(
    backbone: Backbone,
    objective: Objective,
    target: int,
    *,
    size: int = 512,
    input_size: int | None = None,
    steps: int = _METHOD.steps,
    crops: int = 12,
    learning_rate: float = _METHOD.learning_rate,
    optimiser: Optimiser = _METHOD.optimiser,
    rescue_steps: int = _METHOD.rescue_steps,
    report_every: int = 16,
    seed: int = 0,
) -> Iterator[MacoStep]:
    """Draw one target; yield after the first step, then every `report_every` steps and at the end.

    Each step looks at `crops` random crops, smaller ones as it goes on, resized to `input_size` (the backbone's own
    where it is `None`), with noise. The opacity goes with the influence that each pixel has had over all steps, the sum
    of |∂ score / ∂ pixel|. To cancel, stop iterating. Raises `UserError` where the backbone cannot take images of that
    size.
    """
    if objective.before_softmax:
        backbone = with_logits(backbone)
    side = input_size or max(backbone.input_size)
    key = (objective, size, side, crops, optimiser, backbone.preprocessing)
    advance = _compiled.get(backbone.model, key, lambda: _compile(backbone, objective, size, side, crops, optimiser))
    params = phases(size).initial([target], seed)
    slots, influence = optimiser.start(params), tf.zeros([size, size])
    targets = tf.fill([crops], target)
    settings = (tf.constant(steps), tf.constant(learning_rate, tf.float32), tf.constant(rescue_steps))
    done = 0
    for step in sorted({1, steps, *range(report_every, steps, report_every)}):
        seeds = tf.constant([seed << 20, target], tf.int64)
        params, slots, influence, score = advance(
            params, slots, influence, targets, seeds, tf.constant(done), tf.constant(step), *settings
        )
        done = step
        image = phases(size).to_image(params)[0].numpy()
        yield MacoStep(step, image, _opacity(influence.numpy()), float(score))


def over(step: MacoStep, background: float = 1.0) -> np.ndarray:
    """The image on a plain background, which shows where the filter does not care: `uint8[size, size, 3]`."""
    alpha = step.alpha[..., None]
    return np.rint((step.image * alpha + background * (1 - alpha)) * 255).astype(np.uint8)


def _compile(
    backbone: Backbone, objective: Objective, size: int, side: int, crops: int, optimiser: Optimiser
) -> Callable[..., Any]:
    network = FoldedNetwork(at_tile(backbone, objective.layers, side))
    preprocessing = backbone.preprocessing
    parameterisation = phases(size)

    def score_of(image: tf.Tensor, targets: tf.Tensor, seeds: tf.Tensor, done: tf.Tensor, rescued: bool) -> tf.Tensor:
        cut = _crops(image, seeds, done, crops, side)
        given = _preprocessed(cut, preprocessing)
        if objective.target_only:
            outputs, which = network.channel(given, targets, rescued), tf.zeros_like(targets)
        else:
            outputs, which = network(given, rescued), targets
        return tf.reduce_mean(objective.score(dict(zip(objective.layers, outputs, strict=True)), which))

    def gradients(params, targets, seeds, done, rescued: bool):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(params)
            image = parameterisation.to_image(params)
            score = score_of(image, targets, seeds, done, rescued)
        along_params, along_image = tape.gradient(score, [params, image])
        return score, along_params, along_image

    @tf.function(reduce_retracing=True)
    def advance(params, slots, influence, targets, seeds, start, stop, steps, learning_rate, rescue_steps):
        score = tf.zeros([])
        for point in tf.range(start, stop):
            step_seeds = seeds + tf.cast(tf.stack([point, 0]), tf.int64)
            done = tf.cast(point, tf.float32) / tf.cast(steps, tf.float32)
            score, along_params, along_image = tf.cond(
                point < rescue_steps,
                lambda: gradients(params, targets, step_seeds, done, True),  # noqa: B023
                lambda: gradients(params, targets, step_seeds, done, False),  # noqa: B023
            )
            influence += tf.reduce_sum(tf.abs(along_image[0]), axis=-1)
            params, slots = optimiser.step(params, along_params, slots, point, steps, learning_rate)
        return params, slots, influence, score

    return advance


def _crops(image: tf.Tensor, seeds: tf.Tensor, done: tf.Tensor, crops: int, side: int) -> tf.Tensor:
    """`float32[crops, side, side, 3]`: random squares of the one image, resized, with noise."""
    apart = tf.constant([1 << 40, 0], tf.int64)
    widths, places, noise = seeds, seeds + apart, seeds + 2 * apart
    width = _BOXES[0] + (_BOXES[1] - _BOXES[0]) * done
    width += tf.random.stateless_normal([crops], widths, stddev=_BOX_SPREAD)
    width = tf.clip_by_value(tf.abs(width), _SMALLEST_BOX, 1.0)
    # A crop that reached beyond the image, be it by rounding, would show the network black bars.
    middle = 0.5 + tf.random.stateless_normal([2, crops], places, stddev=_PLACE_SPREAD)
    middle = tf.clip_by_value(middle, width / 2, 1 - width / 2)
    corners = tf.clip_by_value(tf.concat([middle - width / 2, middle + width / 2], axis=0), _INSIDE, 1 - _INSIDE)
    cut = tf.image.crop_and_resize(image, tf.transpose(corners), tf.zeros([crops], tf.int32), [side, side])
    return cut + tf.random.stateless_normal([crops, side, side, 3], noise, stddev=_NOISE)


def _preprocessed(images: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    images = images * 255
    if preprocessing.bgr:
        images = images[..., ::-1]
    return (images - tf.constant(preprocessing.mean, tf.float32)) / tf.constant(preprocessing.scale, tf.float32)


def _opacity(influence: np.ndarray) -> np.ndarray:
    """`float32[size, size]` in [0, 1]: the influence, a little blurred, between two of its own percentiles."""
    size = len(influence)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    blur = np.exp(-2 * (np.pi * frequency * _BLUR * size) ** 2)  # the transform of a Gaussian
    smooth = np.fft.irfft2(np.fft.rfft2(np.nan_to_num(influence)) * blur, influence.shape)
    low, high = np.percentile(smooth, _PERCENTILES)
    return np.clip((smooth - low) / max(high - low, np.finfo(np.float32).tiny), 0, 1).astype(np.float32)
