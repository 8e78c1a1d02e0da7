"""Which jobs this session looks at: in the queue it takes turns with others, and what it turns away from is dropped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import RerunException, get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_requests import ScriptRequestType

from core.engine import EngineError, Job, Kind, id_of
from core.messages import JobSnapshot
from pages.shared.resources import engine, viewer

_LOOKED_AT, _IN_THIS_RUN, _STOPPED = (f"viewing.{name}" for name in ("looked at", "in this run", "stopped"))


class Stopped(EngineError):
    """This session has stopped waiting for it."""


@dataclass(frozen=True)
class NotAsked:
    """To a page it is a job that was cancelled, though others may have theirs."""

    id: str

    def snapshot(self) -> JobSnapshot:
        return JobSnapshot("cancelled")

    def wait(self, timeout: float | None = None) -> JobSnapshot:
        return self.snapshot()

    def result(self) -> Any:
        raise Stopped("Stopped.")

    def cancel(self) -> None:
        """It is not under way."""


def submit(task: str, request: Any, *, kind: Kind, seconds: float | None = None, keep: bool = False) -> Job:
    """`Engine.submit` for this session; what it has stopped waiting for is not begun until it asks again."""
    if id_of(task, request) in st.session_state.get(_STOPPED, ()):
        return NotAsked(id_of(task, request))
    job = engine().submit(task, request, kind=kind, seconds=seconds, viewer=viewer(), keep=keep)
    _note(job)
    return job


def look_at(job: Job) -> None:
    """This run of the page shows the job."""
    job.join(viewer())
    _note(job)


def turn_away(job: Job) -> None:
    """This session no longer waits for it, at least for now."""
    job.leave(viewer())


def stop_waiting(job: Job) -> None:
    """For a callback: this session does not want it any longer; others may."""
    turn_away(job)
    st.session_state.setdefault(_STOPPED, set()).add(job.id)


def ask_again(job: Job) -> None:
    """For a callback: this session wants it after all."""
    st.session_state.get(_STOPPED, set()).discard(job.id)


def give_way() -> None:
    """Run the page anew where something was pressed in a fragment: Streamlit has that wait until the script has ended,
    however long, and so the way out of a wait would lead nowhere. Whatever else is pressed interrupts by itself."""
    requests = getattr(get_script_run_ctx(suppress_warning=True), "script_requests", None)
    if getattr(requests, "_state", None) is ScriptRequestType.RERUN and not requests._rerun_data.is_auto_rerun:
        st.rerun()


@contextmanager
def one_run() -> Iterator[None]:
    """Around one run of a page: what it does not show any longer is turned away from at its end.

    A run that ends because the next one begins says nothing: that one asks again. What a fragment runs by itself only
    adds to what is looked at.
    """
    st.session_state[_IN_THIS_RUN] = set()
    try:
        yield
    except RerunException:
        raise
    except BaseException:
        _turn_away_from_the_rest()
        raise
    _turn_away_from_the_rest()


def _note(job: Job) -> None:
    st.session_state.setdefault(_LOOKED_AT, {})[job.id] = job
    st.session_state.setdefault(_IN_THIS_RUN, set()).add(job.id)


def _turn_away_from_the_rest() -> None:
    looked_at: dict[str, Job] = st.session_state.get(_LOOKED_AT, {})
    for id, job in list(looked_at.items()):
        if job.snapshot().over:
            del looked_at[id]  # it may hold a large result
        elif id not in st.session_state[_IN_THIS_RUN]:
            turn_away(looked_at.pop(id))
