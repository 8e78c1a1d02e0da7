import numpy as np
import pytest

from core.perturbations import Perturbation, apply


def photo(height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray:
    """Smooth, so that turning and enlarging lose little."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x * a + y * b + c) for a, b, c in rng.uniform(-0.25, 0.25, (3, 3))]
    return np.clip(128 + 70 * np.stack(waves, axis=-1), 0, 255).astype(np.uint8)


EACH = [
    {"rotate": 20},
    {"blur": 2},
    {"noise": 10},
    {"brightness": 30},
    {"brightness": -30},
    {"contrast": -50},
    {"crop": 30},
    {"grey": True},
    {"flip": True},
]


@pytest.mark.parametrize("size", [(40, 60), (60, 40), (1, 1), (1, 9), (33, 33)])
def test_nothing_set_changes_nothing(size):
    pixels = photo(*size)
    changed = apply(pixels, Perturbation())
    np.testing.assert_array_equal(changed, pixels)
    assert changed is not pixels
    assert not np.shares_memory(changed, pixels)


@pytest.mark.parametrize("settings", EACH, ids=str)
@pytest.mark.parametrize("size", [(40, 60), (60, 40), (1, 9), (2, 2)])
def test_each_keeps_the_size_leaves_the_original_and_is_the_same_every_time(settings, size):
    pixels = photo(*size)
    pixels.setflags(write=False)
    before = pixels.copy()
    changed = apply(pixels, Perturbation(**settings))
    assert changed.shape == pixels.shape and changed.dtype == np.uint8
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(changed, apply(pixels, Perturbation(**settings)))
    if size == (40, 60):
        assert np.any(changed != pixels)


def test_a_quarter_turn_is_numpys():
    pixels = photo(40, 40)
    np.testing.assert_array_equal(apply(pixels, Perturbation(rotate=90)), np.rot90(pixels))
    np.testing.assert_array_equal(apply(pixels, Perturbation(rotate=180)), pixels[::-1, ::-1])
    np.testing.assert_array_equal(apply(pixels, Perturbation(rotate=360)), pixels)


@pytest.mark.parametrize("size", [(40, 60), (60, 40)])
def test_turning_there_and_back_is_nearly_the_photo(size):
    pixels = photo(*size)
    back = apply(apply(pixels, Perturbation(rotate=25)), Perturbation(rotate=-25))
    middle = np.s_[10:-10, 10:-10]
    assert np.abs(back[middle].astype(int) - pixels[middle]).mean() < 2


def test_turning_brings_in_nothing_dark():
    pixels = np.full((30, 50, 3), (200, 180, 90), np.uint8)
    for degrees in (10, 45, 90, 133):
        np.testing.assert_array_equal(apply(pixels, Perturbation(rotate=degrees)), pixels)


def test_blur_keeps_the_mean_and_takes_the_detail():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    spreads = [apply(pixels, Perturbation(blur=blur)).std() for blur in (0, 1, 2, 4)]
    assert spreads == sorted(spreads, reverse=True)
    assert spreads[-1] < spreads[0] / 4
    assert apply(pixels, Perturbation(blur=2)).mean() == pytest.approx(pixels.mean(), abs=1.5)


def test_noise_has_the_spread_that_is_asked_for_and_its_seed():
    pixels = np.full((64, 64, 3), 128, np.uint8)
    noisy = apply(pixels, Perturbation(noise=20)).astype(float)
    assert noisy.std() == pytest.approx(20, rel=0.05)
    assert noisy.mean() == pytest.approx(128, abs=1)
    assert np.any(noisy != apply(pixels, Perturbation(noise=20, seed=1)))


def test_brightness_multiplies():
    pixels = photo()
    np.testing.assert_array_equal(apply(pixels, Perturbation(brightness=-100)), 0)
    np.testing.assert_array_equal(apply(pixels, Perturbation(brightness=100)), np.minimum(2 * pixels.astype(int), 255))


def test_contrast_spreads_about_the_mean():
    pixels = photo()
    flat = apply(pixels, Perturbation(contrast=-100))
    assert np.ptp(flat) == 0
    assert flat.flat[0] == round(pixels.mean())
    half = apply(pixels, Perturbation(contrast=-50))
    assert half.std() == pytest.approx(pixels.std() / 2, rel=0.02)


def test_grey_is_the_luminance_in_all_three_colours():
    grey = apply(photo(), Perturbation(grey=True))
    np.testing.assert_array_equal(grey[..., 0], grey[..., 1])
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    assert apply(colours, Perturbation(grey=True))[0, :, 0].tolist() == [76, 150, 29]


def test_flipping_twice_is_the_photo():
    pixels = photo()
    once = apply(pixels, Perturbation(flip=True))
    np.testing.assert_array_equal(once, pixels[:, ::-1])
    np.testing.assert_array_equal(apply(once, Perturbation(flip=True)), pixels)


def test_cropping_enlarges_the_middle():
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[10:30, 15:45] = 255  # the middle half
    assert apply(pixels, Perturbation(crop=50))[2:-2, 2:-2].min() == 255


@pytest.mark.parametrize("settings", [{"crop": 100}, {"crop": -1}, {"blur": -1}, {"noise": -1}, {"contrast": 101}])
def test_what_makes_no_sense_is_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        Perturbation(**settings)
