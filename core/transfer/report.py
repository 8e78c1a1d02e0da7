"""What is known when a run has ended, in numbers and on disk. Free of TensorFlow."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

from core import runs, storage
from core.transfer.requests import EpochRow, TrainingReport


def confusion_matrix(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """`int64[C, C]` from two `int[N]`: how many photos of each true class (rows) were given to each class (columns)."""
    counts = np.bincount(np.asarray(true) * classes + np.asarray(predicted), minlength=classes**2)
    return counts.reshape(classes, classes)


def accuracy(confusion: np.ndarray) -> float:
    """The share of photos that were given to their own class."""
    total = int(np.sum(confusion))
    return float(np.trace(confusion)) / total if total else 0.0


def majority_accuracy(training: np.ndarray, validation: np.ndarray) -> float:
    """The accuracy on the labels `validation` of always answering the most frequent label of `training`."""
    return float(np.mean(np.asarray(validation) == np.argmax(np.bincount(training))))


def write(report: TrainingReport, history: Sequence[EpochRow], folder: Path | str) -> None:
    """Write `report.json` and `history.csv` into `folder`, each whole or not at all."""
    folder = Path(folder)
    storage.write_bytes(folder / "history.csv", history_csv(history).encode())
    text = json.dumps(asdict(report), indent=2, ensure_ascii=False, allow_nan=False)
    storage.write_bytes(folder / "report.json", text.encode())


def write_labels(classes: Sequence[str], folder: Path | str) -> None:
    """Write the names of the classes, one a line in the order of the network's outputs, as LiteRT's tools read them."""
    lines = [" ".join(name.split()) for name in classes]
    storage.write_bytes(Path(folder) / runs.LABELS, "".join(f"{line}\n" for line in lines).encode())


def write_held_back(files: Sequence[str], labels: np.ndarray, probabilities: np.ndarray, folder: Path | str) -> None:
    """Write what the network said to each validation photo, to be read by `runs.read_held_back`."""
    values = {"files": np.array(files, dtype=str), "labels": labels, "probabilities": np.float32(probabilities)}
    needs = sum(value.nbytes for value in values.values())
    storage.write_atomically(Path(folder) / runs.HELD_BACK, lambda path: np.savez(path, **values), needs=needs)


def history_csv(history: Sequence[EpochRow]) -> str:
    """One line for each epoch below a line of names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [column.name for column in fields(EpochRow)]
    writer.writerow(names)
    for row in history:
        writer.writerow([cell(getattr(row, name)) for name in names])
    return text.getvalue()


def cell(value: object) -> object:
    """`value` so that no spreadsheet takes it for a formula; numbers stay numbers."""
    if isinstance(value, str) and value.lstrip()[:1] in ("=", "+", "-", "@"):
        return f"'{value}"
    return value
