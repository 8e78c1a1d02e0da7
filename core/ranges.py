"""What becomes of a photo under each preprocessing that a network might expect: the picture of a consequence.

A file rarely says what its pixels should be, and with wrong ones everything looks nearly right. So the first layer's
answers and the prediction are shown for each possibility side by side, and the person who trained the network decides.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from core import activations, channels, images, statistics
from core.architecture import is_drawable, kind
from core.backbones import loading
from core.backbones.backbone import Backbone
from core.backbones.classes import activation_of
from core.backbones.preprocessing import PREPROCESSING
from core.errors import UserError
from core.messages import LayerInfo, Prediction, RangeSeen, RangesRequest

COLOURFUL = ("none", "unit", "tf", "torch", "caffe")
PLAIN = ("none", "unit", "tf")  # for what is not red, green and blue
SIDE = 220  # pixels of the picture
_MAPS, _COLUMNS, _MARGIN, _GAP = 4, 2, 4, 128  # grey, which is neither theme's page
_UNITS = 24  # of a vector, as bars
_MOST_STEPS = 64
_BACKGROUND, _UP, _DOWN = (24, 35, 58), (122, 165, 255), (251, 146, 60)


def compare(request: RangesRequest) -> tuple[RangeSeen, ...]:
    """One `RangeSeen` for each preprocessing that the network may expect, in the order of `COLOURFUL`.

    The same channels are shown for each, those whose maps differ most over the photo, so that they can be compared.
    Raises `UserError` for a network that reads text.
    """
    backbone = loading.load(replace(request.model, preprocessing=None))
    if backbone.reads != "photo":
        raise UserError(f"{backbone.title} reads text: it has no pixels to ask about.")
    names = offered(backbone)
    photo = images.fit(request.photo.pixels, backbone.input_size)
    batch = np.stack([PREPROCESSING[name](photo) for name in names])
    ready = replace(backbone, preprocessing=PREPROCESSING["none"])  # the batch is preprocessed: it goes in as it is
    layer = first_look(backbone.layers)
    answers = activations.infer_layers(ready, batch, [layer.name])[layer.name]
    guesses = best_guesses(ready, batch)
    shown = liveliest(answers)
    return tuple(
        RangeSeen(
            preprocessing=name,
            words=PREPROCESSING[name].words,
            layer=layer.name,
            maps=picture(answer, shown),
            silent=statistics.states(answer).count(statistics.SILENT) / answer.shape[-1],
            strongest=_largest(answer),
            prediction=guess,
        )
        for name, answer, guess in zip(names, answers, guesses, strict=True)
    )


def _largest(answer: np.ndarray) -> float:
    sizes = np.abs(answer[np.isfinite(answer)])
    return float(sizes.max()) if sizes.size else math.nan


def offered(backbone: Backbone) -> tuple[str, ...]:
    """What the network may expect: colours in another order mean nothing to one that has no three of them."""
    openings = backbone.openings
    return COLOURFUL if openings is None or openings.channels == 3 else PLAIN


def first_look(layers: tuple[LayerInfo, ...]) -> LayerInfo:
    """The first convolution, behind its activation; without any, the first layer that learns, likewise.

    Raises `UserError` where no layer has channels.
    """
    drawable = [layer for layer in layers if is_drawable(layer)]
    if not drawable:
        raise UserError("No layer of this network has channels that could be shown.")
    learning = [layer for layer in drawable if layer.parameters and kind(layer) != "normalisation"]
    convolutions = [layer for layer in learning if kind(layer) in ("convolution", "depthwise")]
    return _activated((convolutions or learning or drawable)[0], drawable)


def _activated(layer: LayerInfo, layers: list[LayerInfo]) -> LayerInfo:
    """What an activation lets pass of `layer`, where one stands right behind it, or behind its normalisation."""
    behind = layer
    while True:
        users = [other for other in layers if behind.name in other.inputs]
        if len(users) != 1 or kind(users[0]) not in ("normalisation", "activation"):
            return layer
        behind = users[0]
        if kind(behind) == "activation":
            return behind


def best_guesses(backbone: Backbone, batch: np.ndarray) -> list[Prediction | None]:
    """The most probable class for each of the batch; `None` where the network tells no classes, or says no number."""
    if activation_of(backbone.model) is None:
        return [None] * len(batch)
    return [_best(backbone, row) for row in activations.class_probabilities(backbone, batch)]


def _best(backbone: Backbone, probabilities: np.ndarray) -> Prediction | None:
    if not np.isfinite(probabilities).all():
        return None
    index = int(np.argmax(probabilities))
    return Prediction(index, activations.class_name(backbone, index), float(probabilities[index]))


def liveliest(answers: np.ndarray) -> tuple[int, ...]:
    """All channels of `float[B, ..., C]`, those first that differ most from place to place, whichever of the batch it
    is: what one of them has in large numbers counts no more than what another has in small ones."""
    spread = [np.nan_to_num(_spread(answer), posinf=0.0) for answer in answers.astype(np.float64)]
    shares = [each / each.max() if each.max() > 0 else each for each in spread]
    return channels.order(np.mean(shares, axis=0), "mean")


def _spread(answer: np.ndarray) -> np.ndarray:
    """`[..., C]` -> `[C]`: how far each channel's places lie apart; of a vector, how large its units are."""
    finite = np.where(np.isfinite(answer), answer, 0.0)
    return np.abs(finite) if finite.ndim == 1 else finite.reshape(-1, finite.shape[-1]).std(axis=0)


def picture(answer: np.ndarray, shown: tuple[int, ...]) -> np.ndarray | None:
    """`float[..., C]` as `uint8[h, w, 3]`: maps on one colour scale, units as bars up and down, steps as a heatmap.

    Of a volume it is the slice in the middle. `None` where there is nothing that could be drawn.
    """
    if answer.ndim == 4:
        answer = answer[len(answer) // 2]
    if answer.ndim == 3:
        return _maps(answer[..., list(shown[:_MAPS])])
    if answer.ndim == 2:
        return _heatmap(answer[:_MOST_STEPS, list(shown[:_UNITS])].T)
    return _bars(answer[sorted(shown[:_UNITS])]) if answer.ndim == 1 else None


def _maps(maps: np.ndarray) -> np.ndarray:
    side = (SIDE - _MARGIN) // _COLUMNS
    low, high = _ends(maps)
    tiles = np.stack([_enlarged(images.colourise(maps[..., i], low, high), side) for i in range(maps.shape[-1])])
    return images.stitch(tiles, min(_COLUMNS, len(tiles)), _MARGIN, _GAP)


def _heatmap(rows: np.ndarray) -> np.ndarray:
    return _enlarged(images.colourise(rows, *_ends(rows)), SIDE)


def _ends(values: np.ndarray) -> tuple[float, float]:
    """The colour scale's: from 0 where nothing is below it."""
    finite = values[np.isfinite(values)]
    return (min(0.0, float(finite.min())), float(finite.max())) if finite.size else (0.0, 0.0)


def _enlarged(pixels: np.ndarray, side: int) -> np.ndarray:
    """As squares with sharp edges, the longer of its sides `side` pixels; a square picture of `side`, in its middle."""
    height, width = pixels.shape[:2]
    times = side / max(height, width)
    tall, wide = max(1, math.floor(height * times)), max(1, math.floor(width * times))
    rows, columns = np.arange(tall) * height // tall, np.arange(wide) * width // wide
    framed = np.full((side, side, 3), _GAP, np.uint8)
    top, left = (side - tall) // 2, (side - wide) // 2
    framed[top : top + tall, left : left + wide] = pixels[rows][:, columns]
    return framed


def _bars(values: np.ndarray) -> np.ndarray:
    """Bars from a line in the middle, up for what is above 0 and down for what is below, on one scale."""
    canvas = np.full((SIDE, SIDE, 3), _BACKGROUND, np.uint8)
    middle, width = SIDE // 2, SIDE / max(1, len(values))
    largest = np.abs(values[np.isfinite(values)]).max(initial=0.0)
    canvas[middle - 1 : middle + 1] = 148
    for place, value in enumerate(values):
        if not np.isfinite(value) or not largest:
            continue
        length = round((middle - 8) * float(value) / float(largest))
        left, right = round(place * width) + 1, max(round(place * width) + 2, round((place + 1) * width) - 1)
        rows = slice(middle - length, middle) if length > 0 else slice(middle, middle - length)
        canvas[rows, left:right] = _UP if length > 0 else _DOWN
    return canvas
