import numpy as np
import pytest
import tensorflow as tf

from core.featurevis import objectives


def maps(side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(4, side, side + 1, 5)).astype(np.float32)


def score(objective, **activations) -> np.ndarray:
    tensors = {name: tf.constant(value) for name, value in activations.items()}
    return objective.score(tensors, tf.constant([3, 0, 4, 3])).numpy()


@pytest.mark.parametrize(("side", "border"), [(3, 0), (6, 0), (7, 2), (20, 2)])
def test_a_channel_is_its_mean_without_the_border_where_there_is_room(side, border):
    activation = maps(side)
    expected = [
        activation[image, border : side - border, border : side + 1 - border, channel].mean()
        for image, channel in enumerate([3, 0, 4, 3])
    ]
    np.testing.assert_allclose(score(objectives.channel("layer"), layer=activation), expected, rtol=1e-5, atol=1e-6)


def test_of_a_vector_it_is_the_value():
    vectors = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    np.testing.assert_array_equal(
        score(objectives.channel("layer"), layer=vectors), vectors[[0, 1, 2, 3], [3, 0, 4, 3]]
    )


def test_objectives_add_subtract_and_scale_as_numbers_do():
    first, second = objectives.channel("a"), objectives.channel("b")
    a, b = maps(9, 1), maps(4, 2)
    of_a, of_b = score(first, a=a), score(second, b=b)
    combined = 2.0 * (first - second) + first * 0.5
    np.testing.assert_allclose(score(combined, a=a, b=b), 2 * (of_a - of_b) + of_a / 2, rtol=1e-5, atol=1e-6)
    assert combined.layers == ("a", "b")
    np.testing.assert_array_equal(score(first, a=a), of_a)  # nothing was changed by combining


def test_equal_objectives_share_a_graph_and_others_do_not():
    first, second = objectives.channel("a"), objectives.channel("b")
    assert first == objectives.channel("a")
    assert hash(first + second) == hash(objectives.channel("a") + objectives.channel("b"))
    assert len({first, second, first + second, first - second, 2 * first, 3 * first}) == 6
