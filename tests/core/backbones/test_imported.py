import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras import layers as L
from keras.src.backend.common import global_state

from core.backbones import allowed, graph, imported
from core.backbones.fresh_thread import in_fresh_thread
from core.errors import UserError

MEMBERS = ("metadata.json", "config.json", "model.weights.h5")


def model(*, size=16, classes=3, preprocessing=True):
    inputs = keras.Input((size, size, 3))
    x = L.Rescaling(1 / 255)(inputs) if preprocessing else inputs
    x = L.BatchNormalization()(L.Conv2D(4, 3, activation="relu", kernel_regularizer="l2")(x))
    x = L.RandomFlip()(L.Dropout(0.2)(x))
    return keras.Model(inputs, L.Dense(classes, activation="softmax")(L.GlobalAveragePooling2D()(x)))


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "good.keras"
    made = model()
    made.compile("adam", "categorical_crossentropy")
    made.save(path)
    return path


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, parts, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


def with_config(saved, change):
    """The file with its configuration changed in place by `change`."""
    parts = members(saved)
    config = json.loads(parts["config.json"])
    config = change(config) or config
    parts["config.json"] = json.dumps(config).encode()
    return write(saved.with_name("hostile.keras"), parts)


def with_weights(saved, change):
    """The file with its weights changed: `change` gets the open HDF5 file."""
    parts = members(saved)
    buffer = io.BytesIO(parts["model.weights.h5"])
    with h5py.File(buffer, "r+") as file:
        change(file)
    parts["model.weights.h5"] = buffer.getvalue()
    return write(saved.with_name("hostile.keras"), parts)


def refused(path):
    """The sentence with which both doors refuse the file; it must be one for a person."""
    with pytest.raises(UserError) as first:
        imported.inspect(path)
    with pytest.raises(UserError) as second:
        imported.open_model(path)
    words = str(first.value)
    assert words == str(second.value)
    assert "\n" not in words
    assert len(words) < 400
    return words


# What is accepted


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_an_ordinary_model_opens_and_computes_the_same(tmp_path, suffix):
    made = model()
    made.compile("adam", "categorical_crossentropy")
    path = tmp_path / f"mine{suffix}"
    made.save(path)
    assert "16 × 16" in imported.inspect(path)
    opened = imported.open_model(path)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3)).astype(np.float32)
    np.testing.assert_allclose(opened.model(pixels, training=False), made(pixels, training=False), atol=1e-6)
    assert not opened.model.compiled
    found = imported.examine(path).understood
    assert (found.input_size, found.class_names) == ((16, 16), None)


@pytest.mark.parametrize(
    "builder",
    [
        "MobileNetV2",
        "MobileNetV3Small",
        "EfficientNetB0",
        "EfficientNetV2B0",
        "DenseNet121",
        "ConvNeXtTiny",
        "Xception",
    ],
)
def test_configurations_of_keras_applications_are_allowed(builder):
    def parameters():
        with keras.StatelessScope(initialize_variables=False):
            made = getattr(keras.applications, builder)(weights=None)
            config = json.loads(made.to_json())
            allowed.rewrite(config)
            return made.count_params(), keras.saving.deserialize_keras_object(config).count_params()

    expected, found = in_fresh_thread(parameters)
    assert found == expected


@pytest.mark.slow
@pytest.mark.parametrize("builder", [name for name in dir(keras.applications) if name[0].isupper()])
def test_configurations_of_all_keras_applications_are_allowed(builder):
    test_configurations_of_keras_applications_are_allowed(builder)


def test_arithmetic_on_tensors_and_nested_sequentials_are_allowed(tmp_path):
    inputs = keras.Input((None, None, 3))
    x = keras.applications.resnet.preprocess_input(inputs * 1.0)
    x = keras.Sequential([L.Conv2D(4, 3), L.LeakyReLU(0.1), L.MaxPooling2D()], name="body")(x)
    x = keras.activations.silu(x)
    made = keras.Model(inputs, L.Dense(2)(L.GlobalMaxPooling2D()(x)))
    made.save(tmp_path / "mine.keras")
    opened = imported.open_model(tmp_path / "mine.keras")
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 20, 20, 3)).astype(np.float32)
    np.testing.assert_allclose(opened.model(pixels), made(pixels), rtol=1e-5, atol=1e-5)
    assert imported.examine(tmp_path / "mine.keras").understood.input_size == (224, 224)
    assert "body/" in "".join(graph.flatten(opened.model)[1])


# What the file says, or does not say, about its use


def test_facts_are_written_and_read_and_keras_still_opens_the_file(saved):
    before = members(saved)
    imported.write_facts(saved, ["cat", "dog", "![x](http://y)"], (16, 16), backbone="xception")
    after = members(saved)
    assert tuple(after) == tuple(before)
    assert after["model.weights.h5"] == before["model.weights.h5"]
    assert json.loads(after["metadata.json"])["layerscope"]["backbone"] == "xception"
    assert imported.examine(saved).understood.class_names == ("cat", "dog", "![x](http://y)")
    keras.models.load_model(saved, compile=False)
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


@pytest.mark.parametrize("names", [["a"], ["a", "b", 3], "abc", None, {"a": 1}])
def test_names_that_do_not_fit_the_outputs_are_left_out(saved, names):
    parts = members(saved)
    parts["metadata.json"] = json.dumps({"layerscope": {"class_names": names, "input_size": [-1, "x"]}}).encode()
    found = imported.examine(write(saved, parts)).understood
    assert found.class_names is None
    assert found.input_size == (16, 16)


def test_preprocessing_inside_the_model_is_seen(tmp_path):
    model().save(tmp_path / "a.keras")
    model(preprocessing=False).save(tmp_path / "b.keras")
    pixels = np.full((1, 2, 2, 3), 255.0)
    assert (imported.examine(tmp_path / "a.keras").understood.preprocessing(pixels) == 255).all()
    guessed = imported.examine(tmp_path / "b.keras").understood.preprocessing
    assert (guessed(pixels) == 1).all()
    assert "guess" in guessed.words


# Configurations


def set_in_first(class_name, **values):
    def change(config):
        for layer in config["config"]["layers"]:
            if layer["class_name"] == class_name:
                layer["config"].update(values)
                return

    return change


def test_models_that_call_each_other_too_often_are_refused(tmp_path):
    inputs = keras.Input((8, 8, 3))
    inner = keras.Model(inputs, L.Identity()(inputs))
    for _ in range(14):
        inputs = keras.Input((8, 8, 3))
        inner = keras.Model(inputs, inner(inner(inputs)))
    inner.save(tmp_path / "laughs.keras")
    assert "5,000 layers" in refused(tmp_path / "laughs.keras")


def test_more_parameters_than_numbers_in_the_file_are_refused(saved):
    assert "numbers" in refused(with_config(saved, set_in_first("Dense", units=10**7)))
    refused(with_config(saved, set_in_first("Conv2D", filters=10**9)))


def test_what_was_refused_is_not_given_memory_later(saved):
    """Keras gives variables memory that were made without, at the next opportunity in the same thread."""
    global_state.set_global_attribute("uninitialized_variables", [])  # of other tests in this thread
    path = with_config(saved, set_in_first("Dense", units=10**9))
    refused(path)
    L.Activation(lambda x: x + 1)(keras.Input((2,)))  # an opportunity
    assert not global_state.get_global_attribute("uninitialized_variables")


# HDF5


def first_variables(file):
    return file["layers/conv2d/vars"] if "layers/conv2d/vars" in file else next(iter_variables(file))


def iter_variables(file):
    for name in file["layers"]:
        if name.startswith("conv2d"):
            yield file[f"layers/{name}/vars"]


def declare_much(file):
    del first_variables(file)["0"]
    first_variables(file).create_dataset("0", (800, 1000, 1000), "f4")


def external_link(file):
    del first_variables(file)["0"]
    first_variables(file)["0"] = h5py.ExternalLink("/etc/passwd", "/x")


@pytest.mark.parametrize("change", [declare_much, external_link])
def test_hostile_files_of_weights_are_refused(tmp_path, change):
    path = tmp_path / "x.weights.h5"
    model().save_weights(path)
    assert imported.check_weights_file(path) >= model().count_params()
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(UserError, match=r"x\.weights\.h5 is refused"):
        imported.check_weights_file(path)


def test_weights_that_do_not_fit_are_refused(saved):
    def change(file):
        group = first_variables(file)
        del group["1"]
        group["1"] = np.zeros(5, "f4")

    path = with_weights(saved, change)
    imported.inspect(path)
    with pytest.raises(UserError, match="do not fit"):
        imported.open_model(path)
