import ast
import io
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

from core.backbones import loading
from core.errors import UserError
from core.featurevis import mosaic
from core.featurevis.keras_code import METHODS, mosaic_code
from core.featurevis.recipes import RECIPES
from core.messages import ModelRef, RenderRequest
from tests.core.tiny import nested_model, tiny_model

LITE = RenderRequest(ModelRef("efficientnet_lite0"), "block5_project_bn", (0, 7), size=64, steps=2, precision="float32")
MOBILE = RenderRequest(ModelRef("mobilenetv2", None), "block_3_expand_relu", (3, 5), size=64, steps=2)


def run_alone(code: str, folder: Path) -> list[str]:
    """Run the script as a student would, in an empty folder, with nothing of ours to be found; the files it made."""
    script = folder / "script.py"
    script.write_text(code, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-I", script.name], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return sorted(path.name for path in folder.iterdir() if path != script)


def run_here(code: str) -> dict:
    """Run the script in this process; its names."""
    names = {"__name__": "__main__"}
    exec(compile(code, "script.py", "exec"), names)
    return names


def drawn_by_us(request) -> np.ndarray:
    *_, last = mosaic.run(request)
    return np.asarray(Image.open(io.BytesIO(last.png))).astype(int)


def picture(path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


# After more steps two pictures may differ: rounding puts some unit on the other side of a ReLU's bend, and that grows.
@pytest.mark.parametrize(
    "method", ["textbook", pytest.param("fast", marks=pytest.mark.slow), pytest.param("lucid", marks=pytest.mark.slow)]
)
def test_the_script_alone_draws_our_picture(method, tmp_path):
    request = replace(LITE, method=method)
    assert run_alone(mosaic_code(request), tmp_path) == ["filters_for_layer_block5_project_bn.png"]
    theirs, ours = picture(tmp_path / "filters_for_layer_block5_project_bn.png"), drawn_by_us(request)
    assert theirs.shape == ours.shape
    assert theirs.std() > 10
    assert np.abs(theirs - ours).mean() < 0.2


@pytest.mark.slow
def test_the_script_of_an_untrained_network_runs_alone(tmp_path):
    assert run_alone(mosaic_code(MOBILE), tmp_path) == ["filters_for_layer_block_3_expand_relu.png"]
    drawn = picture(tmp_path / "filters_for_layer_block_3_expand_relu.png")
    assert drawn.shape == (48, 48 + 5 + 48, 3)
    assert drawn[:, :48].std() > 10 and drawn[:, 53:].std() > 10


@pytest.mark.parametrize("method", METHODS)
def test_scripts_say_all_that_they_need_and_nothing_of_ours(method):
    for request in (replace(LITE, method=method), replace(MOBILE, method=method, steps=None)):
        code = mosaic_code(request)
        imported = {
            (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).partition(".")[0]
            for node in ast.walk(ast.parse(code))
            if isinstance(node, (ast.Import, ast.ImportFrom))
        }
        assert imported <= set(sys.stdlib_module_names) | {"keras", "tensorflow", "numpy", "PIL"}
        assert not re.search(r"\bcore\b|UserError|PREPROCESSING|requirements\.txt", code)
        assert max(map(len, code.splitlines())) <= 120


@pytest.mark.parametrize("method", METHODS)
def test_the_numbers_are_the_methods_own_unless_others_are_asked_for(method):
    code = mosaic_code(replace(MOBILE, method=method, steps=None, learning_rate=None))
    if not RECIPES[method].steps_by_depth:
        assert f"STEPS = {RECIPES[method].steps}\n" in code
    assert "STEPS = 3\n" in mosaic_code(replace(MOBILE, method=method, steps=3))
    assert f"LEARNING_RATE = {RECIPES[method].learning_rate}\n" in code
    assert "LEARNING_RATE = 3.5\n" in mosaic_code(replace(MOBILE, method=method, learning_rate=3.5))


def test_keras_own_networks_are_built_as_the_catalogue_says():
    trained = replace(MOBILE, model=ModelRef("mobilenet_0.50_160"), filters=tuple(range(64)), method="lucid")
    code = mosaic_code(trained)
    assert 'keras.applications.MobileNet(weights="imagenet", input_shape=(160, 160, 3), alpha=0.5)' in code
    assert "FILTERS = range(0, 64)\n" in code
    assert "MEAN = (127.5, 127.5, 127.5)" in code
    assert "BLUE_FIRST = True" in mosaic_code(replace(trained, model=ModelRef("vgg16")))


@pytest.mark.parametrize("layer", ["inner/inner_bn", "rescale", "outer_predictions"])
def test_models_within_a_persons_model_are_opened(layer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nested_model().save("mine.keras")
    request = RenderRequest(
        ModelRef(str(tmp_path / "mine.keras")), layer, (0, 2), size=40, steps=2, precision="float32"
    )
    code = mosaic_code(request)
    assert str(tmp_path) not in code
    run_here(code)
    name = f"filters_for_layer_{layer.replace('/', '.')}.png"
    assert np.abs(picture(name) - drawn_by_us(request)).mean() < 0.2


def test_a_layers_second_call_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inputs = keras.Input((24, 24, 3))
    twice = keras.layers.Conv2D(3, 3, padding="same", activation="tanh", name="twice")
    keras.Model(inputs, twice(twice(inputs))).save("mine.keras")
    request = RenderRequest(ModelRef("mine.keras"), "twice:2", (0,), size=40, steps=2, precision="float32")
    run_here(mosaic_code(request))
    assert np.abs(picture("filters_for_layer_twice:2.png") - drawn_by_us(request)).mean() < 0.2


@pytest.mark.parametrize(("objective", "layer"), [("neuron", "conv2"), ("class", "predictions")])
@pytest.mark.parametrize("method", ["fast", "lucid"])
def test_other_objectives_and_the_files_own_preprocessing(objective, layer, method, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny_model().save("mine.keras")
    request = RenderRequest(
        ModelRef("mine.keras"), layer, (1,), method, 40, steps=2, precision="float32", objective=objective
    )
    run_here(mosaic_code(request, loading.load("mine.keras").info()))
    assert np.abs(picture(f"filters_for_layer_{layer}.png") - drawn_by_us(request)).mean() < 0.2


def test_names_cannot_smuggle_code_into_the_script():
    layer = 'x"""\nimport os\nos.abort()\n"""\\'
    code = mosaic_code(replace(MOBILE, model=ModelRef(f"{layer}.keras"), layer=layer))
    tree = ast.parse(code)
    assert not any(name.name == "os" for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names)
    assert next(each.value.value for each in tree.body if isinstance(each, ast.Assign)) == layer


def test_what_cannot_be_written_is_said():
    with pytest.raises(UserError, match="textbook, fast, lucid"):
        mosaic_code(replace(LITE, method="maco"))
    with pytest.raises(UserError, match="Did you mean"):
        mosaic_code(replace(LITE, model=ModelRef("mobilenetv22")))
