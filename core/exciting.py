"""Which photos excite a layer's channels most, and where in them: all channels at once, in one pass over the photos."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tensorflow as tf

from core import images as pictures
from core import samples
from core.archives import Entry, Unreadable, clean, entries
from core.backbones import graph, loading, receptive
from core.backbones.backbone import Backbone
from core.backbones.batches import BATCH_BYTES, bytes_per_photo
from core.backbones.compiled import CompiledPerModel
from core.errors import UserError
from core.messages import CellRequest, Exciting, ExcitingRequest, Region

MOST_PHOTOS = 1000
MOST_ANSWERS = 2_000_000  # photos × channels: their peaks and places take 16 MB
BATCH_MOST = 16
THUMBNAIL_SIDE = 128
THUMBNAILS_BYTES = 6 * 1000**2
REPORT_EVERY = 1.0  # seconds: a snapshot may have megabytes
PICTURE_SUFFIXES = {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}

_compiled = CompiledPerModel(most=16)


@dataclass(frozen=True)
class Source:
    """A photo that is still to be read: `pixels()` gives `uint8[H, W, 3]` or raises `Unreadable` or `UserError`."""

    name: str
    pixels: Callable[[], np.ndarray]


@dataclass
class _Seen:
    """What has been found so far."""

    names: list[str] = field(default_factory=list)
    thumbnails: list[bytes] = field(default_factory=list)
    peaks: list[np.ndarray] = field(default_factory=list)
    places: list[np.ndarray] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    done: int = 0
    map_size: tuple[int, int] = (1, 1)


def rank(request: ExcitingRequest) -> Iterator[Exciting]:
    """Show every photo of `request.photos` to the network, up to `request.layer`; the last snapshot is the result.

    Files are taken in the order of their names. Of more than 1000 (fewer where the layer has more than 2000 channels)
    so many are taken, evenly spread. What cannot be read is left out. Raises `UserError` where there is no such folder,
    ZIP or layer, or no photo in it.
    """
    backbone = loading.load(request.model)
    channels = backbone.layer(request.layer).channels
    most = min(MOST_PHOTOS, max(1, MOST_ANSWERS // channels))
    with _sources(request.photos) as found:
        chosen = spread(found, most)
        beyond = len(found) - len(chosen)
        yield from _look(backbone, request.layer, chosen, beyond)


def region(request: CellRequest) -> Region | None:
    """What the cell can see of the photo as the network sees it; `None`: all of it."""
    return receptive.region(loading.load(request.model), request.layer, (request.y, request.x))


def spread(found: list[Source], most: int) -> list[Source]:
    """At most `most` of them, evenly spread; where there are too many, those with a picture's name come before all."""
    if len(found) <= most:
        return found
    named = [each for each in found if Path(each.name).suffix.lower() in PICTURE_SUFFIXES] or found
    steps = np.linspace(0, len(named) - 1, min(most, len(named)))
    return [named[int(step)] for step in steps]


def answers(backbone: Backbone, layer: str, images: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Each channel's strongest answer to each of `images` (`uint8[N, h, w, 3]` at the input size), and where it is.

    Returns the peaks, `float32[N, C]`; their cells (y, x), `int16[N, C, 2]`; and the size (height, width) of the maps,
    (1, 1) for a vector. What is not finite counts as if it were not there; where nothing is finite, the answer is 0.
    """
    size = images.shape[1:3]
    forward = _compiled.get(backbone.model, (layer, size), lambda: _compile(backbone, layer, size))
    peaks, index, shape = (each.numpy() for each in forward(tf.constant(backbone.preprocessing(images))))
    height, width = (1, *shape.tolist())[-2:] if len(shape) else (1, 1)
    return peaks, np.stack(np.divmod(index, width), axis=-1).astype(np.int16), (height, width)


def batch_size(backbone: Backbone, layer: str) -> int:
    """How many photos are shown at once: so many that no array on the way to `layer` is larger than 32 MB, or one."""
    return max(1, min(BATCH_MOST, BATCH_BYTES // max(bytes_per_photo(backbone, layer))))


def _look(backbone: Backbone, layer: str, chosen: list[Source], beyond: int) -> Iterator[Exciting]:
    seen, together, reported = _Seen(), batch_size(backbone, layer), -math.inf
    room = THUMBNAILS_BYTES // max(1, len(chosen))
    for start in range(0, len(chosen), together):
        _look_at(backbone, layer, chosen[start : start + together], seen, room)
        if seen.names and time.monotonic() - reported > REPORT_EVERY and seen.done < len(chosen):
            yield _snapshot(layer, seen, len(chosen), beyond)
            reported = time.monotonic()
    if not seen.names:
        first = f" {seen.left_out[0][0]}: {seen.left_out[0][1]}" if seen.left_out else ""
        raise UserError(f"There is no photo in it that can be read. Choose photos ({pictures.ACCEPTED}).{first}")
    yield _snapshot(layer, seen, len(chosen), beyond)


def _look_at(backbone: Backbone, layer: str, batch: list[Source], seen: _Seen, room: int) -> None:
    shown = []
    for source in batch:
        seen.done += 1
        try:
            pixels = pictures.fit(source.pixels(), backbone.input_size)
        except (Unreadable, UserError) as reason:
            seen.left_out.append((source.name, str(reason)))
            continue
        shown.append(pixels)
        seen.names.append(source.name)
        seen.thumbnails.append(thumbnail(pixels, room))
    if shown:
        peaks, places, seen.map_size = answers(backbone, layer, np.stack(shown))
        seen.peaks.append(peaks)
        seen.places.append(places)


def _snapshot(layer: str, seen: _Seen, total: int, beyond: int) -> Exciting:
    return Exciting(
        layer,
        tuple(seen.names),
        tuple(seen.thumbnails),
        np.concatenate(seen.peaks),
        np.concatenate(seen.places),
        seen.map_size,
        tuple(seen.left_out),
        seen.done,
        total,
        beyond,
    )


def thumbnail(pixels: np.ndarray, room: int) -> bytes:
    """A small WebP of `uint8[H, W, 3]`, at most 128 pixels a side; coarser, and then smaller, to fit into `room` bytes.

    At its coarsest even noise takes less than 2 KB.
    """
    times = max(1, THUMBNAIL_SIDE // max(pixels.shape[:2]))  # small ones in whole pixels: a browser would blur them
    pixels = pixels.repeat(times, axis=0).repeat(times, axis=1)
    data = b""
    for side, quality in ((THUMBNAIL_SIDE, 75), (THUMBNAIL_SIDE, 40), (THUMBNAIL_SIDE // 2, 20)):
        shrink = min(1.0, side / max(pixels.shape[:2]))
        height, width = (max(1, round(length * shrink)) for length in pixels.shape[:2])
        data = pictures.encode_webp(pictures.resize(pixels, (height, width)), quality)
        if len(data) <= room:
            break
    return data


def _compile(backbone: Backbone, layer: str, size: tuple[int, int]) -> Callable[[tf.Tensor], tuple[tf.Tensor, ...]]:
    model = graph.truncated(backbone, (layer,))

    @tf.function(input_signature=[tf.TensorSpec([None, *size, 3], tf.float32)], autograph=False)
    def forward(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        (outputs,) = tf.nest.flatten(model(images, training=False))
        outputs = tf.cast(outputs, tf.float32)
        shape = tf.shape(outputs)
        cells = tf.reshape(outputs, [shape[0], -1, shape[-1]])
        cells = tf.where(tf.math.is_finite(cells), cells, -np.inf)
        peaks = tf.reduce_max(cells, axis=1)
        index = tf.argmax(cells, axis=1, output_type=tf.int32)
        return tf.where(tf.math.is_finite(peaks), peaks, 0.0), index, shape[1:-1]

    return forward.get_concrete_function()


@contextlib.contextmanager
def _sources(photos: str) -> Iterator[list[Source]]:
    if photos == "samples":
        yield [
            Source(sample.name, lambda name=sample.name: samples.photograph(name).pixels)
            for sample in samples.PHOTOGRAPHS
        ]
        return
    with entries(Path(photos).expanduser()) as found:
        found = sorted(found, key=lambda entry: entry.parts)  # a folder's files come before those in its subfolders
        yield [Source(entry.label, lambda entry=entry: _pixels(entry)) for entry in found]


def _pixels(entry: Entry) -> np.ndarray:
    return pictures.photo(entry.read(), clean(entry.parts[-1])).pixels
