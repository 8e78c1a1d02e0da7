"""What `tf.function` is worth: the same step of training run eagerly and compiled, by turns in one process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

from core.errors import UserError
from core.messages import Progress
from core.transfer import trial
from core.transfer.requests import GraphWorth, GraphWorthRequest
from core.transfer.steps import make_step
from core.transfer.trial import Trial

PHASES = ("head", "network")


def run(request: GraphWorthRequest) -> Iterator[GraphWorth]:
    """Seconds of each step so far. What is measured is one batch, again and again: its contents take no other time.

    Raises `UserError` as a training run of `request.config` would.
    """
    if request.phase not in PHASES:
        raise UserError(f"There is no phase named {request.phase!r}. Choose one of {', '.join(PHASES)}.")
    for found in trial.prepare(request.config, request.config.batch_size):
        if isinstance(found, Progress):
            yield GraphWorth(found.words, request.phase, steps=request.steps)
    inputs = found.photos
    if request.phase == "head":
        for inputs in trial.features(found):
            if isinstance(inputs, Progress):
                yield GraphWorth(inputs.words, request.phase, steps=request.steps)
    yield from measure(found, inputs, request)


def measure(found: Trial, inputs: np.ndarray, request: GraphWorthRequest) -> Iterator[GraphWorth]:
    yield GraphWorth("The first steps: one eagerly, one while it is traced", request.phase, steps=request.steps)
    step_eagerly, step_compiled = (_step(found, inputs, request, eager) for eager in (True, False))
    step_eagerly()  # what happens only once is not counted
    tracing = _seconds(step_compiled)
    eager, compiled = [], []
    for place in range(1, request.steps + 1):
        eager.append(_seconds(step_eagerly))
        compiled.append(_seconds(step_compiled))
        words = f"Step {place} of {request.steps}"
        yield GraphWorth(words, request.phase, tuple(eager), tuple(compiled), tracing, request.steps)


def _step(found: Trial, inputs: np.ndarray, request: GraphWorthRequest, eager: bool) -> Callable[[], None]:
    head, config = request.phase == "head", request.config
    groups = (found.head if head else found.network)(config.learning_rate)
    model = found.classifier.head if head else found.classifier.model
    augmentation = None if head else found.classifier.augmentation
    step = make_step(model, groups, found.loss(), augmentation=augmentation, eager=eager)
    rows = np.resize(np.arange(len(inputs)), config.batch_size)
    batch = inputs[rows], found.labels[rows], np.ones(len(rows), np.float32)

    def once() -> None:
        loss, _ = step(*batch)
        loss.numpy()  # a device may still be at work

    return once


def _seconds(task: Callable[[], None]) -> float:
    began = time.perf_counter()
    task()
    return time.perf_counter() - began
