"""The options of `python -m core train`, and a run that several devices or processes share."""

from __future__ import annotations

import argparse
import json
from dataclasses import fields, replace

import pytest

from core import training_command
from core.errors import UserError
from core.messages import ModelRef
from core.transfer import presets
from core.transfer.requests import Augmentation, TrainingConfig

REF = ModelRef("efficientnet_lite0")


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    training_command.add_options(parser)
    return parser.parse_args(["--data", "photos", "--backbone", "efficientnet_lite0", *words])


def config(*words: str) -> TrainingConfig:
    return training_command.config_of(parsed(*words), REF, "out")


def test_what_is_not_given_is_the_configurations_own():
    assert config() == TrainingConfig("photos", REF, "out")


def test_every_field_has_an_option():
    given = vars(parsed())
    elsewhere = {"data", "backbone", "out", "augmentation"}
    for field in fields(TrainingConfig):
        assert field.name in given or field.name in elsewhere, field.name
    assert {field.name for field in fields(Augmentation)} <= given.keys()


def test_options_are_read_into_the_configuration():
    read = config(
        *("--pooling", "flatten", "--dense", "512,256", "--class-weights", "--eager", "--label-smoothing", "0.1"),
        *("--fine-tune-from", "block9_add", "--optimizer", "sgd", "--schedule", "cosine", "--variants", "0"),
    )
    assert read == TrainingConfig(
        *("photos", REF, "out"),
        pooling="flatten",
        dense=(512, 256),
        class_weights=True,
        eager=True,
        label_smoothing=0.1,
        fine_tune_from="block9_add",
        optimizer="sgd",
        schedule="cosine",
        variants=0,
    )


def test_options_change_a_preset():
    preset = presets.apply("accurate", TrainingConfig("photos", REF, "out"))
    assert config("--preset", "accurate") == preset
    assert config("--preset", "accurate", "--epochs", "3") == replace(preset, epochs=3)
    changed = config("--preset", "accurate", "--shear", "0.2").augmentation
    assert changed == replace(preset.augmentation, shear=0.2)


def test_augmentation_can_be_left_out_but_not_changed_then():
    assert config("--no-augmentation").augmentation is None
    with pytest.raises(UserError, match="--zoom"):
        config("--no-augmentation", "--zoom", "0.2")


@pytest.mark.parametrize("words", [("--dense", "512,x"), ("--dense", "0"), ("--epochs", "-1"), ("--loss", "hinge")])
def test_a_slip_of_the_pen_is_told(words, capsys):
    with pytest.raises(SystemExit):
        parsed(*words)
    assert words[1] in capsys.readouterr().err


def tf_config(kind: str, index: int, **cluster: list[str]) -> str:
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


@pytest.mark.parametrize(
    ("text", "is_chief"),
    [
        (tf_config("worker", 0, worker=["a:1", "b:1"]), True),
        (tf_config("worker", 1, worker=["a:1", "b:1"]), False),
        (tf_config("worker", 0, chief=["c:1"], worker=["a:1"]), False),
        (tf_config("chief", 0, chief=["c:1"], worker=["a:1"]), True),
    ],
)
def test_one_process_is_the_chief(text, is_chief):
    assert training_command._reads_as_chief(text) == is_chief


@pytest.mark.parametrize("text", ["", "{", "[]", tf_config("worker", 2, worker=["a:1"]), '{"task": 3, "cluster": {}}'])
def test_a_tf_config_that_says_nothing_is_refused_with_an_example(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match='"worker"'):
        training_command.devices_of(parsed("--strategy", "multi-worker"))


@pytest.mark.parametrize("words", [("--devices", "2"), ("--strategy", "mirrored", "--devices", "0")])
def test_devices_that_cannot_be(words):
    with pytest.raises(UserError, match="--devices"):
        training_command.devices_of(parsed(*words))
