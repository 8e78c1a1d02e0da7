"""The learning-rate finder: a short run in which the rate rises at every step until the loss explodes.

Smith, *Cyclical Learning Rates for Training Neural Networks*, 2017 (arXiv 2015), section 3.3, in the form that fastai
gave it: the rate rises exponentially, the loss is smoothed, and the run ends where it is four times the lowest. The
suggestion is the rate at which the loss falls most steeply (the one that fastai called "min numerical gradient"), but
never more than a tenth of the rate with the lowest loss (Gugger, *How Do You Find A Good Learning Rate*, 2018): there
the steps are already as large as they can be.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from core.errors import UserError
from core.messages import Progress
from core.transfer import trial
from core.transfer.requests import Finder, FinderRequest
from core.transfer.steps import make_step, shuffled
from core.transfer.trial import Trial

# fastai's 0.98 looks back on 50 steps, half of all that there are here; this one on ten.
SMOOTHING = 0.9
EXPLODED = 4.0  # times the lowest loss
FALLEN = 0.95  # of the loss in the beginning: where it never fell below that, nothing was learned
FEWEST = 10  # steps before anything is judged: as many as the smoothing looks back on
SPAN = 5  # steps to either side, over which a fall is measured: from one to the next there is only noise


def run(request: FinderRequest) -> Iterator[Finder]:
    """The loss at each rate so far; the last one has the suggestion, where the loss fell at all.

    Of the head alone, on the features of unchanged photos; of the whole network where it learns from scratch. Raises
    `UserError` as a training run of `request.config` would.
    """
    config = request.config
    if not 0 < request.lowest < request.highest or request.steps < FEWEST:
        raise UserError(f"The rates must rise, from above 0, in at least {FEWEST} steps.")
    for found in trial.prepare(config):
        if isinstance(found, Progress):
            yield Finder(found.words, steps=request.steps)
    inputs = found.photos
    if not config.from_scratch:
        for inputs in trial.features(found):
            if isinstance(inputs, Progress):
                yield Finder(inputs.words, steps=request.steps)
    rates = np.geomspace(request.lowest, request.highest, request.steps)
    tried, losses = (), ()
    for tried, losses in rising(learner(found, inputs), rates):
        words = f"Step {len(tried)} of {request.steps}: rate {tried[-1]:.2g}"
        yield Finder(words, tried, losses, len(tried), request.steps)
    yield Finder("Done", tried, losses, len(tried), request.steps, suggest(tried, losses))


def learner(found: Trial, inputs: np.ndarray) -> Callable[[float], float]:
    """A function that makes one step with the rate it is given, and returns the loss before it."""
    config, scratch = found.config, found.config.from_scratch
    groups = found.network(1.0) if scratch else found.head(1.0)
    model = found.classifier.model if scratch else found.classifier.head
    step = make_step(model, groups, found.loss(), augmentation=found.classifier.augmentation if scratch else None)
    rng = np.random.default_rng((config.seed, 2))
    waiting: list[tuple[np.ndarray, np.ndarray]] = []

    def learn(rate: float) -> float:
        if not waiting:
            waiting.extend(shuffled(len(inputs), config.batch_size, rng))
        rows, weights = waiting.pop(0)
        groups[0].optimizer.learning_rate = rate
        loss, _ = step(inputs[rows], found.labels[rows], weights)
        return float(loss)

    return learn


def rising(
    learn: Callable[[float], float], rates: Sequence[float]
) -> Iterator[tuple[tuple[float, ...], tuple[float, ...]]]:
    """The rates tried so far and the smoothed loss at each; ends with the rates, or where the loss explodes."""
    average, losses = 0.0, []
    for place, rate in enumerate(rates, start=1):
        loss = learn(float(rate))
        if not math.isfinite(loss):
            return
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        losses.append(average / (1 - SMOOTHING**place))
        yield tuple(float(each) for each in rates[:place]), tuple(losses)
        if place >= FEWEST and losses[-1] > EXPLODED * min(losses):
            return


def suggest(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """The rate of the steepest fall, at most a tenth of that of the lowest loss; `None` where the loss never fell."""
    lowest = int(np.argmin(losses)) if len(losses) else 0
    middles = np.arange(FEWEST + SPAN, lowest - SPAN + 1)
    if not len(middles) or losses[lowest] > FALLEN * losses[FEWEST]:
        return None
    falls = np.take(losses, middles - SPAN) - np.take(losses, middles + SPAN)
    return min(float(rates[middles[np.argmax(falls)]]), float(rates[lowest]) / 10)
