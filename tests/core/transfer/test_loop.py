from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from core.backbones.preprocessing import PREPROCESSING
from core.errors import UserError
from core.messages import ModelRef
from core.transfer import datasets, loop, losses, steps
from core.transfer.classifier import Classifier, build
from core.transfer.datasets import Dataset, Splits
from core.transfer.loop import BatchEnd, EpochEnd, Saved, train
from core.transfer.requests import Augmentation, TrainingConfig

from .conftest import tiny_backbone

REF = ModelRef("tiny", None)
CONFIG = TrainingConfig(
    "made", REF, "out", size=16, epochs=3, batch_size=8, learning_rate=0.02, dropout=0.0, augmentation=None
)


@pytest.fixture(scope="module")
def splits() -> Splits:
    return coloured_splits()


def coloured_splits() -> Splits:
    """Photos of three colours with much noise: learnable, and not at once."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 14)
    colours = np.eye(3)[labels][:, None, None, :] * 80 + 80
    photos = np.clip(rng.normal(colours, 40, (42, 16, 16, 3)), 0, 255).astype(np.uint8)
    names = tuple(map(str, range(42)))
    dataset = Dataset("made", ("r", "g", "b"), photos, labels, names, names)
    return datasets.split(dataset, 0.25, 0)


def a_classifier(config: TrainingConfig = CONFIG) -> Classifier:
    return build(REF, ("r", "g", "b"), config, backbone=tiny_backbone(), preprocessing=PREPROCESSING["tf"])


def values(events, kind, name) -> list:
    return [getattr(event, name) for event in events if isinstance(event, kind)]


def rows(events) -> list:
    return values(events, EpochEnd, "row")


@pytest.mark.filterwarnings("ignore:.shuffle=True.")
def test_the_head_reaches_what_keras_fit_reaches(splits):
    classifier, twin = a_classifier(), a_classifier()
    events = list(train(classifier, splits, CONFIG))

    photos, labels = splits.dataset.photos[splits.training], splits.dataset.labels[splits.training]
    twin.model.compile(
        keras.optimizers.Adam(CONFIG.learning_rate), keras.losses.SparseCategoricalCrossentropy(), metrics=["accuracy"]
    )
    for row in rows(events):
        rng = np.random.default_rng((CONFIG.seed, 0, row.epoch))
        order = rng.permutation(len(labels))
        data = tf.data.Dataset.from_tensor_slices((photos[order].astype(np.float32), labels[order]))
        fitted = twin.model.fit(data.batch(CONFIG.batch_size), verbose=0).history
        assert row.loss == pytest.approx(fitted["loss"][0], rel=1e-3)
        assert row.accuracy == pytest.approx(fitted["accuracy"][0])
        held_back = splits.dataset.photos[splits.validation].astype(np.float32)
        expected = twin.model.evaluate(held_back, splits.dataset.labels[splits.validation], verbose=0)
        assert (row.validation_loss, row.validation_accuracy) == pytest.approx(expected, rel=1e-3)


def test_events_come_in_order_and_count_right(splits):
    config = replace(CONFIG, fine_tune_epochs=2)
    events = list(train(a_classifier(config), splits, config))
    assert [row.epoch for row in rows(events)] == [1, 2, 3, 4, 5]
    assert [row.phase for row in rows(events)] == ["head"] * 3 + ["fine-tuning"] * 2
    count = -(-len(splits.training) // CONFIG.batch_size)
    assert values(events, BatchEnd, "step") == list(range(1, count + 1)) * 5
    assert set(values(events, BatchEnd, "epochs")) == {5}


@pytest.mark.parametrize("augmentation", [None, Augmentation(rotation=0.1)])
def test_one_seed_gives_one_curve(splits, augmentation):
    config = replace(CONFIG, augmentation=augmentation, fine_tune_epochs=1, dropout=0.3)
    curves = []
    for seed in (1, 1, 2):
        each = replace(config, seed=seed)
        curves.append(values(train(a_classifier(each), splits, each), BatchEnd, "loss"))
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-4)
    assert not np.allclose(curves[0], curves[2], rtol=1e-3)


def test_the_frozen_backbone_stays_the_same_to_the_bit(splits):
    classifier = a_classifier()
    before = classifier.backbone.get_weights()
    list(train(classifier, splits, replace(CONFIG, augmentation=Augmentation())))
    for old, new in zip(before, classifier.backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_fine_tuning_changes_the_last_layers_and_never_the_batchnorm(splits):
    config = replace(CONFIG, learning_rate=1e-6, fine_tune_epochs=4, fine_tune_learning_rate=3e-2)
    classifier = a_classifier(config)
    layers = {layer.name: layer.get_weights() for layer in classifier.backbone.layers if layer.weights}
    list(train(classifier, splits, config))
    same = {
        name: all(map(np.array_equal, weights, classifier.backbone.get_layer(name).get_weights()))
        for name, weights in layers.items()
    }
    assert same == {"conv1": True, "norm": True, "conv2": True, "conv3": False}


def test_each_phase_is_traced_once(splits, monkeypatch):
    made, make = [], loop.make_step
    monkeypatch.setattr(loop, "make_step", lambda *args, **named: made.append(make(*args, **named)) or made[-1])
    config = replace(CONFIG, fine_tune_epochs=2, batch_size=7, augmentation=Augmentation())
    list(train(a_classifier(config), splits, config))
    assert len(splits.training) % 7
    assert [step.traced.experimental_get_tracing_count() for step in made] == [1, 1]


@pytest.mark.parametrize("fine_tune_epochs", [0, 3])
def test_the_best_epoch_is_what_remains(splits, fine_tune_epochs):
    # Steps so large that fine-tuning does harm.
    config = replace(CONFIG, epochs=4, fine_tune_epochs=fine_tune_epochs, fine_tune_learning_rate=1.0)
    classifier = a_classifier(config)
    events = list(train(classifier, splits, config))
    best = max(rows(events), key=lambda row: (row.validation_accuracy, -row.validation_loss))
    assert values(events, Saved, "epoch")[-1] == best.epoch
    assert held_back_loss(classifier, splits) == pytest.approx(best.validation_loss, rel=1e-3)


def held_back_loss(classifier: Classifier, splits: Splits) -> float:
    probabilities = loop.predict(classifier.model, splits.dataset.photos[splits.validation])
    return float(np.mean(losses.named("crossentropy")(splits.dataset.labels[splits.validation], probabilities)))


def test_whoever_stops_asking_keeps_the_best_so_far(splits):
    classifier = a_classifier()
    events, seen = train(classifier, splits, CONFIG), []
    for event in events:
        seen.append(event)
        if isinstance(event, BatchEnd) and (event.epoch, event.step) == (3, 2):
            break
    events.close()
    best = max(rows(seen), key=lambda row: (row.validation_accuracy, -row.validation_loss))
    assert held_back_loss(classifier, splits) == pytest.approx(best.validation_loss, rel=1e-3)


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_best(splits):
    config = replace(CONFIG, fine_tune_epochs=3, fine_tune_learning_rate=1e30)
    classifier = a_classifier(config)
    seen = []
    with pytest.raises(UserError, match="learning rate"):
        collect(train(classifier, splits, config), seen)
    best = max(rows(seen), key=lambda row: (row.validation_accuracy, -row.validation_loss))
    assert held_back_loss(classifier, splits) == pytest.approx(best.validation_loss, rel=1e-3)


def collect(events, into: list) -> None:
    for event in events:
        into.append(event)


@pytest.mark.parametrize("loss", losses.LOSSES)
def test_every_loss_learns(splits, loss):
    config = replace(CONFIG, loss=loss, epochs=12, learning_rate=0.1)
    history = rows(train(a_classifier(config), splits, config))
    assert history[-1].loss < history[0].loss
    assert history[-1].accuracy > 0.6


def test_batches_cover_every_photo_once_and_have_one_shape():
    seen = []
    for indices, weights in steps.shuffled(10, 4, np.random.default_rng(0)):
        assert indices.shape == weights.shape == (4,)
        seen += indices[weights == 1].tolist()
    assert sorted(seen) == list(range(10))


def test_a_batch_larger_than_the_data_works():
    [(indices, weights)] = steps.shuffled(3, 8, np.random.default_rng(0))
    assert indices.shape == (8,)
    assert weights.sum() == 3


RESUMED = {
    "cached variants, then fine-tuning": {
        "variants": 2,
        "fine_tune_epochs": 2,
        "fine_tune_optimizer": "rmsprop",
        "fine_tune_learning_rate": 1e-3,
        "schedule": "cosine",
    },
    "augmented at every step": {"optimizer": "adamw", "variants": 0, "dense": (5,), "schedule": "exponential"},
    "from scratch": {"optimizer": "sgd", "from_scratch": True},
}


@pytest.mark.parametrize("case", RESUMED)
def test_a_run_goes_on_from_any_epoch_as_if_nothing_had_happened(splits, case):
    augmentation = Augmentation(rotation=0.1, shift=0.1, brightness=0.1)
    config = replace(CONFIG, epochs=2, dropout=0.3, augmentation=augmentation, **RESUMED[case])
    classifier = a_classifier(config)
    whole = list(train(classifier, splits, config))
    for end in [event for event in whole if isinstance(event, EpochEnd)]:
        again = a_classifier(config)
        rest = [
            event for event in train(again, splits, config, start=end.state) if not isinstance(event, loop.Prepared)
        ]
        expected = whole[whole.index(end) + 1 :]
        expected = expected[1:] if expected and isinstance(expected[0], Saved) else expected
        assert rest == expected
        for ours, theirs in zip(again.model.weights, classifier.model.weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def losses_on(devices: int) -> list[float]:
    """The curves of a run on so many logical devices."""
    strategy = tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(devices)]) if devices > 1 else None
    config = replace(CONFIG, fine_tune_epochs=1, fine_tune_learning_rate=1e-3)
    with strategy.scope() if strategy else contextlib.nullcontext():
        classifier = a_classifier(config)
    history = rows(train(classifier, coloured_splits(), config, strategy=strategy))
    return [value for row in history for value in (row.loss, row.validation_loss)]


def test_two_devices_learn_what_one_learns():
    # How many devices there are is settled when TensorFlow starts, hence another process.
    code = """
import json, tensorflow as tf
from tests.core.transfer.test_loop import losses_on
device = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
print(json.dumps([losses_on(1), losses_on(2)]))
"""
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    one, two = json.loads(done.stdout.splitlines()[-1])
    np.testing.assert_allclose(one, two, rtol=1e-4)
