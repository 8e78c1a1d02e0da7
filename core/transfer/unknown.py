""" "None of these": how far a photo lies from what the network has learned from. A task for the pages.

Sun et al. 2022, "Out-of-Distribution Detection with Deep Nearest Neighbors": the distance to the k-th nearest training
photo among the L2-normalised features of the layer before the last dense one. The authors' k is 1000 of 1.2 million
photos; here there are dozens of each class, so it is 5.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from core import images, runs, samples, storage
from core.backbones import graph
from core.backbones.backbone import Backbone
from core.backbones.batches import BATCH_BYTES, bytes_per_photo
from core.backbones.compiled import CompiledPerModel
from core.errors import UserError
from core.messages import Progress
from core.transfer.finished import Finished, finished
from core.transfer.requests import Unknown, UnknownRequest

NEIGHBOURS = 5
PASSING = 0.95  # of the validation photos
BANK_MAX_BYTES = 64 * 1024**2
MOST_IMAGES = 32

_compiled = CompiledPerModel(most=2)


@dataclass(frozen=True)
class Bank:
    """Features of training photos, `float16[N, F]` of length 1 (they are what is stored), and which photos: indices
    into the run's data, `int64[N]`."""

    features: np.ndarray = field(repr=False)
    rows: np.ndarray = field(repr=False)

    @property
    def neighbours(self) -> int:
        """k: fewer where there are hardly any photos."""
        return min(NEIGHBOURS, len(self.rows))

    def distances(self, features: np.ndarray) -> np.ndarray:
        """`float32[Q, N]`: Euclidean, 0 to 2, from features `float32[Q, F]` of any length."""
        # Rounded to float16 they are no longer quite of length 1: two equal photos would be 0.01 apart.
        cosines = normalised(features) @ normalised(self.features).T
        return np.sqrt(np.maximum(0.0, 2.0 - 2.0 * cosines))

    def distance(self, features: np.ndarray) -> np.ndarray:
        """`float32[Q]`: to the k-th nearest."""
        k = self.neighbours
        return np.partition(self.distances(features), k - 1, axis=-1)[:, k - 1]


def measure(request: UnknownRequest) -> Iterator[Progress | Unknown]:
    """The last thing that comes is the meter. Writes the run's bank where there is none yet."""
    yield Progress("Opening this run")
    found = finished(request.run)
    bank = None
    for bank in banked(found):
        if isinstance(bank, Progress):
            yield bank
    dataset, validation = found.splits.dataset, found.splits.validation
    features = None
    for features in looking(found.network, dataset.photos, validation, "Comparing the photos held back"):
        if isinstance(features, Progress):
            yield features
    known = bank.distance(features)
    others = _samples(found.network.input_size)
    far = bank.distance(answers(found.network, np.stack([pixels for _, pixels in others]))[0])
    files = (dataset.files[row] for row in validation)
    yield Unknown(
        known=tuple(sorted(zip(files, map(float, known), strict=True), key=lambda each: each[1])),
        others=tuple(sorted(zip((name for name, _ in others), map(float, far), strict=True), key=lambda each: each[1])),
        threshold=threshold(known),
        neighbours=bank.neighbours,
        auroc=auroc(known, far),
    )


def threshold(known: np.ndarray, passing: float = PASSING) -> float:
    """The least distance within which at least the share `passing` of the `known` lie."""
    return float(np.quantile(known, passing, method="inverted_cdf"))


def auroc(known: np.ndarray, others: np.ndarray) -> float:
    """The probability that one of `others` is farther than one of `known`; equal ones count half.

    The area under the receiver operating characteristic (Mann and Whitney's U, divided by the number of pairs).
    """
    difference = np.asarray(others, np.float64)[:, None] - np.asarray(known, np.float64)[None]
    return float(np.mean(np.sign(difference) / 2 + 0.5))


def banked(found: Finished) -> Iterator[Progress | Bank]:
    """The run's bank: from its folder, or made now and kept there. `Progress` on the way."""
    bank = read(found)
    if bank is None:
        rows = _bounded(found)
        features = None
        for features in looking(found.network, found.splits.dataset.photos, rows, "Comparing the training photos"):
            if isinstance(features, Progress):
                yield features
        bank = Bank(normalised(features).astype(np.float16), rows)
        with suppress(UserError):  # it can be made again; a full disk is no reason not to show the meter
            _write(found, bank)
    yield bank


def read(found: Finished) -> Bank | None:
    """The bank in the run's folder, if it belongs to the network that is there now."""
    kept = storage.read_arrays(found.folder / runs.BANK, "features", "rows", "model")
    if kept is None:
        return None
    features, rows, model = kept
    width = before_last_dense(found.network).shape[-1]
    fits = (
        model.tolist() == [*_identity(found.folder)]
        and rows.ndim == 1
        and rows.dtype.kind == "i"
        and len(rows) > 0
        and np.isin(rows, found.splits.training).all()
        and features.dtype == np.float16
        and features.shape == (len(rows), width)
    )
    return Bank(features, rows) if fits else None


def _write(found: Finished, bank: Bank) -> None:
    values = {"features": bank.features, "rows": bank.rows, "model": np.array(_identity(found.folder))}
    needs = sum(value.nbytes for value in values.values()) + 10_000
    storage.write_atomically(found.folder / runs.BANK, lambda path: np.savez(path, **values), needs=needs)


def _identity(folder: Path) -> tuple[int, int]:
    """Another one for a network that was trained further."""
    status = (folder / runs.MODEL).stat()
    return status.st_mtime_ns, status.st_size


def _bounded(found: Finished) -> np.ndarray:
    """The training photos that fit into the bank, as many of each class as there is room for."""
    training = found.splits.training
    most = max(1, BANK_MAX_BYTES // (2 * before_last_dense(found.network).shape[-1]))
    if len(training) <= most:
        return training
    return training[np.linspace(0, len(training) - 1, most).round().astype(int)]


def normalised(features: np.ndarray) -> np.ndarray:
    """Each row of `float[N, F]` at length 1; one of zeros stays so."""
    values = np.asarray(features, np.float32)
    return values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), 1e-12)


def looking(network: Backbone, photos: np.ndarray, rows: np.ndarray, words: str) -> Iterator[Progress | np.ndarray]:
    """The features `float32[len(rows), F]` of `photos[rows]` come last."""
    batch = max(1, min(MOST_IMAGES, BATCH_BYTES // max(bytes_per_photo(network))))
    parts = []
    for start in range(0, len(rows), batch):
        parts.append(answers(network, photos[rows[start : start + batch]])[0])
        done = min(start + batch, len(rows))
        yield Progress(f"{words}: {done:,} of {len(rows):,}", done / len(rows))
    yield np.concatenate(parts)


def answers(network: Backbone, photos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`uint8[B, H, W, 3]` -> (features `float32[B, F]` before the last dense layer, outputs `float32[B, C]`)."""

    def build():
        cut = keras.Model(network.model.inputs[0], [before_last_dense(network), network.model.outputs[0]])
        signature = [tf.TensorSpec([None, *network.input_size, 3], tf.float32)]
        return tf.function(lambda pixels: cut(pixels, training=False), signature, autograph=False)

    pixels = tf.constant(network.preprocessing(photos), tf.float32)
    return tuple(found.numpy() for found in _compiled.get(network.model, "features", build)(pixels))


def before_last_dense(network: Backbone):
    """The symbolic `[B, F]` that the last dense layer receives."""
    tensor = network.model.outputs[0]
    while not isinstance(graph.operation_of(tensor), keras.layers.Dense):
        tensor = graph.node_of(tensor).input_tensors[0]
    return graph.node_of(tensor).input_tensors[0]


def _samples(size: tuple[int, int]) -> list[tuple[str, np.ndarray]]:
    """The photographs that come with the app, as the network sees them; those whose package is missing are left out."""
    found = []
    for sample in samples.PHOTOGRAPHS:
        with suppress(UserError):
            found.append((sample.name, images.fit(samples.photograph(sample.name).pixels, size)))
    return found
