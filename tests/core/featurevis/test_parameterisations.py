import numpy as np

from core.featurevis.parameterisations import pixels


def test_grey_noise_within_the_textbooks_limits():
    start = pixels(50).initial(range(4), seed=0).numpy()
    assert start.shape == (4, 50, 50, 3)
    assert start.dtype == np.float32
    assert start.min() >= 0.4
    assert start.max() < 0.6
    # of U(0.4, 0.6): mean 0.5, standard deviation 0.2 / sqrt(12); 30,000 draws
    np.testing.assert_allclose(start.mean(), 0.5, atol=0.002)
    np.testing.assert_allclose(start.std(), 0.2 / np.sqrt(12), atol=0.001)


def test_a_filters_start_depends_on_the_filter_and_the_seed_alone():
    together = pixels(8).initial([5, 0, 1000], seed=3).numpy()
    np.testing.assert_array_equal(together[2], pixels(8).initial([1000], seed=3).numpy()[0])
    assert not np.array_equal(together[0], together[1])
    assert not np.array_equal(together[0], pixels(8).initial([5], seed=4).numpy()[0])


def test_pixels_are_the_image():
    start = pixels(8).initial([0, 1], seed=0)
    np.testing.assert_array_equal(pixels(8).to_image(start), start)
