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
from sklearn.metrics import precision_recall_fscore_support

from core.backbones.preprocessing import PREPROCESSING
from core.errors import UserError
from core.messages import ModelRef
from core.transfer import datasets, features, loop, losses, phases, steps
from core.transfer.classifier import Classifier, build, unfreeze
from core.transfer.datasets import Dataset, Splits
from core.transfer.loop import BatchEnd, EpochEnd, Noted, Saved, train
from core.transfer.requests import Augmentation, TrainingConfig

from .conftest import tiny_backbone

REF = ModelRef("tiny", None)
CONFIG = TrainingConfig(
    "made", REF, "out", size=16, epochs=3, batch_size=8, learning_rate=0.02, dropout=0.0, augmentation=None
)


BRIGHTNESS = Augmentation("none", 0, 0, brightness=0.3)  # traced in no time


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


FITTED = {
    "as it is": {},
    "smoothed labels, momentum": {"optimizer": "sgd", "label_smoothing": 0.1, "dense": (6,)},
    "class weights": {"class_weights": True, "optimizer": "rmsprop"},
    "from scratch": {"from_scratch": True, "batch_size": 10},
}
OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "sgd": lambda rate: keras.optimizers.SGD(rate, momentum=0.9),
    "rmsprop": keras.optimizers.RMSprop,
}


@pytest.mark.parametrize("case", FITTED)
def test_the_curves_are_those_of_keras_fit(splits, case):
    config = replace(CONFIG, **FITTED[case])
    if config.class_weights:
        splits = replace(splits, training=splits.training[:23])
    classifier, twin = a_classifier(config), a_classifier(config)
    twin.model.compile(OPTIMIZERS[config.optimizer](config.learning_rate), **measured_by_keras(config))
    same_curves(rows(train(classifier, splits, config)), twin, splits, config, stream=2 if config.from_scratch else 0)


def test_fine_tuning_with_equal_rates_is_keras_fit_with_one_optimizer(splits):
    config = replace(CONFIG, epochs=1, fine_tune_epochs=2, fine_tune_learning_rate=2e-3, fine_tune_share=0.5)
    assert config.fine_tune_learning_rate == pytest.approx(phases.HEAD_WHILE_FINE_TUNING * config.learning_rate)
    classifier, twin = a_classifier(config), a_classifier(config)
    list(train(twin, splits, replace(config, fine_tune_epochs=0)))
    unfreeze(twin, config.fine_tune_share)
    twin.model.compile(keras.optimizers.Adam(config.fine_tune_learning_rate), **measured_by_keras(config))
    same_curves(rows(train(classifier, splits, config))[1:], twin, splits, config, stream=1)


def measured_by_keras(config: TrainingConfig) -> dict:
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing)
    return {"loss": loss, "metrics": ["accuracy"]}


def same_curves(history: list, twin: Classifier, splits: Splits, config: TrainingConfig, *, stream: int) -> None:
    """`twin`, fitted by Keras to the same batches, has the same losses and accuracies."""
    one_hot = np.eye(3, dtype=np.float32)[splits.dataset.labels]
    photos = splits.dataset.photos.astype(np.float32)
    counts = np.bincount(splits.dataset.labels[splits.training])
    class_weight = {place: counts.sum() / (3 * count) for place, count in enumerate(counts)}
    assert history
    for row in history:
        order = splits.training[
            np.random.default_rng((config.seed, stream, row.epoch)).permutation(len(splits.training))
        ]
        fitted = twin.model.fit(
            photos[order],
            one_hot[order],
            config.batch_size,
            shuffle=False,
            verbose=0,
            class_weight=class_weight if config.class_weights else None,
        ).history
        assert row.loss == pytest.approx(fitted["loss"][0], rel=1e-4)
        assert row.accuracy == pytest.approx(fitted["accuracy"][0])
        expected = twin.model.evaluate(photos[splits.validation], one_hot[splits.validation], verbose=0)
        assert (row.validation_loss, row.validation_accuracy) == pytest.approx(expected, rel=1e-4)


def test_events_come_in_order_and_count_right(splits):
    config = replace(CONFIG, fine_tune_epochs=2)
    events = list(train(a_classifier(config), splits, config))
    assert [row.epoch for row in rows(events)] == [1, 2, 3, 4, 5]
    assert [row.phase for row in rows(events)] == ["head"] * 3 + ["fine-tuning"] * 2
    count = -(-len(splits.training) // CONFIG.batch_size)
    assert values(events, BatchEnd, "step") == list(range(1, count + 1)) * 5
    assert set(values(events, BatchEnd, "epochs")) == {5}


def test_one_seed_gives_one_curve(splits):
    config = replace(CONFIG, epochs=1, augmentation=BRIGHTNESS, fine_tune_epochs=1, dropout=0.3)
    curves = []
    for seed in (1, 1, 2):
        each = replace(config, seed=seed)
        curves.append(values(train(a_classifier(each), splits, each), BatchEnd, "loss"))
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-4)
    assert not np.allclose(curves[0], curves[2], rtol=1e-3)


def test_the_frozen_backbone_stays_the_same_to_the_bit(splits):
    classifier = a_classifier()
    before = classifier.backbone.get_weights()
    list(train(classifier, splits, replace(CONFIG, augmentation=BRIGHTNESS)))
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


@pytest.fixture
def steps_made(monkeypatch) -> list:
    """The step of each phase, as they come."""
    made, make = [], loop.make_step
    monkeypatch.setattr(loop, "make_step", lambda *args, **named: made.append(make(*args, **named)) or made[-1])
    return made


@pytest.mark.parametrize(
    ("changes", "count"), [({"fine_tune_epochs": 2}, 2), ({"variants": 0}, 1), ({"from_scratch": True}, 1)]
)
def test_each_phase_is_traced_once(splits, steps_made, changes, count):
    config = replace(CONFIG, epochs=2, batch_size=7, augmentation=BRIGHTNESS, class_weights=True, **changes)
    list(train(a_classifier(config), splits, config))
    assert len(splits.training) % 7
    assert [step.traced.experimental_get_tracing_count() for step in steps_made] == [1] * count


def test_eagerly_it_is_the_same_without_a_graph(splits, steps_made):
    config = replace(CONFIG, epochs=1, fine_tune_epochs=1, fine_tune_learning_rate=1e-3, schedule="cosine")
    graph = values(train(a_classifier(config), splits, config), BatchEnd, "loss")
    eager = values(train(a_classifier(config), splits, replace(config, eager=True)), BatchEnd, "loss")
    np.testing.assert_allclose(eager, graph, rtol=1e-4)
    assert [hasattr(step.traced, "experimental_get_tracing_count") for step in steps_made] == [True] * 2 + [False] * 2


def test_augmenting_at_every_step_goes_the_same_way_as_what_is_cached(splits, monkeypatch):
    nothing = Augmentation("none", 0, 0, brightness=1e-9)
    cached, every_step = (replace(CONFIG, augmentation=nothing, variants=variants) for variants in (1, 0))
    expected = list(train(a_classifier(cached), splits, cached))
    for config in (every_step, cached):
        events = list(train(a_classifier(config), splits, config))
        np.testing.assert_allclose(values(events, BatchEnd, "loss"), values(expected, BatchEnd, "loss"), rtol=1e-4)
        one, other = ([row.validation_loss for row in rows(each)] for each in (events, expected))
        np.testing.assert_allclose(one, other, rtol=1e-4)
        assert any(isinstance(event, Noted) for event in events) is (config is cached)
        monkeypatch.setattr(features, "FEATURES_MAX_BYTES", 100)  # of the second one nothing fits into memory


def test_a_phase_ends_when_it_has_waited_long_enough_and_the_next_begins(splits):
    steps_of_nothing = {"learning_rate": 1e-12, "fine_tune_learning_rate": 1e-12}
    config = replace(CONFIG, epochs=6, fine_tune_epochs=5, patience=2, **steps_of_nothing)
    events = list(train(a_classifier(config), splits, config))
    assert [(row.epoch, row.phase) for row in rows(events)] == [
        *((epoch, "head") for epoch in (1, 2, 3)),
        *((epoch, "fine-tuning") for epoch in (4, 5, 6)),
    ]
    assert values(events, EpochEnd, "epochs") == [11] * 3 + [8] * 3
    assert values(events, Saved, "epoch") == [1]
    ends = [event for event in events if isinstance(event, EpochEnd)]
    rest = list(train(a_classifier(config), splits, config, start=ends[2].state))
    assert rest == events[events.index(ends[2]) + 1 :]
    assert list(train(a_classifier(config), splits, config, start=ends[5].state)) == []


def test_an_epoch_says_what_was_said_to_the_photos_held_back(splits):
    config = replace(CONFIG, learning_rate=3e-3, schedule="exponential")
    truth = splits.dataset.labels[splits.validation]
    for end in (event for event in train(a_classifier(config), splits, config) if isinstance(event, EpochEnd)):
        assert end.probabilities.shape == (12, 3)
        said = end.probabilities.argmax(axis=1)
        scores = precision_recall_fscore_support(truth, said, average="macro", zero_division=0)[:3]
        assert (end.row.precision, end.row.recall, end.row.f1) == pytest.approx(scores, rel=1e-5)
        assert end.row.validation_accuracy == pytest.approx(np.mean(said == truth))
        assert end.row.learning_rate == pytest.approx(3e-3 * 0.01 ** (end.row.epoch / 3), rel=1e-4)


def test_a_state_of_another_run_is_refused(splits):
    state = next(event.state for event in train(a_classifier(), splits, CONFIG) if isinstance(event, EpochEnd))
    for changes in ({"dense": (4,)}, {"optimizer": "sgd"}):
        config = replace(CONFIG, **changes)
        with pytest.raises(ValueError, match="another network, head or optimiser"):
            next(train(a_classifier(config), splits, config, start=state))


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
    augmentation = Augmentation("both", 0, 0, brightness=0.1)
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
