"""Luck, photos needed, shortcuts, distances: the facts behind the figures."""

import numpy as np
import pytest

from core import plots
from core.transfer.requests import LearningCurve, Repeated, Shortcut, Unknown

METER = Unknown((("a.png", 0.31), ("b.png", 0.52)), (("cat", 0.9), ("other<b>", 1.2)), 0.52, 5, 1.0)


def test_equal_dots_stand_on_one_another():
    np.testing.assert_array_equal(plots.stacked([0.5, 0.9, 0.5, 0.51, 0.0], 0, 1, 10), [0, 0, 1, 2, 0])
    np.testing.assert_array_equal(plots.stacked([1.0, 2.0, -1.0], 0, 1, 10), [0, 1, 0])  # what is outside, at the end


def test_the_band_is_a_standard_deviation_and_stays_within_a_hundred():
    facts = plots.curve_facts(LearningCurve("", (2, 5, 9), ((0.4, 0.6), (0.9, 1.0), ()), 0.3))
    assert facts.photos == (2, 5)  # 9 has not been tried yet
    np.testing.assert_allclose(facts.mean, [50, 95])
    np.testing.assert_allclose(facts.high - facts.mean, [14.14, 5], atol=0.01)
    assert plots.learning_curve(LearningCurve("", (2,), ((0.5,),), 0.5)).data[2].text == ("50 %",)


@pytest.mark.parametrize(("majority", "named"), [(0.1, "← always the same: 10 %"), (0.79, "always the same")])
def test_always_the_same_is_drawn_where_it_is_in_view(majority, named):
    figure = plots.luck_strip(Repeated("", 0.8, (0.8, 0.84, 0.8), (majority,) * 3, 3), 0.9)
    assert named in [annotation.text for annotation in figure.layout.annotations]
    assert len(figure.layout.shapes) == (3 if "←" not in named else 2)
    assert "90 %" in figure.data[1].text[0]
    low, high = figure.layout.xaxis.range
    assert low < 79 and high > 90


def test_the_table_has_all_photos_first_and_nothing_for_a_class_without_any():
    found = Shortcut("", ("a", "<b>"), accuracy=0.9, without_border=0.8, without_middle=0.2, by_class=((1, 1, 0), None))
    names, shares = plots.hidden_rows(found)
    assert names == ["all photos", "a", "<b>"]
    np.testing.assert_array_equal(shares[:2], [[0.9, 0.8, 0.2], [1, 1, 0]])
    assert np.isnan(shares[2]).all()
    figure = plots.hidden_table(found)
    assert figure.data[0].text[0][1] == "80 %" and figure.data[0].text[2][0] == ""
    assert figure.layout.yaxis.ticktext[2] == "&lt;b&gt;"


def test_dots_above_their_share_of_the_area_have_another_colour():
    figure = plots.border_strip(Shortcut("", files=("a", "b"), on_border=(0.7, 0.2), area=0.5))
    first, second = figure.data[0].marker.color
    assert first != second


def test_distances_and_what_is_beyond():
    low, high = plots.distance_range(METER, 1.5)
    assert low < 0.31 and high > 1.5 and 100 * high == pytest.approx(round(100 * high))
    figure = plots.distance_strip(METER, 0.6, {"cat": "Chelsea"}, 1.5)
    assert [list(trace.x) for trace in figure.data] == [[0.9, 1.2], [0.31, 0.52], [1.5]]
    assert list(figure.data[0].customdata) == ["Chelsea", "other&lt;b&gt;"]
    assert figure.layout.shapes[0].x0 == figure.layout.shapes[1].x0 == 0.6
    assert len(plots.distance_strip(METER, 0.6, {}).data) == 2
