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


@pytest.mark.parametrize("shape", [(4, 7, 5), (4, 2, 3, 3, 5)])
def test_of_steps_and_volumes_it_is_the_mean_over_all_of_them(shape):
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    expected = [values[image, ..., channel].mean() for image, channel in enumerate([3, 0, 4, 3])]
    np.testing.assert_allclose(score(objectives.channel("layer"), layer=values), expected, rtol=1e-4, atol=1e-6)


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


def test_a_channel_may_be_scored_to_the_very_border():
    activation = maps(9)
    expected = [activation[image, ..., channel].mean() for image, channel in enumerate([3, 0, 4, 3])]
    np.testing.assert_allclose(score(objectives.channel("a", border=0), a=activation), expected, rtol=1e-4, atol=1e-6)
    assert objectives.channel("a", border=0) != objectives.channel("a")


def test_a_neuron_is_one_place_of_a_channel_the_middle_if_none_is_given():
    activation = maps(9)
    images, channels = range(4), [3, 0, 4, 3]
    np.testing.assert_array_equal(score(objectives.neuron("a", 1, 2), a=activation), activation[images, 1, 2, channels])
    np.testing.assert_array_equal(score(objectives.neuron("a"), a=activation), activation[images, 4, 5, channels])
    assert objectives.neuron("a") != objectives.neuron("a", 1, 2)


def test_a_layers_score_is_its_mean_square_whatever_the_target():
    activation, vectors = maps(9), np.arange(20, dtype=np.float32).reshape(4, 5)
    of_maps = score(objectives.layer("a"), a=activation)
    np.testing.assert_allclose(of_maps, (activation**2).mean(axis=(1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(score(objectives.layer("a"), a=vectors), (vectors**2).mean(axis=1), rtol=1e-5)


def test_a_direction_is_a_dot_product_that_knows_no_length():
    activation, along = maps(9), np.array([1, -2, 0, 0.5, 3])
    expected = activation.mean(axis=(1, 2)) @ along / np.linalg.norm(along)
    for factor in (1, 100):
        found = score(objectives.direction("a", along * factor), a=activation)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert objectives.direction("a", along) == objectives.direction("a", list(along))
    assert objectives.direction("a", along) != objectives.direction("a", -along)


def test_a_direction_along_one_axis_is_that_channel():
    activation = maps(9)
    np.testing.assert_allclose(
        score(objectives.direction("a", [0, 0, 0, 2, 0]), a=activation)[[0, 3]],
        score(objectives.channel("a", border=0), a=activation)[[0, 3]],
        rtol=1e-5,
        atol=1e-7,
    )


def test_diversity_falls_as_images_grow_alike():
    def of(activation: np.ndarray) -> np.ndarray:
        return score(objectives.diversity("a"), a=activation.astype(np.float32))

    one = np.random.default_rng(0).normal(size=(1, 6, 6, 5))
    apart = np.zeros((4, 6, 6, 5))
    for image in range(4):
        apart[image, ..., image] = 1  # each has a channel of its own
    np.testing.assert_allclose(of(np.repeat(one, 4, axis=0)), -1, rtol=1e-5)
    np.testing.assert_allclose(of(apart), 0, atol=1e-6)
    # Where a channel is active does not matter, only together with which others.
    shuffled = np.concatenate([one, one[:, ::-1], one[:, :, ::-1], one[:, ::-1, ::-1]])
    np.testing.assert_allclose(of(shuffled), -1, rtol=1e-5)
    mixed = of(np.concatenate([one, one, -(one**2), apart[:1]]))
    assert (mixed[0] == pytest.approx(mixed[1])) and mixed[0] < mixed[3]
    assert np.isfinite(of(np.zeros((4, 6, 6, 5)))).all()


def test_diversity_is_minus_the_mean_cosine_of_gram_matrices():
    activation = maps(4).astype(np.float64)
    grams = np.einsum("bijc,bijd->bcd", activation, activation).reshape(4, -1)
    grams /= np.linalg.norm(grams, axis=1, keepdims=True)
    expected = -((grams @ grams.T).sum(axis=1) - 1) / 3
    np.testing.assert_allclose(score(objectives.diversity("a"), a=maps(4)), expected, rtol=1e-4)
    # However faint: untrained layers answer with 1e-11.
    np.testing.assert_allclose(score(objectives.diversity("a"), a=maps(4) * np.float32(1e-14)), expected, rtol=1e-4)


def test_the_diversity_of_vectors_is_that_of_maps_of_one_cell():
    vectors = np.random.default_rng(3).normal(size=(4, 6)).astype(np.float32)
    grams = np.einsum("bc,bd->bcd", vectors, vectors).reshape(4, -1)
    grams /= np.linalg.norm(grams, axis=1, keepdims=True)
    expected = -((grams @ grams.T).sum(axis=1) - 1) / 3
    np.testing.assert_allclose(score(objectives.diversity("a"), a=vectors), expected, rtol=1e-4)


def test_what_an_objective_needs_of_the_network_survives_the_operators():
    plain, logit, whole = objectives.channel("a"), objectives.class_logit("a"), objectives.layer("a")
    assert (plain - 2 * plain).target_only and not (plain + whole).target_only
    assert (plain + logit).before_softmax and (0.5 * logit).before_softmax and not plain.before_softmax
    names = {each.name for each in (plain, logit, whole, objectives.diversity("a"), objectives.neuron("a"))}
    assert len(names) == 5


@pytest.mark.parametrize(("side", "border"), [(15, 0), (16, 1), (40, 2), (100, 2)])
def test_the_border_may_go_with_the_size_of_the_map(side, border):
    activation = np.random.default_rng(0).normal(size=(4, side, side, 5)).astype(np.float32)
    found = score(objectives.channel("a", border=None), a=activation)
    np.testing.assert_allclose(found, score(objectives.channel("a", border=border), a=activation), rtol=1e-5, atol=1e-7)
