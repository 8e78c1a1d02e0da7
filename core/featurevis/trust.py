"""Can the picture of a filter be trusted? Its answers to that picture, to noise and to photographs, side by side."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from core import images as pictures
from core import samples
from core.backbones import graph
from core.backbones.backbone import Backbone
from core.backbones.compiled import CompiledPerModel
from core.backbones.logits import with_logits
from core.errors import UserError
from core.messages import Trust

NOISES = 4
_CHUNK = 8  # images at a time, so that memory does not grow with their number
_kept = CompiledPerModel(most=64)  # for each layer two graphs and some kilobytes of answers


@dataclass(frozen=True)
class Others:
    """What each channel of a layer answers to what was not made for it. Read-only.

    `noise` is the mean over the noise images, `float32[C]`; `photos` has a row for each of `names`, `float32[P, C]`.
    """

    noise: np.ndarray
    photos: np.ndarray
    names: tuple[str, ...]


def measure(
    backbone: Backbone, layer: str, filters: Sequence[int], tiles: np.ndarray, *, logits: bool = False
) -> tuple[Trust, ...]:
    """How strongly each filter answers to its tile, `uint8[N, h, h, 3]` as a person sees it, to noise and to photos.

    An answer is the activation at the strongest place of the filter's map, in float32; of a vector, the unit's value.
    All are shown to the network through its own preprocessing: noise and photos at its input size, a tile at the size
    it was drawn at, because a pattern that is enlarged is another one to the filter. Only where the layer cannot be
    computed at that size, or gives a vector and the tile is larger than a photo would be (its units look at the whole
    image, of about that size), the tile is resized to the input size. With `logits` a classifier is read before its
    softmax, as the objective "class" does. Where there is no finite number, the answer is 0. Raises `UserError` for a
    layer that is not there.
    """
    if logits:
        backbone = with_logits(backbone)
    others = others_of(backbone, layer)
    best = others.photos.argmax(axis=0)
    answers = _to_tiles(backbone, layer, tiles)
    return tuple(
        Trust(
            tile=float(answer[index]),
            noise=float(others.noise[index]),
            photo=float(others.photos[best[index], index]),
            photo_name=others.names[best[index]],
        )
        for index, answer in zip(filters, answers, strict=True)
    )


def others_of(backbone: Backbone, layer: str) -> Others:
    """The answers of all channels of `layer` to noise and to every sample photograph: computed once, then kept."""
    return _kept.get(backbone.model, ("others", layer), lambda: _others(backbone, layer))


def noise_images(size: tuple[int, int]) -> np.ndarray:
    """`uint8[4, h, w, 3]`: each pixel a grey between black and white, all as likely; the same at every call."""
    grey = np.random.default_rng(0).integers(0, 256, (NOISES, *size, 1), np.uint8)
    return np.repeat(grey, 3, axis=-1)


def _others(backbone: Backbone, layer: str) -> Others:
    size, names = tuple(backbone.input_size), tuple(sample.name for sample in samples.PHOTOGRAPHS)
    photos = [pictures.fit(samples.photograph(name).pixels, size) for name in names]
    answers = _strongest(backbone, layer, np.concatenate([noise_images(size), photos]))
    answers.setflags(write=False)
    return Others(answers[:NOISES].mean(axis=0), answers[NOISES:], names)


def _to_tiles(backbone: Backbone, layer: str, tiles: np.ndarray) -> np.ndarray:
    as_photos = not backbone.layer(layer).is_spatial and tiles.shape[1] > max(backbone.input_size)
    if not as_photos:
        with contextlib.suppress(UserError):
            return _strongest(backbone, layer, tiles)
    return _strongest(backbone, layer, np.stack([pictures.resize(tile, backbone.input_size) for tile in tiles]))


def _strongest(backbone: Backbone, layer: str, images: np.ndarray) -> np.ndarray:
    """`uint8[N, h, w, 3]` -> `float32[N, C]`: every channel at its strongest place.

    Raises `UserError` where the layer cannot be computed at that size.
    """
    size = images.shape[1:3]
    forward = _kept.get(backbone.model, ("forward", layer, size), lambda: _compile(backbone, layer, size))
    starts = range(0, len(images), _CHUNK)
    chunks = [backbone.preprocessing(images[start : start + _CHUNK]) for start in starts]
    return np.concatenate([forward(tf.constant(chunk)).numpy() for chunk in chunks])


def _compile(backbone: Backbone, layer: str, size: tuple[int, int]) -> Callable[[tf.Tensor], tf.Tensor]:
    own = size == tuple(backbone.input_size)
    model = graph.truncated(backbone, (layer,)) if own else graph.at_size(backbone, (layer,), size[0])

    @tf.function(input_signature=[tf.TensorSpec([None, *size, 3], tf.float32)], autograph=False)
    def forward(images: tf.Tensor) -> tf.Tensor:
        (outputs,) = tf.nest.flatten(model(images, training=False))
        outputs = tf.cast(outputs, tf.float32)
        outputs = tf.where(tf.math.is_finite(outputs), outputs, -np.inf)
        strongest = tf.reduce_max(outputs, axis=list(range(1, outputs.shape.rank - 1)))
        return tf.where(tf.math.is_finite(strongest), strongest, 0.0)

    return forward.get_concrete_function()
