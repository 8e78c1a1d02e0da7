"""DeepDream: a photo changed so that some layers answer more to whatever they see in it already.

Source: Mordvintsev, Olah and Tyka, *Inceptionism*, 2015, and Chollet, *Deep Learning with Python*, 2nd ed., section
12.2 (also an example on keras.io): gradient ascent on the mean of the squares of the layers' activations, from a small
version of the photo to larger ones (octaves), each of which gets back the details that the smaller one lost.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
import tensorflow as tf

from core import gallery
from core import images as pictures
from core.backbones import graph, loading
from core.backbones.backbone import Backbone
from core.backbones.compiled import CompiledPerModel
from core.backbones.folding import FoldedNetwork
from core.errors import UserError
from core.featurevis import objectives
from core.featurevis.optimisers import finite
from core.featurevis.transforms import jitter
from core.messages import Dream, DreamRequest, Progress

SIZES = (64, 1280)  # of the longer side, in pixels
MOST_OCTAVES = 8
OCTAVE_SCALES = (1.1, 3.0)
MOST_STEPS = 1000  # in an octave
MOST_LAYERS = 8
_JITTER = 32  # pixels; an eighth of the shorter side where that is less
_REPORT_EVERY = 2
_PASSES = 3  # forward, backward, and what lies between
_SMALLEST_GRADIENT = 1e-12
_SMALLEST_ANSWER = 1e-12

_compiled = CompiledPerModel(most=4 * MOST_OCTAVES)


@dataclass(frozen=True)
class DreamStep:
    """After `step` steps in all: the image, `float32[H, W, 3]` in [0, 255], and its score.

    The score says how many times as strongly as to the photo itself the layers answer: the mean of the layers' ratios
    by their weights, at the octave's size, before the last step.
    """

    step: int
    octave: int  # counted from 1
    image: np.ndarray
    score: float


@gallery.kept
def run(request: DreamRequest) -> Iterator[Progress | Dream]:
    """Dream the requested dream; the last `Dream` is the result. Raises `UserError` for what cannot be dreamt."""
    start = time.monotonic()
    for loaded in loading.load_steps(request.model):
        if isinstance(loaded, Progress):
            yield loaded
    yield Progress("Preparing the network to dream", 0.0)
    check(request, loaded)
    clock = _Clock(start, _shapes(request), request.steps)
    for shot in dream(
        loaded,
        request.photo.pixels,
        request.layers,
        size=request.size,
        octaves=request.octaves,
        octave_scale=request.octave_scale,
        steps=request.steps,
        learning_rate=request.learning_rate,
        seed=request.seed,
    ):
        yield _snapshot(request, loaded.origin, shot, clock)


def check(request: DreamRequest, backbone: Backbone) -> None:
    """Raise `UserError` in one sentence for a request that cannot be dreamt."""
    names = tuple(name for name, _ in request.layers)
    if not 1 <= len(names) <= MOST_LAYERS:
        raise UserError(f"Choose between 1 and {MOST_LAYERS} layers to dream with, not {len(names)}.")
    for name, weight in request.layers:
        if not backbone.layer(name).is_spatial:
            raise UserError(f"Layer {name!r} gives no maps to dream with; choose one before the pooling.")
        if not math.isfinite(weight) or weight == 0:
            raise UserError(f"The weight of layer {name!r} must be a number other than 0, not {weight}.")
        if names.count(name) > 1:
            raise UserError(f"Layer {name!r} is there twice; name it once, with the sum of the weights.")
    _check_number("size", request.size, SIZES)
    _check_number("number of octaves", request.octaves, (1, MOST_OCTAVES))
    _check_number("octave scale", request.octave_scale, OCTAVE_SCALES)
    _check_number("number of steps", request.steps, (1, MOST_STEPS))
    _check_number("seed", request.seed, (0, 2**31 - 1))
    if not (math.isfinite(request.learning_rate) and request.learning_rate > 0):
        raise UserError(f"The learning rate must be a number above 0, not {request.learning_rate}.")
    _check_sizes(request, backbone, names)


def _check_number(what: str, value: float, limits: tuple[float, float]) -> None:
    if not limits[0] <= value <= limits[1]:
        raise UserError(f"The {what} must be between {limits[0]} and {limits[1]}, not {value}.")


def _check_sizes(request: DreamRequest, backbone: Backbone, names: tuple[str, ...]) -> None:
    """The network has to work at every octave's size, and its activations have to find room."""
    *smaller, full = _shapes(request)
    needed = _PASSES * _network(backbone, names, full).bytes_per_image
    if needed > psutil.virtual_memory().available:
        raise UserError(
            f"A dream of {full[1]}×{full[0]} pixels with {backbone.title} needs about {needed / 1e9:.1f} GB of memory, "
            "more than is free; choose a smaller size."
        )
    for height, width in smaller:
        try:
            graph.at_size(backbone, names, (height, width))
        except UserError as error:
            raise UserError(
                f"The smallest octaves are too small for {backbone.title} ({width}×{height} pixels): "
                "choose fewer octaves or a larger size."
            ) from error


def _snapshot(request: DreamRequest, origin: str, shot: DreamStep, clock: _Clock) -> Dream:
    pixels = np.rint(np.nan_to_num(shot.image)).astype(np.uint8)
    is_last = shot.step == request.octaves * request.steps
    seconds, left = clock.read(shot)
    return Dream(
        step=shot.step,
        steps=request.octaves * request.steps,
        octave=shot.octave,
        octaves=request.octaves,
        picture=pictures.encode_webp(pixels),
        width=pixels.shape[1],
        height=pixels.shape[0],
        score=shot.score,
        seconds=seconds,
        seconds_left=left,
        origin=origin,
        png=pictures.encode_png(pixels) if is_last else None,
    )


def dream(
    backbone: Backbone,
    photo: np.ndarray,
    layers: Sequence[tuple[str, float]],
    *,
    size: int = DreamRequest.size,
    octaves: int = DreamRequest.octaves,
    octave_scale: float = DreamRequest.octave_scale,
    steps: int = DreamRequest.steps,
    learning_rate: float = DreamRequest.learning_rate,
    report_every: int = _REPORT_EVERY,
    seed: int = 0,
) -> Iterator[DreamStep]:
    """Dream about `photo` (`uint8[H, W, 3]`); yield every `report_every` steps and at the end of each octave.

    What is maximised is the weighted sum of the `objectives.layer` of all layers, each divided by its value for the
    photo, so that weights mean the same for every layer of every network. A step moves a pixel by `learning_rate` on
    average. At each step the image is shifted at random, wrapping at its border, so that no place of it always
    meets the same place of the network's strides. To cancel, stop iterating.
    """
    names = tuple(name for name, _ in layers)
    weights = np.array([weight for _, weight in layers], np.float32)
    weights = tf.constant(weights / np.abs(weights).sum())
    original = tf.constant(photo[None], tf.float32)
    base = dreamt = None
    for octave, shape in enumerate(octave_shapes(photo.shape[:2], size, octaves, octave_scale)):
        before, base = base, _resized(original, shape)
        image = base if before is None else base + _resized(dreamt - before, shape)
        advance, answers = _functions(backbone, names, shape)
        pull = weights / tf.maximum(answers(base), _SMALLEST_ANSWER)
        for start in range(0, steps, report_every):
            stop = min(start + report_every, steps)
            first = octave * steps  # so that each octave has shifts of its own
            window = (tf.constant(first + start), tf.constant(first + stop))
            image, score = advance(image, pull, tf.constant(seed, tf.int64), *window, tf.constant(learning_rate))
            yield DreamStep(first + stop, octave + 1, image[0].numpy(), float(score))
        dreamt = image


def octave_shapes(photo: tuple[int, int], size: int, octaves: int, octave_scale: float) -> list[tuple[int, int]]:
    """(height, width) of each octave, the smallest first; the longer side of the last one is `size`."""
    longer = max(photo)
    return [
        tuple(max(1, round(side * size / longer / octave_scale**smaller)) for side in photo)
        for smaller in reversed(range(octaves))
    ]


def _shapes(request: DreamRequest) -> list[tuple[int, int]]:
    return octave_shapes(request.photo.pixels.shape[:2], request.size, request.octaves, request.octave_scale)


def _resized(image: tf.Tensor, shape: tuple[int, int]) -> tf.Tensor:
    return tf.image.resize(image, shape, tf.image.ResizeMethod.BICUBIC, antialias=True)


def _functions(backbone: Backbone, layers: tuple[str, ...], shape: tuple[int, int]) -> tuple[Any, Any]:
    """`advance(image, pull, seed, start, stop, learning_rate) -> (image, score)` and `answers(image) -> float32[L]`."""
    key = ("dream", layers, shape, backbone.preprocessing)
    return _compiled.get(backbone.model, key, lambda: _compile(backbone, layers, shape))


def _network(backbone: Backbone, layers: tuple[str, ...], shape: tuple[int, int]) -> FoldedNetwork:
    key = ("network", layers, shape)
    return _compiled.get(backbone.model, key, lambda: FoldedNetwork(graph.at_size(backbone, layers, shape)))


def _compile(backbone: Backbone, layers: tuple[str, ...], shape: tuple[int, int]) -> tuple[Any, Any]:
    network = _network(backbone, layers, shape)
    parts = [objectives.layer(name) for name in layers]
    preprocessing = backbone.preprocessing
    shift = jitter(max(1, min(_JITTER, min(shape) // 8)))
    no_targets = tf.zeros([1], tf.int32)
    image_spec, number = tf.TensorSpec([1, *shape, 3], tf.float32), tf.TensorSpec([], tf.int32)

    def answers_to(image: tf.Tensor) -> tf.Tensor:
        """`float32[L]`: the mean square of each layer."""
        if preprocessing.bgr:
            image = image[..., ::-1]
        image = (image - tf.constant(preprocessing.mean, tf.float32)) / tf.constant(preprocessing.scale, tf.float32)
        activations = dict(zip(layers, network(image), strict=True))
        return tf.stack([part.score(activations, no_targets)[0] for part in parts])

    @tf.function(input_signature=[image_spec], autograph=False)
    def answers(image):
        return answers_to(image)

    @tf.function(
        input_signature=[
            *(image_spec, tf.TensorSpec([len(layers)], tf.float32), tf.TensorSpec([], tf.int64)),
            *(number, number, tf.TensorSpec([], tf.float32)),
        ]
    )
    def advance(image, pull, seed, start, stop, learning_rate):
        score = tf.zeros([])
        for point in tf.range(start, stop):
            seeds = tf.stack([seed, tf.cast(point, tf.int64)])[None]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(image)
                score = tf.tensordot(pull, answers_to(shift(image, seeds)), 1)
            direction = _all_scales(finite(tape.gradient(score, image)))
            image = tf.clip_by_value(image + learning_rate * direction, 0.0, 255.0)
        return image, score

    return advance.get_concrete_function(), answers.get_concrete_function()


def _all_scales(gradient: tf.Tensor) -> tf.Tensor:
    """`gradient` and its coarse part in equal shares, with a mean absolute value of 1.

    A network's gradient is strongest in the finest details; without its coarse part everything is fine hatching.
    Mordvintsev's DeepDream notebook of 2015 evens out a whole Laplacian pyramid for the same reason.
    """
    height, width = gradient.shape[1:3]
    half = tf.image.resize(gradient, [max(1, height // 2), max(1, width // 2)], antialias=True)
    coarse = tf.image.resize(half, [height, width], tf.image.ResizeMethod.BICUBIC)
    return _normalised(_normalised(gradient) + _normalised(coarse))


def _normalised(gradient: tf.Tensor) -> tf.Tensor:
    return gradient / tf.maximum(tf.reduce_mean(tf.abs(gradient)), _SMALLEST_GRADIENT)


class _Clock:
    """Seconds since the request, and how many are left: each octave begins with tracing, and larger ones are slower."""

    def __init__(self, start: float, shapes: Sequence[tuple[int, int]], steps: int) -> None:
        self._start, self._steps = start, steps
        self._areas = [math.prod(shape) for shape in shapes]
        self._then, self._step, self._octave = time.monotonic(), 0, 0
        self._opening = (0.0, 0)  # seconds and work until the first report of the newest octave
        self._busy = (0.0, 0)  # seconds and work between the reports within octaves

    def read(self, shot: DreamStep) -> tuple[float, float | None]:
        now = time.monotonic()
        passed, work = now - self._then, (shot.step - self._step) * self._areas[shot.octave - 1]
        if shot.octave == self._octave:
            self._busy = (self._busy[0] + passed, self._busy[1] + work)
        else:
            self._opening = (passed, work)
        self._then, self._step, self._octave = now, shot.step, shot.octave
        return now - self._start, self._left()

    def _left(self) -> float | None:
        work = (self._octave * self._steps - self._step) * self._areas[self._octave - 1]
        work += self._steps * sum(self._areas[self._octave :])
        if work == 0:
            return 0.0
        if self._busy[1] == 0:
            return None
        per_work = self._busy[0] / self._busy[1]
        tracing = max(0.0, self._opening[0] - self._opening[1] * per_work)
        return per_work * work + tracing * (len(self._areas) - self._octave)
