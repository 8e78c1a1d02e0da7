"""One cell of a map: what it can see, what it does see, and whether the numbers agree, down to the real network."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from core import activations, cells, images, samples
from core.backbones import loading
from core.errors import UserError
from core.messages import CellRequest, ModelRef, Photo
from tests.core.tiny import TINY_SIZE, nested_model, redness_model, tiny_backbone, tiny_model, with_seeded_weights

PHOTO = np.random.default_rng(3).integers(0, 256, (TINY_SIZE, TINY_SIZE, 3), dtype=np.uint8)


def inside(region, shape) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[max(region.top, 0) : region.bottom, max(region.left, 0) : region.right] = True
    return mask


@pytest.mark.parametrize("preprocessing", ["none", "tf", "caffe"])
def test_redness_sees_one_pixel_by_its_weights(preprocessing):
    backbone = tiny_backbone(redness_model(), preprocessing=preprocessing)
    found = cells.look_at(backbone, PHOTO, "redness", 0, (4, 7))
    scale = 127.5 if preprocessing == "tf" else 1.0
    assert found.influence[4, 7] == pytest.approx((1.0 + 0.5 + 0.5) / scale)
    assert np.count_nonzero(found.influence) == 1
    assert (found.region.top, found.region.left, found.region.bottom, found.region.right) == (4, 7, 5, 8)
    products, (source,) = found.arithmetic.steps[0], found.arithmetic.sources
    assert source.name == ""
    patch = dict(zip(source.channels, products.patch[0, 0], strict=True))
    expected = backbone.preprocessing(PHOTO)[4, 7]
    if preprocessing == "caffe":
        assert list(patch) == ["blue", "green", "red"]
        expected = expected[::-1]
    assert (patch["red"], patch["green"], patch["blue"]) == pytest.approx(tuple(expected))


def test_influence_is_the_change_that_a_changed_pixel_makes():
    inputs = keras.Input((TINY_SIZE, TINY_SIZE, 3))
    x = keras.layers.Conv2D(4, 3, activation="tanh", name="conv")(inputs)
    model = with_seeded_weights(keras.Model(inputs, keras.layers.Conv2D(2, 3, strides=2, name="last")(x)))
    model.get_layer("conv").set_weights([weight / 100 for weight in model.get_layer("conv").get_weights()])
    backbone = tiny_backbone(model)
    found = cells.look_at(backbone, PHOTO, "last", 1, (3, 4))
    step = 0.5
    for y, x in ((8, 10), (7, 9), (6, 12), (2, 2)):
        change = 0.0
        for colour in range(3):
            up, down = PHOTO.astype(np.float32), PHOTO.astype(np.float32)
            up[y, x, colour] += step
            down[y, x, colour] -= step
            answers = activations.infer_layers(backbone, np.stack([up, down]), ["last"])["last"][:, 3, 4, 1]
            change += abs(float(answers[0] - answers[1])) / (2 * step)
        assert found.influence[y, x] == pytest.approx(change, rel=0.02, abs=1e-5)


@pytest.mark.parametrize("layer", ["conv1", "bn1", "conv2"])
def test_what_it_does_see_lies_in_what_it_can_see(layer):
    found = cells.look_at(tiny_backbone(preprocessing="tf"), PHOTO, layer, 2, (0, 5))
    assert not found.influence[~inside(found.region, found.influence.shape)].any()


def test_behind_global_pooling_a_unit_can_see_all():
    found = cells.look_at(tiny_backbone(preprocessing="tf"), PHOTO, "predictions", 1)
    assert found.region is None and found.influence.any()
    assert [source.name for source in found.arithmetic.sources] == ["pool"]


@pytest.mark.parametrize("layer", ["inner/inner_conv", "inner/inner_bn", "outer_pool", "outer_predictions"])
def test_layers_of_nested_models(layer):
    backbone = tiny_backbone(nested_model())
    found = cells.look_at(backbone, PHOTO, layer, 1, (2, 3) if "inner" in layer else (0, 0))
    assert abs(found.arithmetic.result - found.value) <= 1e-5 * found.arithmetic.scale
    if layer == "inner/inner_conv":  # twice as bright, but red is still red
        assert found.arithmetic.sources[0].channels == ("red", "green", "blue")
        assert found.arithmetic.sources[0].name == "rescale"
    if layer == "inner/inner_bn":
        assert found.arithmetic.sources[0].name == "inner/inner_conv"


def test_a_layer_that_is_called_twice_has_two_calls():
    inputs = keras.Input((TINY_SIZE, TINY_SIZE, 3))
    shared = keras.layers.Conv2D(3, 3, padding="same", activation="relu", name="shared")
    model = with_seeded_weights(keras.Model(inputs, shared(shared(inputs))))
    backbone = tiny_backbone(model, preprocessing="tf")
    first, second = (cells.look_at(backbone, PHOTO, name, 1, (5, 5)) for name in ("shared", "shared:2"))
    assert [first.arithmetic.sources[0].name, second.arithmetic.sources[0].name] == ["", "shared"]
    for found in (first, second):
        assert abs(found.arithmetic.result - found.value) <= 1e-5 * found.arithmetic.scale
    assert second.region.bottom - second.region.top == 5


def test_the_way_back_leads_to_the_number_that_was_used():
    backbone = tiny_backbone(preprocessing="tf")
    values = activations.infer_layers(backbone, PHOTO[None], ["conv1", "bn1", "conv2"])
    found = cells.look_at(backbone, PHOTO, "conv2", 3, (4, 6)).arithmetic
    source, products = found.sources[0], found.steps[0]
    assert source.name == "bn1"
    used = values["bn1"][0, source.y, source.x, source.channel]
    assert np.isclose(products.patch, used, rtol=1e-5).any()
    assert np.abs(products.sums).argmax() == source.channel
    found = cells.look_at(backbone, PHOTO, "bn1", source.channel, (source.y, source.x)).arithmetic
    assert found.steps[0].given[0][1] == pytest.approx(values["conv1"][0, source.y, source.x, source.channel], rel=1e-5)


def test_one_graph_serves_all_channels_and_cells(monkeypatch):
    backbone, built = tiny_backbone(), []
    compile_it = cells._compile
    monkeypatch.setattr(cells, "_compile", lambda *given: built.append(given) or compile_it(*given))
    for channel, cell in ((0, (0, 0)), (5, (3, 2)), (1, (11, 11))):
        cells.look_at(backbone, PHOTO, "conv2", channel, cell)
    assert len(built) == 1


def test_a_network_of_any_size():
    found = cells.look_at(tiny_backbone(tiny_model(size=None)), PHOTO, "conv2", 0, (11, 11))
    assert abs(found.arithmetic.result - found.value) <= 1e-5 * found.arithmetic.scale
    with pytest.raises(UserError, match="12 × 12"):
        cells.look_at(tiny_backbone(tiny_model(size=None)), PHOTO, "conv2", 0, (12, 0))


@pytest.mark.parametrize(
    ("layer", "channel", "cell", "said"),
    [
        ("conv1", 6, (0, 0), r"6 channels of 24 × 24"),
        ("conv1", 0, (0, 24), r"\[0, 24, 0\]"),
        ("conv1", -1, (0, 0), "there is no cell"),
        ("pool", 8, (0, 0), "8 units"),
        ("conv9", 0, (0, 0), "conv9"),
    ],
)
def test_a_cell_that_is_not_there_is_named(layer, channel, cell, said):
    with pytest.raises(UserError, match=said):
        cells.look_at(tiny_backbone(), PHOTO, layer, channel, cell)


def test_a_network_of_less_exact_numbers_shows_no_wrong_calculation():
    inputs = keras.Input((TINY_SIZE, TINY_SIZE, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(4, 5, dtype="mixed_bfloat16", name="conv")(inputs))
    backbone = tiny_backbone(with_seeded_weights(model), preprocessing="tf")
    for channel in range(4):
        found = cells.look_at(backbone, PHOTO, "conv", channel, (3, 3))
        exact = abs(found.value - (found.arithmetic.result or np.inf)) <= 1e-3 * found.arithmetic.scale
        assert exact or found.arithmetic.note


# --- The embedded network ---------------------------------------------------------------------------------------------

REAL = {
    "stem_conv": (3, (50, 60), "Conv2D", [""]),
    "stem_bn": (3, (50, 60), "BatchNormalization", ["stem_conv"]),
    "block0_depthwise_conv": (7, (0, 111), "DepthwiseConv2D", ["stem_activation"]),
    "block1_depthwise_conv": (40, (55, 0), "DepthwiseConv2D", ["block1_expand_activation"]),
    "block5_expand_conv": (100, (10, 12), "Conv2D", ["block4_add"]),
    "block5_expand_activation": (100, (10, 12), "ReLU", ["block5_expand_bn"]),
    "block5_project_conv": (11, (13, 0), "Conv2D", ["block5_depthwise_activation"]),
    "block6_add": (70, (6, 7), "Add", ["block5_project_bn", "block6_project_bn"]),
    "pool": (600, (0, 0), "GlobalAveragePooling2D", ["head_activation"]),
    "predictions": (282, (0, 0), "Dense", ["pool"]),
}


@pytest.mark.parametrize("layer", REAL)
def test_the_embedded_networks_arithmetic_is_that_of_its_maps(layer):
    channel, cell, kind, sources = REAL[layer]
    backbone = loading.load("efficientnet_lite0")
    photo = images.fit(samples.photograph("cat").pixels, backbone.input_size)
    found = cells.look_at(backbone, photo, layer, channel, cell)
    shown = activations.infer_layers(backbone, photo[None], [layer])[layer][0]
    shown = shown[(*cell, channel)] if shown.ndim == 3 else shown[channel]
    arithmetic = found.arithmetic
    assert arithmetic.kind == kind
    assert set(sources) == {source.name for source in arithmetic.sources}
    assert abs(arithmetic.result - shown) <= 1e-5 * max(arithmetic.scale, abs(shown))
    assert abs(found.value - shown) <= 1e-5 * max(arithmetic.scale, abs(shown))
    if found.region is not None:
        assert not found.influence[~inside(found.region, found.influence.shape)].any()


def test_a_request_is_answered_as_the_network_sees_the_photo():
    photo = Photo.of(samples.photograph("cat").pixels)
    found = cells.look(CellRequest(ModelRef("efficientnet_lite0"), photo, "stem_conv", 3, 5, 6))
    assert found.seen.shape == (224, 224, 3) and found.influence.shape == (224, 224)
    assert found.arithmetic.sources[0].channels == ("red", "green", "blue")
