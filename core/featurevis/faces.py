"""Several pictures of one filter, as unlike one another as it allows: what else does it answer to?

Source: Olah et al., *Feature Visualization*, Distill 2017, "Diversity".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import tensorflow as tf

from core import gallery
from core import images as pictures
from core.backbones import loading
from core.backbones.backbone import Backbone
from core.errors import UserError
from core.featurevis import mosaic, objectives, parameterisations, portrait
from core.featurevis.clock import Clock
from core.featurevis.methods import Method, gentle
from core.featurevis.objectives import Objective
from core.featurevis.render import RenderStep, render
from core.featurevis.tiles import shown
from core.messages import Faces, FacesRequest, PortraitRequest, Progress, RenderRequest

FACES = (2, 9)
DIVERSITY = (0.0, 10.0)
MARGIN = 5
_SNAPSHOTS = 12


@gallery.kept
def run(request: FacesRequest) -> Iterator[Progress | Faces]:
    """Draw the faces together; the last `Faces` is the result. Raises `UserError` for what cannot be drawn.

    They are drawn as portraits are (`portrait.recipe`), each from a start of its own. In a classifier's last layer, a
    face is of a class, before its softmax.
    """
    for loaded in loading.load_steps(request.model):
        if isinstance(loaded, Progress):
            yield loaded
    of_class = request.layer == loaded.answer and not loaded.layer(request.layer).is_spatial
    method = gentle(recipe(request, of_class=of_class), loaded, request.layer, request.size)
    request = replace(request, steps=method.steps)
    check(request, loaded, method)
    yield Progress("Preparing the network for gradient ascent", 0.0)
    clock = Clock(request.steps)
    shots = render(
        loaded,
        replace(unlike(request.layer, request.diversity), before_softmax=of_class),
        (request.filter,) * request.faces,
        parameterisation=parameterisations.faces(method.parameterisation(request.size)),
        transforms=method.transforms,
        optimiser=method.optimiser,
        steps=request.steps,
        learning_rate=method.learning_rate,
        report_every=max(1, round(request.steps / _SNAPSHOTS)),
        seed=request.seed,
        batch=request.faces,  # only within a batch they are compared
        rescue_steps=method.rescue_steps,
        preprocess=method.preprocess,
    )
    for shot in shots:
        yield _faces(request, loaded, method, shot, clock)


def recipe(request: FacesRequest, *, of_class: bool = False) -> Method:
    """How a portrait of this size would be drawn by Lucid's method."""
    objective = "class" if of_class else "channel"
    given = {"size": request.size, "steps": request.steps, "seed": request.seed, "objective": objective}
    return portrait.recipe(PortraitRequest(request.model, request.layer, request.filter, **given), depth=0)


def unlike(layer: str, diversity: float) -> Objective:
    """The channel's score; its gradient also leads away from the other images of the batch.

    Channels answer with 0.1 or with 100, while being unlike (`objectives.diversity`) lies between −1 and 1. So it is
    weighed with each image's own score as it is at that step: with a `diversity` of 1, becoming wholly unlike the
    others is worth as much as doubling the score, in every layer of every network. While a filter hardly answers
    yet, that comes first. The value is the channel's score alone.
    """
    plain, others = objectives.channel(layer, border=None), objectives.diversity(layer)

    def score(activations: Mapping[str, tf.Tensor], targets: tf.Tensor) -> tf.Tensor:
        value = plain.score(activations, targets)
        if not diversity:
            return value
        unlike = others.score(activations, targets)
        worth = diversity * tf.stop_gradient(tf.abs(value))
        return value + worth * (unlike - tf.stop_gradient(unlike))

    return Objective(f"unlike({layer!r}, {diversity!r})", (layer,), score)


def check(request: FacesRequest, backbone: Backbone, method: Method) -> None:
    """Raise `UserError` in one sentence for faces that cannot be drawn."""
    mosaic.check(
        RenderRequest(
            model=request.model,
            layer=request.layer,
            filters=(request.filter,),
            method=method.name,
            size=request.size,
            steps=method.steps,
            learning_rate=method.learning_rate,
            seed=request.seed,
        ),
        backbone,
    )
    least, most = FACES
    if not least <= request.faces <= most:
        raise UserError(f"The number of faces must be between {least} and {most}, not {request.faces}.")
    low, high = DIVERSITY
    if not (math.isfinite(request.diversity) and low <= request.diversity <= high):
        raise UserError(f"The diversity must be between {low:g} and {high:g}, not {request.diversity}.")


def _faces(request: FacesRequest, backbone: Backbone, method: Method, shot: RenderStep, clock: Clock) -> Faces:
    tiles: np.ndarray = shown(shot.images, method)
    times = clock.read(shot.step)
    stitched = pictures.stitch(tiles, columns=len(tiles), margin=MARGIN)
    return Faces(
        layer=request.layer,
        filter=request.filter,
        step=shot.step,
        steps=request.steps,
        side=tiles.shape[1],
        pictures=tuple(pictures.encode_webp(tile) for tile in tiles),
        scores=tuple(shot.scores.tolist()),
        seconds=times.seconds,
        seconds_left=times.left,
        origin=backbone.origin,
        png=pictures.encode_png(stitched) if shot.step == request.steps else None,
    )
