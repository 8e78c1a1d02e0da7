"""A file's network at another photo size than its own."""

from __future__ import annotations

from collections import OrderedDict

import keras
import numpy as np
import pytest
from keras import layers as L

from core.backbones import loading
from core.errors import UserError
from core.messages import ModelRef
from tests.core.tiny import tiny_model, with_seeded_weights


@pytest.fixture
def saved(tmp_path):
    def save(model):
        path = tmp_path / "net.keras"
        with_seeded_weights(model).save(path)
        return str(path)

    return save


def flattening():
    inputs = keras.Input((16, 16, 3))
    x = L.MaxPooling2D(name="down")(L.Conv2D(4, 3, activation="relu", name="conv")(inputs))
    x = L.Dense(5, name="hidden")(L.Flatten(name="flat")(x))
    return keras.Model(inputs, L.Dense(3, activation="softmax", name="classes")(x))


def test_a_network_that_takes_any_size_is_the_whole_one(saved):
    path = saved(tiny_model())
    own, other = loading.load(path), loading.load(ModelRef(path, size=(40, 30)))
    pixels = np.random.default_rng(0).uniform(size=(1, 40, 30, 3)).astype(np.float32)
    anysize = tiny_model(None)
    anysize.set_weights(keras.models.load_model(path).get_weights())
    np.testing.assert_allclose(other.model(pixels), anysize(pixels), atol=1e-5)
    assert [layer.name for layer in other.layers] == [layer.name for layer in own.layers]
    assert (other.input_size, other.own_size, other.ref.size) == ((40, 30), (24, 24), (40, 30))
    assert {id(weight) for weight in other.model.weights} == {id(weight) for weight in own.model.weights}
    assert loading.load(ModelRef(path, size=(40, 30))).model is other.model
    assert loading.load(path).model is own.model


def test_what_needs_the_own_size_is_left_out_and_that_is_said(saved):
    path = saved(flattening())
    other = loading.load(ModelRef(path, size=(20, 24)))
    assert {layer.name: layer.output_shape for layer in other.layers} == {"conv": (18, 22, 4), "down": (9, 11, 4)}
    assert other.notes[-1] == "Its 3 last layers exist only at 16 × 16."
    assert other.layer("conv").receptive_field == (3, 3)
    assert other.model.output_shape == (None, 9, 11, 4)
    assert not other.info().tells_classes and other.info().own_size == (16, 16)


def test_a_catalogue_network_that_flattens_says_so_at_smaller_sizes_too(monkeypatch):
    monkeypatch.setattr(loading, "_build", lambda *_, **__: flattening())
    monkeypatch.setattr(loading, "_loaded", OrderedDict())
    assert loading.load("vgg16", weights=None).info().sizes_fixed
    small = loading.load(ModelRef("vgg16", None, size=(112, 112)))
    assert small.notes == ("Its 3 last layers exist only at 224 × 224.",)


def test_steps_may_be_more_but_not_wider(saved):
    inputs = keras.Input((6, 4))
    path = saved(keras.Model(inputs, L.LSTM(3, name="lstm")(inputs)))
    assert len(loading.load(ModelRef(path, size=(9, 4))).layers) == 1
    with pytest.raises(UserError, match="at 6 × 9 pixels"):
        loading.load(ModelRef(path, size=(6, 9)))


def test_a_size_at_which_there_is_nothing_is_refused_with_one_that_works(saved):
    path = saved(flattening())
    with pytest.raises(UserError, match="least that works is 3 × 3"):
        loading.load(ModelRef(path, size=(2, 2)))
    for size in ((0, 4), (4, 100_000)):
        with pytest.raises(UserError, match="from 1 to"):
            loading.load(ModelRef(path, size=size))
    with pytest.raises(UserError, match="it needs 8 × 8"):
        inputs = keras.Input((8, 8, 3))
        loading.load(ModelRef(saved(keras.Model(inputs, L.Dense(2)(L.Flatten()(inputs)))), size=(9, 9)))


def test_without_maps_the_trainer_gets_the_last_hidden_vector(saved):
    inputs = keras.Input((64,))
    x = L.Dense(6, activation="relu", name="second")(L.Dense(5, activation="relu", name="first")(inputs))
    path = saved(keras.Model(inputs, L.Dense(3, activation="softmax")(x)))
    headless = loading.headless(ModelRef(path), (8, 8, 3))
    backbone = loading.load(path)
    pixels = np.random.default_rng(0).uniform(size=(2, 8, 8, 3)).astype(np.float32)
    expected = keras.Model(backbone.model.inputs[0], backbone.tensor("second"))(pixels)
    np.testing.assert_allclose(headless(pixels), expected, atol=1e-6)
    flat = np.repeat(np.repeat(pixels[:, :1, :1], 16, axis=1), 16, axis=2)  # photos of one colour, of another size
    np.testing.assert_allclose(
        loading.headless(ModelRef(path), (16, 16, 3))(flat), headless(flat[:, :8, :8]), atol=1e-5
    )


def test_the_trainer_may_give_squares_to_a_network_for_oblong_pictures(saved):
    inputs = keras.Input((6, 4))
    path = saved(keras.Model(inputs, L.Dense(2)(L.GRU(3, name="gru")(inputs))))
    assert loading.headless(ModelRef(path), (12, 12, 3)).output_shape == (None, 3)


def test_faulty_weights_are_reported(tmp_path):
    model = tiny_model()
    for name in ("conv1", "conv2"):
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([kernel * 0, bias] if name == "conv1" else [kernel, bias * np.inf])
    model.save(tmp_path / "broken.keras")
    notes = loading.load(str(tmp_path / "broken.keras")).notes
    assert notes[0] == "1 layer holds weights that are not numbers, “conv2”: everything behind it is empty."
    assert "“conv1”" in notes[1] and "zeros" in notes[1]
    tiny_model().save(tmp_path / "whole.keras")
    assert loading.load(str(tmp_path / "whole.keras")).notes == ()
