"""Gradient ascent: from noise to an image that a filter answers to.

Source: Chollet, *Deep Learning with Python*, 2nd ed., section 9.4.2: a step of fixed length along the gradient of the
score, whose L2 norm over the image is made one. Optimiser, parameterisation and transforms can be others.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
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
from core.featurevis.objectives import Objective
from core.featurevis.optimisers import Normalised, Optimiser
from core.featurevis.parameterisations import Parameterisation
from core.featurevis.transforms import Transform, compose

log = logging.getLogger(__name__)

# For each device: graphs keep to theirs, with their own copy of the weights.
_compiled: defaultdict[str | None, CompiledPerModel] = defaultdict(lambda: CompiledPerModel(most=12))
_compiling = threading.RLock()


@dataclass(frozen=True)
class RenderStep:
    """The images after `step` steps, `float32[N, H, W, 3]`, and the objective of each, `float32[N]`.

    The scores of the last step are computed in float32, whatever the precision of the ascent.
    """

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
    optimiser: Optimiser = Normalised(),  # noqa: B008 (frozen)
    steps: int = 30,
    learning_rate: float = 10.0,
    report_every: int = 5,
    seed: int = 0,
    batch: int = 8,
    rescue_steps: int = 0,
    preprocess: bool = False,
    precision: str = "float32",
    jit: bool = False,
) -> Iterator[RenderStep]:
    """Draw what maximises `objective` for each of `targets`; yield all of them after 1 step, then every `report_every`.

    The targets advance in turn, `batch` at a time, so that all sharpen together and memory for activations does not
    grow with their number. A target's images depend on the target and `seed`, not on its company. During the first
    `rescue_steps` steps gradients pass ReLUs that would block all of them. The network gets the images as they are, as
    in the textbook, or with `preprocess` as it was trained: images in [0, 1] × 255, then its own preprocessing. Several
    GPUs share the batches. Where one has too little memory for a batch, the batch is halved. To cancel, stop iterating.
    Raises `UserError` where the backbone cannot take images of the parameterisation's size.
    """
    if objective.before_softmax:
        backbone = with_logits(backbone)
    recipe = _Recipe(
        *(objective, parameterisation, tuple(transforms), optimiser),
        *(bool(rescue_steps), backbone.preprocessing if preprocess else None, precision, jit),
    )
    settings = (steps, learning_rate, rescue_steps)
    ascent = _Ascent(backbone, recipe, targets, seed, batch, settings)
    for step in _report_steps(steps, report_every):
        yield RenderStep(step, *(ascent.finish() if step == steps else ascent.advance(step)))


def seconds_per_step(
    backbone: Backbone,
    objective: Objective,
    *,
    parameterisation: Parameterisation,
    optimiser: Optimiser,
    learning_rate: float,
    preprocess: bool,
    precision: str,
    batch: int,
    transforms: Sequence[Transform] = (),
    jit: bool = False,
) -> float:
    """How long one step of a batch takes here, tracing left out; the graph is kept for `render`."""
    preprocessing = backbone.preprocessing if preprocess else None
    recipe = _Recipe(objective, parameterisation, tuple(transforms), optimiser, False, preprocessing, precision, jit)
    times = []
    for _ in range(3):
        ascent = _Ascent(backbone, recipe, range(batch), 0, batch, (1, learning_rate, 0))
        start = time.perf_counter()
        ascent.advance(0)
        times.append(time.perf_counter() - start)
    return min(times)


def bytes_per_image(backbone: Backbone, objective: Objective, size: int, precision: str) -> tuple[int, int]:
    """Of all activations on the way to the objective's layers together, and of the largest one."""
    network = _network(backbone, objective.layers, size, precision, _devices()[0])
    return network.bytes_per_image, network.largest_bytes_per_image


def _report_steps(steps: int, report_every: int) -> list[int]:
    return sorted({1, steps, *range(1 + report_every, steps, report_every)})


@dataclass(frozen=True)
class _Recipe:
    """All that a compiled graph depends on but the network, the size and the batch."""

    objective: Objective
    parameterisation: Parameterisation
    transforms: tuple[Transform, ...]
    optimiser: Optimiser
    rescues: bool
    preprocessing: Preprocessing | None
    precision: str
    jit: bool


class _Ascent:
    """The state of all targets, which advance batch by batch."""

    def __init__(
        self,
        backbone: Backbone,
        recipe: _Recipe,
        targets: Sequence[int],
        seed: int,
        batch: int,
        settings: tuple[int, float, int],
    ) -> None:
        self._backbone, self._recipe, self._seed, self._batch = backbone, recipe, seed, batch
        steps, learning_rate, rescue_steps = settings
        self._steps = steps
        self._settings = (tf.constant(steps), tf.constant(learning_rate, tf.float32), tf.constant(rescue_steps))
        self._targets = tuple(targets)
        # What each target has reached: its params, slots, and the number of points where its gradient was taken.
        self._states: list[Any] = [None] * len(self._targets)
        self._reached = [0] * len(self._targets)

    def advance(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Images and scores after `step` steps. The gradient there is taken too: it is half of the next step."""
        return self._each_batch(lambda places, filled, device: self._climb(places, filled, device, step + 1))

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Images and scores after all steps; the scores in float32."""

        def last(places: list[int], filled: tuple[int, ...], device: str | None) -> tuple[np.ndarray, np.ndarray]:
            if self._recipe.precision == "float32":
                # One step more tells the score before it, for less than it takes to trace a graph for the score alone.
                return self._climb(places, filled, device, self._steps + 1)
            self._climb(places, filled, device, self._steps)
            measure = _measure(self._backbone, self._recipe, len(filled), device)
            params, _ = self._state(places, filled)
            images, scores = measure(params, *self._inputs(filled), tf.constant(self._steps))
            return images[: len(places)].numpy(), scores[: len(places)].numpy()

        return self._each_batch(last)

    def _each_batch(self, work: Callable[..., tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
        """`work(places, filled, device)` for all targets, a batch at a time on each device."""
        shots: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        devices = _devices()

        def compute(device: str | None, places: list[int]) -> tf.errors.ResourceExhaustedError | None:
            chunk = tuple(self._targets[place] for place in places)
            # The last chunk is filled up with its first target: a smaller batch would be another graph.
            filled = chunk + (chunk[0],) * (self._batch - len(chunk))
            try:
                with tf.device(device):
                    shots.update(zip(places, zip(*work(places, filled, device), strict=True), strict=True))
            except tf.errors.ResourceExhaustedError as error:
                return error

        with ThreadPoolExecutor(len(devices)) as pool:
            side_by_side = pool.map if len(devices) > 1 else map
            while waiting := [place for place in range(len(self._targets)) if place not in shots]:
                errors = [*side_by_side(compute, devices, self._chunks(waiting, len(devices)))]
                if any(errors):
                    self._halve(next(filter(None, errors)))
        images, scores = zip(*(shots[place] for place in range(len(self._targets))), strict=True)
        return np.stack(images), np.stack(scores)

    def _chunks(self, waiting: list[int], most: int) -> list[list[int]]:
        """Up to `most` batches, each of targets that have come equally far."""
        alike = [[*places] for _, places in itertools.groupby(waiting, self._reached.__getitem__)]
        batches = (
            places[start : start + self._batch] for places in alike for start in range(0, len(places), self._batch)
        )
        return [*itertools.islice(batches, most)]

    def _halve(self, error: tf.errors.ResourceExhaustedError) -> None:
        """After this error a CPU's process is not to be trusted: whoever called decides."""
        if self._batch == 1 or not tf.config.list_logical_devices("GPU"):
            raise error
        self._batch //= 2
        log.warning("The device has too little memory; going on with %d images at a time.", self._batch)

    def _climb(
        self, places: list[int], filled: tuple[int, ...], device: str | None, stop: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Take the gradients at all points before `stop`; the images and scores of the last of them."""
        start = self._reached[places[0]]
        if start == stop:
            return np.empty(0), np.empty(0)
        climb = _advance(self._backbone, self._recipe, len(filled), device)
        params, slots = self._state(places, filled)
        window = (tf.constant(start), tf.constant(stop))
        params, slots, images, scores = climb(params, slots, *self._inputs(filled), *window, *self._settings)
        images, scores = images[: len(places)].numpy(), scores[: len(places)].numpy()
        for index, place in enumerate(places):
            self._states[place] = tf.nest.map_structure(lambda value, at=index: value[at], (params, slots))
            self._reached[place] = stop
        return images, scores

    def _state(self, places: list[int], filled: tuple[int, ...]) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        if self._states[places[0]] is None:
            params = self._recipe.parameterisation.initial(filled, self._seed)
            return params, self._recipe.optimiser.start(params)
        states = [self._states[place] for place in places]
        states += [states[0]] * (len(filled) - len(places))
        return tf.nest.map_structure(lambda *values: tf.stack(values), *states)

    def _inputs(self, filled: tuple[int, ...]) -> tuple[tf.Tensor, tf.Tensor]:
        """Targets, and their seeds `int64[B, 2]`; a step is added to the first column, so seeds lie far apart."""
        seeds = tf.constant([[self._seed << 20, target] for target in filled], tf.int64)
        return tf.constant(filled, tf.int32), seeds


def _devices() -> list[str | None]:
    """All GPUs, or the CPUs where there is none; a single one needs no name."""
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [device.name for device in devices] if len(devices) > 1 else [None]


def _kept(backbone: Backbone, device: str | None, key: Hashable, build: Callable[[], Any]) -> Any:
    """What `build()` gave on this device when `key` was new. Built one at a time: tracing is not safe in threads."""
    with _compiling, tf.device(device):
        return _compiled[device].get(backbone.model, key, build)


def _advance(backbone: Backbone, recipe: _Recipe, batch: int, device: str | None) -> Any:
    """The compiled `advance` of `_compile`: traced once, whatever the targets, steps and learning rates."""

    def build() -> Any:
        return _compile(_scorer(backbone, recipe, recipe.precision, device), recipe, batch)

    return _kept(backbone, device, ("advance", recipe, batch), build)


def _measure(backbone: Backbone, recipe: _Recipe, batch: int, device: str | None) -> Any:
    """The compiled `measure(params, targets, seeds, point) -> (images, scores)`, in float32."""

    def build() -> Any:
        score = _scorer(backbone, recipe, "float32", device)

        @tf.function(input_signature=_signature(recipe, batch)[0] + [tf.TensorSpec([], tf.int32)], autograph=False)
        def measure(params, targets, seeds, point):
            images = recipe.parameterisation.to_image(params)
            return images, score(images, targets, _at(seeds, point), False)

        return measure.get_concrete_function()

    return _kept(backbone, device, ("measure", recipe, batch), build)


def _scorer(backbone: Backbone, recipe: _Recipe, precision: str, device: str | None) -> Callable[..., tf.Tensor]:
    """`score(images, targets, seeds, rescue) -> float32[B]`: transforms, preprocessing, network, objective."""
    objective, change = recipe.objective, compose(*recipe.transforms)
    network = _network(backbone, objective.layers, recipe.parameterisation.size, precision, device)

    def score(images: tf.Tensor, targets: tf.Tensor, seeds: tf.Tensor, rescue: bool) -> tf.Tensor:
        images = change(images, seeds)
        if recipe.preprocessing is not None:
            images = _preprocessed(images, recipe.preprocessing)
        if objective.target_only:
            outputs, targets = network.channel(images, targets, rescue), tf.zeros_like(targets)
        else:
            outputs = network(images, rescue)
        return objective.score(dict(zip(objective.layers, outputs, strict=True)), targets)

    return score


def _network(
    backbone: Backbone, layers: tuple[str, ...], size: int, precision: str, device: str | None
) -> FoldedNetwork:
    """Its weights are copies, shared by all graphs of these layers."""

    def build() -> FoldedNetwork:
        return FoldedNetwork(at_tile(backbone, layers, size), precision)

    return _kept(backbone, device, ("network", layers, size, precision), build)


def _preprocessed(images: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    """Images in [0, 1] as the network was trained on them."""
    images = images * 255
    if preprocessing.bgr:
        images = images[..., ::-1]
    return (images - tf.constant(preprocessing.mean, tf.float32)) / tf.constant(preprocessing.scale, tf.float32)


def _signature(recipe: _Recipe, batch: int) -> tuple[list[tf.TensorSpec], tuple[tf.TensorSpec, ...]]:
    """Of params, targets and seeds; and of the optimiser's slots."""
    params = recipe.parameterisation.initial([0] * batch, 0)
    slots = tuple(tf.TensorSpec(slot.shape, slot.dtype) for slot in recipe.optimiser.start(params))
    specs = [tf.TensorSpec(params.shape, params.dtype), tf.TensorSpec([batch], tf.int32)]
    return [*specs, tf.TensorSpec([batch, 2], tf.int64)], slots


def _at(seeds: tf.Tensor, point: tf.Tensor) -> tf.Tensor:
    return seeds + tf.cast(tf.stack([point, 0]), tf.int64)


def _compile(score: Callable[..., tf.Tensor], recipe: _Recipe, batch: int) -> Any:
    """`advance(params, slots, targets, seeds, start, stop, steps, learning_rate, rescue_steps)`
    `-> (next params, next slots, images, scores)`.

    It takes the gradient at points `start` to `stop - 1` of the ascent. `images` and `scores` are those of the last of
    these points; `next params` are one step further: so a report costs no pass through the network of its own.
    """
    parameterisation, optimiser = recipe.parameterisation, recipe.optimiser
    (params_spec, *data_specs), slot_specs = _signature(recipe, batch)

    def value_and_gradient(params: tf.Tensor, targets: tf.Tensor, seeds: tf.Tensor, rescue: bool) -> tuple:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(params)
            images = parameterisation.to_image(params)
            scores = score(images, targets, seeds, rescue)
            total = tf.reduce_sum(scores)
        return images, scores, tape.gradient(total, params)

    def gradient_at(params, targets, seeds, point, rescue_steps):
        if not recipe.rescues:
            return value_and_gradient(params, targets, _at(seeds, point), False)
        return tf.cond(
            point < rescue_steps,
            lambda: value_and_gradient(params, targets, _at(seeds, point), True),
            lambda: value_and_gradient(params, targets, _at(seeds, point), False),
        )

    number, rate = tf.TensorSpec([], tf.int32), tf.TensorSpec([], tf.float32)

    @tf.function(
        input_signature=[params_spec, slot_specs, *data_specs, number, number, number, rate, number],
        jit_compile=recipe.jit or None,
        autograph=False,  # there is nothing to convert, and looking for it takes as long as tracing
    )
    def advance(params, slots, targets, seeds, start, stop, steps, learning_rate, rescue_steps):
        def step(point, params, slots, images, scores):
            images, scores, gradient = gradient_at(params, targets, seeds, point, rescue_steps)
            params, slots = optimiser.step(params, gradient, slots, point, steps, learning_rate)
            return point + 1, params, slots, images, scores

        nothing = tf.zeros([batch, parameterisation.size, parameterisation.size, 3]), tf.zeros([batch])
        _, *reached = tf.while_loop(lambda point, *_: point < stop, step, (start, params, slots, *nothing))
        return reached

    return advance.get_concrete_function()
