"""Every page and every control, without a browser."""

from __future__ import annotations

import io
import json
import re
import zipfile

import numpy as np
import pytest
from PIL import Image


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


def zip_of(classes: dict[str, tuple[int, int, int]], photos: int = 6, **others: bytes) -> bytes:
    rng = np.random.default_rng(0)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, colour in classes.items():
            for i in range(photos):
                noise = rng.integers(-40, 40, (64, 64, 3))
                archive.writestr(f"{name}/{i}.png", png(np.clip(colour + noise, 0, 255).astype(np.uint8)))
        for name, data in others.items():
            archive.writestr(name, data)
    return file.getvalue()


COLOURS = {"red": (200, 40, 40), "green": (40, 180, 40)}


def test_chess_pieces_are_ready_to_train(app):
    page = app("transfer_trainer")
    assert "360 photos in 6 classes" in page.words()
    assert "knight" in page.words()


def test_a_zip_is_trained_on_and_its_network_listed(app):
    page = app("transfer_trainer", data="zip", epochs=2, size=96)
    assert "one ZIP" in page.words()
    data = zip_of(COLOURS, **{"red/broken.jpg": b"no picture"})
    page.widget("file_uploader", "trainer.zip").upload("mine.zip", data, "application/zip")
    page.run()
    assert "12 photos in 2 classes" in page.words()
    page.widget("button", "trainer.start").click()
    page.run()
    assert "What it has learned" in page.words()
    assert page.figure("curves") and page.figure("confusion")
    explorer = app("activation_explorer")
    assert any("red" in option and "★" in option for option in explorer.widget("selectbox", "explorer.model").options)


def test_a_bad_zip_is_refused_in_one_sentence(app):
    page = app("transfer_trainer", data="zip")
    page.widget("file_uploader", "trainer.zip").upload("mine.zip", b"PK\x03\x04 nothing", "application/zip")
    page.run()
    assert len(page.at.error) == 1


def test_a_run_that_this_server_does_not_know_is_said_so(app):
    page = app("transfer_trainer", run="0123456789")
    assert "not on this machine any more" in page.words()
