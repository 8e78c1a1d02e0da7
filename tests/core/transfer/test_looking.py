from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from core import images, runs
from core.errors import UserError
from core.messages import ModelRef
from core.transfer import datasets, looking
from core.transfer.requests import PhotosRequest, TrainingConfig
from tests.zips import png

from .conftest import write

SIDE = 32


def two_halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> bytes:
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[:, : SIDE // 2], pixels[:, SIDE // 2 :] = left, right
    return png(pixels)


RED, BLUE = (220, 0, 0), (0, 0, 200)
FILES = {
    "blue/0.png": two_halves((0, 0, 240), BLUE),
    "blue/1.png": two_halves(RED, (0, 0, 250)),
    "red/0.png": two_halves(RED, BLUE),
    "red/1.png": two_halves((240, 0, 0), (230, 0, 0)),
}


def network(head: str) -> keras.Model:
    """Class 0 is answered by how much blue there is, class 1 by how much red; the last maps are 8 × 8."""
    layers, inputs = keras.layers, keras.Input((SIDE, SIDE, 3))
    maps = layers.Conv2D(2, 1, use_bias=False, name="colours")(layers.AveragePooling2D(4)(inputs))
    flat = layers.Flatten()(maps) if head == "flatten" else layers.GlobalAveragePooling2D()(maps)
    model = keras.Model(inputs, layers.Dense(2, activation="softmax", use_bias=False)(flat))
    cells = 64 if head == "flatten" else 1
    kernel = np.tile(np.eye(2), (cells, 1)) / cells
    model.set_weights([np.float32([[0, 1], [0, 0], [1, 0]]).reshape(1, 1, 3, 2) / 25, np.float32(kernel)])
    return model


@pytest.fixture(params=["average", "flatten"])
def run(request, tmp_path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    config = TrainingConfig(str(write(tmp_path / "photos", FILES)), ModelRef("tiny"), str(folder), size=SIDE)
    runs.write_config(folder, config)
    network(request.param).save(folder / "model.keras")
    return folder


def redness(picture: bytes) -> tuple[float, float]:
    """How much of the heat's red lies over the left half of a WebP picture, and over the right half."""
    pixels = images.decode(picture).astype(float)
    red = pixels[..., 0] - pixels[..., 1:].mean(axis=-1)
    half = red.shape[1] // 2
    return red[:, :half].mean(), red[:, half:].mean()


def test_the_heat_lies_where_the_class_is_whatever_the_head(run):
    one = ("red/0.png",)
    (plain,) = looking.photos(PhotosRequest(str(run), one, side=64))
    assert plain.heat is None and images.decode(plain.picture).shape == (64, 64, 3)
    (red,) = looking.photos(PhotosRequest(str(run), one, why=True, targets=(1,)))
    (blue,) = looking.photos(PhotosRequest(str(run), one, why=True, targets=(0,)))
    # The photo is red on the left itself, so the two are compared with each other.
    (left, right), (left_of_blue, right_of_blue) = redness(red.heat), redness(blue.heat)
    assert left > left_of_blue + 20 and right_of_blue > right + 20


def test_without_a_class_it_is_the_one_that_the_network_said(run):
    files = ("red/0.png", "blue/1.png", "red/1.png", "blue/0.png")
    own = looking.photos(PhotosRequest(str(run), files, why=True))
    # More red than blue in the first, the other way round in the second.
    assert own == looking.photos(PhotosRequest(str(run), files, why=True, targets=(1, 0, 1, 0)))
    assert [photo.file for photo in own] == list(files)


def test_photos_are_those_that_were_learned_from(run):
    data = runs.read_config(run).data
    dataset = datasets.read(data, 20)
    files = dataset.files[::-1]
    np.testing.assert_array_equal(looking.wanted_photos(data, files, 20), dataset.photos[::-1])


def test_what_is_gone_is_said_in_a_sentence(run):
    with pytest.raises(UserError, match=r"red/9\.png"):
        looking.photos(PhotosRequest(str(run), ("red/9.png",)))
    (run / "model.keras").unlink()
    assert looking.photos(PhotosRequest(str(run), ("red/0.png",)))[0].picture
    with pytest.raises(UserError, match="Train it again"):
        looking.photos(PhotosRequest(str(run), ("red/0.png",), why=True))
    (run / "config.json").unlink()
    with pytest.raises(UserError, match="settings of this run"):
        looking.photos(PhotosRequest(str(run), ("red/0.png",)))
