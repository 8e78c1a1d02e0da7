"""Networks as people bring them, on the Explorer and the Visualizer: steps, volumes, no maps at all, 28 × 28 pixels."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image

from core import images, plots
from core.architecture import takes_any_size
from core.messages import LayerInfo, ModelInfo, ModelRef, Mosaic, RenderRequest
from pages.explorer import channel_panel, pattern_panel, taking_home, why_view
from pages.shared import size
from pages.shared.choices import drawable
from pages.visualizer import filter_panel, lesson_queue, mosaic_view
from tests.core.tiny import with_seeded_weights

L = keras.layers


def saved(model: keras.Model, folder) -> bytes:
    path = folder / "model.keras"
    with_seeded_weights(model).save(path)
    return path.read_bytes()


def everything() -> keras.Model:
    """Maps, a volume, steps that are tiles, steps that are none, a vector: in one network of 16 × 16 pixels."""
    inputs = keras.Input((16, 16, 3))
    x = L.Rescaling(1 / 255, name="scaled")(inputs)
    x = L.Conv2D(12, 4, strides=4, name="patches")(x)
    x = L.Reshape((2, 2, 4, 12), name="volume")(x)
    x = L.Reshape((16, 12), name="tokens")(x)
    x = L.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = L.LSTM(6, return_sequences=True, name="lstm")(x)
    x = L.Flatten(name="flat")(x)
    return keras.Model(inputs, L.Dense(3, activation="softmax", name="answer")(x))


def lenet() -> keras.Model:
    inputs = keras.Input((28, 28, 1))
    x = L.Rescaling(1 / 255, name="scaled")(inputs)
    x = L.Conv2D(4, 5, activation="relu", name="conv1")(x)
    x = L.Conv2D(5, 5, strides=2, activation="relu", name="conv2")(x)
    x = L.Dense(8, activation="relu", name="hidden")(L.Flatten(name="flat")(x))
    return keras.Model(inputs, L.Dense(3, activation="softmax", name="digits")(x))


def brought(app, page: str, data: bytes, where: str):
    """The page with the network open and on show."""
    page = app(page)
    page.widget("file_uploader", f"{where}.model_file").upload("mine.keras", data, "application/octet-stream")
    page.at.run()
    page.widget("file_uploader", f"{where}.model_file").set_value(None)  # else it would be sent again at each run
    page.finish()
    assert page.widget("selectbox", f"{where}.model").value.endswith(".keras")
    return page


def put(page, kind: str, key: str, value):
    page.widget(kind, key).set_value(value)
    page.run()
    assert not page.at.error, [each.value for each in page.at.error]
    return page


def figures(page) -> list[str]:
    return [each.key for each in page.at.get("plotly_chart")]


def spec(page, key: str) -> dict:
    return json.loads(page.figure(key).proto.spec)


def test_the_explorer_shows_steps_and_volumes(app, tmp_path):
    page = brought(app, "activation_explorer", saved(everything(), tmp_path), "explorer")
    assert page.widget("selectbox", "explorer.layer").value == "patches"

    put(page, "selectbox", "explorer.layer", "lstm")
    assert "16 steps of 6 units" in page.words()
    heat, points = spec(page, "steps")["data"]
    assert heat["type"] == "heatmap" and [each[-1] for each in points["customdata"]] == 16 * list(range(6))
    assert {"large", "curve"} <= set(figures(page))  # its steps are tiles of the photo
    put(page, "selectbox", "explorer.order", "variance")
    assert sorted(each[-1] for each in spec(page, "steps")["data"][1]["customdata"][:6]) == list(range(6))
    for part, shown in (("values", "histogram"), ("cell", "cell_curve")):
        put(page, "button_group", "explorer.part", part)
        assert shown in figures(page)
    assert "Step " in page.words() and page.widget("number_input", "explorer.y").value in range(16)

    put(page, "selectbox", "explorer.layer", "attention")
    put(page, "button_group", "explorer.part", "steps")
    assert {"large", "curve"} <= set(figures(page)) and "tiles of the photo, row by row: 4 × 4" in page.words()
    put(page, "slider", "explorer.blend", 30)
    assert page.at.query_params["blend"] == "30"

    put(page, "selectbox", "explorer.layer", "volume")
    assert "12 channels of 2 × 2 × 4" in page.words() and {"grid", "film"} <= set(figures(page))
    other = 1 - page.widget("slider", "explorer.depth").value
    before = spec(page, "grid")["data"][0]["z"]
    put(page, "slider", "explorer.depth", other)
    assert spec(page, "grid")["data"][0]["z"] != before and page.at.query_params["depth"] == str(other)
    for through in ("mean", "max"):
        before = spec(page, "grid")["data"][0]["z"]
        put(page, "button_group", "explorer.through", through)
        assert spec(page, "grid")["data"][0]["z"] != before and page.at.query_params["through"] == through
    put(page, "button_group", "explorer.part", "cell")
    assert "cannot be shown here" in page.at.info[0].value


def test_every_view_takes_them(app, tmp_path):
    page = brought(app, "activation_explorer", saved(everything(), tmp_path), "explorer")
    put(page, "button_group", "explorer.view", "journey")
    assert {f"journey_{layer}" for layer in ("patches", "attention")} <= set(figures(page))
    for layer in ("lstm", "volume"):
        put(page, "selectbox", "explorer.layer", layer)
        put(page, "button_group", "explorer.view", "compare")
        put(page, "slider", "explorer.rotate", 90)
        assert "compared" in figures(page)
    assert "mean over all slices" in page.words()
    put(page, "button_group", "explorer.view", "what_if")
    assert {"effects", "what_if"} <= set(figures(page))


def test_a_network_without_maps_is_explained_by_its_pixels():
    layers = (LayerInfo("lstm", "LSTM", (28, 8), 0), LayerInfo("answer", "Dense", (3,), 0, inputs=("lstm",)))
    scene = SimpleNamespace(info=info_of(layers, (28, 28)))
    methods = why_view.methods_for(scene)
    assert "gradcam" not in methods and why_view.WITHOUT_MAPS in methods and "occlusion" in methods
    with_maps = SimpleNamespace(info=info_of((LayerInfo("conv", "Conv2D", (4, 4, 8), 0), *layers), (28, 28)))
    assert "gradcam" in why_view.methods_for(with_maps)


def test_another_photo_size_shows_the_convolutions_and_says_what_is_lost(app, tmp_path):
    page = brought(app, "activation_explorer", saved(lenet(), tmp_path), "explorer")
    assert "The network says" in page.words()
    put(page, "selectbox", "explorer.size", (112, 112))
    assert "4 channels of 108 × 108" in page.words() and page.at.query_params["size"] == "112x112"
    words = page.words().replace("\\", "")
    assert "At 112 × 112 its layers up to “conv2” can be seen; its answer exists only at 28 × 28." in words
    assert "does not tell classes" in page.words()
    assert page.widget("selectbox", "explorer.layer").options == ["scaled", "conv1", "conv2"]
    put(page, "selectbox", "explorer.size", (28, 28))
    assert "size" not in page.at.query_params and "The network says" in page.words()


@pytest.mark.slow
def test_the_visualizer_draws_convolutions_at_any_size_and_units_at_their_own(app, tmp_path):
    page = brought(app, "filter_visualizer", saved(lenet(), tmp_path), "visualizer")
    assert not figures(page)  # another network's mosaic is not shown under this one
    page.widget("button", "draw").click()
    page.run()
    assert "mosaic" in figures(page)
    assert page.at.session_state["visualizer.shown"][0].size == 128
    page.widget("selectbox", "visualizer.layer").set_value("hidden")
    page.run()
    assert "takes only pictures of 28 × 28 pixels" in page.words()
    page.widget("button", "draw").click()
    page.run()
    request, drawing = page.at.session_state["visualizer.shown"]
    assert (request.layer, request.size) == ("hidden", 28)
    assert drawing.snapshot().state == "done" and drawing.snapshot().result.tile == 28
    put(page, "button_group", "visualizer.panel", "large")
    assert not page.at.error


# --- Without a page --------------------------------------------------------------------------------------------------


def info_of(layers, input_size, **facts) -> ModelInfo:
    return ModelInfo(ModelRef("mine.keras"), "Mine", "", input_size, 0, "none", None, layers, **facts)


def chained(*layers: tuple) -> tuple[LayerInfo, ...]:
    found: list[LayerInfo] = []
    for name, type, shape in layers:
        found.append(LayerInfo(name, type, shape, 1, inputs=(found[-1].name,) if found else ()))
    return tuple(found)


SMALL = chained(
    ("conv", "Conv2D", (26, 26, 4)), ("flat", "Flatten", (2704,)), ("hidden", "Dense", (8,)), ("answer", "Dense", (3,))
)


def test_what_is_behind_a_flattening_takes_one_size():
    fixed = info_of(SMALL, (28, 28), sizes_fixed=True)
    assert [size.only_size(fixed, layer) for layer in SMALL] == [None, 28, 28, 28]
    assert [size.drawing_size(fixed, layer, "lucid") for layer in SMALL] == [128, 28, 28, 28]
    free = info_of(SMALL, (28, 28))
    assert [size.only_size(free, layer) for layer in SMALL] == [None] * 4
    pooled = chained(("conv", "Conv2D", (26, 26, 4)), ("pool", "GlobalAveragePooling2D", (4,)))
    assert all(takes_any_size(pooled, layer) for layer in pooled)
    numbers = chained(("hidden", "Dense", (8,)), ("answer", "Dense", (3,)))
    assert not any(takes_any_size(numbers, layer) for layer in numbers)


def test_oblong_networks_draw_what_takes_any_size():
    oblong = info_of(SMALL, (28, 40), sizes_fixed=True)
    assert [layer.name for layer in mosaic_view.layers_of(oblong)] == ["conv"]
    rows = chained(("lstm", "LSTM", (28, 8)), ("answer", "Dense", (3,)))
    assert mosaic_view.layers_of(info_of(rows, (28, 40), sizes_fixed=True)) == []


def test_the_visualizer_begins_with_a_layer_that_has_learned():
    scaled = LayerInfo("scaled", "Rescaling", (28, 28, 3), 0)
    assert mosaic_view.first_layer([scaled, *SMALL]) == "conv"
    assert mosaic_view.first_layer(list(SMALL[1:])) == "hidden"
    steps = chained(("rows", "Conv1D", (28, 8)), ("lstm", "LSTM", (28, 8)), ("answer", "Dense", (3,)))
    assert mosaic_view.first_layer(list(steps)) == "rows"


def test_a_large_picture_keeps_a_size_that_is_fixed():
    request = RenderRequest(ModelRef("mine.keras"), "hidden", (0,), "lucid", 28)
    assert filter_panel.portrait_request(request, 0, "lucid").size == 56
    assert filter_panel.portrait_request(request, 0, "lucid", fixed=True).size == 28


def test_each_layer_is_prepared_at_a_size_that_it_takes():
    info = info_of(SMALL, (28, 28), sizes_fixed=True)
    like = RenderRequest(info.ref, "conv", (0,), "lucid", 64)
    found = lesson_queue.requests_for(info, ["conv", "hidden"], like, every=False)
    assert [(each.layer, each.size) for each in found] == [("conv", 64), ("hidden", 28)]
    found = lesson_queue.requests_for(info, ["conv"], replace(like, layer="hidden", size=28), every=False)
    assert [each.size for each in found] == [128]


def test_what_can_be_drawn_has_channels():
    layers = (LayerInfo("a", "LSTM", (5, 4), 0), LayerInfo("b", "Reshape", (1, 2, 3, 4, 5), 0))
    assert [layer.name for layer in drawable(info_of(layers, (5, 4)))] == ["a"]


def test_sizes_are_said_offered_and_read():
    assert size.sizes_for((28, 28)) == [(28, 28), (56, 56), (112, 112), (224, 224), (448, 448)]
    assert (60, 80) in size.sizes_for((30, 40)) and (14, 14) not in size.sizes_for((28, 28))
    assert size.size_in("64x48") == (64, 48)
    for wrong in ("64", "64x", "0x9", "9999x9999", "axb", "1x2x3"):
        with pytest.raises(ValueError):
            size.size_in(wrong)
    own, none = info_of(SMALL, (28, 28), answer="answer"), info_of(SMALL, (56, 56), answer="answer")
    assert size.what_is_there(own, none) == "At 56 × 56 all of its layers can be seen, and its answer."
    branches = info_of((SMALL[0], SMALL[3]), (56, 56))
    assert size.what_is_there(own, branches) == "At 56 × 56 2 of its layers cannot be seen."


def test_the_strongest_place_is_said_for_each_kind():
    values = np.zeros((3, 4, 5), np.float32)
    values[1, 2, 3] = 7
    assert "in slice 1, row 2, column 3" in pattern_panel.whole_photo_words(values)
    assert "**7**, at step 2" in pattern_panel.whole_photo_words(np.array([0, np.nan, 7], np.float32))
    assert "no number" in pattern_panel.whole_photo_words(np.full(3, np.nan, np.float32))
    assert channel_panel.place_words([4]) == "step 4"
    assert channel_panel.place_words([1, 2, 3]) == "slice 1, row 2, column 3"


def test_a_heatmap_goes_home_with_a_row_for_each_step():
    values = np.zeros((4, 8), np.float32)
    values[3, 0] = 1
    picture = Image.open(io.BytesIO(taking_home.picture_of_steps(plots.steps_grid(values, range(8)))))
    width, height = picture.size
    assert (width, height) == (1024, 512)
    assert picture.getpixel((10, height - 10)) == (253, 231, 37)
    assert picture.getpixel((width - 10, height - 10)) == (68, 1, 84)


def test_small_tiles_are_enlarged_in_whole_pixels_and_stay_in_their_places():
    pixels = np.zeros((20, 45, 3), np.uint8)
    pixels[:, 25:] = 255
    facts = {"step": 1, "steps": 1, "scores": (1.0, 2.0), "margin": 5, "columns": 2, "width": 45, "height": 20}
    times_ = {"seconds": 1.0, "seconds_left": None, "seconds_to_first_picture": 1.0}
    mosaic = Mosaic(
        layer="hidden",
        filters=(0, 1),
        picture=images.encode_webp(pixels),
        tile=20,
        precision="float32",
        batch=2,
        origin="",
        **facts,
        **times_,
    )
    shown = plots.mosaic_figure(mosaic).data[0]
    drawn = images.decode(base64.b64decode(shown.source.partition(",")[2]), "it")
    times = drawn.shape[0] // 20
    assert drawn.shape == (20 * times, 45 * times, 3) and 20 * times >= 64
    assert (drawn[:, 25 * times + 1] > 200).all() and (drawn[:, 25 * times - 2] < 50).all()
    # The picture's edges are half a true pixel beyond the middle of the outermost ones.
    assert shown.dx == shown.dy == 1 / times
    assert shown.x0 - shown.dx / 2 == pytest.approx(-0.5) and shown.x0 + shown.dx * (45 * times - 0.5) == pytest.approx(
        44.5
    )


def test_at_another_size_there_is_no_program_that_would_fail():
    layer = SMALL[0]
    scene = SimpleNamespace(info=info_of((layer,), (112, 112), own_size=(28, 28)), layer=layer, model=ModelRef("mine"))
    assert taking_home.code_of(scene).startswith(b"# There is a program for the network's own photo size only")
