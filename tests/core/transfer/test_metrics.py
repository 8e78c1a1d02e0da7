from __future__ import annotations

import keras
import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from core.transfer.metrics import MacroF1, Precision, Recall

CASES = [(Precision, precision_score), (Recall, recall_score), (MacroF1, f1_score)]


def cases(seed: int, classes: int = 5, photos: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities that are right more often than not; some classes may be missing."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes - seed % 2, photos)
    return labels, rng.random((photos, classes)) + np.eye(classes)[labels] * 0.5


@pytest.mark.parametrize(("metric", "oracle"), CASES)
@pytest.mark.parametrize("seed", range(6))
def test_they_add_up_over_batches_to_what_scikit_learn_says(metric, oracle, seed):
    labels, probabilities = cases(seed)
    streaming = metric(5)
    for rows in np.array_split(np.arange(len(labels)), 7):
        streaming.update_state(labels[rows], probabilities[rows])
    predicted = probabilities.argmax(axis=1)
    expected = oracle(labels, predicted, labels=range(5), average="macro", zero_division=0)
    assert float(streaming.result()) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("metric", [metric for metric, _ in CASES])
def test_reset_forgets(metric):
    labels, probabilities = cases(1)
    fresh, used = metric(5), metric(5)
    used.update_state(labels, probabilities)
    used.reset_state()
    assert float(used.result()) == float(fresh.result()) == 0


@pytest.mark.parametrize("metric", [metric for metric, _ in CASES])
def test_they_survive_saving(metric):
    again = keras.metrics.deserialize(keras.metrics.serialize(metric(3, name="mine")))
    assert type(again) is metric
    assert again.get_config() == metric(3, name="mine").get_config()
