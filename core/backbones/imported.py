"""Opening a person's own `.keras` or `.h5` file safely.

A model file is a program: its configuration names classes to be built and numbers to be allocated. `load_model(...,
safe_mode=True)` of Keras 3.15 refuses most code, but builds and allocates what the file says before it finds out that
the file lies. So here, in this order: (1) the archive is looked through without unpacking, (2) every entry of the
configuration is held against lists of what is allowed, and its module written anew, (3) the HDF5 is looked through
without reading values, (4) the model is built without memory for its weights, and counted, and only then (5) built and
filled. What is built is the configuration that has been checked, never the file's own.
"""

from __future__ import annotations

import json
import math
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import keras

from core import storage
from core.backbones import allowed, answers, understanding
from core.backbones.fresh_thread import in_fresh_thread
from core.backbones.understanding import MAX_NAME, Understood
from core.errors import UserError

SUFFIXES = (".keras", ".h5")
FACTS = "layerscope"  # the key of our own facts in a `.keras` file's metadata.json

_MB = 1024**2
_MAX_FILE_BYTES = 4096 * _MB
_MAX_CONFIG_BYTES = 16 * _MB
_MAX_METADATA_BYTES = 1 * _MB
_MAX_OVERHEAD_BYTES = 64 * _MB  # what is neither values nor padding in an HDF5 file
_MAX_OBJECTS = 100_000
_MAX_PARAMETERS = 600_000_000
_MAX_ACTIVATION_BYTES = 1024 * _MB  # of one layer's output for one image
_DEFAULT_SIZE = 224
_MEMBERS = {"config.json", "metadata.json", "model.weights.h5"}


@dataclass(frozen=True)
class OpenedModel:
    """A person's model as it is in the file, and the facts that we (or the Trainer) noted in it. The caller owns
    `model`."""

    model: keras.Model
    facts: dict[str, Any]


@dataclass(frozen=True)
class InspectedModel:
    """What an accepted file holds."""

    path: Path
    parameters: int
    understood: Understood

    @property
    def words(self) -> str:
        found = self.understood
        height, width = found.input_size
        reads = "text" if found.reads == "text" else f"images of {height} × {width} pixels"
        classes = f", {len(found.class_names)} named classes" if found.class_names else ""
        notes = "".join(f" {note}" for note in found.notes)
        return (
            f"A Keras model of {len(found.tensors)} layers and {self.parameters:,} parameters for {reads}{classes}; "
            f"{found.preprocessing.words}.{notes}"
        )


@dataclass(frozen=True)
class _Checked:
    """A file that passed steps 1 to 3: the rewritten configuration, the HDF5 file to load from, and our facts."""

    config: dict[str, Any]
    weights: Path
    elements: int
    facts: dict[str, Any]


def inspect(path: Path | str) -> str:
    """What the file holds, in a sentence, without loading its weights. Raises `UserError` where it is refused."""
    return examine(path).words


def examine(path: Path | str) -> InspectedModel:
    """Steps 1 to 4 on the file: everything but loading the weights. Raises `UserError` where it is refused."""
    path = Path(path)
    with _checked(path) as checked:
        return in_fresh_thread(lambda: _counted(path, checked))


def open_model(path: Path | str, *, trained: bool = True) -> OpenedModel:
    """The model in the file, checked, with its weights; or, not `trained`, as Keras has just built it.

    Raises `UserError` with one sentence where it is refused.
    """
    path = Path(path)
    with _checked(path) as checked:
        in_fresh_thread(lambda: _counted(path, checked))
        model = _built(path, checked.config)
        try:
            if trained:
                model.load_weights(str(checked.weights))
        except Exception as error:
            raise UserError(f"The weights in {path.name} do not fit the model in it: the file is damaged.") from error
        return OpenedModel(model, checked.facts)


def write_facts(
    path: Path | str, class_names: Sequence[str], input_size: Sequence[int | None] | None, **facts: Any
) -> None:
    """Note the names of the classes and the input size (height, width) in the `.keras` file at `path`.

    They go into the archive's metadata.json, which Keras ignores; further `facts` must be JSON. The file is written
    beside and put in its place whole. Raises `UserError` where it is no `.keras` file or there is no room.
    """
    path = Path(path)
    _read_archive(path)
    size = list(input_size) if input_size is not None and all(input_size) else None
    ours = {**facts, "class_names": [str(name)[:MAX_NAME] for name in class_names], "input_size": size}

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(temporary, "w") as new:
            for member in old.infolist():
                if member.filename == "metadata.json":
                    metadata = {**json.loads(old.read(member)), FACTS: ours}
                    new.writestr("metadata.json", json.dumps(metadata))
                    continue
                with old.open(member) as source, new.open(member.filename, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target, _MB)

    storage.write_atomically(path, write, needs=path.stat().st_size + _MB)


def check_weights_file(path: Path | str) -> int:
    """Step 3 for a file of weights alone; returns how many numbers are in it.

    Raises `UserError` where it is not there, no HDF5, or not what it says.
    """
    path = Path(path)
    if path.suffix.lower() != ".h5":
        raise UserError(f"{path.name} is no file of weights: Keras saves them as .weights.h5 or .h5.")
    _check_size(path)
    return _check_hdf5(path, path.name, vectors_of_text=True)


@contextmanager
def _checked(path: Path) -> Iterator[_Checked]:
    """Steps 1 to 3. The weights of an archive are unpacked into a folder that goes away afterwards."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path.name} is no model file: its name must end in .keras or .h5, as Keras saves models.")
    _check_size(path)
    if suffix == ".h5":
        elements = _check_hdf5(path, path.name, vectors_of_text=True)
        yield _Checked(_parse_config(path, _config_of_h5(path)), path, elements, {})
        return
    config, metadata = _read_archive(path)
    checked_config = _parse_config(path, config)
    facts = _json(path, metadata).get(FACTS)
    with tempfile.TemporaryDirectory(prefix="layerscope-") as folder:
        weights = Path(folder) / "model.weights.h5"
        _unpack_weights(path, weights)
        elements = _check_hdf5(weights, path.name, vectors_of_text=False)
        yield _Checked(checked_config, weights, elements, facts if isinstance(facts, dict) else {})


def _check_size(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UserError(f"The file {path} cannot be read: {error.strerror}.") from error
    if not path.is_file() or size == 0:
        raise UserError(f"{path.name} is empty or no file.")
    if size > _MAX_FILE_BYTES:
        raise UserError(f"{path.name} has {size / 1024**3:.1f} GB; models of up to 4 GB are opened.")


# Step 1: the archive


def _read_archive(path: Path) -> tuple[bytes, bytes]:
    """The configuration and the metadata of a `.keras` file, once its directory is known to be harmless."""
    try:
        _check_entry_count(path)
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(path, members)
            return _member(archive, "config.json"), _member(archive, "metadata.json")
    except (OSError, zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error, RuntimeError) as error:
        raise UserError(
            f"{path.name} is no .keras file, or it is damaged: it cannot be opened as an archive."
        ) from error


def _check_entry_count(path: Path) -> None:
    """Read the number of entries from the archive's end record: a hostile archive's directory can have millions."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 65_557))
        tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        raise zipfile.BadZipFile
    entries, directory_bytes = struct.unpack("<HI", tail[at + 10 : at + 16])
    if entries != len(_MEMBERS) or directory_bytes > 65_536:
        raise _wrong_members(path)


def _wrong_members(path: Path) -> UserError:
    return UserError(f"{path.name} is no .keras file: it must hold exactly {', '.join(sorted(_MEMBERS))}.")


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    if len(members) != len(_MEMBERS) or {member.filename for member in members} != _MEMBERS:
        raise _wrong_members(path)
    limits = {"config.json": _MAX_CONFIG_BYTES, "metadata.json": _MAX_METADATA_BYTES}
    end = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UserError(f"{path.name} is encrypted or packed in an unusual way; save it again with Keras.")
        if member.header_offset < end:
            raise UserError(f"{path.name} is refused: its members overlap.")
        end = member.header_offset + 30 + len(member.filename) + member.compress_size
        if member.file_size > limits.get(member.filename, 4 * member.compress_size + _MB):
            raise UserError(
                f"{path.name} is refused: its {member.filename} would unpack to {member.file_size:,} bytes."
            )


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as file:
        data = file.read(_MAX_CONFIG_BYTES + 1)
    if len(data) > _MAX_CONFIG_BYTES:
        raise zipfile.BadZipFile
    return data


def _unpack_weights(path: Path, target: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo("model.weights.h5").file_size
            if size > storage.free_bytes(target.parent):
                raise UserError(f"There is not enough room on the disk to unpack {path.name} ({size:,} bytes).")
            # Python's reader stops at the size that the directory states, and checks the CRC there.
            with archive.open("model.weights.h5") as source, target.open("wb") as file:
                shutil.copyfileobj(source, file, _MB)
    except (OSError, zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise UserError(f"The weights in {path.name} cannot be unpacked: the file is damaged.") from error


# Step 2: the configuration


def _config_of_h5(path: Path) -> bytes:
    with h5py.File(path, "r") as file:
        config = file.attrs.get("model_config")
    if not isinstance(config, str | bytes) or len(config) > _MAX_CONFIG_BYTES:
        raise UserError(
            f"{path.name} holds weights only, no model. Give it as weights of a model of the catalogue instead."
        )
    return config.encode() if isinstance(config, str) else config


def _json(path: Path, data: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("the same key twice")
        return dict(pairs)

    try:
        parsed = json.loads(data, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path.name} is refused: the description of the model in it cannot be read.") from error
    if not isinstance(parsed, dict):
        raise UserError(f"{path.name} is refused: it does not describe a model.")
    return parsed


def _parse_config(path: Path, data: bytes) -> dict[str, Any]:
    config = _json(path, data)
    if config.get("class_name") not in allowed.MODELS:
        raise UserError(f"{path.name} is refused: it describes no functional or sequential Keras model.")
    try:
        allowed.rewrite(config)
    except allowed.NotAllowed as error:
        raise UserError(f"{path.name} is refused: {error}.") from error
    return config


# Step 3: the HDF5


def _check_hdf5(path: Path, name: str, *, vectors_of_text: bool) -> int:
    """Look through the HDF5 file at `path` without reading values; returns how many numbers are stored in it.

    `vectors_of_text` allows attributes that are lists of strings, which whole models in HDF5 need.
    """
    try:
        with h5py.File(path, "r") as file:
            elements, stored = _count_values(file, vectors_of_text)
    except _Suspicious as error:
        raise UserError(f"{name} is refused: {error}.") from error
    # HDF5's library reports damage by many kinds of errors.
    except Exception as error:
        raise UserError(f"{name} is damaged: the weights in it cannot be read.") from error
    if path.stat().st_size - stored > _MAX_OVERHEAD_BYTES:
        raise UserError(f"{name} is refused: most of it is neither a model nor weights.")
    return elements


class _Suspicious(Exception):
    """What is wrong with an HDF5 file, as the end of a sentence."""


def _count_values(file: h5py.File, vectors_of_text: bool) -> tuple[int, int]:
    """The numbers in `file` and the bytes they take, the optimiser's left out of the numbers."""
    elements = stored = 0
    seen: set[Any] = set()
    stack: list[tuple[str, Any]] = [("", file["/"])]
    while stack:
        path, item = stack.pop()
        address = h5py.h5o.get_info(item.id).addr
        if address in seen:
            raise _Suspicious("one object in it has several names")
        seen.add(address)
        if len(seen) > _MAX_OBJECTS:
            raise _Suspicious(f"it holds more than {_MAX_OBJECTS:,} objects")
        _check_attributes(item, vectors_of_text)
        if isinstance(item, h5py.Dataset):
            _check_dataset(item)
            stored += item.id.get_storage_size()
            elements += 0 if path.startswith("/optimizer") else math.prod(item.shape)
            continue
        for key in item:
            if type(item.get(key, getlink=True)) is not h5py.HardLink:
                raise _Suspicious("it refers to other places or files")
            stack.append((f"{path}/{key}", item[key]))
    return elements, stored


def _check_dataset(dataset: Any) -> None:
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise _Suspicious("it refers to data in other files")
    if dataset.shape is None or dataset.dtype.kind not in "fiub":
        raise _Suspicious("it holds something else than numbers")
    declared = math.prod(dataset.shape) * dataset.dtype.itemsize
    chunk = math.prod(dataset.chunks or (1,)) * dataset.dtype.itemsize
    if max(declared, chunk) > 4 * dataset.id.get_storage_size() + 4096:
        raise _Suspicious(f"it declares {declared:,} bytes of weights that are not in it")


def _check_attributes(item: Any, vectors_of_text: bool) -> None:
    for name in item.attrs:
        attribute = item.attrs.get_id(name)
        is_text = attribute.dtype.kind == "O"
        if is_text and attribute.shape not in ((), None) and not (vectors_of_text and len(attribute.shape) == 1):
            raise _Suspicious("an attribute in it is no plain text")
        if not is_text and attribute.dtype.kind not in "fiubS":
            raise _Suspicious("an attribute in it is neither text nor a number")


# Steps 4 and 5: counting, building


def _counted(path: Path, checked: _Checked) -> InspectedModel:
    """What the model is, found out by building it without memory for its weights; refused if it is too much.

    Must run in a thread of its own: Keras would give the variables memory later in the same one.
    """
    with keras.StatelessScope(initialize_variables=False):
        model = _built(path, checked.config)
        parameters = int(model.count_params())
        if parameters > _MAX_PARAMETERS:
            raise UserError(f"{path.name} is refused: {parameters:,} parameters are more than {_MAX_PARAMETERS:,}.")
        if parameters > checked.elements:
            raise UserError(
                f"{path.name} is refused: its model has {parameters:,} parameters, but the file holds only "
                f"{checked.elements:,} numbers."
            )
        found = understanding.understand(model, checked.facts, answers.beside(path))
        _check_shapes(path, found.flat, found.tensors)
        return InspectedModel(path, parameters, found)


def _built(path: Path, config: dict[str, Any]) -> keras.Model:
    try:
        # A copy, because Keras empties some of the dictionaries that it reads.
        model = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)), safe_mode=True)
    # Keras' own texts quote the whole configuration, or mislead.
    except Exception as error:
        raise UserError(
            f"The model in {path.name} cannot be built: the file is damaged, or comes from a version of Keras that is "
            "too old or too new."
        ) from error
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise UserError(f"The model in {path.name} has never seen an input: build it in Keras, then save it again.")
    return model


def _check_shapes(path: Path, flat: keras.Model, tensors: dict[str, Any]) -> None:
    for name, tensor in {"input": flat.inputs[0], **tensors}.items():
        size = 4 * math.prod(_DEFAULT_SIZE if length is None else length for length in tensor.shape[1:])
        if size > _MAX_ACTIVATION_BYTES:
            raise UserError(f"{path.name} is refused: its layer {name[:80]!r} would need {size / 1024**3:.0f} GB.")
