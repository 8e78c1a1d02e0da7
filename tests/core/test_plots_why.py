"""Attributions over the photo: what the colours mean, and that nothing is lost on the way to them."""

import numpy as np
import pytest

from core import plots


def photo(height: int = 60, width: int = 80) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_cells_are_means_of_squares_and_the_reach_is_near_the_largest():
    heat = np.zeros((112, 112), np.float32)
    heat[0:2, 2:4] = [[1, 2], [3, 6]]
    look = plots.heat_look(heat, signed=False)
    assert look.side == 2 and look.cells.shape == (56, 56)
    assert look.cells[0, 1] == 3 and look.cells.sum() == 3
    assert look.reach == 3  # the percentile of so few is 0
    many = plots.heat_look(np.linspace(-1, 0.5, 56 * 56, dtype=np.float32).reshape(56, 56), signed=True)
    assert many.side == 1 and 0.98 < many.reach < 1


@pytest.mark.parametrize("size", [(60, 80), (57, 113), (5, 9), (1, 1)])
def test_any_size_is_drawn_over_its_photo(size):
    heat = np.random.default_rng(1).normal(size=size).astype(np.float32)
    for signed in (False, True):
        figure = plots.heat_over_photo(plots.heat_look(heat, signed), photo(*size), 0.8)
        assert figure.layout.images[0].sizex == size[1] and figure.layout.images[0].sizey == size[0]
        assert len(figure.to_json()) < 500_000
        picture = plots.heat_picture(plots.heat_look(heat, signed), photo(*size), 0.8, longest=160)
        assert max(picture.shape[:2]) == 160 and picture.dtype == np.uint8


def test_a_heat_without_numbers_or_of_one_value_is_drawn_too():
    for heat in (np.zeros((8, 8)), np.full((8, 8), np.nan), np.full((8, 8), np.inf), np.full((8, 8), 3.0)):
        look = plots.heat_look(heat, signed=True)
        assert look.reach > 0 and np.isfinite(look.cells).all()
        assert plots.heat_over_photo(look, photo(8, 8), 1.0)


def test_red_speaks_for_blue_against_and_nothing_leaves_the_photo():
    heat = np.zeros((40, 40), np.float32)
    heat[:, :10], heat[:, 30:] = 1, -1
    grey = np.full((40, 40, 3), 128, np.uint8)
    drawn = plots.heat_picture(plots.heat_look(heat, signed=True), grey, 1.0, longest=40).astype(int)
    red, middle, blue = drawn[20, 3], drawn[20, 20], drawn[20, 36]
    assert red[0] > red[2] + 50 and blue[2] > blue[0] + 50
    np.testing.assert_array_equal(middle, 128)
    unsigned = plots.heat_picture(plots.heat_look(np.abs(heat), signed=False), grey, 1.0, longest=40)
    np.testing.assert_array_equal(unsigned[20, 3], unsigned[20, 36])


def test_at_strength_0_there_is_the_photo_and_nothing_else():
    heat = np.random.default_rng(1).normal(size=(60, 80)).astype(np.float32)
    drawn = plots.heat_picture(plots.heat_look(heat, signed=True), photo(), 0.0, longest=80)
    np.testing.assert_array_equal(drawn, photo())


def test_the_scale_says_what_its_ends_mean():
    heat = np.array([[-2.0, 0.0], [0.5, 1.0]])
    signed = plots.heat_over_photo(plots.heat_look(heat, signed=True), photo(2, 2), 0.5).data[1].marker
    assert signed.cmin == -signed.cmax and signed.cmax == pytest.approx(2, rel=0.02)
    assert [words.split()[0] for words in signed.colorbar.ticktext] == ["against", "0", "for"]
    unsigned = plots.heat_over_photo(plots.heat_look(abs(heat), signed=False), photo(2, 2), 0.5).data[1].marker
    assert unsigned.cmin == 0 and [words.split()[0] for words in unsigned.colorbar.ticktext] == ["0", "for"]
