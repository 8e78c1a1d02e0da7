"""The grid of channels: what it weighs, what it says, what it does with odd values."""

from __future__ import annotations

import json

import numpy as np
import pytest

from core import plots, statistics

MEGABYTE = 1_000_000


def answers(height: int, width: int, kind: str, channels: int = 64) -> np.ndarray:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 2, (height, width, channels)).astype(np.float32)
    if kind == "relu":
        return np.maximum(values, 0)
    if kind == "tiny":  # nearly all of int16's letters in base64 are then "/", each of which costs six bytes
        values = np.full_like(values, -1e-4)
        values[0, 0, 0] = 5
    if kind == "missing":
        values[rng.random(values.shape) < 0.3] = np.nan
    return values


@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("kind", ["signed", "relu", "tiny", "missing"])
@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (7, 7), (28, 28), (51, 51), (56, 56), (73, 73), (112, 112), (224, 224), (30, 200)]
)
def test_a_page_of_any_layer_weighs_less_than_a_megabyte(height, width, kind, each):
    grid = plots.grid_of(answers(height, width, kind), range(64), each=each)
    assert len(plots.channel_grid(grid, 3).to_json()) <= MEGABYTE


def shown(figure, place: int) -> np.ndarray:
    """The values that pointing at a map tells, read from the figure as the browser reads it."""
    trace = json.loads(figure.to_json())["data"][place]
    cells = np.asarray(figure.data[place].z, np.float64)
    if "05,d" not in trace["hovertemplate"]:
        return cells
    assert figure.layout.separators == ".."  # the sign between the thousands stands for the decimal point
    raised = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    after = trace["hovertemplate"].partition("05,d}")[2].partition("<")[0]
    power = int(after.removeprefix(" × 10").translate(raised)) if after else 0
    return cells / 1000 * 10.0**power


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 0.1, 1.0, 5.9, 40.0, 1e6])
def test_what_is_told_of_a_cell_is_its_value_also_in_half_the_bytes(scale):
    values = answers(56, 56, "signed") * np.float32(scale)
    grid = plots.grid_of(values, [5, 9, 2])
    light, heavy = plots.grid_of(values, range(64)), plots.channel_grid(grid)
    assert grid.power is None and light.power is not None
    np.testing.assert_array_equal(shown(heavy, 1), values[:, :, 9])
    largest = np.abs(values).max()
    np.testing.assert_allclose(shown(plots.channel_grid(light), 9), values[:, :, 9], atol=2e-3 * largest)
    colours = plots.channel_grid(light).data[9]
    assert colours.zmax / np.abs(colours.z).max() == pytest.approx(largest / np.abs(values[:, :, 9]).max(), rel=2e-3)


def test_large_maps_are_means_of_blocks_whatever_is_at_their_edges():
    values = np.zeros((200, 200, 64), np.float32)
    values[:, :, 1] = np.arange(200)[:, None]
    values[199, 199, 2] = 8
    grid = plots.grid_of(values, range(64))
    side = grid.reduced
    assert side > 1
    expected = [np.arange(start, min(start + side, 200)).mean() for start in range(0, 200, side)]
    np.testing.assert_allclose(grid.maps[1][:, 0], expected, rtol=1e-6)
    last = 200 % side or side
    assert grid.maps[2][-1, -1] == pytest.approx(8 / last**2)


def test_each_map_knows_its_channel_and_its_place():
    values = np.arange(4 * 6 * 5, dtype=np.float32).reshape(4, 6, 5)
    figure = plots.channel_grid(plots.grid_of(values, [3, 0, 4]), chosen=0)
    maps, badges = figure.data[:3], figure.data[4]
    assert [trace.name for trace in maps] == ["3", "0", "4"]
    for trace, channel in zip(maps, (3, 0, 4), strict=True):
        np.testing.assert_array_equal(trace.z, values[:, :, channel])
        assert "%{fullData.name}" in trace.hovertemplate and "%{pointNumber[0]}" in trace.hovertemplate
    assert list(badges.customdata) == [3, 0, 4]
    # Nothing overlaps: the spans of two maps in a row are apart, and the outline is around the chosen one.
    boxes = [(trace.x0, trace.x0 + 6, trace.y0, trace.y0 + 4) for trace in maps]
    for one, other in ((0, 1), (1, 2), (0, 2)):
        a, b = boxes[one], boxes[other]
        assert a[1] <= b[0] or b[1] <= a[0] or a[3] <= b[2] or b[3] <= a[2]
    (outline,) = figure.layout.shapes
    assert (outline.x0, outline.y0) == (maps[1].x0 - 0.5, maps[1].y0 - 0.5)


def test_signed_values_are_about_zero_and_others_start_there():
    signed = plots.grid_of(np.array([[[-1.0, 3.0]]], np.float32), [0, 1])
    assert signed.ranges[0] == plots.ColourRange(-3, 3, signed=True)
    assert plots.channel_grid(signed).data[0].zmin == -3
    unsigned = plots.grid_of(np.array([[[1.0, 3.0]]], np.float32), [0])
    assert unsigned.ranges[0] == plots.ColourRange(0, 3, signed=False)  # of the whole layer, also what is not on show


def test_with_a_scale_of_its_own_each_map_says_how_far_it_reaches():
    values = np.zeros((2, 2, 3), np.float32)
    values[0, 0] = (0.5, -4, 0)
    grid = plots.grid_of(values, range(3), each=True)
    assert [each.high for each in grid.ranges] == [0.5, 4, 1]
    assert all(each.signed for each in grid.ranges)  # one of the layer is: so red means the same in all
    figure = plots.channel_grid(grid)
    assert list(figure.data[-1].text) == ["± 0.5", "± 4", "± 1"]
    assert "−0.5 to 0.5" in figure.data[0].hovertemplate
    assert list(figure.data[0].colorbar.ticktext) == ["− its largest", "0", "+ its largest"]


def test_the_scale_tells_true_values():
    grid = plots.grid_of(answers(56, 56, "relu"), range(64))
    bar = plots.channel_grid(grid).data[0].colorbar
    assert grid.power is not None
    assert float(bar.ticktext[-1]) == pytest.approx(grid.ranges[0].high, rel=0.01)
    assert float(bar.ticktext[0]) == 0


def test_what_shows_nothing_is_marked():
    values = answers(5, 5, "relu", channels=5)
    values[:, :, 1], values[:, :, 2], values[:, :, 3] = 0, 2.5, np.nan
    values[0, 0, 4] = np.inf
    grid = plots.grid_of(values, range(5))
    assert grid.states == ("", statistics.SILENT, statistics.CONSTANT, statistics.NO_NUMBERS, "")
    words = plots.channel_grid(grid).data[5]
    assert list(words.text) == ["silent", "constant", "no number"]
    assert np.isfinite(grid.ranges[0].high)
    assert np.isnan(grid.maps[4][0, 0])


def test_a_map_over_the_photo_has_all_of_its_values():
    values = answers(112, 112, "signed")[:, :, 0]
    values[3, 4] = np.inf
    photo = np.zeros((224, 336, 3), np.uint8)
    figure = plots.channel_over_photo(values, photo, 0.4)
    heat = figure.data[0]
    assert np.isnan(heat.z[3, 4])
    np.testing.assert_array_equal(np.asarray(heat.z)[5:], values[5:])
    assert (heat.x0, heat.dx, heat.y0, heat.dy) == (1.5, 3, 1, 2)  # cells cover the photo's pixels
    assert heat.opacity == 0.4
