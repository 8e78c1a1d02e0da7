"""The training runs that are kept."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from core import runs, storage


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERSCOPE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_runs_have_folders_of_their_own():
    made = [runs.new_run() for _ in range(3)]
    assert len(set(made)) == 3
    assert all(run.is_dir() and run.name.startswith(f"{time.localtime().tm_year}-") for run in made)


def finish(run: Path, **changes) -> Path:
    facts = {"classes": ["cat", "dog"], "backbone": "efficientnet_lite0", "validation_accuracy": 0.75, **changes}
    (run / "report.json").write_text(json.dumps(facts), encoding="utf-8")
    (run / "model.keras").write_bytes(b"model")
    return run


def test_finished_models_are_listed_newest_first():
    made = [finish(runs.new_run(), classes=[f"class {index}", "ü"]) for index in range(3)]
    for age, run in enumerate(made):
        os.utime(run / "model.keras", (1_000_000 - age, 1_000_000 - age))
    found = runs.finished_models()
    assert [run.id for run in found] == [run.name for run in made]
    assert found[1].path == made[1] / "model.keras"
    assert found[1].classes == ("class 1", "ü")
    assert found[1].backbone == "efficientnet_lite0"
    assert found[1].validation_accuracy == 0.75
    assert found[1].when.timestamp() == 1_000_000 - 1


def test_what_is_no_finished_run_is_passed_over():
    whole = finish(runs.new_run())
    runs.new_run()
    (finish(runs.new_run()) / "model.keras").unlink()
    (finish(runs.new_run()) / "report.json").unlink()
    for text in (
        "",
        "null",
        "[]",
        "{",
        '{"classes": 3}',
        "[" * 100_000,
        '{"classes": [], "validation_accuracy": null}',
    ):
        (finish(runs.new_run()) / "report.json").write_text(text)
    finish(runs.new_run(), validation_accuracy=float("nan"))
    (finish(runs.new_run()) / "report.json").write_bytes(b"\xff\xfe\x00")
    (storage.folder("runs") / "a file").write_text("")
    assert [run.id for run in runs.finished_models()] == [whole.name]
