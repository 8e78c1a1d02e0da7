import numpy as np
import pytest
import tensorflow as tf

from core.featurevis import transforms
from core.featurevis.transforms import Transform, compose, crop, identity, jitter, pad, rotate, scale

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


RANDOM = (lambda: scale(0.8, 1.25), lambda: rotate(20.0), lambda: jitter(3))


def smooth(count: int, side: int = 33) -> np.ndarray:
    """Blurred noise, `float32[count, side, side, 3]`, of which bilinear sampling loses little."""
    noise = np.random.default_rng(1).normal(size=(count, side, side, 3))
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])[None, ..., None]
    spectrum = np.fft.fft2(noise, axes=(1, 2)) * (frequency < 0.08)
    return np.fft.ifft2(spectrum, axes=(1, 2)).real.astype(np.float32) * 10


@pytest.mark.parametrize("make", RANDOM)
def test_random_transforms_keep_the_shape_and_go_by_image_and_step(make):
    before = images(5)
    traced = tf.function(make().apply)
    after = traced(before, seeds(5)).numpy()
    assert after.shape == before.shape
    np.testing.assert_allclose(make()(before[3:4], seeds(5)[3:4])[0], after[3], rtol=1e-5, atol=1e-6)
    assert not np.allclose(traced(before, seeds(5, step=1)), after)
    same = tf.repeat(before[:1], 5, axis=0)
    assert len({image.tobytes() for image in traced(same, seeds(5)).numpy()}) == 5


@pytest.mark.parametrize("transform", [scale(1.0, 1.0), rotate(0.0), jitter(0), pad(0), crop(0)])
def test_nothing_asked_is_nothing_done(transform):
    np.testing.assert_allclose(transform(images(3), seeds(3)), images(3), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_scale_enlarges_about_the_middle(factor):
    before = smooth(2)
    after = scale(factor, factor)(tf.constant(before), seeds(2)).numpy()
    middle = 16
    for offset in (-8, -4, 0, 4, 8):
        source = middle + offset / factor
        low = int(np.floor(source))
        part = source - low
        expected = before[:, low, middle] * (1 - part) + before[:, low + 1, middle] * part
        np.testing.assert_allclose(after[:, middle + offset, middle], expected, rtol=1e-3, atol=1e-3)


def test_a_quarter_turn_turns_the_image():
    before = smooth(1)
    quarter = transforms._rotations(tf.constant([np.pi / 2], tf.float32), 33, 33)
    after = tf.raw_ops.ImageProjectiveTransformV3(
        images=before,
        transforms=quarter,
        output_shape=[33, 33],
        interpolation="BILINEAR",
        fill_mode="NEAREST",
        fill_value=0.0,
    )
    either = [np.rot90(before[0], turns) for turns in (1, 3)]
    assert min(np.abs(after[0].numpy() - turned).max() for turned in either) < 1e-3


def test_rotations_stay_within_their_limit_and_leave_the_middle():
    before = smooth(1, 33)
    same = tf.constant(np.repeat(before, 40, axis=0))
    after = rotate(10.0)(same, seeds(40)).numpy()
    np.testing.assert_allclose(after[:, 16, 16], np.repeat(before[:, 16, 16], 40, axis=0), rtol=1e-3, atol=1e-3)
    assert after[:, 2:-2, 2:-2].std(axis=0).mean() > 0.01
    none = rotate(0.0)(same, seeds(40)).numpy()
    slight = rotate(0.5)(same, seeds(40)).numpy()
    assert np.abs(slight - none)[:, 4:-4, 4:-4].max() < np.abs(after - none)[:, 4:-4, 4:-4].max() / 4


@pytest.mark.parametrize("make", RANDOM)
def test_the_gradient_is_what_the_score_gains(make):
    before, step = smooth(2), smooth(2)[::-1] * 0.01
    wanted = smooth(2)[:, ::-1].copy()

    def gain(given):
        return tf.reduce_sum(make()(given, seeds(2)) * wanted)

    given = tf.constant(before)
    with tf.GradientTape() as tape:
        tape.watch(given)
        total = gain(given)
    foretold = tf.reduce_sum(tape.gradient(total, given) * step)
    # All are linear in the image. The gradient of a rotation turns back, which is exact only for smooth images.
    happened = gain(tf.constant(before + step)) - total
    size = tf.norm(make()(tf.constant(step), seeds(2))) * np.linalg.norm(wanted)
    assert abs(foretold - happened) < 0.02 * size


def test_what_is_padded_can_be_cropped_again():
    before = images(2)
    padded = pad(4, 0.25)(before, seeds(2))
    assert padded.shape == (2, SIDE + 8, SIDE + 8, 3)
    assert (padded.numpy()[:, :4] == 0.25).all() and (padded.numpy()[:, :, -4:] == 0.25).all()
    np.testing.assert_array_equal(crop(4)(padded, seeds(2)), before)
    np.testing.assert_array_equal(pad(4)(before, seeds(2)).numpy()[:, 0], 0.5)


def test_shapes_are_known_when_traced():
    change = compose(pad(3), jitter(2), scale(0.9, 1.1), rotate(5.0), crop(3))
    traced = tf.function(change.apply).get_concrete_function(
        tf.TensorSpec([4, SIDE, SIDE, 3]), tf.TensorSpec([4, 2], tf.int64)
    )
    assert traced.output_shapes == (4, SIDE, SIDE, 3)


def test_a_scale_that_turns_inside_out_is_refused():
    for low, high in [(0.0, 1.0), (-1.0, 1.0), (1.2, 0.8)]:
        with pytest.raises(ValueError, match="factors"):
            scale(low, high)
