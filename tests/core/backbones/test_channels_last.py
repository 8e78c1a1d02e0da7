"""Networks with their channels first, held against the same network built with its channels last."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers as L

from core.backbones import understanding
from core.errors import UserError
from tests.core.tiny import with_seeded_weights

SIZE = 12


def both(build):
    """What `build(inputs, data_format, axis)` makes of either order of axes, with the same weights."""
    models = []
    for first in (True, False):
        keras.backend.clear_session(free_memory=False)
        inputs = keras.Input((3, SIZE, SIZE) if first else (SIZE, SIZE, 3))
        kind, axis = ("channels_first", 1) if first else ("channels_last", -1)
        models.append(with_seeded_weights(keras.Model(inputs, build(inputs, kind, axis))))
    return models


def plain(x, data_format, axis):
    x = L.Conv2D(4, 3, padding="same", activation="relu", data_format=data_format)(x)
    x = L.BatchNormalization(axis=axis)(x)
    x = L.MaxPooling2D(data_format=data_format)(x)
    x = L.SeparableConv2D(5, 3, data_format=data_format)(L.ZeroPadding2D(data_format=data_format)(x))
    x = L.Conv2DTranspose(4, 2, strides=2, data_format=data_format)(x)
    return L.GlobalAveragePooling2D(data_format=data_format)(L.LeakyReLU()(x))


def joined(x, data_format, axis):
    small = L.Conv2D(3, 1, data_format=data_format)(x)
    large = L.DepthwiseConv2D(3, padding="same", data_format=data_format)(x)
    x = L.Concatenate(axis=axis)([L.Add()([small, large]), keras.ops.relu(small - 0.5)])
    gate = L.GlobalMaxPooling2D(data_format=data_format, keepdims=True)(x)
    x = L.Multiply()([x, L.Conv2D(6, 1, activation="sigmoid", data_format=data_format)(gate)])
    x = L.LayerNormalization(axis=axis)(L.GroupNormalization(2, axis=axis)(x))
    return L.UpSampling2D(data_format=data_format)(L.Cropping2D(data_format=data_format)(L.Softmax(axis=axis)(x)))


def flattened(x, data_format, axis):
    x = L.AveragePooling2D(2, data_format=data_format)(L.Conv2D(4, 3, data_format=data_format)(x))
    return L.Dense(3, activation="softmax")(L.Flatten(data_format=data_format)(x))


def nested(x, data_format, axis):
    inputs = keras.Input(x.shape[1:])
    inner = keras.Model(inputs, L.Conv2D(3, 3, padding="same", data_format=data_format, name="conv")(inputs))
    return L.Activation("tanh")(inner(inner(L.Rescaling(1 / 3)(x))))


@pytest.mark.parametrize("build", [plain, joined, flattened, nested])
def test_it_computes_what_the_same_network_does_with_its_channels_last(build):
    first, last = both(build)
    found = understanding.understand(first, {})
    expected = understanding.understand(last, {})
    pixels = np.random.default_rng(0).uniform(0, 1, (2, SIZE, SIZE, 3)).astype(np.float32)
    np.testing.assert_allclose(found.flat(pixels), expected.flat(pixels), atol=1e-5)
    shapes = [tensor.shape for tensor in found.tensors.values()]
    assert shapes == [tensor.shape for tensor in expected.tensors.values()]
    assert any("turned" in note for note in found.notes)
    assert not any("turned" in note for note in expected.notes)


def test_what_is_not_known_sees_its_axes_as_they_were():
    inputs = keras.Input((3, SIZE, SIZE))
    x = L.Conv2D(2, 3, padding="same", data_format="channels_first", name="conv")(inputs)
    model = with_seeded_weights(keras.Model(inputs, L.Dense(5)(L.Flatten()(L.Dense(4)(x)))))
    found = understanding.understand(model, {})
    pixels = np.random.default_rng(0).uniform(0, 1, (2, SIZE, SIZE, 3)).astype(np.float32)
    maps = np.moveaxis(np.asarray(keras.Model(found.flat.inputs[0], found.tensors["conv"])(pixels)), -1, 1)
    rest = keras.Model(model.get_layer("conv").output, model.outputs[0])
    np.testing.assert_allclose(found.flat(pixels), rest(maps), atol=1e-4)


def test_a_picture_three_high_is_none_without_convolutions_either():
    inputs = keras.Input((3, SIZE, SIZE))
    model = with_seeded_weights(keras.Model(inputs, L.Conv2D(2, 3)(L.Permute((2, 3, 1))(inputs))))
    pixels = np.random.default_rng(0).uniform(0, 1, (2, SIZE, SIZE, 3)).astype(np.float32)
    found = understanding.understand(model, {})
    np.testing.assert_allclose(found.flat(pixels), model(np.moveaxis(pixels, -1, 1)), atol=1e-5)


def test_steps_of_maps_with_channels_first_are_refused_in_a_sentence():
    inputs = keras.Input((2, 3, SIZE, SIZE))
    conv = L.TimeDistributed(L.Conv2D(2, 3, data_format="channels_first"))
    with pytest.raises(UserError, match="channels"):
        understanding.understand(keras.Model(inputs, conv(inputs)), {})
