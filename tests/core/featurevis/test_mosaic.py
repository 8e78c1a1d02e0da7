import io
import itertools
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from core.errors import TooLarge, UserError
from core.featurevis import mosaic, tiles
from core.messages import ModelRef, Mosaic, Progress, RenderRequest
from tests.core.tiny import tiny_model


def textbook(image: np.ndarray) -> np.ndarray:
    """Chollet, *Deep Learning with Python*, 2nd ed., listing 9.19."""
    image -= image.mean()
    image /= image.std()
    image *= 64
    image += 128
    image = np.clip(image, 0, 255).astype("uint8")
    return image[25:-25, 25:-25, :]


@pytest.fixture(scope="module")
def request_(tmp_path_factory) -> RenderRequest:
    path = tmp_path_factory.mktemp("model") / "tiny.keras"
    tiny_model(size=None).save(path)
    return RenderRequest(ModelRef(str(path)), "conv2", (5, 0, 3), size=40, steps=7, precision="float32")


@pytest.fixture(scope="module")
def shots(request_) -> list[Progress | Mosaic]:
    return list(mosaic.run(request_))


def test_tiles_are_the_textbooks():
    images = np.random.default_rng(0).normal(3, 5, (4, 120, 120, 3)).astype(np.float32)
    images[1] *= 1000
    kept = images.copy()
    drawn = tiles.deprocess(images)
    assert drawn.dtype == np.uint8
    assert drawn.shape == (4, 70, 70, 3)
    np.testing.assert_array_equal(images, kept)
    for tile, image in zip(drawn, images, strict=True):
        # A last bit of difference in a float may move a pixel to the next whole number.
        assert np.abs(tile.astype(int) - textbook(image)).max() <= 1


@pytest.mark.parametrize(("size", "left"), [(100, 50), (99, 75), (64, 48), (32, 24)])
def test_small_images_lose_less_of_their_border(size, left):
    assert tiles.deprocess(np.zeros((1, size, size, 3), np.float32)).shape == (1, left, left, 3)


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf])
def test_an_image_without_contrast_is_grey(value):
    np.testing.assert_array_equal(tiles.deprocess(np.full((1, 40, 40, 3), value, np.float32)), 128)


def test_a_slash_in_a_layers_name_becomes_a_dot():
    assert mosaic.file_stem("block3_sepconv1") == "filters_for_layer_block3_sepconv1"
    assert mosaic.file_stem("backbone/stem/conv") == "filters_for_layer_backbone.stem.conv"


def test_the_result_knows_the_name_of_its_file(shots):
    assert shots[-1].file_name == f"{mosaic.file_stem('conv2')}.png"


def test_words_come_first_then_pictures_and_the_last_is_the_result(shots, request_):
    kinds = [type(shot) for shot in shots]
    assert kinds == sorted(kinds, key=lambda kind: kind is Mosaic)
    assert kinds.count(Progress) >= 1
    pictures = [shot for shot in shots if isinstance(shot, Mosaic)]
    assert pictures[0].step == 1
    assert pictures[-1].step == pictures[-1].steps == 7
    assert all(before.step < after.step for before, after in itertools.pairwise(pictures))
    assert [picture.png is not None for picture in pictures] == [False] * (len(pictures) - 1) + [True]
    for picture in pictures:
        assert picture.filters == request_.filters
        assert len(picture.scores) == 3


def test_the_picture_is_the_tiles_side_by_side(shots):
    end = shots[-1]
    assert (end.tile, end.columns, end.margin) == (30, 3, mosaic.MARGIN)
    assert (end.width, end.height) == (3 * 30 + 2 * 5, 30)
    exact, lossy = (Image.open(io.BytesIO(data)) for data in (end.png, end.picture))
    assert (exact.format, lossy.format) == ("PNG", "WEBP")
    assert exact.size == lossy.size == (end.width, end.height)
    assert np.array(exact)[:, :30].std() > 20


def test_every_tile_says_how_far_to_trust_it_in_the_end_alone(shots, request_):
    *others, last = [shot for shot in shots if isinstance(shot, Mosaic)]
    assert not any(shot.trust for shot in others)
    assert len(last.trust) == len(request_.filters)
    assert all(trust.level in ("strong", "fair", "weak") and trust.photo_name for trust in last.trust)


def test_times_make_sense(shots):
    pictures = [shot for shot in shots if isinstance(shot, Mosaic)]
    assert all(before.seconds <= after.seconds for before, after in itertools.pairwise(pictures))
    assert {picture.seconds_to_first_picture for picture in pictures} == {pictures[0].seconds}
    assert pictures[0].seconds_left is None
    assert all(picture.seconds_left > 0 for picture in pictures[1:-1])
    assert pictures[-1].seconds_left == 0


def test_more_than_eight_filters_make_rows_of_eight(request_):
    *_, end = mosaic.run(replace(request_, layer="conv2", filters=(*range(8), 2), steps=1))
    assert (end.columns, end.width, end.height) == (8, 8 * 30 + 7 * 5, 2 * 30 + 5)
    assert end.scores[8] == pytest.approx(end.scores[2], rel=1e-4)


def test_the_units_of_a_vector_can_be_drawn(request_):
    *_, end = mosaic.run(replace(request_, layer="predictions", filters=(2,)))
    assert 0 < end.scores[0] <= 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layer": "conv9"}, "conv9"),
        ({"filters": ()}, "filters"),
        ({"filters": (0, 8)}, "no filter 8"),
        ({"filters": (-1,)}, "no filter -1"),
        ({"filters": (0,) * 1000}, "1000"),
        ({"filters": (0,) * 200, "size": 1024}, "at most 32"),
        ({"size": 7}, "size"),
        ({"size": 100_000}, "size"),
        ({"steps": 0}, "steps"),
        ({"seed": -1}, "seed"),
        ({"learning_rate": 0.0}, "learning rate"),
        ({"learning_rate": float("nan")}, "learning rate"),
        ({"method": "magic"}, "textbook"),
        ({"method": "maco"}, "one large picture"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_words(request_, change, words):
    with pytest.raises(UserError, match=words):
        list(mosaic.run(replace(request_, **change)))


def test_a_first_look_comes_first_where_there_is_room_for_one(request_):
    shots = [shot for shot in mosaic.run(replace(request_, size=128, steps=2)) if isinstance(shot, Mosaic)]
    assert [shot.step for shot in shots] == [0, 1, 2]
    assert (shots[0].tile, shots[-1].tile) == (48, 78)
    assert shots[0].png is None
    assert np.array(Image.open(io.BytesIO(shots[0].picture))).std() > 20
    # Fewer pixels of the same scale: the filters answer as they do to the whole picture.
    assert np.corrcoef(shots[0].scores, shots[-1].scores)[0, 1] > 0.9


@pytest.mark.parametrize("method", ["textbook", "fast", "lucid"])
def test_every_method_raises_the_scores(request_, method):
    first, *_, end = (
        shot
        for shot in mosaic.run(replace(request_, method=method, steps=None, learning_rate=None))
        if isinstance(shot, Mosaic)
    )
    assert first.step == 1 and end.step == end.steps > 5
    assert sum(end.scores) > sum(first.scores)


def test_more_than_a_group_of_filters_gives_the_same_tiles(request_, monkeypatch):
    *_, whole = mosaic.run(request_)
    monkeypatch.setattr(mosaic, "_GROUP", 2)
    shots = [shot for shot in mosaic.run(request_) if isinstance(shot, Mosaic)]
    np.testing.assert_allclose(shots[-1].scores, whole.scores, rtol=1e-4)
    assert shots[-1].step == shots[-1].steps and shots[-1].png is not None
    assert all(before.step <= after.step for before, after in itertools.pairwise(shots))
    assert {(shot.width, shot.height) for shot in shots} == {(whole.width, whole.height)}
    same = np.isclose(*(np.array(Image.open(io.BytesIO(end.png)), int) for end in (shots[-1], whole)), atol=8)
    assert same.mean() > 0.99


def test_a_filter_that_never_fires_is_marked_in_words(tmp_path):
    model = tiny_model(size=None)
    kernel, bias = model.get_layer("conv2").get_weights()
    kernel[..., 3], bias[3] = 0, -1
    model.get_layer("conv2").set_weights([kernel, bias])
    model.save(tmp_path / "dead.keras")
    request = RenderRequest(ModelRef(str(tmp_path / "dead.keras")), "conv2", (3, 5), size=100, steps=2)
    *_, end = mosaic.run(request)
    assert 3 in end.silent
    tile = np.array(Image.open(io.BytesIO(end.png)))[:, : end.tile]
    assert (tile > 195).any() and (tile >= 64).all()  # white letters on a dimmed tile


def test_too_little_memory_is_remembered_for_the_next_time(request_, monkeypatch):
    def fails(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM")
        yield

    request = replace(request_, filters=tuple(range(8)))
    with monkeypatch.context() as patch:
        patch.setattr(mosaic, "render", fails)
        with pytest.raises(TooLarge):
            list(mosaic.run(request))
    *_, end = mosaic.run(request)
    assert end.batch == 4


@pytest.mark.parametrize("side", [28, 64, 150])
def test_the_word_on_a_silent_filter_stays_within_its_tile(side):
    marked = np.full((2, side, side, 3), 90, np.uint8)
    tiles.mark(marked, [1])
    assert (marked[0] == 90).all() and marked[1].max() > 200
    assert np.ptp(marked[1][:, [0, -1]]) == 0
