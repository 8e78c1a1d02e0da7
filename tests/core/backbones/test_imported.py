import base64
import io
import json
import marshal
import struct
import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras import layers as L
from keras.src.backend.common import global_state
from keras.src.utils import python_utils

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


def test_a_known_network_inside_tells_its_preprocessing(tmp_path):
    inputs = keras.Input((64, 64, 3))
    body = keras.applications.MobileNet(weights=None, alpha=0.25, input_shape=(64, 64, 3), include_top=False)
    body.name = "vgg16"  # as if it were, for the sake of speed
    keras.Model(inputs, L.GlobalAveragePooling2D()(body(inputs))).save(tmp_path / "a.keras")
    preprocessing = imported.examine(tmp_path / "a.keras").understood.preprocessing
    assert preprocessing.bgr
    assert "guess" not in preprocessing.words


@pytest.mark.parametrize("shape", [(16, 16, 1), (16, 16, 4), (10,), (8, 16, 16, 3)])
def test_models_for_other_inputs_are_refused(tmp_path, shape):
    inputs = keras.Input(shape)
    keras.Model(inputs, L.Dense(2)(L.Flatten()(inputs)) if None not in shape else inputs).save(tmp_path / "a.keras")
    assert "colour images" in refused(tmp_path / "a.keras")


def test_several_inputs_or_outputs_are_refused(tmp_path):
    a, b = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    keras.Model([a, b], L.Add()([a, b])).save(tmp_path / "a.keras")
    assert "2 inputs" in refused(tmp_path / "a.keras")
    keras.Model(a, [L.Conv2D(1, 1)(a), L.Conv2D(1, 1)(a)]).save(tmp_path / "b.keras")
    assert "2 outputs" in refused(tmp_path / "b.keras")


# Archives


def test_other_files_are_refused(tmp_path):
    for name, data in (("a.txt", b"x"), ("a.keras", b""), ("b.keras", b"no zip"), ("c.h5", b"no hdf5")):
        (tmp_path / name).write_bytes(data)
        assert name in refused(tmp_path / name)
    assert "absent.keras" in refused(tmp_path / "absent.keras")
    (tmp_path / "folder.keras").mkdir()
    assert "folder.keras" in refused(tmp_path / "folder.keras")


def test_every_truncation_is_refused(saved):
    data = saved.read_bytes()
    cut = saved.with_name("cut.keras")
    for length in range(0, len(data), 997):
        cut.write_bytes(data[:length])
        refused(cut)


def test_wrong_members_are_refused(saved):
    parts = members(saved)
    hostile = saved.with_name("hostile.keras")
    assert "exactly" in refused(write(hostile, {**parts, "../../evil.py": b"x"}))
    assert "exactly" in refused(write(hostile, {name: parts[name] for name in MEMBERS[:2]}))
    assert "exactly" in refused(write(hostile, {**dict(list(parts.items())[:2]), "assets/x": b""}))


def test_two_configurations_are_refused(saved):
    parts = members(saved)
    hostile = saved.with_name("hostile.keras")
    with pytest.warns(UserWarning), zipfile.ZipFile(hostile, "w") as archive:
        for name in (*MEMBERS[:2], "config.json"):
            archive.writestr(name, parts[name])
    refused(hostile)


def test_a_bomb_of_weights_is_refused_before_it_is_unpacked(saved):
    parts = {**members(saved), "model.weights.h5": bytes(100_000_000)}
    hostile = write(saved.with_name("hostile.keras"), parts, zipfile.ZIP_DEFLATED)
    assert hostile.stat().st_size < 200_000
    assert "100,000,000 bytes" in refused(hostile)


def test_a_huge_configuration_is_refused(saved):
    parts = {**members(saved), "config.json": b" " * 17_000_000}
    assert "config.json" in refused(write(saved.with_name("hostile.keras"), parts, zipfile.ZIP_DEFLATED))


def test_overlapping_members_are_refused(saved):
    data = bytearray(saved.read_bytes())
    directory = struct.unpack("<I", data[-6:-2])[0]
    second = data.index(b"PK\x01\x02", directory + 4)
    data[second + 42 : second + 46] = struct.pack("<I", 0)
    hostile = saved.with_name("hostile.keras")
    hostile.write_bytes(data)
    refused(hostile)


# Configurations


def set_in_first(class_name, **values):
    def change(config):
        for layer in config["config"]["layers"]:
            if layer["class_name"] == class_name:
                layer["config"].update(values)
                return

    return change


def lambda_layer(canary):
    code = compile(f"lambda x: (open({str(canary)!r}, 'w'), x)[1]", "x", "eval").co_consts[0]
    text = base64.b64encode(marshal.dumps(code)).decode()
    return {"class_name": "__lambda__", "config": {"code": text, "defaults": None, "closure": None}}


def layer_change(**entry):
    def change(config):
        config["config"]["layers"][3].update(entry)

    return change


def hostile_changes(canary):
    command = f"touch {canary}"
    shell = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    return {
        "lambda": layer_change(class_name="Lambda", config={"name": "x", "function": lambda_layer(canary)}),
        "registered function": layer_change(
            class_name="Lambda",
            config={"name": "x", "function": {**shell, "module": "keras.utils", "config": "get_file"}},
        ),
        "os.system": set_in_first("Conv2D", activation={**shell, "arguments": command}),
        "activation by name": set_in_first("Conv2D", activation="get_file"),
        "activation object": set_in_first("Conv2D", activation=lambda_layer(canary)),
        "initialiser by name": set_in_first("Conv2D", kernel_initializer="evil"),
        "initialiser object": set_in_first(
            "Conv2D", kernel_initializer={"module": "subprocess", "class_name": "Popen", "config": {"args": command}}
        ),
        "module": layer_change(module="os", class_name="popen", config={"cmd": command}),
        "SavedModel": layer_change(class_name="TFSMLayer", config={"filepath": str(canary)}),
        "torch": layer_change(class_name="TorchModuleWrapper", config={"module": "x"}),
        "jax": layer_change(class_name="JaxLayer", config={}),
        "vocabulary file": layer_change(class_name="StringLookup", config={"vocabulary": "/etc/passwd"}),
        "type specification": layer_change(config={"x": {"class_name": "__typespec__", "spec_name": "x"}}),
        "no name": layer_change(class_name=["Dense"]),
        "precision": set_in_first("Conv2D", dtype={"class_name": "QuantizedDTypePolicy", "config": {}}),
        "model": lambda config: config.update(class_name="Foo>Model"),
        "a list": lambda config: [config],
    }


@pytest.mark.parametrize("which", hostile_changes("canary"))
def test_hostile_configurations_are_refused_and_run_nothing(saved, tmp_path, which):
    canary = tmp_path / "canary"
    refused(with_config(saved, hostile_changes(canary)[which]))
    assert not canary.exists()


def test_the_canary_can_sing(saved, tmp_path):
    """The lambda of the tests above does what it says, in a Keras that is told to trust the file."""
    canary = tmp_path / "canary"
    function = python_utils.func_load(lambda_layer(canary)["config"]["code"])
    function(1)
    assert canary.exists()


def test_compile_configurations_are_not_looked_at(saved, tmp_path):
    evil = {"loss": {"module": "os", "class_name": "function", "config": "system"}}

    def change(config):
        config["compile_config"] = evil
        config["config"]["layers"][2]["compile_config"] = evil

    with pytest.raises(UserError):
        imported.inspect(with_config(saved, lambda config: config["config"].update(extra=evil)))
    assert not imported.open_model(with_config(saved, change)).model.compiled


def test_a_key_that_comes_twice_is_refused(saved):
    parts = members(saved)
    parts["config.json"] = parts["config.json"].replace(b'{"module"', b'{"class_name": "Lambda", "module"', 1)
    refused(write(saved.with_name("hostile.keras"), parts))


def test_deep_nesting_is_refused(saved):
    for depth in (200, 100_000):
        parts = {
            **members(saved),
            "config.json": b'{"class_name":"Functional","config":' + b"[" * depth + b"]" * depth + b"}",
        }
        refused(write(saved.with_name("hostile.keras"), parts))


def test_thousands_of_layers_are_refused(saved):
    def change(config):
        config["config"]["layers"] += [config["config"]["layers"][1]] * 6000

    assert "layers" in refused(with_config(saved, change))


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


def test_activations_that_fill_the_memory_are_refused(saved):
    assert "GB" in refused(with_config(saved, set_in_first("InputLayer", batch_shape=[None, 100_000, 100_000, 3])))


def test_what_was_refused_is_not_given_memory_later(saved):
    """Keras gives variables memory that were made without, at the next opportunity in the same thread."""
    path = with_config(saved, set_in_first("Dense", units=10**12))
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


def compressed_much(file):
    group = first_variables(file)
    del group["0"]
    group.create_dataset("0", (30, 1000, 1000), "f4", chunks=(30, 1000, 1000), compression="gzip", fillvalue=0)[:] = 0


def external_link(file):
    del first_variables(file)["0"]
    first_variables(file)["0"] = h5py.ExternalLink("/etc/passwd", "/x")


def soft_link(file):
    del first_variables(file)["0"]
    first_variables(file)["0"] = h5py.SoftLink("/layers")


def external_data(file):
    del first_variables(file)["0"]
    first_variables(file).create_dataset("0", (16,), "u1", external=[("/etc/passwd", 0, 16)])


def virtual_data(file):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4,))
    del first_variables(file)["0"]
    first_variables(file).create_virtual_dataset("0", layout)


def loop(file):
    first_variables(file)["again"] = file["layers"]


def texts(file):
    first_variables(file).create_dataset("text", data=[b"x" * 10, b"y"])


@pytest.mark.parametrize(
    "change", [declare_much, compressed_much, external_link, soft_link, external_data, virtual_data, loop, texts]
)
def test_hostile_weights_are_refused(saved, change):
    assert "refused" in refused(with_weights(saved, change))


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


def test_weights_alone_are_no_model(tmp_path):
    model().save_weights(tmp_path / "x.weights.h5")
    assert "weights only" in refused(tmp_path / "x.weights.h5")


def test_damaged_bytes_are_refused_or_harmless(saved):
    data = saved.read_bytes()
    rng = np.random.default_rng(0)
    path = saved.with_name("damaged.keras")
    for _ in range(40):
        damaged = bytearray(data)
        for position in rng.integers(0, len(data), 4):
            damaged[position] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            imported.inspect(path)
        except UserError:
            continue
    assert {file.name for file in saved.parent.iterdir()} == {"damaged.keras", "good.keras"}
