"""The training runs that are kept."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from core import opened, runs, storage
from core.messages import ModelRef
from core.transfer import report, settings
from core.transfer.requests import Augmentation, TrainingConfig, TrainingReport


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


CONFIG = TrainingConfig(
    "chessman", ModelRef("resnet50", None), "/out", dense=(8, 4), augmentation=Augmentation(zoom=0), per_class=5
)
REPORT = TrainingReport(
    classes=("cat", "dog"),
    images=8,
    training_images=4,
    validation_images=4,
    left_out=(("a.png", "is damaged"),),
    validation_accuracy=0.75,
    majority_accuracy=0.5,
    confusion=((2, 0), (1, 1)),
    epochs=2,
    stopped=False,
    seconds=3,
    model_path="model.keras",
    backbone="resnet50",
    origin="random (untrained)",
    notes=("A note.",),
)


def kept(tmp_path: Path) -> Path:
    runs.write_config(tmp_path, CONFIG)
    report.write(REPORT, (), tmp_path)
    report.write_held_back(["a", "b", "c", "d"], np.array([0, 0, 1, 1]), np.full((4, 2), 0.5), tmp_path)
    return tmp_path


def test_what_is_kept_is_read_as_it_was(tmp_path):
    kept(tmp_path)
    assert (runs.read_config(tmp_path), runs.read_report(tmp_path)) == (CONFIG, REPORT)
    assert runs.read_held_back(tmp_path).files == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    "changes",
    [
        {"learning_rate": "fast"},
        {"learning_rate": float("inf")},
        {"size": 1.5},
        {"size": True},
        {"dense": [8, "many"]},
        {"dense": 8},
        {"eager": 1},
        {"backbone": None},
        {"backbone": {"name": 3}},
        {"backbone": {}},
        {"augmentation": {"zoom": []}},
        {"loss": {}},
    ],
)
def test_settings_of_another_type_are_none(tmp_path, changes):
    (tmp_path / runs.CONFIG).write_text(json.dumps({**asdict(CONFIG), **changes}), encoding="utf-8")
    assert runs.read_config(tmp_path) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"validation_accuracy": 7.0},
        {"validation_accuracy": None},
        {"test_accuracy": -1.0},
        {"validation_images": 5},
        {"test_images": -1},
        {"confusion": [[4, 0, 0], [0, 0, 0]]},
        {"confusion": [[5, -1], [0, 0]]},
        {"confusion": "none"},
        {"classes": ["cat", 3]},
        {"left_out": [["a", "b", "c"]]},
        {"seconds": 10**400},
    ],
)
def test_a_report_that_does_not_add_up_is_none(tmp_path, changes):
    (tmp_path / runs.REPORT).write_text(json.dumps({**asdict(REPORT), **changes}), encoding="utf-8")
    assert runs.read_report(tmp_path) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": np.array([0, 0, 1, 2])},
        {"labels": np.array([0, 0, 1])},
        {"labels": np.array([0.0, 0.0, 1.0, 1.0])},
        {"probabilities": np.zeros((4, 3), np.float32)},
        {"probabilities": np.full((4, 2), np.nan, np.float32)},
        {"files": np.array(["a", "b"])},
        {"files": np.zeros(4)},
    ],
)
def test_answers_that_do_not_belong_to_the_report_are_none(tmp_path, changes):
    with np.load(kept(tmp_path) / runs.HELD_BACK) as found:
        values = {**found, **changes}
    np.savez(tmp_path / runs.HELD_BACK, **values)
    assert runs.read_held_back(tmp_path) is None


def test_answers_that_are_damaged_are_none(tmp_path):
    file = kept(tmp_path) / runs.HELD_BACK
    whole = file.read_bytes()
    for place in range(0, len(whole), 23):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        runs.read_held_back(tmp_path)  # whatever it is, it is no error
    file.write_bytes(whole[:100])
    assert runs.read_held_back(tmp_path) is None
    np.save(file.open("wb"), np.zeros(3))
    assert runs.read_held_back(tmp_path) is None


def test_a_run_that_is_being_deleted_is_not_listed():
    run = finish(runs.new_run())
    run.rename(run.with_name(f".{run.name}-1234"))
    assert runs.finished_models() == runs.all_runs() == []
    assert runs.ended(run) == 0


# --- A person's own network as the backbone --------------------------------------------------------------------------


def own_network(data: bytes = b"a network") -> opened.Opened:
    return opened.opened(storage.keep_upload(data, ".keras"), "cats.keras")


def no_link(*_):
    raise OSError


@pytest.mark.parametrize("links", [True, False])
def test_a_run_owns_the_network_that_a_person_brought(links, monkeypatch):
    if not links:  # another disk
        monkeypatch.setattr(Path, "hardlink_to", no_link)
    brought, run = own_network(), runs.new_run()
    ref = runs.keep_backbone(run, brought.ref)
    assert (Path(ref.name).stat().st_nlink == 2) == links
    again = runs.keep_backbone(runs.new_run(), ref)  # its recipe used again
    opened.forget(brought.path)
    runs.delete(run.name)
    assert not brought.is_here and not Path(ref.name).exists()
    assert Path(again.name).read_bytes() == b"a network" and again.answers == brought.digest


def test_a_network_of_the_catalogue_or_one_that_is_gone_stays_as_it_is(tmp_path):
    for ref in (ModelRef("resnet50", None), ModelRef(str(tmp_path / "gone.keras"))):
        assert runs.keep_backbone(runs.new_run(), ref) == ref


def test_forgetting_a_network_leaves_the_runs_their_own():
    own = runs.keep_backbone(runs.new_run(), own_network().ref)
    opened.forget(own.name)
    assert Path(own.name).is_file()


def test_two_runs_on_one_file_stand_on_the_same_backbone():
    brought = own_network()
    one, two = (runs.keep_backbone(runs.new_run(), brought.ref).name for _ in range(2))
    opened.forget(brought.path)
    assert runs.same_backbone(one, two) and runs.same_backbone(one, brought.path)
    assert not runs.same_backbone(one, own_network(b"another").path)
    assert not runs.same_backbone("resnet50", "resnet101") and not runs.same_backbone(one, "resnet50")
    # Networks that were trained here have all one name.
    models = [finish(runs.new_run()) / "model.keras" for _ in range(2)]
    own = runs.keep_backbone(runs.new_run(), ModelRef(str(models[0]))).name
    assert runs.same_backbone(own, str(models[0])) and not runs.same_backbone(own, str(models[1]))


def test_it_is_called_what_its_person_called_it():
    config = replace(CONFIG, backbone=runs.keep_backbone(runs.new_run(), own_network().ref))
    assert settings.network_words(config) == settings.network_name(config) == "cats.keras"
    assert settings.network_file(config) == "cats.keras"
    shortened = replace(config.backbone, answers=opened.say(own_network(), title="cats …").digest)
    assert settings.network_file(replace(config, backbone=shortened)) == "network.keras"
