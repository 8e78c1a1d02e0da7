"""Figures of one cell: what they say is held against the numbers that they were made of."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from core import plots
from core.messages import Formula, Pooled, Products, Region
from core.plots import cell as drawn

RNG = np.random.default_rng(2)


def products(k: int = 3, count: int = 5, *, padded: bool = False) -> Products:
    inside = np.ones((k, k), bool)
    inside[0] = not padded
    patch = RNG.normal(size=(k, k, count)).astype(np.float32) * inside[:, :, None]
    kernel = RNG.normal(size=(k, k, count)).astype(np.float32)
    return Products(patch, kernel, np.arange(k) - 1, np.arange(k) + 4, np.arange(count) + 10, inside)


def weight(figure) -> int:
    return len(figure.to_json())


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0"),
        (0.0123456, "0.01235"),
        (-12.3, "−12.3"),
        (2.9587e-05, "2.959 × 10⁻⁵"),
        (123456.0, "123 456"),
        (-1.5e12, "−1.5 × 10¹²"),
        (float("nan"), "not a number"),
        (float("-inf"), "−infinite"),
    ],
)
def test_numbers_as_one_writes_them(value, words):
    assert plots.number(value) == words


def test_an_expression_with_numbers_for_names():
    given_ = (("x", -2.0), ("mean", 0.5), ("variance", 4.0), ("epsilon", 1e-3))
    formula = Formula("(x − mean) / √(variance + epsilon)", given_, 0.0)
    assert plots.with_numbers(formula) == "((−2) − 0.5) / √(4 + 0.001)"
    assert plots.with_numbers(Formula("max(0, x)", (("x", -2.0),), 0.0)) == "max(0, −2)"
    assert plots.with_numbers(Formula("e^x / total", (("x", 2.0), ("total", 9.0)), 0.0)) == "e^2 / 9"


@given(some.integers(1, 30), some.integers(0, 8))
@settings(max_examples=30, deadline=None)
def test_the_parts_are_the_largest_and_add_up(count, most):
    step = products(1, count)
    found = plots.parts(step, most)
    assert sum(part.sum for part in found) == pytest.approx(step.result, abs=1e-9)
    assert sum(part.count for part in found) == count
    assert found[-1].count != 1 or found[-1].channel is not None  # one that is left over is not "the other 1"
    shown = [abs(part.sum) for part in found if part.channel is not None]
    assert shown == sorted(shown, reverse=True) and shown == sorted(np.abs(step.sums), reverse=True)[: len(shown)]
    assert all(step.channels[part.index] == part.channel for part in found if part.channel is not None)


def test_bars_say_two_numbers_and_their_product():
    step = products(1, 3)
    found = plots.parts(step)
    figure = plots.part_bars(step, found, ["red", "<b>green</b>", "blue"], times=True)
    words = [each.text for each in figure.layout.annotations]
    first = found[0]
    a, b = step.patch[0, 0, first.index], step.kernel[0, 0, first.index]
    assert words[1].startswith(plots.number(a, 3)) and plots.number(b, 3) in words[1]
    assert words[1].endswith(f"= {plots.number(a * b, 3)}")
    assert words[2] == "&lt;b&gt;green&lt;/b&gt;"
    assert list(figure.data[0].x) == [part.sum for part in found]


def test_tables_hold_patch_weights_and_products():
    step = products(3, 5, padded=True)
    patch, kernel, product = plots.product_tables(step, 2).data
    np.testing.assert_array_equal(kernel.z, step.kernel[:, :, 2])
    np.testing.assert_allclose(np.asarray(patch.z) * kernel.z, product.z, rtol=1e-6)
    assert np.isnan(patch.z[0]).all() and not np.isnan(patch.z[1:]).any()  # padding is left empty
    assert list(patch.text[0]) == ["", "", ""] and patch.text[1][0] == drawn._short(float(step.patch[1, 0, 2]))
    assert patch.customdata[0][0].startswith("padding") and patch.customdata[1][2] == "row 0, column 6"
    assert plots.product_tables(products(9), 0).data[0].text is None  # no room for numbers


@given(some.floats(-1e6, 1e6, width=32))
@settings(deadline=None)
def test_numbers_in_cells_are_short_and_right(value):
    text = drawn._short(value)
    read = float(text.replace("−", "-"))
    if abs(value) >= 0.001:
        assert read == pytest.approx(value, rel=0.01, abs=0.006)
    else:
        assert read == pytest.approx(value, rel=0.34)
    assert len(text) <= 8


@pytest.mark.parametrize("side", [5, 7])
@given(some.floats(-12, 6), some.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_numbers_in_narrow_cells_fit_and_are_right(side, power, seed):
    table = 10.0**power * np.random.default_rng(seed).normal(size=(side, side))
    unit = drawn._unit(table)
    for value in table.ravel():
        text = drawn._shortest(value / unit, side)
        assert len(text) <= 4
        assert float(text.replace("−", "-")) == pytest.approx(
            value / unit, abs=0.51 if len(text.strip("−")) == 2 else 0.051
        )
    assert np.abs(table / unit).max() < 100 and np.abs(table / unit).max() >= 0.5  # something is to be seen


@pytest.mark.parametrize("size", [(1, 1), (7, 7), (56, 40), (57, 57), (112, 112), (224, 224)])
def test_a_click_finds_every_cell_or_the_strongest_of_a_block(size):
    values = RNG.normal(size=size).astype(np.float32)
    places = drawn.clickable(values)
    assert len(places) <= 56 * 56
    if max(size) <= 56:
        assert len(places) == values.size
    assert plots.strongest(values) in {tuple(place) for place in places.tolist()}
    figure = plots.cell_map(values, (0, 0))
    markers = figure.data[1]
    assert [row[:2] for row in markers.customdata] == [
        [int(y), int(x)] for y, x in zip(markers.y, markers.x, strict=True)
    ]
    assert weight(figure) < 700_000


def test_the_chosen_cell_is_outlined():
    shape = plots.cell_map(np.zeros((5, 6), np.float32), (3, 4)).layout.shapes[-1]
    assert shape.x0 < 4 < shape.x1 and shape.y0 < 3 < shape.y1


def test_the_strongest_cell_is_farthest_from_zero():
    assert plots.strongest(np.array([[0.0, -3.0], [np.nan, 2.0]])) == (0, 1)
    assert plots.strongest(np.full((2, 2), np.nan)) == (0, 0)


def test_sight_counts_pixels_on_the_photo():
    influence = np.zeros((10, 12), np.float32)
    influence[0, :4] = [90.0, 6.0, 3.0, 1.0]
    facts = plots.sight(Region(-2, -1, 3, 5), influence)
    assert (facts.can, facts.total, facts.does, facts.most) == (15, 120, 4, 1)
    assert plots.sight(None, influence).can == 120
    assert plots.sight(None, influence * 0).most == 0
    assert plots.sight(Region(20, 20, 25, 25), influence).can == 0


def test_the_photo_is_dark_where_the_cell_cannot_see_and_orange_where_it_does():
    seen = np.full((40, 40, 3), 200, np.uint8)
    influence = np.zeros((40, 40), np.float32)
    influence[10, 10] = 1.0
    picture = drawn.sight_on(seen, Region(8, 8, 13, 13), influence)
    assert (picture[0, 0] == 80).all() and (picture[9, 9] == 200).all()
    assert picture[10, 10, 0] > picture[10, 10, 1] > picture[10, 10, 2]
    assert (drawn.sight_on(seen, None, influence * 0) == seen).all()


def test_a_small_region_is_enlarged_and_a_large_one_is_not():
    seen, influence = RNG.integers(0, 256, (224, 224, 3), dtype=np.uint8), np.zeros((224, 224), np.float32)
    pictures = [
        len(plots.cell_on_photo(seen, region, influence).layout.images)
        for region in (Region(-1, -1, 2, 2), Region(221, 100, 226, 103), Region(0, 0, 120, 120), None)
    ]
    assert pictures == [2, 2, 1, 1]
    assert weight(plots.cell_on_photo(seen, Region(100, 100, 103, 103), influence)) < 300_000


def test_the_winner_is_outlined_at_its_own_place():
    patch = np.array([[0.0, 5.0], [2.0, 9.0]], np.float32)
    inside = np.array([[True, True], [True, False]])
    figure = plots.pooled_table(Pooled("max", patch, np.array([6, 7]), np.array([2, 3]), inside, 5.0))
    (shape,) = figure.layout.shapes
    assert (shape.x0, shape.y0) == (2.5, 5.5)
    assert figure.data[0].text[1][1] == ""
    assert not plots.pooled_table(Pooled("mean", patch, np.array([6, 7]), np.array([2, 3]), inside, 2.3)).layout.shapes


def test_figures_are_json():
    for figure in (plots.product_tables(products(), 0), plots.cell_map(np.full((3, 3), np.nan), (0, 0))):
        assert json.loads(figure.to_json())
