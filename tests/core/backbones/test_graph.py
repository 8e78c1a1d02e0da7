import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as L

from core.backbones import efficientnet_lite, graph
from core.backbones.backbone import Backbone
from core.backbones.preprocessing import PREPROCESSING
from core.errors import UserError
from core.messages import ModelRef
from tests.core.tiny import tiny_backbone


def backbone(model, size=16):
    flat, tensors = graph.flatten(model)
    infos = graph.list_layers(flat, tensors)
    return Backbone(ModelRef("test"), "Test", flat, tensors, infos, (size, size), PREPROCESSING["none"], None, "")


def body(name, channels=4):
    inputs = keras.Input((16, 16, 3))
    x = L.Conv2D(channels, 3, padding="same", name="conv")(inputs)
    x = L.BatchNormalization(name="bn")(x)
    return keras.Model(inputs, keras.ops.relu(x + 0.5), name=name)


def plain():
    return body("plain")


def nested():
    inputs = keras.Input((16, 16, 3))
    x = body("inner")(L.Rescaling(1 / 255)(inputs), training=False)
    x = L.Dropout(0.5)(L.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, L.Dense(3, activation="softmax")(x))


def nested_twice_over():
    inputs = keras.Input((16, 16, 3))
    return keras.Model(inputs, L.Dense(2)(L.Flatten()(nested_with(body("inner"))(inputs))), name="outer")


def nested_with(inner):
    inputs = keras.Input((16, 16, 3))
    return keras.Model(inputs, L.Conv2D(2, 3, name="conv")(inner(inputs)), name="middle")


def shared():
    inputs = keras.Input((16, 16, 3))
    inner, conv = body("inner", 3), L.Conv2D(3, 3, padding="same", name="twice")
    return keras.Model(inputs, conv(L.Add()([conv(inner(inputs)), inner(inner(inputs))])))


def sequential():
    return keras.Sequential([keras.Input((16, 16, 3)), L.Rescaling(1 / 255), body("inner"), L.Flatten(), L.Dense(2)])


def same_names():
    inputs = keras.Input((16, 16, 3))
    x = L.Conv2D(3, 3, padding="same", name="conv")(inputs)
    return keras.Model(inputs, L.Concatenate()([body("left")(x), body("right")(x), x]))


SHAPES = [plain, nested, nested_twice_over, shared, sequential, same_names]


@pytest.mark.parametrize("make", SHAPES)
@pytest.mark.parametrize("reloaded", [False, True])
def test_flat_models_compute_the_same(make, reloaded, tmp_path):
    model = make()
    for weight in model.weights:  # BatchNorm is the identity until it has seen something
        weight.assign(np.random.default_rng(0).uniform(0.2, 1.0, weight.shape))
    if reloaded:
        model.save(tmp_path / "model.keras")
        model = keras.models.load_model(tmp_path / "model.keras")
    flat, tensors = graph.flatten(model)
    images = np.random.default_rng(1).uniform(0, 255, (2, 16, 16, 3)).astype(np.float32)
    np.testing.assert_allclose(flat(images), model(images, training=False), atol=1e-6, rtol=1e-6)
    assert not any(isinstance(graph.operation_of(tensor), keras.Model) for tensor in tensors.values())
    assert flat.count_params() == model.count_params()


@pytest.mark.parametrize("make", SHAPES)
def test_weights_are_shared_not_copied(make):
    model = make()
    flat, _ = graph.flatten(model)
    assert {id(weight) for weight in flat.weights} == {id(weight) for weight in model.weights}


@pytest.mark.parametrize("make", SHAPES)
def test_every_tensor_can_be_computed_alone(make):
    flat, tensors = graph.flatten(make())
    images = np.ones((1, 16, 16, 3), np.float32)
    values = keras.Model(flat.inputs[0], list(tensors.values()))(images)
    assert [tuple(value.shape[1:]) for value in values] == [tensor.shape[1:] for tensor in tensors.values()]


def test_layers_are_named_by_their_way_through_the_models():
    assert list(graph.flatten(nested())[1])[1:3] == ["inner/conv", "inner/bn"]
    assert "middle/inner/conv" in graph.flatten(nested_twice_over())[1]
    names = list(graph.flatten(shared())[1])
    assert {"twice", "twice:2", "inner/conv", "inner:2/conv", "inner:3/conv"} <= set(names)
    assert {"conv", "left/conv", "right/conv"} <= set(graph.flatten(same_names())[1])


def test_layers_with_the_same_name_are_renamed_only_for_their_owner(tmp_path):
    model = same_names()
    graph.flatten(model)
    assert [layer.name for layer in model.get_layer("left").layers][1] == "conv"
    flat, tensors = graph.flatten(model, rename=True)
    assert not any(isinstance(layer, graph.Renamed) for layer in flat.layers)
    assert "left/conv" in tensors


def test_list_layers_tells_types_shapes_and_parameters():
    infos = {info.name: info for info in backbone(same_names()).layers}
    assert infos["left/conv"].type == "Conv2D"
    assert infos["left/conv"].output_shape == (16, 16, 4)
    assert infos["left/conv"].parameters == 3 * 3 * 3 * 4 + 4
    assert infos["left/conv"].is_spatial
    assert not backbone(nested()).layers[-1].is_spatial


def test_layers_with_several_outputs_are_left_out():
    inputs = keras.Input((16, 16, 3))
    parts = keras.ops.split(L.Conv2D(4, 1, name="conv")(inputs), 2, axis=-1)
    assert list(graph.flatten(keras.Model(inputs, L.Add(name="sum")(parts)))[1]) == ["conv", "sum"]


def reader(name):
    inputs = keras.Input((None,), dtype="int32")
    x = L.Embedding(9, 4, mask_zero=True, name="words")(inputs)
    return keras.Model(inputs, L.Bidirectional(L.LSTM(3, return_sequences=True), name="read")(x), name=name)


def test_masks_and_further_outputs_come_through_nested_models_of_equal_names(tmp_path):
    inputs = keras.Input((7,), dtype="int32")
    both = L.Concatenate(name="both")([reader("left")(inputs), reader("right")(inputs)])
    attended, weights = L.MultiHeadAttention(2, 3, name="attend")(both, both, return_attention_scores=True)
    last, *states = L.LSTM(4, return_state=True, name="last")(L.Dense(5, name="words")(attended))
    pooled = L.GlobalAveragePooling1D(name="pool")(both)
    model = keras.Model(inputs, L.Dense(3)(L.Concatenate()([last, *states, pooled, L.Flatten()(weights)])))
    model.save(tmp_path / "reader.keras")
    numbers = np.array([[1, 4, 2, 0, 0, 0, 0], [3, 0, 8, 5, 5, 1, 0]])
    for each in (model, keras.models.load_model(tmp_path / "reader.keras")):
        flat, tensors = graph.flatten(each)
        np.testing.assert_allclose(flat(numbers), model(numbers, training=False), atol=1e-6)
        assert tensors["last"].shape == (None, 4) and tensors["attend"].shape == (None, 7, 12)
        assert not any(tensor.dtype == "bool" for tensor in tensors.values())
    blind = model(np.where(numbers == 0, 7, numbers), training=False)
    assert np.abs(blind - model(numbers, training=False)).max() > 1e-3  # the masks matter


def test_truncated_computes_what_was_asked_for_and_is_kept():
    bone = backbone(nested())
    images = np.ones((1, 16, 16, 3), np.float32)
    cut = graph.truncated(bone, ["inner/bn", "inner/conv"])
    bn, conv = cut(images)
    np.testing.assert_allclose(conv, keras.Model(bone.model.inputs[0], bone.tensor("inner/conv"))(images))
    assert bn.shape == conv.shape
    assert graph.truncated(bone, ("inner/bn", "inner/conv")) is cut
    assert "dense" not in [layer.name for layer in cut.layers]
    with pytest.raises(UserError, match="inner/conv"):
        graph.truncated(bone, ["inner/konv"])


def test_the_store_of_cut_models_is_bounded_and_dies_with_the_model():
    bone = backbone(plain())
    for size in range(16, 16 + 2 * graph._CUTS_PER_MODEL):
        graph.at_size(bone, "conv", size)
    assert len(graph._cuts[bone.model]) == graph._CUTS_PER_MODEL
    model = weakref.ref(bone.model)
    del bone
    gc.collect()
    assert model() is None


def test_at_size_is_the_network_built_for_that_size():
    bone = backbone(efficientnet_lite.build(), 224)
    anysize = efficientnet_lite.build(input_shape=(None, None, 3))
    images = np.random.default_rng(0).normal(size=(1, 90, 90, 3)).astype(np.float32)
    for layer in ("block5_project_bn", "predictions"):
        expected = keras.Model(anysize.inputs[0], anysize.get_layer(layer).output)(images)
        np.testing.assert_allclose(graph.at_size(bone, layer, 90)(images), expected, atol=1e-5)


def test_at_size_takes_a_height_and_a_width():
    bone = backbone(nested())
    assert graph.at_size(bone, "inner/conv", (12, 20)).output_shape == (None, 12, 20, 4)
    assert graph.at_size(bone, "inner/conv", (20, 20)) is graph.at_size(bone, "inner/conv", 20)
    with pytest.raises(UserError, match="0 pixels"):
        graph.at_size(bone, "inner/conv", (12, 0))


def test_behind_flattening_only_the_own_size_will_do():
    bone = backbone(sequential())
    assert graph.at_size(bone, "inner/conv", 20).output_shape == (None, 20, 20, 4)
    assert graph.at_size(bone, bone.layers[-1].name, 16).output_shape == (None, 2)
    with pytest.raises(UserError, match="16×16"):
        graph.at_size(bone, bone.layers[-1].name, 20)
    with pytest.raises(UserError, match="20×16 pixels"):
        graph.at_size(bone, bone.layers[-1].name, (20, 16))


def test_the_depth_of_a_layer_counts_the_nonlinear_ones_on_the_longest_way():
    tiny = tiny_backbone()
    depths = {layer.name: graph.depth(tiny, layer.name) for layer in tiny.layers}
    assert depths == {"conv1": 1, "bn1": 1, "conv2": 2, "pool": 2, "predictions": 3}


def test_last_maps_are_what_global_pooling_receives():
    flat, tensors = graph.flatten(nested())
    assert graph.last_maps(flat) is tensors[next(name for name in tensors if name.startswith("inner/relu"))]
    mobile, maps = graph.flatten(keras.applications.MobileNet(weights=None, alpha=0.25, input_shape=(128, 128, 3)))
    assert graph.last_maps(mobile) is maps["conv_pw_13_relu"]
    flat_already, _ = graph.flatten(keras.Sequential([keras.Input((4, 4, 3)), L.Flatten(), L.Dense(2)]))
    assert graph.last_maps(flat_already) is flat_already.inputs[0]


def test_subclassed_models_are_refused_in_a_sentence():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(UserError, match="functional"):
        graph.flatten(Own())


def test_a_name_that_tensorflow_takes_for_no_root_is_computed():
    """`_conv_stem` and its like: Keras saves them, and they are called one by one here."""
    layer = L.Dense(2, name="_dense")
    layer.build((None, 3))
    computed = tf.function(lambda values: graph.infer(layer, (values,), {}), autograph=False)(tf.ones((1, 3)))
    np.testing.assert_allclose(computed, layer(np.ones((1, 3), np.float32)), rtol=1e-6)
