"""Photos that are nearly the same are found, and photos of one scene are not taken for the same."""

from __future__ import annotations

import functools
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.fft import dctn
from sklearn.datasets import load_digits

from core import images, samples
from core.transfer import alike

NAMES = ("cat", "coffee", "daisy", "motorcycle", "temple", "rocket", "astronaut", "photographer", "coins", "tissue")


@functools.cache
def small(name: str) -> np.ndarray:
    return alike.small(samples.photograph(name).pixels)


def saved(pixels: np.ndarray, quality: int) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(images.encode_jpeg(pixels, quality))))


def enlarged(pixels: np.ndarray, factor: float) -> np.ndarray:
    height, width = pixels.shape[:2]
    return images.resize(pixels, (round(factor * height), round(factor * width)))


def trimmed(pixels: np.ndarray, top: float, left: float, bottom: float, right: float) -> np.ndarray:
    height, width = pixels.shape[:2]
    return pixels[round(top * height) : round((1 - bottom) * height), round(left * width) : round((1 - right) * width)]


def brighter(pixels: np.ndarray, factor: float) -> np.ndarray:
    return np.clip(pixels * factor, 0, 255).astype(np.uint8)


CHANGES = {
    "half the size": lambda pixels: enlarged(pixels, 0.5),
    "a third of the size": lambda pixels: enlarged(pixels, 1 / 3),
    "enlarged": lambda pixels: enlarged(pixels, 1.5),
    "saved as a poor JPEG": lambda pixels: saved(pixels, 20),
    "brightened": lambda pixels: brighter(pixels, 1.15),
    "darkened": lambda pixels: brighter(pixels, 0.8),
    "trimmed at one side": lambda pixels: trimmed(pixels, 0, 0.02, 0, 0),
    "trimmed in a corner": lambda pixels: trimmed(pixels, 0.02, 0.02, 0, 0),
    "trimmed all around": lambda pixels: trimmed(pixels, 0.02, 0.02, 0.02, 0.02),
    "all at once": lambda pixels: saved(enlarged(trimmed(brighter(pixels, 1.1), 0.02, 0.01, 0, 0.01), 0.5), 60),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_changed_photo_is_found_among_others(change):
    photos = [samples.photograph(name).pixels for name in NAMES]
    smalls = np.stack([alike.small(pixels) for pixels in (*photos, *map(change, photos))])
    assert alike.groups(smalls).tolist() == [*range(len(NAMES)), *range(len(NAMES))]


@pytest.mark.parametrize("share", [0.15, 0.2, 0.3, 0.5])
def test_a_scene_in_which_something_has_moved_is_another_photo(share):
    rng = np.random.default_rng(0)
    for name in NAMES:
        scene = images.fit(samples.photograph(name).pixels, (256, 256))
        side = round(256 * share)
        subject = images.fit(samples.photograph("rocket" if name != "rocket" else "cat").pixels, (side, side))
        pair = []
        for left in (0, 256 - side):
            top = int(rng.integers(0, 256 - side))
            changed = scene.copy()
            changed[top : top + side, left : left + side] = subject
            pair.append(alike.small(changed))
        assert alike.groups(np.stack(pair)).tolist() == [0, 1], name


def test_neighbouring_pieces_of_one_photo_are_different_photos():
    pixels = samples.photograph("temple").pixels
    pieces = [pixels[top : top + 140, left : left + 140] for top in (0, 140, 280) for left in (0, 140, 280, 420)]
    assert alike.groups(np.stack([alike.small(piece) for piece in pieces])).tolist() == list(range(12))


def test_other_colours_make_another_photo():
    mug = samples.photograph("coffee").pixels
    assert alike.groups(np.stack([alike.small(mug), alike.small(mug[..., ::-1])])).tolist() == [0, 1]


def test_handwritten_digits_are_all_different():
    digits = load_digits().images[:400]
    pixels = [np.repeat(np.uint8(15 * digit)[..., None], 3, axis=2) for digit in digits]
    smalls = np.stack([alike.small(images.resize(each, (64, 64))) for each in pixels])
    assert len(np.unique(alike.groups(smalls))) == 400


def test_the_hash_is_that_of_the_cosine_transform():
    smalls = np.stack([small(name) for name in NAMES])
    grey = smalls @ np.array([0.299, 0.587, 0.114])
    for code, picture in zip(alike.hashes(smalls), grey, strict=True):
        strength = dctn(picture)[1:9, 1:9].ravel()
        bits = np.packbits(strength > np.median(strength))
        # A strength that is the median to the last digit may fall on either side.
        assert np.bitwise_count(np.uint64(bits.view(np.uint64)[0] ^ code)) <= 1


@pytest.mark.parametrize("colour", [0, 90, 255])
def test_there_is_nothing_to_recognise_in_a_plain_picture(colour):
    plain = np.full((3, 32, 32, 3), colour, np.uint8)
    plain[1, :, 10:] ^= 1
    assert alike.groups(plain).tolist() == [0, 1, 2]


def test_nothing_is_grouped_with_nothing():
    assert alike.groups(np.zeros((0, 32, 32, 3), np.uint8)).tolist() == []
    assert alike.groups(np.zeros((1, 32, 32, 3), np.uint8)).tolist() == [0]


@given(order=st.permutations(range(12)))
def test_the_order_of_the_photos_does_not_matter(order):
    smalls = np.stack([small(name) for name in NAMES[:6]] + [brighter(small(name), 0.9) for name in NAMES[:6]])
    groups = alike.groups(smalls[list(order)])
    for place, group in zip(order, groups, strict=True):
        assert order[group] % 6 == place % 6
    assert all(group <= place for place, group in enumerate(groups))


def test_a_chain_of_neighbours_is_one_group():
    """As a camera on a tripod takes them, while it gets dark: the last is not like the first."""
    cat = small("cat")
    chain = np.stack([np.uint8(cat * 0.8**step) for step in range(6)])
    assert not alike.nearly_same(chain[:1], chain[5:])[0]
    assert alike.groups(chain).tolist() == [0] * 6


def test_thousands_of_the_same_are_joined_block_by_block(monkeypatch):
    monkeypatch.setattr(alike, "BLOCK", 64)
    rng = np.random.default_rng(0)
    noise = rng.integers(-3, 4, (300, 32, 32, 3))
    smalls = np.concatenate([np.clip(small(name) + noise, 0, 255) for name in ("cat", "coffee")]).astype(np.uint8)
    mixed = rng.permutation(600)
    groups = alike.groups(smalls[mixed])
    assert len(np.unique(groups)) == 2
    assert all(len(np.unique(groups[(mixed < 300) == side])) == 1 for side in (True, False))


def test_the_work_is_bounded(monkeypatch):
    """Where everything looks like everything, it is given up rather than waited for."""
    looked_at = []
    laid_over = alike.nearly_same
    monkeypatch.setattr(alike, "PAIRS_MAX", 500)
    monkeypatch.setattr(alike, "BITS_MAX", 64)
    monkeypatch.setattr(alike, "nearly_same", lambda one, two: looked_at.append(len(one)) or laid_over(one, two))
    smalls = np.random.default_rng(0).integers(0, 256, (100, 32, 32, 3), dtype=np.uint8)
    assert alike.groups(smalls).tolist() == list(range(100))
    assert sum(looked_at) <= 500 + alike.CHUNK
