"""A few validation photos that are followed through a whole run: what the network said of them after every epoch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core import images
from core.transfer.datasets import Splits
from core.transfer.requests import Watched

NUMBER, SIDE = 6, 112  # photos; pixels of a thumbnail


def choose(splits: Splits, seed: int, number: int = NUMBER) -> np.ndarray:
    """Places in `splits.validation`, `int64[<= number]`: of each class in turn one, drawn by `seed`."""
    labels = splits.dataset.labels[splits.validation]
    rng = np.random.default_rng((seed, 2))
    drawn = [list(rng.permutation(np.flatnonzero(labels == label))) for label in np.unique(labels)]
    order = rng.permutation(len(drawn)) if len(drawn) > number else np.arange(len(drawn))
    turns = range(max(map(len, drawn), default=0))
    places = [drawn[label][turn] for turn in turns for label in order if turn < len(drawn[label])]
    chosen = np.array(places[:number], dtype=np.int64)
    return chosen[np.argsort(labels[chosen], kind="stable")]


def begin(splits: Splits, places: np.ndarray) -> tuple[Watched, ...]:
    """The photos at these places of the validation photos, of which nothing has been said yet."""
    dataset = splits.dataset
    return tuple(
        Watched(
            dataset.files[photo],
            images.encode_webp(images.resize(dataset.photos[photo], (SIDE, SIDE))),
            int(dataset.labels[photo]),
        )
        for photo in splits.validation[places]
    )


def hear(watched: tuple[Watched, ...], places: np.ndarray, probabilities: np.ndarray) -> tuple[Watched, ...]:
    """With what was said after one more epoch: `probabilities`, `float32[N, C]`, are of all validation photos."""
    return tuple(
        replace(
            each,
            said=(*each.said, int(np.argmax(probabilities[place]))),
            probability=(*each.probability, round(float(probabilities[place, each.true]), 4)),
        )
        for each, place in zip(watched, places, strict=True)
    )
