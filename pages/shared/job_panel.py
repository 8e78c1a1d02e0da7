"""A long job on a page: its progress, its place in the queue, how long it will take, and the button that ends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.engine import Job
from core.errors import UserError
from core.messages import JobSnapshot, Progress
from pages.shared.controls import seconds_words, show_error
from pages.shared.resources import engine
from pages.shared.viewing import look_at
from pages.shared.waiting import STARTING, queue_words
from pages.shared.words import in_markdown

REFRESH = 0.5  # seconds between two looks at the job


def watch(
    job: Job,
    draw: Callable[[Any], DeltaGenerator | None],
    *,
    progress_of: Callable[[Any], Progress],
    stop: str,
    again: str = "the work is being done again",
) -> None:
    """Show `job` while it runs, refreshed on its own; when it is over, the whole page runs again.

    `draw` shows a snapshot of the task (and is called with `None` before the first one). It may return a container:
    the progress goes there, else above all. `stop` is the button's text; `again` says what happens after a process has
    ended.
    """

    @st.fragment(run_every=REFRESH)
    def panel() -> None:
        snapshot = job.snapshot()
        if snapshot.over:
            st.rerun()
        look_at(job)
        above = st.container()
        place = draw(None if isinstance(snapshot.latest, Progress) else snapshot.latest)
        with place or above, st.container(horizontal=True, vertical_alignment="center"):
            with st.container():
                _say(snapshot, progress_of, again)
            pressed = st.button(
                stop, key=f"stop {job.id}", icon=":material/stop_circle:", help="What is there is kept."
            )
        if pressed:
            job.cancel()
            st.toast("Stopping; what is there is kept.")

    panel()


def _say(snapshot: JobSnapshot, progress_of: Callable[[Any], Progress], again: str) -> None:
    if snapshot.state == "queued":
        if not engine().ready():
            st.info(STARTING, icon=":material/hourglass_top:")
        elif waits := queue_words(snapshot):
            st.info(waits, icon=":material/hourglass_top:")
        else:
            st.progress(0.0, text="Getting ready …")
        return
    latest = snapshot.latest
    progress = latest if isinstance(latest, Progress) else Progress("Getting ready …") if latest is None else None
    progress = progress or progress_of(latest)
    lost = f" (a worker process ended; {again})" if snapshot.attempt > 1 else ""
    st.progress(min(1.0, progress.fraction or 0.0), text=in_markdown(progress.words) + lost)


def tell_how_it_ended(snapshot: JobSnapshot, kept: str) -> None:
    """One sentence for a job that failed or was stopped; nothing for one that is done."""
    if snapshot.state == "failed":
        show_error(UserError(snapshot.error or "The work ended without a result. Try again."))
    elif snapshot.state == "cancelled":
        st.info(kept, icon=":material/stop_circle:")


def time_left(seconds: float | None) -> str:
    words = seconds_words(seconds)
    return f" · {words} left" if words else ""
