"""The Filter Visualizer's views and controls, without a browser."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

from core import images
from core.errors import UserError
from core.messages import Dream, DreamRequest, Faces, Mosaic, Portrait, Trust
from core.plots import Tile
from pages.visualizer.saving import code_of, zip_of_tiles
from pages.visualizer.which_filters import numbers_in

PAGE = "filter_visualizer"
QUICK = {"size": 64, "steps": 2}


def spec(figure) -> dict:
    return json.loads(figure.proto.spec)


def shown(page, name: str = "shown"):
    """What is asked for, and what came of it."""
    request, drawing = page.at.session_state[f"visualizer.{name}"]
    return request, drawing.result()


def press(page, key: str):
    page.widget("button", key).click()
    return page.run()


def has(page, kind: str, key: str) -> bool:
    return any(each.key == key for each in page.at.get(kind))


# --- Filters: which, and how -----------------------------------------------------------------------------------------


def test_the_page_draws_on_the_first_visit(app):
    page = app(PAGE, **QUICK, count=4)
    figure = spec(page.figure("mosaic"))
    assert [trace["type"] for trace in figure["data"]] == ["image", "scatter"]
    assert len(figure["data"][1]["customdata"]) == 4
    assert "Filter 0" in page.words()


def test_new_settings_wait_for_draw(app):
    page = app(PAGE, **QUICK, count=4)
    page.widget("number_input", "visualizer.seed").set_value(5)
    page.run()
    assert "press **Draw**" in page.words()
    press(page, "draw")
    assert "press **Draw**" not in page.words()
    request, mosaic = shown(page)
    assert request.seed == 5 and isinstance(mosaic, Mosaic)


def test_no_mosaic_stands_under_another_layer(app):
    page = app(PAGE, **QUICK, count=4)
    layer = page.widget("selectbox", "visualizer.layer")
    before, other = layer.value, "stem_conv"
    layer.set_value(other)
    page.run()
    assert not has(page, "plotly_chart", "mosaic") and not has(page, "download_button", "save_mosaic")
    assert f"Press **Draw** to see what the filters of {other} look for" in page.words().replace("\\", "")
    page.widget("selectbox", "visualizer.layer").set_value(before)
    page.run()
    assert page.figure("mosaic") and "press **Draw**" not in page.words()
    page.widget("selectbox", "visualizer.layer").set_value(other)
    press(page, "draw")
    page.widget("selectbox", "visualizer.layer").set_value(before)
    page.run()  # what was drawn before is there at once
    assert shown(page)[1].layer == before and "press **Draw**" not in page.words()


def test_pages_of_64(app):
    page = app(PAGE, size=64, steps=1, first=64, count=4, layer="block5_project_bn")
    assert shown(page)[0].filters == (64, 65, 66, 67)
    page.widget("selectbox", "visualizer.first").set_value(0)
    press(page, "draw")
    assert shown(page)[1].filters == (0, 1, 2, 3)


def test_filters_by_their_numbers(app):
    page = app(PAGE, size=64, steps=1, choose="range", filters="3, 7:9", layer="stem_conv", seed=3)
    request, mosaic = shown(page)
    assert (request.layer, request.seed) == ("stem_conv", 3)
    assert request.filters == mosaic.filters == (3, 7, 8)
    page.widget("text_input", "visualizer.filters").set_value("3, forty")
    page.run()
    assert len(page.at.error) == 1 and "forty" in page.at.error[0].value
    assert page.widget("button", "draw").disabled
    assert page.figure("mosaic")


def test_filters_that_the_photo_excites_most(app):
    page = app(PAGE, size=64, steps=1, choose="photo", photo="coffee", count=4, layer="block5_project_bn")
    coffee = shown(page)[0].filters
    page.widget("selectbox", "visualizer.photo").set_value("temple")
    press(page, "draw")
    temple = shown(page)[0].filters
    assert len(coffee) == len(temple) == 4
    assert coffee != temple


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("0:4", (0, 1, 2, 3)), ("3, 5, 9", (3, 5, 9)), ("9,3,9", (9, 3)), ("8:10, 0", (8, 9, 0)), ("7", (7,))],
)
def test_numbers_are_read_as_they_are_written(text, numbers):
    assert numbers_in(text, 10) == numbers


@pytest.mark.parametrize("text", ["", "a", "1:2:3", "-1", "0:11", "10", "1.5", "5:", "4:4", "9999999999", "²"])
def test_what_is_no_number_of_a_filter_is_refused(text):
    with pytest.raises(UserError, match=r"^[A-Z].*\.$"):
        numbers_in(text, 10)


@pytest.mark.parametrize("method", ["lucid", "fast", "textbook"])
def test_every_method_draws(app, method):
    page = app(PAGE, **QUICK, count=1, method=method)
    request, mosaic = shown(page)
    assert (request.method, request.steps) == (method, 2)
    assert mosaic.png
    assert page.figure("mosaic")


def test_the_methods_own_steps_are_left_to_it(app):
    page = app(PAGE, size=64, count=1, method="fast")
    request, mosaic = shown(page)
    assert request.steps is None
    assert mosaic.steps == mosaic.step > 2


def test_what_can_be_taken_home(app):
    page = app(PAGE, **QUICK, count=4)
    request, mosaic = shown(page)
    with zipfile.ZipFile(io.BytesIO(zip_of_tiles(mosaic))) as archive:
        assert archive.namelist() == [f"filter_{number:04}.png" for number in range(4)]
        tile = images.decode(archive.read("filter_0001.png"))
    assert tile.shape == (mosaic.tile, mosaic.tile, 3)
    for key in ("save_mosaic", "save_tiles", "save_code", "save_tile"):
        assert has(page, "download_button", key)
    info = page.engine.submit("core.backbones.loading:describe", request.model, kind="interactive").result()
    compile(code_of(request, info), "code", "exec")


def test_nonsense_in_the_link_is_dropped(app):
    page = app(
        PAGE, **QUICK, count=4, view="sideways", method="magic", choose="luck", panel="none", filter="x", first=3
    )
    assert shown(page)[0].method == "lucid"
    assert "Filter 0" in page.words()


def test_a_tile_says_what_is_known_of_it():
    trusted = Tile(0, 12.5, 0, 0, Trust(5.0, 1.0, 9.0, "cat"))
    assert "12.5" in trusted.words and "trust: fair" in trusted.words
    assert Tile(0, 12.5, 0, 0, silent=True).words == "never fires"
    assert Tile(0, float("nan"), 0, 0).words == "not begun yet"


# --- The panel -------------------------------------------------------------------------------------------------------


@pytest.fixture
def panel(app):
    return lambda **query: app(PAGE, **QUICK, count=4, method="lucid", **query)


def test_the_link_opens_the_filter(panel):
    page = panel(filter=2)
    assert "Filter 2" in page.words()
    outline = spec(page.figure("mosaic"))["layout"]["shapes"]
    assert len(outline) == 1


def test_hover_tells_filter_score_and_trust(panel):
    page = panel()
    number, words = spec(page.figure("mosaic"))["data"][1]["customdata"][1]
    assert number == 1 and "score" in words and "trust:" in words


def test_trust_is_said_in_a_sentence(panel):
    page = panel(panel="trust")
    assert "to noise and" in page.words()
    assert page.figure("trust")


def test_a_filter_is_drawn_large(panel):
    page = panel(filter=1, panel="large")
    assert "Save it large" not in str(page.at.get("download_button"))
    press(page, "draw_large")
    assert has(page, "download_button", "save_portrait")
    again = panel(filter=1)  # another student's visit: it is there at once
    assert has(again, "download_button", "save_portrait")


def test_the_steps_have_a_slider_and_a_curve(panel):
    page = panel(filter=3, panel="steps", seed=1)
    press(page, "draw_steps")
    slider = page.widget("select_slider", "visualizer.step")
    assert slider.value == 2
    slider.set_value(int(slider.options[0]))
    page.run()
    assert page.widget("select_slider", "visualizer.step").value < 2
    assert spec(page.figure("scores"))["data"][0]["x"][-1] == 2
    assert has(page, "download_button", "save_webp") and has(page, "download_button", "save_gif")


def test_several_faces(panel):
    page = panel(panel="faces", faces=2)
    press(page, "draw_faces")
    assert has(page, "download_button", "save_faces")
    job = next(job for job in page.engine.jobs() if job.task == "core.featurevis.faces:run")
    assert isinstance(job.result(), Faces) and len(job.result().pictures) == 2


def test_naive_beside_careful(panel):
    page = panel(panel="compare")
    press(page, "draw_both")
    assert "Naive" in page.words() and "Careful" in page.words()
    assert page.words().count("after 2 steps") == 2
    assert not has(page, "button", "draw_both")


def test_the_transparent_picture(panel):
    page = panel(large="maco")
    press(page, "draw_large")
    job = [job for job in page.engine.jobs() if job.task == "core.featurevis.portrait:run"][-1]
    assert isinstance(job.result(), Portrait) and job.result().png.startswith(b"\x89PNG")
    assert has(page, "download_button", "save_portrait")


def test_the_photo_goes_along_to_the_explorer(app):
    page = app(PAGE, size=64, steps=1, choose="photo", photo="coffee", count=1, layer="block5_project_bn")
    number = shown(page)[0].filters[0]
    next(each for each in page.at.button if "Where does it fire" in each.label).click()
    page.at.run()
    assert page.widget("selectbox", "explorer.photo").value == "coffee"
    assert f"Channel {number}" in page.words()


# --- DeepDream -------------------------------------------------------------------------------------------------------

DREAM = {"view": "dream", "dream_size": 96, "dream_steps": 1, "octaves": 1}


def test_a_photo_dreams(app):
    page = app(PAGE, **DREAM, photo="coffee")
    request, dream = shown(page, "dream_shown")
    assert isinstance(dream, Dream) and max(dream.width, dream.height) == 96
    assert request.layers
    assert "Before" in page.words() and "After" in page.words()
    assert has(page, "download_button", "save_dream")
    assert "visualizer.shown" not in page.at.session_state  # only the chosen view computes


def test_a_dream_begins_with_the_engines_own_numbers(app):
    page = app(PAGE, view="dream", dream_size=96, octaves=1, dream="block9_add")
    request, dream = shown(page, "dream_shown")
    assert (request.steps, request.learning_rate) == (DreamRequest.steps, DreamRequest.learning_rate)
    assert dream.steps == dream.step == DreamRequest.steps


def test_layers_weights_and_strength_wait_for_dream(app):
    page = app(PAGE, **DREAM, dream="block10_add,block9_add", **{"weight.block9_add": 0.5})
    assert shown(page, "dream_shown")[0].layers == (("block10_add", 1.0), ("block9_add", 0.5))
    page.widget("select_slider", "visualizer.strength").set_value(8.0)
    page.run()
    assert "press **Dream**" in page.words()
    press(page, "dream_button")
    assert shown(page, "dream_shown")[0].learning_rate == 8.0
    page.widget("multiselect", "visualizer.dream").set_value([])
    page.run()
    assert page.widget("button", "dream_button").disabled


# --- Classes ---------------------------------------------------------------------------------------------------------

CLASSES = {"view": "classes", "class_size": 64, "class_steps": 2}


def test_what_a_class_looks_like(app):
    page = app(PAGE, **CLASSES, **{"class": 985})
    request, portrait = shown(page, "class_shown")
    assert (request.objective, request.filter, request.layer) == ("class", 985, "predictions")
    assert "daisy" in page.words()
    assert page.figure("scores")
    assert has(page, "download_button", "save_portrait")
    assert portrait.steps == 2
    page.widget("button_group", "visualizer.weights").set_value("random")
    page.run()
    assert not has(page, "plotly_chart", "scores") and "Press **Draw** to see what this network" in page.words()


def test_a_suggested_class_is_drawn_at_once(app):
    page = app(PAGE, **CLASSES)
    first = shown(page, "class_shown")[0].filter
    other = next(
        each.key for each in page.at.button if (each.key or "").startswith("class_") and each.key != f"class_{first}"
    )
    press(page, other)
    assert shown(page, "class_shown")[0].filter == int(other.removeprefix("class_"))


def test_a_network_without_class_names_says_so():
    from core.messages import LayerInfo, ModelInfo, ModelRef
    from pages.visualizer.class_view import has_classes

    last = LayerInfo("dense", "Dense", (10,), 100)
    info = ModelInfo(ModelRef("x"), "x", "", (32, 32), 0, "", None, (last,))
    assert not has_classes(info)


# --- Before class ----------------------------------------------------------------------------------------------------


def test_layers_are_drawn_before_class_and_open(app):
    page = app(PAGE, size=64, steps=1, count=1)
    page.widget("multiselect", "visualizer.lesson_layers").set_value(["stem_conv", "block0_project_conv"])
    page.run()
    press(page, "queue_layers")
    rows = [each.value for each in page.at.text]
    assert "stem_conv, 0 to 31" in rows and "block0_project_conv, 0 to 15" in rows
    assert rows.count("ready") == 2
    next(each for each in page.at.button if each.label == "Open").click()
    page.run()
    assert shown(page)[1].layer == "stem_conv"
    assert "press **Draw**" not in page.words()


def test_every_filter_of_a_layer_in_pages():
    from core.messages import LayerInfo, ModelInfo, ModelRef, RenderRequest
    from pages.visualizer.lesson_queue import requests_for

    layer = LayerInfo("conv", "Conv2D", (8, 8, 80), 100)
    info = ModelInfo(ModelRef("x"), "x", "", (32, 32), 0, "", None, (layer,))
    like = RenderRequest(info.ref, "other", (5,), "fast", seed=4)
    pages = requests_for(info, ["conv"], like, every=True)
    assert [(each.filters[0], each.filters[-1]) for each in pages] == [(0, 63), (64, 79)]
    assert {(each.layer, each.method, each.seed) for each in pages} == {("conv", "fast", 4)}
    assert len(requests_for(info, ["conv"], like, every=False)) == 1
