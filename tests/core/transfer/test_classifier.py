from __future__ import annotations

import keras
import numpy as np
import pytest

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
    assert len(trained) == 2 + sum(len(layer.trainable_variables) for layer in layers)


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


@pytest.mark.parametrize("settings", [None, Augmentation(flip="none", rotation=0, zoom=0, shear=0)])
def test_no_augmentation_is_none(settings):
    assert augment(settings, 0) is None
