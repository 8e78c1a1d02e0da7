"""What a recipe will do, in plain words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.messages import ModelRef
from core.transfer import presets
from core.transfer.requests import Outline, TrainingConfig
from pages.trainer import recipe_words
from pages.trainer.recipe_words import Facts

LITE = TrainingConfig("photos", ModelRef("efficientnet_lite0"), "")
LAYERS = (("stem", 100, False), ("stem_bn", 8, True), ("middle", 1000, False), ("last", 10_000, False))
FACTS = Facts(counts=(10, 20), outline=Outline((5, 5, 1280), LAYERS))


def said(facts: Facts = FACTS, **more) -> str:
    return recipe_words.summary(replace(LITE, **more), facts).replace("\\", "")


def test_the_quick_recipe_in_a_sentence():
    assert said() == (
        "24 photos of 160 × 160 pixels → **EfficientNet-Lite0**, frozen → average pooling to 1,280 numbers → "
        "**2 classes**: **2,562 numbers** to learn. Each photo is looked at in 4 variants, and all of them are learned "
        "from 8 times."
    )


def test_what_is_not_known_yet_is_not_said():
    assert said(Facts()).startswith(
        "Your photos of 160 × 160 pixels → **EfficientNet-Lite0**, frozen → average pooling → **its classes**. Each"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"per_class": 5}, "8 photos"),
        ({"validation": 0.5}, "15 photos"),
        ({"pooling": "flatten", "dense": (512, 256)}, "flattened to 32,000 numbers → 512 units → 256 units"),
        ({"augmentation": None, "epochs": 1}, "Each photo is learned from once, always as it is."),
        ({"variants": 0}, "Each photo is learned from 8 times, changed a little each time."),
        ({"fine_tune_epochs": 1}, "the last 30\u00a0% of its layers (10,000 numbers), learns gently for 1 epoch more."),
        ({"fine_tune_epochs": 2, "fine_tune_from": "middle"}, "from the layer middle on (11,000 numbers)"),
        ({"eager": True}, "runs eagerly"),
    ],
)
def test_each_choice_is_said(change, words):
    assert words not in said()
    assert words in said(**change)


def test_from_scratch_all_numbers_are_learned():
    config = presets.apply("scratch", LITE)
    words = recipe_words.summary(config, FACTS).replace("\\", "")
    assert "**EfficientNet-Lite0**, untrained, all of it learns" in words
    assert f"**{2_562 + 11_108:,} numbers** to learn" in words


def test_folders_that_split_the_photos_are_counted_as_they_are():
    facts = replace(FACTS, parts=((6, 2, 2), (12, 4, 4)))
    assert "18 photos" in said(facts)
    assert "24 photos" in said(facts, own_splits=False)
    assert "15 photos" in said(replace(facts, parts=((6, 0, 4), (12, 0, 8))))  # a fifth of them is drawn


def test_weights_that_are_not_here_are_said_plainly():
    textbook = replace(presets.apply("textbook", LITE), backbone=ModelRef("resnet152v2"))
    assert "about 242 MB must be downloaded before" in recipe_words.weights_missing(textbook)
    untrained = replace(textbook, backbone=ModelRef("resnet152v2", None))
    assert "taken untrained" in recipe_words.weights_missing(untrained)
    assert recipe_words.weights_missing(LITE) is None
    assert recipe_words.weights_missing(presets.apply("scratch", untrained)) is None


def test_what_cannot_work_is_said_in_a_sentence():
    assert recipe_words.problems(LITE, FACTS) == []
    small = replace(FACTS, outline=Outline(problem="Too small."))
    assert recipe_words.problems(LITE, small) == ["Too small."]
    gone = replace(LITE, fine_tune_epochs=1, fine_tune_from="gone")
    assert "no layer gone" in recipe_words.problems(gone, FACTS)[0]


def test_what_hardly_works_is_said_in_a_sentence():
    assert recipe_words.cautions(LITE, FACTS) == []
    assert "more than all 24 pictures" in recipe_words.cautions(replace(LITE, augmentation=None), FACTS)[0]
    huge = replace(LITE, pooling="flatten", dense=(4096,))
    assert "131 million numbers" in recipe_words.cautions(huge, FACTS)[0]
    frozen = replace(LITE, backbone=ModelRef("efficientnet_lite0", None))
    assert "untrained *and* frozen" in recipe_words.cautions(frozen, FACTS)[0]
