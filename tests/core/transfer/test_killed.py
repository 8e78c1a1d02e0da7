"""Real processes that are killed in the middle of a training run."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from core import runs
from core.engine import Engine
from core.messages import ModelRef
from core.transfer import attempts, checkpoints, training
from core.transfer.requests import Augmentation, TrainingConfig

from .conftest import coloured, save_backbone, write

PATIENCE = 120  # seconds until a test gives up; nothing is expected to take so long
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")


def until(condition: Callable[[], object], what: str) -> object:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.005)
    raise AssertionError(f"waited in vain until {what}")


def epoch_of(folder: Path) -> int:
    told = checkpoints.told(folder)
    return told.epoch if told else 0


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / runs.HISTORY).open(encoding="utf-8") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def assert_same(folder: Path, expected: Path) -> None:
    """All that was measured but the seconds, and the network, within what the order of additions changes."""
    found, wanted = rows(folder), rows(expected)
    assert len(found) == len(wanted)
    for row, other in zip(found, wanted, strict=True):
        assert row["phase"] == other["phase"]
        for name in row.keys() - {"phase"}:
            assert float(row[name]) == pytest.approx(float(other[name]), rel=1e-3, abs=1e-4), (row["epoch"], name)
    networks = [keras.models.load_model(each / runs.MODEL, compile=False) for each in (folder, expected)]
    for weights, others in zip(*(network.get_weights() for network in networks), strict=True):
        np.testing.assert_allclose(weights, others, rtol=1e-3, atol=1e-4)


@pytest.fixture
def config(tmp_path) -> TrainingConfig:
    return TrainingConfig(
        str(write(tmp_path / "colours", coloured())),
        ModelRef(str(save_backbone(tmp_path / "mine.keras"))),
        str(tmp_path / "killed"),
        size=32,
        epochs=20,
        fine_tune_epochs=20,
        validation=0.25,
        batch_size=8,
        learning_rate=3e-3,
        dropout=0.2,
        augmentation=Augmentation(),
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_worker_killed_in_mid_training_is_followed_by_one_that_goes_on(config, tmp_path, monkeypatch):
    monkeypatch.delenv("LAYERSCOPE_SCHEDULER", raising=False)
    expected, folder = replace(config, out=str(tmp_path / "whole")), Path(config.out)
    engine = Engine.start(warm_up=False)
    try:
        job = engine.submit("core.transfer.training:run", config, kind="training")
        epoch = until(lambda: epoch_of(folder) >= 3 and epoch_of(folder), "some epochs are kept")
        os.kill(attempts.read(folder).process[0], signal.SIGKILL)
        list(training.run(expected))  # meanwhile
        seen = []
        while not (snapshot := job.snapshot()).over:
            seen.append(len(snapshot.latest.history) if snapshot.latest else 0)
            time.sleep(0.02)
        report = job.result(0).report
    finally:
        engine.close()
    assert snapshot.attempt == 2
    assert seen == sorted(seen)  # no page has seen the curves vanish
    after = next(int(note.split()[5]) for note in report.notes if note.startswith("It went on after epoch"))
    assert after >= epoch
    assert_same(folder, tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_program_killed_again_and_again_ends_as_if_nothing_had_happened(config, tmp_path):
    """At random moments, two in each phase; the files are those of an uninterrupted run."""
    root, rng = Path(__file__).parents[3], np.random.default_rng()
    words = f"--data {config.data} --backbone {config.backbone.name} --size 32 --epochs 20 --fine-tune-epochs 20"
    words += " --batch-size 8 --learning-rate 3e-3 --validation 0.25"

    def start(out: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "core", "train", *words.split(), "--out", str(tmp_path / out)]
        return subprocess.Popen(command, cwd=root, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    assert start("whole").wait(PATIENCE * 2) == 0
    folder = tmp_path / "killed"
    moments = [*rng.choice(np.arange(1, 19), 2, replace=False), *rng.choice(np.arange(21, 38), 2, replace=False)]
    for epoch in sorted(moments):
        process = start("killed")
        while epoch_of(folder) < epoch and process.poll() is None:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.wait(PATIENCE)
    assert start("killed").wait(PATIENCE * 2) == 0
    assert_same(folder, tmp_path / "whole")
    assert not (folder / runs.CHECKPOINT).exists()
    notes = json.loads((folder / runs.REPORT).read_text("utf-8"))["notes"]
    assert not any("halved" in note for note in notes)
