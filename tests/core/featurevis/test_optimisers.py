import keras
import numpy as np
import pytest
import tensorflow as tf

from core.featurevis.optimisers import Adam, Normalised

SHAPE = (3, 4, 4, 2)


def gradients(steps: int) -> list[np.ndarray]:
    """Each of the three images has gradients of its own size."""
    rng = np.random.default_rng(0)
    return [
        rng.normal(size=SHAPE).astype(np.float32) * np.float32([[[[1]]], [[[100]]], [[[0.01]]]]) for _ in range(steps)
    ]


def run(optimiser, given, rate: float = 0.5) -> list[np.ndarray]:
    params = tf.zeros(SHAPE)
    slots = optimiser.start(params)
    step = tf.function(optimiser.step)
    path = []
    for point, gradient in enumerate(given):
        params, slots = step(
            params, tf.constant(gradient), slots, tf.constant(point), tf.constant(len(given)), tf.constant(rate)
        )
        path.append(params.numpy())
    return path


def test_each_images_step_has_the_asked_length_along_its_own_gradient():
    (gradient,) = gradients(1)
    (moved,) = run(Normalised(), [gradient], rate=3.0)
    for image, along in zip(moved, gradient, strict=True):
        np.testing.assert_allclose(image, 3 * along / np.linalg.norm(along), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "optimiser", [Normalised(), Normalised(evenness=1.0, momentum=0.3), Adam(epsilon=3.0, relative=True)]
)
@pytest.mark.parametrize("scale", [1e-30, 1e-11, 1e25])
def test_a_step_does_not_depend_on_the_scale_of_the_scores(optimiser, scale):
    given = gradients(2)
    usual = run(optimiser, given)[-1]
    np.testing.assert_allclose(
        run(optimiser, [gradient * np.float32(scale) for gradient in given])[-1], usual, rtol=1e-4, atol=1e-6
    )
    assert np.abs(usual).max() > 0.01


@pytest.mark.parametrize(
    ("optimiser", "lengths"),
    [
        (Normalised(), [1, 1, 1, 1]),
        (Normalised("linear"), [1, 0.75, 0.5, 0.25]),
        (Normalised("linear", end=0.2), [1, 0.8, 0.6, 0.4]),
        (Normalised("cosine"), [(1 + np.cos(np.pi * part)) / 2 for part in (0, 0.25, 0.5, 0.75)]),
    ],
)
def test_schedules_shorten_the_step(optimiser, lengths):
    path = [np.zeros(SHAPE), *run(optimiser, gradients(4), rate=1.0)]
    for before, after, length in zip(path, path[1:], lengths, strict=False):
        np.testing.assert_allclose(np.linalg.norm((after - before)[1]), length, rtol=1e-4)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Adam(), keras.optimizers.Adam(0.5)),
        (Adam(0.8, 0.9), keras.optimizers.Adam(0.5, 0.8, 0.9)),
    ],
)
def test_adam_is_kerass_adam_uphill(ours, theirs):
    given = gradients(6)
    variable = keras.Variable(np.zeros(SHAPE, np.float32))
    for gradient in given:
        theirs.apply([tf.constant(-gradient)], [variable])
    # Keras puts epsilon beside the uncorrected root of the second moment, so small gradients differ a little.
    np.testing.assert_allclose(run(ours, given)[-1][:2], variable.numpy()[:2], rtol=0.01, atol=0.001)


def test_nadam_looks_one_step_ahead():
    gradient = gradients(1)[0]
    moved = run(Adam(nesterov=True), [gradient])[0]
    expected = (0.9 * 0.1 / (1 - 0.9**2) + 1.0) * np.sign(gradient) * 0.5
    np.testing.assert_allclose(moved[:2], expected[:2], rtol=1e-3)


@pytest.mark.parametrize("optimiser", [Normalised(), Normalised("cosine"), Adam(), Adam(nesterov=True)])
def test_an_image_moves_as_if_it_were_alone(optimiser):
    given = gradients(4)
    together = run(optimiser, given)[-1]
    params = tf.zeros([1, *SHAPE[1:]])
    slots = optimiser.start(params)
    for point, gradient in enumerate(given):
        params, slots = optimiser.step(
            params, tf.constant(gradient[1:2]), slots, tf.constant(point), tf.constant(4), tf.constant(0.5)
        )
    np.testing.assert_allclose(together[1], params[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("optimiser", [Normalised(), Adam()])
def test_zero_moves_nothing_and_what_is_no_number_spoils_nothing(optimiser):
    given = gradients(3)
    for gradient in given:
        gradient[0] = 0
        gradient[1, 2, 2, 0] = np.inf
        gradient[2, 1, 1, 1] = np.nan
    end = run(optimiser, given)[-1]
    assert np.isfinite(end).all()
    np.testing.assert_array_equal(end[0], 0)
    assert np.abs(end[1]).max() > 0


def test_equal_optimisers_share_a_graph_and_an_unknown_schedule_is_refused():
    assert Normalised("cosine") == Normalised("cosine") != Normalised()
    assert len({Adam(), Adam(), Adam(0.8), Normalised()}) == 3
    with pytest.raises(ValueError, match="schedule"):
        Normalised("sawtooth")


def test_an_even_step_is_as_long_and_less_is_taken_by_the_largest():
    (gradient,) = gradients(1)
    gradient[:, 0, 0, 0] *= 30
    (plain,), (even,) = run(Normalised(), [gradient]), run(Normalised(evenness=1.0), [gradient])
    for image, other in zip(plain, even, strict=True):
        np.testing.assert_allclose(np.linalg.norm(other), np.linalg.norm(image), rtol=1e-5)
        assert np.abs(other).max() < 0.8 * np.abs(image).max()
    np.testing.assert_array_equal(np.sign(even), np.sign(plain))
    np.testing.assert_allclose(run(Normalised(evenness=1e-4), [gradient])[0], plain, rtol=1e-2, atol=1e-5)


def test_momentum_keeps_a_share_of_the_direction_before():
    first, second = gradients(2)
    path = run(Normalised(momentum=0.3), [first, second], rate=1.0)
    for image in range(len(first)):
        before, after = (each[image] / np.linalg.norm(each[image]) for each in (first, second))
        expected = after + 0.3 * before
        np.testing.assert_allclose(
            path[1][image] - path[0][image], expected / np.linalg.norm(expected), rtol=1e-4, atol=1e-5
        )
