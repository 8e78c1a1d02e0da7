import keras
import numpy as np
import pytest

from core import journey
from core.backbones import loading
from core.errors import UserError
from core.messages import JourneyRequest, ModelRef, Photo
from tests.core.tiny import TINY_SIZE, tiny_backbone


def stairs():
    """Channel c of the first layer is c times the red of a pixel; the second layer is its mean, twice as coarse."""
    inputs = keras.Input((TINY_SIZE, TINY_SIZE, 3))
    x = keras.layers.Conv2D(5, 1, use_bias=False, name="times")(inputs)
    x = keras.layers.AveragePooling2D(2, name="coarse")(x)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="mean")(x))
    kernel = np.zeros((1, 1, 3, 5), np.float32)
    kernel[0, 0, 0] = range(5)
    model.get_layer("times").set_weights([kernel])
    return model


@pytest.fixture
def photo(monkeypatch):
    backbone = tiny_backbone(stairs())
    monkeypatch.setattr(loading, "load", lambda ref: backbone)
    pixels = np.zeros((TINY_SIZE, TINY_SIZE, 3), np.uint8)
    pixels[:, :12, 0] = 100  # the left half is red
    return Photo.of(pixels)


def test_the_strongest_channels_come_back_and_no_others(photo):
    found = journey.travel(JourneyRequest(ModelRef("stairs"), photo, ("times", "coarse", "mean"), top=3))
    assert [row.layer for row in found.rows] == ["times", "coarse", "mean"]
    assert all(row.channels == (4, 3, 2) for row in found.rows)
    times, coarse, mean = (row.maps for row in found.rows)
    assert times.shape == (3, 24, 24) and coarse.shape == (3, 12, 12)
    np.testing.assert_allclose(times[0], 4.0 * photo.pixels[:, :, 0])
    np.testing.assert_allclose(coarse[1, :, :6], 300)
    np.testing.assert_allclose(mean, [200, 150, 100])
    np.testing.assert_array_equal(found.seen, photo.pixels)


def test_fewer_channels_than_asked_for(photo):
    (row,) = journey.travel(JourneyRequest(ModelRef("stairs"), photo, ("times",), top=8)).rows
    assert row.channels == (4, 3, 2, 1, 0) and len(row.maps) == 5


def test_another_order(photo):
    (row,) = journey.travel(JourneyRequest(ModelRef("stairs"), photo, ("times",), top=2, by="index")).rows
    assert row.channels == (0, 1)


def test_a_layer_that_is_not_there(photo):
    with pytest.raises(UserError, match="no layer"):
        journey.travel(JourneyRequest(ModelRef("stairs"), photo, ("tiems",)))
