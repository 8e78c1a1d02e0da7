"""Results: a new photo for the trained network."""

from __future__ import annotations

import json

import numpy as np

from tests.zips import png

RED = png(np.clip(np.random.default_rng(5).normal((200, 40, 40), 20, (64, 64, 3)), 0, 255).astype(np.uint8))


def test_a_sample_is_none_of_these_and_an_upload_is(app, trained):
    page = app("transfer_trainer", view="results", part="try", run=trained, photo="coffee")
    assert "This is none of these, probably." in page.at.warning[0].value
    assert "It lets through" in page.words()
    said = json.loads(page.figure("said").proto.spec)["data"][0]
    assert sorted(said["customdata"]) == ["green", "red"]
    assert len(json.loads(page.figure("distances").proto.spec)["data"]) == 3
    assert len(page.at.get("image")) == 1 + 6  # the photo, and those most like it

    page.widget("segmented_control", "trainer.source").set_value("upload")
    page.run()
    page.widget("file_uploader", "trainer.photo_file").upload("mine.png", RED, "image/png")
    page.run()
    assert not page.at.warning and "red" in page.at.success[0].value

    page.widget("toggle", "trainer.look").set_value(False)
    page.run()
    assert page.at.query_params["look"] == "False"

    page.widget("file_uploader", "trainer.photo_file").upload("mine.png", b"MZ no picture", "image/png")
    page.run()
    assert len(page.at.error) == 1


def test_the_threshold_is_in_the_link_and_moves_what_passes(app, trained):
    page = app("transfer_trainer", view="results", part="try", run=trained, photo="cat")
    slider = page.widget("slider", "trainer.limit")
    jobs = len(page.engine.jobs())
    slider.set_value(slider.max)
    page.run()
    assert page.at.success and "and **14 of 14** photos" in page.words()
    assert len(page.engine.jobs()) == jobs  # nothing is computed anew
    assert page.at.query_params["limit"] == f"{slider.max:.2f}"
    page.widget("slider", "trainer.limit").set_value(slider.min)
    page.run()
    assert page.at.warning and "**0 of 4** validation photos" in page.words()
