"""The preview of the augmentation."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from core.transfer import augmenting
from core.transfer.requests import Augmentation, AugmentRequest

NOTHING = Augmentation(flip="none", rotation=0.0, zoom=0.0)


@pytest.fixture
def photos() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)


def request(augmentation: Augmentation, folder="", **more) -> AugmentRequest:
    return AugmentRequest(str(folder), augmentation, **{"size": 16, **more})


def test_no_change_gives_the_photos_themselves(photos):
    changed = augmenting.vary(photos, request(NOTHING))
    assert changed.shape == (3, 4, 16, 16, 3)
    assert (changed == photos[:, None]).all()


def test_mirrored_variants_are_the_photo_or_its_mirror_image(photos):
    changed = augmenting.vary(photos, request(Augmentation(flip="horizontal", rotation=0.0, zoom=0.0), variants=12))
    same = (changed == photos[:, None]).all((2, 3, 4))
    mirrored = (changed == photos[:, None, :, ::-1]).all((2, 3, 4))
    assert (same ^ mirrored).all()
    assert same.any()
    assert mirrored.any()


def test_a_seed_gives_the_same_changes_and_another_one_others(photos):
    first, again, other = (augmenting.vary(photos, request(Augmentation(), seed=seed)) for seed in (1, 1, 2))
    assert (first == again).all()
    assert not (first == other).all()


@pytest.mark.parametrize(
    "change", [{"rotation": 0.2}, {"zoom": 0.4}, {"shear": 0.4}, {"shift": 0.4}, {"brightness": 0.4}]
)
def test_each_slider_changes_the_photos(photos, change):
    settings = Augmentation(**{"flip": "none", "rotation": 0.0, "zoom": 0.0, **change})
    assert not (augmenting.vary(photos, request(settings)) == photos[:, None]).all()


def test_each_photo_comes_with_its_variants_in_a_row(folder):
    *_, found = augmenting.run(request(Augmentation(), folder, photos=2, variants=3))
    assert len(found.rows) == 2
    row = np.asarray(Image.open(io.BytesIO(found.rows[0])))
    assert row.shape == (16, 4 * 16 + augmenting.GAP + 2 * augmenting.MARGIN, 4)
    assert (row[:, 16 : 16 + augmenting.GAP, 3] == 0).all()  # the page shows through


def test_the_few_photos_are_of_different_classes(folder):
    few = augmenting.few(str(folder), 16)
    strongest = [int(np.argmax(photo.mean((0, 1)))) for photo in few[:3]]
    assert strongest == [2, 1, 0]  # blue, green, red
