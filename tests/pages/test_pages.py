"""Every page and every control, without a browser."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from core import images
from core.messages import Photo
from pages.shared.resources import picture_of


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def spec(figure) -> dict:
    return json.loads(figure.proto.spec)


# --- Welcome and navigation ------------------------------------------------------------------------------------------


def test_welcome_leads_to_every_page(app):
    page = app("welcome")
    assert "See what a network has learned" in page.words()
    assert page.at.title[0].value == "See what a network has learned"


# --- Activation Explorer ---------------------------------------------------------------------------------------------


def test_the_explorer_is_never_empty(app):
    page = app("activation_explorer")
    assert "cat" in page.words().lower()
    assert spec(page.figure("grid"))["data"][0]["type"] == "heatmap"
    assert re.search(r"Channel \d+\n", page.words())


def test_a_deep_link_chooses_photo_layer_and_channel(app):
    page = app("activation_explorer", photo="coffee", layer="block6_add", channel=70, page=2)
    assert "espresso" in page.words()
    assert page.widget("selectbox", "explorer.layer").value == "block6_add"
    assert "Channel 70\n" in page.words()


def test_a_deep_link_with_nonsense_is_dropped(app):
    page = app("activation_explorer", photo="unicorn", layer="nope", channel="x", page=99, model="unknown")
    assert page.widget("selectbox", "explorer.photo").value == "cat"
    assert page.widget("selectbox", "explorer.model").value == "efficientnet_lite0"
    assert re.search(r"Channel \d+\n", page.words())


def test_every_kind_of_layer_is_shown(app):
    page = app("activation_explorer", layer="stem_conv")
    for layer in ("block15_project_conv", "pool", "predictions"):
        page.widget("selectbox", "explorer.layer").set_value(layer)
        page.run()
    assert "285: Egyptian cat" in page.words()
    assert page.figure("units")


def test_the_blend_changes_the_picture_only(app):
    page = app("activation_explorer")
    page.widget("slider", "explorer.blend").set_value(20)
    page.run()
    assert spec(page.figure("large"))["data"][0]["opacity"] == pytest.approx(0.2)


def test_random_weights_are_labelled(app):
    page = app("activation_explorer", weights="random")
    assert "random (untrained)" in page.words().replace("\\", "")
    assert "untrained" in page.words()


def test_a_persons_photo_is_shown_and_a_bad_one_refused_in_one_sentence(app):
    page = app("activation_explorer", source="upload")
    page.widget("file_uploader", "explorer.photo_file").upload(
        "red.png", png(np.full((90, 120, 3), (200, 20, 30), np.uint8)), "image/png"
    )
    page.run()
    assert not page.at.error
    page.widget("file_uploader", "explorer.photo_file").set_value(None)
    page.widget("file_uploader", "explorer.photo_file").upload("![x](https:evil).png", b"not a picture", "image/png")
    page.run()
    assert len(page.at.error) == 1
    assert "![x](https:evil)" not in page.at.error[0].value  # escaped, so that no browser fetches it
    assert page.figure("grid")


def test_a_model_that_is_not_here_says_what_to_do(app):
    page = app("activation_explorer", model="vgg16")
    assert "vgg16_weights_tf_dim_ordering_tf_kernels.h5" in page.at.error[0].value.replace("\\", "")
    assert not page.at.exception


# --- Transfer Learning Trainer ---------------------------------------------------------------------------------------


def test_a_small_photo_is_shown_in_squares():
    pixels = np.random.default_rng(0).integers(0, 256, (28, 20, 3), np.uint8)
    shown = images.decode(picture_of(Photo.of(pixels)))
    times = shown.shape[0] // 28
    assert times >= 10 and shown.shape == (28 * times, 20 * times, 3)
    middle = slice(times // 2, None, times)
    np.testing.assert_allclose(shown[middle, middle].astype(int), pixels, atol=40)  # WebP has fewer colours
