from __future__ import annotations

import math

import keras
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from core.errors import UserError
from core.transfer import optimisers, weights

STEPS = 10


def rates(schedule: str) -> list[float]:
    """The learning rate before each of ten steps, and after the last one."""
    variable = keras.Variable(np.ones(2, np.float32))
    optimizer = optimisers.named("sgd", 0.1, schedule, STEPS)
    found = []
    for _ in range(STEPS + 1):
        found.append(float(optimizer.learning_rate))
        optimizer.apply([np.ones(2, np.float32)], [variable])
    return found


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", lambda step: 0.1),
        ("cosine", lambda step: 0.1 * (1 + math.cos(math.pi * step / STEPS)) / 2),
        ("exponential", lambda step: 0.1 * 100 ** (-step / STEPS)),
    ],
)
def test_the_rate_follows_its_formula_over_all_steps(schedule, expected):
    np.testing.assert_allclose(rates(schedule), [expected(step) for step in range(STEPS + 1)], rtol=1e-5, atol=1e-8)


def test_sgd_has_momentum():
    variable = keras.Variable(np.zeros(1, np.float32))
    optimizer = optimisers.named("sgd", 1.0)
    for _ in range(2):
        optimizer.apply([np.ones(1, np.float32)], [variable])
    assert variable.numpy() == pytest.approx(-1 - 1.9)


@pytest.mark.parametrize("name", optimisers.OPTIMIZERS)
def test_all_walk_down_a_slope(name):
    variable = keras.Variable(np.float32([3.0, -2.0]))
    optimizer = optimisers.named(name, 0.05, "cosine", 20)
    for _ in range(20):
        optimizer.apply([2 * variable.numpy()], [variable])
    assert np.sum(variable.numpy() ** 2) < 0.8 * 13


@pytest.mark.parametrize(("name", "schedule", "words"), [("lion", "cosine", "lion"), ("adam", "steps", "steps")])
def test_unknown_names_are_refused(name, schedule, words):
    with pytest.raises(UserError, match=words):
        optimisers.named(name, 0.1, schedule)


@pytest.mark.parametrize("seed", range(3))
def test_class_weights_are_scikit_learns(seed):
    labels = np.concatenate([np.random.default_rng(seed).geometric(0.4, 50).clip(1, 5) - 1, np.arange(5)])
    expected = compute_class_weight("balanced", classes=np.arange(5), y=labels)
    np.testing.assert_allclose(weights.balanced(labels, 5), expected, rtol=1e-6)


def test_a_class_without_photos_weighs_nothing():
    np.testing.assert_allclose(weights.balanced(np.array([0, 0, 2]), 3), [0.5, 0, 1])
