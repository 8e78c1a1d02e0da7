"""Waiting for short work, with its progress in view; and what is said where it fails."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core.engine import EngineError, Job
from core.errors import UserError
from core.messages import JobSnapshot, Progress
from pages.shared.resources import engine
from pages.shared.words import in_markdown

FIRST_LOOK = 0.15  # seconds before anything is said about waiting: what is quicker would only flicker
POLL = 0.1


def show_error(error: Exception) -> None:
    """The sentence of an error, letter for letter (it may quote a person's words)."""
    st.error(in_markdown(str(error)), icon=":material/error:")


def wait_for(job: Job, words: str) -> Any:
    """The result of a short job, with its progress in view meanwhile; stops the page with a sentence if it fails."""
    try:
        return outcome_of(job, words)
    except (UserError, EngineError) as error:
        show_error(error)
        st.stop()


def outcome_of(job: Job, words: str) -> Any:
    """The same, for those who know what to do where it fails: raises the job's `UserError` or `EngineError`."""
    # There even if nobody has to wait: else what follows would change places from one run to the next, and in a
    # fragment the last of it would stay behind, twice.
    place = st.empty()
    snapshot = job.wait(FIRST_LOOK)
    if not snapshot.over:
        while not (snapshot := job.wait(POLL)).over:
            say_progress(place, snapshot, words)
        place.empty()
    return job.result()


def say_progress(place: Any, snapshot: JobSnapshot, words: str) -> None:
    """How far the job is, in `place`: TensorFlow still starting, a place in the queue, or its own progress."""
    if not engine().ready():
        place.info("TensorFlow is starting. The first picture comes in a few seconds.", icon=":material/hourglass_top:")
        return
    if snapshot.state == "queued" and snapshot.place and snapshot.place > 1:
        place.info(f"{words}. You are number {snapshot.place} in the queue.", icon=":material/hourglass_top:")
        return
    progress = snapshot.latest if isinstance(snapshot.latest, Progress) else Progress(words)
    place.progress(progress.fraction or 0.0, text=in_markdown(progress.words) + " …")
