"""Taking a trained network home, and to the other pages."""

from __future__ import annotations

import ast
import io
import zipfile
from dataclasses import replace

import pytest

from core import runs
from core.backbones.catalogue import CATALOGUE
from core.transfer.requests import ExportRequest
from pages.trainer import home_part
from tests.pages.conftest import ROOT, App


@pytest.fixture(scope="module")
def home(engine, trained):
    return App(engine, "transfer_trainer", data="zip", view="results", part="home", run=trained)


def offered(page) -> set[str]:
    return {each.key for each in page.at.get("download_button")}


def test_every_file_says_what_it_is_for(home):
    words = home.words()
    for title in ("Keras model", "Class names", "Curves as numbers", "Report", "TensorFlow SavedModel", "LiteRT"):
        assert f"**{title}" in words
    assert {"trainer.save keras", "trainer.save labels", "trainer.save history"} <= offered(home)
    assert not home.at.error


def test_a_report_is_made_when_it_is_asked_for_and_lies_ready_afterwards(home, trained):
    report = runs.find(trained).folder / "report.html"
    assert not report.exists()
    home.widget("button", "trainer.make report").click()
    home.run()
    home.run()
    assert report.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert "trainer.save report" in offered(home) and "trainer.make report" not in {b.key for b in home.at.button}
    assert "it fetches nothing" in home.words()


def test_what_cannot_be_made_is_said_and_can_be_tried_again(home, tmp_path, monkeypatch):
    monkeypatch.setattr(home_part.forms, "wanted", lambda run, form: ExportRequest(str(tmp_path), form))
    home.widget("button", "trainer.make tflite").click()
    home.run()
    assert "no trained network on this machine" in home.words()
    assert home.widget("button", "trainer.make tflite")


def test_a_network_whose_file_is_gone_is_said_to_be(home, trained, tmp_path):
    model, aside = runs.find(trained).folder / runs.MODEL, tmp_path / "model.keras"
    model.rename(aside)
    try:
        home.run()
        assert "no longer on this machine" in home.words() and not offered(home)
    finally:
        aside.rename(model)
    home.run()
    assert "trainer.save keras" in offered(home)


def test_code_for_each_form_and_for_the_whole_run(home):
    for way, word in (("savedmodel", "saved_model.load"), ("tflite", "Interpreter"), ("keras", "load_model")):
        home.widget("segmented_control", "trainer.code").set_value(way)
        home.run()
        (code,) = home.at.code
        ast.parse(code.value)
        assert word in code.value and "resize((96, 96))" in code.value
    home.widget("segmented_control", "trainer.code").set_value("again")
    home.run()
    (code,) = home.at.code
    ast.parse(code.value)
    assert 'CLASSES = ["green", "red"]' in code.value and "EPOCHS = 2" in code.value
    assert {"trainer.save code", "trainer.save photos"} <= offered(home)
    assert home.at.query_params["code"] in ("again", ["again"])


@pytest.mark.parametrize(
    ("button", "page", "values"),
    [
        ("to explorer", "explorer", {"view": "maps"}),
        ("to visualizer", "visualizer", {}),
        ("to weights", "explorer", {"view": "compare", "against": "weights", "others": ["imagenet", "random"]}),
    ],
)
def test_the_network_opens_on_the_other_pages(home, trained, monkeypatch, button, page, values):
    gone = []
    monkeypatch.setattr(home_part.links, "go", lambda file, page, **values: gone.append((file, page, values)))
    home.widget("button", f"trainer.{button}").click()
    home.run()
    ((file, where, chosen),) = gone
    assert (ROOT / file).is_file() and where == page and page in file
    assert chosen == {"model": str(runs.find(trained).folder / runs.MODEL), **values}


def test_its_layers_stand_beside_those_of_imagenet_and_untrained_ones(app, trained):
    """Those of the nested backbone carry its name, and the plain one's do not."""
    link = {"view": "compare", "against": "weights", "others": "imagenet,random"}
    page = app("activation_explorer", model=trained, layer="efficientnet_lite0/block5_project_bn", **link)
    assert page.widget("multiselect", "explorer.others").value == ["imagenet", "random"]
    assert page.widget("selectbox", "explorer.layer").value == "efficientnet_lite0/block5_project_bn"
    assert not [each for each in page.at.info if "has no layer" in each.value]
    assert page.figure("compared").proto.spec.count('"ImageNet"') and not page.at.error


def test_a_fine_tuned_network_opens_at_the_first_block_that_changed(trained, monkeypatch):
    run = runs.find(trained)
    assert home_part.changed_layer(run) is None

    class Layer:
        def __init__(self, name, type, spatial=True):
            self.name, self.type, self.is_spatial = name, type, spatial

    layers = [
        Layer("pixels", "InputLayer"),
        *(Layer(f"net/{place}", "Add" if place % 4 == 3 else "ReLU") for place in range(20)),
    ]
    layers.append(Layer("predictions", "Dense", False))
    monkeypatch.setattr(home_part, "ask", lambda *_, **__: type("Info", (), {"layers": layers}))
    tuned = replace(run, config=replace(run.config, fine_tune_epochs=1, fine_tune_share=0.5))
    assert home_part.changed_layer(tuned) == "net/11"
    tuned = replace(run, config=replace(tuned.config, fine_tune_from="13"))
    assert home_part.changed_layer(tuned) == "net/15"
    tuned = replace(run, config=replace(tuned.config, fine_tune_share=0.01, fine_tune_from=None))
    assert home_part.changed_layer(tuned) == "net/19"


def test_a_network_of_a_persons_own_file_stands_beside_an_untrained_one_only(trained):
    run = runs.find(trained)
    assert home_part.others_of(run) == ["imagenet", "random"]
    ref = replace(run.config.backbone, name="/some/where/mine.keras")
    assert "mine" not in CATALOGUE
    assert home_part.others_of(replace(run, config=replace(run.config, backbone=ref))) == ["random"]


def test_the_chess_photos_are_packed_by_class(tmp_path, monkeypatch):
    for name in ("king/a.jpg", "pawn/b.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(name.encode())
    monkeypatch.setattr(home_part.samples, "chessman", lambda: tmp_path)
    with zipfile.ZipFile(io.BytesIO(home_part.chess_photos())) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "king/a.jpg": b"king/a.jpg",
            "pawn/b.jpg": b"pawn/b.jpg",
        }
