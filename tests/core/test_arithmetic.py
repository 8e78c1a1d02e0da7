"""The arithmetic of a cell, held against what Keras computes for it."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from core.cells import look_at
from core.messages import Cell as Found
from core.messages import Formula, Pooled, Products
from tests.core.tiny import tiny_backbone, with_seeded_weights

SIZE = 9, 7
Cell = tuple[int, int, int]
PHOTO = np.random.default_rng(5).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
ACTIVATIONS = [
    None, "relu", "relu6", "sigmoid", "tanh", "softmax", "elu", "selu", "gelu", "silu", "softplus", "softsign",
    "hard_sigmoid", "hard_silu", "mish", "leaky_relu", "log_softmax", "exponential",
]  # fmt: skip


def look(*layers, cells: Sequence[Cell] = ((0, 0, 0),), preprocessing: str = "tf") -> list[Found]:
    """Some cells (row, column, channel) of the last of `layers`, one behind the other."""
    inputs = keras.Input((*SIZE, 3))
    x = inputs
    for layer in layers:
        x = layer(x)
    return look_in(keras.Model(inputs, x), cells, preprocessing)


def look_in(model: keras.Model, cells: Sequence[Cell], preprocessing: str = "tf") -> list[Found]:
    """Some cells of the model's output, each held against what Keras itself gives; indices begin again at the end."""
    with_seeded_weights(model)
    backbone = tiny_backbone(model, input_size=SIZE, preprocessing=preprocessing)
    plain = np.asarray(model(backbone.preprocessing(PHOTO[None]), training=False))[0]
    all_found = []
    for y, x, channel in cells:
        y, x = (index % size for index, size in zip((y, x), (*plain.shape[:-1], 1, 1), strict=False))
        channel %= plain.shape[-1]
        found = look_at(backbone, PHOTO, backbone.layers[-1].name, channel, (y, x))
        expected = plain[(*(y, x)[: plain.ndim - 1], channel)]
        assert found.value == pytest.approx(expected, rel=1e-5, abs=1e-5)
        agree(found.arithmetic, float(expected))
        all_found.append(found)
    return all_found


def agree(arithmetic, expected: float) -> None:
    """The steps lead to the value, each from the one before."""
    assert arithmetic.steps, arithmetic.note
    assert abs(arithmetic.result - expected) <= 2e-5 * max(arithmetic.scale, abs(expected), 1e-3)
    for before, after in zip(arithmetic.steps, arithmetic.steps[1:], strict=False):
        if isinstance(after, Formula):
            assert after.given[0][1] == pytest.approx(before.result, rel=1e-5, abs=2e-5 * arithmetic.scale)
        else:
            np.testing.assert_allclose(after.patch[0, 0], before.sums, rtol=1e-5, atol=1e-5)


windows = some.tuples(some.integers(1, 4), some.integers(1, 4))
places = some.lists(
    some.tuples(some.integers(0, 50), some.integers(0, 50), some.integers(0, 50)), min_size=3, max_size=3
)
paddings = some.sampled_from(["same", "valid"])
strides_or_dilation = some.one_of(
    some.tuples(some.integers(1, 3), some.just(1)), some.tuples(some.just(1), some.integers(1, 2))
)
thorough = settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@thorough
@given(
    windows, strides_or_dilation, paddings, some.sampled_from([1, 2, 4]), some.booleans(),
    some.sampled_from(ACTIVATIONS), places,
)  # fmt: skip
def test_convolutions(window, step, padding, groups, bias, activation, cells):
    first = keras.layers.Conv2D(4, 1)
    layer = keras.layers.Conv2D(
        8, window, step[0], padding, dilation_rate=step[1], groups=groups, use_bias=bias, activation=activation
    )
    for found, (_, _, channel) in zip(look(first, layer, cells=cells), cells, strict=True):
        products = found.arithmetic.steps[0]
        assert products.patch.shape == products.kernel.shape == (*window, 4 // groups)
        np.testing.assert_array_equal(products.kernel, np.asarray(layer.kernel)[..., channel % 8])


@thorough
@given(
    windows, strides_or_dilation, paddings, some.integers(1, 3), some.booleans(), some.sampled_from(ACTIVATIONS),
    places,
)  # fmt: skip
def test_depthwise_convolutions(window, step, padding, multiplier, bias, activation, cells):
    stride, dilation = step
    layer = keras.layers.DepthwiseConv2D(
        window, stride, padding, multiplier, dilation_rate=dilation, use_bias=bias, activation=activation
    )
    for found, (_, _, channel) in zip(look(keras.layers.Conv2D(4, 1), layer, cells=cells), cells, strict=True):
        assert found.arithmetic.steps[0].channels.tolist() == [channel % (4 * multiplier) // multiplier]


@thorough
@given(
    windows, strides_or_dilation, paddings, some.integers(1, 3), some.booleans(), some.sampled_from(ACTIVATIONS),
    places,
)  # fmt: skip
def test_separable_convolutions_have_two_stages(window, step, padding, multiplier, bias, activation, cells):
    stride, dilation = step
    layer = keras.layers.SeparableConv2D(
        5, window, stride, padding, dilation_rate=dilation, depth_multiplier=multiplier, use_bias=bias,
        activation=activation,
    )  # fmt: skip
    for found in look(layer, cells=cells):
        first, second = found.arithmetic.steps[:2]
        assert first.each and isinstance(second, Products) and second.patch.shape == (1, 1, 3 * multiplier)


@thorough
@given(windows, some.integers(1, 3), paddings, some.booleans(), some.sampled_from(ACTIVATIONS), places)
def test_transposed_convolutions(window, stride, padding, bias, activation, cells):
    layer = keras.layers.Conv2DTranspose(5, window, stride, padding, use_bias=bias, activation=activation)
    look(layer, cells=cells)


@thorough
@given(some.sampled_from(["max", "mean"]), windows, some.integers(1, 3), paddings, places)
def test_pooling_takes_the_largest_or_the_mean(kind, window, stride, padding, cells):
    layer = keras.layers.MaxPooling2D if kind == "max" else keras.layers.AveragePooling2D
    for found in look(layer(window, stride, padding), cells=cells, preprocessing="none"):
        step, source = found.arithmetic.steps[0], found.arithmetic.sources[0]
        assert isinstance(step, Pooled)
        # The winner is where it says, also on the photo itself.
        assert PHOTO[source.y, source.x, source.channel] == step.patch[step.winner]
        if kind == "max":
            assert step.patch[step.winner] == found.value


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_dense_layers_of_units_and_of_maps(activation):
    bias = activation != "relu6"
    pool = keras.layers.GlobalAveragePooling2D()
    look(pool, keras.layers.Dense(6, use_bias=bias, activation=activation), cells=((0, 0, 0), (0, 0, 5)))
    look(keras.layers.Dense(6, use_bias=bias, activation=activation), cells=((0, 0, 0), (3, 4, 5)))


SIMPLE = {
    "BatchNormalization": lambda: keras.layers.BatchNormalization(),
    "BatchNormalization without gamma": lambda: keras.layers.BatchNormalization(scale=False),
    "BatchNormalization without beta": lambda: keras.layers.BatchNormalization(center=False),
    "LayerNormalization": lambda: keras.layers.LayerNormalization(),
    "Normalization": lambda: keras.layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0]),
    "Rescaling": lambda: keras.layers.Rescaling(2.0, 0.5),
    "Rescaling by colour": lambda: keras.layers.Rescaling([1.0, 2.0, 3.0]),
    "ReLU": lambda: keras.layers.ReLU(),
    "ReLU6": lambda: keras.layers.ReLU(6.0),
    "ReLU with everything": lambda: keras.layers.ReLU(0.4, negative_slope=0.1, threshold=0.2),
    "LeakyReLU": lambda: keras.layers.LeakyReLU(0.3),
    "PReLU": lambda: keras.layers.PReLU(shared_axes=[1, 2]),
    "ELU": lambda: keras.layers.ELU(0.7),
    "Softmax": lambda: keras.layers.Softmax(),
    "Activation": lambda: keras.layers.Activation("silu"),
    "Activation that does nothing": lambda: keras.layers.Activation("linear"),
    "Dropout": lambda: keras.layers.Dropout(0.5),
    "RandomFlip": lambda: keras.layers.RandomFlip(),
    "Identity": lambda: keras.layers.Identity(),
    "ZeroPadding2D": lambda: keras.layers.ZeroPadding2D(((1, 2), (2, 0))),
    "Cropping2D": lambda: keras.layers.Cropping2D(((1, 2), (2, 0))),
    "UpSampling2D": lambda: keras.layers.UpSampling2D((2, 3)),
    "Flatten": lambda: keras.layers.Flatten(),
    "Reshape": lambda: keras.layers.Reshape((7, 9, 3)),
    "GlobalMaxPooling2D": lambda: keras.layers.GlobalMaxPooling2D(),
    "GlobalAveragePooling2D": lambda: keras.layers.GlobalAveragePooling2D(keepdims=True),
}


@pytest.mark.parametrize("kind", SIMPLE)
def test_simple_layers(kind):
    look(SIMPLE[kind](), cells=((0, 0, 0), (4, 5, 1), (8, 6, 2), (7, 1, 1)))


MERGES = ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"]


@pytest.mark.parametrize("kind", MERGES)
def test_layers_with_two_inputs(kind):
    inputs = keras.Input((*SIZE, 3))
    a = keras.layers.Conv2D(4, 1, name="left")(inputs)
    b = keras.layers.Conv2D(4, 3, padding="same", name="right")(inputs)
    model = keras.Model(inputs, getattr(keras.layers, kind)()([a, b]))
    for found in look_in(model, ((0, 0, 0), (4, 5, 5))):
        assert [source.name for source in found.arithmetic.sources] == ["left", "right"]


def test_a_gate_for_each_channel_meets_all_cells():
    inputs = keras.Input((*SIZE, 3))
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True)(inputs)
    (found,) = look_in(keras.Model(inputs, keras.layers.Multiply()([inputs, gate])), [(3, 4, 2)])
    assert [(source.y, source.x, source.channel) for source in found.arithmetic.sources] == [(3, 4, 2), (0, 0, 2)]


def test_operators_between_tensors_and_numbers():
    inputs = keras.Input((*SIZE, 3))
    look_in(keras.Model(inputs, (2.0 - inputs) * 3.0), [(2, 3, 1)])
    look_in(keras.Model(inputs, keras.ops.relu6(inputs + 3.0)), [(2, 3, 1)])
    look_in(keras.Model(inputs, inputs / np.float32([[[[1.0, 2.0, 4.0]]]])), [(2, 3, 2)])


def test_a_number_added_to_itself_is_one_input_twice():
    inputs = keras.Input((*SIZE, 3))
    (found,) = look_in(keras.Model(inputs, keras.layers.Add()([inputs, inputs])), [(2, 3, 1)])
    arithmetic = found.arithmetic
    assert len(arithmetic.sources) == 1 and arithmetic.result == 2 * arithmetic.steps[0].given[0][1]


def test_padding_counts_as_zero_and_is_told_apart():
    layer = keras.layers.Conv2D(1, 3, padding="same")
    corner = look(layer)[0].arithmetic.steps[0]
    assert corner.rows.tolist() == corner.columns.tolist() == [-1, 0, 1]
    assert corner.inside.tolist() == [[False] * 3, [False, True, True], [False, True, True]]
    assert not corner.products[~corner.inside].any() and corner.products[corner.inside].any()


def test_a_huge_softmax_does_not_overflow():
    look(keras.layers.Rescaling(9.0), keras.layers.Softmax(), cells=((2, 2, 0), (2, 2, 1)), preprocessing="none")


def test_a_softmax_far_below_zero_does_not_vanish():
    look(keras.layers.Rescaling(1.0, offset=-2000.0), keras.layers.Softmax(), cells=((2, 2, 0),), preprocessing="none")


def test_a_cell_of_padding_alone_leads_to_no_cell_of_the_input():
    between = look(keras.layers.Conv2DTranspose(2, 1, strides=3), cells=((1, 1, 0),))[0].arithmetic
    around = look(keras.layers.SeparableConv2D(2, 2, dilation_rate=16, padding="same"))[0].arithmetic
    for found in (between, around):
        assert not found.steps[0].inside.any()
        assert (found.sources[0].y, found.sources[0].x) == (0, 0)


def with_bias(value: float) -> keras.layers.Layer:
    return keras.layers.Conv2D(2, 1, bias_initializer=keras.initializers.Constant(value))


def opposed(x):
    return keras.layers.Add()([with_bias(np.inf)(x), with_bias(-np.inf)(x)])


def variance(value: float, **options: float) -> keras.layers.Layer:
    given = keras.initializers.Constant(value)
    return keras.layers.BatchNormalization(moving_variance_initializer=given, **options)


@pytest.mark.parametrize(
    "odd",
    [
        variance(-1.0),
        variance(0.0, epsilon=0.0),
        lambda x: keras.layers.LayerNormalization(epsilon=0.0)(
            keras.layers.Conv2D(2, 1, kernel_initializer="zeros")(x)
        ),
        opposed,
        lambda x: keras.layers.ReLU()(with_bias(np.nan)(x)),
        lambda x: keras.layers.ReLU(6.0)(with_bias(np.nan)(x)),
        lambda x: keras.layers.Softmax()(with_bias(np.nan)(x)),
    ],
    ids=["negative variance", "no variance", "no spread", "opposed infinities", "relu", "relu6", "softmax"],
)
def test_what_is_no_number_is_none_in_the_arithmetic_either(odd):
    inputs = keras.Input((*SIZE, 3))
    backbone = tiny_backbone(keras.Model(inputs, odd(inputs)), input_size=SIZE)
    found = look_at(backbone, PHOTO, backbone.layers[-1].name, 0, (1, 1))
    assert not np.isfinite(found.value)
    assert np.isnan(found.arithmetic.result)


@keras.saving.register_keras_serializable("tests")
class Conv2D(keras.layers.Conv2D):
    """Calls itself a convolution, but does something else as well."""

    def call(self, inputs):
        return super().call(inputs) + 1.0


def test_what_is_not_known_is_said_in_a_sentence():
    for layer in (
        Conv2D(2, 3),
        keras.layers.RMSNormalization(),
        keras.layers.UpSampling2D(interpolation="bilinear"),
    ):
        inputs = keras.Input((*SIZE, 3))
        backbone = tiny_backbone(with_seeded_weights(keras.Model(inputs, layer(inputs))), input_size=SIZE)
        found = look_at(backbone, PHOTO, layer.name, 0, (1, 1)).arithmetic
        assert found.steps == () and found.result is None and found.note.endswith(".")


@pytest.mark.parametrize(
    "change",
    [
        *(keras.ops.absolute, keras.ops.square, keras.ops.negative, lambda x: keras.ops.sqrt(keras.ops.square(x))),
        *(lambda x: x[..., 1:], lambda x: x[:, ::2, 1], lambda x: keras.ops.flip(x, axis=2)),
        *(keras.layers.Permute((2, 3, 1)), lambda x: keras.ops.transpose(x, (0, 2, 1, 3))),
        lambda x: keras.ops.squeeze(keras.ops.expand_dims(x, 1), 1),
        lambda x: keras.layers.RepeatVector(2)(keras.layers.Flatten()(x)),
        *(keras.layers.GroupNormalization(2), keras.layers.GroupNormalization(-1, scale=False, center=False)),
        keras.layers.UnitNormalization(),
        lambda x: keras.layers.GlobalMaxPooling1D()(keras.layers.Reshape((-1, 4))(x)),
        lambda x: keras.layers.GlobalAveragePooling1D()(keras.layers.Reshape((-1, 4))(x)),
        lambda x: keras.layers.ZeroPadding1D(1)(keras.layers.Reshape((-1, 4))(x)),
    ],
)
def test_operations_between_layers(change):
    inputs = keras.Input((*SIZE, 3))
    model = keras.Model(inputs, change(keras.layers.Conv2D(4, 3, activation="tanh")(inputs)))
    look_in(model, [(0, 0, 0), (1, 2, 1), (-1, -1, -1)])
