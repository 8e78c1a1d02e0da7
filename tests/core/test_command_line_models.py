"""The command line on a person's own networks: what must be said of them, and what comes out."""

import json

import keras
import numpy as np
import pytest
from keras import layers as L

from core import images, samples
from core.__main__ import channels_picture


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A network that fixes its size and says neither what its pixels should be nor what its classes are called."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((20, 20, 3))
    x = L.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    path = tmp_path_factory.mktemp("models") / "plain.keras"
    keras.Model(inputs, L.Dense(3, activation="softmax", name="classes")(L.Flatten()(x))).save(path)
    return path


def expected(path, scale):
    pixels = images.fit(samples.photograph("cat").pixels, (20, 20)).astype(np.float32) / scale
    return np.asarray(keras.models.load_model(path)(pixels[None], training=False))[0]


def probabilities(out):
    return {row["name"]: row["probability"] for row in json.loads(out)}


@pytest.mark.parametrize(("key", "scale"), [("unit", 255.0), ("none", 1.0)])
def test_the_pixels_are_what_is_said_and_the_names_are_used(core, plain, tmp_path, key, scale):
    names = tmp_path / "names.txt"
    names.write_text("red\ngreen\nblue\n")
    status, out, _ = core(
        *("predict", "--model", plain, "--image", "cat", "--json", "--preprocessing", key, "--class-names", names)
    )
    assert status == 0
    found = probabilities(out)
    np.testing.assert_allclose([found[name] for name in ("red", "green", "blue")], expected(plain, scale), atol=1e-5)


def test_what_is_guessed_is_said_where_it_counts_and_how_to_say_it(core, plain, tmp_path):
    _, _, said = core("predict", "--model", plain, "--image", "cat")
    assert "Its pixels are scaled to 0 … 1 (a guess" in said and "--preprocessing" in said and "--class-names" in said
    _, _, said = core("activations", "--model", plain, "--image", "cat", "--layer", "conv", "--out", tmp_path)
    assert "--preprocessing" in said and "--class-names" not in said
    answers = ("--preprocessing", "unit", "--class-names", tmp_path / "names.txt")
    (tmp_path / "names.txt").write_text("red\ngreen\nblue\n")
    _, _, said = core("predict", "--model", plain, "--image", "cat", *answers)
    assert "--preprocessing" not in said and "--class-names" not in said


def test_names_beside_the_file_are_found(core, plain):
    beside = plain.with_name("class_names.txt")
    beside.write_text("0,ape\n1,bee\n2,cat\n")
    try:
        _, out, _ = core("predict", "--model", plain, "--image", "cat", "--json")
    finally:
        beside.unlink()
    assert set(probabilities(out)) == {"ape", "bee", "cat"}


def test_layers_at_another_size_are_those_of_the_convolutions(core, plain, tmp_path):
    _, out, err = core("layers", "--model", plain, "--json", "--photo-size", "40x30")
    shapes = {layer["name"]: layer["output_shape"] for layer in json.loads(out)}
    assert shapes["conv"] == [38, 28, 4]
    assert "classes" not in shapes
    assert "20 × 20" in err
    status, out, _ = core(
        *("activations", "--model", plain, "--image", "cat", "--layer", "conv", "--photo-size", 40, "--out", tmp_path)
    )
    assert status == 0
    assert np.load(tmp_path / "conv.npz")["activations"].shape == (38, 38, 4)


def test_what_is_wrong_is_said_in_a_sentence(core, plain, tmp_path):
    for arguments, words in (
        (("--preprocessing", "loud"), "must be one of"),
        (("--class-names", tmp_path / "none.txt"), "none.txt cannot be read"),
        (("--output", "nowhere"), "nowhere"),
        (("--bands", "1,2"), "three numbers"),
        (("--photo-size", "big"), "must be like 128"),
    ):
        status, out, err = core("predict", "--model", plain, "--image", "cat", *arguments)
        last = err.strip().splitlines()[-1]
        assert (status, out) == (2, "")
        assert words in last
    status, _, err = core("predict", "--model", "efficientnet_lite0", "--image", "cat", "--bands", "0,1,2")
    assert (status, err.strip()) == (2, "--bands is for a model file; efficientnet_lite0 says it itself.")


def test_answers_of_any_rank_are_drawn():
    rng = np.random.default_rng(0)
    assert channels_picture(rng.normal(size=(5, 7))).shape == (5 * 5, 7 * 5, 3)  # enlarged to 32 at least
    drawn = channels_picture(rng.normal(size=(3, 32, 32, 2)))
    assert drawn.shape == (2 * 32 + 2, 3 * 32 + 2 * 2, 3)  # a row of slices for each channel
