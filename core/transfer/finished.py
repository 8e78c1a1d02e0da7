"""A finished run opened again: its photos, the same split of them, and its network."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from core import runs
from core.backbones import loading
from core.backbones.backbone import Backbone
from core.errors import UserError
from core.messages import ModelRef
from core.transfer import datasets
from core.transfer.datasets import Splits
from core.transfer.requests import TrainingConfig, TrainingReport


@dataclass(frozen=True)
class Finished:
    """`network` takes the photos' pixels (0..255) and is shared by everyone: it is never modified."""

    folder: Path
    config: TrainingConfig
    report: TrainingReport
    splits: Splits = field(repr=False)
    network: Backbone = field(repr=False)


def finished(folder: str | Path) -> Finished:
    """The run in `folder`. Raises `UserError` where it has not ended, or where its photos or its network are gone."""
    folder = Path(folder)
    report = folder / runs.REPORT
    return _opened(folder, report.stat().st_mtime_ns if report.is_file() else 0)


@lru_cache(maxsize=2)
def _opened(folder: Path, changed: int) -> Finished:
    config, report = runs.read_config(folder), runs.read_report(folder)
    if report is None or not (folder / runs.MODEL).is_file():
        raise UserError("This run has no trained network on this machine any more. Train it again to have it back.")
    if config is None:
        raise UserError("The settings of this run cannot be read any more, nor where its photos are. Train it again.")
    dataset = datasets.read(config.data, config.size, config.per_class)
    if dataset.classes != report.classes or len(dataset) != report.images:
        raise UserError("The photos of this run have been changed since it was trained. Train it again with them.")
    splits = datasets.split(dataset, config.validation, config.seed, own=config.own_splits)
    return Finished(folder, config, report, splits, loading.load(ModelRef(str(folder / runs.MODEL))))
