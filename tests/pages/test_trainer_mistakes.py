"""The Trainer's results: which photos it gets wrong, and where it looked."""

from __future__ import annotations

import base64

from pages.trainer import answers, mistakes_part
from tests.pages.trained_badly import with_answers

# Green 0 to 9 are taken for red, ever less surely; red 0 to 3 for green; green 10 and red 4 and 5 are recognised.
LABELS = [0] * 11 + [1] * 6
SURE = [0.01, *(0.05 * each for each in range(1, 10)), 0.6, 0.97, 0.9, 0.8, 0.7, 0.3, 0.2]


def tiles(page) -> list[int]:
    """The places of the photos on show, in order."""
    return [int(each.key.removeprefix("closer_")) for each in page.at.button if (each.key or "").startswith("closer_")]


def test_the_surest_mistakes_come_first_and_every_control_does_what_it_says(app):
    run = with_answers(LABELS, SURE, network=True)
    page = app("transfer_trainer", run=run.name, view="results", part="mistakes")
    assert tiles(page)[:4] == [0, 11, 1, 2] and len(tiles(page)) == 12
    assert "1–12 of 14" in page.words() and "said **red** 99\u00a0%  \nis **green**" in page.words()
    with_heat = pictures(page)
    page.widget("button", "trainer.sheet.Further").click()
    page.run()
    assert tiles(page) == [8, 9] and page.at.query_params["sheet"] == "2"
    page.widget("toggle", "trainer.heat").set_value(False)
    page.widget("button", "trainer.sheet.Back").click()
    page.run()
    assert len(pictures(page)) == 12 and not set(pictures(page)) & set(with_heat)
    assert page.at.query_params["heat"] == "False"
    page.widget("button_group", "trainer.answers").set_value("right")
    page.run()
    assert tiles(page) == [10, 15, 16]  # the least sure first
    assert "said **green** 60\u00a0%  \nand it is" in page.words()
    page.widget("selectbox", "trainer.only").set_value(1)
    page.run()
    assert tiles(page) == [15, 16] and page.at.query_params["only"] == "1"
    page.widget("button", "closer_16").click()
    page.run()
    assert "It is **red**" in page.words() and "For **red**, 80\u00a0%" in page.words()
    assert page.figure("likeliest") and page.at.query_params["closer"] == "16"


def pictures(page) -> list[bytes]:
    return [base64.b64decode(url.partition(",")[2]) for each in page.at.get("image") for url in each.value]


def test_without_a_mistake_the_least_sure_right_answers_are_shown(app):
    run = with_answers([0, 0, 1], [0.9, 0.6, 0.2])
    page = app("transfer_trainer", run=run.name, view="results", part="mistakes", heat=False)
    assert "None of the 3 validation photos was answered wrongly" in page.words()
    assert tiles(page) == [1, 2, 0]
    page.widget("button_group", "trainer.answers").set_value("wrong")
    page.run()
    assert tiles(page) == [] and "There is no wrong answer" in page.words()


def test_a_class_filters_by_what_it_is_and_what_was_said():
    found = answers.answers_of(with_answers([0, 0, 1], [0.9, 0.4, 0.2]))
    wrong, right = mistakes_part.by_kind(found)
    assert mistakes_part.chosen(found, wrong, 1).tolist() == [1]
    assert mistakes_part.chosen(found, right, 1).tolist() == [2]
    assert mistakes_part.chosen(found, right, mistakes_part.ALL).tolist() == [2, 0]
