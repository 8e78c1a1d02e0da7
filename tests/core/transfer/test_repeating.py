"""Other splits of a run's photos."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.transfer import datasets, repeating, verdicts
from core.transfer.requests import Repeated

from .finished_runs import CONFIG, dataset_of, made_run, report_of

LABELS = np.repeat([0, 1, 2], (24, 16, 8))


def test_other_splits_are_stratified_and_others():
    run = made_run(LABELS)
    seen = {tuple(run.splits.validation)}
    for training, validation in repeating.other_splits(run, 10):
        np.testing.assert_array_equal(np.sort(np.concatenate([training, validation])), np.arange(48))
        np.testing.assert_array_equal(np.bincount(LABELS[validation]), [6, 4, 2])
        seen.add(tuple(validation))
    assert len(seen) == 11


def test_the_photos_of_a_test_folder_and_twins_keep_their_places():
    given = np.zeros(48, np.int8)
    given[[0, 30, 45]] = 2
    groups = np.arange(48)
    groups[[5, 6, 7]] = 5
    dataset = replace(dataset_of(LABELS), given=given, groups=groups)
    run = replace(made_run(LABELS), splits=datasets.split(dataset, 0.25, 0))
    assert sorted(run.splits.test) == [0, 30, 45]
    for training, validation in repeating.other_splits(run, 6):
        assert not {0, 30, 45} & {*training, *validation}
        assert sum(photo in training for photo in (5, 6, 7)) in (0, 3)


def test_what_is_told_grows_to_one_accuracy_for_each_split():
    features = 9 * np.eye(3, dtype=np.float32)[LABELS]
    run = made_run(LABELS, config=replace(CONFIG, epochs=30))
    told = list(repeating.repeated(run, features, 3))
    assert [len(each.accuracies) for each in told] == [0, 1, 2, 3]
    assert told[-1].accuracies == (1.0, 1.0, 1.0) and told[-1].own == 1.0
    assert told[-1].majority == (0.5, 0.5, 0.5)  # 6 of 12


def test_features_that_say_nothing_give_no_more_than_chance():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 100)
    *_, found = repeating.repeated(made_run(labels), rng.normal(0, 1, (200, 4)).astype(np.float32), 5)
    assert 0.35 < np.mean(found.accuracies) < 0.65


@pytest.mark.parametrize(("own", "kind"), [(0.92, "lucky"), (0.85, "fair"), (0.83, "fair"), (0.70, "unlucky")])
def test_luck_is_more_than_a_standard_deviation(own, kind):
    found = Repeated("", own, (0.81, 0.84, 0.87, 0.84), (0.5,) * 4, 4)
    report = report_of(made_run(LABELS).splits, own)
    verdict = verdicts.luck(found, report, CONFIG)
    assert verdict.kind == kind
    assert verdict.words.startswith("On four other splits it reaches 84\u00a0% ± 2\u00a0%: your ")


def test_a_fine_tuned_run_is_not_compared_with_a_head():
    found = Repeated("", 0.84, (0.81, 0.84, 0.87), (0.5,) * 3, 3)
    words = verdicts.luck(found, report_of(made_run(LABELS).splits, 0.99), replace(CONFIG, fine_tune_epochs=1)).words
    assert "99" not in words and "frozen network" in words and "a usual one" in words
