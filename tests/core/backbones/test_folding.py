import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as L

from core.backbones import graph
from core.backbones.folding import FoldedNetwork
from tests.core.tiny import nested_model, tiny_model, with_seeded_weights

SIZE = 13


def network(build) -> keras.Model:
    inputs = keras.Input((SIZE, SIZE, 3))
    return with_seeded_weights(keras.Model(inputs, build(inputs)))


def stem(x):
    return L.Conv2D(6, 3, padding="same", activation="relu")(x)


def convolution(**settings):
    return lambda x: L.Conv2D(7, **settings)(stem(x))


def with_norm(layer, activation="relu"):
    return lambda x: L.Activation(activation)(L.BatchNormalization()(layer(stem(x))))


def residual(x):
    before = stem(x)
    x = L.BatchNormalization()(L.Conv2D(6, 3, padding="same", use_bias=False)(before))
    return L.ReLU()(L.Add()([before, x]))


def norm_first(x):
    """As in ResNetV2: the norm cannot be folded, and its input is used twice."""
    before = stem(x)
    x = L.ReLU()(L.BatchNormalization(scale=False)(before))
    return L.Add()([before, L.Conv2D(6, 3, padding="same")(x)])


def branches(x):
    before = stem(x)
    small, large = (L.Conv2D(4, kernel, padding="same")(before) for kernel in (1, 3))
    return L.Concatenate()([small, L.AveragePooling2D(3, 1, padding="same")(large)])


def norm_of_a_convolution_that_is_also_used_bare(x):
    bare = L.Conv2D(5, 3)(x)
    return L.Add()([bare, L.BatchNormalization()(bare)])


def squeeze(x):
    """A product with one number for each channel, as in squeeze-and-excite."""
    before = stem(x)
    gate = L.Dense(6, activation="sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(before))
    return L.Multiply()([before, gate])


def one_mask_for_all_channels(x):
    before = stem(x)
    return L.Multiply()([before, L.Conv2D(1, 1, activation="sigmoid")(before)])


def operations(x):
    return keras.ops.relu6(3 * L.BatchNormalization(center=False)(stem(x)) - 0.1)


def classifier(x):
    return L.Dense(4, activation="softmax")(L.Dropout(0.5)(L.Flatten()(stem(x))))


def dense_after_pooling(x):
    return L.Activation("relu")(L.BatchNormalization()(L.Dense(9)(L.GlobalAveragePooling2D()(stem(x)))))


def modern(x):
    """As in ConvNeXt."""
    x = L.LayerNormalization()(L.DepthwiseConv2D(7, padding="same")(stem(x)))
    return L.Dense(6)(L.Activation("gelu")(L.Dense(12)(x)))


KINDS = {
    "input": lambda x: L.ZeroPadding2D(1)(x),
    "rescaled": lambda x: L.Rescaling(1 / 3, offset=-1)(x),
    "conv": convolution(kernel_size=3),
    "conv, same": convolution(kernel_size=3, padding="same", activation="relu"),
    "conv, 1×1": convolution(kernel_size=1),
    "conv, strides": convolution(kernel_size=(3, 5), strides=(2, 1), padding="same", use_bias=False),
    "conv, strides, valid": convolution(kernel_size=4, strides=3),
    "conv, dilated": convolution(kernel_size=3, dilation_rate=2, padding="same"),
    "conv, groups": lambda x: L.Conv2D(6, 3, groups=3)(stem(x)),
    "conv, a group for each channel": with_norm(L.Conv2D(12, 3, groups=6, padding="same")),
    "conv, a group for each channel, strides": lambda x: L.Conv2D(6, 3, groups=6, strides=2)(stem(x)),
    "conv, a group for each channel, uneven strides": lambda x: L.Conv2D(6, 3, groups=6, strides=(2, 1))(stem(x)),
    "conv, norm": with_norm(L.Conv2D(5, 3)),
    "separable": with_norm(L.SeparableConv2D(9, 3, padding="same", use_bias=False)),
    "separable, strides": lambda x: L.SeparableConv2D(9, 3, strides=2, depth_multiplier=2, activation="relu")(stem(x)),
    "depthwise": with_norm(L.DepthwiseConv2D(3, padding="same"), "relu6"),
    "depthwise, multiplied": with_norm(L.DepthwiseConv2D(3, strides=2, depth_multiplier=3)),
    "depthwise after pointwise": lambda x: L.DepthwiseConv2D(5, padding="same")(L.Conv2D(4, 1)(x)),
    "transposed": lambda x: L.Conv2DTranspose(4, 3, strides=2)(stem(x)),
    "pooled": lambda x: L.MaxPooling2D(3, strides=2, padding="same")(L.Conv2D(5, 3)(x)),
    "softmax of maps": lambda x: L.Softmax()(stem(x)),
    "residual": residual,
    "norm first": norm_first,
    "branches": branches,
    "bare and normed": norm_of_a_convolution_that_is_also_used_bare,
    "squeeze": squeeze,
    "mask": one_mask_for_all_channels,
    "operations": operations,
    "classifier": classifier,
    "dense": dense_after_pooling,
    "modern": modern,
}


@pytest.fixture(params=KINDS, scope="module")
def model(request) -> keras.Model:
    return network(KINDS[request.param])


def images(count: int = 4) -> np.ndarray:
    return np.random.default_rng(1).uniform(-1, 2, (count, SIZE, SIZE, 3)).astype(np.float32)


def gradient(function, given: np.ndarray) -> np.ndarray:
    given = tf.constant(given)
    with tf.GradientTape() as tape:
        tape.watch(given)
        total = tf.reduce_sum(function(given) ** 2)
    return tape.gradient(total, given).numpy()


def test_it_computes_what_the_model_computes(model):
    (ours,) = FoldedNetwork(model)(images())
    np.testing.assert_allclose(ours, model(images(), training=False), rtol=1e-4, atol=1e-5)


def test_one_channel_is_that_channel_and_has_its_gradient(model):
    folded, channels = FoldedNetwork(model), model.output.shape[-1]
    targets = tf.constant([channels - 1, 0, channels // 2, channels - 1])

    def ours(given):
        return folded.channel(given, targets)[0]

    def theirs(given):
        return tf.gather(model(given, training=False), targets[:, None], axis=-1, batch_dims=1)

    np.testing.assert_allclose(ours(images()), theirs(images()), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gradient(ours, images()), gradient(theirs, images()), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(tf.function(ours)(images()), theirs(images()), rtol=1e-4, atol=1e-5)


def test_bfloat16_is_near(model):
    (ours,) = FoldedNetwork(model, "bfloat16")(images())
    exact = model(images(), training=False).numpy()
    assert ours.dtype == tf.bfloat16
    assert np.abs(tf.cast(ours, tf.float32).numpy() - exact).max() < 0.05 * max(1, np.abs(exact).max())


@pytest.mark.parametrize("make", [tiny_model, nested_model])
def test_every_layer_of_a_whole_model(make):
    flat, tensors = graph.flatten(make())
    given = np.random.default_rng(0).uniform(size=(2, 24, 24, 3)).astype(np.float32)
    for tensor in tensors.values():
        cut = keras.Model(flat.inputs[0], tensor)
        last = tensor.shape[-1] - 1
        expected = cut(given, training=False).numpy()
        np.testing.assert_allclose(FoldedNetwork(cut)(given)[0], expected, rtol=1e-4, atol=1e-5)
        (one,) = FoldedNetwork(cut).channel(given, tf.constant([last, 0]))
        np.testing.assert_allclose(one[0, ..., 0], expected[0, ..., last], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(one[1, ..., 0], expected[1, ..., 0], rtol=1e-4, atol=1e-5)


def test_several_layers_at_once():
    flat, tensors = graph.flatten(tiny_model())
    cut = keras.Model(flat.inputs[0], [tensors["conv1"], tensors["bn1"], tensors["conv2"]])
    given = np.random.default_rng(0).uniform(size=(2, 24, 24, 3)).astype(np.float32)
    for ours, exact in zip(FoldedNetwork(cut)(given), cut(given, training=False), strict=True):
        np.testing.assert_allclose(ours, exact, rtol=1e-4, atol=1e-5)
    targets = tf.constant([4, 5])
    for ours, exact in zip(FoldedNetwork(cut).channel(given, targets), cut(given, training=False), strict=True):
        np.testing.assert_allclose(ours[1, ..., 0], exact[1, ..., 5], rtol=1e-4, atol=1e-5)


def operations_in(function) -> list[str]:
    concrete = tf.function(function).get_concrete_function()
    return [operation.type for operation in concrete.graph.get_operations()]


def test_the_last_convolution_is_not_computed_whole_and_the_norm_is_gone():
    model = network(with_norm(L.Conv2D(5, 3)))
    folded, given = FoldedNetwork(model), images()
    assert operations_in(lambda: folded(given)).count("Conv2D") == 2
    one = operations_in(lambda: folded.channel(given, tf.constant([0, 1, 2, 3])))
    assert one.count("Conv2D") == 1
    assert not {"FusedBatchNormV3", "Rsqrt"} & set(one)


def test_a_large_kernel_is_computed_whole():
    """A channel alone would need a copy of the maps for each place of the kernel, and its gradient as many again."""
    inputs = keras.Input((24, 24, 3))
    model = with_seeded_weights(keras.Model(inputs, keras.layers.Conv2D(5, 8, strides=8, name="patches")(inputs)))
    images = tf.constant(np.random.default_rng(0).normal(size=(2, 24, 24, 3)).astype(np.float32))
    folded = FoldedNetwork(model)
    targets = tf.constant([4, 1])
    (found,) = tf.function(folded.channel)(images, targets)
    for place, channel in enumerate((4, 1)):
        np.testing.assert_allclose(found[place, ..., 0], model(images)[place, ..., channel], rtol=1e-4, atol=1e-4)
    made = operations_in(lambda: folded.channel(images, targets))
    assert made.count("Conv2D") == 1 and "AddN" not in made


@pytest.mark.parametrize("activation", ["relu", "relu6"])
def test_a_blocked_gradient_is_let_through_where_it_is_asked_for_and_only_there(activation):
    model = network(lambda x: L.Activation(activation)(L.Conv2D(2, 1)(x)))
    convolution = model.layers[1]
    convolution.set_weights([np.ones((1, 1, 3, 2), np.float32), np.array([-100, 0.5], np.float32)])
    folded, given, targets = FoldedNetwork(model), np.abs(images(2)), tf.constant([0, 1])

    def slope(rescue: bool) -> np.ndarray:
        start = tf.constant(given)
        with tf.GradientTape() as tape:
            tape.watch(start)
            total = tf.reduce_sum(folded.channel(start, targets, rescue)[0])
        return tape.gradient(total, start).numpy()

    blocked, rescued = slope(False), slope(True)
    assert not blocked[0].any()
    np.testing.assert_array_equal(rescued[0], 1)
    np.testing.assert_array_equal(rescued[1], blocked[1])
