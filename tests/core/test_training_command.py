"""The options of `python -m core train`, and a run that several devices or processes share."""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import socket
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from core import training_command
from core.errors import UserError
from core.messages import ModelRef
from core.transfer import presets
from core.transfer.requests import Augmentation, TrainingConfig
from tests.core.transfer.conftest import coloured, write

REF = ModelRef("efficientnet_lite0")


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    training_command.add_options(parser)
    return parser.parse_args(["--data", "photos", "--backbone", "efficientnet_lite0", *words])


def config(*words: str) -> TrainingConfig:
    return training_command.config_of(parsed(*words), REF, "out")


def test_what_is_not_given_is_the_configurations_own():
    assert config() == TrainingConfig("photos", REF, "out")


def test_a_network_need_not_be_named():
    assert training_command.backbone_of(parsed("--preset", "textbook")) == "efficientnet_lite0"  # it is named here
    parser = argparse.ArgumentParser()
    training_command.add_options(parser)
    assert training_command.backbone_of(parser.parse_args(["--data", "photos"])) == "efficientnet_lite0"
    textbook = parser.parse_args(["--data", "photos", "--preset", "textbook"])
    assert training_command.backbone_of(textbook) == "resnet152v2"


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


def started(*words: str, out: Path, data: Path, **environment: str) -> subprocess.Popen:
    """A run in a process of its own, without anything random in its steps: replicas draw their own random numbers."""
    recipe = ("--size", "32", "--epochs", "2", "--fine-tune-epochs", "1", "--fine-tune-learning-rate", "1e-3")
    recipe += ("--batch-size", "8", "--dropout", "0", "--no-augmentation", "--fine-tune-share", "0.05")
    command = [sys.executable, "-m", "core", "train", "--backbone", "efficientnet_lite0", "--data", str(data)]
    return subprocess.Popen(
        [*command, *recipe, *words, "--out", str(out)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def curves(out: Path) -> list[list[float]]:
    with (out / "history.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [[float(row[name]) for name in ("loss", "validation_loss", "validation_accuracy")] for row in rows]


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def ended(process: subprocess.Popen) -> str:
    printed, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return printed


@pytest.mark.slow
def test_two_processes_and_two_devices_learn_what_one_learns(tmp_path):
    photos = write(tmp_path / "photos", coloured())
    ended(started(out=tmp_path / "one", data=photos))
    alone = curves(tmp_path / "one")
    assert len(alone) == 3
    ended(started("--strategy", "mirrored", "--devices", "2", out=tmp_path / "two", data=photos))
    np.testing.assert_allclose(curves(tmp_path / "two"), alone, rtol=1e-3, atol=1e-5)
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    together = [
        started(
            *("--strategy", "multi-worker"),
            out=tmp_path / f"worker {index}",
            data=photos,
            TF_CONFIG=tf_config("worker", index, worker=workers),
        )
        for index in range(2)
    ]
    printed = [ended(process) for process in together]
    assert "validation accuracy" in printed[0] and "the chief" in printed[1]
    np.testing.assert_allclose(curves(tmp_path / "worker 0"), alone, rtol=1e-3, atol=1e-5)
    assert (tmp_path / "worker 0" / "model.keras").is_file()
    assert list((tmp_path / "worker 1").iterdir()) == []
