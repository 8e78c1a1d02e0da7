"""The Transfer Learning Trainer's page: from photos to a trained network."""

from __future__ import annotations

import shutil

import pytest

from core import storage
from tests.zips import zip_of

COLOURS = {"red": (200, 40, 40), "green": (40, 180, 40)}


def test_chess_pieces_are_ready_to_train(app):
    page = app("transfer_trainer")
    assert "360 photos in 6 classes" in page.words()
    assert "knight" in page.words()


@pytest.mark.slow
def test_chess_pieces_are_drawn_where_there_are_none(app):
    shutil.rmtree(storage.folder("samples"))
    page = app("transfer_trainer")
    assert "360 photos in 6 classes" in page.words()


def test_a_zip_is_trained_on_and_its_network_listed(app):
    page = app("transfer_trainer", data="zip", epochs=2, size=96)
    assert "one ZIP" in page.words()
    data = zip_of(COLOURS, **{"red/broken.jpg": b"no picture"})
    page.widget("file_uploader", "trainer.zip").upload("mine.zip", data, "application/zip")
    page.run()
    assert "12 photos in 2 classes" in page.words()
    page.widget("button", "trainer.start").click()
    page.run()
    assert page.figure("curves")
    page.widget("button", "trainer.to results").click()
    page.run()
    assert page.figure("confusion")
    explorer = app("activation_explorer")
    assert any("red" in option and "★" in option for option in explorer.widget("selectbox", "explorer.model").options)


def test_a_bad_zip_is_refused_in_one_sentence(app):
    page = app("transfer_trainer", data="zip")
    page.widget("file_uploader", "trainer.zip").upload("mine.zip", b"PK\x03\x04 nothing", "application/zip")
    page.run()
    assert len(page.at.error) == 1


def test_a_run_that_this_server_does_not_know_is_said_so(app):
    for view, words in (("training", "not on this machine any more"), ("results", "no trained network to show")):
        page = app("transfer_trainer", run="../../etc", view=view)
        assert words in page.words()
