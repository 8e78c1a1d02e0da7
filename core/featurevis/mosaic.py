"""Many rendered filters as one picture, sharpening as it is drawn."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from core import images as pictures
from core.backbones import loading
from core.backbones.backbone import Backbone
from core.errors import UserError
from core.featurevis import objectives, parameterisations
from core.featurevis.render import RenderStep, render
from core.messages import Mosaic, Progress, RenderRequest

METHODS = ("textbook",)
COLUMNS = 8
MARGIN = 5
SIZES = (32, 1024)
MOST_STEPS = 10_000
MOST_FILTERS = 512
MOST_PIXELS = 1 << 25  # of all images together, which are kept in memory as float32
_CROP = 25  # pixels a side, where the image's border shows
_SMALLEST_WITH_FULL_CROP = 100
_LARGEST_BATCH = 8  # larger is no faster on a CPU, and costs memory in proportion
_SNAPSHOTS = 10


def file_stem(layer: str) -> str:
    """The name of the files a mosaic is saved under, without their suffix."""
    return f"filters_for_layer_{layer.replace('/', '.')}"


def deprocess(images: np.ndarray) -> np.ndarray:
    """Rendered images, `float32[N, H, W, 3]` -> `uint8[N, h, w, 3]`, each with its own contrast, without the border.

    Mean 128, standard deviation 64, clipped; 25 pixels a side are cut off, an eighth of images smaller than 100 pixels.
    Source: Chollet, *Deep Learning with Python*, 2nd ed., section 9.4.2.
    """
    return np.stack([_deprocess_one(image) for image in images])


def _deprocess_one(image: np.ndarray) -> np.ndarray:
    image = np.nan_to_num(image, posinf=0.0, neginf=0.0)
    image = image - image.mean()
    spread = image.std()
    image = np.clip(image / (spread if spread > 0 else 1) * 64 + 128, 0, 255).astype(np.uint8)
    crop = _crop(len(image))
    return image[crop:-crop, crop:-crop]


def _crop(size: int) -> int:
    return _CROP if size >= _SMALLEST_WITH_FULL_CROP else size // 8


def run(request: RenderRequest) -> Iterator[Progress | Mosaic]:
    """Draw the requested filters; the last `Mosaic` is the result. Raises `UserError` for what cannot be drawn."""
    for loaded in loading.load_steps(request.model):
        if isinstance(loaded, Progress):
            yield loaded
    backbone = loaded
    check(request, backbone)
    clock = _Clock(request.steps)
    yield Progress("Preparing the network for gradient ascent", 0.0)
    batch = _batch(len(request.filters))
    snapshots = render(
        backbone,
        objectives.channel(request.layer),
        request.filters,
        parameterisation=parameterisations.pixels(request.size),
        steps=request.steps,
        learning_rate=request.learning_rate,
        report_every=max(1, round(request.steps / _SNAPSHOTS)),
        seed=request.seed,
        batch=batch,
    )
    for snapshot in snapshots:
        yield _mosaic(request, backbone.origin, batch, snapshot, clock)


def check(request: RenderRequest, backbone: Backbone) -> None:
    """Raise `UserError` in one sentence for a request that cannot be drawn."""
    layer = backbone.layer(request.layer)
    if request.method not in METHODS:
        raise UserError(f"The method must be one of {', '.join(METHODS)}, not {request.method!r}.")
    if len(layer.output_shape) not in (1, 3) or not layer.channels:
        raise UserError(f"Layer {request.layer!r} has no channels to draw; choose one that gives maps or a vector.")
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


def _batch(filters: int) -> int:
    """A power of two, so that a few compiled graphs serve any number of filters."""
    return min(_LARGEST_BATCH, 1 << (filters - 1).bit_length())


@dataclass(frozen=True)
class _Times:
    seconds: float
    left: float | None
    to_first_picture: float


class _Clock:
    """Seconds since the request, and how many are left: measured between pictures, so without tracing."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._start = time.monotonic()
        self._first: tuple[int, float] | None = None

    def read(self, step: int) -> _Times:
        seconds = time.monotonic() - self._start
        if self._first is None:
            self._first = (step, seconds)
        first_step, first_seconds = self._first
        left = None
        if step >= self._steps:
            left = 0.0
        elif step > first_step:
            left = (seconds - first_seconds) / (step - first_step) * (self._steps - step)
        return _Times(seconds, left, first_seconds)


def _mosaic(request: RenderRequest, origin: str, batch: int, snapshot: RenderStep, clock: _Clock) -> Mosaic:
    tiles = deprocess(snapshot.images)
    columns = min(COLUMNS, len(tiles))
    stitched = pictures.stitch(tiles, columns=columns, margin=MARGIN)
    last = snapshot.step == request.steps
    picture = pictures.encode_webp(stitched)
    png = pictures.encode_png(stitched) if last else None
    times = clock.read(snapshot.step)
    return Mosaic(
        layer=request.layer,
        filters=request.filters,
        step=snapshot.step,
        steps=request.steps,
        scores=tuple(snapshot.scores.tolist()),
        picture=picture,
        width=stitched.shape[1],
        height=stitched.shape[0],
        tile=tiles.shape[1],
        margin=MARGIN,
        columns=columns,
        seconds=times.seconds,
        seconds_left=times.left,
        seconds_to_first_picture=times.to_first_picture,
        precision="float32",
        batch=batch,
        origin=origin,
        png=png,
    )
