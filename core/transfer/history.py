"""The curves of a run, read back from its `history.csv`. Free of TensorFlow."""

from __future__ import annotations

import csv
from dataclasses import fields
from pathlib import Path

from core import runs
from core.transfer.requests import EpochRow

_WORDS = {"phase"}
_WHOLE = {"epoch"}


def read(run: Path) -> tuple[EpochRow, ...]:
    """One row for each epoch; none where the file is missing or cannot be read."""
    try:
        file = run / runs.HISTORY
        if file.stat().st_size > runs.FACTS_MAX_BYTES:
            return ()
        with file.open(encoding="utf-8", newline="") as text:
            return tuple(_row(line) for line in csv.DictReader(text))
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return ()


def _row(line: dict[str, str]) -> EpochRow:
    known = {each.name for each in fields(EpochRow)}
    return EpochRow(**{name: _value(name, text) for name, text in line.items() if name in known})


def _value(name: str, text: str) -> str | int | float | None:
    if name in _WORDS:
        return text
    if name in _WHOLE:
        return int(text)
    return float(text) if text else None
