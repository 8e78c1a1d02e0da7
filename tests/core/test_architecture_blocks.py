"""Blocks and stages of real architectures, untrained, and of layers made up for the case."""

import keras
import pytest

from core.architecture import (
    KINDS,
    MOST_BLOCKS,
    MOST_STAGES,
    Block,
    Tiling,
    blocks,
    cost_words,
    first_look,
    is_drawable,
    kind,
    map_size,
    milestones,
    number_words,
    sees_words,
    shape_words,
    stages,
    tiling,
)
from core.backbones import loading
from core.messages import LayerInfo
from tests.core.tiny import nested_model, tiny_backbone

FAST = ["efficientnet_lite0", "vgg16"]
SLOW = [
    "resnet50",
    "resnet50v2",
    "xception",
    "inceptionv3",
    "inceptionresnetv2",
    "mobilenet",
    "mobilenetv2",
    "mobilenetv3small",
    "densenet121",
    "nasnetmobile",
    "efficientnetb0",
    "efficientnetv2b0",
    "convnexttiny",
]


def layer(name="conv", type="Conv2D", shape=(28, 28, 8), parameters=0, inputs=(), **facts):
    return LayerInfo(name, type, shape, parameters, inputs=inputs, **facts)


def chain(*layers):
    """Each with the one before as its input."""
    found = []
    for each in layers:
        found.append(layer(*each, inputs=(found[-1].name,) if found else ()))
    return tuple(found)


def layers_of(name):
    return loading.load(name, weights="imagenet" if name == "efficientnet_lite0" else None).layers


@pytest.mark.parametrize("name", [*FAST, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_real_architectures(name):
    layers = layers_of(name)
    for cut in (blocks, stages):
        found = cut(layers)
        assert tuple(layer for block in found for layer in block.layers) == layers  # all of them, in order
        assert all(block.layers and block.layer in block.layers for block in found)
        assert all(block.kind in KINDS for block in found)
    assert 15 <= len(blocks(layers)) <= MOST_BLOCKS
    assert 6 <= len(stages(layers)) <= MOST_STAGES
    way = milestones(layers)
    assert 5 <= len(way) <= MOST_STAGES
    sizes = [map_size(stage.clearest) for stage in way]
    assert None not in sizes
    assert sizes == sorted(sizes, reverse=True)  # on the way from pixels to prediction maps become smaller
    assert [map_size(stage.layer) for stage in way] == sizes
    assert len(set(sizes)) >= 4
    assert stages(layers)[-1].layer == layers[-1]


def test_the_embedded_networks_stages():
    found = stages(layers_of("efficientnet_lite0"))
    assert [stage.name for stage in found] == [
        "block0",
        "block1 to block2",
        "block3 to block4",
        "block5 to block7",
        "block8 to block10",
        "block11 to block13",
        "block14 to block15",
        "predictions",
    ]
    assert found[1].layer.name == "block2_add"
    assert found[1].clearest.name == "block2_depthwise_activation"
    assert found[6].layer.name == found[6].clearest.name == "head_activation"


def test_vggs_stages_are_its_five_blocks_before_their_poolings():
    found = milestones(layers_of("vgg16"))
    assert [stage.layer.name for stage in found] == [
        "block1_conv2",
        "block2_conv2",
        "block3_conv3",
        "block4_conv3",
        "block5_conv3",
    ]
    assert all(stage.layers[-1].type == "MaxPooling2D" for stage in found)


def test_each_layer_is_a_block_where_there_are_few():
    layers = tiny_backbone().layers
    assert [block.layers for block in blocks(layers)] == [(each,) for each in layers]
    assert [block.name for block in blocks(layers)] == ["conv1", "bn1", "conv2", "pool", "predictions"]


def test_convolutions_take_their_normalisation_and_activation_along():
    trio = ("ZeroPadding2D", "Conv2D", "BatchNormalization", "ReLU")
    layers = chain(*((f"{kind}{number}", kind) for number in range(25) for kind in trio))
    found = blocks(layers)
    assert len(found) == 25
    assert [each.type for each in found[3].layers] == list(trio)
    assert found[3].layer.name == "ReLU3" and found[3].kind == "convolution"


@pytest.mark.parametrize("count", [71, 300, 2000])
def test_any_number_of_layers_fits(count):
    layers = chain(*((f"layer{number}", "Conv2D", (64, 64, 8)) for number in range(count)))
    found = blocks(layers)
    assert len(found) <= MOST_BLOCKS
    assert tuple(each for block in found for each in block.layers) == layers
    assert len(stages(layers)) <= MOST_STAGES


def test_few_or_no_layers():
    assert blocks(()) == stages(()) == milestones(()) == ()
    (only,) = stages((layer(),))
    assert only.layer.name == "conv"
    vectors = chain(("dense1", "Dense", (10,)), ("dense2", "Dense", (3,)))
    assert [stage.layer.name for stage in milestones(vectors)] == ["dense1"] and len(blocks(vectors)) == 2
    sequences = chain(("embed", "Dense", (196, 64)), ("mix", "MultiHeadAttention", (196, 64)), ("out", "Dense", (10,)))
    assert [stage.layer.name for stage in milestones(sequences)] == ["embed", "mix"]


def test_a_u_net_goes_down_and_up():
    x = inputs = keras.Input((32, 32, 3))
    sides = []
    for depth in range(3):
        x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name=f"down{depth}")(x)
        sides.append(x)
        x = keras.layers.MaxPooling2D(name=f"pool{depth}")(x)
    x = keras.layers.Conv2D(8, 3, padding="same", name="bottom")(x)
    for depth in reversed(range(3)):
        x = keras.layers.Conv2DTranspose(4, 2, strides=2, name=f"up{depth}")(x)
        x = keras.layers.Concatenate(name=f"join{depth}")([x, sides[depth]])
        x = keras.layers.Conv2D(4, 3, padding="same", name=f"mix{depth}")(x)
    layers = tiny_backbone(keras.Model(inputs, x), input_size=(32, 32)).layers
    sizes = [map_size(stage.layer)[0] for stage in milestones(layers)]
    bottom = sizes.index(min(sizes))
    assert sizes[: bottom + 1] == sorted(sizes[: bottom + 1], reverse=True)
    assert sizes[bottom:] == sorted(sizes[bottom:]) and sizes[-1] == 32


def test_names_within_a_nested_model():
    layers = chain(
        *((f"base/block{number}_{part}", type) for number in range(30) for part, type in PARTS),
        ("pool", "GlobalAveragePooling2D", (8,)),
    )
    assert stages(layers)[0].name.startswith("base/block0 to block")
    assert blocks(tiny_backbone(nested_model()).layers)[1].name == "inner/inner_conv"


PARTS = (("conv", "Conv2D"), ("bn", "BatchNormalization"), ("act", "ReLU"), ("conv2", "Conv2D"))


def test_a_blocks_costs_are_its_layers():
    block = Block((layer(parameters=10, multiply_adds=7), layer("bn", "BatchNormalization", parameters=4)))
    assert (block.parameters, block.multiply_adds, block.kind) == (14, 7, "convolution")
    assert "bn" in block and "relu" not in block


@pytest.mark.parametrize(
    ("type", "expected"),
    [
        ("Conv2D", "convolution"),
        ("SeparableConv2D", "convolution"),
        ("Conv2DTranspose", "convolution"),
        ("DepthwiseConv2D", "depthwise"),
        ("MaxPooling2D", "pooling"),
        ("GlobalAveragePooling2D", "pooling"),
        ("BatchNormalization", "normalisation"),
        ("LayerNormalization", "normalisation"),
        ("Normalization", "normalisation"),
        ("Activation", "activation"),
        ("ReLU", "activation"),
        ("PReLU", "activation"),
        ("LeakyReLU", "activation"),
        ("HardSilu", "activation"),
        ("Dense", "dense"),
        ("EinsumDense", "dense"),
        ("ZeroPadding2D", "other"),
        ("Dropout", "other"),
    ],
)
def test_kinds(type, expected):
    assert kind(layer(type=type)) == expected


def test_only_what_has_several_inputs_joins():
    assert kind(layer(type="Add", inputs=("a", "b"))) == "merge"
    assert kind(layer(type="Add", inputs=("a",))) == "other"


def test_words():
    assert shape_words(layer()) == "8 channels of 28 × 28"
    assert shape_words(layer(shape=(None, None, 8))) == "8 channels of any × any"
    assert shape_words(layer(shape=(10,))) == "10 units"
    seen = layer(receptive_field=(11, 11), stride=(2.0, 2.0))
    assert sees_words(seen) == "each cell sees 11 × 11 pixels of the photo, 2 pixels apart"
    assert sees_words(layer(receptive_field=(1, 1), stride=(1.0, 1.0))).endswith(
        "sees 1 pixel of the photo, 1 pixel apart"
    )
    assert sees_words(layer(receptive_field=(3, 5), stride=(0.5, 2.0))).endswith("0.5 and 2 pixels apart")
    assert sees_words(layer()) == "each cell sees the whole photo"
    assert sees_words(layer(shape=(10,))) == "each unit sees the whole photo"
    assert cost_words(layer(parameters=1536, multiply_adds=19_300_000)) == (
        "1\u202f536 parameters, 19.3 M multiply-adds"
    )
    assert cost_words(layer()) == "no parameters"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0"),
        (999, "999"),
        (1536, "1\u202f536"),
        (999_999, "999\u202f999"),
        (1_000_000, "1 M"),
        (12_440_000, "12.4 M"),
        (927_000_000, "927 M"),
        (999_400_000, "999 M"),
        (999_700_000, "1 G"),
        (1_849_688_064, "1.85 G"),
        (2_500_000_000_000, "2500 G"),
    ],
)
def test_numbers(number, words):
    assert number_words(number) == words


def test_what_has_channels_can_be_drawn():
    shapes = [(5,), (7, 5), (4, 4, 5), (3, 4, 4, 5), (2, 3, 4, 4, 5), (), (4, None)]
    assert [is_drawable(layer(shape=shape)) for shape in shapes] == [True] * 4 + [False] * 3
    words = ["5 units", "7 steps of 5 units", "5 channels of 4 × 4", "5 channels of 3 × 4 × 4"]
    assert [shape_words(layer(shape=shape)) for shape in shapes[:4]] == words
    assert shape_words(layer(shape=(None, 5))) == "steps of 5 units"


def test_networks_without_convolutions_have_stages_and_a_first_layer():
    lstm = chain(
        ("rows", "Reshape", (28, 84)), ("lstm1", "LSTM", (28, 48)), ("lstm2", "LSTM", (24,)), ("answer", "Dense", (10,))
    )
    assert first_look(lstm) == "lstm1"
    assert [stage.layer.name for stage in milestones(lstm)] == ["rows", "lstm1"]
    mlp = chain(("flat", "Flatten", (784,)), ("hidden", "Dense", (64,)), ("answer", "Dense", (10,)))
    assert first_look(mlp) == "hidden"
    only = chain(
        ("odd", "Reshape", (1, 2, 3, 4, 5)),
    )
    assert first_look(only) == "" and milestones(only) == ()
    unknown = chain(("conv", "Conv2D", (None, None, 8)), ("tokens", "Reshape", (None, 8)))
    assert first_look(unknown) == "conv" and len(blocks(unknown)) == 2 and stages(unknown)


def test_steps_are_tiles_where_maps_were_laid_out():
    vit = chain(
        ("patches", "Conv2D", (8, 6, 64)),
        ("tokens", "Reshape", (48, 64)),
        ("with_class", "Concatenate", (49, 64)),
        ("attention", "MultiHeadAttention", (49, 64)),
    )
    assert tiling(vit, vit[1]) == Tiling(8, 6)
    assert tiling(vit, vit[3]) == Tiling(8, 6, first=1)
    assert tiling(vit, vit[0]) is None
    cut = chain(("cut", "Reshape", (4, 8, 4, 8, 3)), ("tiles", "Reshape", (16, 192)), ("add", "Add", (16, 192)))
    assert tiling(cut, cut[2]) == Tiling(4, 4)
    rows = chain(("rows", "Reshape", (16, 48)), ("lstm", "LSTM", (16, 8)))
    assert tiling(rows, rows[1]) is None
    open_ = chain(
        ("tokens", "Reshape", (None, 8)),
    )
    assert tiling(open_, open_[0]) is None
