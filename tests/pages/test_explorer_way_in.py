"""The way to a layer and the journey, without a browser: every control."""

from __future__ import annotations

import json

import pytest
from streamlit.testing.v1 import AppTest

from pages.explorer.way_in import FIRST_LAYER, fits, in_words, table

PAGE = "activation_explorer"


@pytest.fixture(scope="module")
def page(engine):
    from tests.pages.conftest import App

    return App(engine, PAGE, view="journey")


def chosen(page) -> str:
    return page.at.selectbox(key="explorer.layer").value


def choose(page, name: str):
    page.at.selectbox(key="explorer.layer").set_value(name)
    return page.run()


def address(page, name: str) -> str | None:
    value = page.at.query_params.get(name)
    return value[0] if isinstance(value, list) else value


def view(page) -> str:
    return page.at.session_state["explorer.view"]


def journey(page):
    page.at.session_state["explorer.view"] = "journey"
    return page.run()


def spec(page, key: str) -> dict:
    return json.loads(page.figure(key).proto.spec)


def select(page, proto, selection: dict) -> None:
    """What the browser sends when a person clicks a bar or ticks a row, so that callbacks are called."""
    states = page.at._tree.get_widget_states()
    state = states.widgets.add()
    state.id, state.string_value = proto.id, json.dumps({"selection": selection})
    page.at._run(states)
    page.finish()


def click_bar(page, key: str, name) -> None:
    points = [{"customdata": name, "curve_number": 0, "point_index": 0}] if name is not None else []
    select(page, page.figure(key).proto, {"points": points, "point_indices": [], "box": [], "lasso": []})


def test_a_click_on_the_strip_chooses_a_layer_and_an_empty_one_keeps_it(page):
    choose(page, FIRST_LAYER)
    names = [name for trace in spec(page, "strip")["data"] for name in trace["customdata"]]
    assert {"block6_add", "pool", "predictions"} <= set(names)
    click_bar(page, "strip", "block6_add")
    assert chosen(page) == "block6_add"
    assert len(spec(page, "strip")["layout"]["shapes"]) == 1
    click_bar(page, "strip", None)
    assert chosen(page) == "block6_add"


def test_next_and_previous_layer(page):
    choose(page, "block6_add")
    page.at.button(key="next_layer").click()
    page.run()
    assert chosen(page) == "block7_expand_conv"
    page.at.button(key="previous_layer").click()
    page.run()
    assert chosen(page) == "block6_add"
    assert address(page, "layer") == "block6_add"


def test_the_first_has_none_before_and_the_last_none_after(page):
    choose(page, "stem_conv")
    assert page.at.button(key="previous_layer").disabled and not page.at.button(key="next_layer").disabled
    choose(page, "predictions")
    assert page.at.button(key="next_layer").disabled and not page.at.button(key="previous_layer").disabled


def test_the_layer_in_words(page):
    choose(page, "block2_depthwise_conv")
    words = page.words().replace("\\", "")
    assert "DepthwiseConv2D · 144 channels of 56 × 56 · each cell sees 19 × 19 pixels of the photo, 4 pixels" in words
    assert "1\u202f296 parameters, 4.06 M multiply-adds" in words


def open_table(page, search: str) -> None:
    """The test bench runs the whole page each time, so that a dialog lives for one run only."""
    page.at.session_state["layers_search"] = search
    page.at.button(key="all_layers").click().run()
    assert not page.at.exception


def test_the_table_of_all_layers_is_searched_and_chosen_from(page):
    choose(page, FIRST_LAYER)
    assert not page.at.dataframe
    open_table(page, "")
    assert len(page.at.dataframe[0].value) == 142
    open_table(page, "CONV2D project")
    found = page.at.dataframe[0]
    assert set(found.value["Type"]) == {"Conv2D"} and len(found.value) == 16
    page.at.button(key="all_layers").click()
    select(page, found.proto, {"rows": [3], "columns": [], "cells": []})
    assert chosen(page) == "block3_project_conv"
    assert not page.at.dataframe  # it is closed


def test_a_search_for_nothing(page):
    open_table(page, "zzz")
    assert not page.at.dataframe and "None of the 142 layers" in page.words()


def test_the_journey_goes_from_the_photo_to_the_prediction(page):
    journey(page)
    assert address(page, "view") == "journey"
    charts = [each.key for each in page.at.get("plotly_chart") if each.key.startswith("journey")]
    assert charts[0] == "journey_photo" and charts[-1] == "journey_end"
    rows = charts[1:-1]
    assert 5 <= len(rows) <= 13
    assert rows[0] == "journey_block0_depthwise_activation" and rows[-1] == "journey_head_activation"
    assert all(len(spec(page, key)["layout"]["images"]) == 8 for key in rows)
    assert sum(len(page.figure(key).proto.spec) for key in charts) < 1_000_000
    assert "32 channels of 112 × 112" in page.words() and "each cell sees 851 × 851 pixels" in page.words()


def test_the_most_varied_channels_are_others(page):
    journey(page)
    before = spec(page, "journey_head_activation")["data"][0]["customdata"]
    page.at.segmented_control(key="explorer.strongest").set_value("variance")
    page.run()
    assert spec(page, "journey_head_activation")["data"][0]["customdata"] != before
    assert address(page, "strongest") == "variance"
    page.at.segmented_control(key="explorer.strongest").set_value("mean")
    page.run()
    assert spec(page, "journey_head_activation")["data"][0]["customdata"] == before


def test_a_stage_opens_in_the_maps(page):
    journey(page)
    page.at.button(key="open_journey_block7_depthwise_activation").click()
    page.run()
    assert (view(page), chosen(page)) == ("maps", "block7_depthwise_activation")
    assert page.figure("grid")


def test_a_tile_opens_its_channel(page):
    journey(page)
    channel = max(spec(page, "journey_head_activation")["data"][0]["customdata"])
    assert channel >= 64  # not on the first page of the maps
    click_bar(page, "journey_head_activation", channel)
    assert (view(page), chosen(page)) == ("maps", "head_activation")
    assert page.at.session_state["explorer.channel"] == channel
    assert address(page, "channel") == str(channel)


ONE_STEP = """
from core.messages import LayerInfo, ModelInfo, ModelRef, Photo
from pages.explorer import journey_view
from pages.explorer.common import Scene
import numpy as np
layers = (LayerInfo("answer", "Dense", (3,), 39),)
info = ModelInfo(ModelRef("dense"), "Dense", "made up", (2, 2), 39, "none", None, layers)
journey_view.show(Scene(info, Photo.of(np.zeros((2, 2, 3), np.uint8)), "black", (), layers[0]))
"""


def test_a_network_of_one_step_says_so():
    at = AppTest.from_string(ONE_STEP, default_timeout=60).run()
    assert not at.exception and "in one step" in at.info[0].value


def test_the_words_searched_for_may_be_in_name_and_type():
    from core.messages import LayerInfo

    layer = LayerInfo("block3_add", "Add", (4, 4, 8), 0)
    assert fits(layer, "") and fits(layer, "ADD block") and not fits(layer, "conv")
    assert "8 channels of 4 × 4" in in_words(layer)


def test_the_table_sorts_as_numbers_and_reads_as_words():
    from core.messages import LayerInfo

    layers = [
        LayerInfo("a", "Conv2D", (4, 4, 8), 1536, 12_400_000, (11, 11), (2.0, 2.0)),
        LayerInfo("b", "Conv2D", (4, 4, 8), 99, 0, (3, 5), (0.5, 1.0)),
        LayerInfo("c", "Dense", (8,), 0),
    ]
    styled = table(layers)
    assert list(styled.data.sort_values("Cell sees")["Layer"]) == ["b", "a", "c"]
    assert list(styled.data.sort_values("Parameters")["Layer"]) == ["c", "b", "a"]
    shown = styled.to_string(delimiter="|")
    for words in ("1\u202f536", "12.4 M", "11 × 11", "2 × 2", "3 × 5", "0.5 × 1", "whole photo", "4 × 4 × 8"):
        assert words in shown
