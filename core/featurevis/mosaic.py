"""Many rendered filters as one picture, sharpening as it is drawn."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from core import gallery
from core import images as pictures
from core.backbones import graph, loading
from core.backbones.backbone import Backbone
from core.errors import UserError
from core.featurevis import objectives, tuning
from core.featurevis.clock import Clock
from core.featurevis.methods import METHODS, Method, gentle
from core.featurevis.objectives import Objective
from core.featurevis.render import RenderStep, bytes_per_image, render, seconds_per_step
from core.featurevis.tiles import mark, shown, silent_places
from core.featurevis.trust import measure
from core.messages import Mosaic, Progress, RenderRequest, Trust, own_size

OBJECTIVES = {"channel": objectives.channel, "neuron": objectives.neuron, "class": objectives.class_logit}
COLUMNS = 8
MARGIN = 5
SIZES = (8, 1024)
MOST_STEPS = 10_000
MOST_FILTERS = 512
MOST_PIXELS = 1 << 25  # of all images together, which are kept in memory as float32
_SNAPSHOTS = 10
_GROUP = 64  # filters that sharpen together; with more, memory would grow
_FIRST_LOOK = 64  # pixels a side
_FIRST_LOOK_STEPS = 6  # three times as long as the method's
_SMALLEST_WITH_FIRST_LOOK = 2 * _FIRST_LOOK
_RESCUE_STEPS = 16  # of a filter that stood still without a rescue
_TIME_BETWEEN_PICTURES = 8  # times as long as it takes to draw one


def file_stem(layer: str) -> str:
    """The name of the files a mosaic is saved under, without their suffix."""
    return f"filters_for_layer_{layer.replace('/', '.')}"


@gallery.kept
def run(request: RenderRequest) -> Iterator[Progress | Mosaic]:
    """Draw the requested filters; the last `Mosaic` is the result. Raises `UserError` for what cannot be drawn.

    The first `Mosaic` is a first look where that makes sense: each tile small but at its true scale, since filters are
    tuned to one. Beyond 64 filters, one group after the other is drawn.
    """
    if request.method == "maco":
        raise UserError(
            "The method maco draws one filter as one large picture: take lucid, fast or textbook for a mosaic."
        )
    for loaded in loading.load_steps(request.model):
        if isinstance(loaded, Progress):
            yield loaded
    request = _complete(request, loaded)
    check(request, loaded)
    yield Progress("Preparing the network for gradient ascent", 0.0)
    drawing = _Drawing(request, loaded)
    with tuning.trying(loaded, request.layer, request.size, drawing.batch):
        yield from drawing.first_look()
        yield from drawing.run()


def settle(request: RenderRequest) -> Iterator[Progress | RenderRequest]:
    """The last one is `request` with all that this worker would choose for itself, checked: for several to agree on."""
    for loaded in loading.load_steps(request.model):
        if isinstance(loaded, Progress):
            yield loaded
    request = _complete(request, loaded)
    check(request, loaded)
    yield replace(request, precision=_Drawing(request, loaded)._precision)


def _complete(request: RenderRequest, backbone: Backbone) -> RenderRequest:
    """With the method's own steps and learning rate where none are asked for; an unknown method stays as it is."""
    method = METHODS.get(request.method)
    if method is None:
        return replace(request, steps=request.steps or 1, learning_rate=request.learning_rate or 1.0)
    steps = method.steps_at(graph.depth(backbone, request.layer)) if request.steps is None else request.steps
    rate = method.learning_rate if request.learning_rate is None else request.learning_rate
    return replace(request, steps=steps, learning_rate=rate)


def objective_for(word: str, layer: str, method: Method) -> Objective:
    """The objective called `word` in requests, as `method` wants it."""
    if word == "channel":
        return objectives.channel(layer, method.border)
    return OBJECTIVES[word](layer)


class _Drawing:
    """A request being drawn: how, and the tiles and scores so far."""

    def __init__(self, request: RenderRequest, backbone: Backbone) -> None:
        self._request, self._backbone = request, backbone
        self._method: Method = gentle(METHODS[request.method], backbone, request.layer, request.size)
        self._objective = objective_for(request.objective, request.layer, self._method)
        self._clock = Clock(request.steps)
        self._precision = self._choose_precision()
        self._jit = tuning.xla(backbone, request.layer, request.method, self._precision, self._seconds_with)
        count = min(_GROUP, len(request.filters))
        total, largest = bytes_per_image(backbone, self._objective, request.size, self._precision)
        self.batch = tuning.batch(backbone, request.layer, request.size, total, count, largest_bytes=largest)

    def first_look(self) -> Iterator[Mosaic]:
        request = self._request
        if request.size < _SMALLEST_WITH_FIRST_LOOK or not self._fits(_FIRST_LOOK):
            return
        steps = _FIRST_LOOK_STEPS if self._method.preprocess else METHODS["fast"].steps
        shots = render(
            self._backbone,
            self._objective,
            request.filters,
            **self._first_look_recipe(),
            steps=steps,
            report_every=steps,
            seed=request.seed,
            batch=self._first_look_batch(),
            precision=self._precision,
        )
        *_, shot = (_ for _ in shots)
        yield self._mosaic(0, shown(shot.images, self._method), shot.scores)

    def run(self) -> Iterator[Mosaic]:
        request, filters = self._request, self._request.filters
        groups = [filters[start : start + _GROUP] for start in range(0, len(filters), _GROUP)]
        tiles: list[np.ndarray] = []
        scores: list[np.ndarray] = []
        silent: list[int] = []
        trust: list[Trust] = []
        pause, last_picture = 0.0, -math.inf
        for place, group in enumerate(groups):
            for shot in self._render(group):
                if shot.step == 1:
                    first_scores = shot.scores
                group_is_done = shot.step == request.steps
                done = group_is_done and place == len(groups) - 1
                if group_is_done:
                    shot = self._free_the_stuck(group, shot, first_scores)
                    silent += self._silent(group, shot, first_scores)
                if not done and not group_is_done and time.monotonic() - last_picture < pause:
                    continue
                start = time.monotonic()
                drawn = shown(shot.images, self._method)
                if group_is_done:
                    trust += self._trust(group, drawn)
                    mark(drawn, [group.index(each) for each in silent if each in group])
                step = (place * request.steps + shot.step) // len(groups)
                rest = len(filters) - sum(map(len, tiles)) - len(drawn)
                waiting = np.full((rest, *drawn.shape[1:]), 128, np.uint8)
                unknown = np.full(rest, np.nan, np.float32)
                yield self._mosaic(
                    step,
                    np.concatenate([*tiles, drawn, waiting]),
                    np.concatenate([*scores, shot.scores, unknown]),
                    tuple(silent),
                    tuple(trust) if done else (),
                )
                last_picture = time.monotonic()
                pause = _TIME_BETWEEN_PICTURES * (last_picture - start)
            tiles.append(drawn)
            scores.append(shot.scores)

    def _free_the_stuck(self, group: tuple[int, ...], shot: RenderStep, first_scores: np.ndarray) -> RenderStep:
        """The filters that have not moved at all, drawn again with gradients that pass what blocks them.

        Only these and only now: to all others a method without a rescue stays what it is, number for number, and
        nobody else waits for the second graph.
        """
        stuck = np.flatnonzero(shot.scores == first_scores)
        if self._method.rescue_steps or not stuck.size or self._request.steps == 1:
            return shot
        *_, freed = self._render(tuple(group[place] for place in stuck), rescue_steps=_RESCUE_STEPS)
        better = freed.scores > shot.scores[stuck]
        images, scores = shot.images.copy(), shot.scores.copy()
        images[stuck[better]], scores[stuck[better]] = freed.images[better], freed.scores[better]
        return replace(shot, images=images, scores=scores)

    def _render(self, filters: tuple[int, ...], rescue_steps: int = 0) -> Iterator[RenderStep]:
        request, method = self._request, self._method
        return render(
            self._backbone,
            self._objective,
            filters,
            parameterisation=method.parameterisation(request.size),
            transforms=method.transforms,
            optimiser=method.optimiser,
            steps=request.steps,
            learning_rate=request.learning_rate,
            report_every=max(1, round(request.steps / _SNAPSHOTS)),
            seed=request.seed,
            batch=self.batch,
            rescue_steps=rescue_steps or method.rescue_steps,
            preprocess=method.preprocess,
            precision=self._precision,
            jit=self._jit,
        )

    def _first_look_recipe(self) -> dict[str, object]:
        """The method's pixels or coefficients, few steps. A step spreads over fewer pixels, so it is shorter."""
        method = self._method
        recipe = {"parameterisation": method.parameterisation(_FIRST_LOOK), "preprocess": method.preprocess}
        if method.preprocess:
            return {**recipe, "optimiser": method.optimiser, "learning_rate": 3 * method.learning_rate}
        fast = METHODS["fast"]
        return {
            **recipe,
            "optimiser": fast.optimiser,
            "learning_rate": fast.learning_rate * _FIRST_LOOK / own_size("fast"),
        }

    def _first_look_batch(self) -> int:
        return min(16, 1 << (len(self._request.filters) - 1).bit_length())

    def _choose_precision(self) -> str:
        request = self._request
        return tuning.precision(
            self._backbone, request.layer, request.precision, lambda precision: self._seconds(precision=precision)
        )

    def _seconds_with(self, jit: bool) -> float:
        return self._seconds(precision=self._precision, transforms=self._method.transforms, jit=jit)

    def _seconds(self, **how: Any) -> float:
        """Of one step of the first look."""
        recipe = self._first_look_recipe()
        if not self._fits(_FIRST_LOOK):
            recipe["parameterisation"] = self._method.parameterisation(self._request.size)
        return seconds_per_step(self._backbone, self._objective, **recipe, batch=self._first_look_batch(), **how)

    def _fits(self, size: int) -> bool:
        """Whether the layer has a map for images of this size; a vector is the same at any size, a tile is not."""
        try:
            shape = graph.at_size(self._backbone, self._request.layer, size).output.shape
        except UserError:
            return False
        return len(shape) == 4 and min(shape[1:3]) >= 2

    def _silent(self, group: tuple[int, ...], shot: RenderStep, first_scores: np.ndarray) -> list[int]:
        facts = (self._backbone, self._request.layer, self._method)
        return [group[place] for place in silent_places(*facts, group, shot.images, shot.scores, first_scores)]

    def _trust(self, group: tuple[int, ...], drawn: np.ndarray) -> tuple[Trust, ...]:
        request = self._request
        return measure(self._backbone, request.layer, group, drawn, logits=request.objective == "class")

    def _mosaic(
        self,
        step: int,
        tiles: np.ndarray,
        scores: np.ndarray,
        silent: tuple[int, ...] = (),
        trust: tuple[Trust, ...] = (),
    ) -> Mosaic:
        request = self._request
        columns = min(COLUMNS, len(tiles))
        stitched = pictures.stitch(tiles, columns=columns, margin=MARGIN)
        last = step == request.steps
        picture = pictures.encode_webp(stitched)
        png = pictures.encode_png(stitched) if last else None
        times = self._clock.read(step)
        return Mosaic(
            layer=request.layer,
            filters=request.filters,
            step=step,
            steps=request.steps,
            scores=tuple(scores.tolist()),
            picture=picture,
            width=stitched.shape[1],
            height=stitched.shape[0],
            tile=tiles.shape[1],
            margin=MARGIN,
            columns=columns,
            seconds=times.seconds,
            seconds_left=times.left,
            seconds_to_first_picture=times.to_first_picture,
            precision=self._precision,
            batch=self.batch,
            origin=self._backbone.origin,
            png=png,
            silent=silent,
            trust=trust,
        )


def check(request: RenderRequest, backbone: Backbone) -> None:
    """Raise `UserError` in one sentence for a request that cannot be drawn."""
    layer = backbone.layer(request.layer)
    _check_word("method", request.method, METHODS)
    _check_word("precision", request.precision, tuning.PRECISIONS)
    _check_word("objective", request.objective, OBJECTIVES)
    if request.objective == "neuron" and not layer.is_spatial:
        raise UserError(f"Layer {request.layer!r} gives no maps, so there is no middle; take the objective channel.")
    if request.objective == "class" and request.layer != backbone.answer:
        raise UserError(f"The classes are in the last layer, {backbone.answer!r}, not in {request.layer!r}.")
    if request.objective == "class" and layer.kind != "vector":
        raise UserError(f"{backbone.title} does not end in a list of classes; take the objective channel.")
    if layer.kind == "other" or not layer.channels:
        raise UserError(f"Layer {request.layer!r} has too many axes to be drawn; choose another layer.")
    if not 1 <= len(request.filters) <= MOST_FILTERS:
        raise UserError(f"Choose between 1 and {MOST_FILTERS} filters, not {len(request.filters)}.")
    outside = [index for index in request.filters if not 0 <= index < layer.channels]
    if outside:
        raise UserError(
            f"Layer {request.layer!r} has {layer.channels} filters, numbered 0 to {layer.channels - 1}; "
            f"there is no filter {outside[0]}."
        )
    _check_number("size", request.size, SIZES, "pixels")
    if len(request.filters) * request.size**2 > MOST_PIXELS:
        raise UserError(
            f"{len(request.filters)} filters of {request.size} × {request.size} pixels are too many for one mosaic; "
            f"choose at most {MOST_PIXELS // request.size**2} filters, or a smaller size."
        )
    _check_number("number of steps", request.steps, (1, MOST_STEPS))
    _check_number("seed", request.seed, (0, 2**31 - 1))
    if not (math.isfinite(request.learning_rate) and request.learning_rate > 0):
        raise UserError(f"The learning rate must be a number above 0, not {request.learning_rate}.")


def _check_number(what: str, value: int, limits: tuple[int, int], unit: str = "") -> None:
    least, most = limits
    if not least <= value <= most:
        raise UserError(f"The {what} must be between {least} and {most}{' ' * bool(unit)}{unit}, not {value}.")


def _check_word(what: str, value: str, allowed: Collection[str]) -> None:
    if value not in allowed:
        raise UserError(f"The {what} must be one of {', '.join(allowed)}, not {value!r}.")
