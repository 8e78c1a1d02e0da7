"""One mosaic drawn by several workers: its request split into parts, their pictures put together into one.

Free of TensorFlow and of Dask: who draws the parts, and where, is the engine's affair.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image

from core import images as pictures
from core.messages import Mosaic, Progress, RenderRequest

WHOLE_BATCH = 8  # filters; with fewer at a time a worker would compute in another order, and round otherwise
_GREY = 128  # of a tile that is not there yet


def agree(request: RenderRequest, answers: Sequence[RenderRequest]) -> RenderRequest:
    """`request` as all workers are to draw it, from what each of them would have made of it.

    In float32 where they would choose differently: some of them may not have the other precision.
    """
    first = answers[0]
    same = all(answer.precision == first.precision for answer in answers)
    return first if same else replace(first, precision="float32")


def is_settled(request: RenderRequest) -> bool:
    """Whether all workers would draw it in the same way, without being asked."""
    return request.precision != "auto"


def split(request: RenderRequest, workers: int) -> tuple[RenderRequest, ...]:
    """At most `workers` requests that have the filters of `request` in order, each a whole number of batches but the
    last one's rest; so every tile is computed in the company of as many others as on one worker, to the same bits."""
    filters = request.filters
    count = max(1, min(workers, len(filters) // WHOLE_BATCH))
    batches, more = divmod(len(filters) // WHOLE_BATCH, count)
    sizes = [WHOLE_BATCH * (batches + (part < more)) for part in range(count)]
    ends = [sum(sizes[: part + 1]) for part in range(count)]
    ends[-1] = len(filters)
    starts = [0, *ends[:-1]]
    return tuple(replace(request, filters=filters[start:end]) for start, end in zip(starts, ends, strict=True))


def merge(
    request: RenderRequest, parts: Sequence[RenderRequest], latest: Sequence[Mosaic | Progress | None]
) -> Mosaic | Progress | None:
    """One snapshot from the newest one of each part; complete, and to the same bits as from one worker, once all are.

    Tiles that are not there yet are grey; one that is still a first look lies in the middle of its place.
    """
    mosaics = [each if isinstance(each, Mosaic) else None for each in latest]
    drawn = [mosaic for mosaic in mosaics if mosaic is not None]
    if not drawn:
        return _least_advanced(latest)
    largest = max(drawn, key=lambda mosaic: mosaic.tile)
    complete = all(mosaic is not None and mosaic.png is not None for mosaic in mosaics)
    counts = [len(part.filters) for part in parts]
    tiles = np.concatenate([_tiles(mosaic, largest.tile, n) for mosaic, n in zip(mosaics, counts, strict=True)])
    stitched = pictures.stitch(tiles, columns=largest.columns, margin=largest.margin)
    step = sum(mosaic.step * n for mosaic, n in zip(mosaics, counts, strict=True) if mosaic) // sum(counts)
    return replace(
        largest,
        filters=request.filters,
        step=largest.steps if complete else min(step, largest.steps - 1),
        scores=tuple(
            score
            for mosaic, n in zip(mosaics, counts, strict=True)
            for score in (mosaic.scores if mosaic else (math.nan,) * n)
        ),
        picture=pictures.encode_webp(stitched),
        width=stitched.shape[1],
        height=stitched.shape[0],
        seconds=max(mosaic.seconds for mosaic in drawn),
        seconds_left=_longest([mosaic.seconds_left if mosaic else None for mosaic in mosaics]),
        seconds_to_first_picture=min(mosaic.seconds_to_first_picture for mosaic in drawn),
        batch=max(mosaic.batch for mosaic in drawn),
        png=pictures.encode_png(stitched) if complete else None,
        silent=_joined(mosaics, lambda mosaic: mosaic.silent),
        trust=_joined(mosaics, lambda mosaic: mosaic.trust) if complete else (),
    )


def _least_advanced(latest: Sequence[Progress | None]) -> Progress | None:
    known = [each for each in latest if isinstance(each, Progress)]
    return min(known, key=lambda progress: progress.fraction or 0.0) if known else None


def _longest(seconds: Sequence[float | None]) -> float | None:
    return None if None in seconds else max(seconds)


def _joined(mosaics: Sequence[Mosaic | None], field: Callable[[Mosaic], tuple]) -> tuple:
    return tuple(each for mosaic in mosaics if mosaic is not None for each in field(mosaic))


def _tiles(mosaic: Mosaic | None, side: int, count: int) -> np.ndarray:
    """The `count` tiles of a part, `uint8[count, side, side, 3]`."""
    tiles = np.full((count, side, side, 3), _GREY, np.uint8)
    if mosaic is None:
        return tiles
    with Image.open(io.BytesIO(mosaic.png or mosaic.picture), formats=("PNG", "WEBP")) as image:
        picture = np.asarray(image.convert("RGB"))
    own, pitch = mosaic.tile, mosaic.tile + mosaic.margin
    start = (side - own) // 2
    for index, tile in enumerate(tiles):
        row, column = divmod(index, mosaic.columns)
        tile[start : start + own, start : start + own] = picture[row * pitch :, column * pitch :][:own, :own]
    return tiles
