"""A finished run opened again: its photos, the same split of them, and its network."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from core import runs
from core.backbones import loading
from core.backbones.backbone import Backbone
from core.errors import UserError
from core.messages import ModelRef
from core.transfer import datasets
from core.transfer.datasets import Splits
from core.transfer.requests import TrainingConfig, TrainingReport

KEPT_MAX_BYTES = 300 * 1000**2  # of photos; a run with more is kept without a second one beside it


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
    found = _opened(folder, runs.ended(folder))
    if found.splits.dataset.photos.nbytes > KEPT_MAX_BYTES and _opened.cache_info().currsize > 1:
        _opened.cache_clear()  # it stays only as long as it is asked for
    return found


@lru_cache(maxsize=2)
def _opened(folder: Path, ended: int) -> Finished:
    config, report = runs.read_config(folder), runs.read_report(folder)
    if report is None or not (folder / runs.MODEL).is_file():
        raise UserError("This run has no trained network on this machine any more. Train it again to have it back.")
    if config is None:
        raise UserError("The settings of this run cannot be read any more, nor where its photos are. Train it again.")
    dataset = datasets.read(config.data, config.size, config.per_class)
    splits = datasets.split(dataset, config.validation, config.seed, own=config.own_splits)
    if dataset.classes != report.classes or len(dataset) != report.images or not _holds_back(splits, folder):
        raise UserError("The photos of this run have been changed since it was trained. Train it again with them.")
    return Finished(folder, config, report, splits, loading.load(ModelRef(str(folder / runs.MODEL))))


def _holds_back(splits: Splits, folder: Path) -> bool:
    """Whether the photos held back are those of then: of others the network may have learned."""
    held_back = runs.read_held_back(folder)
    if held_back is None:
        return True
    files = tuple(splits.dataset.files[place] for place in splits.validation)
    return files == held_back.files and np.array_equal(splits.dataset.labels[splits.validation], held_back.labels)
