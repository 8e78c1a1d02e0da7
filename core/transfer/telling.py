"""What there is to tell of a run while it goes: how far it is, how long it will take, what it has learned."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from core.transfer import watching
from core.transfer.checkpoints import Checkpoint, thinned
from core.transfer.datasets import Splits
from core.transfer.loop import BatchEnd, EpochEnd, Event, Noted, Prepared
from core.transfer.requests import EpochRow, TrainingConfig, TrainingReport, TrainingSnapshot, Watched

BACKWARD = 1.5  # a step of fine-tuning takes about so many times as long as a look without learning
PHASES = {"scratch": "from scratch"}  # in words, where their names are none


@dataclass
class Teller:
    """Hears the events of a run and tells them as snapshots. Times are in seconds since the run began, those of earlier
    processes included, loading the model excluded."""

    config: TrainingConfig
    started: float = field(default_factory=time.monotonic)
    ended: float = 0.0  # when the last epoch ended
    phase: str = "preparing"
    words: str = "Reading the photos"
    epoch: int = 0
    step: int = 0
    steps: int = 0
    classes: tuple[str, ...] = ()
    history: list[EpochRow] = field(default_factory=list)
    batch_losses: list[float] = field(default_factory=list)
    batch_epochs: list[float] = field(default_factory=list)
    watched: tuple[Watched, ...] = ()
    notes: list[str] = field(default_factory=list)
    seconds_left: float | None = None
    report: TrainingReport | None = None
    learned: bool = False  # in this process
    per_photo: float = 0.0  # seconds for one photo through the backbone
    places: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # of the watched photos
    phase_photos: tuple[int, int] = (0, 0)  # training, validation
    phase_started: float = 0.0
    phase_steps: int = 0
    pace_started: float = 0.0  # at the end of the phase's first step, in which TensorFlow traces
    step_times: list[float] = field(default_factory=list)
    latest: float = 0.0  # when the last event came
    epoch_started: float = 0.0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def step_seconds(self) -> float | None:
        """The median of one step of the last phase, the one in which TensorFlow traces left out."""
        return statistics.median(self.step_times) if self.step_times else None

    @property
    def epochs(self) -> int:
        """As many as there will be, unless a phase ends early."""
        done = sum(row.phase != self.phase for row in self.history)
        phases = list(self._planned)
        later = phases[phases.index(self.phase) :] if self.phase in phases else phases
        if self.phase in ("saving", "done"):
            return len(self.history)
        return (done if self.phase in phases else 0) + sum(self._planned[phase] for phase in later)

    @property
    def _planned(self) -> dict[str, int]:
        if self.config.from_scratch:
            return {"scratch": self.config.epochs}
        return {"head": self.config.epochs, "fine-tuning": self.config.fine_tune_epochs}

    def pause(self, seconds: float) -> None:
        """These do not count: they were spent on what a second run would be spared."""
        self.started += seconds

    def note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    def take_back(self, sentence: str) -> None:
        """It is no longer so."""
        self.notes.remove(sentence)

    def begin(self, phase: str, words: str) -> TrainingSnapshot:
        self.phase, self.phase_steps, self.step, self.steps = phase, 0, 0, 0
        self.phase_started = self.seconds
        return self.say(words)

    def say(self, words: str, seconds_left: float | None = None) -> TrainingSnapshot:
        self.words, self.seconds_left = words, seconds_left
        losses, places = thinned(self.batch_losses), thinned(self.batch_epochs)
        return replace(self.told(), batch_losses=losses, batch_epochs=places)

    def told(self) -> TrainingSnapshot:
        """All of it, with the loss of every batch."""
        return TrainingSnapshot(
            words=self.words,
            phase=self.phase,
            epoch=self.epoch,
            epochs=self.epochs,
            step=self.step,
            steps=self.steps,
            history=tuple(self.history),
            batch_losses=tuple(self.batch_losses),
            batch_epochs=tuple(self.batch_epochs),
            seconds=self.seconds,
            seconds_left=self.seconds_left,
            report=self.report,
            classes=self.classes,
            watched=self.watched,
            notes=tuple(self.notes),
        )

    def go_on(self, checkpoint: Checkpoint) -> None:
        """Begin where `checkpoint` was made."""
        told = checkpoint.told
        self.started = time.monotonic() - told.seconds
        self.ended, self.epoch, self.per_photo = told.seconds, told.epoch, checkpoint.per_photo
        self.classes, self.history, self.watched = told.classes, list(told.history), told.watched
        self.batch_losses, self.batch_epochs = list(told.batch_losses), list(told.batch_epochs)
        self.notes = list(told.notes)

    def forget(self) -> None:
        """What was told so far is not of this run."""
        fresh = Teller(self.config)
        for name in ("ended", "epoch", "per_photo", "classes", "history", "watched", "batch_losses", "batch_epochs"):
            setattr(self, name, getattr(fresh, name))
        self.started, self.notes = fresh.started, fresh.notes

    def watch(self, splits: Splits) -> None:
        """Follow a few validation photos; those of a checkpoint are the same ones."""
        self.classes, self.phase_photos = splits.dataset.classes, (len(splits.training), len(splits.validation))
        self.places = watching.choose(splits, self.config.seed)
        if len(self.watched) != len(self.places):
            self.watched = watching.begin(splits, self.places)

    def hear(self, event: Event) -> TrainingSnapshot | None:
        """Take note of `event`; a snapshot where there is something new to see."""
        now, snapshot = self.seconds, None
        if isinstance(event, Prepared):
            snapshot = self._hear_prepared(event, now)
        elif isinstance(event, BatchEnd):
            snapshot = self._hear_batch(event, now)
        elif isinstance(event, EpochEnd):
            snapshot = self._hear_epoch(event, now)
        elif isinstance(event, Noted):
            self.note(event.words)
            snapshot = self.say(self.words, self.seconds_left)
        self.latest = self.seconds
        return snapshot

    def _hear_prepared(self, event: Prepared, now: float) -> TrainingSnapshot:
        self.step, self.steps = event.done, event.total
        pace = (now - self.phase_started) / max(event.done, 1)
        self.per_photo = max(pace, self.per_photo) if self.history else pace  # a second time they may only be read
        words = f"Looking at every photo with the backbone: {event.done:,} of {event.total:,}"
        return self.say(words, _sum(pace * (event.total - event.done), self._later_seconds()))

    def _hear_batch(self, event: BatchEnd, now: float) -> TrainingSnapshot:
        if event.phase != self.phase:
            self.begin(event.phase, "")
            self.step_times = []
            self.epoch_started, self.pace_started = self.latest, now
        elif self.phase_steps:
            self.step_times.append(now - self.latest)
        self.learned = True
        self.epoch, self.steps, self.step = event.epoch, event.steps, event.step
        self.phase_steps += 1
        self.batch_losses.append(event.loss)
        self.batch_epochs.append(round(event.epoch - 1 + event.step / max(event.steps, 1), 4))
        return self.say(self._epoch_words(event), self._seconds_left())

    def _hear_epoch(self, event: EpochEnd, now: float) -> TrainingSnapshot:
        self.learned = True
        self.history.append(replace(event.row, seconds=now - self.epoch_started))
        self.epoch, self.epoch_started, self.ended = event.row.epoch, now, now
        if event.probabilities is not None:
            self.watched = watching.hear(self.watched, self.places, event.probabilities)
        return self.say(self._epoch_words(event.row), self._seconds_left())

    def _epoch_words(self, at: BatchEnd | EpochRow) -> str:
        words = f"Epoch {at.epoch} of {self.epochs} ({PHASES.get(at.phase, at.phase)})"
        if not self.history:
            return words
        return f"{words}: {100 * self.history[-1].validation_accuracy:.0f} % of the photos held back are recognised"

    def _seconds_left(self) -> float | None:
        """At most, from the steps of this phase so far."""
        done = sum(row.phase == self.phase for row in self.history)
        in_epoch = self.step if len(self.history) < self.epoch else 0
        steps = max((self._planned[self.phase] - done) * self.steps - in_epoch, 0)
        later = self._later_seconds()
        if steps and self.phase_steps < 2:
            return later if self.phase == "fine-tuning" and self.history[-1].phase == "head" else None
        each = (self.seconds - self.pace_started) / max(self.phase_steps - 1, 1)
        return _sum(steps * each, later if self.phase == "head" else 0.0)

    def _later_seconds(self) -> float | None:
        """An estimate of what fine-tuning will take, before it has begun, from the pace of the backbone; `None` where
        the features were on the disk, so that nobody knows it."""
        epochs = 0 if self.config.from_scratch else self.config.fine_tune_epochs
        if epochs and not self.per_photo:
            return None
        training, validation = self.phase_photos
        return epochs * (BACKWARD * training + validation) * self.per_photo


def _sum(one: float, other: float | None) -> float | None:
    return None if other is None else one + other


def best(history: Sequence[EpochRow]) -> EpochRow:
    """The epoch whose weights are kept: it recognised most, and of several such had the least loss."""
    return max(history, key=lambda row: (row.validation_accuracy, -row.validation_loss, -row.epoch))
