import base64
import io

import numpy as np
import pytest
from PIL import Image

from core import images, plots
from core.architecture import Tiling
from core.messages import JourneyRow

COUNT = 8


def row(maps, first=10):
    return JourneyRow("layer", tuple(range(first, first + len(maps))), np.asarray(maps, np.float32))


def pixels(picture):
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def test_cells_become_squares_on_one_scale():
    maps = np.zeros((2, 2, 2), np.float32)
    maps[0, 0, 0], maps[1, 1, 1] = 4, 2
    tiles = plots.journey_tiles(row(maps))
    assert tiles.size == (144, 144) and tiles.channels == (10, 11) and not tiles.signed
    first, second = (pixels(picture) for picture in tiles.pictures)
    strong, half, none = (images.colourise(np.array([[value]]), 0, 4)[0, 0] for value in (4, 2, 0))
    np.testing.assert_allclose(first[36, 36], strong, atol=12)
    np.testing.assert_allclose(second[108, 108], half, atol=12)
    np.testing.assert_allclose(first[108, 36], none, atol=12)
    assert "channel 11<br>mean 0.5, highest 2" in tiles.words


def test_values_below_zero_get_two_colours_and_white_between():
    maps = np.array([[[-1.0, 0.0], [1.0, 0.5]]])
    tiles = plots.journey_tiles(row(maps))
    found = pixels(tiles.pictures[0])
    assert tiles.signed
    assert found[36, 36, 2] > found[36, 36, 0] and found[108, 36, 0] > found[108, 36, 2]
    assert found[36, 108].min() > 235


def test_one_enormous_cell_does_not_pale_the_others():
    maps = np.zeros((1, 40, 40), np.float32)
    maps[0, :, 20:] = 1
    maps[0, 0, 0] = 1000
    right = pixels(plots.journey_tiles(row(maps)).pictures[0])[-10, -10]
    np.testing.assert_allclose(right, images.colourise(np.array([[1.0]]), 0, 1)[0, 0], atol=12)


@pytest.mark.parametrize("maps", [np.full((2, 3, 3), np.nan), np.zeros((2, 3, 3)), np.full((1, 1, 1), np.inf)])
def test_maps_of_nothing(maps):
    tiles = plots.journey_tiles(row(maps))
    assert len(plots.journey_row(tiles, COUNT).layout.images) == len(maps)


@pytest.mark.parametrize(
    ("size", "expected"), [((300, 300), (144, 144)), ((20, 10), (140, 70)), ((400, 200), (144, 72))]
)
def test_tiles_keep_the_shape_of_the_maps(size, expected):
    assert plots.journey_tiles(row(np.ones((1, *size)))).size == expected


def test_the_photo_and_its_colours():
    seen = np.zeros((144, 144, 3), np.uint8)
    seen[:] = (200, 100, 50)
    whole, red, green, blue = (pixels(picture)[70, 70] for picture in plots.photo_tiles(seen).pictures)
    np.testing.assert_allclose(whole, (200, 100, 50), atol=8)
    np.testing.assert_allclose([red[0], green[1], blue[2]], (200, 100, 50), atol=12)
    assert max(red[2], green[0], blue[1]) < 60


@pytest.mark.parametrize(("colours", "words"), [(1, []), (2, ["its red", "its green"])])
def test_only_the_colours_that_a_network_takes(colours, words):
    tiles = plots.photo_tiles(np.zeros((28, 28, 3), np.uint8), colours)
    assert tiles.words == ("the photo as the network sees it", *words)
    assert len(tiles.pictures) == 1 + len(words)


def test_a_frame_for_each_tile_that_tells_its_channel():
    figure = plots.journey_row(plots.journey_tiles(row(np.random.default_rng(0).random((3, 8, 8)))), COUNT)
    (frames,) = figure.data
    assert list(frames.customdata) == [10, 11, 12]
    for place, picture in enumerate(figure.layout.images):
        assert (picture.x, picture.sizex) == (frames.x[place], frames.width[place])
    assert figure.layout.xaxis.range[1] > 7 * 144  # as wide as eight would be


def test_a_whole_journey_stays_small():
    noise = np.random.default_rng(0).random((COUNT, 112, 112))
    figure = plots.journey_row(plots.journey_tiles(row(noise)), COUNT)
    sizes = [len(base64.b64decode(each.source.partition(",")[2])) for each in figure.layout.images]
    assert len(figure.to_json()) < 1.5 * sum(sizes) + 10_000
    assert len(figure.to_json()) < 150_000


def test_steps_are_tiles_of_the_photo_or_rows_and_units_are_squares():
    steps = np.zeros((1, 4), np.float32)
    steps[0, 2] = 4
    tiled = pixels(plots.journey_tiles(row(steps), Tiling(2, 2)).pictures[0])
    rows = plots.journey_tiles(row(steps))
    in_rows = pixels(rows.pictures[0])
    strong = images.colourise(np.array([[4.0]]), 0, 4)[0, 0]
    np.testing.assert_allclose(tiled[108, 36], strong, atol=12)  # row 1, column 0
    assert np.abs(tiled[108, 108] - strong).max() > 60
    np.testing.assert_allclose(in_rows[90, [5, 72, 138]], [strong] * 3, atol=12)
    assert rows.words[0].startswith("unit 10")
    vector = plots.journey_tiles(row(np.array([4.0, 0.0])))
    np.testing.assert_allclose(pixels(vector.pictures[0])[[5, 100], [100, 5]], [strong] * 2, atol=12)


def test_a_volume_is_its_mean_over_the_depth():
    volume = np.zeros((1, 2, 2, 2), np.float32)
    volume[0, :, 0, 1], volume[0, 0, 1, 0] = 4, 8
    found = pixels(plots.journey_tiles(row(volume)).pictures[0])
    np.testing.assert_allclose(found[36, 108], found[108, 36], atol=12)
    assert np.abs(found[36, 108] - found[36, 36]).max() > 60
