"""What the Trainer holds itself to: a head as good as Keras' own `fit` gives, sooner; and what a graph is worth."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace

import keras
import numpy as np

from core import storage
from core.messages import ModelRef
from core.transfer import datasets, losses, optimisers
from core.transfer.classifier import Classifier, build, unfreeze
from core.transfer.datasets import Splits
from core.transfer.loop import EpochEnd, train
from core.transfer.requests import TrainingConfig
from core.transfer.steps import Group, make_step
from tests.benchmarks.rows import Row, alternately

EPOCHS = 10


def measure(full: bool) -> Iterator[Row]:
    """The Trainer's rows, one after the other."""
    yield from against_fit(full)
    yield from against_eager(full)


def against_fit(full: bool) -> Iterator[Row]:
    """Ten epochs of the same head on the same photos, without augmentation, so that both learn the same.

    Tracing counts for both, and for us the looking at every photo too, unless a row says that it was done before.
    """
    config, splits = _chessman(None)
    classifier = build(config.backbone, splits.dataset.classes, config)
    at_first, found = classifier.head.get_weights(), {}

    def ours() -> None:
        shutil.rmtree(storage.folder("features"))
        found["ours"] = _train(classifier, at_first, splits, config)

    def again() -> None:
        _train(classifier, at_first, splits, replace(config, learning_rate=2e-3))

    def theirs() -> None:
        found["theirs"] = _fit(classifier, at_first, splits, config)

    with _home_of_its_own():
        fit, first, second = alternately(3 if full else 1, theirs, ours, again)
    what = f"a head, {EPOCHS} epochs on {len(splits.training)} photos"
    against = "`model.fit` through the frozen backbone"
    words = f"{found['ours']:.0%} recognised, by `fit` {found['theirs']:.0%}"
    yield Row(what, against, "≥ 8×", f"{fit / first:.1f}× ({first:.1f} s), {words}")
    yield Row(f"{what}, features kept from before", against, "–", f"{fit / second:.0f}× ({second:.1f} s)")


def against_eager(full: bool) -> Iterator[Row]:
    """One step as a graph, and the same one without."""
    config, splits = _chessman(20)
    labels, mask = splits.dataset.labels[splits.training][:32], np.ones(32, np.float32)
    for phase in ("head", "fine-tuning"):
        classifier = build(config.backbone, splits.dataset.classes, config)
        variables, model = classifier.head.trainable_variables, classifier.head
        inputs = np.random.default_rng(0).random((32, *model.input_shape[1:]), np.float32)
        if phase == "fine-tuning":
            variables, model = [*variables, *unfreeze(classifier)], classifier.model
            inputs = splits.dataset.photos[splits.training][:32]

        def step(eager: bool, variables=variables, model=model, inputs=inputs):
            group = Group(optimisers.named("adam", 1e-5), variables)
            made = make_step(model, [group], losses.named("crossentropy"), eager=eager)
            return lambda: float(made(inputs, labels, mask)[0])

        eager, graph = alternately(20 if full else 8, step(True), step(False))
        words = f"{eager / graph:.1f}× ({1000 * graph:.1f} ms)"
        yield Row(f"a step as a graph, {phase}", "the same step, eager", "> 1×", words)


def _chessman(per_class: int | None) -> tuple[TrainingConfig, Splits]:
    config = TrainingConfig(
        "chessman",
        ModelRef("efficientnet_lite0"),
        "",
        epochs=EPOCHS,
        augmentation=None,
        dropout=0.0,
        per_class=per_class,
    )
    dataset = datasets.read(config.data, config.size, config.per_class)
    return config, datasets.split(dataset, config.validation, config.seed)


def _train(classifier: Classifier, at_first: list, splits: Splits, config: TrainingConfig) -> float:
    """The best validation accuracy."""
    classifier.head.set_weights(at_first)
    events = train(classifier, splits, config)
    return max(event.row.validation_accuracy for event in events if isinstance(event, EpochEnd))


def _fit(classifier: Classifier, at_first: list, splits: Splits, config: TrainingConfig) -> float:
    """The best validation accuracy, in the way that everybody knows."""
    classifier.head.set_weights(at_first)
    photos, labels = splits.dataset.photos.astype(np.float32), splits.dataset.labels
    classifier.model.compile(
        keras.optimizers.Adam(config.learning_rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    history = classifier.model.fit(
        photos[splits.training],
        labels[splits.training],
        config.batch_size,
        epochs=config.epochs,
        validation_data=(photos[splits.validation], labels[splits.validation]),
        verbose=0,
    )
    return max(history.history["val_accuracy"])


@contextlib.contextmanager
def _home_of_its_own() -> Iterator[None]:
    """A person's kept features are neither used nor touched."""
    before = os.environ.get("LAYERSCOPE_HOME")
    with tempfile.TemporaryDirectory(prefix="layerscope_bench_") as home:
        os.environ["LAYERSCOPE_HOME"] = home
        try:
            yield
        finally:
            if before is None:
                del os.environ["LAYERSCOPE_HOME"]
            else:
                os.environ["LAYERSCOPE_HOME"] = before


if __name__ == "__main__":
    for row in measure("--full" in sys.argv):
        print(f"{row.what} | {row.against} | {row.goal} | {row.found}", flush=True)
