"""While it learns: the curves, how long it will take, and the button that stops it; and how it goes on afterwards."""

from __future__ import annotations

import streamlit as st

from core import plots, runs
from core.engine import Job
from core.errors import UserError
from core.messages import Progress
from core.runs import Run
from core.transfer import attempts, checkpoints, history, settings
from core.transfer.requests import TrainingConfig, TrainingReport, TrainingSnapshot
from pages.shared import job_panel, visitors
from pages.shared.choices import show_in_room
from pages.shared.controls import seconds_words, show_error
from pages.shared.words import in_markdown, label, percent
from pages.trainer import watched_photos
from pages.trainer.common import BUSY, Bench, begin, busy, is_running, job_of, key, show_run, start, turn_to

NAMES = ()
OFFERED = 3  # runs that can go on, the latest ones
ROOM = "calc(100vh - 530px)"  # what the watched photos leave
LOOK = 1.0  # seconds between two looks at a run that another process is at work on


def show(bench: Bench) -> None:
    if bench.run is None:
        invite(bench)
        return
    job = job_of(bench.run)
    if job is not None and not job.snapshot().over:
        job_panel.watch(job, draw, progress_of=progress_of, stop="Stop", again="it goes on from its last epoch")
        return
    run = runs.find(bench.run)
    if run is None:
        st.info("The run in this link is not on this machine any more.", icon=":material/link_off:")
        invite(bench)
    elif attempts.at_work(run.folder):
        await_the_end(run, job)
    else:
        tell_the_end(run, job)


# Before anything runs


def invite(bench: Bench) -> None:
    if not bench.config.data:
        st.info("Choose the photos first, under *Photos*.", icon=":material/photo_library:")
    else:
        st.markdown(f"#### {plan(bench.config)}")
        working = busy() is not None
        if st.button(
            "Start training",
            type="primary",
            icon=":material/model_training:",
            disabled=working,
            key=key("start here"),
            help=BUSY if working else "Everything can be changed under *Photos* and *Recipe* first.",
        ):
            begin(bench.config)
    offer_unfinished(but=bench.run)


def plan(config: TrainingConfig) -> str:
    """What would be trained, in a sentence."""
    network = in_markdown(label(settings.network_words(config)))
    photos = "the chess pieces" if config.data == "chessman" else "your photos"
    size = f"{config.size} × {config.size} pixels"
    if config.from_scratch:
        return f"{network}, learns {photos} ({size}) from nothing in {_epochs(config.epochs)}."
    tuned = f", then {_epochs(config.fine_tune_epochs)} of fine-tuning" if config.fine_tune_epochs else ""
    return f"{network}, learns {photos} ({size}): {_epochs(config.epochs)} of a new head{tuned}."


def _epochs(number: int) -> str:
    return "1 epoch" if number == 1 else f"{number} epochs"


def offer_unfinished(but: str | None = None) -> None:
    """Runs whose process died, or that somebody stopped: they can go on."""
    others = (run for run in visitors.all_runs() if run.name != but)
    left = [run for run in others if run.can_go_on and run.config and not _at_work(run)]
    for run in left[:OFFERED]:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(f"A run of **{run.when:%d %b %H:%M}** {how_far(run)}.", width="stretch")
            offer_to_go_on(run, "secondary")
            if visitors.may_delete(run.name):
                offer_to_delete(run)
    if len(left) > OFFERED:
        st.caption(f"… and {len(left) - OFFERED} more, under *Runs*.")


def offer_to_delete(run: Run) -> None:
    with st.popover("Delete", icon=":material/delete:"):
        st.markdown("Its photos, curves and network go with it.")
        if st.button("Delete it for good", key=key(f"delete {run.name}")):
            delete(run)


def how_far(run: Run) -> str:
    told = checkpoints.told(run.folder)
    verb = "was stopped" if run.report is not None else "was interrupted"
    return f"{verb} after epoch {told.epoch} of {told.epochs}" if told else "ended before its first epoch was over"


def offer_to_go_on(run: Run, kind: str = "primary", words: str = "Go on") -> None:
    working = busy() is not None
    help_text = "From its last epoch, as if nothing had happened." if run.can_go_on else "With the same recipe."
    if run.config is not None and st.button(
        words,
        type=kind,
        icon=":material/resume:",
        disabled=working,
        key=key(f"go on {run.name}"),
        help=BUSY if working else help_text,
    ):
        start(run.config, run.folder)
        turn_to("training")
        st.rerun()


def delete(run: Run) -> None:
    try:
        runs.delete(run.name)
    except UserError as error:
        show_error(error)
        return
    show_run(None)
    st.rerun()


def _at_work(run: Run) -> bool:
    return is_running(run.name) or attempts.at_work(run.folder)


# While it runs


def progress_of(snapshot: TrainingSnapshot) -> Progress:
    words = snapshot.words + job_panel.time_left(snapshot.seconds_left)
    if snapshot.phase == "preparing":
        return Progress(words, snapshot.step / snapshot.steps if snapshot.steps else None)
    if snapshot.phase in ("saving", "done"):
        return Progress(words, 1.0)
    done = snapshot.epoch - 1 + snapshot.step / max(1, snapshot.steps) if snapshot.epoch else 0
    return Progress(words, min(1.0, done / snapshot.epochs) if snapshot.epochs else None)


def draw(snapshot: TrainingSnapshot | None) -> None:
    """The curves, the watched photos below them, and what there is to note."""
    if snapshot is None:
        return
    if snapshot.history or snapshot.batch_losses:
        figure = plots.training_curves(
            snapshot.history, snapshot.batch_losses, snapshot.epochs, batch_epochs=snapshot.batch_epochs
        )
        show_in_room(figure, "curves", "Accuracy and loss by epoch, for training and validation photos", ROOM)
    if snapshot.history:
        watched_photos.show(snapshot.watched, snapshot.classes)
    tell_notes(snapshot.notes)


def tell_notes(notes: tuple[str, ...]) -> None:
    for note in notes:
        st.caption(f":material/info: {in_markdown(note)}")


def await_the_end(run: Run, job: Job | None) -> None:
    """A stopped run still saves its best network, which takes a few seconds; or another server trains it."""
    saving = job is not None

    @st.fragment(run_every=LOOK)
    def look() -> None:
        if not attempts.at_work(run.folder):
            st.rerun()
        latest = latest_of(run, job)
        kept = "The best network so far is being saved …" if latest else "The run is stopping …"
        st.info(kept if saving else "Another server is training this run …", icon=":material/hourglass_top:")
        draw(latest)

    look()


# When it is over


def tell_the_end(run: Run, job: Job | None) -> None:
    snapshot = job.snapshot() if job is not None else None
    if snapshot is not None and snapshot.state == "failed":
        show_error(UserError(snapshot.error or "The work ended without a result. Try again."))
    elif run.report is not None and not (run.report.stopped and run.can_go_on):
        st.success(outcome(run.report), icon=":material/check_circle:")
    else:
        st.info(f"This run {how_far(run)}. {outcome(run.report) if run.report else ''}", icon=":material/stop_circle:")
    with st.container(horizontal=True):
        if run.report is not None and st.button(
            "See the results", icon=":material/insights:", type="primary", key=key("to results")
        ):
            turn_to("results")
            st.rerun()
        if run.can_go_on:
            offer_to_go_on(run, "secondary" if run.report is not None else "primary")
        elif run.report is None:
            offer_to_go_on(run, words="Begin again")
    draw(latest_of(run, job))


def outcome(report: TrainingReport) -> str:
    best = f", the best was number {report.best_epoch}" if report.best_epoch else ""
    return (
        f"**{percent(report.validation_accuracy)}** of the {report.validation_images} photos held back are recognised; "
        f"always answering the same would reach {percent(report.majority_accuracy)}. "
        f"{_epochs(report.epochs)} in {seconds_words(report.seconds).removeprefix('about ')}{best}."
    )


def latest_of(run: Run, job: Job | None) -> TrainingSnapshot | None:
    """What there is to draw: from the job while the server knows it, else from the run's folder."""
    if job is not None:
        snapshot = job.snapshot()
        latest = snapshot.result or snapshot.latest
        if isinstance(latest, TrainingSnapshot) and latest.history:
            return latest
    told = checkpoints.told(run.folder)
    if told is not None:
        return told
    rows = history.read(run.folder)
    notes = run.report.notes if run.report is not None else ()
    return TrainingSnapshot("", "done", len(rows), len(rows), history=rows, notes=notes) if rows else None
