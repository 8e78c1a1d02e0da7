from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core import storage
from core.backbones.preprocessing import PREPROCESSING
from core.messages import ModelRef
from core.transfer import datasets, feature_cache, features
from core.transfer.classifier import Classifier, build
from core.transfer.datasets import Dataset, Splits
from core.transfer.features import Features, Noted, Prepared
from core.transfer.requests import Augmentation, TrainingConfig

from .conftest import tiny_backbone

# The cache asks the catalogue who this is, and nothing else.
REF = ModelRef("mobilenet_v2", None)
CONFIG = TrainingConfig(
    "made", REF, "out", size=16, variants=3, augmentation=Augmentation(flip="none", rotation=0, zoom=0, brightness=0.3)
)
RNG = np.random.default_rng(0)
PHOTOS = RNG.integers(0, 256, (40, 16, 16, 3)).astype(np.uint8)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERSCOPE_HOME", str(tmp_path / "home"))


def splits(photos=PHOTOS, validation=0.25, seed=0, names=("a", "b")) -> Splits:
    digests = tuple(f"{int(each.sum()):08}" for each in photos)
    labels = np.arange(len(photos)) % 2
    return datasets.split(Dataset("made", names, photos, labels, digests, digests), validation, seed)


def a_classifier(config: TrainingConfig = CONFIG) -> Classifier:
    made = build(REF, ("a", "b"), config, backbone=tiny_backbone(), preprocessing=PREPROCESSING["tf"])
    return replace(made, known=True)


def run(config: TrainingConfig = CONFIG, data: Splits | None = None) -> tuple[Features, list]:
    """The features, and the events on the way."""
    steps, events = features.computed(a_classifier(config), data or splits(), config), []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return end.value, events


def looked_at(events: list) -> int:
    return max((event.done for event in events if isinstance(event, Prepared)), default=0)


def files() -> list:
    return sorted(storage.folder("features").iterdir())


def test_they_are_what_the_model_says_of_each_photo():
    found, events = run()
    expected = np.asarray(a_classifier().features(PHOTOS.astype(np.float32)))
    data = splits()
    np.testing.assert_allclose(found.held_back, expected[data.validation], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.training[0], expected[data.training], rtol=1e-5, atol=1e-6)
    assert found.training.shape == (3, 30, 8)
    assert found.training.dtype == np.float32
    assert [event.done for event in events] == sorted(event.done for event in events)
    assert events[-1] == Prepared(100, 100)  # all 40 photos, and two variants of the 30 that are trained on


def test_variants_differ_from_the_photo_and_from_each_other():
    training = run()[0].training
    for one, two in ((0, 1), (0, 2), (1, 2)):
        assert not np.allclose(training[one], training[two], rtol=1e-2)


@pytest.mark.parametrize(
    "changes",
    [
        {"learning_rate": 1.0, "dense": (3,), "optimizer": "sgd", "loss": "focal", "epochs": 1, "dropout": 0.5},
        {"variants": 2},
        {"batch_size": 4, "fine_tune_epochs": 3, "out": "elsewhere"},
    ],
    ids=["head", "fewer variants", "batch"],
)
def test_what_does_not_concern_them_is_read_from_the_disk(changes):
    first, _ = run()
    again, events = run(replace(CONFIG, **changes))
    assert looked_at(events) == 0
    np.testing.assert_array_equal(again.training, first.training[: len(again.training)])
    np.testing.assert_array_equal(again.held_back, first.held_back)


def test_another_split_needs_only_its_own_variants():
    run()
    other = splits(validation=0.5, seed=3)
    found, events = run(data=other)
    assert looked_at(events) == 2 * len(other.training)
    np.testing.assert_allclose(found.training[0], run(replace(CONFIG, variants=1), other)[0].training[0])


def test_other_names_and_another_order_of_the_classes_are_the_same_photos():
    first, _ = run()
    turned = splits(PHOTOS[::-1], names=("y", "z"))
    data = replace(turned, training=39 - splits().training[::-1], validation=39 - splits().validation[::-1])
    found, events = run(data=data)
    assert looked_at(events) == 0
    np.testing.assert_array_equal(found.training, first.training[:, ::-1])
    np.testing.assert_array_equal(found.held_back, first.held_back[::-1])


@pytest.mark.parametrize(
    ("changes", "looks"),
    [
        ({"augmentation": Augmentation()}, 60),
        ({"seed": 1}, 60),
        ({"variants": 4}, 30),
        ({"pooling": "max"}, 100),
        ({"backbone": ModelRef("mobilenet_v2", None, preprocessing="caffe")}, 100),
        ({"backbone": ModelRef("vgg16", None)}, 100),
    ],
)
def test_what_concerns_them_is_computed(changes, looks):
    run()
    assert looked_at(run(replace(CONFIG, **changes))[1]) == looks


def test_more_variants_leave_the_first_ones_as_they_are():
    few, _ = run(replace(CONFIG, variants=2))
    added, _ = run(replace(CONFIG, variants=4))
    for each in files():
        each.unlink()
    at_once, _ = run(replace(CONFIG, variants=4))
    np.testing.assert_array_equal(added.training[:2], few.training)
    np.testing.assert_array_equal(added.training, at_once.training)


def test_photos_that_are_there_twice_are_looked_at_once():
    data = splits(np.concatenate([PHOTOS, PHOTOS[:10]]))
    found, events = run(replace(CONFIG, augmentation=None), data)
    assert looked_at(events) == 40
    every = np.asarray(a_classifier().features(data.dataset.photos.astype(np.float32)))
    np.testing.assert_allclose(found.training[0], every[data.training], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("damage", ["cut", "emptied", "changed", "another shape", "pickled"])
def test_a_damaged_file_is_computed_again(damage):
    config = replace(CONFIG, augmentation=None)
    first, _ = run(config)
    [file] = files()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    if damage == "another shape":
        np.savez(file, features=np.zeros((3, 8), np.float32))
    elif damage == "pickled":
        np.savez(file, features=np.array([{}] * 40, dtype=object))
    else:
        file.write_bytes({"cut": data[:100], "emptied": b"", "changed": data}[damage])
    again, events = run(config)
    assert looked_at(events) == 40
    np.testing.assert_array_equal(again.training, first.training)
    assert looked_at(run(config)[1]) == 0


def test_no_room_on_the_disk_is_no_error(monkeypatch):
    monkeypatch.setattr(storage, "free_bytes", lambda path: 10)
    found, _ = run()
    assert found.training.shape == (3, 30, 8)
    assert files() == []


def test_the_files_together_are_bounded(monkeypatch):
    monkeypatch.setattr(feature_cache, "MAX_BYTES", 3000)
    for seed in range(2):
        run(replace(CONFIG, seed=seed))
    assert sum(file.stat().st_size for file in files()) <= 3000


def test_a_backbone_of_ones_own_is_not_kept():
    classifier = replace(a_classifier(), known=False)
    assert looked_at(list(features.computed(classifier, splits(), CONFIG))) == 100
    assert files() == []


@pytest.mark.parametrize(("room", "kept"), [(10_000, 3), (4_000, 2), (2_500, 1), (1_500, 0), (100, 0)])
def test_variants_are_fewer_where_memory_is_short_and_it_is_said(monkeypatch, room, kept):
    # 40 photos take 1,280 bytes, a variant of 30 takes 960.
    monkeypatch.setattr(features, "FEATURES_MAX_BYTES", room)
    assert features.variants(a_classifier(), splits(), CONFIG) == kept
    found, events = run()
    assert len(found.training) == kept
    assert (found.held_back is None) is (room == 100)
    assert any(isinstance(event, Noted) for event in events) is (kept < 3)


@pytest.mark.parametrize("augmentation", [None, Augmentation(flip="none", rotation=0, zoom=0)])
def test_without_augmentation_there_is_one_variant(augmentation):
    config = replace(CONFIG, augmentation=augmentation, variants=0)
    assert features.variants(a_classifier(config), splits(), config) == 1


def test_none_are_asked_for_where_every_step_augments():
    config = replace(CONFIG, variants=0)
    found, events = run(config)
    assert len(found.training) == 0
    assert found.held_back.shape == (10, 8)
    assert not any(isinstance(event, Noted) for event in events)


def test_plain_features_come_from_the_disk_without_the_backbone(monkeypatch):
    every = np.asarray(a_classifier().features(PHOTOS.astype(np.float32)))
    monkeypatch.setattr(features, "build", lambda *args: a_classifier())
    data = splits().dataset
    np.testing.assert_allclose(features.plain(CONFIG, data), every, rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(features, "build", None)
    np.testing.assert_allclose(features.plain(CONFIG, data), every, rtol=1e-5, atol=1e-6)
    assert looked_at(run(replace(CONFIG, augmentation=None))[1]) == 0
