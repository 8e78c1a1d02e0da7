import numpy as np
import pytest
import tensorflow as tf

from core.featurevis import parameterisations
from core.featurevis.parameterisations import faces, fourier, phases, pixels

ALL = (pixels, fourier, phases)


def logit(images: np.ndarray) -> np.ndarray:
    images = np.asarray(images, np.float64)
    return np.log(images / (1 - images))


def test_grey_noise_within_the_textbooks_limits():
    start = pixels(50).initial(range(4), seed=0).numpy()
    assert start.shape == (4, 50, 50, 3)
    assert start.dtype == np.float32
    assert start.min() >= 0.4
    assert start.max() < 0.6
    # of U(0.4, 0.6): mean 0.5, standard deviation 0.2 / sqrt(12); 30,000 draws
    np.testing.assert_allclose(start.mean(), 0.5, atol=0.002)
    np.testing.assert_allclose(start.std(), 0.2 / np.sqrt(12), atol=0.001)


@pytest.mark.parametrize("make", ALL)
def test_a_filters_start_depends_on_the_filter_and_the_seed_alone(make):
    together = make(8).initial([5, 0, 1000], seed=3).numpy()
    np.testing.assert_array_equal(together[2], make(8).initial([1000], seed=3).numpy()[0])
    assert not np.array_equal(together[0], together[1])
    assert not np.array_equal(together[0], make(8).initial([5], seed=4).numpy()[0])


def test_pixels_are_the_image():
    start = pixels(8).initial([0, 1], seed=0)
    np.testing.assert_array_equal(pixels(8).to_image(start), start)


@pytest.mark.parametrize("make", [fourier, phases])
@pytest.mark.parametrize("size", [1, 2, 7, 8, 31, 64])
def test_images_of_any_size_are_real_and_within_range(make, size):
    parameterisation = make(size)
    params = 20 * parameterisation.initial([0, 1], seed=0)
    images = tf.function(parameterisation.to_image)(params).numpy()
    assert parameterisation.size == size
    assert images.shape == (2, size, size, 3)
    assert images.dtype == np.float32
    assert np.isfinite(images).all() and images.min() >= 0 and images.max() <= 1


@pytest.mark.parametrize("make", [fourier, phases])
@pytest.mark.parametrize("size", [6, 7])
def test_every_pixel_can_be_reached_by_the_gradient(make, size):
    params = make(size).initial([0], seed=0)
    for pixel in [(0, 0, 0), (size - 1, size - 1, 2), (size // 2, 1, 1)]:
        with tf.GradientTape() as tape:
            tape.watch(params)
            value = make(size).to_image(params)[0][pixel]
        gradient = tape.gradient(value, params).numpy()
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0
        # The gradient is the direction in which the pixel grows.
        assert make(size).to_image(params + 1e-3 * gradient)[0][pixel] > value


def test_fourier_starts_near_grey_with_the_asked_spread():
    params = fourier(64).initial([0], seed=0).numpy()
    np.testing.assert_allclose(params.std(), 0.01, rtol=0.05)
    np.testing.assert_allclose(params.mean(), 0, atol=5e-4)
    np.testing.assert_allclose(fourier(64).to_image(np.zeros_like(params)), 0.5)


@pytest.mark.parametrize("size", [9, 16])
def test_fourier_is_lucids_image(size):
    """As `lucid/optvis/param/spatial.py` and `color.py` write it, in NumPy."""
    params = fourier(size).initial([4], seed=1).numpy()[0] * 30
    rows, columns = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None]
    scale = 1 / np.maximum(np.sqrt(rows**2 + columns**2), 1 / size) * np.sqrt(size * size)
    image = np.fft.irfft2(scale * (params[0] + 1j * params[1]), (size, size)).transpose(1, 2, 0) / 4
    root = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
    root = root / np.max(np.linalg.norm(root, axis=0))
    expected = 1 / (1 + np.exp(-(image.reshape(-1, 3) @ root.T).reshape(size, size, 3)))
    np.testing.assert_allclose(fourier(size).to_image(params[None])[0], expected, rtol=1e-4, atol=1e-5)


def test_colours_are_decorrelated_as_in_the_facts():
    matrix = parameterisations.colour_matrix()
    np.testing.assert_allclose(np.linalg.norm(matrix, axis=0).max(), 1, rtol=1e-6)
    np.testing.assert_allclose(matrix[:, 0] / matrix[0, 0], [1, 0.27 / 0.26, 0.27 / 0.26], rtol=1e-6)
    # Unit noise in decorrelated colours becomes colours that vary together, above all in brightness.
    noise = np.random.default_rng(0).normal(size=(20_000, 3)) @ matrix.T
    assert np.corrcoef(noise.T).min() > 0.75


def test_photographs_grow_weaker_with_frequency_about_as_one_over_it():
    size = 64
    spectrum = parameterisations.photographic_spectrum(size)
    assert spectrum.shape == (3, size, size // 2 + 1)
    assert not spectrum.flags.writeable
    frequency = parameterisations.frequencies(size)
    inside = (frequency > 2 / size) & (frequency < 0.4)
    slope = np.polyfit(np.log(frequency[inside]), np.log(spectrum[0][inside]), 1)[0]
    assert -1.6 < slope < -0.6
    np.testing.assert_array_equal(spectrum[:, 3, 4], spectrum[:, 4, 3])  # the same in all directions


@pytest.mark.parametrize("size", [15, 16])
def test_whatever_the_phases_the_magnitudes_are_a_photographs(size):
    params = 5 * phases(size).initial([2], seed=0)
    colours = logit(phases(size).to_image(params)[0]) @ np.linalg.inv(parameterisations.colour_matrix()).T
    found = np.abs(np.fft.rfft2(colours, axes=(0, 1))).transpose(2, 0, 1)
    inner = slice(1, (size + 1) // 2)  # the outer columns are their own mirror images
    expected = parameterisations.photographic_spectrum(size)
    np.testing.assert_allclose(found[..., inner], expected[..., inner], rtol=0.02)


@pytest.mark.parametrize("make", ALL)
def test_faces_of_one_target_start_differently_and_the_first_as_ever(make):
    start = faces(make(8)).initial([7, 7, 3, 7], seed=5).numpy()
    np.testing.assert_array_equal(start[0], make(8).initial([7], seed=5)[0])
    np.testing.assert_array_equal(start[2], make(8).initial([3], seed=5)[0])
    assert not np.array_equal(start[0], start[1]) and not np.array_equal(start[1], start[3])
    assert faces(make(8)) == faces(make(8)) != faces(make(9))
    np.testing.assert_array_equal(faces(make(8)).to_image(start), make(8).to_image(start))


def test_equal_parameterisations_share_a_graph():
    assert len({make(8) for make in ALL} | {make(8) for make in ALL} | {fourier(9)}) == 4
