"""Heads on cached features: quick, repeatable, and as good as those of the loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from core import runs
from core.backbones.preprocessing import PREPROCESSING
from core.messages import Progress
from core.transfer import classifier, datasets, heads, loop
from core.transfer.heads import Heads
from core.transfer.loop import EpochEnd
from tests.core.tiny import tiny_model

from .finished_runs import CONFIG, SIZE, dataset_of, written_run

RNG = np.random.default_rng(0)
LABELS = np.repeat([0, 1, 2, 3], 100)
FEATURES = (RNG.normal(0, 1, (4, 12))[LABELS] + RNG.normal(0, 1.5, (400, 12))).astype(np.float32)
ORDER = RNG.permutation(400)
TRAINING, VALIDATION = ORDER[:200], ORDER[200:]


def a_trainer(**changes) -> Heads:
    return Heads(FEATURES, LABELS, 4, replace(CONFIG, **changes), per_epoch=200)


def test_a_head_is_as_good_as_logistic_regression():
    reached = a_trainer(epochs=20, learning_rate=0.02).train(TRAINING, VALIDATION, seed=0)
    oracle = LogisticRegression(max_iter=1000).fit(FEATURES[TRAINING], LABELS[TRAINING])
    expected = oracle.score(FEATURES[VALIDATION], LABELS[VALIDATION])
    assert 0.5 < expected < 0.95  # neither impossible nor trivial
    assert reached == pytest.approx(expected, abs=0.04)


@pytest.mark.parametrize(
    "changes", [{}, {"optimizer": "sgd", "schedule": "cosine", "label_smoothing": 0.1, "dense": (5,)}]
)
def test_it_is_the_loops_own_head(tmp_path, changes):
    """With one batch of all photos there is no order, and both start from the same weights: all that is left is how
    they learn."""
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], 20)
    photos = np.clip(rng.normal(np.eye(3)[labels][:, None, None] * 60 + 90, 50, (60, SIZE, SIZE, 3)), 0, 255)
    dataset = dataset_of(labels, photos.astype(np.uint8))
    splits = datasets.split(dataset, 0.25, 0)
    config = replace(CONFIG, batch_size=len(splits.training), epochs=6, **changes)
    backbone = tiny_model(SIZE)
    backbone = type(backbone)(backbone.inputs, backbone.get_layer("conv2").output)
    preprocessing = PREPROCESSING["tf"]
    built = classifier.build(config.backbone, dataset.classes, config, backbone=backbone, preprocessing=preprocessing)
    features = np.asarray(built.features(dataset.photos.astype(np.float32)))

    rows = [event.row for event in loop.train(built, splits, config) if isinstance(event, EpochEnd)]
    own = Heads(features, labels, 3, config, len(splits.training))
    assert own.train(splits.training, splits.validation, seed=0) == pytest.approx(
        max(row.validation_accuracy for row in rows)
    )
    _, loss = own.judge(splits.validation.astype(np.int32))
    assert float(loss) == pytest.approx(rows[-1].validation_loss, rel=1e-3)


def test_all_heads_share_one_graph_whatever_they_learn_from():
    trainer = a_trainer(dense=(8,), dropout=0.3)
    for seed, count in enumerate((8, 40, 200)):
        trainer.train(TRAINING[:count], VALIDATION[: 100 + count // 2], seed)
    assert trainer.epoch.experimental_get_tracing_count() == trainer.judge.experimental_get_tracing_count() == 1


def test_a_head_knows_nothing_of_the_one_before():
    trainer = a_trainer(dense=(8,), dropout=0.3, optimizer="rmsprop")
    first, *_, again = (trainer.train(TRAINING, VALIDATION, seed) for seed in (5, 6, 7, 5))
    assert first == again == a_trainer(dense=(8,), dropout=0.3, optimizer="rmsprop").train(TRAINING, VALIDATION, 5)
    losses = [float(trainer.judge(VALIDATION.astype(np.int32))[1]) for _ in range(2)]
    assert losses[0] == losses[1]  # dropout drops nothing when it is judged
    trainer.train(TRAINING, VALIDATION, seed=6)
    assert float(trainer.judge(VALIDATION.astype(np.int32))[1]) != losses[0]


def test_class_weights_help_the_rare():
    labels = np.repeat([0, 1], (180, 20))
    features = (np.array([[0.0], [1.0]])[labels] + RNG.normal(0, 1, (200, 1))).astype(np.float32)
    rare = np.flatnonzero(labels == 1)
    found = []
    for weighted in (False, True):
        config = replace(CONFIG, epochs=30, class_weights=weighted, patience=None)
        trainer = Heads(features, labels, 2, config, 200)
        trainer.train(np.arange(200), np.arange(200), 0)
        found.append(float(trainer.judge(rare.astype(np.int32))[0]))
    assert found[0] < 0.3 and found[1] > 0.5


def test_patience_ends_a_head_and_keeps_its_best_epoch(monkeypatch):
    told = iter([(0.2, 1.0), (0.6, 1.0), (0.5, 1.0), (0.5, 1.0), (0.9, 1.0)])
    trainer = a_trainer(epochs=5, patience=2)
    monkeypatch.setattr(trainer, "judge", lambda rows: next(told))
    assert trainer.train(TRAINING, VALIDATION, 0) == 0.6


def test_frozen_features_are_the_classifiers(tmp_path, folder):
    run = written_run(tmp_path / "run", folder)
    config = runs.read_config(run)
    dataset = datasets.read(str(folder), SIZE)
    *steps, features = heads.frozen_features(config, dataset)
    expected = classifier.build(config.backbone, dataset.classes, config).features(dataset.photos.astype(np.float32))
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4)
    assert isinstance(steps[-1], Progress) and steps[-1].fraction == 1
