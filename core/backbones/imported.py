"""Opening a person's own `.keras` or `.h5` file safely.

A model file is a program: its configuration names classes to be built and numbers to be allocated. `load_model(...,
safe_mode=True)` of Keras 3.15 refuses most code, but builds and allocates what the file says before it finds out that
the file lies. So here, in this order: (1) the archive is looked through without unpacking, (2) every entry of the
configuration is held against lists of what is allowed, and its module written anew, (3) the HDF5 is looked through
without reading values, (4) the model is built without memory for its weights, and counted, and only then (5) given
memory, and the weights. What is built is the configuration that has been checked, never the file's own, and what is
read is a copy that nobody else can change meanwhile.
"""

from __future__ import annotations

import json
import logging
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import keras

from core import storage
from core.backbones import (
    allowed,
    answers,
    filling,
    hdf5_check,
    layer_settings,
    limits,
    mistaken,
    model_archive,
    private_copy,
    understanding,
    vocabularies,
)
from core.backbones.fresh_thread import in_fresh_thread
from core.backbones.layer_settings import NotAllowed
from core.backbones.understanding import MAX_NAME, Understood
from core.errors import UserError

log = logging.getLogger(__name__)

SUFFIXES = (".keras", ".h5", ".hdf5")
FACTS = "layerscope"  # the key of our own facts in a `.keras` file's metadata.json

_MB = 1024**2
_MAX_FILE_BYTES = 4096 * _MB
_SHOWN_NAME = 80  # characters of a file's name in a sentence
_OLD_GROUP = "_layer_checkpoint_dependencies"  # as Keras 2.12 called "layers" in an archive's weights


@dataclass(frozen=True)
class OpenedModel:
    """A person's model as it is in the file, and the facts that we (or the Trainer) noted in it. The caller owns
    `model`.

    `vocabularies` are the words that its layers look up, each at its number, by the layers' names
    ("text_vectorization", or "inner/text_vectorization" in a nested model); they are set on the layers already.
    """

    model: keras.Model
    facts: dict[str, Any]
    vocabularies: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class InspectedModel:
    """What an accepted file holds."""

    parameters: int
    understood: Understood

    @property
    def words(self) -> str:
        found = self.understood
        height, width = found.input_size
        reads = f"images of {height} × {width} pixels"
        pixels = f"; {found.preprocessing.words}"
        if found.reads == "text":
            reads, pixels = "text", ""
        classes = f", {len(found.class_names)} named classes" if found.class_names else ""
        notes = "".join(f" {note}" for note in found.notes)
        return (
            f"A Keras model of {len(found.tensors)} layers and {self.parameters:,} parameters for {reads}{classes}"
            f"{pixels}.{notes}"
        )


@dataclass(frozen=True)
class _Built:
    """A model without memory for its weights, and all the variables that were made with it."""

    model: keras.Model
    made: list[keras.Variable]
    inspected: InspectedModel


@dataclass(frozen=True)
class _Checked:
    """A file that passed steps 1 to 3: the rewritten configuration, the HDF5 file to load from, how many numbers are in
    it, our facts, and the words that its layers look up."""

    config: dict[str, Any]
    weights: Path
    elements: int
    facts: dict[str, Any] = field(default_factory=dict)
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)


def inspect(path: Path | str) -> str:
    """What the file holds, in a sentence, without loading its weights. Raises `UserError` where it is refused."""
    return examine(path).words


def examine(path: Path | str) -> InspectedModel:
    """Steps 1 to 4 on the file: everything but loading the weights. Raises `UserError` where it is refused."""
    path = Path(path)
    with _checked(path) as checked:
        return in_fresh_thread(lambda: _counted(path, checked)).inspected


def open_model(path: Path | str, *, trained: bool = True) -> OpenedModel:
    """The model in the file, checked, with its weights; or, not `trained`, as Keras has just built it.

    Raises `UserError` with one sentence where it is refused, `limits.NoRoom` where this process has too little memory.
    """
    path = Path(path)
    with _checked(path) as checked:
        built = in_fresh_thread(lambda: _counted(path, checked))
        model = built.model
        limits.check_memory(shown(path), model)
        if trained:
            filling.from_file(model, built.made, checked.weights, shown(path))
        else:
            filling.drawn(built.made, shown(path))
        return OpenedModel(model, checked.facts, _worded(path, model, checked, trained=trained))


def shown(path: Path) -> str:
    """The file's name for a sentence: on one line, and not long."""
    name = "".join(sign if sign.isprintable() else "?" for sign in path.name) or str(path)
    return name if len(name) <= _SHOWN_NAME else f"{name[: _SHOWN_NAME - 20]}...{name[-17:]}"


def write_facts(
    path: Path | str, class_names: Sequence[str], input_size: Sequence[int | None] | None, **facts: Any
) -> None:
    """Note the names of the classes and the input size (height, width) in the `.keras` file at `path`.

    They go into the archive's metadata.json, which Keras ignores; further `facts` must be JSON. The file is written
    beside and put in its place whole. Raises `UserError` where it is no `.keras` file or there is no room.
    """
    path = Path(path)
    _check_size(path)
    metadata = _json(shown(path), model_archive.read(path, shown(path)).metadata, "metadata.json in it")
    size = list(input_size) if input_size is not None and all(input_size) else None
    ours = {**facts, "class_names": [str(name)[:MAX_NAME] for name in class_names], "input_size": size}

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(temporary, "w") as new:
            for member in old.infolist():
                if member.filename == "metadata.json":
                    new.writestr("metadata.json", json.dumps({**metadata, FACTS: ours}))
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
    return hdf5_check.check(path, path.name, vectors_of_text=True)


@contextmanager
def _checked(path: Path) -> Iterator[_Checked]:
    """Steps 1 to 3. What has to be unpacked goes into a folder that goes away afterwards.

    What kind of file it is its first bytes say: Keras up to 2.12 writes HDF5 into files called `.keras`.
    """
    name = shown(path)
    _check_size(path)
    if path.suffix.lower() not in SUFFIXES:
        _refuse_what_is_known(path, name)
        raise UserError(f"{name} is no model file: its name must end in .keras or .h5, as Keras saves models.")
    with private_copy.folder(name) as folder:
        if h5py.is_hdf5(path):
            yield _checked_hdf5(path, name, folder)
        elif _starts_with(path, b"PK"):
            _refuse_what_is_known(path, name)
            yield _checked_archive(path, name, folder)
        else:
            raise UserError(mistaken.sentence(path, name))


def _checked_hdf5(path: Path, name: str, folder: Path) -> _Checked:
    copy = folder / "model.h5"  # Keras goes by the suffix
    try:
        with path.open("rb") as file:
            private_copy.write(file, copy, path.stat().st_size, name)
    except OSError as error:
        raise UserError(f"The file {name} cannot be read: {error.strerror}.") from error
    elements = hdf5_check.check(copy, name, vectors_of_text=True)
    return _Checked(_parse_config(name, _config_of_h5(copy, name)), copy, elements)


def _checked_archive(path: Path, name: str, folder: Path) -> _Checked:
    weights = folder / model_archive.WEIGHTS
    archive = model_archive.unpack(path, weights, name)
    config = _parse_config(name, archive.config)
    facts = _json(name, archive.metadata, "metadata.json in it").get(FACTS)
    elements = hdf5_check.check(weights, name, vectors_of_text=False)
    try:
        _rename_old_groups(weights)
    # HDF5 raises many kinds of errors where a name is taken, or is no group.
    except Exception as error:
        if private_copy.is_full(folder):
            raise private_copy.no_room(name, path.stat().st_size) from error
        raise UserError(f"The weights in {name} do not fit the model in it: the file is damaged.") from error
    return _Checked(config, weights, elements, facts if isinstance(facts, dict) else {}, archive.vocabularies)


def _check_size(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise UserError(f"The file {shown(path)} cannot be read: {error.strerror}.") from error
    if path.is_dir():
        raise UserError(mistaken.sentence(path, shown(path)))
    if not path.is_file() or size == 0:
        raise UserError(f"{shown(path)} is empty or no file.")
    if size > _MAX_FILE_BYTES:
        raise UserError(f"{shown(path)} has {size / 1024**3:.1f} GB; models of up to 4 GB are opened.")


def _starts_with(path: Path, magic: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(magic)) == magic
    except OSError as error:
        raise UserError(f"The file {shown(path)} cannot be read: {error.strerror}.") from error


def _refuse_what_is_known(path: Path, name: str) -> None:
    """A sentence of its own for what people take for a Keras model."""
    if _starts_with(path, b"PK"):
        kind = model_archive.kind(path)
        if kind is not None:
            raise UserError(f"{name} {kind}.")
    elif not h5py.is_hdf5(path):
        raise UserError(mistaken.sentence(path, name))


def _rename_old_groups(weights: Path) -> None:
    """Keras 3 looks for the weights of Keras 2.12's archives under another name."""
    with h5py.File(weights, "r+") as file:
        groups = [file] if _OLD_GROUP in file else []
        while groups:
            group = groups.pop()
            group.move(_OLD_GROUP, "layers")
            groups += [each for each in group["layers"].values() if isinstance(each, h5py.Group) and _OLD_GROUP in each]


# Step 2: the configuration


def _config_of_h5(path: Path, name: str) -> bytes:
    with h5py.File(path, "r") as file:
        config = file.attrs.get("model_config")
    if not isinstance(config, str | bytes):
        raise UserError(
            f"{name} holds weights only, no model: give it as weights of a model of the catalogue, or save the whole "
            "model with `model.save('model.keras')`."
        )
    if len(config) > model_archive.MAX_CONFIG_BYTES:
        raise UserError(f"{name} is refused: the description of the model in it is too long.")
    return config.encode(errors="surrogateescape") if isinstance(config, str) else config


def _json(name: str, data: bytes, what: str = "description of the model in it") -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("the same key twice")
        return dict(pairs)

    try:
        parsed = json.loads(data, object_pairs_hook=unique)
        if not isinstance(parsed, dict):
            raise ValueError("no object")
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name} is refused: the {what} cannot be read; save it again with Keras.") from error
    return parsed


def _parse_config(name: str, data: bytes) -> dict[str, Any]:
    config = _json(name, data)
    kind = config.get("class_name")
    if not isinstance(kind, str):
        raise UserError(f"{name} is refused: it describes no functional or sequential Keras model.")
    if kind not in allowed.MODELS:
        raise UserError(
            f"{name} is refused: its model is of the class {layer_settings.shown(kind)}, whose code is not in the "
            "file: rebuild it as a functional or sequential model of Keras and save it again."
        )
    try:
        allowed.rewrite(config)
    except NotAllowed as error:
        raise UserError(f"{name} is refused: {error}.") from error
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{name} is refused: the description of the model in it is malformed; save it again with Keras."
        ) from error
    return config


# Step 4: building without memory, and counting


def _counted(path: Path, checked: _Checked) -> _Built:
    """The model, built without memory for its weights, and what it is; refused if it is too much.

    Must run in a thread of its own: Keras would give the variables memory later in the same one.
    """
    name = shown(path)
    with keras.StatelessScope(initialize_variables=False):
        model = _built(path, checked.config)
        made = limits.made_here()
        parameters = limits.check_weights(name, model, made, checked.elements)
        _worded(path, model, checked, trained=False)
        found = _understood(path, model, checked)
        limits.check_layers(name, found)
        return _Built(model, made, InspectedModel(parameters, found))


def _understood(path: Path, model: keras.Model, checked: _Checked) -> Understood:
    try:
        return understanding.understand(model, checked.facts, beside=answers.beside(path))
    except UserError:
        raise
    except Exception as error:
        log.warning("%s could not be understood.", path.name, exc_info=error)
        raise UserError(
            f"The model in {shown(path)} is put together in a way that cannot be looked into: rebuild it as a "
            "functional model of Keras and save it again."
        ) from error


def _worded(path: Path, model: keras.Model, checked: _Checked, *, trained: bool) -> dict[str, tuple[str, ...]]:
    try:
        return vocabularies.give(model, checked.words, weighted=trained)
    except NotAllowed as error:
        raise UserError(f"{shown(path)} is refused: {error}.") from error


def _built(path: Path, config: dict[str, Any]) -> keras.Model:
    try:
        # A copy, because Keras empties some of the dictionaries that it reads.
        model = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)), safe_mode=True)
    # Keras' own texts quote the whole configuration, or mislead.
    except Exception as error:
        raise UserError(
            f"The model in {shown(path)} cannot be built: the file is damaged, or a version of Keras saved it that is "
            "too old or too new; open it there, and save it with `model.save('model.keras')` in Keras 3."
        ) from error
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None):
        raise UserError(f"The model in {shown(path)} has never seen an input: build it in Keras, then save it again.")
    return model
