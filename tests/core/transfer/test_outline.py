"""What a backbone makes of a size, told without its weights."""

from __future__ import annotations

import keras
import pytest

from core.backbones import loading
from core.messages import ModelRef
from core.transfer import classifier, outline
from core.transfer.requests import OutlineRequest, TrainingConfig
from pages.trainer import recipe_words
from tests.core.transfer.conftest import tiny_backbone

LITE = ModelRef("efficientnet_lite0")


def test_the_embedded_network_s_outline():
    found = outline.run(OutlineRequest(LITE, 96))
    assert found.maps == (3, 3, 1280)
    assert sum(numbers for _, numbers, _ in found.layers) == 4_694_024 - 1281 * 1000  # all but the classifier
    assert found.layers[0] == ("stem_conv", 3 * 3 * 3 * 32, False)
    assert found.problem is None


def test_a_size_that_a_network_does_not_take_is_said_in_a_sentence():
    found = outline.run(OutlineRequest(ModelRef("xception"), 64))
    assert found.maps == ()
    assert found.problem.startswith("Xception cannot look at photos of 64 × 64 pixels")


def test_an_unknown_network_is_said_in_a_sentence():
    assert "no_such" in outline.run(OutlineRequest(ModelRef("no_such"), 64)).problem


@pytest.mark.parametrize("settings", [{"fine_tune_share": 0.5}, {"fine_tune_share": 1.0}, {"fine_tune_from": "conv2"}])
def test_the_page_counts_what_is_fine_tuned_as_training_does(settings, monkeypatch):
    config = TrainingConfig("", ModelRef("tiny.keras"), "", size=16, fine_tune_epochs=1, **settings)
    monkeypatch.setattr(loading, "headless", lambda ref, shape: tiny_backbone())
    monkeypatch.setattr(loading, "is_model_file", lambda name: True)
    outline._outline.cache_clear()
    found = recipe_words.fine_tuned(config, outline.run(OutlineRequest(config.backbone, 16)))
    outline._outline.cache_clear()
    built = classifier.build(config.backbone, ("a", "b"), config, backbone=tiny_backbone())
    variables = classifier.unfreeze(built, config.fine_tune_share, config.fine_tune_from)
    assert found[1] == sum(keras.ops.size(variable) for variable in variables)
    assert found[0] == next(layer.name for layer in built.backbone.layers if layer.trainable_variables)


def test_the_page_counts_the_head_as_it_is_built():
    for pooling, dense in (("average", ()), ("flatten", (7, 5))):
        config = TrainingConfig("", ModelRef("tiny"), "", size=16, pooling=pooling, dense=dense)
        built = classifier.build(config.backbone, ("a", "b", "c"), config, backbone=tiny_backbone())
        maps = built.backbone.output_shape[1:]
        assert recipe_words.head_numbers(config, maps, 3) == built.head.count_params()
