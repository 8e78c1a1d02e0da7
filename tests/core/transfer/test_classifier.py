from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest

from core.backbones import loading
from core.backbones.preprocessing import PREPROCESSING
from core.errors import UserError
from core.messages import ModelRef
from core.transfer.classifier import augment, build, preprocess, unfreeze
from core.transfer.requests import Augmentation, TrainingConfig

from .conftest import tiny_backbone

REF = ModelRef("tiny", None)
CLASSES = ("blue", "green", "red")
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype(np.uint8)


def a_classifier(preprocessing="tf", **settings):
    config = TrainingConfig("data", REF, "out", **{"size": 16, **settings})
    return build(REF, CLASSES, config, backbone=tiny_backbone(), preprocessing=PREPROCESSING[preprocessing])


@pytest.mark.parametrize("name", PREPROCESSING)
def test_the_layer_does_what_the_data_say_also_when_saved(tmp_path, name):
    inputs = keras.Input((16, 16, 3))
    model = keras.Model(inputs, preprocess(PREPROCESSING[name], inputs))
    model.save(tmp_path / "model.keras")
    for each in (model, keras.models.load_model(tmp_path / "model.keras")):
        np.testing.assert_allclose(each(PIXELS), PREPROCESSING[name](PIXELS), rtol=1e-5, atol=1e-4)
        assert each.trainable_variables == []


@pytest.mark.parametrize("name", PREPROCESSING)
def test_the_model_is_preprocessing_backbone_pooling_and_head(name):
    classifier = a_classifier(name)
    maps = classifier.backbone(PREPROCESSING[name](PIXELS), training=False)
    pooled = np.mean(maps, axis=(1, 2))
    kernel, bias = classifier.model.get_layer("predictions").get_weights()
    scores = np.exp(pooled @ kernel + bias)
    np.testing.assert_allclose(classifier.model(PIXELS), scores / scores.sum(1, keepdims=True), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(classifier.head(classifier.features(PIXELS)), classifier.model(PIXELS), atol=1e-6)


def test_a_vector_backbone_needs_no_pooling_and_others_are_refused():
    config = TrainingConfig("data", REF, "out", size=16)
    inputs = keras.Input((16, 16, 3))
    vector = keras.Model(inputs, keras.layers.GlobalMaxPooling2D()(inputs))
    assert build(REF, CLASSES, config, backbone=vector).features.output_shape == (None, 3)
    rows = keras.Model(inputs, keras.layers.Reshape((16, 48))(inputs))
    with pytest.raises(UserError, match="tiny"):
        build(REF, CLASSES, config, backbone=rows)


def test_only_the_head_is_trained_at_first():
    classifier = a_classifier()
    assert [variable.path for variable in classifier.model.trainable_variables] == [
        variable.path for variable in classifier.head.trainable_variables
    ]
    assert len(classifier.head.trainable_variables) == 2


def test_the_head_is_drawn_by_the_seed():
    kernels = [a_classifier(seed=seed).head.get_weights()[0] for seed in (3, 3, 4)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_unfreezing_leaves_batchnorm_and_the_first_layers(share):
    classifier = a_classifier()
    trained = unfreeze(classifier, share)
    layers = {layer for layer in classifier.backbone.layers if layer.trainable_variables}
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in layers)
    convolutions = [layer.name for layer in classifier.backbone.layers if isinstance(layer, keras.layers.Conv2D)]
    names = sorted(layer.name for layer in layers)
    assert names == sorted(convolutions[-len(names) :])
    assert len(names) == {0.0: 1, 0.5: 2, 1.0: 3}[share]
    assert len(trained) == sum(len(layer.trainable_variables) for layer in layers)


@pytest.mark.parametrize(
    ("name", "trained"),
    [
        ("conv1", ["conv1", "conv2", "conv3"]),
        ("norm", ["conv2", "conv3"]),
        ("conv2", ["conv2", "conv3"]),
        ("conv3:2", ["conv3"]),
        ("tiny/conv3", ["conv3"]),
    ],
)
def test_unfreezing_from_a_layer_on(name, trained):
    classifier = a_classifier()
    variables = unfreeze(classifier, first=name)
    assert [variable.path for variable in variables] == [
        f"{layer}/{part}" for layer in trained for part in ("kernel", "bias")
    ]


def test_an_unknown_layer_is_refused_with_what_was_meant():
    with pytest.raises(UserError, match=r"conf2.*conv2"):
        unfreeze(a_classifier(), first="conf2")


def test_nothing_to_fine_tune_is_said():
    inputs = keras.Input((16, 16, 3))
    maps = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    backbone = keras.Model(inputs, keras.layers.ReLU(name="last")(maps))
    classifier = build(REF, CLASSES, TrainingConfig("data", REF, "out", size=16), backbone=backbone)
    with pytest.raises(UserError, match="nothing to fine-tune"):
        unfreeze(classifier, first="last")


def test_every_layer_that_the_explorer_lists_is_found_in_the_backbone():
    ref = ModelRef("efficientnet_lite0")
    names = [layer.name for layer in loading.load(ref).layers]
    classifier = build(ref, CLASSES, TrainingConfig("data", ref, "out", size=64))
    layers = {layer.name for layer in classifier.backbone.layers}
    assert set(names) - layers == {"pool", "predictions"}


POOLED = {
    "average": lambda maps: maps.mean((1, 2)),
    "max": lambda maps: maps.max((1, 2)),
    "flatten": lambda maps: maps.reshape(4, -1),
}


@pytest.mark.parametrize("pooling", POOLED)
def test_dense_layers_with_relu_stand_between_pooling_and_softmax(pooling):
    classifier = a_classifier(pooling=pooling, dense=(7, 5))
    x = POOLED[pooling](np.asarray(classifier.backbone(PREPROCESSING["tf"](PIXELS), training=False)))
    for name in ("dense_1", "dense_2"):
        kernel, bias = classifier.model.get_layer(name).get_weights()
        x = np.maximum(x @ kernel + bias, 0)
    kernel, bias = classifier.model.get_layer("predictions").get_weights()
    scores = np.exp(x @ kernel + bias)
    np.testing.assert_allclose(classifier.model(PIXELS), scores / scores.sum(1, keepdims=True), rtol=1e-3, atol=1e-5)
    names = [layer.name for layer in classifier.head.layers[1:]]
    assert names == ["dense_1", "dropout_1", "dense_2", "dropout_2", "predictions"]


def test_an_unknown_pooling_is_refused():
    with pytest.raises(UserError, match="average, max, flatten"):
        a_classifier(pooling="sum")


@pytest.mark.parametrize("settings", [{}, {"from_scratch": True}, {"dense": (4,), "pooling": "flatten"}])
def test_keras_opens_it_again_without_our_code(tmp_path, settings):
    classifier = a_classifier("caffe", **settings)
    classifier.model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", custom_objects={}, safe_mode=True)
    np.testing.assert_array_equal(again(PIXELS), classifier.model(PIXELS))


def test_from_scratch_everything_learns_and_batchnorm_too():
    classifier = a_classifier(from_scratch=True, dropout=0.0)
    assert len(classifier.model.trainable_variables) == 10
    before = classifier.backbone.get_layer("norm").get_weights()
    looked = np.asarray(classifier.model(PIXELS))
    np.testing.assert_array_equal(before[2], classifier.backbone.get_layer("norm").get_weights()[2])
    assert not np.allclose(classifier.model(PIXELS, training=True), looked, rtol=1e-3)
    assert not np.allclose(before[2], classifier.backbone.get_layer("norm").get_weights()[2])


def test_batchnorm_forgets_its_first_statistics_within_a_lessons_steps():
    classifier = a_classifier(from_scratch=True, dropout=0.0)
    for _ in range(50):
        trained = classifier.model(PIXELS, training=True)
    np.testing.assert_allclose(classifier.model(PIXELS), trained, atol=0.02)
    assert a_classifier().backbone.get_layer("norm").momentum == 0.99  # one that was trained keeps its own


def test_batchnorm_stays_in_inference_whoever_calls():
    classifier = a_classifier(dropout=0.0)
    unfreeze(classifier, 1.0)
    before = classifier.backbone.get_weights()
    np.testing.assert_allclose(classifier.model(PIXELS, training=True), classifier.model(PIXELS), rtol=1e-5)
    for old, new in zip(before, classifier.backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_augmentation_changes_photos_by_the_seed_and_is_not_exported():
    settings = Augmentation(rotation=0.2, zoom=0.2, shear=0.2)
    runs = [np.asarray(augment(settings, seed)(PIXELS, training=True)) for seed in (5, 5, 6)]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])
    assert runs[0].shape == PIXELS.shape
    assert runs[0].min() >= 0
    assert runs[0].max() <= 255
    layers = a_classifier(augmentation=settings).model.layers
    assert not any(layer.__class__.__name__.startswith("Random") for layer in layers)


GRADIENT = np.broadcast_to(np.linspace(40, 200, 32)[:, None, None], (6, 32, 32, 3)).astype(np.float32)


@pytest.mark.parametrize("flip", ["horizontal", "vertical", "both"])
def test_flips_turn_photos_over_and_do_nothing_else(flip):
    pixels = np.random.default_rng(0).uniform(0, 255, (24, 4, 4, 3)).astype(np.float32)
    changed = np.asarray(augment(Augmentation(flip, 0, 0), 0)(pixels, training=True))
    turns = {"horizontal": [(0, 1)], "vertical": [(1, 0)], "both": [(0, 1), (1, 0), (1, 1)]}[flip]
    seen = set()
    for one, other in zip(pixels, changed, strict=True):
        kinds = [(0, 0), *turns]
        same = [np.array_equal(other, one[:: 1 - 2 * up, :: 1 - 2 * left]) for up, left in kinds]
        seen.add(kinds[same.index(True)])
    assert seen == {(0, 0), *turns}


def test_shift_moves_and_the_border_is_filled_as_asked():
    settings = Augmentation("none", 0, 0, shift=0.4, fill_mode="constant")
    changed = np.asarray(augment(settings, 0)(GRADIENT, training=True))
    assert (changed == 0).any()
    nearest = np.asarray(augment(replace(settings, fill_mode="nearest"), 0)(GRADIENT, training=True))
    assert nearest.min() >= 39.9
    assert not np.allclose(nearest, GRADIENT, atol=5)


def test_brightness_adds_one_number_to_each_photo_and_stays_in_range():
    changed = np.asarray(augment(Augmentation("none", 0, 0, brightness=0.1), 0)(GRADIENT, training=True))
    added = (changed - GRADIENT).reshape(6, -1)
    np.testing.assert_allclose(added, added[:, :1].repeat(added.shape[1], 1), atol=1e-3)
    assert 0 < np.abs(added[:, 0]).max() <= 25.5
    assert len(np.unique(added[:, 0].round(3))) > 1
    bright = np.asarray(augment(Augmentation("none", 0, 0, brightness=1.0), 0)(GRADIENT, training=True))
    assert (bright.min(), bright.max()) == (0, 255)


@pytest.mark.parametrize("settings", [None, Augmentation(flip="none", rotation=0, zoom=0, shear=0)])
def test_no_augmentation_is_none(settings):
    assert augment(settings, 0) is None
