"""A whole training run, as an iterator of snapshots: read, split, build, train, save, report."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from core import runs, storage
from core.backbones import loading
from core.errors import UserError
from core.messages import Progress
from core.transfer import attempts, checks, datasets, export, metrics, report
from core.transfer.classifier import Classifier, build, check_fine_tuning
from core.transfer.datasets import Splits
from core.transfer.keeping import Keeper
from core.transfer.loop import BatchEnd, EpochEnd, Event, Prepared, Saved, predict, train
from core.transfer.requests import TrainingConfig, TrainingReport, TrainingSnapshot
from core.transfer.telling import Teller, best

__all__ = ["BatchEnd", "EpochEnd", "Prepared", "Saved", "run", "train"]

RESULTS_BYTES = 10**6  # that all files but the network take, about
ROOM_PATIENCE = 900  # seconds that a person has for making room for what was learned
PATIENCE = 120  # seconds that another process may take to end what it does with the same run


def run(
    config: TrainingConfig, *, strategy: tf.distribute.Strategy | None = None, writes: bool = True
) -> Iterator[TrainingSnapshot]:
    """Train as `config` says, and write `model.keras`, `labels.txt`, `history.csv`, `held_back.npz` and `report.json`
    into `config.out`.

    The last snapshot carries the report. Whoever stops asking ends the run: what was best by then is still written, if
    an epoch had ended, with `stopped` in the report. After every epoch all that was learned is kept, so the same
    `config` goes on where an earlier run of it was stopped, killed or failed, with the curves that it would have had; a
    run that has ended by itself begins anew.

    `strategy` shares the work out among devices; of several processes only one is to have `writes`, and all are to see
    the same `config.out`. Raises `UserError` for what a person can put right, `TooLarge` where the same call in another
    process will take fewer photos at a time.
    """
    checks.check(config)
    teller = Teller(config)
    keeper = Keeper(config, teller, writes=writes)
    if writes:
        _make_folder(keeper.folder)
        yield from _await_others(keeper.folder, teller)
    keeper.begin()
    try:
        yield from _run(keeper, teller, strategy or tf.distribute.get_strategy(), writes)
    finally:
        keeper.end()


def _run(keeper: Keeper, teller: Teller, strategy: tf.distribute.Strategy, writes: bool) -> Iterator[TrainingSnapshot]:
    config = keeper.config
    yield teller.begin("preparing", "Reading the photos")
    for found in datasets.reading(config.data, config.size, config.per_class):
        if isinstance(found, Progress):
            yield teller.say(found.words)
    splits = datasets.split(found, config.validation, config.seed, own=config.own_splits)
    keeper.confirm(splits)
    teller.watch(splits)
    yield teller.say("Loading the model")
    before = time.monotonic()
    for step in loading.load_steps(config.backbone):
        if isinstance(step, Progress):
            yield teller.say(step.words)
    with strategy.scope():
        classifier = build(config.backbone, splits.dataset.classes, config)
    check_fine_tuning(classifier, config)
    keeper.check_room(classifier.model)
    teller.pause(time.monotonic() - before)
    results = _Results(config, teller, classifier, splits, writes)
    events = _train(keeper, classifier, splits, strategy)
    try:
        yield teller.begin("preparing", "Looking at every photo with the backbone")
        for event in events:
            told = teller.hear(event)
            if isinstance(event, EpochEnd):
                keeper.epoch_ended(event.state)
            if told is not None:
                yield told
    except (GeneratorExit, KeyboardInterrupt):
        results.keep_best(events)
        raise
    except UserError as error:
        kept = results.keep_best(events)
        raise UserError(f"{error} The best model before that is kept in {config.out}.") if kept else error from None
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        # Nothing more is computed: in a process that has run out of memory TensorFlow may crash.
        raise keeper.too_large(error, strategy.num_replicas_in_sync) from error
    try:
        yield teller.begin("saving", "Saving the model")
        yield from _await_room(results, teller)
    finally:
        results.write(stopped=False)
        keeper.done()
    accuracy = 100 * teller.report.validation_accuracy
    yield teller.begin("done", f"Done: {accuracy:.0f} % of the photos held back are recognised")


def _train(keeper: Keeper, classifier: Classifier, splits: Splits, strategy: tf.distribute.Strategy) -> Iterator[Event]:
    """The loop's events, from the checkpoint on where there is one that fits."""
    events = train(classifier, splits, keeper.config, strategy=strategy, start=keeper.start)
    with contextlib.closing(events):
        try:
            first = next(events, None)
        except ValueError as error:
            if isinstance(error, UserError) or keeper.start is None:
                raise
            why = "What had been kept of an earlier attempt is of another network, so the run began anew."
            keeper.begin_anew(why, splits)
            first = None
            events = train(classifier, splits, keeper.config, strategy=strategy)
        if first is not None:
            yield first
        yield from events


class _Results:
    """What a run comes to, as files in its folder."""

    def __init__(self, config: TrainingConfig, teller: Teller, classifier: Classifier, splits: Splits, writes: bool):
        self._config, self._teller, self._classifier, self._splits = config, teller, classifier, splits
        self._writes = writes

    def keep_best(self, events: Iterator[Event]) -> bool:
        """Write what there is when a run ends early; says whether there was anything."""
        events.close()
        if self._teller.learned and self._teller.history:
            self.write(stopped=True)
            return True
        return False

    def refusal(self) -> UserError | None:
        """Why the results cannot be written now, as far as that is known before."""
        if not self._writes:
            return None
        path = Path(self._config.out) / runs.MODEL
        try:
            storage.check_room(path, 2 * export.size(self._classifier.model) + RESULTS_BYTES)
        except UserError as error:
            return error
        return None

    def write(self, *, stopped: bool) -> None:
        """Each file whole or not at all, the report last: with it a run counts as one that has results."""
        dataset, classifier, folder = self._splits.dataset, self._classifier, Path(self._config.out)
        held_back, labels = dataset.photos[self._splits.validation], dataset.labels[self._splits.validation]
        probabilities = predict(classifier.model, held_back)
        self._teller.report = self._report(labels, probabilities, stopped)
        if not self._writes:
            return
        export.save(classifier.model, self._teller.report.model_path, dataset.classes, held_back[:8])
        report.write_labels(dataset.classes, folder)
        report.write_held_back(
            [dataset.files[place] for place in self._splits.validation], labels, probabilities, folder
        )
        report.write(self._teller.report, self._teller.history, folder)

    def _report(self, labels: np.ndarray, probabilities: np.ndarray, stopped: bool) -> TrainingReport:
        config, teller, dataset = self._config, self._teller, self._splits.dataset
        confusion = report.confusion_matrix(labels, np.argmax(probabilities, axis=-1), len(dataset.classes))
        test = self._splits.test
        return TrainingReport(
            classes=dataset.classes,
            images=len(dataset),
            training_images=len(self._splits.training),
            validation_images=len(self._splits.validation),
            left_out=dataset.left_out,
            validation_accuracy=report.accuracy(confusion),
            majority_accuracy=report.majority_accuracy(dataset.labels[self._splits.training], labels),
            confusion=tuple(tuple(int(count) for count in row) for row in confusion),
            epochs=len(teller.history),
            stopped=stopped,
            seconds=teller.ended,
            model_path=str(Path(config.out) / "model.keras"),
            backbone=config.backbone.name,
            origin=self._classifier.origin,
            best_epoch=best(teller.history).epoch,
            test_images=len(test),
            test_accuracy=self._accuracy(test) if len(test) else None,
            step_seconds=teller.step_seconds,
            batch_size=config.batch_size,
            notes=tuple(teller.notes),
            **_scores(labels, probabilities, len(dataset.classes)),
        )

    def _accuracy(self, photos: np.ndarray) -> float:
        dataset = self._splits.dataset
        said = np.argmax(predict(self._classifier.model, dataset.photos[photos]), axis=-1)
        return float(np.mean(said == dataset.labels[photos]))


def _scores(labels: np.ndarray, probabilities: np.ndarray, classes: int) -> dict[str, float]:
    scores = {}
    for name, kind in (("precision", metrics.Precision), ("recall", metrics.Recall), ("f1", metrics.MacroF1)):
        metric = kind(classes)
        metric.update_state(labels, probabilities)
        scores[name] = float(metric.result())
    return scores


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The results cannot be written to {folder}. Choose another folder.") from error


def _await_room(results: _Results, teller: Teller) -> Iterator[TrainingSnapshot]:
    """While the disk has no room for what was learned, the run keeps it in memory and says so."""
    deadline = time.monotonic() + ROOM_PATIENCE
    while (refusal := results.refusal()) and time.monotonic() < deadline:
        yield teller.say(f"Learned, and kept in memory until there is room for it. {refusal}")
        time.sleep(0.5)


def _await_others(folder: Path, teller: Teller) -> Iterator[TrainingSnapshot]:
    """A run that was stopped a moment ago is still being saved, and nobody else may write into its folder."""
    deadline = time.monotonic() + PATIENCE
    while attempts.at_work(folder):
        if time.monotonic() > deadline:
            raise UserError(f"Another process is training the run in {folder}. Wait until it has ended, or end it.")
        yield teller.say("Waiting for another process that works on this run")
        time.sleep(0.2)
