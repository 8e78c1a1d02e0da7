"""While it learns: the curves, how long it will take, and the button that stops it."""

from __future__ import annotations

import time

import streamlit as st

from core import plots, runs, storage
from core.messages import JobSnapshot, Progress
from core.transfer.requests import TrainingSnapshot
from pages.shared import job_panel
from pages.shared.choices import show_figure
from pages.trainer.common import Bench, job_of, key, turn_to

NAMES = ()
LONGEST_SAVING = 60  # seconds


def show(bench: Bench) -> None:
    if bench.run is None:
        st.info("Nothing has been trained yet. Choose photos and press *Start training*.")
        return
    run, job = bench.run, job_of(bench.run)
    snapshot = job.snapshot() if job else JobSnapshot("done")
    if not snapshot.over:
        job_panel.watch(job, draw_progress, progress_of=progress_of, stop="Stop")
        return
    job_panel.tell_how_it_ended(snapshot, "Stopped before the last epoch.")
    latest = snapshot.result or snapshot.latest
    draw_progress(latest if isinstance(latest, TrainingSnapshot) else None)
    report = latest.report if isinstance(latest, TrainingSnapshot) else None
    report = report or runs.read_report(storage.folder("runs") / run) if runs.is_run(run) else None
    if report is not None:
        if st.button("See the results", icon=":material/insights:", type="primary", key=key("to results")):
            turn_to("results")
            st.rerun()
    elif snapshot.state == "cancelled" and isinstance(latest, TrainingSnapshot) and latest.history:
        wait_for_report(run)
    elif job is None:
        st.info("The run in this link is not on this machine any more.")


def wait_for_report(run: str) -> None:
    """A stopped run still saves its best network, which takes a few seconds."""
    began = st.session_state.setdefault(key(f"waits for {run}"), time.monotonic())

    @st.fragment(run_every=1.0)
    def look() -> None:
        if runs.read_report(storage.folder("runs") / run) is not None:
            st.rerun()
        if time.monotonic() - began < LONGEST_SAVING:
            st.info("The best network so far is being saved …", icon=":material/hourglass_top:")
        else:
            st.warning("The network of this stopped run could not be saved. Train again to have one.")

    look()


def progress_of(snapshot: TrainingSnapshot) -> Progress:
    if snapshot.phase == "preparing":
        fraction = snapshot.step / snapshot.steps if snapshot.steps else None
        return Progress(snapshot.words + job_panel.time_left(snapshot.seconds_left), fraction)
    done = snapshot.epoch - 1 + snapshot.step / max(1, snapshot.steps) if snapshot.epoch else 0
    fraction = min(1.0, done / max(1, snapshot.epochs)) if snapshot.epochs else None
    return Progress(snapshot.words + job_panel.time_left(snapshot.seconds_left), fraction)


def draw_progress(snapshot: TrainingSnapshot | None) -> None:
    if snapshot is None or not (snapshot.history or snapshot.batch_losses):
        return
    show_figure(
        plots.training_curves(snapshot.history, snapshot.batch_losses, snapshot.epochs),
        "curves",
        "Accuracy and loss by epoch, for training and validation photos",
    )
