import numpy as np
import pytest
import tensorflow as tf

from core.featurevis.transforms import Transform, compose, identity, jitter

SIDE = 9


def images(count: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(0).normal(size=(count, SIDE, SIDE, 3)).astype(np.float32))


def seeds(count: int, step: int = 0) -> tf.Tensor:
    return tf.constant([[step, target] for target in range(count)], tf.int64)


def shift_of(before: np.ndarray, after: np.ndarray) -> tuple[int, int]:
    """The only shift, wrapping at the border, that leads from one to the other."""
    found = [
        (down, right)
        for down in range(-(SIDE // 2), SIDE // 2 + 1)
        for right in range(-(SIDE // 2), SIDE // 2 + 1)
        if np.array_equal(np.roll(before, (down, right), axis=(0, 1)), after)
    ]
    assert len(found) == 1
    return found[0]


def test_identity_changes_nothing():
    np.testing.assert_array_equal(identity(images(2), seeds(2)), images(2))
    np.testing.assert_array_equal(compose()(images(2), seeds(2)), images(2))


def test_jitter_shifts_each_image_by_its_own_amount_within_the_limit():
    before = images(200)
    after = tf.function(jitter(2).apply)(before, seeds(200)).numpy()
    shifts = [shift_of(*pair) for pair in zip(before.numpy(), after, strict=True)]
    assert {axis for shift in shifts for axis in shift} == {-2, -1, 0, 1, 2}
    assert len(set(shifts)) == 25


def test_jitter_of_an_image_does_not_depend_on_the_batch_but_on_the_step():
    before = images(6)
    after = jitter(4)(before, seeds(6)).numpy()
    np.testing.assert_array_equal(jitter(4)(before[3:4], seeds(6)[3:4])[0], after[3])
    np.testing.assert_array_equal(jitter(4)(before, seeds(6)), after)
    assert not np.array_equal(jitter(4)(before, seeds(6, step=1)), after)


def test_the_gradient_goes_back_to_where_each_pixel_came_from():
    before = images(3)
    with tf.GradientTape() as tape:
        tape.watch(before)
        after = jitter(3)(before, seeds(3))
        total = tf.reduce_sum(after**2)
    np.testing.assert_allclose(tape.gradient(total, before), 2 * before, rtol=1e-6)


def test_compose_goes_from_left_to_right():
    add = Transform("add one", lambda given, seeds: given + 1)
    double = Transform("double", lambda given, seeds: given * 2)
    np.testing.assert_allclose(compose(add, double)(images(2), seeds(2)), (images(2) + 1) * 2)


def test_two_jitters_draw_their_own_numbers():
    before = images(60)
    after = compose(jitter(1), jitter(1))(before, seeds(60)).numpy()
    shifts = [shift_of(*pair) for pair in zip(before.numpy(), after, strict=True)]
    assert any(down % 2 for down, _ in shifts)  # the same numbers twice would give even shifts only


@pytest.mark.parametrize("make", [lambda: jitter(3), lambda: compose(jitter(3), identity)])
def test_equal_transforms_share_a_graph(make):
    assert make() == make()
    assert make() != jitter(4)
