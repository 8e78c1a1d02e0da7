"""Which channels come first: held against plain Python, on any numbers."""

import itertools
import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as some

from core import channels

KINDS = ["index", "mean", "peak", "variance", "sparsity"]
# Whole numbers, so that sums come out the same in any order; 0 and equal channels are frequent.
SHAPES = st.integers(1, 4).flatmap(lambda rank: st.tuples(*[st.integers(1, 4)] * rank))
MAPS = some.arrays(np.float32, SHAPES, elements=st.integers(-3, 3) | st.just(math.nan))


def slowly(values: np.ndarray, by: str) -> list[float]:
    def strength(channel: int) -> float:
        numbers = [float(x) for x in values[..., channel].ravel() if math.isfinite(x)]
        if by == "index":
            return -channel
        if not numbers:
            return -math.inf
        if by == "mean":
            return statistics.fmean(numbers)
        if by == "peak":
            return max(numbers)
        if by == "variance":
            return statistics.pvariance(numbers)
        squares = sum(x * x for x in numbers)
        return -(sum(map(abs, numbers)) ** 2) / (len(numbers) * squares) if squares else -math.inf

    return [strength(channel) for channel in range(values.shape[-1])]


@given(values=MAPS, by=st.sampled_from(KINDS))
def test_the_strongest_come_first_and_equal_ones_by_number(values, by):
    found = channels.order(values, by)
    strength = slowly(values, by)
    assert sorted(found) == list(range(values.shape[-1]))
    for before, after in itertools.pairwise(found):
        close = math.isclose(strength[before], strength[after], rel_tol=1e-9, abs_tol=1e-9)
        assert close or strength[before] > strength[after]
        if strength[before] == strength[after] and by != "sparsity":
            assert before < after


@pytest.mark.parametrize("by", KINDS)
def test_equal_channels_keep_their_order(by):
    values = np.tile(np.random.default_rng(0).normal(size=(5, 5, 1)), (1, 1, 40)).astype(np.float32)
    assert channels.order(values, by) == tuple(range(40))


def test_each_measure_finds_its_own_channel():
    values = np.zeros((4, 4, 5), np.float32)
    values[..., 1] = 3  # everywhere the same
    values[0, 0, 2] = 9  # one place alone
    values[:2, :, 3], values[2:, :, 3] = -8, 8  # two halves
    assert channels.order(values, "mean")[0] == 1
    assert channels.order(values, "peak")[:2] == (2, 3)
    assert channels.order(values, "variance")[0] == 3
    assert channels.order(values, "sparsity") == (2, 1, 3, 0, 4)
    assert channels.order(values, "index") == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("by", KINDS[1:])
def test_what_is_no_number_is_last_and_spoils_nothing_else(by):
    values = np.random.default_rng(1).normal(2, 1, (6, 6, 4)).astype(np.float32)
    clean = channels.order(values[:3], by)
    values[3:, :, :3] = np.nan
    values[3:, :, 3] = np.inf
    assert channels.order(values, by) == clean
    values[..., clean[0]] = np.nan
    assert channels.order(values, by) == (*clean[1:], clean[0])


def test_a_vector_is_ordered_by_its_numbers():
    values = np.array([0.1, np.nan, 3, -2, 3], np.float32)
    assert channels.order(values, "mean") == channels.order(values, "peak") == (2, 4, 0, 3, 1)
    assert channels.order(values, "variance") == (0, 2, 3, 4, 1)


def test_half_precision_and_tiny_numbers_do_not_overflow():
    values = np.full((60, 60, 2), 60000, np.float16)
    values[..., 1] /= 2
    assert channels.order(values, "mean") == (0, 1)
    tiny = np.full((3, 3, 2), 1e-30, np.float32)
    tiny[0, 0, 1] = 1e-25
    assert channels.order(tiny, "sparsity") == (1, 0)


@pytest.mark.parametrize(("shape", "by"), [((), "mean"), ((2, 2, 3), "beauty")])
def test_what_cannot_be_ordered(shape, by):
    with pytest.raises(ValueError, match="must be"):
        channels.order(np.zeros(shape, np.float32), by)
