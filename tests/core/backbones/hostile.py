"""Making model files that are not what they seem, out of an ordinary one."""

from __future__ import annotations

import base64
import functools
import io
import json
import marshal
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
from keras import layers as L

Parts = dict[str, bytes]
Config = dict[str, Any]


@functools.cache
def ordinary(suffix: str) -> bytes:
    """A small convolutional network as Keras saves it."""
    inputs = keras.Input((16, 16, 3), name="image")
    x = L.Conv2D(4, 3, activation="relu", name="conv")(L.Rescaling(1 / 255, name="scale")(inputs))
    x = L.BatchNormalization(name="norm")(x)
    outputs = L.Dense(3, activation="softmax", name="classes")(L.GlobalAveragePooling2D(name="pool")(x))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{suffix}"
        keras.Model(inputs, outputs).save(path)
        return path.read_bytes()


@functools.cache
def of_words() -> bytes:
    """A small network that reads text, its words in the archive."""
    words = L.TextVectorization(output_sequence_length=5, name="words")
    words.adapt(["ba bu", "bi bo"])
    text = keras.Input((1,), dtype="string", name="text")
    x = L.GlobalMaxPooling1D(name="pool")(L.Embedding(8, 3, name="embedding")(words(text)))
    model = keras.Model(text, L.Dense(2, name="classes")(x))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.keras"
        model.save(path)
        return path.read_bytes()


def members(data: bytes) -> Parts:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive(parts: Parts | list[tuple[Any, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as made:
        for name, data in parts.items() if isinstance(parts, dict) else parts:
            made.writestr(name, data)
    return buffer.getvalue()


def with_member(name: str, data: bytes, *, source: bytes | None = None) -> bytes:
    return archive({**members(source or ordinary(".keras")), name: data})


def with_config(change: Callable[[Config], Any], *, source: bytes | None = None) -> bytes:
    """The `.keras` file with its configuration changed in place."""
    parts = members(source or ordinary(".keras"))
    config = json.loads(parts["config.json"])
    config = change(config) or config
    return archive({**parts, "config.json": json.dumps(config).encode()})


def with_weights(change: Callable[[h5py.File], None]) -> bytes:
    """The `.keras` file with its weights changed in place."""
    parts = members(ordinary(".keras"))
    return archive({**parts, "model.weights.h5": _changed(parts["model.weights.h5"], change)})


def h5_with(change: Callable[[h5py.File], None]) -> bytes:
    """The `.h5` file changed in place."""
    return _changed(ordinary(".h5"), change)


def h5_with_config(change: Callable[[Config], Any]) -> bytes:
    def rewrite(file: h5py.File) -> None:
        config = json.loads(file.attrs["model_config"])
        config = change(config) or config
        file.attrs["model_config"] = json.dumps(config)

    return h5_with(rewrite)


def _changed(data: bytes, change: Callable[[h5py.File], None]) -> bytes:
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        change(file)
    return buffer.getvalue()


def layer(config: Config, name: str) -> Config:
    return next(each for each in config["config"]["layers"] if each["config"]["name"] == name)


def setting(name: str, **values: Any) -> Callable[[Config], None]:
    """A change of the settings of the layer `name`."""
    return lambda config: layer(config, name)["config"].update(values)


def entry(name: str, **values: Any) -> Callable[[Config], None]:
    """A change of what the layer `name` is."""
    return lambda config: layer(config, name).update(values)


def code(canary: Path) -> str:
    """A function that makes the file `canary`, as Keras keeps functions in files."""
    compiled = compile(f"lambda x: (open({str(canary)!r}, 'w'), x)[1]", "x", "eval").co_consts[0]
    return base64.b64encode(marshal.dumps(compiled)).decode()


def lambda_of(canary: Path) -> Config:
    function = code(canary)
    return {
        "class_name": "__lambda__",
        "config": {"code": function, "value": function, "defaults": None, "closure": None},
    }


def numbers_of(file: h5py.File) -> h5py.Group:
    """The group of the convolution's numbers, in either format."""
    if "layers" in file:
        return file["layers/conv2d/vars"]
    group = file["model_weights/conv"]
    while not any(isinstance(each, h5py.Dataset) for each in group.values()):
        group = next(iter(group.values()))
    return group


def replace_numbers(make: Callable[[h5py.Group, str], None]) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        group = numbers_of(file)
        name = sorted(group)[0]
        del group[name]
        make(group, name)

    return change


def overlapping(data: bytes) -> bytes:
    """The archive with its second entry pointing at the first member."""
    changed = bytearray(data)
    directory = struct.unpack("<I", changed[-6:-2])[0]
    second = changed.index(b"PK\x01\x02", directory + 4)
    changed[second + 42 : second + 46] = struct.pack("<I", 0)
    return bytes(changed)


def in_directory(data: bytes, member: int, at: int, value: bytes) -> bytes:
    """The archive with `value` written into its directory's entry of the `member` (from 0), `at` bytes from there."""
    changed = bytearray(data)
    place = struct.unpack("<I", changed[-6:-2])[0]
    for _ in range(member):
        place = changed.index(b"PK\x01\x02", place + 4)
    changed[place + at : place + at + len(value)] = value
    return bytes(changed)


def counted_twice(data: bytes, more: int) -> bytes:
    """The archive with a second end (ZIP64), which counts `more` members; the first counts those that there were."""
    end = data.rfind(b"PK\x05\x06")
    entries, size, at = struct.unpack("<HII", data[end + 10 : end + 20])
    member = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"x"
    directory = data[at : at + size] + more * member
    count = entries + more
    second = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(directory), at)
    where = struct.pack("<4sLQL", b"PK\x06\x07", 0, at + len(directory), 1)
    first = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, entries, entries, size, 0xFFFFFFFF, 0)
    return data[:at] + directory + second + where + first
