"""Runs that have ended, without the training: made by hand, or written to disk with a network whose head is drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from core import runs
from core.messages import ModelRef
from core.transfer import datasets, export, report
from core.transfer.classifier import build
from core.transfer.datasets import Dataset, Splits
from core.transfer.finished import Finished
from core.transfer.requests import TrainingConfig, TrainingReport
from tests.core.tiny import tiny_model

SIZE = 32
CONFIG = TrainingConfig(
    "made",
    ModelRef("tiny", None),
    "out",
    size=SIZE,
    epochs=4,
    batch_size=16,
    learning_rate=0.05,
    dropout=0.0,
    validation=0.25,
    augmentation=None,
)


def report_of(splits: Splits, accuracy: float = 0.5) -> TrainingReport:
    dataset = splits.dataset
    majority = report.majority_accuracy(dataset.labels[splits.training], dataset.labels[splits.validation])
    return TrainingReport(
        classes=dataset.classes,
        images=len(dataset),
        training_images=len(splits.training),
        validation_images=len(splits.validation),
        left_out=(),
        validation_accuracy=accuracy,
        majority_accuracy=majority,
        confusion=tuple(map(tuple, _all_right(splits).tolist())),
        epochs=1,
        stopped=False,
        seconds=1.0,
        model_path="model.keras",
        backbone="tiny",
        origin="made for a test",
    )


def _all_right(splits: Splits) -> np.ndarray:
    counts = np.bincount(splits.dataset.labels[splits.validation], minlength=len(splits.dataset.classes))
    return np.diag(counts)


def dataset_of(labels: np.ndarray, photos: np.ndarray | None = None) -> Dataset:
    names = tuple(f"photo{place:03}.png" for place in range(len(labels)))
    classes = tuple(f"class {label}" for label in range(labels.max() + 1))
    return Dataset("made", classes, np.zeros((len(labels), 1)) if photos is None else photos, labels, names, names)


def made_run(labels: np.ndarray, photos=None, network=None, config: TrainingConfig = CONFIG) -> Finished:
    """A run in memory; features of its photos, or its network, are the test's affair."""
    splits = datasets.split(dataset_of(labels, photos), config.validation, config.seed)
    return Finished(Path("nowhere"), config, report_of(splits), splits, network)


def written_run(folder: Path, data: Path, **changes) -> Path:
    """A run on disk as training leaves it, of the photos in `data`: `core.transfer.finished` opens it."""
    folder.mkdir()
    backbone = folder / "backbone.keras"
    tiny_model(SIZE).save(backbone)
    config = replace(CONFIG, data=str(data), out=str(folder), backbone=ModelRef(str(backbone)), **changes)
    dataset = datasets.read(config.data, SIZE)
    splits = datasets.split(dataset, config.validation, config.seed)
    model = build(config.backbone, dataset.classes, config).model
    export.save(model, folder / runs.MODEL, dataset.classes, dataset.photos[:4])
    runs.write_config(folder, config)
    report.write(report_of(splits), [], folder)
    return folder
