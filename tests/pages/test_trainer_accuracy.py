"""The Trainer's results: how often it is right, against what, and how sure one can be."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from core import runs
from tests.pages.trained_badly import with_answers

# Of 12 green photos 9 are recognised and 3 taken for red; of 8 red ones 7 are recognised. The surest mistake is 0.99.
LABELS = [0] * 12 + [1] * 8
SURE = [0.88] * 9 + [0.18, 0.4, 0.01] + [0.05] * 7 + [0.7]


@pytest.fixture(scope="module")
def run():
    return with_answers(LABELS, SURE, test_images=10, test_accuracy=0.8)


def test_from_the_interval_to_the_photos_of_the_most_frequent_mistake(app, run):
    page = app("transfer_trainer", run=run.name, view="results")
    words = page.words()
    assert "16 of 20 right: 80\u00a0%" in words and "between 58\u00a0% and 92\u00a0%" in words
    assert r"Always saying *green* would be right in 60" in words
    assert "Of the 10 photos of the test folder" in words and "8 are right" in words
    assert any("Chance cannot be excluded" in each.value for each in page.at.warning)  # 60 % lies above 58 %
    assert page.figure("accuracy") and page.figure("confusion")
    cell = page.widget("selectbox", "trainer.cell")
    mistakes, right = ["green taken for red (3)", "red taken for green (1)"], ["green recognised (9)"]
    assert cell.options == [*mistakes, *right, "red recognised (7)"]
    assert cell.value == "0-1"
    assert len(page.at.get("image")) == 3 and words.index("99") < words.index("82\u00a0%  \nis")  # the surest first


def test_the_right_answers_come_on_two_sheets(app, run):
    page = app("transfer_trainer", run=run.name, view="results", cell="0-0")
    assert "1–6 of 9" in page.words()
    page.widget("button", "trainer.cell_sheet.Further").click()
    page.run()
    assert "7–9 of 9" in page.words() and page.widget("button", "trainer.cell_sheet.Further").disabled
    assert page.at.query_params["cell_sheet"] == "2"
    page.widget("selectbox", "trainer.cell").set_value("1-1")
    page.run()
    assert "1–6 of 7" in page.words()


def test_class_by_class_and_how_sure_it_is(app, run):
    page = app("transfer_trainer", run=run.name, view="results", scores="classes")
    table = page.at.dataframe[0].value
    assert table["class"].tolist() == ["green", "red"] and table["photos"].tolist() == [12, 8]
    assert table["precision"].tolist() == pytest.approx([90, 70])
    assert table["recall"].tolist() == pytest.approx([75, 87.5])
    assert table["F1"].tolist() == pytest.approx([100 * 18 / 22, 100 * 14 / 18])
    assert "It does worst with *red*: of 8 it found 7, and of the 10 that it called so 7 are" in page.words()
    page.widget("button_group", "trainer.scores").set_value("sure")
    page.run()
    assert page.figure("reliability")
    assert "it is right in **90\u00a0%** (9 of 10)" in page.words()
    assert "expected calibration error" in page.words()
    assert page.at.query_params["scores"] == "sure"


def test_a_run_that_kept_no_answers_still_shows_its_matrix(app):
    run = with_answers(LABELS, SURE)
    (run.folder / runs.HELD_BACK).unlink()
    page = app("transfer_trainer", run=run.name, view="results")
    assert page.figure("confusion") and "was not kept" in page.words()


def press() -> None:
    from pages.trainer import accuracy_part

    accuracy_part.take_clicked()


@pytest.mark.parametrize(("points", "chosen"), [([{"customdata": [1, 0, "words"]}], "1-0"), ([], "0-1")])
def test_a_click_chooses_a_cell_and_an_empty_one_keeps_it(points, chosen):
    at = AppTest.from_function(press)
    at.session_state["confusion"] = SimpleNamespace(selection=SimpleNamespace(points=points))
    at.session_state["trainer.cell"], at.session_state["trainer.cell_sheet"] = "0-1", 2
    at.run()
    assert not at.exception
    assert at.session_state["trainer.cell"] == chosen
    assert at.session_state["trainer.cell_sheet"] == (1 if points else 2)
