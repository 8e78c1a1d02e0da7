"""Figures that help to choose a recipe."""

from __future__ import annotations

import numpy as np
import pytest

from core import plots
from core.transfer.requests import Finder, GraphWorth

FOUND = Finder("", tuple(np.geomspace(1e-6, 10, 50)), tuple(np.linspace(2, 1, 50)), 50, 50, suggestion=0.01)


def test_the_finder_s_curve_marks_the_suggestion_and_the_rate_that_is_chosen():
    figure = plots.finder_curve(FOUND, chosen=0.003)
    assert sorted(shape.x0 for shape in figure.layout.shapes) == [0.003, 0.01]
    words = {note.text: note.x for note in figure.layout.annotations}
    assert words == {"suggested: 0.01": pytest.approx(-2), "now": pytest.approx(np.log10(0.003))}
    np.testing.assert_allclose(figure.data[0].y, FOUND.losses, rtol=1e-6)


def test_without_a_suggestion_nothing_is_marked():
    assert not plots.finder_curve(Finder("", (1e-6, 1e-5), (1.0, 1.0))).layout.shapes


def test_step_times_are_medians_in_milliseconds():
    worth = GraphWorth("", "head", (0.010, 0.030, 0.020), (0.004, 0.005, 0.006), 0.5, 3)
    assert plots.step_milliseconds(worth) == pytest.approx((20, 5))
    assert plots.step_times(worth).data[0].text == ("20 ms", "5 ms")


def test_layers_are_frozen_up_to_the_first_that_learns():
    layers = [("a", 10, False), ("norm", 4, True), ("b", 20, False), ("<c>", 30, False)]
    (bar,) = plots.layer_numbers(layers, "b").data
    assert list(bar.y) == [10, 20, 30]
    assert [state for _, state in bar.customdata] == ["frozen", "learns", "learns"]
    assert bar.customdata[2][0] == "&lt;c&gt;"
    assert {state for _, state in plots.layer_numbers(layers, None).data[0].customdata} == {"frozen"}
