"""The training runs that are kept: one private folder for each, found again after a restart, deleted on request.

A run's folder holds, each file whole or absent: `config.json` from the start; `attempt.json` while a process is at work
on it, and `checkpoint.npz` while the run can still go on; `history.csv`, `report.json`, `model.keras`, `labels.txt` and
`held_back.npz` when it has ended or was stopped; `photos.zip` and `backbone/`, the run's own hard links to the photos
and to the network that a person brought; `bank.npz`, the features that a new photo is compared with; and what was
asked for afterwards: `savedmodel.zip`, `model.tflite`, `report.html`.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import secrets
import shutil
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from datetime import datetime
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from core import storage
from core.backbones.catalogue import CATALOGUE
from core.errors import UserError
from core.messages import ModelRef
from core.transfer.requests import TrainingConfig, TrainingReport

CONFIG, CHECKPOINT, REPORT, HISTORY = "config.json", "checkpoint.npz", "report.json", "history.csv"
MODEL, LABELS, HELD_BACK, PHOTOS, BANK = "model.keras", "labels.txt", "held_back.npz", "photos.zip", "bank.npz"
BACKBONE = "backbone"
FACTS_MAX_BYTES = 16 * 1024**2
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True)
class FinishedRun:
    """A training run that ended with a model. `path` is its `model.keras`; the accuracy is a fraction."""

    id: str
    path: Path
    classes: tuple[str, ...]
    backbone: str
    validation_accuracy: float
    when: datetime


@dataclass(frozen=True)
class Run:
    """What the disk knows of a run. `report` is `None` where it has not ended; `can_go_on` where a checkpoint is left,
    because it was stopped, or its process died (or is still at work: whoever knows the jobs must ask them)."""

    name: str
    folder: Path
    when: datetime  # it began
    config: TrainingConfig | None
    report: TrainingReport | None
    can_go_on: bool


@dataclass(frozen=True)
class HeldBack:
    """The validation photos of a run that has ended: `labels` `int64[N]` and `probabilities` `float32[N, C]`, both in
    the order of `files`, their names in the run's data."""

    classes: tuple[str, ...]
    files: tuple[str, ...] = field(repr=False)
    labels: np.ndarray = field(repr=False)
    probabilities: np.ndarray = field(repr=False)

    @property
    def said(self) -> np.ndarray:
        """`int64[N]`: the likeliest class of each."""
        return np.argmax(self.probabilities, axis=-1)


def new_run() -> Path:
    """A new, empty folder for the results of a training run: `runs/<date>-<random>`.

    Raises `UserError` where it cannot be made.
    """
    name = f"{datetime.now():%Y-%m-%d}-{secrets.token_hex(6)}"
    try:
        (storage.home() / "runs").mkdir(mode=0o700, exist_ok=True)
        path = storage.home() / "runs" / name
        path.mkdir(mode=0o700)
    except OSError as error:
        why = "the disk is full" if error.errno in storage.DISK_FULL else "it may not be written to"
        raise UserError(
            f"No run can be kept in {storage.home() / 'runs'}: {why}. Make room there, or choose another folder with "
            "the environment variable LAYERSCOPE_HOME."
        ) from error
    return path


def is_run(name: str) -> bool:
    """True where `name` is that of a folder made by `new_run`, and nothing that leads out of it."""
    return re.fullmatch(r"\d{4}-\d{2}-\d{2}-[0-9a-f]{12}", name) is not None


def finished_models(among: Collection[str] | None = None) -> list[FinishedRun]:
    """The runs that have both a `model.keras` and a readable `report.json`, newest first; only those `among` these
    names, where that is given."""
    found = (_finished(path) for path in _folders(among))
    return sorted((run for run in found if run is not None), key=lambda run: (run.when, run.id), reverse=True)


def read_report(run: Path) -> TrainingReport | None:
    """The report of the run in folder `run`, or `None` where there is none that can be read."""
    try:
        report = TrainingReport(**_known(_facts(run / REPORT), TrainingReport))
        return report if _adds_up(report) else None
    except _UNREADABLE:
        return None


def read_config(run: Path) -> TrainingConfig | None:
    """The configuration of the run in folder `run`, or `None` where there is none that can be read."""
    try:
        return TrainingConfig(**_known(_facts(run / CONFIG), TrainingConfig))
    except _UNREADABLE:
        return None


def write_config(run: Path, config: TrainingConfig) -> None:
    """Keep `config`, so that the run can be found and go on after whatever happens."""
    text = json.dumps(asdict(config), indent=2, ensure_ascii=False, allow_nan=False)
    storage.write_bytes(run / CONFIG, text.encode())


def read_held_back(run: Path) -> HeldBack | None:
    """What the network of the run in folder `run` said to the photos that it had not learned from."""
    report = read_report(run)
    if report is None:
        return None
    found = storage.read_arrays(run / HELD_BACK, "files", "labels", "probabilities")
    if found is None:
        return None
    files, labels, probabilities = found
    fits = (
        files.ndim == labels.ndim == 1
        and files.dtype.kind == "U"
        and labels.dtype.kind == "i"
        and probabilities.dtype.kind == "f"
        and probabilities.shape == (len(files), len(report.classes))
        and len(files) == len(labels) == report.validation_images
        and np.isfinite(probabilities).all()
        and np.isin(labels, range(len(report.classes))).all()
    )
    return HeldBack(report.classes, tuple(files.tolist()), labels, probabilities) if fits else None


def ended(run: Path) -> int:
    """When the run in folder `run` ended last, in nanoseconds; 0 where it has not. What was found out about the run
    before that is not about its network of now."""
    try:
        return (run / REPORT).stat().st_mtime_ns
    except OSError:
        return 0


def keep_photos(run: Path, data: str) -> str:
    """The run's own link to the ZIP `data`, which the uploads may lose one day; other data stays where it is."""
    source = Path(data)
    if data == "chessman" or not source.is_file():
        return data
    return str(_own(run / PHOTOS, source))


def keep_backbone(run: Path, ref: ModelRef) -> ModelRef:
    """The same network by the run's own link to its file, which the uploads may lose one day, or a person forget; one
    of the catalogue as it is. The file keeps its name, by which `same_backbone` knows it."""
    source = Path(ref.name).expanduser()
    if ref.name in CATALOGUE or not source.is_file():
        return ref
    return replace(ref, name=str(_own(run / BACKBONE / source.name, source)))


def same_backbone(name: str, other: str) -> bool:
    """Whether two runs, say, stand on the same network, each perhaps by a link of its own: one file, or two uploads
    under one digest."""
    if name == other or CATALOGUE.keys() & {name, other}:
        return name == other
    if Path(name).name == Path(other).name and storage.is_upload(Path(name).name):
        return True
    try:
        return Path(name).samefile(other)
    except OSError:
        return False


def _own(path: Path, source: Path) -> Path:
    """`path`, made a hard link to the file `source`, or a copy of it."""
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.hardlink_to(source.resolve())
    except OSError:  # another disk, or one without hard links
        storage.write_atomically(path, lambda copy: shutil.copyfile(source, copy), needs=source.stat().st_size)
    return path


def all_runs(among: Collection[str] | None = None) -> list[Run]:
    """Every run with a readable configuration or report, the newest first; only those `among` these names, where that
    is given."""
    found = (_run(path) for path in _folders(among))
    return sorted((run for run in found if run is not None), key=lambda run: (run.when, run.name), reverse=True)


def find(name: str) -> Run | None:
    """The run called `name`, as links say it."""
    path = storage.folder("runs") / name if is_run(name) else None
    return _run(path) if path is not None and path.is_dir() else None


def delete(name: str) -> None:
    """Remove the run called `name` and all that it holds. Raises `UserError` where that is not possible."""
    if not is_run(name):
        raise ValueError(f"{name!r} is not the name of a run.")
    path = storage.folder("runs") / name
    try:
        # Under another name first: half a run is then never found.
        gone = storage.beside(path)
        path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"The run {name} cannot be deleted: another program holds its files, or forbids it.") from error


def clean_up(older: float = storage.LEFT_BEHIND) -> None:
    """Remove the folders of runs that never began, `older` seconds ago or more: their process was killed first."""
    for path in _folders(None):
        with contextlib.suppress(OSError):
            began = any((path / name).exists() for name in (CONFIG, REPORT, CHECKPOINT, MODEL))
            if not began and time.time() - path.stat().st_mtime >= older:
                shutil.rmtree(path)


def _folders(among: Collection[str] | None) -> list[Path]:
    folder = storage.folder("runs")
    names = (path.name for path in folder.iterdir()) if among is None else among
    return [folder / name for name in names if is_run(name)]


def _run(path: Path) -> Run | None:
    config, report = read_config(path), read_report(path)
    if config is None and report is None:
        return None
    try:
        began = (path / (CONFIG if config else REPORT)).stat().st_mtime
    except OSError:  # deleted meanwhile
        return None
    when = datetime.fromtimestamp(began).astimezone()
    return Run(path.name, path, when, config, report, (path / CHECKPOINT).is_file())


def _known(facts: dict, kind: type) -> dict[str, Any]:
    """What `kind` has a field for, as that asks; a file of an earlier version lacks some, which then have their
    defaults. Raises `TypeError` for a value of another type: pages trust what they are given."""
    return {name: _as(facts[name], hint) for name, hint in get_type_hints(kind).items() if name in facts}


def _as(value: Any, hint: Any) -> Any:
    """`value` out of JSON as `hint` wants it: lists as tuples, objects as dataclasses, numbers only where finite."""
    if get_origin(hint) in (Union, UnionType):
        (inner,) = (each for each in get_args(hint) if each is not type(None))
        return None if value is None else _as(value, inner)
    if get_origin(hint) is tuple and isinstance(value, list):
        inner = get_args(hint)
        hints = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        return tuple(_as(each, wanted) for each, wanted in zip(value, hints, strict=True))
    if is_dataclass(hint) and isinstance(value, dict):
        return hint(**_known(value, hint))
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if hint is float and (is_whole or isinstance(value, float)) and math.isfinite(value):
        return value
    if is_whole if hint is int else hint in (str, bool) and isinstance(value, hint):
        return value
    raise TypeError(f"{value!r} is no {hint}.")


def _adds_up(report: TrainingReport) -> bool:
    """Whether the numbers go together, as far as pages divide by them and count on them."""
    rows, shares = report.confusion, (report.validation_accuracy, report.majority_accuracy, report.test_accuracy or 0.0)
    return (
        {len(rows), *map(len, rows)} == {len(report.classes)}
        and all(count >= 0 for row in rows for count in row)
        and sum(map(sum, rows)) == report.validation_images
        and min(report.images, report.training_images, report.test_images, report.epochs) >= 0
        and all(0 <= share <= 1 for share in shares)
    )


def _finished(run: Path) -> FinishedRun | None:
    model = run / MODEL
    try:
        if not model.is_file():
            return None
        facts = _facts(run / REPORT)
        accuracy = float(facts["validation_accuracy"])
        if not math.isfinite(accuracy):
            return None
        classes = tuple(str(name) for name in facts["classes"])
        when = datetime.fromtimestamp(model.stat().st_mtime).astimezone()
        return FinishedRun(run.name, model, classes, str(facts["backbone"]), accuracy, when)
    except _UNREADABLE:
        return None


def _facts(file: Path) -> dict:
    if file.stat().st_size > FACTS_MAX_BYTES:
        raise ValueError(f"{file.name} is larger than any that was written here.")
    return json.loads(file.read_text(encoding="utf-8"))
