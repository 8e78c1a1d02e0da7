import io
import math
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from core import images as pictures
from core.featurevis import parts
from core.messages import ModelRef, Mosaic, Progress, RenderRequest, Trust

REQUEST = RenderRequest(ModelRef("efficientnet_lite0"), "block5_add", tuple(range(100, 120)))
STEPS = 30


def drawn(filters: tuple[int, ...], step: int, tile: int = 12, **changes) -> Mosaic:
    """A mosaic whose tiles are noise that depends on the filter alone."""
    tiles = np.stack([np.random.default_rng(each).integers(0, 256, (tile, tile, 3), np.uint8) for each in filters])
    stitched = pictures.stitch(tiles, columns=min(8, len(filters)), margin=5)
    mosaic = Mosaic(
        layer=REQUEST.layer,
        filters=filters,
        step=step,
        steps=STEPS,
        scores=tuple(each / 8 for each in filters),
        picture=pictures.encode_webp(stitched),
        width=stitched.shape[1],
        height=stitched.shape[0],
        tile=tile,
        margin=5,
        columns=min(8, len(filters)),
        seconds=2.0,
        seconds_left=0.0 if step == STEPS else 7.0,
        seconds_to_first_picture=0.5,
        precision="float32",
        batch=8,
        origin="made for a test",
        png=pictures.encode_png(stitched) if step == STEPS else None,
        silent=tuple(each for each in filters if each % 7 == 0),
        trust=tuple(Trust(each, 0.0, 0.0, "cat") for each in filters) if step == STEPS else (),
    )
    return replace(mosaic, **changes)


def pixels(picture: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), int)


@pytest.mark.parametrize("workers", [1, 2, 3, 7, 500])
@pytest.mark.parametrize("count", [1, 7, 8, 9, 15, 16, 23, 64, 100, 512])
def test_the_parts_are_the_whole_in_batches_as_even_as_can_be(workers, count):
    request = replace(REQUEST, filters=tuple(range(count)))
    requests = parts.split(request, workers)
    assert sum((each.filters for each in requests), ()) == request.filters
    assert all(replace(each, filters=()) == replace(request, filters=()) for each in requests)
    sizes = [len(each.filters) for each in requests]
    assert 1 <= len(sizes) <= workers
    assert len(sizes) == min(workers, max(1, count // 8))
    if count >= 8:
        assert min(sizes) >= 8
    assert all(size % 8 == 0 for size in sizes[:-1])
    assert max(sizes) - min(sizes) <= 15


def test_parts_that_are_done_are_the_whole_to_the_last_byte():
    requests = parts.split(REQUEST, 3)
    merged = parts.merge(REQUEST, requests, [drawn(each.filters, STEPS) for each in requests])
    assert len(requests) == 2
    assert merged == drawn(REQUEST.filters, STEPS)


def test_what_is_not_there_yet_is_grey_and_without_a_score():
    requests = parts.split(REQUEST, 2)
    merged = parts.merge(REQUEST, requests, [Progress("Loading", 0.5), drawn(requests[1].filters, STEPS)])
    assert merged.step == STEPS * 12 // 20
    assert (merged.png, merged.trust) == (None, ())
    assert (merged.filters, merged.columns) == (REQUEST.filters, 8)
    assert all(map(math.isnan, merged.scores[:8]))
    assert merged.scores[8:] == drawn(requests[1].filters, STEPS).scores
    assert merged.seconds_left is None
    whole = pixels(pictures.encode_webp(pixels(drawn(REQUEST.filters, STEPS).png).astype(np.uint8)))
    picture = pixels(merged.picture)
    assert picture.shape == whole.shape
    assert np.abs(picture[:12, :12] - 128).max() < 40  # WebP smears a little over the edges
    assert np.abs(picture[20:28, 3:9] - whole[20:28, 3:9]).mean() < 20


def test_a_first_look_lies_in_the_middle_of_its_place():
    requests = parts.split(REQUEST, 2)
    merged = parts.merge(
        REQUEST, requests, [drawn(requests[0].filters, 0, tile=6), drawn(requests[1].filters, 15, tile=60)]
    )
    assert merged.tile == 60
    tile = pixels(merged.picture)[:60, :60]
    assert tile[27:33, 27:33].std() > 4 * tile[:16].std()
    assert merged.step == 15 * 12 // 20
    both = [drawn(each.filters, 0, tile=6) for each in requests]
    assert (parts.merge(REQUEST, requests, both).tile, parts.merge(REQUEST, requests, both).step) == (6, 0)


def test_it_is_not_done_before_all_parts_are():
    requests = parts.split(REQUEST, 2)
    almost = [drawn(requests[0].filters, STEPS), drawn(requests[1].filters, STEPS, png=None)]
    merged = parts.merge(REQUEST, requests, almost)
    assert merged.step == STEPS - 1
    assert merged.png is None


def test_before_the_first_picture_the_slowest_is_waited_for():
    requests = parts.split(REQUEST, 2)
    assert parts.merge(REQUEST, requests, [None, None]) is None
    slow, quick = Progress("Loading", 0.1), Progress("Preparing", 0.9)
    assert parts.merge(REQUEST, requests, [quick, slow]) == slow
    assert parts.merge(REQUEST, requests, [quick, None]) == quick


def test_workers_that_would_choose_differently_all_take_float32():
    settled = replace(REQUEST, steps=48, precision="bfloat16")
    assert parts.agree(REQUEST, [settled] * 3) == settled
    assert parts.agree(REQUEST, [settled, replace(settled, precision="float32"), settled]).precision == "float32"
    assert not parts.is_settled(REQUEST)
    assert parts.is_settled(settled)
