"""How many photos are needed."""

from __future__ import annotations

import numpy as np
import pytest

from core.transfer import photos_needed, verdicts
from core.transfer.photos_needed import curve, draw, numbers
from core.transfer.requests import LearningCurve

from .finished_runs import made_run

LABELS = np.repeat([0, 1, 2], (64, 40, 12))


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([48, 48], (2, 5, 10, 20, 48)),
        ([50, 50], (2, 5, 10, 20, 40, 50)),
        ([10, 3], (2, 5, 10)),
        ([2, 2], (2,)),
        ([1, 1], (1,)),
        ([12, 48], (2, 5, 10, 20, 48)),
    ],
)
def test_the_ladder_ends_with_all(counts, expected):
    assert numbers(counts) == expected


def test_photos_are_drawn_class_by_class():
    among = np.arange(0, 116, 2)
    chosen = draw(LABELS, among, 10, np.random.default_rng(0))
    np.testing.assert_array_equal(np.bincount(LABELS[chosen]), [10, 10, 6])  # the last class has no more
    assert set(chosen) <= set(among) and len(set(chosen)) == len(chosen)
    assert tuple(chosen) != tuple(draw(LABELS, among, 10, np.random.default_rng(1)))


def test_the_curve_is_told_repeat_by_repeat_and_never_learns_from_what_is_held_back(monkeypatch):
    run = made_run(LABELS)
    learned = []
    train = photos_needed.Heads.train
    monkeypatch.setattr(
        photos_needed.Heads,
        "train",
        lambda self, rows, held, seed: learned.append(rows) or train(self, rows, held, seed),
    )
    told = list(curve(run, 9 * np.eye(3, dtype=np.float32)[LABELS], 2))
    assert [each.done for each in told] == list(range(len(told)))
    last = told[-1]
    assert last.photos == (2, 5, 10, 20, 48) and [len(each) for each in last.accuracies] == [2] * 5
    assert last.accuracies[-1] == (1.0, 1.0)
    assert last.majority == 16 / 29
    assert not any(set(rows) & set(run.splits.validation) for rows in learned)
    assert len({tuple(rows) for rows in learned if len(rows) == 6}) == 2  # drawn anew


def test_more_photos_help_where_features_are_noisy():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2, 3], 60)
    features = (rng.normal(0, 1, (4, 40))[labels] + rng.normal(0, 3, (240, 40))).astype(np.float32)
    *_, last = curve(made_run(labels), features, 3)
    means = [np.mean(each) for each in last.accuracies]
    assert means[-1] > means[0] + 0.2


def made(photos, means, noise=0.0, repeats=5, majority=0.25) -> LearningCurve:
    swing = noise * np.linspace(-1, 1, repeats)
    return LearningCurve("", photos, tuple(tuple(mean + swing) for mean in means), majority)


LADDER = (2, 5, 10, 20, 40, 80)


@pytest.mark.parametrize(
    ("found", "kind", "says"),
    [
        (made(LADDER, (0.40, 0.60, 0.80, 0.90, 0.90, 0.91)), "enough", "From 20 photos"),
        (made(LADDER, (0.90, 0.90, 0.91, 0.90, 0.91, 0.91)), "enough", "From 2 photos"),
        (made(LADDER, (0.90, 0.95, 0.80, 0.90, 0.90, 0.91)), "enough", "From 20 photos"),  # what dips is not trusted
        (made(LADDER, (0.40, 0.50, 0.60, 0.70, 0.80, 0.90)), "rising", "to 80 per class, brought 10 points"),
        (made(LADDER, (0.40, 0.60, 0.80, 0.90, 0.90, 0.93), noise=0.12), "enough", "photos"),  # no more than its noise
        (made(LADDER, (0.24, 0.26, 0.25, 0.27, 0.28, 0.29)), "nothing", "29\u00a0%"),
        (made((2, 3), (0.5, 0.7)), "rising", "take more"),
        (made((2,), (0.9,)), "too few", "at least five"),
    ],
)
def test_the_sentence_follows_its_rule(found, kind, says):
    verdict = verdicts.needed(found)
    assert verdict.kind == kind and says in verdict.words


def test_the_last_doubling_is_found_between_the_ladders_steps():
    """From 40 to 48 is a quarter of a doubling: with the same slope per doubling the sentence must not change."""
    slope = 0.05
    photos = (2, 5, 10, 20, 48)
    found = made(photos, tuple(0.4 + slope * np.log2(photos)))
    assert "brought 5 points" in verdicts.needed(found).words
