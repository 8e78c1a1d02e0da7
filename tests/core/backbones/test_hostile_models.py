"""Files that would run code or eat the machine: each is refused in one sentence, in seconds, and nothing happens.

A canary proves it: whatever code is in these files would make a file of that name. And the canary can sing.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import tempfile
import time
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import psutil
import pytest
from keras.src.utils import python_utils

from core.backbones import answers, apart, hdf5_check, imported, layer_settings
from core.errors import UserError
from tests.core.backbones import hostile
from tests.core.backbones.hostile import entry, layer, setting

SECONDS = 10  # of the processor, so that a busy machine fails no test; a refusal takes well below one
MEMORY = 400 * 1024**2


def function(module, name, **more):
    return {"module": module, "class_name": "function", "config": name, "registered_name": name, **more}


def lambda_layer(canary):
    return {"class_name": "Lambda", "config": {"name": "norm", "function": hostile.lambda_of(canary)}}


def keras_files(canary):
    """What in an archive could be turned against whoever opens it, by name."""
    command = f"touch {canary}"
    words = hostile.of_words()
    config, member = hostile.with_config, hostile.with_member

    def word_setting(**values):
        return config(setting("words", **values), source=words)

    def layers(change):
        return config(lambda each: each["config"].update(layers=change(each["config"]["layers"])))

    def wire(settings):
        return config(lambda each: layer(each, "norm")["inbound_nodes"][0]["kwargs"].update(settings))

    def operation(module, name, **settings):
        def change(each):
            norm = layer(each, "norm")
            norm.update(module=f"keras.src.ops.{module}", class_name=name, config={"name": "norm", **settings})
            norm["inbound_nodes"][0]["kwargs"] = {}

        return config(change)

    def array(value, dtype):
        return {"class_name": "__numpy__", "config": {"value": value, "dtype": dtype}}

    def unused(each):
        """A chain that leads nowhere: nobody counts it, but it would be built."""
        image, dense = json.loads(json.dumps([each["config"]["layers"][0], layer(each, "classes")]))
        for part, name in ((image, "spare"), (dense, "spare_dense")):
            part["name"] = part["config"]["name"] = name
        dense["config"]["units"] = 10**9
        dense["inbound_nodes"][0]["args"][0]["config"]["keras_history"] = ["spare", 0, 0]
        each["config"]["layers"] += [image, dense]

    return {
        # Code
        "a Lambda with code": config(entry("norm", **lambda_layer(canary))),
        "a Lambda that names a function of Keras": config(
            entry("norm", class_name="Lambda", config={"name": "norm", "function": function("keras.utils", "get_file")})
        ),
        "a Lambda that names a registered function": config(
            entry("norm", class_name="Lambda", config={"name": "norm", "function": "relu", "arguments": {"x": command}})
        ),
        "code as an activation": config(setting("conv", activation=hostile.lambda_of(canary))),
        "code as an initialiser": config(setting("conv", kernel_initializer=hostile.lambda_of(canary))),
        "code as an argument": wire({"mask": hostile.lambda_of(canary)}),
        "os.system as an activation": config(setting("conv", activation=function("os", "system", arguments=command))),
        "os.system as a layer": config(entry("norm", module="os", class_name="system", config={"command": command})),
        "subprocess as an initialiser": config(
            setting(
                "conv", kernel_initializer={"module": "subprocess", "class_name": "Popen", "config": {"args": command}}
            )
        ),
        "a function of Python": config(setting("conv", activation=function("builtins", "exec"))),
        "a SavedModel as a layer": config(
            entry("norm", module="keras.layers", class_name="TFSMLayer", config={"name": "n", "filepath": str(canary)})
        ),
        "PyTorch as a layer": config(
            entry("norm", module="keras.layers", class_name="TorchModuleWrapper", config={"name": "n", "module": "x"})
        ),
        "JAX as a layer": config(
            entry("norm", module="keras.layers", class_name="JaxLayer", config={"name": "n", "call_fn": "x"})
        ),
        "a class of somebody's own": config(
            entry("norm", module=None, class_name="Attention2", registered_name="lab>Attention2")
        ),
        "a model of somebody's own": config(lambda each: each.update(class_name="MyModel", module="lab.models")),
        "a type": config(setting("conv", extra={"class_name": "__typespec__", "config": [], "spec_name": "x"})),
        "a metric": config(entry("norm", module="keras.metrics", class_name="MeanMetricWrapper", config={"name": "n"})),
        "a loss as a layer": config(entry("norm", module="keras.losses", class_name="Huber", config={"name": "n"})),
        "a module of Keras' own": config(
            entry("norm", module="keras.src.utils.file_utils", class_name="get_file", config={"origin": "http://x"})
        ),
        "an operation that loops": config(
            entry("norm", module="keras.src.ops.core", class_name="WhileLoop", config={"cond": "x", "body": "y"})
        ),
        "an unknown activation": config(setting("conv", activation="get_file")),
        "an unknown initialiser": config(setting("conv", kernel_initializer="evil")),
        "an unknown precision": config(setting("conv", dtype={"class_name": "QuantizedDTypePolicy", "config": {}})),
        "a precision of enormous size": config(
            setting(
                "conv",
                bias_initializer={
                    "class_name": "Constant",
                    "config": {"value": {"class_name": "__numpy__", "config": {"value": ["x"], "dtype": "S999999999"}}},
                },
            )
        ),
        "a type of enormous size": config(
            setting(
                "conv",
                bias_initializer={
                    "class_name": "Constant",
                    "config": {"value": array([0], {"names": ["a"], "formats": ["(500000000,)f4"]})},
                },
            )
        ),
        "10⁷ tensors": operation("core", "Unstack", num=10**7, axis=-1),
        "10⁷ tensors by an array": operation("core", "Unstack", num=array(str(10**7), "int64"), axis=-1),
        "10⁷ parts": operation("numpy", "Split", indices_or_sections=10**7, axis=0),
        "10⁷ differences": operation("numpy", "Diff", n=10**7, axis=1),
        # Words
        "words from a file": word_setting(vocabulary="/etc/passwd"),
        "words from the web": word_setting(vocabulary="http://127.0.0.1:1/words"),
        "code that cleans text": word_setting(standardize=hostile.lambda_of(canary)),
        "a function that splits text": word_setting(split=function("os", "system")),
        "an unknown way to clean text": word_setting(standardize="os.system"),
        "a codec": word_setting(encoding="zlib_codec"),
        "a table of words of enormous size": word_setting(max_tokens=10**12),
        "a text of enormous length": word_setting(output_sequence_length=10**9),
        "words that are no words": word_setting(vocabulary=[["a"], {"b": 1}]),
        "no words": hostile.archive({k: v for k, v in hostile.members(words).items() if "assets" not in k}),
        "words that are no text": member(
            "assets/layers/words/vocabulary.txt", b"\xff\xfe\x00", source=hostile.ordinary(".keras")
        ),
        "one word twice": member("assets/layers/text_vectorization/vocabulary.txt", b"\n[UNK]\na\na", source=words),
        "one enormous word": member(
            "assets/layers/text_vectorization/vocabulary.txt",
            b"x" * 2_000_000 + b"\ny" * 100_000,
            source=words,
        ),
        # The archive
        "a member outside": member("../../evil.py", b"x"),
        "a member with a whole path": member("/etc/evil", b"x"),
        "an asset outside": member("assets/layers/../../x/vocabulary.txt", b"x"),
        "an asset of another kind": member("assets/layers/words/run.sh", b"x"),
        "a member twice": _twice(),
        "a member twice but for its case": member("CONFIG.JSON", b"{}"),
        "a member missing": hostile.archive(dict(list(hostile.members(hostile.ordinary(".keras")).items())[:2])),
        "a member that is a link": _linked(),
        "a bomb of weights": hostile.archive(
            {**hostile.members(hostile.ordinary(".keras")), "model.weights.h5": bytes(100_000_000)},
            zipfile.ZIP_DEFLATED,
        ),
        "a bomb of a description": hostile.archive(
            {**hostile.members(hostile.ordinary(".keras")), "config.json": b" " * 17_000_000}, zipfile.ZIP_DEFLATED
        ),
        "a bomb of words": hostile.archive(
            {**hostile.members(words), "assets/layers/x/vocabulary.txt": b"a\n" * 9_000_000}, zipfile.ZIP_DEFLATED
        ),
        "many members": hostile.archive(
            {**hostile.members(words), **{f"assets/layers/w_{n}/vocabulary.txt": b"a" for n in range(500)}}
        ),
        "members that overlap": hostile.overlapping(hostile.ordinary(".keras")),
        "an encrypted member": hostile.in_directory(hostile.ordinary(".keras"), 1, 8, b"\x01\x00"),
        "a member packed in another way": hostile.in_directory(hostile.ordinary(".keras"), 1, 10, b"\x0e\x00"),
        "a member that says it is larger": hostile.in_directory(hostile.ordinary(".keras"), 1, 24, b"\xff\xff\xff\x7f"),
        "many members, which only the second of two directories tells": hostile.counted_twice(
            hostile.ordinary(".keras"), 100_000
        ),
        "nothing but the end of an archive": b"PK\x05\x06" + bytes(18),
        # The description
        "no JSON": member("config.json", b"\x80\x04pickle"),
        "no text": member("config.json", b'{"class_name": "\xff\xfe"}'),
        "a list": member("config.json", b"[1, 2]"),
        "a key twice": member("config.json", b'{"class_name": "Lambda", "class_name": "Functional", "config": {}}'),
        "a key twice in the notes": member("metadata.json", b'{"layerscope": 1, "layerscope": 2}'),
        "deep nesting": member("config.json", b'{"class_name":"Functional","config":' + b"[" * 300 + b"]" * 300 + b"}"),
        "very deep nesting": member(
            "config.json", b'{"class_name":"Functional","config":' + b"[" * 10**5 + b"]" * 10**5 + b"}"
        ),
        "a number of 4,000 digits": config(setting("classes", units=10**3999)),
        "a number of 5,000 digits": member(
            "config.json", b'{"class_name": "Functional", "config": ' + b"9" * 5000 + b"}"
        ),
        "a text of a megabyte": config(setting("conv", padding="x" * 2**20)),
        "no name": config(entry("norm", class_name=["Dense"])),
        "a layer that is called as TensorFlow calls nothing": config(entry("norm", config={"name": "<b>norm"})),
        "no settings": config(entry("norm", config=None)),
        "no layers": config(lambda each: each["config"].update(layers=[])),
        "layers that are no list": config(lambda each: each["config"].update(layers={"a": 1})),
        # Sizes
        "20,000 layers": layers(lambda each: each + [each[1]] * 20_000),
        "5,000 empty models": layers(
            lambda each: each + [{"class_name": "Sequential", "config": {"layers": []}}] * 5_001
        ),
        "layers in the wrong order": _upside_down(),
        "a layer of 10⁹ units": config(setting("classes", units=10**9)),
        "a layer of 10⁹ units that is not used": config(unused),
        "a layer that builds itself": config(
            entry(
                "norm",
                build_config={"input_shape": [None, 10**6]},
                class_name="Dense",
                config={"name": "norm", "units": 10**6},
            )
        ),
        "10⁹ filters": config(setting("conv", filters=10**9)),
        "a kernel of enormous size": config(setting("conv", kernel_size=[10**5, 10**5])),
        "an input of enormous size": config(setting("image", batch_shape=[None, 10**5, 10**5, 3])),
        "an input of endless size": config(setting("image", batch_shape=[None, 2**62, 2**62, 3])),
        "an output of enormous size": config(
            entry("norm", class_name="UpSampling2D", config={"name": "norm", "size": [10**4, 10**4]})
        ),
        "padding of enormous size": config(
            entry("norm", class_name="ZeroPadding2D", config={"name": "norm", "padding": [[0, 10**6], [0, 10**6]]})
        ),
        "10⁹ repeats": config(entry("pool", class_name="RepeatVector", config={"name": "pool", "n": 10**9})),
        "NaN as a size": config(setting("image", batch_shape=[None, float("nan"), 16, 3])),
        "a negative size": config(setting("image", batch_shape=[None, -5, 16, 3])),
        "a word as a size": config(setting("image", batch_shape=[None, "16", 16, 3])),
        "a list as a size": config(setting("image", batch_shape=[None, [16], 16, 3])),
        "a size of nothing": config(setting("image", batch_shape=[None, 0, 0, 3])),
        "an endless number of units": config(setting("classes", units=float("inf"))),
        "a model that calls itself": config(
            lambda each: layer(each, "norm")["inbound_nodes"][0]["args"][0]["config"].update(
                keras_history=["norm", 0, 0]
            )
        ),
        # The weights
        **{f"weights: {name}": hostile.with_weights(change) for name, change in weight_changes().items()},
        "weights under old names and new ones": hostile.with_weights(lambda file: file.create_group(_OLD)),
        "weights under an old name that are none": hostile.with_weights(_old_numbers),
        "weights that are no HDF5": member("model.weights.h5", b"PK" + bytes(2000)),
        "no weights": member("model.weights.h5", b""),
    }


def h5_files(canary):
    """The same for files in HDF5."""
    command = f"touch {canary}"
    config = hostile.h5_with_config
    return {
        "a Lambda with code": config(entry("norm", **lambda_layer(canary))),
        "a Lambda of Keras 2": config(
            entry(
                "norm",
                class_name="Lambda",
                config={
                    "name": "norm",
                    "function": [hostile.code(canary), None, None],
                    "function_type": "lambda",
                    "module": "__main__",
                },
            )
        ),
        "a function of TensorFlow": config(
            entry(
                "norm",
                class_name="TFOpLambda",
                config={"name": "norm", "function": "io.write_file"},
                inbound_nodes=[["conv", 0, 0, {}]],
            )
        ),
        "os.system as an activation": config(setting("conv", activation=function("os", "system", arguments=command))),
        "os.system by its name": config(setting("conv", activation="system")),
        "a class of somebody's own": config(entry("norm", class_name="lab>Attention2")),
        "a model of somebody's own": config(lambda each: each.update(class_name="MyModel")),
        "a layer of 10⁹ units": config(setting("classes", units=10**9)),
        "20,000 layers": config(lambda each: each["config"].update(layers=each["config"]["layers"] * 4_000)),
        "deep nesting between its layers": config(_nested),
        "an input of enormous size": config(setting("image", batch_shape=[None, 10**5, 10**5, 3])),
        "no text as its description": hostile.h5_with(lambda file: file.attrs.update(model_config=np.arange(4))),
        "no description": hostile.h5_with(lambda file: file.attrs.pop("model_config")),
        "an empty description": hostile.h5_with(lambda file: file.attrs.update(model_config="")),
        "a cut description": hostile.h5_with(
            lambda file: file.attrs.update(model_config=file.attrs["model_config"][:300])
        ),
        "weights missing": hostile.h5_with(lambda file: file.pop("model_weights")),
        **{f"weights: {name}": hostile.h5_with(change) for name, change in weight_changes().items()},
    }


def weight_changes():
    """What can be wrong with the numbers in either format."""

    def external_data(group, name):
        group.create_dataset(name, (16,), "u1", external=[("/etc/passwd", 0, 16)])

    def virtual_data(group, name):
        layout = h5py.VirtualLayout((4,), "f4")
        layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4,))
        group.create_virtual_dataset(name, layout)

    def put(make):
        return hostile.replace_numbers(make)

    def set_(value):
        def make(group, name):
            group[name] = value(group) if callable(value) else value

        return put(make)

    return {
        "a link to another file": set_(h5py.ExternalLink("/etc/passwd", "/x")),
        "a link to another place": set_(h5py.SoftLink("/")),
        "a loop": set_(lambda group: group.file["/"]),
        "data in another file": put(external_data),
        "data that is only pointed at": put(virtual_data),
        "much that is only declared": put(lambda group, name: group.create_dataset(name, (800, 1000, 1000), "f4")),
        "much that is packed": put(
            lambda group, name: group.create_dataset(
                name, data=np.zeros((3000, 1000), "f4"), chunks=(3000, 1000), compression="gzip"
            )
        ),
        "another way of packing": put(
            lambda group, name: group.create_dataset(name, data=np.zeros((30, 30), "f4"), compression="lzf")
        ),
        "texts": put(lambda group, name: group.create_dataset(name, data=[b"x" * 10, b"y"])),
        "a pickle": put(lambda group, name: group.create_dataset(name, data=np.void(pickle.dumps(print)))),
        "nothing": put(lambda group, name: group.create_dataset(name, data=h5py.Empty("f4"))),
    }


_OLD = "_layer_checkpoint_dependencies"


def _old_numbers(file):
    del file["layers"]
    file[_OLD] = np.ones(3)


def _twice():
    parts = hostile.members(hostile.ordinary(".keras"))
    return hostile.archive([*list(parts.items())[:2], ("config.json", parts["config.json"])])


def _linked():
    parts = hostile.members(hostile.ordinary(".keras"))
    link = zipfile.ZipInfo("model.weights.h5")
    link.external_attr = 0o120777 << 16
    return hostile.archive([*((name, parts[name]) for name in list(parts)[:2]), (link, b"/etc/passwd")])


def _nested(config):
    """A setting of a call, as Keras 2 wrote it, so deep that JSON can be read but not walked through."""
    deep = 1
    for _ in range(600):
        deep = [deep]
    for each in config["config"]["layers"]:
        each["inbound_nodes"] = []
    layer(config, "norm")["inbound_nodes"] = [[["conv", 0, 0, {"mask": deep}]]]


def _upside_down():
    """A chain of 3,000 layers, the last of them first."""

    def change(config):
        chain = []
        for place in range(3000):
            link = json.loads(json.dumps(layer(config, "scale")))
            link["name"] = link["config"]["name"] = f"link{place}"
            before = f"link{place - 1}" if place else "image"
            link["inbound_nodes"][0]["args"][0]["config"]["keras_history"][0] = before
            chain.append(link)
        config["config"]["layers"] += chain[::-1]

    return hostile.with_config(change)


@pytest.fixture(scope="module")
def canary(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cage") / "canary"


@pytest.fixture(scope="module")
def files(canary) -> dict[str, tuple[str, bytes]]:
    """All of them: suffix and bytes by name."""
    with pytest.warns(UserWarning, match="Duplicate name"):
        archives = keras_files(canary)
    return {
        **{f"keras: {name}": (".keras", data) for name, data in archives.items()},
        **{f"h5: {name}": (".h5", data) for name, data in h5_files(canary).items()},
    }


def refusal(path: Path, *, both_doors: bool = True) -> str:
    """The sentence with which the file is refused; it must be one for a person."""
    with pytest.raises(UserError) as raised:
        imported.open_model(path)
    words = str(raised.value)
    if both_doors:
        with pytest.raises(UserError) as second:
            imported.inspect(path)
        assert words == str(second.value)
    assert_is_a_sentence(words, path)
    return words


def assert_is_a_sentence(words: str, path: Path) -> None:
    assert "\n" not in words
    assert len(words) < 400
    assert words.endswith(".")
    assert path.name in words


def test_hostile_files_are_refused_in_one_sentence_each_and_run_nothing(files, canary, tmp_path):
    assert len(files) >= 100
    wrong = {}
    for place, (name, (suffix, data)) in enumerate(files.items()):
        path = tmp_path / f"hostile{suffix}"
        path.write_bytes(data)
        began, memory = time.process_time(), psutil.Process().memory_info().rss
        try:
            refusal(path, both_doors=place % 5 == 0)
        except BaseException as error:  # all that is wrong is to be told, not only the first
            wrong[name] = repr(error)[:600]
        if time.process_time() - began > SECONDS:
            wrong[name] = f"took {time.process_time() - began:.0f} s"
        if psutil.Process().memory_info().rss - memory > MEMORY:
            wrong[name] = "took much memory"
        if canary.exists():
            wrong[name] = "the canary sang"
            canary.unlink()
    assert wrong == {}
    assert {path.stem for path in tmp_path.iterdir()} == {"hostile"}  # nothing was unpacked beside them


def test_the_files_that_they_were_made_of_are_accepted(tmp_path):
    for name, data in (
        ("a.keras", hostile.ordinary(".keras")),
        ("a.h5", hostile.ordinary(".h5")),
        ("b.keras", hostile.of_words()),
        ("c.keras", hostile.with_config(lambda config: None)),
        ("c.h5", hostile.h5_with_config(lambda config: None)),
        ("d.keras", hostile.with_weights(lambda file: None)),
        ("e.keras", hostile.with_member("assets/layers/spare/vocabulary.txt", b"a\nb")),
    ):
        (tmp_path / name).write_bytes(data)
        imported.open_model(tmp_path / name)


def test_the_canary_can_sing(canary, tmp_path):
    """What is in these files does what it says, in a Keras that is told to trust them."""
    python_utils.func_load(hostile.code(canary))(1)
    assert canary.exists()
    canary.unlink()
    path = tmp_path / "hostile.keras"
    path.write_bytes(hostile.with_config(entry("norm", **lambda_layer(canary))))
    with pytest.raises(ValueError, match="Lambda"):
        keras.saving.load_model(path, compile=False, safe_mode=True)
    assert not canary.exists()
    with contextlib.suppress(Exception):  # it has been built, whether its weights fit or not
        keras.saving.load_model(path, compile=False, safe_mode=False)
    assert canary.exists()
    canary.unlink()


def test_what_is_said_about_training_is_never_looked_at(canary, tmp_path):
    evil = {"loss": hostile.lambda_of(canary), "optimizer": {"module": "os", "class_name": "system", "config": {}}}

    def change(config):
        config["compile_config"] = evil
        layer(config, "norm")["compile_config"] = evil
        layer(config, "norm")["build_config"] = {"input_shape": hostile.lambda_of(canary)}

    path = tmp_path / "mine.keras"
    path.write_bytes(hostile.with_config(change))
    assert not imported.open_model(path).model.compiled
    assert not canary.exists()


def test_what_people_take_for_a_keras_model_has_a_sentence_of_its_own(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        made.writestr("net/data.pkl", pickle.dumps({}))
        made.writestr("net/version", "3")
    torch = buffer.getvalue()
    saved_model = hostile.archive({"net/saved_model.pb": b"x", "net/variables/variables.index": b"x"})
    for name, data, words in (
        ("net.pt", torch, "PyTorch"),
        ("net.pth", pickle.dumps({}, 2), "PyTorch or pickle"),
        ("net.keras", torch, "PyTorch"),
        ("net.keras", saved_model, "packed SavedModel"),
        ("net.zip", saved_model, "packed SavedModel"),
        ("net.zip", hostile.archive({"net/best.keras": b"x"}), "unpack it"),
        ("net.keras", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "Git LFS"),
        ("net.tflite", b"\x1c\x00\x00\x00TFL3" + bytes(99), "TensorFlow Lite"),
        ("net.h5", b"\x1c\x00\x00\x00TFL3" + bytes(99), "TensorFlow Lite"),
        ("net.onnx", b"\x08\x07\x12\x07pytorch", "ONNX"),
        ("net.safetensors", (9).to_bytes(8, "little") + b'{"a": {}}', "safetensors"),
        ("saved_model.pb", b"\x08\x01", "SavedModel"),
        ("net.h5", b"<!DOCTYPE html><html>", "page of the web"),
        ("net.keras", b'{"class_name": "Functional"}', "without its weights"),
        ("net.keras", b"\x1f\x8b\x08" + bytes(99), "unpack it"),
        ("net.keras", b"\x89PNG\r\n\x1a\n" + bytes(99), "no model file"),
        ("net.h5", bytes(5000), "no model file"),
        ("net.keras", b"", "empty"),
        ("net.txt", hostile.ordinary(".keras"), "must end in .keras or .h5"),
        ("net.pdf", b"%PDF-1.7", "no model file"),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        assert words in refusal(path), name
    folder = tmp_path / "folder"
    folder.mkdir()
    assert "folder" in refusal(folder)
    (folder / "saved_model.pb").touch()
    assert "SavedModel" in refusal(folder)
    assert "No such file" in refusal(tmp_path / "gone.keras")


def test_a_file_is_what_its_bytes_say_not_its_name(tmp_path):
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 16, 16, 3)).astype(np.float32)
    for name, source in (("a.keras", ".h5"), ("b.h5", ".keras"), ("c.hdf5", ".h5"), ("d.hdf5", ".keras")):
        (tmp_path / name).write_bytes(hostile.ordinary(source))
        (tmp_path / f"true{source}").write_bytes(hostile.ordinary(source))
        expected = imported.open_model(tmp_path / f"true{source}").model(pixels)
        np.testing.assert_array_equal(imported.open_model(tmp_path / name).model(pixels), expected)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_files_cut_short_are_refused(tmp_path, suffix):
    data = hostile.ordinary(suffix)
    path = tmp_path / f"cut{suffix}"
    for part in np.linspace(0, len(data) - 1, 24).astype(int):
        path.write_bytes(data[:part])
        refusal(path)


def test_a_file_on_which_its_library_never_comes_back_is_given_up(tmp_path, monkeypatch):
    """`damaged/endless.h5` came out of the mutations below: reading its description takes for ever."""
    monkeypatch.setattr(hdf5_check, "_SECONDS", 1.0)
    path = tmp_path / "endless.h5"
    path.write_bytes((Path(__file__).parent / "damaged" / "endless.h5").read_bytes())
    began = time.process_time()
    assert "damaged" in refusal(path, both_doors=False)
    assert time.process_time() - began < SECONDS
    helper = apart._helper
    assert helper is None
    path.write_bytes(hostile.ordinary(".h5"))
    imported.inspect(path)  # the next one has another helper
    assert apart._helper._process.poll() is None


def test_a_helper_that_dies_is_replaced(tmp_path):
    path = tmp_path / "mine.h5"
    path.write_bytes(hostile.ordinary(".h5"))
    imported.inspect(path)
    died = apart._helper
    died._process.kill()
    died._process.wait()
    imported.inspect(path)
    assert apart._helper is not died


def test_a_name_of_many_lines_is_shown_on_one(tmp_path):
    path = tmp_path / ("evil\n**name**" + "x" * 200 + ".keras")
    path.write_bytes(b"nothing")
    with pytest.raises(UserError) as raised:
        imported.inspect(path)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes changed, or a part left out, doubled, or replaced by another."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 6)):
        at, length = int(rng.integers(len(changed))), int(rng.integers(1, 64))
        kind = rng.integers(4)
        if kind == 0:
            changed[at] = rng.integers(256)
        elif kind == 1:
            del changed[at : at + length]
        elif kind == 2:
            changed[at:at] = changed[at : at + length]
        else:
            other = int(rng.integers(len(changed)))
            changed[at : at + length] = changed[other : other + length]
    return bytes(changed)


def is_refused(path: Path) -> bool:
    """Whether the file is; if so in a sentence for a person, and either way soon."""
    began = time.process_time()
    try:
        imported.open_model(path)
        return False
    except UserError as error:
        assert_is_a_sentence(str(error), path)
        return True
    finally:
        assert time.process_time() - began < 2 * SECONDS


def fuzz(tmp_path: Path, rounds: int, seed: int) -> int:
    """Open mutated files; returns how many were refused."""
    rng = np.random.default_rng(seed)
    refused = 0
    for turn in range(rounds):
        suffix = (".keras", ".h5")[turn % 2]
        path = tmp_path / f"damaged{suffix}"
        path.write_bytes(mutated(hostile.ordinary(suffix), rng))
        refused += is_refused(path)
    return refused


def test_damaged_files_are_refused_or_harmless(tmp_path):
    assert fuzz(tmp_path, 40, seed=0) > 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
def test_many_damaged_files_are_refused_or_harmless(tmp_path, seed):
    assert fuzz(tmp_path, 800, seed) > 200


def mutated_config(config: dict, rng: np.random.Generator) -> dict:
    """A few values of the description replaced: by others of the description, or by what no layer expects."""
    places: list[tuple] = []
    stack = [config]
    while stack:
        value = stack.pop()
        keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        places += [(value, key) for key in keys]
        stack += [value[key] for key in keys]
    strange = [
        None,
        -1,
        0,
        10**9,
        2**70,
        0.5,
        float("nan"),
        "",
        "Lambda",
        [],
        {},
        [None],
        True,
        {"class_name": "Dense"},
    ]
    for _ in range(rng.integers(1, 4)):
        holder, key = places[rng.integers(len(places))]
        other, which = places[rng.integers(len(places))]
        new = json.loads(json.dumps(other[which])) if rng.integers(2) else strange[rng.integers(len(strange))]
        holder[key] = new
    return config


def fuzz_configs(tmp_path: Path, rounds: int, seed: int) -> int:
    rng = np.random.default_rng(seed)
    parts = hostile.members(hostile.ordinary(".keras"))
    words = hostile.members(hostile.of_words())
    refused = 0
    path = tmp_path / "strange.keras"
    for turn in range(rounds):
        source = words if turn % 4 == 0 else parts
        config = mutated_config(json.loads(source["config.json"]), rng)
        path.write_bytes(hostile.archive({**source, "config.json": json.dumps(config).encode()}))
        refused += is_refused(path)
    return refused


def test_strange_descriptions_are_refused_or_harmless(tmp_path):
    assert fuzz_configs(tmp_path, 40, seed=0) > 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
def test_many_strange_descriptions_are_refused_or_harmless(tmp_path, seed):
    assert fuzz_configs(tmp_path, 500, seed) > 100


def test_a_mean_for_every_place_is_not_copied_to_each(tmp_path):
    """The file is refused for what its layer gives out, before Keras makes tables of that size."""

    def change(config):
        layer(config, "image")["config"]["batch_shape"] = [None, 10_000, 10_000, 3]
        norm = layer(config, "norm")
        norm.update(class_name="Normalization", module="keras.layers")
        norm["config"] = {"name": "norm", "axis": [1, 2, 3], "mean": 0.5, "variance": 4.0}
        norm["inbound_nodes"][0]["kwargs"] = {}

    path = tmp_path / "x.keras"
    path.write_bytes(hostile.with_config(change))
    before = psutil.Process().memory_info().rss
    with pytest.raises(UserError):
        imported.inspect(path)
    assert psutil.Process().memory_info().rss - before < MEMORY


@pytest.mark.parametrize(
    ("axis", "mean"),
    [(-1, 0.5), (None, 0.5), (3, [1.0, 2, 3]), ([-3, -2, -1], [1.0, 2, 3]), ([3, 1], [[1.0], [2], [3], [4]])],
)
def test_a_mean_that_is_not_copied_gives_the_same(axis, mean):
    given = {"axis": axis, "mean": mean, "variance": (np.asarray(mean) + 1).tolist()}
    images = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype("float32")
    expected = keras.layers.Normalization(**given)(images)
    layer_settings.check("Normalization", given)
    np.testing.assert_allclose(keras.layers.Normalization(**given)(images), expected, rtol=1e-6)


def test_what_an_ended_worker_left_behind_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    old, new = tmp_path / "layerscope-opening-old", tmp_path / "layerscope-opening-new"
    for folder in (old, new):
        folder.mkdir()
        (folder / "model.weights.h5").write_bytes(b"x")
    os.utime(old, (0, 0))
    path = tmp_path / "x.keras"
    path.write_bytes(hostile.ordinary(".keras"))
    imported.inspect(path)
    assert {each.name for each in tmp_path.iterdir()} == {new.name, path.name}


def test_names_that_begin_with_thousands_of_digits_are_names():
    assert len(answers.names_in("9" * 5000 + " a\n" + "8" * 5000 + " b")) == 2
