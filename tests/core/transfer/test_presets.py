"""Recipes to begin with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core import runs
from core.errors import UserError
from core.messages import ModelRef
from core.transfer import presets, settings
from core.transfer.requests import TrainingConfig

PLAIN = TrainingConfig("photos.zip", ModelRef("efficientnet_lite0"), "out", per_class=5, seed=3)


@pytest.mark.parametrize("name", presets.PRESETS)
def test_a_preset_changes_the_recipe_and_not_what_it_is_for(name, tmp_path):
    config = presets.apply(name, PLAIN)
    assert config.preset == name
    assert (config.data, config.out, config.per_class, config.seed) == ("photos.zip", "out", 5, 3)
    assert config.backbone.name == "efficientnet_lite0"
    runs.write_config(tmp_path, config)
    assert runs.read_config(tmp_path) == config


def test_only_the_recipe_from_scratch_takes_random_weights():
    assert {name for name in presets.PRESETS if presets.apply(name, PLAIN).backbone.weights is None} == {"scratch"}


def test_the_textbook_s_recipe_is_the_textbook_s():
    config = presets.apply("textbook", PLAIN)
    assert presets.PRESETS["textbook"].backbone == "resnet152v2"
    assert (config.size, config.pooling, config.dense) == (150, "flatten", (512, 256))


def test_the_quick_one_is_what_is_there_without_any():
    assert replace(presets.apply("quick", PLAIN), preset="") == PLAIN


def test_an_unknown_preset_is_refused_in_a_sentence():
    with pytest.raises(UserError, match="There is no preset named 'fast'"):
        presets.apply("fast", PLAIN)


def test_a_rate_is_written_as_one_writes_a_number():
    assert [settings.rate_words(rate) for rate in (1e-5, 1.5e-6, 0.003)] == ["0.00001", "0.0000015", "0.003"]
