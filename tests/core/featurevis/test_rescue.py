import keras
import numpy as np
import pytest
import tensorflow as tf

from core.backbones import graph
from core.featurevis import rescue
from tests.core.tiny import TINY_SIZE, redness_model, tiny_model

SIZE = 8


def dead_model(kind: str, bias: float = -5.0) -> keras.Model:
    """Every unit is off (or, with a large bias, saturated) for every image in [0, 1]."""
    inputs = keras.Input((SIZE, SIZE, 3))
    activation = kind if kind in ("relu", "relu6") else None
    x = keras.layers.Conv2D(2, 1, activation=activation, name="conv")(inputs)
    if kind == "layer":
        x = keras.layers.ReLU(name="after")(x)
    elif kind == "layer of six":
        x = keras.layers.ReLU(6.0, name="after")(x)
    elif kind == "activation":
        x = keras.layers.Activation("relu", name="after")(x)
    elif kind == "operation":
        x = keras.ops.relu6(x)
    model = keras.Model(inputs, x)
    model.get_layer("conv").set_weights([np.full((1, 1, 3, 2), 0.1, np.float32), np.full(2, bias, np.float32)])
    return model


def gradient(function, images: np.ndarray, sign: float = 1.0) -> np.ndarray:
    images = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        (outputs,) = tf.nest.flatten(function(images))
        total = sign * tf.reduce_sum(outputs)
    return tape.gradient(total, images).numpy()


def photos(count: int = 2, size: int = SIZE) -> np.ndarray:
    return np.random.default_rng(0).uniform(size=(count, size, size, 3)).astype(np.float32)


@pytest.mark.parametrize("kind", ["relu", "relu6", "layer", "layer of six", "activation", "operation"])
def test_a_dead_network_moves_when_rescued_and_not_otherwise(kind):
    model, _ = graph.flatten(dead_model(kind))
    assert not gradient(model, photos()).any()
    assert (gradient(rescue.rescued(model), photos()) > 0).all()  # upwards, as every weight is positive
    np.testing.assert_array_equal(rescue.rescued(model)(tf.constant(photos()))[0], model(photos()))


@pytest.mark.parametrize("kind", ["relu", "relu6"])
def test_what_would_push_a_dead_unit_further_down_is_not_let_through(kind):
    assert not gradient(rescue.rescued(graph.flatten(dead_model(kind))[0]), photos(), sign=-1).any()


def test_a_saturated_relu6_comes_back_down_and_goes_no_further_up():
    function = rescue.rescued(graph.flatten(dead_model("relu6", bias=8.0))[0])
    assert not gradient(function, photos()).any()
    assert (gradient(function, photos(), sign=-1) < 0).all()


def test_an_image_with_any_way_through_keeps_its_plain_gradient():
    model, _ = graph.flatten(tiny_model())
    images = photos(3, TINY_SIZE)
    np.testing.assert_allclose(gradient(rescue.rescued(model), images), gradient(model, images), rtol=1e-4, atol=1e-7)


def test_a_silent_filter_is_told_from_one_that_answers():
    inputs = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(4, 1, activation="relu", name="conv")(inputs))
    kernel = np.zeros((1, 1, 3, 4), np.float32)
    kernel[..., 0], kernel[..., 1] = 1, -1  # 2 and 3 look at nothing
    model.get_layer("conv").set_weights([kernel, np.array([0, 0, 1, -1], np.float32)])
    silent = rescue.never_fires(model, [0, 1, 2, 3, 0], photos(5))
    np.testing.assert_array_equal(silent, [False, True, True, True, False])
    assert rescue.never_fires(model, [], photos(0)).shape == (0,)


def test_silence_is_told_for_more_images_than_are_looked_at_at_a_time():
    red_or_not = np.repeat([[1.0, 0, 0], [0, 1.0, 0]], 10, axis=0).astype(np.float32)
    images = np.broadcast_to(red_or_not[:, None, None], (20, SIZE, SIZE, 3))
    silent = rescue.never_fires(redness_model(SIZE), [0] * 20, images)
    np.testing.assert_array_equal(silent, [False] * 10 + [True] * 10)
