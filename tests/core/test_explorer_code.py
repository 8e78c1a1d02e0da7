import ast
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from core import activations, images, samples
from core.backbones import loading
from core.errors import UserError
from core.explorer_code import activations_code, stem_of
from core.messages import ActivationsRequest, ModelRef, Photo
from tests.core.tiny import nested_model, tiny_model

LITE = ModelRef("efficientnet_lite0")


def run_here(code: str, monkeypatch) -> None:
    """Run the script in this process, as if it had been started without arguments."""
    monkeypatch.setattr(sys, "argv", ["script.py"])
    exec(compile(code, "script.py", "exec"), {"__name__": "__main__"})


def code_for(ref: ModelRef, layer: str) -> str:
    return activations_code(ref, layer, loading.load(ref).info())


def saved_by_both(ref: ModelRef, layer: str, photo: Photo, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    theirs = np.load(folder / f"{stem_of(layer)}.npz")
    ours = activations.infer(ActivationsRequest(ref, photo, (layer,)))
    np.testing.assert_array_equal(theirs["seen"], ours.seen)
    return theirs["values"], ours.values[layer]


@pytest.fixture
def photo(tmp_path, monkeypatch) -> Photo:
    """A photo of another shape than the networks' inputs, as `photo.png` in the folder where the script runs."""
    monkeypatch.chdir(tmp_path)
    pixels = images.resize(samples.photograph("cat").pixels, (90, 131))
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return Photo.of(pixels)


@pytest.mark.parametrize("layer", ["inner/inner_conv", "inner/inner_bn", "rescale", "outer_predictions"])
def test_models_within_a_persons_model_are_opened(layer, photo, tmp_path, monkeypatch):
    nested_model().save("mine.keras")
    ref = ModelRef(str(tmp_path / "mine.keras"))
    code = code_for(ref, layer)
    assert str(tmp_path) not in code
    run_here(code, monkeypatch)
    np.testing.assert_allclose(*saved_by_both(ref, layer, photo, tmp_path), rtol=1e-4, atol=1e-4)
    assert Image.open(f"{stem_of(layer)}.png").size[0] > 10


def test_a_layers_second_call_is_found(photo, tmp_path, monkeypatch):
    inputs = keras.Input((24, 32, 3))
    twice = keras.layers.Conv2D(3, 3, padding="same", activation="tanh", name="twice")
    keras.Model(inputs, twice(twice(inputs))).save("mine.keras")
    ref = ModelRef(str(tmp_path / "mine.keras"))
    run_here(code_for(ref, "twice:2"), monkeypatch)
    theirs, ours = saved_by_both(ref, "twice:2", photo, tmp_path)
    assert ours.shape == (24, 32, 3)
    np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("preprocessing", ["caffe", "none", "torch"])
def test_pixels_are_prepared_as_here(preprocessing, photo, tmp_path, monkeypatch):
    tiny_model().save("mine.keras")
    ref = ModelRef(str(tmp_path / "mine.keras"), preprocessing=preprocessing)
    run_here(code_for(ref, "conv1"), monkeypatch)
    theirs, ours = saved_by_both(ref, "conv1", photo, tmp_path)
    np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-3)
    plain = activations.infer(ActivationsRequest(ModelRef(ref.name), photo, ("conv1",))).values["conv1"]
    assert np.abs(theirs - plain).max() > 1


def test_the_picture_has_the_colours_of_the_page(photo, tmp_path, monkeypatch):
    tiny_model().save("mine.keras")
    ref = ModelRef(str(tmp_path / "mine.keras"))
    run_here(code_for(ref, "conv1"), monkeypatch)
    values = np.load("activations_of_conv1.npz")["values"]
    drawn = np.asarray(Image.open("activations_of_conv1.png")).astype(int)
    assert values.min() >= 0
    expected = images.colourise(values[:, :, 0], 0, values.max())
    times = 64 // 24
    assert np.abs(drawn[: 24 * times : times, : 24 * times : times] - expected).max() <= 2


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["block5_project_bn", "predictions"])
def test_the_script_alone_gives_our_numbers(layer, photo, tmp_path):
    (tmp_path / "script.py").write_text(code_for(LITE, layer), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-I", "script.py", "photo.png"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    np.testing.assert_allclose(*saved_by_both(LITE, layer, photo, tmp_path), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("ref", [LITE, ModelRef("vgg16", None), ModelRef("mobilenetv2", None)])
def test_scripts_say_all_that_they_need_and_nothing_of_ours(ref):
    info = loading.load(LITE).info()
    code = activations_code(ref, "some/layer", info)
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).partition(".")[0]
        for node in ast.walk(ast.parse(code))
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    assert imported <= set(sys.stdlib_module_names) | {"keras", "tensorflow", "numpy", "PIL"}
    assert not re.search(r"\bcore\b|UserError|PREPROCESSING|requirements\.txt", code)
    assert max(map(len, code.splitlines())) <= 120
    assert ("BLUE_FIRST = True" in code) == (ref.name == "vgg16")


def test_names_cannot_smuggle_code_into_the_script():
    layer = 'x"""\nimport os\nos.abort()\n"""\\'
    code = activations_code(ModelRef(f"{layer}.keras"), layer, loading.load(LITE).info())
    tree = ast.parse(code)
    assert not any(name.name == "os" for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names)
    assert next(each.value.value for each in tree.body if isinstance(each, ast.Assign)) == layer
    assert re.fullmatch(r"[\w.\-]+", stem_of(layer))


def test_an_unknown_model_is_said():
    with pytest.raises(UserError, match="Did you mean"):
        activations_code(ModelRef("mobilenetv22"), "conv", loading.load(LITE).info())


def test_what_must_be_made_of_the_photo_is_a_fact_and_no_sentence(tmp_path):
    """Two outputs are worth a note, but the photo is taken as it is; grey is made of it; turned it runs nowhere."""

    def code_of(shape, **order):
        inputs = keras.Input(shape)
        conv = keras.layers.Conv2D(4, 3, name="conv", **order)(inputs)
        flat = keras.layers.Flatten()(conv)
        ref = ModelRef(str(tmp_path / f"{shape[0]}x{shape[-1]}.keras"))
        keras.Model(inputs, [keras.layers.Dense(2)(flat), keras.layers.Dense(3)(flat)]).save(ref.name)
        info = loading.load(ref).info()
        assert "2 outputs" in " ".join(info.notes)
        return activations_code(ref, "conv", replace(info, notes=()))

    assert "as_taken" not in code_of((16, 16, 3))
    assert "as_taken" in code_of((16, 16, 1))
    with pytest.raises(UserError, match="graphics cards only"):
        code_of((3, 16, 16), data_format="channels_first")
