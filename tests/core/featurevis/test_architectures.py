"""Every method draws every kind of layer of every family of networks. Random weights prove that it runs."""

import io

import keras
import numpy as np
import pytest
from PIL import Image

from core.backbones import loading
from core.backbones.backbone import Backbone
from core.featurevis import mosaic
from core.messages import ModelRef, Mosaic, RenderRequest
from tests.core.tiny import tiny_model, with_seeded_weights

SIZE = 96
FILTERS = (0, 1, 2)
STEPS = {"textbook": 4, "fast": 4, "lucid": 16}  # lucid's shakes hide what fewer steps gain
LEAST_CONTRAST = 5  # standard deviation of a tile in [0, 255]
ARCHITECTURES = [
    *("vgg16", "resnet50_v2", "mobilenet_v2", "xception", "convnext_tiny", "densenet121", "inception_v3"),
    *("efficientnet_v2_b0", "nasnet_mobile", "efficientnet_lite0"),
]
NOT_AT_EVERY_SIZE = {"Flatten", "Dense"}  # of VGG16, whose dense layers follow a Flatten


def draw(ref: ModelRef, layer: str, method: str, **more) -> None:
    """Draw three filters and hold that they are drawn: no tile is grey, and every score rises that can."""
    options = {"size": SIZE, "steps": STEPS[method], "precision": "float32", "filters": FILTERS, **more}
    shots = [
        shot for shot in mosaic.run(RenderRequest(ref, layer, method=method, **options)) if isinstance(shot, Mosaic)
    ]
    first, end = next(shot for shot in shots if shot.step == 1), shots[-1]
    assert np.isfinite(end.scores).all()
    answering = [place for place, index in enumerate(end.filters) if index not in end.silent]
    gains = np.subtract(end.scores, first.scores)[answering]
    # On the way up one of three may have stepped aside, or have been shaken to a worse place.
    assert (gains > 0).sum() >= len(answering) - (method == "lucid"), (layer, method, first.scores, end.scores)
    picture = np.array(Image.open(io.BytesIO(end.png)), float)
    for place in answering:
        if end.scores[place] < 0:
            continue  # a mean that no image brings above 0 is greatest where there is nothing to see: in grey
        left = place * (end.tile + end.margin)
        assert picture[:, left : left + end.tile].std() > LEAST_CONTRAST, (layer, method, end.filters[place])


def one_of_each_kind(backbone: Backbone) -> list[str]:
    """The layer in the middle of all of its type, for each type that gives maps or a vector."""
    kinds: dict[str, list[str]] = {}
    for layer in backbone.layers:
        if layer.channels >= len(FILTERS) and len(layer.output_shape) in (1, 3):
            kinds.setdefault(layer.type, []).append(layer.name)
    if backbone.name == "vgg16":
        kinds = {kind: names for kind, names in kinds.items() if kind not in NOT_AT_EVERY_SIZE}
    return [names[len(names) // 2] for names in kinds.values()]


@pytest.mark.parametrize(
    ("name", "layer", "method"),
    [
        pytest.param("vgg16", "block2_conv2", "textbook", marks=pytest.mark.slow),
        pytest.param("vgg16", "block2_pool", "lucid", marks=pytest.mark.slow),
        pytest.param("mobilenet_v2", "block_1_depthwise", "fast", marks=pytest.mark.slow),
        pytest.param("mobilenet_v2", "block_1_depthwise_relu", "lucid", marks=pytest.mark.slow),
        ("mobilenet_v2", "block_1_project_BN", "textbook"),
        ("mobilenet_v2", "block_2_add", "lucid"),
        pytest.param("mobilenet_v2", "global_average_pooling2d", "fast", marks=pytest.mark.slow),
        pytest.param("xception", "block2_sepconv1", "lucid", marks=pytest.mark.slow),
        ("xception", "block2_sepconv2_bn", "fast"),
    ],
)
def test_a_layer(name, layer, method):
    draw(ModelRef(name, None), layer, method)


def test_a_class_of_a_network_whose_probabilities_are_all_equal():
    draw(ModelRef("mobilenet_v2", None), "predictions", "textbook", objective="class")


def test_a_filter_that_is_blocked_at_the_start_is_freed_and_nothing_else_changes(tmp_path, monkeypatch):
    model = tiny_model(size=None)
    kernel, bias = model.get_layer("conv2").get_weights()
    bias[3] = -1.5  # at the start ReLU lets nothing through
    model.get_layer("conv2").set_weights([kernel, bias])
    model.save(tmp_path / "blocked.keras")
    request = RenderRequest(ModelRef(str(tmp_path / "blocked.keras")), "conv2", (3, 5), size=64, precision="float32")
    *_, freed = mosaic.run(request)
    monkeypatch.setattr(mosaic._Drawing, "_free_the_stuck", lambda self, group, shot, first_scores: shot)
    *_, stuck = mosaic.run(request)
    assert stuck.scores[0] == 0 < freed.scores[0]
    assert stuck.scores[1] == freed.scores[1]
    assert freed.silent == ()


@pytest.fixture(scope="module")
def nested(tmp_path_factory) -> ModelRef:
    """A network within a classifier, as transfer learning makes them, opened from its file."""
    inner = keras.applications.MobileNetV2((SIZE, SIZE, 3), alpha=0.35, include_top=False, weights=None, name="inner")
    inputs = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1, name="rescale")(inputs)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(inner(x, training=False))
    model = keras.Model(inputs, keras.layers.Dense(4, activation="softmax", name="classes")(x))
    path = tmp_path_factory.mktemp("nested") / "nested.keras"
    with_seeded_weights(model).save(path)
    return ModelRef(str(path))


@pytest.mark.parametrize(
    ("layer", "method"),
    [
        ("inner/block_1_project_BN", "textbook"),
        pytest.param("inner/block_2_add", "lucid", marks=pytest.mark.slow),
        pytest.param("pool", "fast", marks=pytest.mark.slow),
    ],
)
def test_a_layer_of_a_network_within_another(nested, layer, method):
    draw(nested, layer, method)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("method", STEPS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_one_layer_of_each_kind(name, method):
    backbone = loading.load(name, weights=None)
    failures = []
    for layer in one_of_each_kind(backbone):
        try:
            # Untrained, all probabilities are equal to the last bit: a class is drawn before the softmax.
            is_classifier = layer == backbone.layers[-1].name
            draw(backbone.ref, layer, method, objective="class" if is_classifier else "channel")
        except Exception as failure:
            failures.append(f"{layer}: {type(failure).__name__} {failure}")
    assert not failures


@pytest.mark.slow
@pytest.mark.parametrize("method", STEPS)
def test_a_dense_layer_behind_a_flattening_at_its_own_size(method):
    draw(ModelRef("vgg16", None), "fc1", method, size=224)
