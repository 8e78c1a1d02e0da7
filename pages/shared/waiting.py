"""Waiting for short work, with its progress in view and a way out; and what is said where it fails."""

from __future__ import annotations

import time
from typing import Any

import streamlit as st

from core.engine import EngineError, Job
from core.errors import UserError
from core.messages import JobSnapshot, Progress
from pages.shared import viewing
from pages.shared.resources import engine
from pages.shared.words import in_markdown

FIRST_LOOK = 0.15  # seconds before anything is said about waiting: what is quicker would only flicker
POLL = 0.1
SOON = 1.0  # seconds after which a way out is offered
STARTING = "TensorFlow is starting. The first picture comes in a few seconds."


def show_error(error: Exception) -> None:
    """The sentence of an error, letter for letter (it may quote a person's words)."""
    st.error(in_markdown(str(error)), icon=":material/error:")


def wait_for(job: Job, words: str) -> Any:
    """The result of a short job, with its progress in view meanwhile; stops the page with a sentence if it fails."""
    try:
        return outcome_of(job, words)
    except viewing.Stopped:
        st.info(f"{words}: stopped.", icon=":material/stop_circle:")
        st.button("Try again", key=f"again {job.id}", icon=":material/replay:", on_click=viewing.ask_again, args=(job,))
        st.stop()
    except (UserError, EngineError) as error:
        show_error(error)
        st.stop()


def outcome_of(job: Job, words: str) -> Any:
    """The same, for those who know what to do where it fails: raises the job's `UserError` or `EngineError`.

    When the page is run anew meanwhile, nobody waits here any longer: the next run asks again, or for something else.
    """
    # There even if nobody has to wait: else what follows would change places from one run to the next, and in a
    # fragment the last of it would stay behind, twice.
    place = st.empty()
    try:
        if not job.wait(FIRST_LOOK).over:
            _wait(job, words, place)
            place.empty()
    finally:
        if not job.snapshot().over:
            viewing.turn_away(job)
    return job.result()


def _wait(job: Job, words: str, place: Any) -> None:
    began = time.monotonic()
    with place.container(horizontal=True, vertical_alignment="center"):
        said, way_out = st.empty(), st.empty()
    offered = False
    while not (snapshot := job.wait(POLL)).over:
        viewing.give_way()
        say_progress(said, snapshot, words)
        if not offered and time.monotonic() - began > SOON:
            offered = True
            way_out.button(
                "Cancel",
                key=f"cancel {job.id}",
                icon=":material/stop_circle:",
                on_click=viewing.stop_waiting,
                args=(job,),
                help="Do not wait for this.",
            )


def say_progress(place: Any, snapshot: JobSnapshot, words: str) -> None:
    """How far the job is, in `place`: TensorFlow still starting, a place in the queue, or its own progress."""
    if not engine().ready():
        place.info(STARTING, icon=":material/hourglass_top:")
    elif waits := queue_words(snapshot):
        place.info(f"{words}. {waits}", icon=":material/hourglass_top:")
    else:
        progress = snapshot.latest if isinstance(snapshot.latest, Progress) else Progress(words)
        place.progress(progress.fraction or 0.0, text=in_markdown(progress.words) + " …")


def queue_words(snapshot: JobSnapshot) -> str:
    """ "You are number 3 in the queue; about 12 seconds."; nothing where the job is at work, or just about to be."""
    if snapshot.state != "queued" or not snapshot.place:
        return ""
    seconds = snapshot.wait_seconds or 0.0
    if snapshot.place == 1 and seconds < SOON:
        return ""
    where = "You are next" if snapshot.place == 1 else f"You are number {snapshot.place} in the queue"
    return f"{where}; {span_words(seconds)}."


def span_words(seconds: float) -> str:
    if seconds < 1.5:
        return "about a second"
    return f"about {seconds:.0f} seconds" if seconds < 90 else f"about {seconds / 60:.0f} minutes"
