"""A trained model as a `.keras` file that is known to open and to say the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from core import storage
from core.backbones import imported


def save(model: keras.Model, path: Path | str, classes: Sequence[str], probe: np.ndarray) -> None:
    """Save `model` to `path`, with the names of its classes and its input size among the file's facts.

    The file is opened again and must give the same predictions for `probe` (`uint8[N, H, W, 3]`) before it takes the
    place of an earlier one. Raises `UserError` where there is no room for it.
    """
    expected = _predictions(model, probe)

    def write(temporary: Path) -> None:
        model.save(temporary)
        imported.write_facts(temporary, class_names=tuple(classes), input_size=tuple(model.input_shape[1:3]))
        reopened = keras.models.load_model(temporary, compile=False)
        if not np.allclose(_predictions(reopened, probe), expected, rtol=1e-3, atol=1e-5):
            raise RuntimeError("The saved model does not predict what the trained one does.")

    storage.write_atomically(path, write, needs=size(model))


def size(model: keras.Model) -> int:
    """The most bytes that the file of `model` takes."""
    return int(1.1 * sum(int(np.prod(weight.shape)) * 4 for weight in model.weights)) + 2 * 1000**2


def _predictions(model: keras.Model, photos: np.ndarray) -> np.ndarray:
    return np.asarray(model(photos.astype(np.float32), training=False))
