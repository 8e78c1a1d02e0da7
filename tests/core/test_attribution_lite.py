"""Why, with the embedded network and the photographs: as others compute it, and put to the test by hiding."""

import functools

import keras
import numpy as np
import pytest

from core import images as pictures
from core import samples
from core.attribution import attribute
from core.attribution.network import Network
from core.attribution_choices import METHODS
from core.backbones import efficientnet_lite, loading
from tests.core.test_attribution import check_against_peers, check_pixels_against_peer, last

PHOTOS = {"cat": 282, "coffee": 967, "motorcycle": 665, "daisy": 985}  # tiger cat, espresso, moped, daisy

pytestmark = pytest.mark.slow


def seen(name: str) -> np.ndarray:
    return pictures.fit(samples.photograph(name).pixels, (224, 224))


@functools.cache
def lite():
    return loading.load("efficientnet_lite0")


@pytest.fixture
def plain_model():
    model = efficientnet_lite.build("imagenet", input_shape=(224, 224, 3), include_top=True)
    model.layers[-1].activation = keras.activations.linear
    return model


@pytest.mark.parametrize("layer", ["block10_expand_activation", "head_activation"])
def test_class_activation_maps_are_those_of_tf_keras_vis(plain_model, layer, monkeypatch):
    image = lite().preprocessing(seen("motorcycle")[None])
    assert len(check_against_peers(lite(), plain_model, image, 665, layer, monkeypatch)) == 4


def test_gradients_are_those_of_tf_keras_vis(plain_model, monkeypatch):
    image = lite().preprocessing(seen("coffee")[None])
    # Where a value lies within rounding of a ReLU's corner the slope of that pixel is another.
    check_pixels_against_peer(lite(), plain_model, image, 967, monkeypatch, 0.05)


@pytest.mark.parametrize("name", PHOTOS)
def test_integrated_gradients_add_up_to_what_the_score_gained(name):
    found = last(attribute(lite(), seen(name), "integrated", PHOTOS[name]))
    image = lite().preprocessing(seen(name)[None])
    base = np.broadcast_to(image.mean(axis=(1, 2), keepdims=True), image.shape)
    scores = Network(lite()).logits(np.concatenate([image, base]))[:, PHOTOS[name]]
    assert found.heat.sum() == pytest.approx(scores[0] - scores[1], rel=0.06)


# The plain gradient is left out: it fails this test on three photos of four, and its words on the page say so.
@pytest.mark.parametrize("method", [method for method in METHODS if method != "saliency"])
def test_hiding_what_the_map_calls_important_hurts_more_than_hiding_at_random(method):
    """At random places as much is hidden, in the same shape: a network minds many holes more than one large one."""
    network, margins = Network(lite()), []
    for name, target in PHOTOS.items():
        photo = seen(name)
        heat = last(attribute(lite(), photo, method, target)).heat
        important = heat >= np.quantile(heat, 0.8)
        assert 0.15 < important.mean() < 0.25
        rng = np.random.default_rng(0)
        masks = [important, *(np.roll(important, rng.integers(0, 224, 2), axis=(0, 1)) for _ in range(16))]
        images = np.stack([np.where(mask[..., None], photo.mean((0, 1)), photo) for mask in masks])
        scores = network.logits(lite().preprocessing(images))[:, target]
        margins.append(scores[1:].mean() - scores[0])
    # SmoothGrad says what the score answers to, not what it was built from: for one photo chance may be as good.
    assert np.mean(margins) > 0 if method == "smoothgrad" else min(margins) > 0, margins


def test_the_heat_is_on_the_motorcycle_and_not_on_the_wall():
    for method in set(METHODS) - {"saliency"}:  # the plain gradient is spread over all of the photo
        heat = np.maximum(last(attribute(lite(), seen("motorcycle"), method, 665)).heat, 0)
        assert heat[80:200].sum() / heat.sum() > 120 / 224, method
