"""A run that has ended, in forms for elsewhere."""

import os
import re
import zipfile
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from core import runs, storage
from core.errors import UserError
from core.messages import Progress
from core.transfer import datasets, exporting, forms, report, reporting
from core.transfer.finished import finished
from core.transfer.requests import ExportRequest
from tests.core.transfer.conftest import coloured, write
from tests.core.transfer.finished_runs import CONFIG, SIZE, written_run


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of three colours, with what its network said to the photos held back."""
    base = tmp_path_factory.mktemp("run")
    folder = written_run(base / "run", write(base / "colours", coloured()))
    splits = datasets.split(datasets.read(str(base / "colours"), SIZE), CONFIG.validation, CONFIG.seed)
    files = [splits.dataset.files[place] for place in splits.validation]
    labels = splits.dataset.labels[splits.validation]
    probabilities = np.full((len(files), 3), 0.1, np.float32)
    probabilities[np.arange(len(files)), (labels + (np.arange(len(files)) < 2)) % 3] = 0.8  # two wrong ones
    report.write_held_back(files, labels, probabilities, folder)
    confusion = report.confusion_matrix(labels, probabilities.argmax(axis=-1), 3)
    ended = replace(runs.read_report(folder), confusion=tuple(map(tuple, confusion.tolist())))
    report.write(ended, [], folder)
    return folder


def made(run: Path, form: str):
    *steps, last = exporting.run(forms.wanted(run, form))
    assert steps and all(isinstance(step, Progress) for step in steps)
    return last


def residue(run: Path) -> list[str]:
    return [path.name for path in run.iterdir() if path.name.startswith(".")]


def asked(run: Path) -> tuple[np.ndarray, np.ndarray]:
    """Other photos than those on which the forms are compared, and what the `.keras` file says to them."""
    photos = np.random.default_rng(5).integers(0, 256, (3, SIZE, SIZE, 3)).astype(np.float32)
    return photos, keras.models.load_model(run / runs.MODEL).predict(photos, verbose=0)


def test_a_saved_model_comes_as_a_zip_with_its_class_names_and_says_the_same(run, tmp_path):
    found = made(run, "savedmodel")
    assert forms.made(run, "savedmodel") == found
    assert re.search(r"for 6 validation photos it gives (exactly )?the same prob.*(to within 0\.0+\d)?\.$", found.words)
    with zipfile.ZipFile(found.path) as archive:
        archive.extractall(tmp_path)
    assert (tmp_path / "savedmodel" / "labels.txt").read_text().split() == ["blue", "green", "red"]
    photos, expected = asked(run)
    loaded = tf.saved_model.load(str(tmp_path / "savedmodel"))
    np.testing.assert_allclose(loaded.serve(photos).numpy(), expected, atol=1e-5)
    assert residue(run) == []


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_lite_says_the_same(run):
    found = made(run, "tflite")
    photos, expected = asked(run)
    runner = tf.lite.Interpreter(model_path=found.path).get_signature_runner()
    np.testing.assert_allclose(runner(pixels=photos)["output_0"], expected, atol=1e-5)
    assert residue(run) == []


class Pictures(HTMLParser):
    def __init__(self, text: str):
        super().__init__()
        self.sources = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.sources.append(dict(attributes)["src"])


def test_the_report_has_photos_of_each_class_and_each_mistake_twice(run):
    text = Path(made(run, "report").path).read_text(encoding="utf-8")
    pictures = Pictures(text).sources
    assert all(source.startswith("data:image/webp;base64,") for source in pictures)
    held_back = runs.read_held_back(run)
    each = sum(min(reporting.EACH_CLASS, int(np.sum(held_back.labels == label))) for label in range(3))
    assert len(pictures) == each + 2 * 2  # two mistakes, each with where the network looked
    assert "taken for" in text and "Grad-CAM" in text


def test_a_report_without_its_photos_says_so_and_has_the_numbers(run):
    config, held_back = runs.read_config(run), run / runs.HELD_BACK
    aside = Path(config.data).with_name("elsewhere")
    Path(config.data).rename(aside)
    try:
        text = Path(made(run, "report").path).read_text(encoding="utf-8")
    finally:
        aside.rename(config.data)
    assert "Some photos are missing here" in text and "How often it is right" in text
    assert held_back.is_file()


def test_what_was_made_of_an_earlier_state_of_the_run_is_made_again(run):
    made(run, "report")
    assert forms.made(run, "report") is not None
    os.utime(run / runs.REPORT, ns=(1, forms.wanted(run, "report").ended + 1_000_000))
    assert forms.made(run, "report") is None
    assert made(run, "report").words and forms.made(run, "report") is not None


@pytest.fixture
def tiny_way(run, monkeypatch):
    """A form that is written in no time; what it answers is the test's affair."""
    expected = {}

    def put(model, temporary, folder):
        expected["model"] = model
        (temporary / "file").write_bytes(b"network")
        return temporary / "file"

    def way(answer):
        monkeypatch.setitem(
            exporting._WAYS, "tflite", (put, lambda file: lambda photos: answer(np.asarray(expected["model"](photos))))
        )

    (run / "model.tflite").unlink(missing_ok=True)
    (run / "model.tflite.json").unlink(missing_ok=True)
    return way


@pytest.mark.parametrize("spoil", [lambda said: said[:, ::-1], lambda said: said * np.nan, lambda said: said[:, :2]])
def test_a_form_that_answers_otherwise_is_not_offered(run, tiny_way, spoil):
    tiny_way(spoil)
    with pytest.raises(UserError, match="gives other answers than before"):
        made(run, "tflite")
    assert forms.made(run, "tflite") is None and not (run / "model.tflite").exists() and residue(run) == []


def test_a_full_disk_is_said_and_leaves_nothing_behind(run, tiny_way, monkeypatch):
    tiny_way(lambda said: monkeypatch.setattr(storage, "free_bytes", lambda path: 3) or said)
    with pytest.raises(UserError, match=r"model\.tflite cannot be saved: the disk .* is full"):
        made(run, "tflite")
    with pytest.raises(UserError, match=r"no room on the disk: \d+ MB"):  # now before anything is begun
        made(run, "tflite")
    assert forms.made(run, "tflite") is None and not (run / "model.tflite").exists() and residue(run) == []


def test_whoever_stops_asking_leaves_nothing_behind(run, tiny_way):
    tiny_way(lambda said: said)
    steps = exporting.run(forms.wanted(run, "tflite"))
    while "Comparing" not in next(steps).words:
        pass
    steps.close()
    assert residue(run) == [] and forms.made(run, "tflite") is None


def test_without_its_photos_a_network_is_compared_on_noise(run, tiny_way):
    tiny_way(lambda said: said)
    photos, words = exporting.probes(run, (SIZE + 1, SIZE))
    assert photos.shape == (exporting.PROBES, SIZE + 1, SIZE, 3) and 90 < photos.mean() < 160
    assert "noise" in words


def test_what_cannot_be_made_is_said(run, tmp_path):
    with pytest.raises(UserError, match="no form named 'onnx'"):
        list(exporting.run(ExportRequest(str(run), "onnx")))
    with pytest.raises(UserError, match="no trained network"):
        list(exporting.run(ExportRequest(str(tmp_path), "tflite")))


@pytest.mark.parametrize(
    ("difference", "words"),
    [(2.1e-7, "0.0000003"), (3e-4, "0.0003"), (9.5e-4, "0.001"), (0.2, "0.2")],
)
def test_a_small_difference_in_words_is_never_too_small(difference, words):
    said = exporting.rounded_up(difference)
    assert float(said) == pytest.approx(float(words)) and float(said) >= difference and "e" not in said


def test_a_run_whose_photos_held_back_are_others_now_is_not_opened(tmp_path):
    photos = coloured()
    folder = written_run(tmp_path / "run", write(tmp_path / "colours", photos))
    splits = datasets.split(datasets.read(str(tmp_path / "colours"), SIZE), CONFIG.validation, CONFIG.seed)
    rows = splits.validation
    files, labels = [splits.dataset.files[row] for row in rows], splits.dataset.labels[rows]
    sure = np.eye(3, dtype=np.float32)[labels]
    report.write_held_back(files, labels, sure, folder)
    assert finished(folder).splits.validation.tolist() == rows.tolist()
    report.write_held_back(["another.png", *files[1:]], labels, sure, folder)
    report.write(runs.read_report(folder), [], folder)  # it ended anew
    with pytest.raises(UserError, match="have been changed"):
        finished(folder)
