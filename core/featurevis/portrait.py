"""One filter drawn large, with every stage of it kept: a slider can go back over how it came about."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from core import gallery
from core import images as pictures
from core.backbones import graph, loading
from core.backbones.backbone import Backbone
from core.featurevis import maco, mosaic, tuning
from core.featurevis.clock import Clock
from core.featurevis.methods import METHODS, Method, gentle
from core.featurevis.objectives import Objective
from core.featurevis.render import render, seconds_per_step
from core.featurevis.tiles import mark, shown, silent_places
from core.featurevis.transforms import jitter, rotate, scale
from core.featurevis.trust import measure
from core.messages import Frame, Portrait, PortraitRequest, Progress, RenderRequest

_FRAMES = 24
_FRAMES_OF_LARGE = 12  # beyond that side a frame has so many bytes that fewer are kept
_LARGE = 640
_EARLY = 1.6  # more than 1: the frames are closer together at the beginning, where most happens
_RESCUE_STEPS = 16  # of a filter that stood still without a rescue
_QUALITY = 80  # of a frame's WebP: all frames of 256 pixels together stay below 1 MB


def file_stem(layer: str, number: int) -> str:
    """The name of the files a portrait is saved under, without their suffix."""
    return f"filter_{number}_of_layer_{layer.replace('/', '.')}"


@dataclass(frozen=True)
class Stage:
    """What there is after `step` steps: `raw` is `float32[H, H, 3]` as rendered, `tile` is `uint8[h, h, 3]` as shown,
    `alpha` is the opacity, `float32[h, h]`, where the method knows it."""

    step: int
    score: float
    raw: np.ndarray
    tile: np.ndarray
    alpha: np.ndarray | None = None


@gallery.kept
def run(request: PortraitRequest) -> Iterator[Progress | Portrait]:
    """Draw the filter (or class); the last `Portrait` is the result. Raises `UserError` for what cannot be drawn.

    About 24 stages are kept, the first of them after one step, closer together at the beginning. Where neither steps
    nor learning rate are given they are `recipe`'s.
    """
    for loaded in loading.load_steps(request.model):
        if isinstance(loaded, Progress):
            yield loaded
    method = gentle(recipe(request, graph.depth(loaded, request.layer)), loaded, request.layer, request.size)
    request = replace(request, steps=method.steps, learning_rate=method.learning_rate)
    mosaic.check(_as_render_request(request), loaded)
    yield Progress("Preparing the network for gradient ascent", 0.0)
    yield from _Sitting(request, loaded, method).run()


def recipe(request: PortraitRequest, depth: int) -> Method:
    """The method as a portrait of this size and objective wants it, with the steps and learning rate asked for.

    Lucid's shift is a quarter of the side, whatever that is. A class is more than a texture: it takes more steps, and
    scales that differ more, until a whole object appears. `depth` is that of `graph.depth`. An unknown method is
    left to `mosaic.check`.
    """
    method = METHODS.get(request.method, replace(METHODS["lucid"], name=request.method))
    if method.name == "lucid":
        shift = jitter(max(1, request.size // 4))
        method = replace(method, steps=64, learning_rate=0.15, transforms=(shift, scale(0.92, 1.08), rotate(5.0)))
        if request.objective == "class":
            optimiser, transforms = replace(method.optimiser, epsilon=2.0), (shift, scale(0.7, 1.8), rotate(8.0))
            method = replace(method, steps=160, learning_rate=0.12, optimiser=optimiser, transforms=transforms)
    steps = method.steps_at(depth) if request.steps is None else request.steps
    rate = method.learning_rate if request.learning_rate is None else request.learning_rate
    return replace(method, steps=steps, learning_rate=rate)


def kept_steps(steps: int, frames: int = _FRAMES) -> list[int]:
    """After which of `steps` steps a frame is kept: 1 and the last, at most `frames` in all, more of the early ones."""
    parts = [place / (frames - 1) for place in range(frames)]
    return sorted({1 + round((steps - 1) * part**_EARLY) for part in parts})


class _Sitting:
    """A request being drawn, and the frames so far."""

    def __init__(self, request: PortraitRequest, backbone: Backbone, method: Method) -> None:
        self._request, self._backbone, self._method = request, backbone, method
        self._objective: Objective = mosaic.objective_for(request.objective, request.layer, method)
        self._clock = Clock(request.steps)
        self._kept = kept_steps(request.steps, _FRAMES if request.size <= _LARGE else _FRAMES_OF_LARGE)
        self._frames: list[Frame] = []

    def run(self) -> Iterator[Portrait]:
        self._precision = self._choose_precision()
        yield from self._all_stages()
        if self._is_stuck():
            self._method = replace(self._method, rescue_steps=_RESCUE_STEPS)
            yield from self._all_stages()
        yield self._finished()

    def _all_stages(self) -> Iterator[Portrait]:
        """From the start; the last one is kept for `_finished`."""
        self._frames = []
        for stage in self._large() if self._method.name == "maco" else self._plain():
            self._add_frame(stage)
            if stage.step < self._request.steps:
                yield self._portrait(stage)
        self._last = stage

    def _is_stuck(self) -> bool:
        """Whether it has not moved at all, and nothing has been done against that; `mosaic` frees its tiles too."""
        moved = self._frames[0].score != self._frames[-1].score
        return not moved and len(self._frames) > 1 and not self._method.rescue_steps

    def _plain(self) -> Iterator[Stage]:
        request, method = self._request, self._method
        shots = render(
            self._backbone,
            self._objective,
            (request.filter,),
            parameterisation=method.parameterisation(request.size),
            transforms=method.transforms,
            optimiser=method.optimiser,
            steps=request.steps,
            learning_rate=request.learning_rate,
            report_every=1,
            seed=request.seed,
            batch=1,
            rescue_steps=method.rescue_steps,
            preprocess=method.preprocess,
            precision=self._precision,
        )
        for shot in shots:
            if shot.step in self._kept:
                yield Stage(shot.step, float(shot.scores[0]), shot.images[0], shown(shot.images, method)[0])

    def _large(self) -> Iterator[Stage]:
        request = self._request
        shots = maco.render_one(
            self._backbone,
            self._objective,
            request.filter,
            size=request.size,
            steps=request.steps,
            learning_rate=request.learning_rate,
            report_every=max(1, round(request.steps / len(self._kept))),
            seed=request.seed,
        )
        for shot in shots:
            yield Stage(shot.step, shot.score, shot.image, maco.over(shot), shot.alpha)

    def _choose_precision(self) -> str:
        request, method = self._request, self._method
        if method.name == "maco":
            return "float32"

        def seconds(precision: str) -> float:
            return seconds_per_step(
                self._backbone,
                self._objective,
                parameterisation=method.parameterisation(request.size),
                optimiser=method.optimiser,
                learning_rate=method.learning_rate,
                preprocess=method.preprocess,
                precision=precision,
                batch=1,
            )

        return tuning.precision(self._backbone, request.layer, request.precision, seconds)

    def _finished(self) -> Portrait:
        """With the picture without loss, and how far to trust it; marked where the filter never fires."""
        request, backbone, stage = self._request, self._backbone, self._last
        targets, tiles = (request.filter,), stage.tile[None].copy()
        looked_at = shown(stage.raw[None], self._method)  # what is behind a transparent picture is no part of it
        (trust,) = measure(backbone, request.layer, targets, looked_at, logits=request.objective == "class")
        scores = [np.array([frame.score]) for frame in (self._frames[-1], self._frames[0])]
        silent = silent_places(backbone, request.layer, self._method, targets, stage.raw[None], *scores)
        if silent:
            mark(tiles, silent)
            stage = replace(stage, tile=tiles[0], alpha=None)
            self._frames.pop()
            self._add_frame(stage)
        return replace(self._portrait(stage), png=_png(stage), silent=bool(silent), trust=trust)

    def _add_frame(self, stage: Stage) -> None:
        self._frames.append(Frame(stage.step, stage.score, pictures.encode_webp(stage.tile, _QUALITY)))

    def _portrait(self, stage: Stage) -> Portrait:
        request, times = self._request, self._clock.read(stage.step)
        return Portrait(
            layer=request.layer,
            filter=request.filter,
            step=stage.step,
            steps=request.steps,
            side=len(stage.tile),
            frames=tuple(self._frames),
            seconds=times.seconds,
            seconds_left=times.left,
            precision=self._precision,
            origin=self._backbone.origin,
        )


def _png(stage: Stage) -> bytes:
    """Transparent where the method knows that the filter does not care."""
    if stage.alpha is None:
        return pictures.encode_png(stage.tile)
    colours = np.concatenate([stage.raw, stage.alpha[..., None]], axis=-1)
    buffer = io.BytesIO()
    Image.fromarray(np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8), "RGBA").save(buffer, "PNG")
    return buffer.getvalue()


def _as_render_request(request: PortraitRequest) -> RenderRequest:
    return RenderRequest(
        model=request.model,
        layer=request.layer,
        filters=(request.filter,),
        method=request.method,
        size=request.size,
        steps=request.steps,
        learning_rate=request.learning_rate,
        seed=request.seed,
        precision=request.precision,
        objective=request.objective,
    )
