"""Trust: a filter's answers to its own tile, to noise and to photographs; held against plain Keras calls."""

import keras
import numpy as np
import pytest

from core import images, samples
from core.backbones import loading
from core.errors import UserError
from core.featurevis import trust
from tests.core.tiny import TINY_SIZE, redness_model, tiny_backbone, tiny_model, with_seeded_weights


def tiles_of(count: int, size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def photos(size: int = TINY_SIZE) -> np.ndarray:
    return np.stack([images.fit(samples.photograph(each.name).pixels, (size, size)) for each in samples.PHOTOGRAPHS])


def answers(model: keras.Model, pixels: np.ndarray) -> np.ndarray:
    """The oracle: what Keras says to pixels in 0..255 scaled to −1..1, each channel at its strongest place."""
    outputs = np.asarray(model(pixels.astype(np.float32) / 127.5 - 1))
    return outputs.reshape(len(outputs), -1, outputs.shape[-1]).max(axis=1)


def test_answers_are_those_of_the_truncated_model():
    model = tiny_model(size=None)
    backbone = tiny_backbone(model, preprocessing="tf")
    filters, tiles = (5, 0, 5, *range(8)), tiles_of(11, 40)
    found = trust.measure(backbone, "conv2", filters, tiles)
    cut = keras.Model(model.inputs[0], model.get_layer("conv2").output)
    own = answers(cut, tiles)[np.arange(11), filters]
    noise = answers(cut, trust.noise_images((TINY_SIZE, TINY_SIZE))).mean(axis=0)[list(filters)]
    best = answers(cut, photos())[:, list(filters)]
    np.testing.assert_allclose([each.tile for each in found], own, rtol=1e-4)
    np.testing.assert_allclose([each.noise for each in found], noise, rtol=1e-4)
    np.testing.assert_allclose([each.photo for each in found], best.max(axis=0), rtol=1e-4)
    assert [each.photo_name for each in found] == [samples.PHOTOGRAPHS[place].name for place in best.argmax(axis=0)]


def test_a_vector_has_no_places():
    model = tiny_model(size=None)
    (found,) = trust.measure(tiny_backbone(model, preprocessing="tf"), "predictions", (2,), tiles := tiles_of(1, 20))
    assert found.tile == pytest.approx(answers(model, tiles)[0, 2], rel=1e-4)


def test_a_class_is_read_before_its_softmax():
    model = with_seeded_weights(tiny_model(size=None))  # of full size: logits far outside [0, 1]
    logits = tiny_model(size=None, activation=None)
    logits.set_weights(model.get_weights())
    tiles = tiles_of(3, 16)
    found = trust.measure(tiny_backbone(model, preprocessing="tf"), "predictions", range(3), tiles, logits=True)
    np.testing.assert_allclose([each.tile for each in found], np.diag(answers(logits, tiles)), rtol=1e-4)
    np.testing.assert_allclose([each.photo for each in found], answers(logits, photos()).max(axis=0), rtol=1e-4)


def test_a_tile_is_resized_only_where_its_own_size_does_not_do():
    inputs = keras.Input((TINY_SIZE, TINY_SIZE, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2, name="dense")(keras.layers.Flatten()(x)))
    backbone, tiles = tiny_backbone(with_seeded_weights(model), preprocessing="tf"), tiles_of(2, 48)
    resized = np.stack([images.resize(tile, (TINY_SIZE, TINY_SIZE)) for tile in tiles])
    found = trust.measure(backbone, "dense", (1, 0), tiles)
    np.testing.assert_allclose([each.tile for each in found], answers(model, resized)[[0, 1], [1, 0]], rtol=1e-3)
    found = trust.measure(backbone, "conv", (1, 0), tiles)
    at_other_size = answers(keras.Model(inputs, x), resized)[[0, 1], [1, 0]]
    assert not np.allclose([each.tile for each in found], at_other_size, rtol=1e-3)


def test_a_large_tile_is_to_a_vector_what_a_photo_would_be():
    model, tiles = tiny_model(size=None), tiles_of(1, 48)
    (found,) = trust.measure(tiny_backbone(model, preprocessing="tf"), "pool", (5,), tiles)
    as_photo = images.resize(tiles[0], (TINY_SIZE, TINY_SIZE))[None]
    pooled = answers(keras.Model(model.inputs[0], model.get_layer("pool").output), as_photo)
    assert found.tile == pytest.approx(pooled[0, 5], rel=1e-3)


def test_levels_of_a_filter_that_loves_red():
    red, grey, black = (np.full((24, 24, 3), colour, np.uint8) for colour in ((255, 0, 0), (128, 128, 128), (0, 0, 0)))
    backbone = tiny_backbone(redness_model(size=None))
    loved, plain = trust.measure(backbone, "redness", (0, 0), np.stack([red, grey]))
    assert loved.level == "strong" and plain.level == "weak"
    assert loved.tile == pytest.approx(255) and plain.tile == pytest.approx(0, abs=1e-3)
    assert loved.noise == pytest.approx(0, abs=1e-3)  # grey noise has no colour
    (dark,) = trust.measure(backbone, "redness", (1,), black[None])
    assert dark.level == "weak" and dark.noise == pytest.approx(255, abs=1)


def test_what_is_no_number_is_no_answer():
    model = redness_model(size=None)
    kernel = np.array([[1.0, 3e38], [1.0, 3e38], [1.0, 3e38]], np.float32)
    model.get_layer("redness").set_weights([kernel[None, None]])
    found = trust.measure(tiny_backbone(model), "redness", (0, 1), np.full((2, 24, 24, 3), 200, np.uint8))
    assert np.isfinite([value for each in found for value in (each.tile, each.noise, each.photo)]).all()
    assert found[1].tile == 0 and found[1].level == "weak"
    assert found[0].tile == 600


def test_photographs_and_noise_are_looked_at_once(monkeypatch):
    backbone, looked = tiny_backbone(tiny_model(size=None)), []
    strongest = trust._strongest
    monkeypatch.setattr(trust, "_strongest", lambda *given: looked.append(len(given[2])) or strongest(*given))
    for seed in range(3):
        trust.measure(backbone, "conv2", (1,), tiles_of(1, 24, seed))
    assert looked == [len(samples.PHOTOGRAPHS) + trust.NOISES, 1, 1, 1]


def test_a_layer_that_is_not_there_is_told():
    with pytest.raises(UserError, match="conv9"):
        trust.measure(tiny_backbone(), "conv9", (0,), tiles_of(1, 24))


def test_of_the_embedded_network_the_espresso_unit_prefers_the_coffee():
    backbone = loading.load("efficientnet_lite0")
    (found,) = trust.measure(backbone, backbone.layers[-1].name, (967,), tiles_of(1, 64), logits=True)
    assert found.photo_name == "coffee" and found.photo > found.noise
