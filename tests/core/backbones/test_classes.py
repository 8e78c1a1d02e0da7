import keras
import pytest

from core.backbones.classes import activation_of
from tests.core.tiny import nested_model, redness_model, tiny_backbone, tiny_model


def ending_in(*layers: keras.layers.Layer) -> keras.Model:
    model = tiny_model(activation=None)
    x = model.outputs[0]
    for layer in layers:
        x = layer(x)
    return keras.Model(model.inputs, x)


@pytest.mark.parametrize(
    ("model", "activation"),
    [
        (tiny_model(), "softmax"),
        (tiny_model(activation="sigmoid", classes=1), "sigmoid"),
        (tiny_model(activation=None), "linear"),
        (ending_in(keras.layers.Softmax()), "softmax"),
        (ending_in(keras.layers.Activation("sigmoid"), keras.layers.Dropout(0.5)), "sigmoid"),
        (ending_in(keras.layers.Activation("linear")), "linear"),
        (nested_model(), "softmax"),
    ],
)
def test_models_that_tell_classes(model, activation):
    assert activation_of(model) == activation
    assert tiny_backbone(model).info().tells_classes


@pytest.mark.parametrize(
    "model", [redness_model(), tiny_model(activation=None, classes=1), tiny_model(activation="tanh")]
)
def test_models_that_do_not(model):
    assert activation_of(model) is None
    assert not tiny_backbone(model).info().tells_classes
