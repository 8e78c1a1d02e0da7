import numpy as np
import pytest

from core.plots import accuracy_bars, confusion_look, confusion_matrix, reliability_diagram
from core.transfer import evaluation

TABLE = [[3, 1, 0], [0, 0, 0], [2, 0, 6]]
HOSTILE = ("<b>fat</b>", "%{z} & more", "an animal of a long name, number 17")


def test_colours_are_shares_of_the_row_and_numbers_count_photos():
    look = confusion_look(TABLE, HOSTILE)
    np.testing.assert_allclose(look.shares, [[0.75, 0.25, 0], [0, 0, 0], [0.25, 0, 0.75]])
    assert look.texts[0] == ("3", "1", "0")
    assert look.names[0] == "&lt;b&gt;fat&lt;/b&gt;" and look.names[2].endswith("er 17") and "…" in look.names[2]


@pytest.mark.parametrize("many", [2, 6, 12, 40])
def test_letters_fit_into_the_cells_of_many_classes(many):
    look = confusion_look(np.eye(many, dtype=int), [f"class {i}" for i in range(many)])
    assert 11 <= look.letters <= 16 and look.letters < look.row
    zeros = {text for line in look.texts for text in line} - {"1"}
    assert zeros == ({"0"} if many < 10 else {""})
    assert len(confusion_matrix(look.counts, look.names).to_json()) < 500_000


def test_long_names_stand_upright_below_the_matrix_where_slanting_ones_would_be_left_out():
    angles = [
        confusion_matrix(np.eye(many, dtype=int), [f"{name} {i}" for i in range(many)]).layout.xaxis.tickangle
        for many, name in ((6, "king"), (12, "k"), (12, "a knight on a horse"), (20, "k"))
    ]
    assert angles == [None, None, -90, -90]


def test_every_cell_answers_to_a_click_with_its_row_and_column():
    figure = confusion_matrix(TABLE, HOSTILE, (2, 0))
    right, wrong, numbers, clickable = figure.data
    places = {
        (y, x): tuple(data[:2]) for x, y, data in zip(clickable.x, clickable.y, clickable.customdata, strict=True)
    }
    assert places == {(y, x): (y, x) for y in range(3) for x in range(3)}
    words = {tuple(data[:2]): data[2] for data in clickable.customdata}
    assert words[2, 0] == (
        "<b>an animal of a lon…number 17</b>: 2 of 8 called <b>&lt;b&gt;fat&lt;/b&gt;</b><br>click to see them"
    )
    assert "click" not in words[0, 2]
    assert {trace.hoverinfo for trace in (right, wrong, numbers)} == {"skip"}
    # Blue where it was right, another colour where it was wrong, and each cell of one of them.
    np.testing.assert_array_equal(np.isnan(right.z), ~np.eye(3, dtype=bool))
    np.testing.assert_array_equal(np.isnan(wrong.z), np.eye(3, dtype=bool))
    assert [(each.x0, each.x1, each.y0, each.y1) for each in figure.layout.shapes] == [(-0.5, 0.5, 1.5, 2.5)] * 2


def test_letters_on_dark_cells_are_white():
    numbers = confusion_matrix([[9, 1, 0], [0, 9, 0], [1, 1, 2]], HOSTILE).data[2]
    colours = dict(zip(zip(numbers.y, numbers.x, strict=True), numbers.textfont.color, strict=True))
    assert colours[0, 0] == colours[1, 1] == "white"
    assert "white" not in {colours[0, 1], colours[0, 2], colours[2, 2]}


def test_an_accuracy_stands_with_its_interval_beside_the_baseline():
    validation, test = evaluation.share(62, 72), evaluation.share(8, 10)
    figure = accuracy_bars([("validation", validation), ("test folder", test)], ("always “<i>rook</i>”", 1 / 6))
    measured, baseline = figure.data
    assert list(measured.x) == pytest.approx([100 * 62 / 72, 80])
    assert measured.x[0] + measured.error_x.array[0] == pytest.approx(100 * validation.high)
    assert measured.x[0] - measured.error_x.arrayminus[0] == pytest.approx(100 * validation.low)
    assert list(baseline.x) == pytest.approx([100 / 6]) and list(baseline.y) == [2]
    assert baseline.error_x.array is None
    assert "<i>" not in figure.layout.yaxis.ticktext[2]


def test_bars_of_few_photos_are_pale_and_have_wide_intervals():
    sure = np.array([0.95] * 20 + [0.65] * 3)
    labels = np.array([0] * 19 + [1] + [0, 0, 1])
    found = evaluation.calibration(np.stack([sure, 1 - sure], axis=1), labels)
    bars, line, counts = reliability_diagram(found).data
    assert bars.y[9] == pytest.approx(95) and bars.y[6] == pytest.approx(200 / 3) and np.isnan(bars.y[0])
    assert bars.marker.opacity[9] == 1 > bars.marker.opacity[6]
    few, many = evaluation.share(2, 3), evaluation.share(19, 20)
    assert bars.y[6] + bars.error_y.array[6] == pytest.approx(100 * few.high)
    assert bars.y[9] - bars.error_y.arrayminus[9] == pytest.approx(100 * many.low)
    assert list(line.x) == list(line.y) == [0, 100]
    assert list(counts.y) == found.counts.tolist() and counts.text[9] == "20" and counts.text[0] == ""
