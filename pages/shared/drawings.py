"""Drawings: found on disk, known to the engine, or begun. A page shows all three in the same way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import gallery
from core.engine import Job
from core.messages import (
    DreamRequest,
    FacesRequest,
    JobSnapshot,
    PortraitRequest,
    Progress,
    RenderRequest,
    digest_of,
)
from pages.shared import job_panel
from pages.shared.resources import engine
from pages.shared.viewing import submit

TASKS = {
    RenderRequest: "core.featurevis.mosaic:run",
    PortraitRequest: "core.featurevis.portrait:run",
    FacesRequest: "core.featurevis.faces:run",
    DreamRequest: "core.featurevis.dream:run",
}
Request = RenderRequest | PortraitRequest | FacesRequest | DreamRequest


class Kept:
    """A drawing from the gallery. To a page it is a job that is done."""

    def __init__(self, request: Request, result: Any):
        self.id = digest_of(repr(request).encode())
        self._result = result

    def snapshot(self) -> JobSnapshot:
        return JobSnapshot("done", latest=self._result, result=self._result)

    def result(self) -> Any:
        return self._result

    def cancel(self) -> None:
        """What is there stays."""


Drawing = Job | Kept


def start(request: Request, *, keep: bool = False) -> Drawing:
    """The drawing of `request`: what is kept is there at once and waits in no queue. `keep`: it is drawn to its end
    though nobody waits for it."""
    found = gallery.find(request)
    if found is not None:
        return Kept(request, found)
    return submit(TASKS[type(request)], request, kind="render", keep=keep)


def known(request: Request) -> Drawing | None:
    """The drawing of `request` if it is there or under way, for whoever asked for it; nothing is begun."""
    job = engine().find(TASKS[type(request)], request)
    if job is not None and job.snapshot().state not in ("failed", "cancelled"):
        return job
    found = gallery.find(request)
    return job if found is None else Kept(request, found)


def nobody_waits() -> bool:
    """Whether a drawing that is begun now would begin at once, and hold up nobody."""
    return not any(job.kind == "render" and not job.snapshot().over for job in engine().jobs())


def begun(wanted: Request, words: str, name: str, *, at_once: bool = False) -> Drawing | None:
    """The drawing that is wanted, if it is there or under way; else a button that begins it.

    A click begins one at once where nobody waits: in a class each long drawing queues, and is asked for on purpose.
    """
    drawing = known(wanted)
    if drawing is None and at_once and nobody_waits():
        return start(wanted)
    stopped = drawing is not None and drawing.snapshot().state in ("cancelled", "failed")
    if (drawing is None or stopped) and st.button(
        words,
        key=name,
        icon=":material/brush:",
        type="primary",
        help="Takes some seconds. It is kept, for you and for everybody here.",
    ):
        return start(wanted)
    return drawing


def show(drawing: Drawing, draw: Callable[[Any], DeltaGenerator | None], *, kept: str) -> None:
    """Draw what there is of it, again and again while it is under way; `kept` is said where it was stopped.

    `draw` gets a snapshot, or `None` before the first one, and returns where its progress belongs.
    """
    snapshot = drawing.snapshot()
    if not snapshot.over:
        job_panel.watch(drawing, draw, progress_of=progress_of, stop="Stop")
        return
    latest = snapshot.result or snapshot.latest
    place = None if latest is None or isinstance(latest, Progress) else draw(latest)
    with place or st.container():
        job_panel.tell_how_it_ended(snapshot, kept)


def progress_of(snapshot: Any) -> Progress:
    words = f"Step {snapshot.step} of {snapshot.steps}{job_panel.time_left(snapshot.seconds_left)}"
    return Progress(words, snapshot.step / snapshot.steps)
