"""How far a run has come, in one file: what another process needs to go on as if nothing had happened.

A NumPy archive, read without executing anything: the loop's arrays, the loss of every batch, and in `facts` (JSON) all
the rest, which is also enough to tell of a run that is not at work. Free of TensorFlow.
"""

from __future__ import annotations

import base64
import json
import struct
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from core import runs, storage
from core.messages import digest_of
from core.transfer.requests import EpochRow, TrainingConfig, TrainingSnapshot, Watched

VERSION = 1
FACTS_MAX = 64 * 1024**2  # characters
_LOSSES, _PLACES, _ARRAY = "batch_losses", "batch_epochs", "array/"


@dataclass(frozen=True)
class Checkpoint:
    """A run at the end of an epoch.

    `told` is what there was to tell then, with the loss of every batch; `state` and `arrays` are the loop's own (JSON
    values, and named arrays). `data` says which photos there were and how they were split, as `digest_of_photos` does;
    `per_photo` is the backbone's pace in seconds.
    """

    told: TrainingSnapshot
    data: str
    batch_size: int
    per_photo: float = 0.0
    state: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict, repr=False)


class Damaged(ValueError):
    """What is on disk is no checkpoint that can be read."""


def digest_of_config(config: TrainingConfig) -> str:
    """The same for two configurations that differ in `out` alone."""
    return digest_of(repr(replace(config, out="")).encode())


def digest_of_photos(digests: tuple[str, ...], *splits: np.ndarray) -> str:
    """The same for the same photos in the same order, split alike."""
    return digest_of(json.dumps([digests, *([int(place) for place in split] for split in splits)]).encode())


def write(folder: Path, config: TrainingConfig, checkpoint: Checkpoint) -> None:
    """Put `checkpoint` of a run of `config` into the place of the one before it.

    Raises `UserError` where there is no room for both.
    """
    told = checkpoint.told
    facts = {
        "version": VERSION,
        "config": digest_of_config(config),
        "data": checkpoint.data,
        "batch_size": checkpoint.batch_size,
        "per_photo": checkpoint.per_photo,
        "state": checkpoint.state,
        "told": _plain(replace(told, batch_losses=(), batch_epochs=())),
    }
    values = {f"{_ARRAY}{name}": np.asarray(value) for name, value in checkpoint.arrays.items()}
    values[_LOSSES], values[_PLACES] = np.float64(told.batch_losses), np.float64(told.batch_epochs)
    values["facts"] = np.array(json.dumps(facts, allow_nan=False))
    needs = sum(value.nbytes + 1000 for value in values.values())
    storage.write_atomically(folder / runs.CHECKPOINT, lambda path: np.savez(path, **values), needs=needs)


def read(folder: Path, config: TrainingConfig) -> Checkpoint | None:
    """The checkpoint in `folder`, `None` where there is none or where it is of another configuration.

    Raises `Damaged` where it cannot be read.
    """
    with _opened(folder) as found:
        if found is None:
            return None
        facts = _facts(found)
        if facts["config"] != digest_of_config(config):
            return None
        arrays = {name.removeprefix(_ARRAY): found[name] for name in found.files if name.startswith(_ARRAY)}
        told = replace(_told(facts), batch_losses=_floats(found[_LOSSES]), batch_epochs=_floats(found[_PLACES]))
        size, pace = int(facts["batch_size"]), float(facts["per_photo"])
        return Checkpoint(told, str(facts["data"]), size, pace, dict(facts["state"]), arrays)


def told(folder: Path) -> TrainingSnapshot | None:
    """What there is to tell of the run in `folder` that has not ended, however it was left; the weights stay unread."""
    try:
        with _opened(folder) as found:
            if found is None:
                return None
            losses, places = thinned(_floats(found[_LOSSES])), thinned(_floats(found[_PLACES]))
            return replace(_told(_facts(found)), batch_losses=losses, batch_epochs=places)
    except Damaged:
        return None


def remove(folder: Path) -> None:
    """Raises `OSError` where that is not allowed."""
    (folder / runs.CHECKPOINT).unlink(missing_ok=True)


def thinned(values: tuple[float, ...] | list[float], most: int = 500) -> tuple[float, ...]:
    """At most `most` of `values`, evenly spread, the first and the last among them."""
    if len(values) <= most:
        return tuple(values)
    return tuple(values[place] for place in np.linspace(0, len(values) - 1, most).round().astype(int))


@contextmanager
def _opened(folder: Path) -> Iterator[Any]:
    """The archive, or `None` where there is no file; whatever goes wrong inside is `Damaged`."""
    path = folder / runs.CHECKPOINT
    if not path.is_file():
        yield None
        return
    try:
        with np.load(path, allow_pickle=False) as found:
            if not isinstance(found, np.lib.npyio.NpzFile):
                raise Damaged("not an archive")
            yield found
    except (
        *(OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, MemoryError, SyntaxError),
        *(RecursionError, NotImplementedError, RuntimeError, OverflowError, struct.error, zipfile.BadZipFile),
    ) as error:
        raise Damaged(str(error)) from error


def _facts(found: Mapping[str, np.ndarray]) -> dict[str, Any]:
    facts = json.loads(str(found["facts"])[:FACTS_MAX])
    if facts["version"] != VERSION:
        raise Damaged("of another version")
    return facts


def _plain(snapshot: TrainingSnapshot) -> dict[str, Any]:
    facts = asdict(replace(snapshot, report=None))
    for watched in facts["watched"]:
        watched["thumbnail"] = base64.b64encode(watched["thumbnail"]).decode()
    return facts


def _told(facts: Mapping[str, Any]) -> TrainingSnapshot:
    told = dict(facts["told"])
    told["history"] = tuple(EpochRow(**row) for row in told["history"])
    told["watched"] = tuple(
        Watched(
            each["file"],
            base64.b64decode(each["thumbnail"]),
            int(each["true"]),
            tuple(each["said"]),
            tuple(each["probability"]),
        )
        for each in told["watched"]
    )
    for name in ("classes", "notes"):
        told[name] = tuple(told[name])
    return TrainingSnapshot(**told)


def _floats(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
