import keras
import numpy as np
import pytest
import tensorflow as tf

from core.backbones import graph
from core.backbones.logits import with_logits
from tests.core.tiny import TINY_SIZE, nested_model, tiny_backbone, tiny_model


def photos(count: int, size: int = TINY_SIZE) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1, (count, size, size, 3)).astype(np.float32)


@pytest.mark.parametrize("make", [tiny_model, nested_model])
def test_logits_are_what_the_softmax_was_made_of(make):
    backbone = tiny_backbone(make())
    changed = with_logits(backbone)
    images = photos(3, TINY_SIZE)
    logits = changed.model(images).numpy()
    np.testing.assert_allclose(tf.nn.softmax(logits), backbone.model(images), rtol=1e-5, atol=1e-6)
    *_, before, classifier = backbone.tensors
    (features,) = tf.nest.flatten(graph.truncated(backbone, [before])(images))
    kernel, bias = graph.operation_of(backbone.tensors[classifier]).get_weights()
    np.testing.assert_allclose(logits, features.numpy() @ kernel + bias, rtol=1e-4, atol=1e-5)
    (named,) = tf.nest.flatten(graph.truncated(changed, [classifier])(images))
    np.testing.assert_allclose(named, logits, rtol=1e-6)
    assert np.allclose(backbone.model(images).numpy().sum(axis=1), 1)  # the given model is as it was


@pytest.mark.parametrize("last", [keras.layers.Softmax, lambda name: keras.layers.Activation("softmax", name=name)])
def test_a_softmax_of_its_own_is_left_out(last):
    plain = tiny_model(activation=None)
    backbone = tiny_backbone(keras.Model(plain.inputs, last(name="top")(plain.outputs[0])))
    changed = with_logits(backbone)
    images = photos(2, TINY_SIZE)
    np.testing.assert_allclose(changed.model(images), plain(images), rtol=1e-5, atol=1e-6)
    assert changed.tensors["top"] is changed.model.outputs[0]


def test_a_network_without_softmax_is_left_alone_and_the_others_change_once():
    backbone = tiny_backbone(tiny_model(activation=None))
    assert with_logits(backbone) is backbone
    backbone = tiny_backbone()
    assert with_logits(backbone).model is with_logits(backbone).model
