"""A whole training run, as an iterator of snapshots: read, split, build, train, save, report."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from core.backbones import loading
from core.errors import UserError
from core.messages import Progress
from core.transfer import datasets, export, losses, metrics, report
from core.transfer.classifier import Classifier, build
from core.transfer.datasets import Splits
from core.transfer.loop import BatchEnd, EpochEnd, Event, Prepared, Saved, predict, train
from core.transfer.requests import EpochRow, TrainingConfig, TrainingReport, TrainingSnapshot

__all__ = ["BatchEnd", "EpochEnd", "Prepared", "Saved", "run", "train"]

LOSSES_MAX = 500  # points of the curve of batch losses in a snapshot
SIZES = (32, 512)  # pixels
BACKWARD = 1.5  # a step of fine-tuning takes about so many times as long as a look without learning


@dataclass
class _Run:
    """What there is to tell so far; `snapshot` tells it."""

    config: TrainingConfig
    started: float = field(default_factory=time.monotonic)
    loading: float = 0.0  # seconds that do not count, since the model was loaded in them
    ended: float = 0.0  # seconds, at the last epoch
    phase: str = "preparing"
    words: str = "Reading the photos"
    epoch: int = 0
    step: int = 0
    steps: int = 0
    history: list[EpochRow] = field(default_factory=list)
    batch_losses: list[float] = field(default_factory=list)
    seconds_left: float | None = None
    report: TrainingReport | None = None
    latest: float = 0.0  # seconds, at the last event
    epoch_started: float = 0.0
    pace_started: float = 0.0  # at the end of the phase's first step, in which TensorFlow traces
    phase_steps: int = 0
    per_photo: float = 0.0  # seconds for one photo through the backbone

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started - self.loading

    def begin(self, phase: str, words: str) -> TrainingSnapshot:
        self.phase, self.phase_steps = phase, 0
        return self.say(words)

    def say(self, words: str, seconds_left: float | None = None) -> TrainingSnapshot:
        self.words, self.seconds_left = words, seconds_left
        return TrainingSnapshot(
            words=words,
            phase=self.phase,
            epoch=self.epoch,
            epochs=self.config.epochs + self.config.fine_tune_epochs,
            step=self.step,
            steps=self.steps,
            history=tuple(self.history),
            batch_losses=thinned(self.batch_losses),
            seconds=self.seconds,
            seconds_left=seconds_left,
            report=self.report,
        )


def run(config: TrainingConfig) -> Iterator[TrainingSnapshot]:
    """Train as `config` says, and write `model.keras`, `history.csv` and `report.json` into `config.out`.

    The last snapshot carries the report. Whoever stops asking ends the run: what was best by then is still written, if
    an epoch had ended, with `stopped` in the report. Raises `UserError` for what a person can put right.
    """
    _check(config)
    state = _Run(config)
    yield state.begin("preparing", "Reading the photos")
    for found in datasets.reading(config.data, config.size, config.per_class):
        if isinstance(found, Progress):
            yield state.say(found.words)
    splits = datasets.split(found, config.validation, config.seed)
    before = time.monotonic()
    yield state.say("Loading the model")
    for step in loading.load_steps(config.backbone):
        if isinstance(step, Progress):
            yield state.say(step.words)
    classifier = build(config.backbone, found.classes, config)
    state.loading = time.monotonic() - before
    events = train(classifier, splits, config)
    try:
        state.epoch_started = state.seconds
        yield state.begin("preparing", "Looking at every photo with the backbone")
        for event in events:
            yield from _tell(state, event, splits)
        yield state.begin("saving", "Saving the model")
    except (GeneratorExit, KeyboardInterrupt):
        _keep_best(state, events, classifier, splits)
        raise
    except UserError as error:
        kept = _keep_best(state, events, classifier, splits)
        raise UserError(f"{error} The best model before that is kept in {config.out}.") if kept else error from None
    except tf.errors.ResourceExhaustedError:
        kept = _keep_best(state, events, classifier, splits)
        raise UserError(_no_memory(config, kept)) from None
    _finish(state, classifier, splits)
    accuracy = state.report.validation_accuracy
    yield state.begin("done", f"Done: {accuracy:.0%} of the photos held back are recognised")


def thinned(values: list[float], most: int = LOSSES_MAX) -> tuple[float, ...]:
    """At most `most` of `values`, evenly spread, the first and the last among them."""
    if len(values) <= most:
        return tuple(values)
    return tuple(values[place] for place in np.linspace(0, len(values) - 1, most).round().astype(int))


def _check(config: TrainingConfig) -> None:
    """Refuse what cannot be trained before anything is read."""
    smallest, largest = SIZES
    limits = (
        ("size", config.size, smallest, largest),
        ("epochs", config.epochs, 1, 10_000),
        ("fine_tune_epochs", config.fine_tune_epochs, 0, 10_000),
        ("batch_size", config.batch_size, 1, 1024),
        ("learning_rate", config.learning_rate, 1e-9, 10.0),
        ("fine_tune_learning_rate", config.fine_tune_learning_rate, 1e-9, 10.0),
        ("dropout", config.dropout, 0.0, 0.95),
        ("validation", config.validation, 0.01, 0.99),
        ("seed", config.seed, 0, 2**31 - 1),
    )
    for name, value, low, high in limits:
        if not low <= value <= high:
            raise UserError(f"`{name}` must lie between {low:,} and {high:,}, got {value!r}.")
    losses.named(config.loss)
    out = Path(config.out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The results cannot be written to {out}. Choose another folder.") from error


def _tell(state: _Run, event: Event, splits: Splits) -> Iterator[TrainingSnapshot]:
    now = state.seconds
    if isinstance(event, Prepared):
        done, left = event.done, event.total - event.done
        state.per_photo = (now - state.epoch_started) / max(done, 1)
        state.step, state.steps = done, event.total
        words = f"Looking at every photo with the backbone: {done:,} of {event.total:,}"
        yield state.say(words, state.per_photo * left + _fine_tuning_seconds(state, splits))
    elif isinstance(event, BatchEnd):
        if event.phase != state.phase:
            state.begin(event.phase, "")
            state.epoch_started, state.pace_started = state.latest, now
        state.epoch, state.steps, state.step = event.epoch, event.steps, event.step
        state.phase_steps += 1
        state.batch_losses.append(event.loss)
        yield state.say(_epoch_words(state, event), _training_seconds(state, splits))
    elif isinstance(event, EpochEnd):
        state.history.append(replace(event.row, seconds=now - state.epoch_started))
        state.epoch_started = state.ended = now
        yield state.say(_epoch_words(state, event.row), _training_seconds(state, splits))
    state.latest = now


def _epoch_words(state: _Run, at: BatchEnd | EpochRow) -> str:
    words = f"Epoch {at.epoch} of {state.config.epochs + state.config.fine_tune_epochs} ({at.phase})"
    if not state.history:
        return words
    return f"{words}: {state.history[-1].validation_accuracy:.0%} of the photos held back are recognised"


def _training_seconds(state: _Run, splits: Splits) -> float | None:
    """Time left, from the steps of this phase so far."""
    config, head = state.config, state.phase == "head"
    last = config.epochs if head else config.epochs + config.fine_tune_epochs
    steps = max((last - state.epoch + 1) * state.steps - state.step, 0)
    later = _fine_tuning_seconds(state, splits)
    if steps and state.phase_steps < 2:
        return None if head else later
    each = (state.seconds - state.pace_started) / max(state.phase_steps - 1, 1)
    return steps * each + (later if head else 0.0)


def _fine_tuning_seconds(state: _Run, splits: Splits) -> float:
    """An estimate of what fine-tuning will take, before it has begun, from the pace of the backbone."""
    photos = BACKWARD * len(splits.training) + len(splits.validation)
    return state.config.fine_tune_epochs * photos * state.per_photo


def _keep_best(state: _Run, events: Iterator[Event], classifier: Classifier, splits: Splits) -> bool:
    """Write what there is when a run ends early; says whether there was anything."""
    events.close()
    if state.history:
        _finish(state, classifier, splits)
    return bool(state.history)


def _finish(state: _Run, classifier: Classifier, splits: Splits) -> None:
    config, dataset = state.config, splits.dataset
    held_back, labels = dataset.photos[splits.validation], dataset.labels[splits.validation]
    probabilities = predict(classifier.model, held_back)
    confusion = report.confusion_matrix(labels, np.argmax(probabilities, axis=-1), len(dataset.classes))
    scores = {}
    for name, kind in (("precision", metrics.Precision), ("recall", metrics.Recall), ("f1", metrics.MacroF1)):
        metric = kind(len(dataset.classes))
        metric.update_state(labels, probabilities)
        scores[name] = float(metric.result())
    path = Path(config.out) / "model.keras"
    state.report = TrainingReport(
        classes=dataset.classes,
        images=len(dataset),
        training_images=len(splits.training),
        validation_images=len(splits.validation),
        left_out=dataset.left_out,
        validation_accuracy=report.accuracy(confusion),
        majority_accuracy=report.majority_accuracy(dataset.labels[splits.training], labels),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
        epochs=len(state.history),
        stopped=len(state.history) < config.epochs + config.fine_tune_epochs,
        seconds=state.ended,
        model_path=str(path),
        backbone=config.backbone.name,
        origin=classifier.origin,
        **scores,
    )
    export.save(classifier.model, path, dataset.classes, held_back[:8])
    files = [dataset.files[place] for place in splits.validation]
    report.write_held_back(files, labels, probabilities, config.out)
    report.write(state.report, state.history, config.out)


def _no_memory(config: TrainingConfig, kept: bool) -> str:
    words = f"There is not enough memory for {config.batch_size} photos of {config.size} pixels at a time."
    kept_words = f" The best model before that is kept in {config.out}." if kept else ""
    return f"{words} Choose a smaller photo size or batch size.{kept_words}"
