"""Work of some seconds, shown while it grows; equal work is done once, for everybody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from core.messages import Progress
from pages.shared import job_panel
from pages.shared.resources import engine
from pages.shared.viewing import submit

PATIENCE = 0.3  # seconds that the page waits before it shows how far the work is
STOPPED = "Stopped. What is there is kept."


def grow(
    task: str, request: Any, draw: Callable[[Any], None], progress_of: Callable[[Any], Progress], key: str
) -> Any | None:
    """Draw the snapshots of `task` as they come; the result when it is there, and `None` before.

    What was stopped or has failed stays so until somebody asks again. `draw` gets `None` before the first snapshot.
    """
    job = engine().find(task, request)
    snapshot = None if job is None else job.snapshot()
    if snapshot is not None and snapshot.state in ("cancelled", "failed"):
        job_panel.tell_how_it_ended(snapshot, STOPPED)
        if not st.button("Try again", key=f"again_{key}", icon=":material/replay:"):
            draw(None if isinstance(snapshot.latest, Progress) else snapshot.latest)
            return None
    job = submit(task, request, kind="render")
    if job.wait(PATIENCE).over:
        return _result(job, draw)
    job_panel.watch(job, draw, progress_of=progress_of, stop="Stop")
    return None


def when_asked(
    task: str,
    request: Any,
    draw: Callable[[Any], None],
    progress_of: Callable[[Any], Progress],
    *,
    stopped: str,
    invite: Callable[[], bool],
) -> Any | None:
    """The result of work that begins when the button is pressed of `invite`, which says what it is for; else `None`."""
    job = engine().find(task, request)
    snapshot = None if job is None else job.snapshot()
    if snapshot is not None and not snapshot.over:
        job_panel.watch(job, draw, progress_of=progress_of, stop="Stop")
        return None
    if snapshot is not None and snapshot.state == "done":
        return snapshot.result
    if snapshot is not None:
        job_panel.tell_how_it_ended(snapshot, stopped)
    if invite():
        submit(task, request, kind="render")
        st.rerun()
    return None


def _result(job: Any, draw: Callable[[Any], None]) -> Any | None:
    snapshot = job.snapshot()
    job_panel.tell_how_it_ended(snapshot, STOPPED)
    latest = snapshot.result or (None if isinstance(snapshot.latest, Progress) else snapshot.latest)
    draw(latest)
    return snapshot.result
