import io
import itertools
from dataclasses import replace

import keras
import numpy as np
import psutil
import pytest
import tensorflow as tf
from PIL import Image

from core.backbones import graph
from core.errors import UserError
from core.featurevis import dream
from core.messages import Dream, DreamRequest, ModelRef, Photo, Progress
from tests.core.tiny import redness_model, tiny_backbone, tiny_model

LAYERS = (("conv1", 1.0), ("conv2", 2.0))
SMALL = {"size": 64, "octaves": 2, "steps": 4, "learning_rate": 1.0}


def landscape(height=40, width=60):
    return np.random.default_rng(0).integers(60, 200, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def backbone():
    return tiny_backbone(tiny_model(size=None), preprocessing="tf")


@pytest.fixture(scope="module")
def request_(tmp_path_factory) -> DreamRequest:
    path = tmp_path_factory.mktemp("model") / "tiny.keras"
    tiny_model(size=None).save(path)
    return DreamRequest(ModelRef(str(path)), Photo.of(landscape()), LAYERS, **SMALL)


@pytest.fixture(scope="module")
def shots(request_) -> list[Progress | Dream]:
    return list(dream.run(request_))


def last(steps):
    *_, end = steps
    return end


def test_every_octave_keeps_the_photos_shape():
    assert dream.octave_shapes((300, 450), 448, 3, 1.4) == [(152, 229), (213, 320), (299, 448)]
    assert dream.octave_shapes((450, 300), 448, 1, 1.4) == [(448, 299)]


def test_the_layers_answer_more_and_more(backbone):
    scores = [shot.score for shot in dream.dream(backbone, landscape(), LAYERS, **SMALL, report_every=1)]
    assert scores[0] == pytest.approx(1.0, rel=0.1)  # before the first step it is the photo itself
    assert all(scores[octave] < scores[octave + 3] for octave in (0, 4))


def test_the_score_is_the_layers_own_by_its_value_for_the_photo(backbone):
    photo = landscape(64, 64)
    first, second = (
        last(dream.dream(backbone, photo, LAYERS, size=64, octaves=1, steps=steps, learning_rate=1.0))
        for steps in (2, 3)
    )
    model = graph.at_size(backbone, ("conv1", "conv2"), 64)

    def squares(image):
        return np.array([np.mean(part.numpy() ** 2) for part in model(backbone.preprocessing(image[None]))])

    ratios = squares(first.image) / squares(photo)
    # The random shift moves what the border sees.
    assert second.score == pytest.approx((ratios[0] + 2 * ratios[1]) / 3, rel=0.05)


def test_a_step_is_as_long_as_the_learning_rate_and_stays_a_picture(backbone):
    photo = np.full((64, 64, 3), 120, np.uint8) + np.random.default_rng(0).integers(0, 9, (64, 64, 3), dtype=np.uint8)
    one = last(dream.dream(backbone, photo, LAYERS, size=64, octaves=1, steps=1, learning_rate=3.0))
    assert np.abs(one.image - photo).mean() == pytest.approx(3.0, rel=0.01)
    wild = last(dream.dream(backbone, photo, LAYERS, size=64, octaves=1, steps=5, learning_rate=300.0))
    assert wild.image.min() >= 0 and wild.image.max() <= 255


def test_the_network_gets_its_own_preprocessing():
    """A layer that sees red alone makes a reddish photo redder, also where the network wants blue first."""
    photo = np.full((64, 64, 3), (160, 120, 120), np.uint8)
    for preprocessing in ("tf", "caffe"):
        model = redness_model(size=None)
        layer = model.get_layer("redness")
        kernel = layer.get_weights()[0] * [1.0, 0.0]
        layer.set_weights([kernel[:, :, ::-1] if preprocessing == "caffe" else kernel])
        bone = tiny_backbone(model, preprocessing=preprocessing)
        image = last(dream.dream(bone, photo, (("redness", 1.0),), **SMALL)).image
        red, green, blue = image.reshape(-1, 3).mean(axis=0)
        assert red > 161 and green < 119 and blue < 119, preprocessing


def test_details_of_the_photo_come_back_in_larger_octaves(backbone):
    photo = landscape(64, 64)
    still = last(dream.dream(backbone, photo, LAYERS, size=64, octaves=3, steps=1, learning_rate=1e-6)).image
    np.testing.assert_allclose(still, photo, atol=0.1)


def test_a_negative_weight_makes_a_layer_answer_less(backbone):
    end = last(dream.dream(backbone, landscape(), (("conv1", -1.0),), **SMALL))
    assert -1 < end.score < -0.0


def test_dreams_are_the_same_for_the_same_seed(backbone):
    one, again, other = (
        last(dream.dream(backbone, landscape(), LAYERS, **SMALL, seed=seed)).image for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1


def test_other_weights_photos_and_steps_need_no_new_graph(monkeypatch):
    fresh = tiny_backbone(tiny_model(size=None))
    traced = []
    real = dream._compile
    monkeypatch.setattr(dream, "_compile", lambda *which: traced.append(which[2]) or real(*which))
    for steps, weight, seed in ((1, 1.0, 0), (3, 0.2, 5)):
        for _ in dream.dream(
            fresh, landscape() + np.uint8(seed), (("conv1", weight),), size=64, steps=steps, seed=seed
        ):
            pass
    assert len(traced) == DreamRequest.octaves


def test_snapshots_are_complete(request_, shots):
    dreams = [shot for shot in shots if isinstance(shot, Dream)]
    assert isinstance(shots[0], Progress)
    assert [each.step for each in dreams] == [2, 4, 6, 8]
    assert [each.octave for each in dreams] == [1, 1, 2, 2]
    assert {(each.steps, each.octaves) for each in dreams} == {(8, 2)}
    for each in dreams:
        picture = Image.open(io.BytesIO(each.picture))
        assert (picture.format, picture.size) == ("WEBP", (each.width, each.height))
        assert each.origin == "from the file tiny.keras"
    assert [each.png is None for each in dreams] == [True, True, True, False]
    assert Image.open(io.BytesIO(dreams[-1].png)).size == (64, 43)
    assert dreams[0].seconds_left is None
    assert dreams[-1].seconds_left == 0.0
    assert all(each.seconds_left > 0 for each in dreams[1:-1])


def test_stopping_is_to_stop_iterating(request_):
    shots = dream.run(replace(request_, steps=1000))
    assert len(list(itertools.islice(shots, 4))) == 4
    shots.close()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layers": ()}, "between 1 and 8 layers"),
        ({"layers": (("conv9", 1.0),)}, "conv9.*Did you mean"),
        ({"layers": (("pool", 1.0),)}, "'pool' gives no maps"),
        ({"layers": (("conv1", 0.0),)}, "weight of layer 'conv1'"),
        ({"layers": (("conv1", float("nan")),)}, "weight of layer 'conv1'"),
        ({"layers": (("conv1", 1.0), ("conv1", 2.0))}, "twice"),
        ({"size": 16}, "size must be between 64 and 1280, not 16"),
        ({"octaves": 0}, "number of octaves"),
        ({"octave_scale": 1.0}, "octave scale"),
        ({"steps": 0}, "number of steps"),
        ({"seed": -1}, "seed"),
        ({"learning_rate": float("inf")}, "learning rate"),
    ],
)
def test_what_cannot_be_dreamt_is_said_in_a_sentence(request_, change, words):
    with pytest.raises(UserError, match=words):
        list(dream.run(replace(request_, **change)))


def test_networks_that_want_a_larger_image_say_so():
    inputs = keras.Input((None, None, 3))
    x = inputs
    for index in range(4):
        x = keras.layers.Conv2D(4, 5, strides=2, name=f"valid{index}")(x)
    bone = tiny_backbone(keras.Model(inputs, x))
    request = DreamRequest(bone.ref, Photo.of(landscape()), (("valid3", 1.0),), size=96, octaves=3)
    with pytest.raises(UserError, match="fewer octaves or a larger size"):
        dream.check(request, bone)
    with pytest.raises(UserError, match="64×96 pixels"):
        dream.check(replace(request, octaves=1, layers=(("valid3", 1.0),)), fixed_backbone())


def fixed_backbone():
    """Its `valid3` gives maps, but only for images of its own size."""
    inputs = keras.Input((24, 24, 3))
    x = keras.layers.Reshape((24, 24, 3))(inputs)
    return tiny_backbone(keras.Model(inputs, keras.layers.Conv2D(4, 5, name="valid3")(x)))


def test_too_large_for_the_memory_is_said_before(request_, monkeypatch):
    free = psutil.virtual_memory()._replace(available=1000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with pytest.raises(UserError, match="choose a smaller size"):
        list(dream.run(request_))


def test_the_gradients_scales_have_equal_shares():
    """Of a gradient that is nearly all hatching, what comes out is half coarse."""
    rng = np.random.default_rng(0)
    coarse = np.kron(rng.normal(size=(1, 4, 4, 3)), np.ones((1, 16, 16, 1))).astype(np.float32)
    hatching = np.indices((64, 64)).sum(axis=0)[None, :, :, None] % 2 * 200 - 100.0
    direction = dream._all_scales(tf.constant(coarse + hatching, tf.float32)).numpy()
    assert np.abs(direction).mean() == pytest.approx(1, rel=1e-3)
    assert np.corrcoef(direction.ravel(), coarse.ravel())[0, 1] > 0.5
    assert np.abs(dream._all_scales(tf.zeros([1, 8, 8, 3]))).max() == 0
