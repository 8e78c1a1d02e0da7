import numpy as np

from core import plots

VALUES = np.array([0.5, -2.0, np.nan, 3.0, 3.0], np.float32)


def test_bars_are_those_that_were_asked_for_in_that_order():
    bar = plots.unit_bars(VALUES, None, [3, 1, 2], chosen=1).data[0]
    assert [list(each) for each in bar.customdata] == [["unit 3", 3], ["unit 1", 1], ["unit 2", 2]]
    assert list(bar.text) == ["3", "-2", "not a number"]
    assert len(set(bar.marker.color)) == 2 and bar.marker.color[1] != bar.marker.color[0]


def test_negative_bars_have_room_for_their_words():
    low, high = plots.unit_bars(VALUES, None, [3, 1]).layout.xaxis.range
    assert low < -2 and high > 3
    low, _ = plots.unit_bars(VALUES, None, [3, 0]).layout.xaxis.range
    assert low == 0


def test_classes_are_named_only_where_each_unit_is_one():
    names = ["a<b>", "c", "d", "e", "f"]
    assert plots.unit_bars(VALUES, names, [0]).data[0].customdata[0][0] == "a&lt;b&gt;"
    assert plots.unit_bars(VALUES, names[:4], [0]).data[0].customdata[0][0] == "unit 0"


def test_all_units_stand_side_by_side_and_are_light():
    values = np.random.default_rng(0).normal(size=21_000).astype(np.float32)
    order = np.argsort(-values).tolist()
    figure = plots.all_units(values, None, order, chosen=order[3])
    assert figure.data[0].customdata[3][1] == order[3]
    assert (np.diff(np.asarray(figure.data[0].y)) <= 0).all()
    assert len(figure.to_json()) < 1_500_000
