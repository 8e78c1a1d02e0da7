import numpy as np
import pytest

from core import plots


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(size=(5, 6, 4, 3)).astype(np.float32)


def test_a_slice_the_mean_and_the_highest(values):
    np.testing.assert_array_equal(plots.slice_of(values, "slice", 3), values[3])
    np.testing.assert_allclose(plots.slice_of(values, "mean"), values.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(plots.slice_of(values, "max"), values.max(axis=0))
    values[0, 0, 0, 0], values[:, 1, 1, 1] = np.inf, np.nan
    highest = plots.slice_of(values, "max")
    assert highest[0, 0, 0] == values[1:, 0, 0, 0].max() and np.isnan(highest[1, 1, 1])


def test_the_liveliest_slice_varies_most(values):
    still = np.zeros_like(values)
    still[3, :, :, 1] = values[3, :, :, 0]
    still[4] = 100
    assert plots.liveliest_slice(still) == 3
    assert plots.liveliest_slice(np.full((2, 3, 3, 5), np.nan, np.float32)) == 0


def test_a_film_strip_has_every_slice_in_the_channels_own_scale(values):
    strip = plots.film_strip(values[..., 1])
    assert strip.channels == (0, 1, 2, 3, 4)
    np.testing.assert_array_equal(strip.maps[2], values[2, :, :, 1])
    assert strip.ranges[0] == plots.colour_range(values[..., 1])
    figure = plots.channel_grid(strip, 2, "slice")
    badges = next(trace for trace in figure.data if trace.type == "scatter" and trace.mode == "markers+text")
    assert list(badges.customdata) == [0, 1, 2, 3, 4] and "slice" in badges.hovertemplate
    assert figure.data[0].hovertemplate.startswith("slice ")


def test_of_a_thick_volume_even_slices_are_shown():
    strip = plots.film_strip(np.ones((100, 3, 3), np.float32))
    assert len(strip.channels) == 32 and strip.channels[0] == 0 and strip.channels[-1] == 99
