"""Two scenes on the same channels, without a browser: every control of the view."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from core import runs
from core.messages import LayerInfo, ModelInfo, ModelRef
from pages.explorer import compare_view

PAGE = "activation_explorer"
LAYER = "block6_add"


def spec(figure) -> dict:
    return json.loads(figure.proto.spec)


def address(page, name: str) -> str | None:
    value = page.at.query_params.get(name)
    return value[0] if isinstance(value, list) else value


def put(page, kind: str, name: str, value):
    page.widget(kind, f"explorer.{name}").set_value(value)
    return page.run()


def answers(page) -> dict[str, list[float]]:
    """What each scene says: its name, and its percentages."""
    return {trace["name"]: trace["x"] for trace in spec(page.figure("compared_predictions"))["data"]}


def channels(page) -> list[str]:
    words = [each["text"] for each in spec(page.figure("compared"))["layout"]["annotations"]]
    return [each for each in words if each.startswith("<b>")]


@pytest.fixture(scope="module")
def changed(engine):
    """One visit for the tests of single controls."""
    from tests.pages.conftest import App

    return App(engine, PAGE, view="compare", layer=LAYER)


def test_a_photo_that_is_not_changed_is_the_same(changed):
    first, second = answers(changed).values()
    assert first == pytest.approx(second, abs=1e-3)
    heatmaps = spec(changed.figure("compared"))["data"]
    assert len(heatmaps) == 3 * 8
    assert {each["name"] for each in heatmaps} == {"the photo", "changed", "changed − the photo"}
    assert "All maps are the same" in changed.words() and "No difference yet" in changed.words()


@pytest.mark.parametrize(
    ("kind", "name", "value", "link"),
    [
        ("slider", "rotate", 90, "90"),
        ("slider", "blur", 8, "8"),
        ("slider", "noise", 80, "80"),
        ("slider", "bright", -60, "-60"),
        ("slider", "crop", 50, "50"),
        ("toggle", "grey", True, "yes"),
        ("toggle", "flip", True, "yes"),
    ],
)
def test_each_change_moves_the_prediction_and_the_address(changed, kind, name, value, link):
    put(changed, kind, name, value)
    first, second = answers(changed).values()
    assert first != pytest.approx(second, abs=0.05)
    assert "All maps are the same" not in changed.words() and "No difference yet" not in changed.words()
    assert address(changed, name) == link
    put(changed, kind, name, False if kind == "toggle" else 0)
    assert address(changed, name) is None


def test_which_channels_and_how_many(changed):
    strongest = channels(changed)
    put(changed, "button_group", "many", "16")
    assert channels(changed)[:8] == strongest
    assert len(channels(changed)) == 16
    assert address(changed, "many") == "16"
    put(changed, "toggle", "grey", True)
    put(changed, "button_group", "by", "difference")
    assert channels(changed)[:8] != strongest
    assert address(changed, "by") == "difference"
    put(changed, "toggle", "grey", False)
    put(changed, "button_group", "by", "strength")
    put(changed, "button_group", "many", "8")


def test_a_link_restores_the_change(app):
    page = app(PAGE, view="compare", layer=LAYER, grey="yes", rotate=30, many=16, by="difference", blur=99)
    assert page.widget("toggle", "explorer.grey").value is True
    assert page.widget("slider", "explorer.rotate").value == 30
    assert page.widget("slider", "explorer.blur").value == 0  # 99 is beyond the slider
    assert len(channels(page)) == 16


def png(colour: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((90, 120, 3), colour, np.uint8)).save(file, "PNG")
    return file.getvalue()


def test_another_photo_from_the_samples_or_ones_own(app):
    page = app(PAGE, view="compare", layer="block1_expand_activation", against="photo", other_photo="coffee")
    assert page.widget("selectbox", "explorer.other_photo").value == "coffee"
    assert "espresso" in spec(page.figure("compared_predictions"))["layout"]["yaxis"]["ticktext"]
    put(page, "selectbox", "other_photo", "daisy")
    assert address(page, "other_photo") == "daisy"
    assert "daisy" in spec(page.figure("compared_predictions"))["layout"]["yaxis"]["ticktext"]
    put(page, "selectbox", "other_photo", "own")
    assert not [each for each in page.at.get("plotly_chart") if each.key == "compared"]
    page.widget("file_uploader", "explorer.other_file").upload("red.png", png((200, 20, 30)), "image/png")
    page.run()
    assert page.figure("compared")
    page.widget("file_uploader", "explorer.other_file").set_value(None)
    page.widget("file_uploader", "explorer.other_file").upload("bad.png", b"no picture", "image/png")
    page.run()
    assert len(page.at.error) == 1


def test_wrong_preprocessing_misleads_the_network(app):
    page = app(PAGE, view="compare", layer="pool", against="pixels")
    assert page.widget("selectbox", "explorer.pixels").value == "none"
    assert set(answers(page)) == {"right", "wrong"}
    assert answers(page)["right"][0] > 38 > 20 > answers(page)["wrong"][0]
    assert len(spec(page.figure("compared_units"))["data"]) == 2
    put(page, "selectbox", "pixels", "tf")  # nearly the right one
    assert address(page, "pixels") == "tf"
    assert answers(page)["wrong"][0] == pytest.approx(answers(page)["right"][0], abs=3)
    put(page, "selectbox", "layer", LAYER)
    assert page.figure("compared")


def test_random_weights_and_a_network_that_was_trained_here(app):
    run = finished_run("stem_activation", 32)
    page = app(PAGE, view="compare", layer="stem_activation", against="weights")
    assert page.widget("multiselect", "explorer.others").value == ["random"]
    assert set(answers(page)) == {"ImageNet", "random"}
    assert answers(page)["ImageNet"][0] > 38
    assert answers(page)["random"][0] < 5
    assert "relative to each network's strongest" in page.words().replace("\\", "")
    put(page, "multiselect", "others", ["random", run])
    heatmaps = spec(page.figure("compared"))["data"]
    assert len(heatmaps) == 8 * 5
    assert "The maps differ in size" in page.words().replace("\\", "")
    assert address(page, "others") == f"random,{run}"
    assert len(answers(page)) == 3
    assert "tench two" in spec(page.figure("compared_predictions"))["layout"]["yaxis"]["ticktext"]
    put(page, "selectbox", "layer", LAYER)
    assert "has no layer" in page.words()
    assert len(spec(page.figure("compared"))["data"]) == 8 * 3
    put(page, "multiselect", "others", [])
    assert not [each for each in page.at.get("plotly_chart") if each.key == "compared"]
    put(page, "multiselect", "others", ["random"])
    put(page, "button_group", "weights", "random")  # now the page's own: another one takes its place
    assert page.widget("multiselect", "explorer.others").value == ["imagenet"]
    assert set(answers(page)) == {"random", "ImageNet"}


def test_a_network_without_classes_is_compared_by_its_maps(app):
    run = finished_run("stem_activation", 32, tells_classes=False)
    page = app(PAGE, view="compare", model=run)
    assert page.figure("compared")
    assert "does not tell classes" in page.words()
    assert not [each for each in page.at.get("plotly_chart") if each.key == "compared_predictions"]
    put(page, "button_group", "view", "what_if")
    assert "There is no prediction here that could change" in page.words()


def finished_run(layer: str, channels: int, *, tells_classes: bool = True) -> str:
    """A run of the trainer, so far as the pages know: its id."""
    import keras

    from core.backbones import imported

    run = runs.new_run()
    inputs = keras.Input((48, 48, 3))
    x = keras.layers.Conv2D(channels, 3, strides=2, activation="relu", name=layer)(inputs)
    if tells_classes:
        x = keras.layers.Dense(2, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))
    keras.Model(inputs, x).save(run / "model.keras")
    imported.write_facts(run / "model.keras", ("tench two", "other"), (48, 48))
    # The page's list of networks knows its entries by their words: classes, accuracy, minute.
    facts = {
        "validation_accuracy": 0.9 if tells_classes else 0.8,
        "classes": ["tench two", "other"],
        "backbone": "efficientnet_lite0",
    }
    (run / "report.json").write_text(json.dumps(facts), encoding="utf-8")
    return run.name


# --- Without a page --------------------------------------------------------------------------------------------------


def layer(name: str, *shape: int) -> LayerInfo:
    return LayerInfo(name, "Conv2D", shape, 0)


def info(*layers: LayerInfo) -> ModelInfo:
    return ModelInfo(ModelRef("x"), "X", "", (32, 32), 0, "", None, layers)


def test_the_same_layer_is_found_inside_another_model():
    wanted = layer("block1_add", 14, 14, 80)
    nested = info(layer("photo", 28, 28, 3), layer("net/block1_add", 7, 7, 80))
    assert compare_view.same_layer(nested, wanted).name == "net/block1_add"
    both = info(layer("a/block1_add", 7, 7, 80), layer("b/block1_add", 14, 14, 80))
    assert compare_view.same_layer(both, wanted).name == "b/block1_add"
    for other in (layer("block1_add", 14, 14, 81), layer("block1_add", 80), layer("xblock1_add", 14, 14, 80)):
        assert compare_view.same_layer(info(other), wanted) is None
    assert compare_view.same_layer(info(wanted), replace(wanted, name="deep/er/block1_add")) is wanted


def test_two_runs_of_the_same_words_are_told_apart():
    options = {name: ("★ cats", ModelRef(name)) for name in ("a", "b")}
    assert compare_view.told_apart(options) == {"a": ("★ cats", ModelRef("a")), "b": ("★ cats (2)", ModelRef("b"))}


def test_the_best_of_all_are_named():
    first = {(1, "cat"): 0.6, (2, "dog"): 0.3, (3, "owl"): 0.1}
    other = {(1, "cat"): 0.0, (2, "dog"): 0.1, (9, "car"): 0.9}
    assert compare_view.best_names([first, other]) == [(1, "cat"), (2, "dog"), (9, "car"), (3, "owl")]
    assert compare_view.best_names([first, {}])[:2] == [(1, "cat"), (2, "dog")]
