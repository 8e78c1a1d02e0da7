"""The command line on networks that read text."""

import csv
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.core import made_up_language as language
from tests.core.tiny import tiny_model

TURNED = "la te nu solu kor"


@pytest.fixture
def core(core):
    """The same with a list of lines: (exit status, lines of stdout, stderr)."""

    def run(*arguments):
        status, out, err = core(*arguments)
        return status, out.splitlines(), err

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def windows(folder):
    model = language.convolutional()
    return model, language.saved(model, folder)


@pytest.fixture(scope="module")
def numbers(folder):
    """A network of numbers without anything beside it."""
    model = language.of_numbers()
    path = folder / "alone.keras"
    model.save(path)
    return model, path


def test_predict_says_what_the_network_does(core, windows):
    model, path = windows
    status, lines, _ = core("predict", "--model", path, "--text", TURNED, "--json")
    wanted = np.array(model(tf.constant([[TURNED]])))[0]
    found = {row["name"]: row["probability"] for row in json.loads("\n".join(lines))}
    assert status == 0
    assert [found[name] for name in language.CLASSES] == pytest.approx(list(wanted), abs=1e-5)
    status, lines, _ = core("predict", "--model", path, "--text", TURNED, "--top", 1)
    assert len(lines) == 1 and lines[0].endswith(f"{language.CLASSES[wanted.argmax()]} ({wanted.argmax()})")


def test_activations_come_with_the_words(core, windows, tmp_path):
    model, path = windows
    out = tmp_path / "out"
    status, lines, _ = core("activations", "--model", path, "--text", TURNED, "--layer", "windows", "--out", out)
    assert status == 0 and lines == [str(out / f"windows{suffix}") for suffix in (".npz", ".csv", ".png")]
    with np.load(lines[0]) as found:
        until = keras.Sequential(model.layers[:3])
        np.testing.assert_allclose(found["activations"], until(tf.constant([[TURNED]]))[0], atol=1e-6)
        assert list(found["words"]) == [*TURNED.split(), *[""] * 5]
        assert found["steps"].tolist()[:2] == [[0, 2], [0, 3]]
    with Path(lines[1]).open(encoding="utf-8-sig", newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["words", *(f"unit {unit}" for unit in range(24))]
    assert [row[0] for row in rows] == ["la te", "la … nu", "te … solu", "nu … kor", "solu kor", "kor"]
    width, height = Image.open(lines[2]).size
    assert width > 24 * 26 and height == 6 * 26 + 2 * 26 + 8


def test_a_vector_is_saved_unit_by_unit(core, windows, tmp_path):
    _, path = windows
    status, lines, _ = core("activations", "--model", path, "--text", "", "--layer", "pool", "--out", tmp_path)
    assert status == 0 and len(lines) == 3
    with Path(lines[1]).open(encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.reader(file))) == 25
    status, lines, _ = core("activations", "--model", path, "--text", "", "--layer", "windows", "--out", tmp_path)
    assert status == 0 and len(lines) == 3  # of padding alone


def test_why_says_each_word_with_its_numbers(core, windows, tmp_path):
    _, path = windows
    status, lines, _ = core("why", "--model", path, "--text", "nu solu fox", "--class", 0, "--out", tmp_path)
    assert status == 0 and lines[0].startswith("sad (0): ")
    assert [line.split("  ")[0].strip() for line in lines[2:5]] == ["nu", "solu", "fox (not known)"]
    assert lines[5] == str(tmp_path / "why_text_0.csv")
    with Path(lines[5]).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert [row[0] for row in rows] == ["nu", "solu", "fox"]
    for line, row in zip(lines[2:5], rows, strict=True):
        without, gradient = (float(number) for number in line.split()[-2:])
        assert (gradient, without) == pytest.approx((float(row[3]), float(row[4])), abs=6e-4)
    status, lines, _ = core("why", "--model", path, "--text", "nu solu fox")
    assert status == 0 and len(lines) == 5  # no folder is needed


@pytest.mark.parametrize("padding", ["before", "after"])
def test_a_vocabulary_and_where_to_fill_up_are_said(core, numbers, tmp_path, padding):
    model, path = numbers
    words = tmp_path / "words.json"
    words.write_text(json.dumps(language.word_index()))
    known = [language.word_index()[word] for word in TURNED.split()]
    filled = [*[0] * 5, *known] if padding == "before" else [*known, *[0] * 5]
    wanted = np.array(keras.ops.softmax(model(np.array([filled]))))[0]
    given = ("--vocabulary", words, "--padding", padding)
    status, lines, _ = core("predict", "--model", path, "--text", TURNED, "--json", *given)
    found = {row["index"]: row["probability"] for row in json.loads("\n".join(lines))}
    assert status == 0
    assert [found[index] for index in range(3)] == pytest.approx(list(wanted), abs=1e-5)


def test_what_is_left_out_is_said(core, windows):
    status, _, said = core("predict", "--model", windows[1], "--text", "la " * 3000)
    assert status == 0
    assert "Only the first 5,000 of the text's 9,000 characters are read." in said
    assert "The network takes 10 tokens; the last 1,657 of the text are left out." in said


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("predict", "--image", "cat"), "reads text, not photos: give it a text with --text"),
        (("why", "--image", "cat", "--out", "OUT"), "reads text, not photos"),
        (("activations", "--image", "cat", "--layer", "windows", "--out", "OUT"), "reads text, not photos"),
        (("why", "--text", "la", "--layer", "windows"), "--layer is for photos"),
        (("why", "--text", "la", "--class", "7"), "there is no class 7"),
        (("activations", "--text", "la", "--layer", "window", "--out", "OUT"), "Did you mean windows?"),
        (("predict", "--text", "la", "--image", "cat"), "not allowed with"),
        (("predict",), "--image --text is required"),
        (("predict", "--text", "la", "--vocabulary", "nowhere.txt"), "nowhere.txt cannot be read as words"),
        (("predict", "--text", "la", "--padding", "around"), "invalid choice"),
        (("dream", "--image", "cat", "--out", "OUT"), "reads text"),
        (("mosaic", "--layer", "windows", "--out", "OUT"), "reads text"),
    ],
)
def test_what_does_not_go_is_one_sentence(core, windows, tmp_path, command, words):
    name, *rest = [str(tmp_path) if word == "OUT" else word for word in command]
    status, lines, said = core(name, "--model", windows[1], *rest)
    assert status == 2 and lines == []
    assert words in said.splitlines()[-1]


def test_nothing_is_said_of_photos_where_there_are_none(core, windows):
    status, lines, _ = core("layers", "--model", windows[1])
    assert status == 0 and lines[0].split() == ["name", "type", "output_shape", "parameters"]
    status, lines, _ = core("check", windows[1])
    assert status == 0 and "for text, 3 named classes." in lines[0] and "pixels" not in lines[0]


def test_a_network_for_photos_takes_no_text(core, folder):
    tiny_model().save(folder / "tiny.keras")
    status, _, said = core("predict", "--model", folder / "tiny.keras", "--text", "la")
    assert status == 2 and "tiny.keras reads photos, not text: give it a photo with --image" in said


def test_words_cannot_be_written_as_numbers(core, numbers):
    status, _, said = core("predict", "--model", numbers[1], "--text", "la te")
    assert status == 2 and "write numbers such as 12 7 3 instead of la" in said
    status, lines, _ = core("predict", "--model", numbers[1], "--text", "12 7 3")
    assert status == 0 and len(lines) == 3
