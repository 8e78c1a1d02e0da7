"""What a photo becomes under each preprocessing, on networks whose answers can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest

from core import images, ranges
from core.backbones import answers, loading
from core.backbones.preprocessing import PREPROCESSING
from core.errors import UserError
from core.messages import LayerInfo, ModelRef, Openings, Photo, RangesRequest
from tests.core.tiny import tiny_backbone, tiny_model, with_seeded_weights

SIZE = 16


@pytest.fixture(scope="module")
def photo() -> Photo:
    rng = np.random.default_rng(1)
    return Photo.of(rng.integers(20, 236, (SIZE, SIZE, 3), dtype=np.uint8))


def thresholds() -> keras.Model:
    """Channels that answer to red below 0, above 10 and above 300; a class each for the first two, by their means."""
    inputs = keras.Input((SIZE, SIZE, 3))
    maps = keras.layers.Conv2D(3, 1, activation="relu", name="look")(inputs)
    means = keras.layers.GlobalAveragePooling2D()(maps)
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax", name="say")(means))
    kernel = np.zeros((1, 1, 3, 3), np.float32)
    kernel[0, 0, 0] = -1, 1, 1
    model.get_layer("look").set_weights([kernel, np.float32([0, -10, -300])])
    model.get_layer("say").set_weights([np.float32([[1, 0], [0, 1], [0, 0]]), np.zeros(2, np.float32)])
    return model


def saved(model: keras.Model, folder) -> ModelRef:
    path = folder / f"{model.name}.keras"
    model.save(path)
    return ModelRef(str(path))


def test_every_preprocessing_is_shown_with_what_comes_of_it(tmp_path, photo):
    model = thresholds()
    found = {each.preprocessing: each for each in ranges.compare(RangesRequest(saved(model, tmp_path), photo))}
    assert list(found) == ["none", "unit", "tf", "torch", "caffe"]
    for name, seen in found.items():
        pixels = PREPROCESSING[name](photo.pixels)
        red = pixels[..., 0].astype(np.float64)  # the first of the three, whatever colour it is by then
        silent = [(red >= 0).all(), (red <= 10).all(), (red <= 300).all()]
        assert seen.silent == pytest.approx(np.mean(silent)), name
        assert seen.strongest == pytest.approx(max(-red.min(), red.max() - 10, 0), rel=1e-5)
        assert seen.prediction.probability == pytest.approx(float(model(pixels[None]).numpy().max()), abs=1e-5)
        assert seen.layer == "look" and seen.words == PREPROCESSING[name].words
        assert seen.maps.shape == (ranges.SIDE, ranges.SIDE, 3) and seen.maps.dtype == np.uint8
    assert found["none"].prediction.name == "class 1"  # bright pixels are far above 10
    assert found["tf"].silent == pytest.approx(2 / 3) and found["unit"].silent == 1.0


def test_the_picture_of_a_range_is_drawn_from_its_maps_on_one_scale():
    maps = np.zeros((2, 2, 3), np.float32)
    maps[..., 1], maps[0, 0, 2] = 5.0, 10.0
    picture = ranges.picture(maps, (2, 1, 0))
    low, half, high = (images.colourise(np.full((1, 1), v), 0, 10)[0, 0].tolist() for v in (0, 5, 10))
    assert picture[0, 0].tolist() == high and picture[0, 100].tolist() == low
    assert picture[50, -1].tolist() == half
    assert picture[-1, 0].tolist() == low


def test_the_liveliest_are_the_same_for_all_whatever_their_size():
    rng = np.random.default_rng(0)
    quiet, lively = rng.normal(size=(4, 4)), 10 * rng.normal(size=(4, 4))
    one = np.stack([quiet, lively, np.full((4, 4), 99.0), np.full((4, 4), np.nan)], axis=-1)
    assert ranges.liveliest(np.stack([one, one / 1000]))[:2] == (1, 0)


def test_a_layer_is_looked_at_behind_its_activation(tmp_path):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.BatchNormalization(name="scale")(inputs)
    x = keras.layers.Conv2D(2, 3, name="conv")(x)
    x = keras.layers.ReLU(name="relu")(keras.layers.BatchNormalization(name="norm")(x))
    both = keras.layers.Concatenate()([keras.layers.Conv2D(2, 1, name="left")(x), keras.layers.ReLU(name="right")(x)])
    backbone = tiny_backbone(keras.Model(inputs, both), input_size=(8, 8))
    assert ranges.first_look(backbone.layers).name == "relu"
    by_name = {layer.name: layer for layer in backbone.layers}
    assert ranges.first_look((by_name["left"],)).name == "left"
    assert ranges.first_look(tiny_backbone().layers).name == "conv1"  # two read it, and its activation is inside


def test_a_network_without_convolutions_shows_its_units(tmp_path, photo):
    inputs = keras.Input((SIZE, SIZE, 3))
    hidden = keras.layers.Dense(5, activation="relu", name="hidden")(keras.layers.Flatten()(inputs))
    model = with_seeded_weights(keras.Model(inputs, keras.layers.Dense(1, name="a_number")(hidden), name="dense"))
    seen = ranges.compare(RangesRequest(saved(model, tmp_path), photo))[0]
    answer = keras.Model(inputs, hidden)(photo.pixels[None].astype(np.float32)).numpy()[0]
    assert seen.layer == "hidden" and seen.silent == pytest.approx(np.mean(answer == 0))
    assert seen.prediction is None  # one number is no class
    assert seen.maps.shape == (ranges.SIDE, ranges.SIDE, 3)


def test_bars_stand_on_a_line_and_their_lengths_tell():
    picture = ranges.picture(np.float32([2.0, -1.0, 0.0, np.nan]), (0, 1, 2, 3))
    quarter = ranges.SIDE // 4
    up = (picture[:, quarter // 2] == ranges._UP).all(axis=-1).sum()
    down = (picture[:, quarter + quarter // 2] == ranges._DOWN).all(axis=-1).sum()
    assert up == pytest.approx(2 * down, abs=1) and up > 90
    flat = picture[: ranges.SIDE // 2 - 1, 2 * quarter :]
    assert (flat == picture[0, 0]).all()
    assert ranges.picture(np.float32(3.0), ()) is None


def test_steps_are_a_heatmap_and_nothing_but_nan_is_no_error():
    rng = np.random.default_rng(0)
    assert ranges.picture(rng.normal(size=(10, 30)), tuple(range(30))).shape == (ranges.SIDE, ranges.SIDE, 3)
    assert ranges.picture(rng.normal(size=(5, 6, 7, 3)), (0, 1, 2)).ndim == 3
    for shape in ((4, 4, 2), (6, 2), (2,)):
        assert ranges.picture(np.full(shape, np.nan, np.float32), (0, 1)) is not None


def test_weights_that_are_no_numbers_make_no_prediction(tmp_path, photo):
    model = thresholds()
    model.get_layer("say").set_weights([np.full((3, 2), np.nan, np.float32), np.zeros(2, np.float32)])
    assert {each.prediction for each in ranges.compare(RangesRequest(saved(model, tmp_path), photo))} == {None}
    model.get_layer("look").set_weights([np.full((1, 1, 3, 3), np.nan, np.float32), np.zeros(3, np.float32)])
    assert all(np.isnan(each.strongest) for each in ranges.compare(RangesRequest(saved(model, tmp_path), photo)))


def test_colours_in_another_order_are_asked_of_colourful_networks_only():
    backbone = tiny_backbone()
    assert ranges.offered(backbone) == ranges.COLOURFUL
    assert ranges.offered(replace(backbone, openings=Openings(channels=1))) == ranges.PLAIN


def test_what_was_answered_changes_nothing_and_the_network_stays_as_it_is(tmp_path, photo):
    ref = saved(tiny_model(SIZE), tmp_path)
    before = [weight.numpy().copy() for weight in loading.load(ref).model.weights]
    answered = ModelRef(ref.name, preprocessing="tf", answers=answers.keep(answers.Answers(preprocessing="caffe")))
    plain, told = (ranges.compare(RangesRequest(each, photo)) for each in (ref, answered))
    assert [each.strongest for each in plain] == [each.strongest for each in told]
    for old, new in zip(before, loading.load(ref).model.weights, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


def test_a_network_that_reads_text_has_no_pixels(monkeypatch, photo):
    monkeypatch.setattr(loading, "load", lambda ref: replace(tiny_backbone(), reads="text"))
    with pytest.raises(UserError, match="reads text"):
        ranges.compare(RangesRequest(ModelRef("tiny"), photo))
    with pytest.raises(UserError, match="No layer"):
        ranges.first_look((LayerInfo("x", "Reshape", (1, 2, 3, 4, 5), 0),))
