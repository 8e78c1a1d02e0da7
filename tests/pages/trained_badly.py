"""Finished runs without any training: they gave the answers that a test wants, mistakes above all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core import runs, storage
from core.messages import ModelRef
from core.runs import Run
from core.transfer import report
from core.transfer.requests import TrainingConfig, TrainingReport
from tests.zips import zip_of

COLOURS = {"green": (40, 180, 40), "red": (200, 40, 40)}
SIDE = 32


def with_answers(
    labels: Sequence[int],
    sure: Sequence[float],
    *,
    network: bool = False,
    classes: dict[str, tuple[int, int, int]] = COLOURS,
    **facts,
) -> Run:
    """A run that told green (0) from red (1), or the first of two other `classes` from the second.

    It was asked about one photo for each of `labels`, and gave green so much of the probability as `sure` says. With
    `network` there is a tiny one; `facts` go into its report.
    """
    folder, labels = runs.new_run(), np.array(labels)
    photos = storage.keep_upload(zip_of(classes, photos=max(np.bincount(labels))), ".zip")
    data = runs.keep_photos(folder, str(photos))
    runs.write_config(folder, TrainingConfig(data, ModelRef("efficientnet_lite0"), str(folder), SIDE))
    probabilities = np.stack([np.array(sure), 1 - np.array(sure)], axis=1)
    confusion = report.confusion_matrix(labels, probabilities.argmax(axis=1), 2)
    found = TrainingReport(
        classes=tuple(classes),
        images=2 * len(labels),
        training_images=len(labels),
        validation_images=len(labels),
        left_out=(),
        validation_accuracy=report.accuracy(confusion),
        majority_accuracy=float(np.mean(labels == 0)),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        epochs=1,
        stopped=False,
        seconds=1.0,
        model_path=str(folder / runs.MODEL),
        backbone="EfficientNet-Lite0",
        origin="ImageNet",
        **facts,
    )
    report.write(found, [], folder)
    places = [int(np.sum(labels[:place] == label)) for place, label in enumerate(labels)]
    files = [f"{list(classes)[label]}/{place}.png" for label, place in zip(labels, places, strict=True)]
    report.write_held_back(files, labels, probabilities, folder)
    if network:
        _tiny_network().save(folder / runs.MODEL)
    return runs.find(folder.name)


def _tiny_network():
    import keras

    layers, inputs = keras.layers, keras.Input((SIDE, SIDE, 3))
    maps = layers.Conv2D(4, 3, strides=4, activation="relu")(inputs)
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(maps)))
