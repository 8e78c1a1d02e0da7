import numpy as np
import pytest

from core import plots


def test_zeros_are_told_apart_and_everything_is_counted_once():
    values = np.array([[0, 0, 0, 1], [2, 2, -1, np.nan]], np.float32)
    found = plots.histogram(values)
    assert found.zeros == pytest.approx(3 / 8)
    assert found.missing == pytest.approx(1 / 8)
    assert found.shares.sum() == pytest.approx(4 / 8)
    assert found.shares[-1] == pytest.approx(2 / 8) and (found.edges[0], found.edges[-1]) == (-1, 2)


@pytest.mark.parametrize("value", [0.0, 3.0, -1e-20, np.nan, np.inf])
def test_channels_of_one_value_can_be_drawn(value):
    found = plots.histogram(np.full((3, 3), value, np.float32))
    assert found.zeros + found.missing + found.shares.sum() == pytest.approx(1)
    assert np.isfinite(found.edges).all() and (np.diff(found.edges) > 0).all()
    assert plots.histogram_bars(found).data


def test_many_zeros_do_not_hide_the_others():
    values = np.zeros((10, 10), np.float32)
    values[0] = np.arange(1, 11)
    figure = plots.histogram_bars(plots.histogram(values))
    _, top = figure.layout.yaxis.range
    assert top < 5  # each other value is 1 % of the cells, the zeros are 90 %
    assert "90 %" in figure.data[1].name and "cut off" in figure.data[1].name
    assert list(figure.data[1].customdata) == [90.0]
