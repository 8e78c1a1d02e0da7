from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from core.errors import UserError
from core.transfer import losses
from core.transfer.losses import CrossEntropy, Focal, Huber

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 4, 50)
PROBABILITIES = RNG.dirichlet(np.full(4, 0.5), 50).astype(np.float32)
ONE_HOT = np.eye(4, dtype=np.float32)[LABELS]


@pytest.mark.parametrize("delta", [0.1, 0.5, 2.0])
def test_huber_is_keras_huber_on_one_hot(delta):
    expected = keras.losses.Huber(delta=delta)(ONE_HOT, PROBABILITIES)
    np.testing.assert_allclose(Huber(delta)(LABELS, PROBABILITIES), expected, rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_cross_entropy_is_keras_on_one_hot(smoothing):
    expected = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)(ONE_HOT, PROBABILITIES)
    np.testing.assert_allclose(CrossEntropy(smoothing)(LABELS, PROBABILITIES), expected, rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_what_is_all_but_given_up_can_still_be_learned(smoothing):
    """Keras' own has no slope there: its probabilities are cut off at 1e-7."""
    scores = tf.constant([[0.0, 30.0, 10.0]])
    with tf.GradientTape() as tape:
        tape.watch(scores)
        value = CrossEntropy(smoothing)(np.array([0]), tf.nn.softmax(scores))
    expected = tf.nn.softmax(scores) - ((1 - smoothing) * np.eye(3)[:1] + smoothing / 3)
    np.testing.assert_allclose(tape.gradient(value, scores), expected, atol=1e-5)


@pytest.mark.parametrize("loss", [CrossEntropy(), CrossEntropy(0.1), Focal(), Huber()])
def test_a_probability_of_0_gives_a_finite_loss_and_slope(loss):
    said = tf.constant([[0.0, 1.0], [1.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(said)
        value = loss(np.array([0, 0]), said)
    assert np.isfinite(value)
    assert np.isfinite(tape.gradient(value, said)).all()


def test_focal_without_focus_is_cross_entropy():
    expected = keras.losses.SparseCategoricalCrossentropy()(LABELS, PROBABILITIES)
    np.testing.assert_allclose(Focal(gamma=0)(LABELS, PROBABILITIES), expected, rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_focal_is_keras_focal_on_one_hot(gamma):
    expected = keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=gamma)(ONE_HOT, PROBABILITIES)
    np.testing.assert_allclose(Focal(gamma)(LABELS, PROBABILITIES), expected, rtol=1e-4)


@pytest.mark.parametrize("loss", [kind(0.3, reduction="none") for kind in (CrossEntropy, Huber, Focal)])
def test_they_survive_saving(loss):
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    np.testing.assert_array_equal(again(LABELS, PROBABILITIES), loss(LABELS, PROBABILITIES))
    assert again.get_config() == loss.get_config()


@pytest.mark.parametrize("name", losses.LOSSES)
def test_named_gives_one_finite_value_per_photo(name):
    certain = np.float32([[1, 0], [0, 1], [1, 0]])
    values = np.asarray(losses.named(name)(np.array([0, 0, 1]), certain))
    assert values.shape == (3,)
    assert np.isfinite(values).all()
    assert values[0] < values[1] == pytest.approx(values[2])


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match="crossentropy, huber, focal"):
        losses.named("hinge")
