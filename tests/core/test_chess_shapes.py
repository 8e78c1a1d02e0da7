"""The forms of the chess pieces: honest distances, sizes and symmetries."""

import numpy as np
import pytest

from core.chess_shapes import DESIGNS, PIECES, shape


def _cloud(count: int = 4000) -> np.ndarray:
    return np.random.default_rng(0).uniform((-0.5, -0.1, -0.5), (0.5, 2.1, 0.5), (count, 3)).astype(np.float32)


@pytest.mark.parametrize("piece", PIECES)
def test_no_distance_promises_more_room_than_there_is(piece):
    """A ball of the promised radius around any place outside holds nothing of the piece."""
    form = shape(piece, 1)
    points = _cloud()
    promised = form.distance(*points.T)
    outside = promised > 0.01
    directions = np.random.default_rng(1).normal(size=(40, 3)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for direction in directions:
        there = points[outside] + direction * (promised[outside, None] * 0.9)
        assert form.distance(*there.T).min() > -0.02


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("design", range(0, DESIGNS, 3))
def test_a_piece_lies_inside_its_bounds_and_stands_on_the_board(piece, design):
    form = shape(piece, design)
    points = _cloud(20000)
    inside = points[form.distance(*points.T) < 0]
    assert len(inside) > 300
    assert inside[:, 1].min() > -0.01
    assert inside[:, 1].max() <= form.height + 0.01
    assert np.hypot(inside[:, 0], inside[:, 2]).max() <= form.radius


def test_the_pieces_of_a_set_have_their_rank_in_height():
    for design in range(DESIGNS):
        heights = {piece: shape(piece, design).height for piece in PIECES}
        assert heights["pawn"] < heights["bishop"] < heights["queen"] < heights["king"]


def test_turned_pieces_look_the_same_from_all_sides_and_a_knight_does_not():
    height = np.linspace(0.05, 0.8, 60, dtype=np.float32)
    far, zero = np.full(60, 0.3, np.float32), np.zeros(60, np.float32)
    pawn, knight = shape("pawn", 0), shape("knight", 0)
    np.testing.assert_allclose(pawn.distance(far, height, zero), pawn.distance(zero, height, far), atol=1e-4)
    assert np.abs(knight.distance(far, height, zero) - knight.distance(zero, height, far)).max() > 0.05
