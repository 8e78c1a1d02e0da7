"""The same channels in two scenes: which, how alike, and small enough for a browser."""

import numpy as np
import pytest

from core.plots import compare_maps, compare_units, compared_grid, grouped_bars


def maps(height: int = 12, width: int = 16, channels: int = 20, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (height, width, channels)).astype(np.float32)


def test_the_strongest_channels_of_the_first_scene():
    first = maps() + np.arange(20, dtype=np.float32)
    found = compare_maps([first, maps(seed=1)], "strength", 3)
    assert found.channels == (19, 18, 17)
    np.testing.assert_array_equal(found.maps[0], np.moveaxis(first[:, :, [19, 18, 17]], -1, 0))


def test_the_channels_that_differ_most():
    first = maps() + 10 * np.arange(20)
    second = first.copy()
    second[:, :, 4] += 3
    second[:, :, 7] -= 5
    found = compare_maps([first, second], "difference", 2)
    assert found.channels == (7, 4)
    np.testing.assert_allclose(found.differences[0][0], -5, rtol=1e-5)
    assert found.reach == pytest.approx(5, rel=1e-5)
    assert [each.distance for each in found.likeness[0]] == pytest.approx([5, 3], rel=1e-4)
    assert [each.correlation for each in found.likeness[0]] == pytest.approx([1, 1], rel=1e-4)


def test_likeness_is_numpys_correlation_and_none_where_a_map_is_flat():
    first, second = maps(), maps(seed=1)
    second[:, :, 0] = 2
    found = compare_maps([first, second], "strength", 20)
    for place, channel in enumerate(found.channels):
        each = found.likeness[0][place]
        if channel == 0:
            assert each.correlation is None
        else:
            expected = np.corrcoef(first[:, :, channel].ravel(), second[:, :, channel].ravel())[0, 1]
            assert each.correlation == pytest.approx(expected, abs=1e-6)
        assert each.distance == pytest.approx(np.abs(first - second)[:, :, channel].mean(), rel=1e-5)


def test_both_scenes_share_one_scale():
    found = compare_maps([np.abs(maps()), 3 * np.abs(maps(seed=1))], "strength", 20)
    assert found.colours.low == 0
    assert found.colours.high == pytest.approx(3 * np.abs(maps(seed=1)).max())
    signed = compare_maps([maps(), 3 * maps(seed=1)], "strength", 20)
    assert signed.colours.low == -signed.colours.high


def test_relative_maps_reach_one_and_say_what_one_is():
    first = np.abs(maps())
    found = compare_maps([first, first / 1000], "strength", 5, relative=True)
    largest = first[:, :, list(found.channels)].max()
    assert found.levels == pytest.approx((largest, largest / 1000))
    assert found.maps[1].max() == pytest.approx(1)
    np.testing.assert_allclose(found.differences[0], 0, atol=1e-6)


def test_maps_of_another_size_are_brought_to_the_first():
    small = np.repeat(maps(1, 1), 4, axis=0).repeat(6, axis=1)  # the same value everywhere
    large = np.repeat(maps(1, 1), 8, axis=0).repeat(12, axis=1)
    found = compare_maps([small, large])
    assert found.resized
    assert found.maps[1].shape == (8, 4, 6)
    np.testing.assert_allclose(found.differences[0], 0, atol=1e-6)
    assert not compare_maps([small, small]).resized


def test_three_scenes_are_compared_with_the_first():
    found = compare_maps([maps(), maps() + 1, maps() - 2], "strength", 4)
    assert len(found.maps) == 3
    np.testing.assert_allclose(found.differences[0], 1, rtol=1e-5)
    np.testing.assert_allclose(found.differences[1], -2, rtol=1e-5)
    figure = compared_grid(found, ["a", "b", "c"])
    assert len(figure.data) == 4 * 5


@pytest.mark.parametrize(("side", "many", "scenes"), [(112, 8, 2), (112, 16, 3), (224, 16, 2), (57, 16, 2), (7, 8, 2)])
def test_the_figure_stays_below_a_megabyte(side, many, scenes):
    found = compare_maps([maps(side, side, 17, seed) for seed in range(scenes)], "strength", many)
    assert found.maps[0].shape[1] == -(-side // found.reduced)
    figure = compared_grid(found, ["one", "two", "three"][:scenes])
    assert len(figure.to_json()) < 1_000_000


def test_a_drawn_cell_is_the_mean_of_its_block():
    values = maps(113, 113, 16)
    found = compare_maps([values, values], "strength", 16)
    side, channel = found.reduced, found.channels[0]
    assert side > 1
    assert found.maps[0][0, 0, 0] == pytest.approx(values[:side, :side, channel].mean(), rel=1e-4, abs=1e-5)
    rest = 113 % side or side
    assert found.maps[0][0, -1, -1] == pytest.approx(values[-rest:, -rest:, channel].mean(), rel=1e-4, abs=1e-5)


def test_the_figure_says_channel_scene_and_correlation():
    first = maps()
    figure = compared_grid(compare_maps([first, -first], "strength", 2), ["<b>mine</b>", "other"])
    words = [annotation.text for annotation in figure.layout.annotations]
    assert "−1.00" in words
    assert "difference" in words
    assert "<b>mine</b>" not in words  # a person's words are not drawn in bold
    assert {trace.coloraxis for trace in figure.data} == {"coloraxis", "coloraxis2"}


def test_units_are_chosen_like_channels():
    first, second = np.float32([1, 5, 3, 0]), np.float32([1, 5, 3, 9])
    assert compare_units([first, second], "strength", 2) == (1, 2)
    assert compare_units([first, second], "difference", 1) == (3,)


def test_grouped_bars_show_each_series_for_each_label():
    figure = grouped_bars(["cat", "cat"], {"before": [0.25, 0.5], "after": [None, 1.0]}, percent=True)
    before, after = figure.data
    assert list(before.x) == [25, 50]
    assert list(after.x) == [None, 100]
    assert list(before.y) == [0, 1]


def test_what_is_only_rounded_differently_is_the_same():
    first = 4 * maps()
    found = compare_maps([first, first * (1 + 1e-6)], "strength", 3)
    assert found.same and found.reach == pytest.approx(np.abs(found.maps[0]).max(), rel=1e-3)
    assert not compare_maps([first, first * 1.01], "strength", 3).same
    assert compared_grid(found, ["a", "b"]).layout.coloraxis2.colorbar.exponentformat == "power"
