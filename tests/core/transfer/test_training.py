from __future__ import annotations

import csv
import errno
import io
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image

from core import runs, storage
from core.backbones import loading
from core.errors import TooLarge, UserError
from core.messages import ModelRef
from core.transfer import attempts, checkpoints, checks, datasets, training, watching
from core.transfer.loop import BatchEnd, Prepared, predict
from core.transfer.requests import Augmentation, TrainingConfig, TrainingSnapshot

from .conftest import coloured, save_backbone, write, zip_of


@pytest.fixture(scope="module")
def backbone_file(tmp_path_factory) -> Path:
    return save_backbone(tmp_path_factory.mktemp("backbone") / "mine.keras")


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


FILES = ["held_back.npz", "history.csv", "labels.txt", "model.keras", "report.json"]


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


def test_every_snapshot_is_complete(config, tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERSCOPE_HOME", str(tmp_path / "home"))  # where no features are kept yet
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

    again = list(training.run(replace(config, fine_tune_epochs=1)))
    assert all(shot.seconds_left is None for shot in again if shot.phase == "head")  # nobody knows the backbone's pace
    tuning = [shot.seconds_left for shot in again if shot.phase == "fine-tuning"]
    assert tuning[0] is None and None not in tuning[1:] and tuning[-1] == 0


def test_the_same_seed_draws_the_same_curve(config):
    curves = [[shot.batch_losses for shot in training.run(replace(config, epochs=2))][-1] for _ in range(2)]
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-4)


@pytest.mark.parametrize(("phase", "epoch"), [("head", 3), ("fine-tuning", 8), ("saving", 6)])
def test_stopping_keeps_the_best_so_far(config, phase, epoch):
    config = replace(config, fine_tune_epochs=3 if phase == "fine-tuning" else 0)
    snapshots = training.run(config)
    last = next(shot for shot in snapshots if shot.phase == phase and shot.epoch == epoch)
    snapshots.close()
    assert written(config) == (FILES if phase == "saving" else ["checkpoint.npz", *FILES])
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
    monkeypatch.setattr(checks, "check", lambda config: None)
    config = replace(config, fine_tune_epochs=2, fine_tune_learning_rate=1e30)
    with pytest.raises(UserError, match=r"fine-tuning learning rate.*is kept in"):
        list(training.run(config))
    assert written(config) == ["checkpoint.npz", *FILES]
    assert json.loads(Path(config.out, "report.json").read_text("utf-8"))["stopped"] is True


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"size": 8}, "`size`"),
        ({"epochs": 0}, "`epochs`"),
        ({"validation": 1.0}, "`validation`"),
        ({"learning_rate": float("nan")}, "`learning_rate`"),
        ({"loss": "hinge"}, "hinge"),
        ({"label_smoothing": 5.0}, "`label_smoothing`"),
        ({"dense": (8, 900_000_000)}, "`dense`"),
        ({"fine_tune_epochs": 1, "fine_tune_share": 7.0}, "`fine_tune_share`"),
        ({"augmentation": Augmentation(rotation=float("nan"))}, "`rotation`"),
        ({"augmentation": Augmentation(zoom=-3.0)}, "`zoom`"),
        ({"augmentation": Augmentation(fill_mode="mirror")}, "mirror"),
        ({"data": "/nowhere/at/all"}, "nowhere"),
        ({"backbone": ModelRef("no_such_model")}, "no_such_model"),
    ],
)
def test_what_cannot_be_trained_is_said_in_a_sentence(config, changes, words):
    with pytest.raises(UserError, match=words):
        list(training.run(replace(config, **changes)))


def test_a_layer_that_is_not_there_is_said_before_a_head_is_trained_for_it(config):
    with pytest.raises(UserError, match="no_such_layer"):
        list(training.run(replace(config, fine_tune_epochs=1, fine_tune_from="no_such_layer")))
    assert written(config) == []


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


# Going on where an earlier process was


@pytest.fixture(scope="module")
def long_config(tmp_path_factory, backbone_file) -> TrainingConfig:
    """Everything that draws at random, in two phases."""
    place = tmp_path_factory.mktemp("long")
    return TrainingConfig(
        str(write(place / "colours", coloured())),
        ModelRef(str(backbone_file)),
        str(place / "out"),
        size=32,
        epochs=4,
        fine_tune_epochs=3,
        validation=0.25,
        batch_size=8,
        learning_rate=0.01,
        fine_tune_learning_rate=1e-3,
        dropout=0.3,
        schedule="cosine",
        augmentation=Augmentation(rotation=0.1),
    )


@pytest.fixture(scope="module")
def uninterrupted(long_config) -> list[TrainingSnapshot]:
    return list(training.run(long_config))


def same_run(last: TrainingSnapshot, other: TrainingSnapshot) -> None:
    """All that was measured but the seconds, and the weights."""
    assert len(last.history) == len(other.history)
    for row, expected in zip(last.history, other.history, strict=True):
        assert (row.epoch, row.phase) == (expected.epoch, expected.phase)
        for name in ("loss", "accuracy", "validation_loss", "validation_accuracy", "f1", "learning_rate"):
            assert getattr(row, name) == pytest.approx(getattr(expected, name), rel=1e-3, abs=1e-5), (row.epoch, name)
    np.testing.assert_allclose(last.batch_losses, other.batch_losses, rtol=1e-3, atol=1e-5)
    assert last.batch_epochs == other.batch_epochs
    assert [photo.said for photo in last.watched] == [photo.said for photo in other.watched]
    models = [keras.models.load_model(each.report.model_path, compile=False) for each in (last, other)]
    for weight, expected in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-3, atol=1e-5)
    assert last.report.best_epoch == other.report.best_epoch


def killed(config: TrainingConfig, place: Path, phase: str, epoch: int, step: int) -> TrainingConfig:
    """The run as it is left by a process that is killed there."""
    snapshots = training.run(replace(config, out=str(place / "killed")))
    next(shot for shot in snapshots if (shot.phase, shot.epoch, shot.step) == (phase, epoch, step))
    shutil.copytree(place / "killed", place / "left")
    snapshots.close()
    return replace(config, out=str(place / "left"))


@pytest.mark.parametrize(
    ("phase", "epoch", "step"),
    [
        pytest.param("head", 3, 2, marks=pytest.mark.slow),
        ("fine-tuning", 5, 1),
        pytest.param("fine-tuning", 7, 2, marks=pytest.mark.slow),
    ],
)
def test_whoever_is_killed_is_followed_by_one_that_goes_on(long_config, uninterrupted, tmp_path, phase, epoch, step):
    left = killed(long_config, tmp_path, phase, epoch, step)
    assert written(left) == ["attempt.json", "checkpoint.npz"]
    assert runs.read_report(Path(left.out)) is None
    shots = list(training.run(left))
    assert len(shots[0].history) == epoch - 1  # nothing of what was seen disappears
    assert f"It went on after epoch {epoch - 1} of 7." in shots[-1].report.notes
    trained = [shot.epoch for shot in shots if shot.phase in ("head", "fine-tuning")]
    assert trained[0] == epoch
    same_run(shots[-1], uninterrupted[-1])
    assert written(left) == FILES


def test_a_run_killed_while_its_network_is_saved_only_saves_it(long_config, uninterrupted, tmp_path):
    left = killed(long_config, tmp_path, "saving", 7, 0)
    shots = list(training.run(left))
    assert {shot.phase for shot in shots} == {"preparing", "saving", "done"}
    same_run(shots[-1], uninterrupted[-1])


def test_a_stopped_run_goes_on_and_ends_as_if_nothing_had_happened(long_config, uninterrupted, tmp_path):
    config = replace(long_config, out=str(tmp_path / "out"))
    for phase, epoch in (("head", 2), ("fine-tuning", 6)):
        snapshots = training.run(config)
        next(shot for shot in snapshots if (shot.phase, shot.epoch) == (phase, epoch))
        snapshots.close()
        report = runs.read_report(Path(config.out))
        assert (report.stopped, report.epochs) == (True, epoch - 1)
        best = max(row.validation_accuracy for row in uninterrupted[-1].history[: epoch - 1])
        assert report.validation_accuracy == pytest.approx(best)
        assert checkpoints.told(Path(config.out)).epoch == epoch - 1
    shots = list(training.run(config))
    same_run(shots[-1], uninterrupted[-1])
    assert (shots[-1].report.stopped, written(config)) == (False, FILES)


def test_a_run_goes_on_when_the_network_that_it_was_given_is_gone(long_config, uninterrupted, tmp_path):
    """It has its own link to the file; the features that it began with are found again."""
    brought = tmp_path / "brought.keras"
    brought.write_bytes(Path(long_config.backbone.name).read_bytes())
    out = tmp_path / "out"
    out.mkdir()
    config = replace(long_config, backbone=runs.keep_backbone(out, ModelRef(str(brought))), out=str(out))
    snapshots = training.run(config)
    next(shot for shot in snapshots if (shot.phase, shot.epoch) == ("head", 2))
    snapshots.close()
    brought.unlink()
    loading._loaded.clear()  # another process
    shots = list(training.run(config))
    same_run(shots[-1], uninterrupted[-1])


def test_stopping_before_it_goes_on_keeps_what_there_was(long_config, tmp_path):
    left = killed(long_config, tmp_path, "head", 3, 1)
    snapshots = training.run(left)
    for shot in snapshots:
        if "Looking at every photo" in shot.words:
            break
    snapshots.close()
    assert written(left) == ["checkpoint.npz"]
    assert checkpoints.told(Path(left.out)).epoch == 2


@pytest.mark.slow
def test_what_was_kept_of_other_photos_is_not_gone_on_with(long_config, tmp_path):
    data = tmp_path / "photos"
    shutil.copytree(long_config.data, data)
    left = killed(replace(long_config, data=str(data)), tmp_path, "head", 3, 1)
    (data / "red" / "00.png").unlink()
    shots = list(training.run(left))
    assert len(shots[-1].history) == 7
    assert any("photos have changed" in note for note in shots[-1].report.notes)
    assert shots[-1].report.images == 23
    assert next(shot for shot in shots if shot.phase == "head").epoch == 1


@pytest.mark.slow
@pytest.mark.parametrize("what", ["damaged", "of another network"])
def test_what_was_kept_and_is_of_no_use_is_said_and_no_error(long_config, tmp_path, what):
    config = replace(long_config, epochs=1, fine_tune_epochs=0)
    left = killed(replace(config, epochs=2), tmp_path, "head", 2, 1)
    path = Path(left.out, runs.CHECKPOINT)
    if what == "damaged":
        path.write_bytes(path.read_bytes()[:1000])
    else:
        kept = checkpoints.read(Path(left.out), left)
        kept.arrays["variable/0"] = np.zeros((2, 2), np.float32)
        checkpoints.write(Path(left.out), left, kept)
    *_, last = training.run(left)
    assert [row.epoch for row in last.history] == [1, 2]
    assert any("began anew" in note for note in last.report.notes)


# What goes wrong


def test_where_memory_runs_out_the_next_attempt_takes_half_as_many_photos(long_config, tmp_path, monkeypatch):
    config, train = replace(long_config, out=str(tmp_path / "out")), training.train

    def hungry(classifier, splits, config, **others):
        for event in train(classifier, splits, config, **others):
            yield event
            if config.batch_size > 4 and isinstance(event, BatchEnd) and event.epoch == 2:
                raise MemoryError

    monkeypatch.setattr(training, "train", hungry)
    with pytest.raises(TooLarge, match="halved to 4"):
        list(training.run(config))
    assert written(config) == ["attempt.json", "checkpoint.npz"]
    assert not attempts.at_work(Path(config.out))
    *_, last = training.run(config)
    assert last.report.batch_size == 4
    assert any("halved to 4" in note for note in last.report.notes)
    assert len(last.history) == 7
    assert written(config) == FILES


def test_where_even_one_photo_is_too_much_it_is_said(long_config, tmp_path, monkeypatch):
    def starving(*_, **__):
        yield Prepared(1, 2)
        raise MemoryError

    monkeypatch.setattr(training, "train", starving)
    config = replace(long_config, out=str(tmp_path / "out"), batch_size=1)
    with pytest.raises(UserError, match="even 1 photo of 32 pixels"):
        list(training.run(config))
    assert written(config) == []


def test_a_disk_that_is_too_full_is_said_before_the_training(long_config, tmp_path, monkeypatch):
    free = storage.free_bytes
    monkeypatch.setattr(storage, "free_bytes", lambda path: 5_000_000 if "out" in str(path) else free(path))
    config = replace(long_config, out=str(tmp_path / "out"))
    seen = []
    with pytest.raises(UserError, match="too full to train there"):
        seen.extend(training.run(config))
    assert written(config) == []


def test_without_room_for_checkpoints_it_goes_on_and_says_so(long_config, uninterrupted, tmp_path, monkeypatch):
    whole = np.savez

    def full(path, **values):
        if "facts" in values:
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(path, **values)

    monkeypatch.setattr(np, "savez", full)
    *_, last = training.run(replace(long_config, out=str(tmp_path / "out")))
    same_run(last, uninterrupted[-1])
    assert sum("No room for a checkpoint" in note for note in last.report.notes) == 1


def test_a_disk_that_fills_up_at_the_end_loses_nothing(long_config, uninterrupted, tmp_path, monkeypatch):
    config = replace(long_config, out=str(tmp_path / "out"))

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "save", full)
        with pytest.raises(UserError, match=r"model.keras cannot be saved: the disk .* is full"):
            list(training.run(config))
    assert written(config) == ["checkpoint.npz"]
    *_, last = training.run(config)
    same_run(last, uninterrupted[-1])


# What is told while it runs


def test_a_few_photos_are_followed_through_the_whole_run(uninterrupted):
    last = uninterrupted[-1]
    assert len(last.watched) == 6
    assert sorted(photo.true for photo in last.watched) == [0, 0, 1, 1, 2, 2]
    for shot in uninterrupted:
        assert {len(photo.said) for photo in shot.watched} <= {len(shot.history)}
    for photo in last.watched:
        assert last.classes[photo.true] == photo.file.partition("/")[0]
        assert Image.open(io.BytesIO(photo.thumbnail)).size == (watching.SIDE, watching.SIDE)
    kept = runs.read_held_back(Path(last.report.model_path).parent)
    best = last.report.best_epoch - 1
    for photo in last.watched:
        row = kept.files.index(photo.file)
        assert photo.said[best] == kept.said[row]
        assert photo.probability[best] == pytest.approx(kept.probabilities[row, photo.true], abs=2e-4)


@pytest.mark.parametrize("classes", [2, 5, 6, 9])
def test_watched_photos_are_spread_over_the_classes(classes):
    labels = np.sort(np.random.default_rng(0).integers(0, classes, 40))
    splits = SimpleNamespace(dataset=SimpleNamespace(labels=labels), validation=np.arange(0, 40, 2))
    places = watching.choose(splits, seed=3)
    assert len(places) == len(set(places.tolist())) == 6
    counts = np.bincount(labels[splits.validation][places], minlength=classes)
    assert counts.max() - counts[counts > 0].min() <= 1 and np.count_nonzero(counts) == min(6, classes)
    np.testing.assert_array_equal(places, watching.choose(splits, seed=3))


def test_batches_have_their_place_among_the_epochs(uninterrupted):
    last = uninterrupted[-1]
    assert len(last.batch_epochs) == len(last.batch_losses)
    assert list(last.batch_epochs) == sorted(last.batch_epochs)
    assert last.batch_epochs[-1] == 7.0
    assert sum(0 < place <= 1 for place in last.batch_epochs) == 9  # 18 photos, 4 variants, 8 at a time
    assert sum(6 < place <= 7 for place in last.batch_epochs) == 3
    assert last.report.step_seconds > 0


def test_with_patience_the_plan_follows(long_config, tmp_path):
    config = replace(long_config, out=str(tmp_path / "out"), epochs=30, learning_rate=0.05, patience=2)
    shots = list(training.run(config))
    last = shots[-1]
    head = [row for row in last.history if row.phase == "head"]
    assert len(head) < 30
    assert last.report.stopped is False
    assert last.epochs == len(last.history) == last.report.epochs
    first_tuned = next(shot for shot in shots if shot.phase == "fine-tuning")
    assert first_tuned.epochs == len(head) + 3
    lefts = [shot.seconds_left for shot in shots if shot.phase == "fine-tuning"]
    assert lefts[-1] is not None and lefts[-1] < 60


def test_labels_are_written_as_the_network_counts_them(uninterrupted):
    last = uninterrupted[-1]
    assert Path(last.report.model_path).with_name(runs.LABELS).read_text("utf-8") == "blue\ngreen\nred\n"


def test_whoever_does_not_write_leaves_nothing(long_config, tmp_path):
    config = replace(long_config, epochs=1, fine_tune_epochs=0, out=str(tmp_path / "out"))
    *_, last = training.run(config, writes=False)
    assert last.report.validation_images == 6
    assert not Path(config.out).exists()
