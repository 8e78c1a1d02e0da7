"""The view Training: before anything runs, while it runs, and however it ends. The training itself is tested in
`tests/core/transfer`; here its jobs are only said to run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from core import images, runs
from core.messages import JobSnapshot, ModelRef
from core.transfer import attempts, checkpoints, report
from core.transfer.checkpoints import Checkpoint
from core.transfer.requests import EpochRow, TrainingConfig, TrainingReport, TrainingSnapshot, Watched
from pages.trainer import training_view, watched_photos

HISTORY = tuple(
    EpochRow(epoch, "head" if epoch < 4 else "fine-tuning", 1 / epoch, 0.2 * epoch, 1.2 / epoch, 0.18 * epoch, 0.5)
    for epoch in range(1, 5)
)
THUMBNAIL = images.encode_webp(np.full((8, 8, 3), 128, np.uint8))
SNAPSHOT = TrainingSnapshot(
    words="Epoch 5 of 9 (fine-tuning): 72 % of the photos held back are recognised",
    phase="fine-tuning",
    epoch=5,
    epochs=9,
    step=1,
    steps=4,
    history=HISTORY,
    batch_losses=(2.0, 1.0, 0.5, 0.4, 0.3),
    batch_epochs=(0.5, 1.5, 2.5, 3.5, 4.25),
    seconds=12.0,
    seconds_left=34.0,
    classes=("cats", "*dogs*"),
    watched=(
        Watched("cats/1.png", THUMBNAIL, 0, (1, 1, 0, 0), (0.1, 0.2, 0.6, 0.93)),
        Watched("dogs/1.png", THUMBNAIL, 1, (1, 1, 1, 0), (0.9, 0.8, 0.7, 0.24)),
    ),
    notes=("It went on after epoch 3 of 9.",),
)
REPORT = TrainingReport(
    classes=("cats", "*dogs*"),
    images=20,
    training_images=16,
    validation_images=4,
    left_out=(),
    validation_accuracy=0.75,
    majority_accuracy=0.5,
    confusion=((2, 0), (1, 1)),
    epochs=4,
    stopped=True,
    seconds=31.0,
    model_path="model.keras",
    backbone="efficientnet_lite0",
    origin="trained on ImageNet",
    best_epoch=3,
)


@dataclass
class FakeJob:
    """A job that is in a certain state, whatever happens."""

    state: JobSnapshot
    id: str = "a job"
    cancelled: list[bool] = field(default_factory=list)

    def join(self, viewer: str | None) -> None:
        """Whoever looks, it stays as it is."""

    leave = join

    def snapshot(self) -> JobSnapshot:
        return self.state

    def cancel(self) -> None:
        self.cancelled.append(True)


@pytest.fixture
def jobs(monkeypatch) -> dict[str, FakeJob]:
    """The jobs that the page knows, by the names of their runs."""
    known: dict[str, FakeJob] = {}
    monkeypatch.setattr("pages.trainer.common.job_of", known.get)
    monkeypatch.setattr("pages.trainer.training_view.job_of", known.get)
    return known


@pytest.fixture
def started(monkeypatch) -> list[Path]:
    """The runs that were asked to be trained; none of them is."""
    asked: list[Path] = []
    monkeypatch.setattr("pages.trainer.training_view.start", lambda config, run: asked.append(run))
    return asked


@pytest.fixture
def a_run() -> Iterator[Callable[..., Path]]:
    """A run as it is found on disk, with a checkpoint or with results."""
    made = []

    def make(*, kept: bool = False, said: TrainingReport | None = None) -> Path:
        folder = runs.new_run()
        made.append(folder)
        config = TrainingConfig("chessman", ModelRef("efficientnet_lite0"), str(folder), epochs=3, fine_tune_epochs=6)
        runs.write_config(folder, config)
        if kept:
            told = replace(SNAPSHOT, epoch=4)
            checkpoints.write(folder, config, Checkpoint(told, "photos", 32, 0.01, {}, {}))
        if said is not None:
            report.write(said, HISTORY, folder)
        return folder

    yield make
    for folder in made:
        runs.delete(folder.name)


@pytest.fixture
def training(app):
    return lambda **query: app("transfer_trainer", view="training", **query)


def curves(page) -> dict[str, list]:
    figure = json.loads(page.figure("curves").proto.spec)
    return {trace["name"]: trace for trace in figure["data"] if trace.get("showlegend") is not False}


def test_before_anything_runs_it_says_what_would_be_trained_and_offers_what_was_left(training, a_run, started):
    stopped, interrupted, finished = a_run(kept=True, said=REPORT), a_run(kept=True), a_run(said=REPORT)
    page = training(epochs=5, fine=2)
    words = page.words()
    assert "EfficientNet\\-Lite0, trained on ImageNet, learns the chess pieces" in words
    assert "5 epochs of a new head, then 2 epochs of fine-tuning" in words
    assert not page.widget("button", "trainer.start here").disabled
    assert "was stopped after epoch 4 of 9" in words and "was interrupted after epoch 4 of 9" in words
    offered = [button.key for button in page.at.button if button.key.startswith("trainer.go on")]
    assert set(offered) == {f"trainer.go on {run.name}" for run in (stopped, interrupted)}
    page.widget("button", f"trainer.delete {interrupted.name}").click()
    page.run()
    assert not interrupted.exists()
    page.widget("button", f"trainer.go on {stopped.name}").click()
    page.run()
    assert started == [stopped] and finished.exists()


def test_while_it_runs_everything_is_in_view_and_two_runs_do_not_mix(training, a_run, jobs):
    run, other = a_run(), a_run()
    jobs[run.name] = FakeJob(JobSnapshot("running", latest=SNAPSHOT, attempt=2))
    jobs[other.name] = FakeJob(JobSnapshot("running", latest=replace(SNAPSHOT, history=HISTORY[:1], watched=())))
    page = training(run=run.name)
    drawn = curves(page)
    assert drawn["training"]["x"] == [1, 2, 3, 4]
    assert drawn["each batch"]["x"] == [0.5, 1.5, 2.5, 3.5, 4.25]
    (progress,) = page.at.get("progress")
    assert "Epoch 5 of 9" in progress.proto.text and "about 34 s left" in progress.proto.text
    assert "it goes on from its last epoch" in progress.proto.text
    assert progress.proto.value == round(100 * (4 + 1 / 4) / 9)
    words = page.words()
    assert "✓ **cats**" in words and "✗ **cats**" in words and "it is \\*dogs\\*" in words
    assert "It went on after epoch 3" in words
    page.widget("button", f"stop {jobs[run.name].id}").click()
    page.run()
    assert jobs[run.name].cancelled and not jobs[other.name].cancelled
    assert curves(training(run=other.name))["training"]["x"] == [1]


def test_whoever_has_a_run_at_work_cannot_start_another(training, a_run, jobs):
    run, left = a_run(), a_run(kept=True)
    jobs[run.name] = FakeJob(JobSnapshot("running", latest=SNAPSHOT))
    page = training()
    assert not page.widget("button", "trainer.start").disabled  # it is somebody else's
    page.at.session_state["trainer.own runs"] = [run.name]
    page.run()
    for name in ("start", "start here", f"go on {left.name}"):
        button = page.widget("button", f"trainer.{name}")
        assert button.disabled and "at work" in button.help
    jobs[run.name].state = JobSnapshot("done", result=SNAPSHOT)
    page.run()
    assert not page.widget("button", "trainer.start").disabled


def test_when_it_has_ended_it_says_what_it_came_to(training, trained):
    page = training(run=trained)
    (said,) = page.at.success
    kept = runs.find(trained).report
    assert f"**{round(100 * kept.validation_accuracy)}\u00a0%** of the {kept.validation_images} photos" in said.value
    assert "always answering the same would reach 50" in said.value and "2 epochs" in said.value
    assert curves(page)["validation"]["x"] == [1, 2]
    assert not [button for button in page.at.button if "go on" in button.key]
    page.widget("button", "trainer.to results").click()
    page.run()
    assert page.figure("confusion")


@pytest.mark.parametrize("known", [True, False])
def test_a_stopped_run_can_go_on(training, a_run, jobs, started, known):
    run = a_run(kept=True, said=REPORT)
    if known:
        jobs[run.name] = FakeJob(JobSnapshot("cancelled", latest=SNAPSHOT))
    page = training(run=run.name)
    (said,) = page.at.info
    assert "was stopped after epoch 4 of 9" in said.value and "75" in said.value and "number 3" in said.value
    assert curves(page)["training"]["x"] == [1, 2, 3, 4]
    assert page.widget("button", "trainer.to results")
    page.widget("button", f"trainer.go on {run.name}").click()
    page.run()
    assert started == [run]


def test_a_failed_run_says_why_and_can_go_on(training, a_run, jobs, started):
    run = a_run(kept=True)
    jobs[run.name] = FakeJob(
        JobSnapshot("failed", latest=SNAPSHOT, error="model.keras cannot be saved: the disk is full")
    )
    page = training(run=run.name)
    assert ["the disk is full" in error.value for error in page.at.error] == [True]
    assert curves(page)["training"]["x"] == [1, 2, 3, 4]
    page.widget("button", f"trainer.go on {run.name}").click()
    page.run()
    assert started == [run]


def test_a_run_that_died_before_its_first_epoch_can_begin_again(training, a_run, started):
    run = a_run()
    page = training(run=run.name)
    assert "ended before its first epoch was over" in page.words()
    button = page.widget("button", f"trainer.go on {run.name}")
    assert button.label == "Begin again"
    button.click()
    page.run()
    assert started == [run]


def test_a_link_to_a_run_that_is_gone_says_so(training):
    page = training(run="2020-01-31-0123456789ab")
    assert "not on this machine any more" in page.words()
    assert not page.widget("button", "trainer.start here").disabled


@pytest.mark.parametrize("stopped", [True, False])
def test_a_run_that_another_process_is_at_work_on_is_not_offered(training, a_run, jobs, stopped):
    run = a_run(kept=True)
    if stopped:
        jobs[run.name] = FakeJob(JobSnapshot("cancelled", latest=SNAPSHOT))
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        attempts.begin(run, 32, 0)
        note = json.loads((run / attempts.NOTE).read_text())
        note["process"] = [other.pid, psutil.Process(other.pid).create_time()]
        (run / attempts.NOTE).write_text(json.dumps(note))
        page = training(run=run.name)
        assert ("is being saved" if stopped else "Another server is training this run") in page.words()
        assert curves(page)["training"]["x"] == [1, 2, 3, 4]
        assert not [button for button in page.at.button if "go on" in button.key]
        assert run.name not in "".join(button.key for button in training().at.button)
        other.stdin.close()


# In words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {},
            "Lite0, trained on ImageNet, learns the chess pieces (160 × 160 pixels): 8 epochs of a new head.",
        ),
        (
            {"fine_tune_epochs": 1, "data": "/x.zip"},
            "your photos (160 × 160 pixels): 8 epochs of a new head, then 1 epoch of",
        ),
        ({"from_scratch": True, "epochs": 1}, "learns the chess pieces (160 × 160 pixels) from nothing in 1 epoch."),
    ],
)
def test_the_plan_is_a_sentence(changes, words):
    config = TrainingConfig("chessman", ModelRef("efficientnet_lite0"), "")
    assert words in training_view.plan(replace(config, **changes))


def test_progress_is_a_share_of_all_epochs():
    share = lambda **changes: training_view.progress_of(replace(SNAPSHOT, **changes)).fraction  # noqa: E731
    assert share(epoch=1, step=0, phase="head") == 0
    assert share(epoch=9, step=4) == 1
    assert share(phase="saving", step=0, steps=0) == 1
    assert share(phase="preparing", step=1, steps=4) == 0.25
    assert share(phase="preparing", step=0, steps=0) is None


def test_a_verdict_is_told_by_a_sign_and_shows_names_letter_for_letter():
    right, wrong = SNAPSHOT.watched
    classes = ("![x](https://host)", "dog")
    assert watched_photos.verdict(right, ("cat", "dog")) == ":green[✓ **cat**] 93\u00a0%"
    assert watched_photos.verdict(wrong, ("cat", "dog")) == ":red[✗ **cat**]  \nit is dog: 24\u00a0%"
    assert "![x](" not in watched_photos.verdict(right, classes)
    assert watched_photos.story(right) == ":red[✗]:red[✗]:green[✓]:green[✓]"
    assert watched_photos.story(replace(right, said=(1,) * 20 + (0,))).count("✗") == watched_photos.MARKS - 1
