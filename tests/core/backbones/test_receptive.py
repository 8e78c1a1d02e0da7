"""Receptive fields against numbers worked out by hand, published ones, and what changing a pixel really changes."""

import time

import keras
import numpy as np
import pytest
from keras import layers as L

from core.backbones import graph, loading, receptive
from core.errors import UserError
from core.messages import Region
from tests.core.tiny import nested_model, tiny_backbone, tiny_model


def stacked(*layers, size=(12, 13)):
    inputs = keras.Input((*size, 1))
    x = inputs
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x)


def branches(size=(12, 13)):
    inputs = keras.Input((*size, 1))
    x = L.Conv2D(2, 3, strides=2, padding="same", name="first")(inputs)
    wide = L.DepthwiseConv2D(5, padding="same", name="wide")(x)
    narrow = L.Conv2D(2, 1, name="narrow")(x)
    x = L.Add(name="sum")([wide, narrow])
    x = L.Concatenate(name="both")([x, L.MaxPooling2D(3, strides=1, padding="same", name="largest")(x)])
    return keras.Model(inputs, L.ReLU(name="end")(x))


def reduced():
    """NASNet's way to halve a map: two grids of cells, the second shifted by one."""
    inputs = keras.Input((11, 12, 1))
    left = L.AveragePooling2D(1, strides=2, name="left")(inputs)
    shifted = L.Cropping2D(((1, 0), (1, 0)))(L.ZeroPadding2D(((0, 1), (0, 1)))(inputs))
    right = L.AveragePooling2D(1, strides=2, name="right")(shifted)
    return keras.Model(inputs, L.Concatenate(name="both")([left, right]))


def u_net():
    inputs = keras.Input((12, 16, 1))
    side = L.Conv2D(2, 3, padding="same", activation="relu")(inputs)
    x = L.MaxPooling2D(2)(side)
    x = L.Conv2D(2, 3, padding="same")(x)
    x = L.Conv2DTranspose(2, 2, strides=2)(x)
    x = L.Concatenate()([side, x])
    return keras.Model(inputs, L.Conv2D(1, 3, padding="same", name="end")(x))


def preprocessed():
    inputs = keras.Input((8, 8, 3))
    x = keras.ops.add(inputs[..., ::-1] / 2.0, 1.0)
    return keras.Model(inputs, L.Conv2D(2, 3, name="conv")(x))


MODELS = {
    "stack": lambda: stacked(*(L.Conv2D(2, 3, padding="same") for _ in range(3))),
    "valid": lambda: stacked(L.Conv2D(2, (3, 2)), L.Conv2D(2, 3, strides=2), L.Conv2D(2, 3, padding="same")),
    "even and odd": lambda: stacked(*(L.Conv2D(2, 3, strides=2, padding="same") for _ in range(3))),
    "kernel 5": lambda: stacked(L.Conv2D(2, 5, strides=(2, 3), padding="same"), L.DepthwiseConv2D(3, padding="same")),
    "dilated": lambda: stacked(
        L.Conv2D(2, 3, dilation_rate=2, padding="same"), L.Conv2D(2, 3, dilation_rate=(1, 3), padding="same")
    ),
    "pooled": lambda: stacked(
        L.MaxPooling2D(3, strides=2, padding="same"), L.Conv2D(2, 2, padding="same"), L.AveragePooling2D(2)
    ),
    "leftover": lambda: stacked(L.MaxPooling2D(5), L.Conv2D(1, 3, padding="same")),
    "separable": lambda: stacked(L.SeparableConv2D(2, 3, padding="same"), L.BatchNormalization(), L.ReLU(), L.Dense(3)),
    "padded": lambda: stacked(L.ZeroPadding2D(((1, 2), (0, 3))), L.Conv2D(2, 4, strides=2), L.Cropping2D((1, 2))),
    "transposed": lambda: stacked(
        L.Conv2D(1, 3, strides=2, padding="same"),
        L.Conv2DTranspose(2, 3, strides=2, padding="same"),
        L.Conv2DTranspose(2, 4, strides=2),
        size=(7, 6),
    ),
    "transposed with gaps": lambda: stacked(L.Conv2DTranspose(1, 2, strides=3), L.Conv2D(1, 2), size=(4, 5)),
    "transposed further": lambda: stacked(
        L.Conv2DTranspose(1, 3, strides=2, padding="same", output_padding=0), L.Conv2D(1, 2), size=(4, 5)
    ),
    "upsampled": lambda: stacked(L.UpSampling2D((2, 3)), L.Conv2D(2, 3, padding="same"), size=(5, 4)),
    "upsampled smoothly": lambda: stacked(
        L.UpSampling2D((2, 3), interpolation="bilinear"), L.Conv2D(2, 3, padding="same"), size=(5, 4)
    ),
    "resized": lambda: stacked(L.Resizing(9, 5), L.Conv2D(1, 2), size=(7, 8)),
    "resized to nearest": lambda: stacked(L.Resizing(9, 5, interpolation="nearest"), L.Conv2D(1, 2), size=(7, 8)),
    "branches": branches,
    "reduced": reduced,
    "u-net": u_net,
    "preprocessed": preprocessed,
    "nested": lambda: nested_model(10),
}


def backbone(model):
    """Positive weights on positive pixels: then whatever a cell depends on raises it."""
    rng = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(rng.uniform(0.5, 1.0, weight.shape))
    return tiny_backbone(model, input_size=model.inputs[0].shape[1:3])


def changed_by_each_pixel(model, layer):
    """bool[y, x of the photo, y, x of the map]: does raising that pixel raise that cell?"""
    height, width, channels = model.model.inputs[0].shape[1:]
    images = np.ones((height * width + 1, height, width, channels), np.float32)
    for place in range(height * width):
        images[place, place // width, place % width] = 1e6
    answers = graph.at_size(model, layer, model.input_size)(images, training=False).numpy().sum(axis=-1)
    raised = answers[:-1] > answers[-1] * 1.0001 + 1e-6
    return raised.reshape(height, width, *answers.shape[1:])


def clipped(region, size):
    low = np.clip((region.top, region.left), 0, size)
    return (*low, *np.maximum(np.clip((region.bottom, region.right), 0, size), low))


@pytest.mark.parametrize("name", MODELS)
def test_exactly_what_is_in_the_region_changes_the_cell(name):
    model = backbone(MODELS[name]())
    size = model.input_size
    cells = 0
    for layer in model.layers:
        if not layer.is_spatial:
            continue
        changed = changed_by_each_pixel(model, layer.name)
        for cell in np.ndindex(changed.shape[2:]):
            rows, columns = np.nonzero(changed[:, :, cell[0], cell[1]])
            region = receptive.region(model, layer.name, cell)
            top, left, bottom, right = clipped(region, size)
            if not rows.size:
                assert (bottom - top) * (right - left) == 0, (layer.name, cell, region)
                continue
            truth = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
            assert (top, left, bottom, right) == truth, (layer.name, cell, region)
            cells += 1
    assert cells


def test_regions_worked_out_by_hand():
    model = backbone(MODELS["stack"]())
    names = [layer.name for layer in model.layers]
    assert receptive.region(model, names[0], (5, 6)) == Region(4, 5, 7, 8)
    assert receptive.region(model, names[2], (5, 6)) == Region(2, 3, 9, 10)
    assert receptive.region(model, names[2], (0, 12)) == Region(-3, 9, 4, 16)  # into the padding at two sides


def test_same_padding_of_a_stride_depends_on_the_size():
    """TensorFlow pads 12 pixels at the end only, 13 at both ends."""
    model = backbone(stacked(L.Conv2D(1, 3, strides=2, padding="same", name="conv")))
    assert receptive.region(model, "conv", (0, 0)) == Region(0, -1, 3, 2)


def test_a_cell_that_is_made_of_padding_alone():
    model = backbone(stacked(L.ZeroPadding2D(2, name="pad")))
    assert receptive.region(model, "pad", (0, 5)) == Region(-2, 3, -1, 4)


def facts(model):
    return {layer.name: layer for layer in backbone(model).layers}


def test_fields_and_strides_worked_out_by_hand():
    found = facts(
        stacked(
            L.Conv2D(4, 3, strides=2, padding="same", name="a"),  # 3, 2
            L.Conv2D(4, 3, padding="same", name="b"),  # 3 + 2·2
            L.MaxPooling2D(2, name="c"),  # 7 + 1·2
            L.Conv2D(4, (3, 1), dilation_rate=2, padding="same", name="d"),  # 9 + 4·4
            size=(40, 40),
        )
    )
    assert [found[name].receptive_field for name in "abcd"] == [(3, 3), (7, 7), (9, 9), (25, 9)]
    assert [found[name].stride for name in "abcd"] == [(2, 2), (2, 2), (4, 4), (4, 4)]


def test_where_branches_meet_the_larger_field_counts():
    found = facts(branches())
    assert [found[name].receptive_field for name in ("first", "wide", "narrow", "sum", "both", "end")] == [
        (3, 3),
        (11, 11),
        (3, 3),
        (11, 11),
        (15, 15),
        (15, 15),
    ]
    assert found["sum"].inputs == ("wide", "narrow")
    assert found["both"].inputs == ("sum", "largest")
    assert found["first"].inputs == ()


def test_upsampling_makes_strides_smaller_than_a_pixel():
    found = facts(stacked(L.UpSampling2D(2, name="up"), L.Conv2D(1, 3, padding="same", name="conv"), size=(8, 8)))
    assert found["up"].stride == (0.5, 0.5) and found["up"].receptive_field == (1, 1)
    assert found["conv"].stride == (0.5, 0.5) and found["conv"].receptive_field == (2, 2)


def squeeze_and_excite(size=(8, 8)):
    inputs = keras.Input((*size, 2))
    x = L.Conv2D(4, 3, padding="same", name="conv")(inputs)
    gate = L.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    gate = L.Conv2D(4, 1, name="excite")(gate)
    return keras.Model(inputs, L.Conv2D(1, 3, name="end")(L.Multiply(name="gated")([x, gate])))


def normalised_over_all():
    return stacked(L.Conv2D(4, 3, name="conv"), L.GroupNormalization(2, name="gated"), size=(8, 8))


@pytest.mark.parametrize("make", [squeeze_and_excite, normalised_over_all])
def test_what_looks_at_the_whole_map_sees_the_whole_photo(make):
    model = backbone(make())
    assert receptive.region(model, "conv", (3, 3)) == Region(
        *(2, 2, 5, 5) if make is squeeze_and_excite else (3, 3, 6, 6)
    )
    assert receptive.region(model, "gated", (3, 3)) is None
    assert model.layer("conv").receptive_field == (3, 3)
    assert model.layer("gated").receptive_field is None and model.layer("gated").stride is None


def test_vectors_see_the_whole_photo():
    model = tiny_backbone()
    assert receptive.region(model, "pool", (0, 0)) is None
    assert model.layer("predictions").receptive_field is None


def test_a_model_of_open_size_is_measured_at_its_input_size():
    fixed, free = tiny_backbone(), tiny_backbone(tiny_model(size=None))
    assert [(layer.multiply_adds, layer.receptive_field, layer.stride, layer.inputs) for layer in fixed.layers] == [
        (layer.multiply_adds, layer.receptive_field, layer.stride, layer.inputs) for layer in free.layers
    ]
    assert receptive.region(free, "conv2", (0, 11)) == receptive.region(fixed, "conv2", (0, 11))


def test_names_of_nested_models():
    found = facts(nested_model())
    assert found["inner/inner_bn"].inputs == ("inner/inner_conv",)
    assert found["inner/inner_conv"].inputs == ("rescale",)
    assert found["inner/inner_conv"].receptive_field == (3, 3)


def test_multiplications_worked_out_by_hand():
    found = facts(
        stacked(
            L.Conv2D(4, 3, padding="same", name="conv"),  # 10·10 cells, each 3·3·1·4
            L.Conv2D(6, 3, groups=2, strides=2, padding="same", name="groups"),  # 5·5, each 3·3·2·6
            L.DepthwiseConv2D(3, name="depthwise"),  # 3·3, each 3·3·6
            L.SeparableConv2D(5, 3, padding="same", name="separable"),  # 3·3, each 3·3·6 + 6·5
            L.Conv2DTranspose(2, 2, strides=2, name="transposed"),  # from 3·3 cells, each 2·2·5·2
            L.BatchNormalization(name="bn"),
            L.Flatten(name="flat"),
            L.Dense(7, name="dense"),  # 6·6·2·7
            size=(10, 10),
        )
    )
    assert {name: layer.multiply_adds for name, layer in found.items()} == {
        "conv": 3600,
        "groups": 2700,
        "depthwise": 486,
        "separable": 756,
        "transposed": 360,
        "bn": 0,
        "flat": 0,
        "dense": 504,
    }


def test_cells_and_layers_that_are_not_there():
    model = tiny_backbone()
    with pytest.raises(UserError, match="12 × 12"):
        receptive.region(model, "conv2", (12, 0))
    with pytest.raises(UserError, match="no layer"):
        receptive.region(model, "conv3", (0, 0))


# The paper "Computing Receptive Fields of Convolutional Neural Networks" has these in its table.
PUBLISHED = {
    "vgg16": ("block5_pool", 212, 32),
    "resnet50": ("conv5_block3_out", 483, 32),
    "mobilenet": ("conv_pw_13_relu", 315, 32),
    "mobilenet_v2": ("out_relu", 491, 32),
}


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.slow
def test_published_fields(name):
    layer, field, stride = PUBLISHED[name]
    found = loading.load(name, weights=None).layer(layer)
    assert (found.receptive_field, found.stride) == ((field, field), (stride, stride))


def test_the_embedded_network():
    """Its sums are those of the paper: 407 million multiply-adds with squeeze-and-excite's 0.4 and BatchNorm's."""
    model = loading.load("efficientnet_lite0")
    assert model.layer("stem_conv").receptive_field == (3, 3)
    assert model.layer("head_conv").receptive_field == (851, 851)  # EfficientNet-B0's of the same kernels and strides
    assert 380e6 < sum(layer.multiply_adds for layer in model.layers) < 410e6
    started = time.perf_counter()
    receptive.describe_layers(model.model, model.tensors, model.input_size)
    assert time.perf_counter() - started < 1.0
