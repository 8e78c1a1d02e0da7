from __future__ import annotations

import csv
import json
from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np
import pytest

from core import storage
from core.backbones import loading
from core.errors import UserError
from core.messages import ModelRef
from core.transfer import datasets, training
from core.transfer.loop import predict
from core.transfer.requests import TrainingConfig

from .conftest import coloured, tiny_backbone, zip_of


@pytest.fixture(scope="module")
def backbone_file(tmp_path_factory) -> Path:
    """A person's own model, as Keras saves it, to be used as a backbone."""
    body = tiny_backbone(32)
    inputs = keras.Input((32, 32, 3))
    x = body(keras.layers.Rescaling(1 / 127.5, -1.0)(inputs))
    outputs = keras.layers.Dense(5, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))
    path = tmp_path_factory.mktemp("backbone") / "mine.keras"
    keras.Model(inputs, outputs).save(path)
    return path


@pytest.fixture
def config(folder, backbone_file, tmp_path) -> TrainingConfig:
    return TrainingConfig(
        str(folder),
        ModelRef(str(backbone_file)),
        str(tmp_path / "out"),
        size=32,
        epochs=6,
        validation=0.25,
        batch_size=8,
        learning_rate=0.05,
        dropout=0.0,
    )


def written(config: TrainingConfig) -> list[str]:
    return sorted(path.name for path in Path(config.out).iterdir())


FILES = ["held_back.npz", "history.csv", "model.keras", "report.json"]


def test_a_run_learns_and_writes_what_it_says(config):
    *_, last = training.run(replace(config, fine_tune_epochs=1))
    report = last.report
    assert last.phase == "done"
    assert report.classes == ("blue", "green", "red")
    assert (report.images, report.training_images, report.validation_images) == (24, 18, 6)
    assert report.validation_accuracy > report.majority_accuracy
    assert (report.epochs, report.stopped) == (7, False)
    assert report.validation_accuracy == pytest.approx(max(row.validation_accuracy for row in last.history))
    assert np.sum(report.confusion) == 6
    assert written(config) == FILES
    facts = json.loads(Path(config.out, "report.json").read_text("utf-8"))
    assert facts == json.loads(json.dumps(asdict(report)))
    with Path(config.out, "history.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["loss"]) for line in lines] == [row.loss for row in last.history]


def test_the_file_opens_anywhere_and_says_the_same(config):
    *_, last = training.run(config)
    dataset = datasets.read(config.data, config.size)
    splits = datasets.split(dataset, config.validation, config.seed)
    plain = keras.models.load_model(last.report.model_path)
    labels = dataset.labels[splits.validation]
    right = predict(plain, dataset.photos[splits.validation]).argmax(axis=-1) == labels
    assert right.mean() == pytest.approx(last.report.validation_accuracy)

    opened = loading.load(ModelRef(last.report.model_path))
    assert opened.class_names == ("blue", "green", "red")
    assert opened.input_size == (32, 32)
    pixels = opened.preprocessing(dataset.photos[:4])
    np.testing.assert_allclose(opened.model(pixels), plain(dataset.photos[:4]), rtol=1e-4, atol=1e-6)


def test_a_trained_model_can_be_a_backbone(config, tmp_path):
    *_, first = training.run(replace(config, epochs=1))
    again = replace(config, backbone=ModelRef(first.report.model_path), out=str(tmp_path / "again"), epochs=1)
    *_, second = training.run(again)
    assert second.phase == "done"


def test_every_snapshot_is_complete(config):
    snapshots = list(training.run(replace(config, fine_tune_epochs=1)))
    phases = list(dict.fromkeys(snapshot.phase for snapshot in snapshots))
    assert phases == ["preparing", "head", "fine-tuning", "saving", "done"]
    assert all(snapshot.words for snapshot in snapshots)
    for name in ("history", "batch_losses"):
        lengths = [len(getattr(snapshot, name)) for snapshot in snapshots]
        assert lengths == sorted(lengths)
    assert all(snapshot.epochs == 7 for snapshot in snapshots)
    assert all(snapshot.step <= snapshot.steps for snapshot in snapshots)
    seconds = [snapshot.seconds for snapshot in snapshots]
    assert seconds[-1] > 0
    training_time = [shot.seconds_left for shot in snapshots if shot.phase in ("head", "fine-tuning")]
    assert all(left is None or left >= 0 for left in training_time)
    assert training_time.count(None) == 1  # the first step of all, from which nothing can be told
    assert training_time[-1] == 0


def test_the_same_seed_draws_the_same_curve(config):
    curves = [[shot.batch_losses for shot in training.run(replace(config, epochs=2))][-1] for _ in range(2)]
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-4)


@pytest.mark.parametrize(("phase", "epoch"), [("head", 3), ("fine-tuning", 8), ("saving", 6)])
def test_stopping_keeps_the_best_so_far(config, phase, epoch):
    config = replace(config, fine_tune_epochs=3 if phase == "fine-tuning" else 0)
    snapshots = training.run(config)
    last = next(shot for shot in snapshots if shot.phase == phase and shot.epoch == epoch)
    snapshots.close()
    assert written(config) == FILES
    report = json.loads(Path(config.out, "report.json").read_text("utf-8"))
    assert report["stopped"] is (phase != "saving")
    assert report["epochs"] == len(last.history)
    assert report["validation_accuracy"] == pytest.approx(max(row.validation_accuracy for row in last.history))


@pytest.mark.parametrize("phase", ["preparing", "head"])
def test_stopping_before_the_first_epoch_ends_leaves_nothing(config, phase):
    snapshots = training.run(config)
    next(shot for shot in snapshots if shot.phase == phase)
    snapshots.close()
    assert written(config) == []


def test_a_run_that_breaks_off_keeps_the_best_and_says_so(config, monkeypatch):
    # A rate beyond all limits is the surest way to a loss that is no number.
    monkeypatch.setattr(training, "_check", lambda config: Path(config.out).mkdir())
    config = replace(config, fine_tune_epochs=2, fine_tune_learning_rate=1e30)
    with pytest.raises(UserError, match=r"fine-tuning learning rate.*is kept in"):
        list(training.run(config))
    assert written(config) == FILES
    assert json.loads(Path(config.out, "report.json").read_text("utf-8"))["stopped"] is True


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": 8}, "`size`"),
        ({"epochs": 0}, "`epochs`"),
        ({"validation": 1.0}, "`validation`"),
        ({"learning_rate": float("nan")}, "`learning_rate`"),
        ({"loss": "hinge"}, "hinge"),
        ({"data": "/nowhere/at/all"}, "nowhere"),
        ({"backbone": ModelRef("no_such_model")}, "no_such_model"),
    ],
)
def test_what_cannot_be_trained_is_said_in_a_sentence(config, changes, words):
    with pytest.raises(UserError, match=words):
        list(training.run(replace(config, **changes)))


def test_an_unwritable_place_is_said_before_anything_is_read(config, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="Choose another folder"):
        next(training.run(replace(config, out=str(tmp_path / "file" / "out"))))


def test_zip_and_left_out_files_reach_the_report(config, tmp_path):
    data = zip_of(tmp_path / "data.zip", {**coloured(4), "red/bad.png": b"no"})
    *_, last = training.run(replace(config, data=str(data), epochs=1))
    assert [file for file, _ in last.report.left_out] == ["red/bad.png"]
    assert last.report.images == 12


def test_an_earlier_model_survives_a_save_that_fails(config, monkeypatch):
    *_, last = training.run(replace(config, epochs=1))
    before = Path(last.report.model_path).read_bytes()
    free = storage.free_bytes
    monkeypatch.setattr(storage, "free_bytes", lambda path: 1000 if config.out in str(path) else free(path))
    with pytest.raises(UserError, match="full"):
        list(training.run(replace(config, epochs=1)))
    assert Path(last.report.model_path).read_bytes() == before
    assert written(config) == FILES


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 12_345])
def test_thinning_keeps_the_ends_and_the_order(count):
    values = [float(value) for value in range(count)]
    thin = training.thinned(values)
    assert len(thin) == min(count, 500)
    assert list(thin) == sorted(set(thin))
    if values:
        assert (thin[0], thin[-1]) == (values[0], values[-1])
