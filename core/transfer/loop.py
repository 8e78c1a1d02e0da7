"""Training a classifier: the loop, as an iterator of events.

While the backbone is frozen its features never change, so they are computed once for each photo and for a few
randomly changed variants of it; the head is then trained on those (Chollet, *Deep Learning with Python*, 2nd ed.,
8.3.1, with the variants in the place of augmentation at every step). Fine-tuning goes through the whole network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from core.errors import UserError
from core.transfer import losses, metrics, phases
from core.transfer.best import Best, Score
from core.transfer.classifier import Classifier
from core.transfer.datasets import Splits
from core.transfer.features import Noted, Prepared
from core.transfer.phases import Phase
from core.transfer.requests import EpochRow, TrainingConfig
from core.transfer.steps import make_step, predict, predictor

__all__ = ["BatchEnd", "EpochEnd", "Event", "LoopState", "Noted", "Prepared", "Saved", "predict", "train"]


@dataclass(frozen=True)
class LoopState:
    """All that the loop needs to go on after epoch `epoch`, in arrays and plain numbers.

    `arrays` holds what the phase changes ("variable/0" ...), the best of that so far ("best/0" ...), the states of the
    optimisers ("optimizer/0", "backbone_optimizer/0" ...) and of what draws at random ("random/0" ...).
    """

    phase: str
    epoch: int
    waited: int  # epochs of this phase since its best
    best_epoch: int
    score: Score | None  # of the best epoch
    arrays: dict[str, np.ndarray] = field(repr=False, compare=False)
    phase_score: Score | None = None  # of the best epoch of this phase
    phase_epochs: int = 0  # epochs of this phase so far


@dataclass(frozen=True)
class BatchEnd:
    """`loss` is the mean over the batch, before the step. `epochs` are all that are planned."""

    phase: str
    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float


@dataclass(frozen=True)
class EpochEnd:
    """`row.epoch` counts on from phase to phase; `row.seconds` is left at 0 for whoever holds a clock.

    `probabilities` `float32[V, C]` are what was said to the validation photos; from `state` the run can go on.
    """

    row: EpochRow
    epochs: int
    state: LoopState = field(repr=False)
    probabilities: np.ndarray = field(repr=False, compare=False)


@dataclass(frozen=True)
class Saved:
    """The weights after this epoch are the best so far, and are kept in memory."""

    epoch: int
    validation_accuracy: float


Event = Prepared | Noted | BatchEnd | EpochEnd | Saved


def train(
    classifier: Classifier,
    splits: Splits,
    config: TrainingConfig,
    *,
    strategy: tf.distribute.Strategy | None = None,
    start: LoopState | None = None,
) -> Iterator[Event]:
    """Train the head on the frozen backbone, then (`fine_tune_epochs`) the backbone's last layers with it; or, with
    `from_scratch`, everything at once.

    However it ends, by the last epoch, an error or because nobody asks for the next event, `classifier` is left with
    the weights of the epoch that recognised most of the validation photos. The same `config` gives the same events.
    With `start`, and a `classifier` that was built anew as for the run that it comes from, the events are those that
    run would have gone on with. With a `strategy`, `classifier` must have been built in its scope; in each of several
    processes the loop takes its own share of the same batches. Raises `UserError` where the loss is no number.
    """
    best, strategy = Best(), strategy or tf.distribute.get_strategy()
    devices = strategy.num_replicas_in_sync
    if config.batch_size % devices:
        raise UserError(
            f"A batch of {config.batch_size} cannot be shared out equally among {devices} devices. "
            "Choose a multiple of their number."
        )
    names, place = phases.planned(config), _Place()
    if start is not None:
        names = names[names.index(start.phase) :]
    try:
        for name in names:
            phase = phases.open_phase(name, classifier, splits, config, strategy)
            best.watch(phase.variables)
            place.enter()
            if start is not None and name == start.phase:
                _take_up(start, phase, best, place)
            if not place.is_over(phase, config):
                yield from _epochs(phase, splits, config, best, place, strategy)
    finally:
        best.restore()


@dataclass
class _Place:
    """Where the loop is: after `epoch`, which is number `phase_epochs` of its phase."""

    epoch: int = 0
    phase_epochs: int = 0
    waited: int = 0
    phase_score: Score | None = None

    def enter(self) -> None:
        self.phase_epochs = self.waited = 0
        self.phase_score = None

    def is_over(self, phase: Phase, config: TrainingConfig) -> bool:
        impatient = config.patience is not None and self.waited >= config.patience
        return self.phase_epochs >= phase.epochs or impatient

    def arrive(self, score: Score) -> None:
        """At the end of the next epoch."""
        self.epoch, self.phase_epochs = self.epoch + 1, self.phase_epochs + 1
        better = self.phase_score is None or score > self.phase_score
        self.waited = 0 if better else self.waited + 1
        self.phase_score = score if better else self.phase_score


def _epochs(
    phase: Phase,
    splits: Splits,
    config: TrainingConfig,
    best: Best,
    place: _Place,
    strategy: tf.distribute.Strategy,
) -> Iterator[Event]:
    data = yield from phase.prepare()
    loss = losses.named(config.loss, config.label_smoothing)
    step = make_step(phase.model, list(phase.groups.values()), loss, strategy, phase.augmentation, eager=config.eager)
    predictions, truth = predictor(data.judged), splits.dataset.labels[splits.validation]
    weights = phases.class_weights(splits, config)
    steps = math.ceil(phase.photos / config.batch_size)
    later = config.fine_tune_epochs if phase.name == "head" else 0
    all_epochs = place.epoch - place.phase_epochs + phase.epochs + later
    while not place.is_over(phase, config):
        epoch, total, hits = place.epoch + 1, 0.0, 0.0
        for number, (inputs, labels, mask) in enumerate(data.batches(epoch), start=1):
            weighted = mask if weights is None else mask * weights[labels]
            value, right = (float(each) for each in step(inputs, labels, weighted))
            _check_finite(value, phase.name, epoch)
            total, hits = total + value * np.count_nonzero(mask), hits + right
            yield BatchEnd(phase.name, epoch, all_epochs, number, steps, value)
        probabilities = predictions(data.held_back)
        row = EpochRow(
            epoch=epoch,
            phase=phase.name,
            loss=float(total / phase.photos),
            accuracy=hits / phase.photos,
            validation_loss=float(np.mean(loss(truth, probabilities))),
            validation_accuracy=float(np.mean(np.argmax(probabilities, axis=-1) == truth)),
            seconds=0.0,
            **_scores(truth, probabilities),
            learning_rate=_learning_rate(phase),
        )
        _check_finite(row.validation_loss, phase.name, epoch)
        score, values = (row.validation_accuracy, -row.validation_loss), _values(phase.variables)
        better = best.offer(score, epoch, values)
        place.arrive(score)
        yield EpochEnd(row, all_epochs, _state(phase, place, best, values), probabilities)
        if better:
            yield Saved(epoch, row.validation_accuracy)


def _scores(truth: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    scores = {"precision": metrics.Precision, "recall": metrics.Recall, "f1": metrics.MacroF1}
    result = {}
    for name, kind in scores.items():
        metric = kind(probabilities.shape[-1])
        metric.update_state(truth, probabilities)
        result[name] = float(metric.result())
    return result


def _learning_rate(phase: Phase) -> float:
    """That of the part which the phase is about: while fine-tuning, the backbone's."""
    *_, group = phase.groups.values()
    return float(group.optimizer.learning_rate.numpy())


def _values(variables: Sequence[Any]) -> list[np.ndarray]:
    return [np.asarray(variable.numpy()) for variable in variables]


def _state(phase: Phase, place: _Place, best: Best, values: Sequence[np.ndarray]) -> LoopState:
    parts = {"variable": values, "best": best.values, "random": _values(phase.random)}
    parts |= {name: _values(group.optimizer.variables) for name, group in phase.groups.items()}
    arrays = {f"{name}/{index}": array for name, part in parts.items() for index, array in enumerate(part)}
    return LoopState(
        phase=phase.name,
        epoch=place.epoch,
        waited=place.waited,
        best_epoch=best.epoch,
        score=best.score,
        arrays=arrays,
        phase_score=place.phase_score,
        phase_epochs=place.phase_epochs,
    )


def _take_up(start: LoopState, phase: Phase, best: Best, place: _Place) -> None:
    """Put everything back to how it was at `start`. Raises `ValueError` where that belongs to another run."""
    parts = {"variable": phase.variables, "random": phase.random}
    parts |= {name: group.optimizer.variables for name, group in phase.groups.items()}
    expected = {f"{name}/{index}": each for name, part in parts.items() for index, each in enumerate(part)}
    shapes = {name: tuple(each.shape) for name, each in expected.items()}
    shapes |= {f"best/{index}": tuple(each.shape) for index, each in enumerate(phase.variables)}
    if shapes != {name: array.shape for name, array in start.arrays.items()}:
        raise ValueError("`start` belongs to a run with another network, head or optimiser.")
    for name, variable in expected.items():
        variable.assign(start.arrays[name])
    best.score, best.epoch = start.score, start.best_epoch
    best.values = [start.arrays[f"best/{index}"] for index in range(len(phase.variables))]
    place.epoch, place.phase_epochs = start.epoch, start.phase_epochs
    place.waited, place.phase_score = start.waited, start.phase_score


def _check_finite(loss: float, phase: str, epoch: int) -> None:
    if not math.isfinite(loss):
        rate = "fine-tuning learning rate" if phase == "fine-tuning" else "learning rate"
        raise UserError(
            f"The loss is no longer a number in epoch {epoch} ({phase}): the steps are too large. Lower the {rate}."
        )
