from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from core.transfer import evaluation


def answers(photos: int = 200, classes: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (photos, classes))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return probabilities.astype(np.float32), rng.integers(0, classes, photos)


@pytest.mark.parametrize(("right", "total"), [(62, 72), (0, 12), (12, 12), (1, 1), (5, 1000), (8, 10)])
def test_the_interval_is_wilsons(right, total):
    found = evaluation.share(right, total)
    oracle = binomtest(right, total).proportion_ci(confidence_level=0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high), abs=1e-12)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_of_no_photos_nothing_is_known():
    found = evaluation.share(0, 0)
    assert (found.low, found.high) == (0, 1)
    with pytest.raises(ValueError, match="3 of 2"):
        evaluation.share(3, 2)


def test_scores_of_classes_are_scikit_learns():
    probabilities, labels = answers(60, 6)
    said = probabilities.argmax(axis=1)
    said[said == 4] = 0  # never said
    labels[labels == 5] = 1  # never there
    scores = evaluation.class_scores(confusion_matrix(labels, said, labels=range(6)), tuple("abcdef"))
    oracle = precision_recall_fscore_support(labels, said, labels=range(6), zero_division=np.nan)
    ours = [[each.precision for each in scores], [each.recall for each in scores], [each.f1 for each in scores]]
    for found, wanted in zip(ours, oracle[:3], strict=True):
        np.testing.assert_allclose(np.array(found, float), wanted)
    assert [each.photos for each in scores] == oracle[3].tolist()
    assert scores[4].precision is None and scores[5].recall is None


def test_calibration_of_answers_worked_out_by_hand():
    sure = np.array([0.95, 0.95, 0.95, 0.95, 0.6, 0.6])
    probabilities = np.stack([sure, 1 - sure], axis=1)
    found = evaluation.calibration(probabilities, np.array([0, 0, 0, 1, 0, 1]))
    assert found.counts.tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 0, 4]  # 0.6 is the end of its bin
    assert found.hits.tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0, 3]
    assert found.sure[[5, 9]] == pytest.approx([0.6, 0.95]) and found.right[[5, 9]] == pytest.approx([0.5, 0.75])
    assert np.isnan(found.sure[0]) and np.isnan(found.right[0])
    assert found.error == pytest.approx((2 * 0.1 + 4 * 0.2) / 6)
    assert found.mean_sure == pytest.approx(5 / 6)


def test_a_network_that_is_right_as_often_as_it_says_has_no_calibration_error():
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1, 40_000)
    labels = np.where(rng.random(len(sure)) < sure, 0, 1)
    honest = evaluation.calibration(np.stack([sure, 1 - sure], axis=1), labels)
    boasting = evaluation.calibration(np.stack([sure**0.2, 1 - sure**0.2], axis=1), labels)
    assert honest.error < 0.01 < 0.1 < boasting.error
    assert honest.counts.sum() == len(sure)


def test_certainty_itself_is_in_the_last_bin():
    assert evaluation.calibration(np.eye(3), np.array([0, 1, 1])).counts.tolist() == [0] * 9 + [3]


def test_the_surest_mistakes_and_the_least_sure_right_answers_come_first():
    probabilities, labels = answers()
    said, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong, right = (
        evaluation.most_confident_wrong(probabilities, labels),
        evaluation.least_sure_right(probabilities, labels),
    )
    assert sorted([*wrong, *right]) == list(range(len(labels)))
    assert (said[wrong] != labels[wrong]).all() and (said[right] == labels[right]).all()
    assert (np.diff(sure[wrong]) <= 0).all() and (np.diff(sure[right]) >= 0).all()


def test_the_most_frequent_mistake_is_the_first_cell():
    table = [[5, 0, 3], [1, 9, 0], [0, 4, 0]]
    assert evaluation.mix_ups(table) == ((2, 1), (0, 2), (1, 0), (1, 1), (0, 0))
