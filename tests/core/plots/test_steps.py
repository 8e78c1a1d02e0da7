import numpy as np
import pytest

from core import plots
from core.architecture import Tiling


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32)


def test_each_unit_is_a_column_that_can_be_clicked(values):
    values[2, 3], values[4, 5] = np.nan, np.inf
    grid = plots.steps_grid(values, [5, 0, 3])
    np.testing.assert_array_equal(grid.values[:, 1], values[:, 0])
    assert np.isnan(grid.values[4, 0]) and np.isnan(grid.values[2, 2])
    figure = plots.steps_heatmap(grid, chosen=3)
    heat, points = figure.data
    np.testing.assert_array_equal(heat.z, grid.values)
    assert len(points.x) == 9 * 3 and (points.x[7], points.y[7]) == (1, 2)
    assert points.customdata[6:9] == (["2", f"{values[2, 5]:.4g}", 5], ["2", f"{values[2, 0]:.4g}", 0],
                                      ["2", "not a number", 3])  # fmt: skip
    assert (figure.layout.shapes[0].x0, figure.layout.shapes[0].x1) == (1.5, 2.5)
    assert list(figure.layout.xaxis.ticktext) == ["5", "0", "3"]


def test_the_scale_is_that_of_the_layer_and_white_is_zero(values):
    assert plots.steps_grid(values, [0]).colours == plots.colour_range(values)
    assert (
        plots.steps_heatmap(plots.steps_grid(values, [0])).data[0].colorscale
        == plots.steps_heatmap(plots.steps_grid(values, [1])).data[0].colorscale
    )
    assert plots.steps_grid(values, [0]).signed and not plots.steps_grid(np.abs(values), [0]).signed


def test_of_many_steps_neighbours_are_drawn_together():
    values = np.arange(2500, dtype=np.float32)[:, None].repeat(2, axis=1)
    values[0] = np.nan
    grid = plots.steps_grid(values, [0, 1])
    assert grid.together == 3 and len(grid.values) == 834
    assert grid.values[0, 0] == 1.5 and grid.values[1, 0] == 4
    heat = plots.steps_heatmap(grid).data[0]
    assert heat.y0 == 1 and heat.dy == 3
    many = np.random.default_rng(0).normal(size=(4096, 128)).astype(np.float32)
    figure = plots.steps_heatmap(plots.steps_grid(many, range(128)))
    assert len(figure.to_json()) < 1e6 and len(figure.data[1].x) <= 40 * 128
    points = figure.data[1]
    assert (
        points.y[128] == 4 * 26 + 1.5 and points.customdata[128][0] == "104" and "(mean of 4)" in points.hovertemplate
    )


def test_steps_can_have_words_that_draw_nothing(values):
    words = [f"<b>w{step}</b>" for step in range(8)] + ["a" * 40]
    figure = plots.steps_heatmap(plots.steps_grid(values, range(6), words))
    assert figure.layout.yaxis.ticktext[1] == "&lt;b&gt;w1&lt;/b&gt;"
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]  # the first word on top
    assert figure.data[1].customdata[6][0] == "&lt;b&gt;w1&lt;/b&gt;"
    assert len(figure.layout.yaxis.ticktext[8]) == 18 and words[8] in figure.data[1].customdata[-1][0]
    assert "<i>" not in plots.step_curve(values[:, 0], "unit <i>0</i>").layout.yaxis.title.text


def test_each_word_of_a_long_text_has_room_and_the_figure_stays_light():
    values = np.random.default_rng(4).normal(size=(1000, 20)).astype(np.float32)
    figure = plots.steps_heatmap(plots.steps_grid(values, range(20), [f"word{place}" for place in range(1000)]))
    assert len(figure.to_json()) < 1.5e6
    assert figure.layout.height > 1000 * 20 and len(figure.layout.yaxis.ticktext) == 1000
    without = plots.steps_heatmap(plots.steps_grid(values, range(20)))
    assert without.layout.height < 700 and len(without.layout.yaxis.tickvals) == 10


def test_the_numbers_of_many_units_stand_at_some_of_them(values):
    many = np.tile(values, 40)
    axes = [plots.steps_heatmap(plots.steps_grid(many, range(100, 100 + count))).layout.xaxis for count in (20, 120)]
    assert [len(axis.tickvals) for axis in axes] == [20, 12] and [axis.tickangle for axis in axes] == [-90, 0]
    assert axes[1].ticktext[1] == str(100 + axes[1].tickvals[1])


def test_a_curve_leaves_out_what_is_no_number():
    curve = plots.step_curve(np.array([1, np.inf, -2], np.float32), "unit 0")
    np.testing.assert_array_equal(curve.data[0].y, [1, np.nan, -2])


def test_tiles_go_back_to_their_places():
    photo = np.arange(12, dtype=np.float32).reshape(3, 4)
    steps = np.concatenate([[99], photo.ravel()])
    np.testing.assert_array_equal(plots.folded(steps, Tiling(3, 4, first=1)), photo)
    both = np.stack([steps, -steps], axis=-1)
    np.testing.assert_array_equal(plots.folded(both, Tiling(3, 4, first=1))[..., 1], -photo)


def test_anything_can_be_drawn_as_maps():
    rng = np.random.default_rng(0)
    assert plots.as_maps(rng.normal(size=5)).shape == (1, 1, 5)
    steps = rng.normal(size=(3, 5)).astype(np.float32)
    maps = plots.as_maps(steps)
    assert maps.shape == (3, 3, 5)
    np.testing.assert_array_equal(maps[1, 2], steps[1])
    assert plots.as_maps(rng.normal(size=(6, 5)), Tiling(2, 3)).shape == (2, 3, 5)
    assert plots.as_maps(rng.normal(size=(7, 5)), Tiling(2, 3)).shape == (7, 7, 5)  # tiles of another size
    many = plots.as_maps(np.ones((50_000, 2), np.float32))
    assert max(many.shape) <= 256 and (many == 1).all()
    volume = rng.normal(size=(2, 3, 4, 5))
    np.testing.assert_allclose(plots.as_maps(volume), volume.mean(axis=0))
