"""Channels switched off and up, without a browser: every control of the view."""

from __future__ import annotations

import json

import pytest

from core.messages import Prediction, WhatIf
from pages.explorer import what_if_view

PAGE = "activation_explorer"


def spec(figure) -> dict:
    return json.loads(figure.proto.spec)


def press(page, key: str):
    page.widget("button", key).click()
    return page.run()


def address(page, name: str) -> str | None:
    value = page.at.query_params.get(name)
    return value[0] if isinstance(value, list) else value


def bars(page) -> tuple[list[float], list[float]]:
    before, after = spec(page.figure("what_if"))["data"]
    return before["x"], after["x"]


def off(page) -> list[int]:
    return page.widget("multiselect", "explorer.off").value


@pytest.fixture(scope="module")
def at_the_end(engine):
    """One visit for the tests of single controls: each leaves all channels on."""
    from tests.pages.conftest import App

    return App(engine, PAGE, view="what_if", layer="block13_project_bn")


@pytest.fixture
def page(at_the_end):
    yield at_the_end
    press(at_the_end, "explorer.power")
    assert off(at_the_end) == []


def test_at_first_everything_is_on_and_the_effects_are_there(page):
    assert "All channels are as they are" in page.words()
    before, after = bars(page)
    assert before == pytest.approx(after, abs=1e-3)
    measured, estimated = (trace for trace in spec(page.figure("effects"))["data"] if trace["type"] == "bar")
    assert len(measured["y"]) == len(estimated["y"]) == 16
    assert all(value is not None for value in measured["y"])
    assert address(page, "off") is None


def test_a_channel_is_switched_off_and_the_prediction_moves(page):
    page.widget("multiselect", "explorer.off").set_value([110])
    page.run()
    assert "Without channel 110, *Egyptian cat* falls from 38\u00a0% to" in page.words()
    before, after = bars(page)
    assert after[0] < before[0] - 1
    assert address(page, "off") == "110"
    assert "What channels 110 found" in page.words()


def test_the_ten_that_matter_most_and_all_back_on(page):
    press(page, "explorer.power_off")
    assert len(off(page)) == 10
    assert "Without 10 channels" in page.words()
    assert bars(page)[1][0] < bars(page)[0][0]
    effects = [trace for trace in spec(page.figure("effects"))["data"] if trace["type"] == "bar"]
    assert sum(colour.endswith(",0.3)") for colour in effects[0]["marker"]["color"]) >= 5
    press(page, "explorer.power")
    assert off(page) == []
    assert address(page, "off") is None


def test_a_channel_is_turned_up_by_its_factor(page):
    page.widget("multiselect", "explorer.up").set_value([110])
    page.run()
    assert address(page, "up") == "110:2"
    twice = bars(page)[1][0]
    page.widget("select_slider", "explorer.factor_110").set_value(8.0)
    page.run()
    assert address(page, "up") == "110:8"
    assert "With channel 110 × 8" in page.words()
    assert bars(page)[1][0] != twice


def test_another_class_is_watched(page):
    page.widget("selectbox", "explorer.watch").set_value(282)
    page.run()
    assert "*tiger cat* has" in page.words()
    assert address(page, "watch") == "282"
    page.widget("selectbox", "explorer.watch").set_value(0)  # none of the first answers
    page.run()
    assert "*tench* has less than 0.1\u00a0%" in page.words()
    assert "tench" in spec(page.figure("what_if"))["layout"]["yaxis"]["ticktext"]
    page.widget("selectbox", "explorer.watch").set_value(285)
    page.run()
    assert address(page, "watch") is None


def test_a_link_restores_it_all_and_another_layer_begins_anew(app):
    page = app(PAGE, view="what_if", layer="block6_add", off="41,7,7", up="3:4", watch=282)
    assert off(page) == [41, 7]
    assert page.widget("multiselect", "explorer.up").value == [3]
    assert page.widget("select_slider", "explorer.factor_3").value == 4.0
    assert "Without 2 channels and with channel 3 × 4, *tiger cat*" in page.words()
    assert (address(page, "off"), address(page, "up")) == ("41,7", "3:4")
    page.widget("selectbox", "explorer.layer").set_value("pool")  # a vector
    page.run()
    assert off(page) == []
    assert "All channels are as they are" in page.words()
    page.widget("multiselect", "explorer.off").set_value([5, 9])
    page.run()
    assert "Without 2 channels" in page.words()
    page.widget("selectbox", "explorer.photo").set_value("coffee")
    page.run()
    # The watched class was a choice, so it stays; the channels are still off.
    assert "*tiger cat*" in page.words()
    assert off(page) == [5, 9]


def test_nonsense_in_a_link_is_dropped(app):
    page = app(PAGE, view="what_if", layer="block6_add", off="7,9999,-1", up="3:1000", watch="cat")
    assert off(page) == [7]
    assert page.widget("multiselect", "explorer.up").value == []
    assert page.widget("selectbox", "explorer.watch").value == 285


def test_numbers_in_links():
    assert list(what_if_view.numbers_in("41,7,41")) == [41, 7]
    assert len(what_if_view.numbers_in(",".join(map(str, range(500))))) == what_if_view.MOST_OFF
    assert what_if_view.factors_in("3:2,9:4") == {3: 2.0, 9: 4.0}
    for text in ("3", "3:2:1", "a:2", "3:nan", "3:0"):
        with pytest.raises(ValueError):
            what_if_view.factors_in(text)


@pytest.mark.parametrize(
    ("factors", "after", "words"),
    [
        (
            {41: 0.0},
            (0.23, 0.6),
            "Without channel 41, *Egyptian cat* falls from 62\u00a0% to 23\u00a0%; the network now says *tabby*.",
        ),
        (
            {41: 0.0, 3: 0.0},
            (0.62, 0.1),
            "Without 2 channels, *Egyptian cat* stays at 62\u00a0%; the network still says",
        ),
        ({3: 2.0}, (0.9, 0.01), "With channel 3 × 2, *Egyptian cat* rises from 62\u00a0% to 90\u00a0%;"),
        (
            {4: 0.0, 3: 2.0},
            (0.05, 0.01),
            "Without channel 4 and with channel 3 × 2, *Egyptian cat* falls from 62\u00a0% to 5.0\u00a0%",
        ),
    ],
)
def test_the_sentence(factors, after, words):
    names = ((285, "Egyptian cat"), (281, "tabby"))
    answer = WhatIf(
        tuple(Prediction(i, name, p) for (i, name), p in zip(names, (0.62, 0.1), strict=True)),
        tuple(Prediction(i, name, p) for (i, name), p in zip(names, after, strict=True)),
    )
    assert what_if_view.sentence(answer, 285, factors).startswith(words)
