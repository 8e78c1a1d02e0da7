"""How many photos are needed: the accuracy of heads that learned from few photos, and from more. A task for the pages.

The photos held back are always the run's own, so that only the number of photos differs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from core.messages import Progress
from core.transfer import report
from core.transfer.finished import Finished, finished
from core.transfer.heads import Heads, frozen_features, passes
from core.transfer.requests import LearningCurve, LearningCurveRequest

LADDER = (2, 5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560)
NEXT_STEP = 1.25  # the last number on the ladder must be so many times smaller than that of all photos


def run(request: LearningCurveRequest) -> Iterator[Progress | LearningCurve]:
    """The curve, one repeat after the other over all numbers of photos; the photos are drawn anew for each."""
    yield Progress("Opening the photos of this run")
    found = finished(request.run)
    features = None
    for features in frozen_features(found.config, found.splits.dataset):
        if isinstance(features, Progress):
            yield features
    yield from curve(found, features, request.repeats)


def curve(found: Finished, features: np.ndarray, repeats: int) -> Iterator[LearningCurve]:
    """The same on `features` `float32[N, F]` of all photos of the run.

    All heads are trained for as many steps as with all the photos: fewer photos are then looked at more often.
    """
    splits, config = found.splits, found.config
    labels = splits.dataset.labels
    photos = numbers(np.bincount(labels[splits.training]))
    majority = report.majority_accuracy(labels[splits.training], labels[splits.validation])
    per_epoch = passes(config) * len(splits.training)
    heads = Heads(features, labels, len(splits.dataset.classes), config, per_epoch)
    accuracies: list[list[float]] = [[] for _ in photos]
    total = repeats * len(photos)
    for done in range(total + 1):
        words = f"Training heads on more and more photos: {done} of {total}"
        yield LearningCurve(words, photos, tuple(map(tuple, accuracies)), majority, done, total)
        if done < total:
            repeat, place = divmod(done, len(photos))
            chosen = draw(labels, splits.training, photos[place], np.random.default_rng((config.seed, repeat, place)))
            accuracies[place].append(heads.train(chosen, splits.validation, seed=done))


def numbers(counts: Sequence[int]) -> tuple[int, ...]:
    """How many photos per class to try, up to all, from how many each class has."""
    most = int(max(counts))
    return (*(each for each in LADDER if each * NEXT_STEP <= most), most)


def draw(labels: np.ndarray, among: np.ndarray, each: int, rng: np.random.Generator) -> np.ndarray:
    """`each` indices per class out of `among`, or all of a class that has fewer; sorted."""
    own = (among[labels[among] == label] for label in np.unique(labels[among]))
    return np.sort(np.concatenate([rng.permutation(members)[:each] for members in own]))
