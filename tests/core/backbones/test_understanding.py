"""What is found out about a network, and what a person's answers change."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers as L

from core.backbones import graph, loading, receptive, understanding
from core.backbones.answers import Answers, Beside
from core.backbones.catalogue import CATALOGUE
from core.backbones.preprocessing import PREPROCESSING
from core.errors import UserError
from tests.core.tiny import tiny_model


def network(*, before=lambda x: x, shape=(32, 32, 3), classes=3, activation="softmax", dtype=None):
    inputs = keras.Input(shape, dtype=dtype)
    x = L.GlobalAveragePooling2D()(L.Conv2D(4, 3, name="conv")(before(inputs)))
    return keras.Model(inputs, L.Dense(classes, activation=activation, name="classes")(x))


def understood(model, facts=None, **answers):
    return understanding.understand(model, facts or {}, Answers(**answers))


# What the pixels should be


def _adapted(scale):
    layer = L.Normalization()
    layer.adapt(np.random.default_rng(0).uniform(0, scale, (8, 4, 4, 3)).astype(np.float32))
    return layer


def _norm_of(mean, variance):
    def layer(x):
        norm = L.BatchNormalization()
        norm.build(x.shape)
        norm.set_weights([np.ones(3), np.zeros(3), np.full(3, mean), np.full(3, variance)])
        return norm(x)

    return layer


AS_THEY_ARE, UNIT = "pixels as they are", "scaled to 0 … 1"
RANGES = {
    "one of 255": (L.Rescaling(1 / 255), AS_THEY_ARE, True),
    "to minus one": (lambda x: x / 127.5 - 1.0, AS_THEY_ARE, True),
    "mean taken out": (lambda x: x[..., ::-1] - np.array([103.9, 116.8, 123.7], np.float32), AS_THEY_ARE, True),
    "zero to one, doubled": (lambda x: L.Rescaling(2.0, -1.0)(L.RandomFlip()(x)), UNIT, True),
    "made pixels of": (L.Rescaling(255.0), UNIT, True),
    "behind augmentation": (
        lambda x: L.Rescaling(1 / 255)(L.RandomZoom(0.1)(L.RandomRotation(0.1)(x))),
        AS_THEY_ARE,
        True,
    ),
    "adapted to pixels": (lambda x: _adapted(255)(x), AS_THEY_ARE, True),
    "adapted to zero to one": (lambda x: _adapted(1)(x), UNIT, True),
    "normed pixels": (_norm_of(120, 4000), AS_THEY_ARE, True),
    "normed zero to one": (_norm_of(0.5, 0.08), UNIT, False),
    "normed, untrained": (_norm_of(0, 1), UNIT, False),
    "nothing": (lambda x: x, UNIT, False),
    "only cut": (lambda x: L.CenterCrop(16, 16)(x), UNIT, False),
}


@pytest.mark.parametrize("case", RANGES)
def test_what_the_pixels_should_be_is_found_in_the_network(case):
    before, words, known = RANGES[case]
    found = understood(network(before=before))
    assert found.preprocessing.words.startswith(words)
    assert found.openings.range_known is known
    assert ("guess" in found.preprocessing.words) is not known


def test_bytes_are_pixels_as_they_are():
    found = understood(network(dtype="uint8", before=lambda x: keras.ops.cast(x, "float32")))
    assert found.preprocessing.words.startswith(AS_THEY_ARE) and found.openings.range_known


def test_a_known_network_inside_is_recognised_under_any_name():
    with keras.StatelessScope(initialize_variables=False):  # its numbers do not matter
        base = keras.applications.MobileNetV2(alpha=0.35, weights=None, include_top=False, input_shape=(32, 32, 3))
        base.name = "body"
        inputs = keras.Input((32, 32, 3))
        plain = keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(base(inputs))))
        scaled = keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(base(L.Rescaling(1 / 255)(inputs)))))
        found = understood(plain)
        assert found.preprocessing == PREPROCESSING["tf"]
        assert found.openings.range_known
        assert understood(scaled).preprocessing == PREPROCESSING["none"]


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted({entry.family for entry in CATALOGUE.values()}))
def test_every_family_of_the_catalogue_is_recognised_under_any_name(family):
    entry = min((entry for entry in CATALOGUE.values() if entry.family == family), key=lambda entry: entry.parameters)
    with keras.StatelessScope(initialize_variables=False):
        base = loading.skeleton(entry.name, (*entry.input_size, 3))
        base.name = "body"
        inputs = keras.Input((*entry.input_size, 3))
        found = understood(keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(base(inputs)))))
    assert found.preprocessing == PREPROCESSING[entry.preprocessing]
    assert found.openings.range_known


def test_a_person_and_the_trainers_files_know_better():
    model = network(before=L.Rescaling(1 / 255))
    assert understood(model, preprocessing="caffe").preprocessing.bgr
    assert understood(network(), {"class_names": ["a", "b", "c"]}).openings.range_known


# Several outputs


def two_headed(outputs=list):
    inputs = keras.Input((32, 32, 3))
    x = L.Conv2D(4, 3, name="conv")(inputs)
    where = L.Dense(4, name="where")(L.Flatten(name="flat")(L.Conv2D(2, 3, name="side")(x)))
    what = L.Dense(3, activation="softmax", name="what")(L.GlobalAveragePooling2D(name="pool")(x))
    return keras.Model(inputs, [where, what] if outputs is list else {"where": where, "what": what})


@pytest.mark.parametrize("outputs", [list, dict])
def test_the_first_output_that_tells_classes_is_the_prediction(outputs):
    model = two_headed(outputs)
    found = understood(model)
    pixels = np.random.default_rng(0).uniform(size=(2, 32, 32, 3)).astype(np.float32)
    where, what = keras.Model(model.inputs[0], [model.get_layer("where").output, model.get_layer("what").output])(
        pixels
    )
    np.testing.assert_allclose(found.flat(pixels), what, atol=1e-6)
    assert set(found.openings.outputs) == {"where", "what"}
    assert "“what”" in found.notes[-1]
    np.testing.assert_allclose(understood(model, output="where").flat(pixels), where, atol=1e-5)
    with pytest.raises(UserError, match=r"no output named 'who'.*what"):
        understood(model, output="who")


def test_the_layers_of_the_other_heads_can_be_looked_at_and_do_not_lead_to_the_prediction():
    found = understood(two_headed())
    layers = {layer.name: layer for layer in receptive.describe_layers(found.flat, found.tensors, (32, 32))}
    assert layers["side"].receptive_field == (5, 5)
    side = found.tensors["side"]
    with pytest.raises(UserError, match="'side' does not lead"):
        graph.continued(side, found.flat.outputs[0], side)
    assert graph.last_maps(found.flat) is found.tensors["conv"]


# Names of classes


def test_names_come_from_the_person_then_the_file_then_what_lies_beside_it():
    model, ours, theirs = network(), ("a", "b", "c"), ["d", "e", "f"]
    beside = Beside(class_names=("g", "h", "i"))
    assert understanding.understand(model, {"class_names": theirs}, Answers(class_names=ours)).class_names == ours
    assert understanding.understand(model, {"class_names": theirs}, beside=beside).class_names == tuple(theirs)
    assert understanding.understand(model, {}, beside=beside).class_names == ("g", "h", "i")
    assert not understood(model).openings.names_known


def test_a_list_that_does_not_fit_is_refused_only_if_the_person_gave_it():
    with pytest.raises(UserError, match="The list has 2 names, but the network tells 3 classes"):
        understood(network(), class_names=("a", "b"))
    found = understanding.understand(network(), {"class_names": ["a"]}, beside=Beside(class_names=("a", "b")))
    assert found.class_names is None
    assert "beside" in found.notes[-1]


def test_one_unit_tells_two_classes_by_one_name_or_two():
    one = network(classes=1, activation="sigmoid")
    assert understood(one, class_names=("cat", "dog")).class_names == ("cat", "dog")
    assert understood(one, class_names=("dog",)).class_names == ("not dog", "dog")
    number = understood(network(classes=1, activation=None))
    assert number.class_names is None and number.openings.names_known


# Sizes


def test_it_is_known_whether_the_answer_needs_one_size():
    assert not understood(tiny_model()).sizes_fixed
    assert understood(keras.Sequential([keras.Input((8, 8, 3)), L.Flatten(), L.Dense(2)])).sizes_fixed
    squeeze = network(before=lambda x: x * L.Reshape((1, 1, 3))(L.GlobalAveragePooling2D()(x)))
    assert not understood(squeeze).sizes_fixed
    flexible = understood(network(shape=(None, None, 3)), {"input_size": [48, 64]})
    assert flexible.input_size == (48, 64) and not flexible.sizes_fixed
    assert understood(network(shape=(None, None, 1))).input_size == (224, 224)


# Memory


def test_a_network_that_remembers_begins_anew_with_each_photo():
    inputs = keras.Input(batch_shape=(1, 6, 4))
    model = keras.Model(inputs, L.Dense(2)(L.LSTM(3, stateful=True)(inputs)))
    found = understood(model)
    pixels = np.random.default_rng(0).uniform(size=(1, 6, 4, 3)).astype(np.float32)
    first = np.asarray(found.flat(pixels))
    np.testing.assert_array_equal(found.flat(pixels), first)
    np.testing.assert_allclose(model(pixels @ np.float32([0.299, 0.587, 0.114])), first, atol=1e-6)
