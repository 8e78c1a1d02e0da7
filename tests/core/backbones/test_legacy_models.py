"""Files that Keras 2 has written open and compute what they computed then; `legacy/make.py` made them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from core.backbones import allowed, imported, legacy_configs
from core.errors import UserError

FILES = sorted(path for path in (Path(__file__).parent / "legacy").iterdir() if path.suffix in (".keras", ".h5"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_of_keras_2_computes_what_it_did(path):
    known = np.load(path.with_name(path.stem.removesuffix("-v3") + ".npz"))
    model = imported.open_model(path).model
    found = np.asarray(model(known["given"], training=False))
    assert found.shape == known["expected"].shape
    np.testing.assert_allclose(found, known["expected"], rtol=1e-5, atol=1e-6)
    assert "GB" not in imported.inspect(path)


def test_they_are_true_ones_and_small():
    versions = set()
    for path in FILES:
        assert path.stat().st_size < 100_000
        if h5py.is_hdf5(path):
            with h5py.File(path) as file:
                versions.add(file.attrs["keras_version"])
                assert "batch_input_shape" in file.attrs["model_config"]
    assert versions == {"2.12.0", "2.15.0"}


def as_keras_231(config):
    """The same configuration as Keras 2.3.1 wrote it: another class, no input layer of its own."""
    layers = [layer for layer in config["config"]["layers"] if layer["class_name"] != "InputLayer"]
    return {"class_name": "Sequential", "config": {"name": "sequential_1", "layers": layers}}


@pytest.mark.parametrize("form", ["2.3.1", "2.2"])
def test_sequential_models_of_older_versions_open(tmp_path, form):
    """Made from a newer file after the older formats: before 2.2.3 the configuration was a bare list."""
    source = next(path for path in FILES if path.name == "keras212-sequential.h5")
    path = tmp_path / "old.h5"
    shutil.copy(source, path)
    with h5py.File(path, "r+") as file:
        config = as_keras_231(json.loads(file.attrs["model_config"]))
        if form == "2.2":
            config["config"] = config["config"]["layers"]
        file.attrs["model_config"] = json.dumps(config).encode()
        file.attrs["keras_version"] = form
    known = np.load(source.with_suffix(".npz"))
    found = np.asarray(imported.open_model(path).model(known["given"], training=False))
    np.testing.assert_allclose(found, known["expected"], rtol=1e-5, atol=1e-6)


def test_a_model_of_keras_23_with_its_class_named_model_and_slashes_in_its_names_opens(tmp_path):
    source = next(path for path in FILES if path.name == "keras212-functional.h5")
    path = tmp_path / "old.h5"
    shutil.copy(source, path)
    with h5py.File(path, "r+") as file:
        text = file.attrs["model_config"]
        assert text.count('"separable_conv2d"') == 3
        text = text.replace('"class_name": "Functional"', '"class_name": "Model"')
        file.attrs["model_config"] = text.replace('"separable_conv2d"', '"block/separable_conv2d"')
    known = np.load(source.with_suffix(".npz"))
    model = imported.open_model(path).model
    np.testing.assert_allclose(np.asarray(model(known["given"])), known["expected"], rtol=1e-5, atol=1e-6)
    assert model.get_layer("block_separable_conv2d")


def functional(function, *node):
    """A model of Keras 2 that is one function of TensorFlow; `node` is how it is called."""
    image = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 4, 4, 3], "dtype": "float32"}}
    return {
        "class_name": "Functional",
        "config": {
            "name": "model",
            "layers": [
                {**image, "config": {**image["config"], "name": "image"}, "name": "image", "inbound_nodes": []},
                {
                    "class_name": "TFOpLambda",
                    "config": {"name": "tf.f", "dtype": "float32", "function": function},
                    "name": "tf.f",
                    "inbound_nodes": [list(node)],
                },
            ],
            "input_layers": [["image", 0, 0]],
            "output_layers": [["tf.f", 0, 0]],
        },
    }


X = ["image", 0, 0]
FUNCTIONS = {
    "a number before": (functional("math.subtract", "_CONSTANT_VALUE", -1, 2.0, {"y": X}), lambda x: 2 - x),
    "itself twice": (functional("math.multiply", *X, {"y": X, "name": None}), lambda x: x * x),
    "a list of numbers": (functional("math.truediv", *X, {"y": [1.0, 2.0, 4.0]}), lambda x: x / [1, 2, 4]),
    "a power": (functional("math.pow", *X, {"y": 2.0}), lambda x: x**2),
    "a mean": (
        functional("math.reduce_mean", *X, {"axis": [1, 2], "keepdims": True}),
        lambda x: x.mean((1, 2), keepdims=True),
    ),
    "a sum": (functional("math.reduce_sum", *X, {"axis": -1}), lambda x: x.sum(-1)),
    "joined": (functional("concat", [*X, {"axis": -1}], [*X, {"axis": -1}]), lambda x: np.concatenate([x, x], -1)),
    "reshaped": (functional("reshape", *X, {"shape": [-1, 16, 3]}), lambda x: x.reshape(-1, 16, 3)),
    "transposed": (functional("transpose", *X, {"perm": [0, 2, 1, 3]}), lambda x: x.transpose(0, 2, 1, 3)),
    "clipped": (
        functional("clip_by_value", *X, {"clip_value_min": 0.2, "clip_value_max": 0.5}),
        lambda x: x.clip(0.2, 0.5),
    ),
    "relu": (functional("nn.relu", *X, {"name": None}), lambda x: np.maximum(x, 0)),
    "cast": (functional("cast", *X, {"dtype": "float32"}), lambda x: x),
    "normalised": (
        functional("math.l2_normalize", *X, {"axis": -1}),
        lambda x: x / np.sqrt((x**2).sum(-1, keepdims=True)),
    ),
}


@pytest.mark.parametrize("which", FUNCTIONS)
def test_arithmetic_on_tensors_means_what_it_meant(which):
    import keras

    config, expected = FUNCTIONS[which]
    config = json.loads(json.dumps(config))
    allowed.rewrite(config)
    model = keras.saving.deserialize_keras_object(config)
    pixels = np.random.default_rng(0).uniform(-1, 1, (2, 4, 4, 3)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(model(pixels)), expected(pixels), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "function", ["io.read_file", "py_function", "numpy_function", "__operators__.nothing", "", None]
)
def test_other_functions_of_tensorflow_are_refused(function):
    with pytest.raises(allowed.NotAllowed, match=r"keras\.ops|not understood"):
        allowed.rewrite(functional(function, *X, {"y": 1.0}))


@pytest.mark.parametrize(
    "nodes", [[["image"]], [[["image", 0, 0, 5]]], [[[[]]]], [["image", 0, 0, {}, 1]], [[None]], [[]], [{}, []]]
)
def test_connections_that_make_no_sense_are_refused(nodes):
    config = functional("math.add", *X, {"y": 1.0})
    config["config"]["layers"][1]["inbound_nodes"] = nodes
    with pytest.raises(legacy_configs.Untranslatable):
        legacy_configs.modernise(config)


def test_what_cannot_be_read_says_how_to_convert_it(tmp_path):
    path = tmp_path / "old.h5"
    shutil.copy(FILES[0], path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][-1]["config"]["of_another_time"] = 1
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(UserError, match=r"model\.save\('model\.keras'\)` in Keras 3"):
        imported.inspect(path)
