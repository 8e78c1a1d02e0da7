"""The drawn chess pieces: the same every time, all different, and like photographs in their statistics."""

import numpy as np
import pytest

from core.chessman import PIECES, draw

SIZE = 64


def test_the_same_picture_every_time():
    np.testing.assert_array_equal(draw("queen", 4, SIZE), draw("queen", 4, SIZE))


def test_size_and_type_of_a_picture():
    picture = draw("king", 0, 80)
    assert picture.shape == (80, 80, 3)
    assert picture.dtype == np.uint8


def test_pictures_of_different_indices_and_pieces_differ():
    pictures = [draw(piece, index, SIZE).astype(int) for piece in PIECES for index in (0, 1)]
    for number, picture in enumerate(pictures):
        for other in pictures[number + 1 :]:
            assert np.abs(picture - other).mean() > 5


@pytest.mark.parametrize("piece", PIECES)
def test_pictures_are_neither_blank_nor_washed_out(piece):
    for index in range(2, 5):
        picture = draw(piece, index, SIZE).astype(float)
        assert picture.std() > 15
        assert 40 < picture.mean() < 215
        assert (picture.min(axis=2) >= 250).mean() < 0.35
        assert (picture.max(axis=2) <= 5).mean() < 0.35


def test_an_unknown_piece_is_named():
    with pytest.raises(ValueError, match="prawn"):
        draw("prawn", 0)
