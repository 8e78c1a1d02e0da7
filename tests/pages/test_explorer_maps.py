"""The grid, the bars and the channel's own panel, every control, without a browser."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from core import channels, plots
from core.messages import Activations, ActivationsRequest, EffectsRequest, ModelRef, PredictRequest
from core.samples import photograph
from pages.explorer import channel_panel, ordering, taking_home

PAGE = "activation_explorer"
LITE = ModelRef("efficientnet_lite0")


def spec(figure) -> dict:
    return json.loads(figure.proto.spec)


def shown(page) -> list[int]:
    """The channels in the grid, as their badges say."""
    badges = next(trace for trace in spec(page.figure("grid"))["data"] if trace.get("mode") == "markers+text")
    return [int(text) for text in badges["text"]]


def answer(engine, layer: str) -> Activations:
    request = ActivationsRequest(LITE, photograph("cat"), (layer,))
    return engine.submit("core.activations:infer", request, kind="interactive").result()


def test_the_orders_are_those_of_the_values_and_of_the_effects(app, engine):
    page = app(PAGE, layer="block6_add", photo="cat")
    values = answer(engine, "block6_add").values["block6_add"]
    assert shown(page) == list(range(64))
    for by in ("mean", "peak", "variance", "sparsity"):
        page.widget("selectbox", "explorer.order").set_value(by)
        page.run()
        assert shown(page) == list(channels.order(values, by)[:64])
        assert page.at.query_params["order"] == by
    page.widget("selectbox", "explorer.order").set_value("effect")
    page.run()
    best = engine.submit("core.activations:predict", PredictRequest(LITE, photograph("cat")), kind="interactive")
    request = EffectsRequest(LITE, photograph("cat"), "block6_add", best.result()[0].index, exact=0)
    effects = engine.submit("core.interventions:effects", request, kind="interactive").result().approximate
    assert shown(page) == np.argsort(-np.abs(effects), kind="stable")[:64].tolist()
    assert "gradient × activation" in page.words()


def test_pages_turn_by_their_list_and_by_their_neighbours(app):
    page = app(PAGE, layer="block6_add", channel=5)
    assert "Channel 5\n" in page.words()
    assert page.widget("button", "page-1").disabled
    page.widget("button", "page+1").click()
    page.run()
    assert shown(page) == list(range(64, 80))
    assert 64 <= page.at.session_state["explorer.channel"] < 80
    assert page.widget("button", "page+1").disabled
    assert page.at.query_params["page"] == "2"
    page.widget("selectbox", "explorer.page").set_value(1)
    page.run()
    assert shown(page)[0] == 0
    page.widget("button", "page+1").click()
    page.run()
    page.widget("selectbox", "explorer.order").set_value("peak")  # another order begins at its beginning
    page.run()
    assert len(shown(page)) == 64
    assert page.at.session_state["explorer.page"] == 1


def test_each_map_can_have_its_own_colours(app, monkeypatch):
    page = app(PAGE, layer="block6_add")
    built, build = [], go.Figure.__init__
    monkeypatch.setattr(go.Figure, "__init__", lambda *given, **named: built.append(1) or build(*given, **named))
    page.run()  # nothing has changed: what is shown was built before
    monkeypatch.undo()
    assert built == []
    assert len({trace["zmax"] for trace in spec(page.figure("grid"))["data"] if trace["type"] == "heatmap"}) == 1
    page.widget("button_group", "explorer.scale").set_value("each")
    page.run()
    assert len({trace["zmax"] for trace in spec(page.figure("grid"))["data"] if trace["type"] == "heatmap"}) > 30
    assert page.at.query_params["scale"] == "each"
    assert "its own colour scale, written below" in page.words()


def test_silent_channels_are_marked_and_counted(app):
    page = app(PAGE, layer="block1_expand_activation", photo="cat")
    words = next(trace for trace in spec(page.figure("grid"))["data"] if trace.get("mode") == "text")
    assert "silent" in words["text"]
    assert "of 96 channels** " in page.words() and "0 everywhere" in page.words()
    assert "mean of 2 × 2 cells" in page.words()


def test_a_vector_is_sorted_paged_and_has_a_panel_of_its_own(app):
    page = app(PAGE, layer="predictions", photo="cat")
    first = spec(page.figure("units"))["data"][0]
    assert first["customdata"][0] == ["Egyptian cat", 285]
    assert len(first["customdata"]) == 20
    assert "Unit 285: Egyptian cat" in page.words()
    page.widget("button", "page+1").click()
    page.run()
    assert spec(page.figure("units"))["data"][0]["customdata"][0][0] != "Egyptian cat"
    page.widget("selectbox", "explorer.unit_order").set_value("index")
    page.run()
    assert [each[1] for each in spec(page.figure("units"))["data"][0]["customdata"]] == list(range(20))
    page.widget("button_group", "explorer.units").set_value("all")
    page.run()
    assert len(spec(page.figure("units"))["data"][0]["customdata"]) == 1000
    page.widget("button_group", "explorer.part").set_value("values")
    page.run()
    assert "place in the layer" in page.words()


def test_a_deep_link_chooses_unit_order_and_part(app):
    page = app(PAGE, layer="predictions", channel=282, unit_order="peak", part="values")
    assert "Unit 282: tiger cat" in page.words()
    assert "**2nd of 1000**" in page.words()


def test_the_values_of_a_channel_are_told(app, engine):
    page = app(PAGE, layer="block1_expand_activation", photo="cat", channel=17, part="values")
    values = answer(engine, "block1_expand_activation").values["block1_expand_activation"][:, :, 17]
    assert page.figure("histogram")
    assert f"**{values.mean():.4g}, " in page.words()
    row, column = np.unravel_index(values.argmax(), values.shape)
    assert f"at row {row}, column {column}" in page.words()
    assert f"{100 * (values == 0).mean():.1f} % of its 12,544 cells" in page.words()


def test_the_filters_pattern_is_one_click_away(app):
    page = app(PAGE, layer="block6_add", channel=70, page=2, photo="coffee")
    page.widget("button", "to_visualizer").click().run()
    state = page.at.session_state
    assert (state["visualizer.layer"], state["visualizer.filter"], state["visualizer.first"]) == ("block6_add", 70, 64)
    assert state["visualizer.photo"] == "coffee"


@pytest.mark.slow  # each has tests of its own
@pytest.mark.parametrize("part", ["pattern", "photos", "cell"])
def test_the_other_parts_come_for_maps(app, part):
    page = app(PAGE, layer="block6_add", part=part)
    assert not page.at.error
    assert page.widget("button_group", "explorer.part").value == part


# --- What can be taken home ------------------------------------------------------------------------------------------


def test_every_file_is_offered(app):
    page = app(PAGE, layer="block6_add")
    keys = {each.key for each in page.at.get("download_button")}
    assert {"save_maps", "save_numbers", "save_statistics", "save_code"} <= keys
    assert any("layer=block6_add" in each.value for each in page.at.code)


@pytest.fixture
def scene():
    layer = SimpleNamespace(name="a/conv:2", type="Conv2D", is_spatial=True, channels=3, output_shape=(4, 6, 3))
    info = SimpleNamespace(
        title="Tiny", origin="made", preprocessing="none", class_names=None, layers=(layer,), own_size=None
    )
    return SimpleNamespace(info=info, layer=layer, caption="<a cat>", predictions=(), model=LITE)


def test_the_picture_has_the_order_and_colours_of_the_page():
    values = np.zeros((4, 6, 3), np.float32)
    values[2:, :, 0], values[2:, :, 2] = 1, 2
    drawn = np.asarray(Image.open(io.BytesIO(taking_home.picture_of(plots.grid_of(values, [2, 0, 1])))))
    height, width = drawn.shape[0], (drawn.shape[1] - 2 * taking_home.MARGIN) // 3
    below = [drawn[height - 2, place * (width + taking_home.MARGIN) + width // 2] for place in range(3)]
    viridis = [(253, 231, 37), (33, 145, 140), (68, 1, 84)]  # at 1, 1/2 and 0
    np.testing.assert_allclose(np.array(below, int), viridis, atol=1)


def test_the_numbers_are_whole_and_say_what_they_are(scene):
    values = np.random.default_rng(0).normal(size=(4, 6, 3)).astype(np.float32)
    seen = np.arange(24 * 3, dtype=np.uint8).reshape(4, 6, 3)
    file = np.load(io.BytesIO(taking_home.numbers_of(scene, Activations({"a/conv:2": values}, seen, "made"))))
    np.testing.assert_array_equal(file["values"], values)
    np.testing.assert_array_equal(file["seen"], seen)
    assert json.loads(str(file["about"]))["photo"] == "<a cat>"
    assert taking_home.stem(scene) == "activations_of_a.conv_2"


# --- Sentences -------------------------------------------------------------------------------------------------------


def test_what_is_not_a_number_is_said():
    values = np.ones((3, 3, 4), np.float32)
    values[0, 0, 0], values[:, :, 1], values[:, :, 2] = np.nan, np.inf, 0
    words = " ".join(ordering.oddities(values))
    assert "**1 of 4 channels** is silent" in words
    assert "**1 of 4 channels** has no finite number" in words
    assert "**10** values are not a number" in words
    assert ordering.oddities(np.random.default_rng(0).normal(size=(3, 3, 2))) == []


def test_pages_are_called_by_numbers_or_by_places():
    assert ordering.page_words(2, 64, 80, from_one=False) == "64–79 of 80"
    assert ordering.page_words(2, 64, 1280, from_one=True) == "65–128 of 1280"


def test_places_are_said_as_people_say_them():
    assert [channel_panel.ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 102, 111)] == (
        ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th"]
    )
