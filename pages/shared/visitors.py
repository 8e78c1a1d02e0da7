"""Who is at a page: a session of its own, on one's own machine or on a server for a class.

A class is shown nobody else's work: a session sees the runs that it began, and those that it was given a link to.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection

import streamlit as st
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core import runs, serving
from core.runs import FinishedRun, Run

_BEGUN, _SEEN = "visitors.begun", "visitors.seen"


def are_a_class() -> bool:
    return serving.is_for_class(st.get_option("server.address"), os.environ)


def may_open_models() -> bool:
    return serving.models_allowed(st.get_option("server.address"), sys.argv, os.environ)


# --- This session ----------------------------------------------------------------------------------------------------


def me() -> str:
    """A name for this session, said to nobody."""
    name = st.session_state.get("visitors.me")
    if name is None:
        context = get_script_run_ctx(suppress_warning=True)
        name = f"{context.session_id if context else ''} {os.urandom(8).hex()}"
        st.session_state["visitors.me"] = name
    return name


def is_here(person: str) -> bool:
    """Whether the session that called itself so still has a browser at its other end; from any thread."""
    return not runtime.exists() or bool(runtime.get_instance().is_active_session(person.partition(" ")[0]))


# --- Its runs --------------------------------------------------------------------------------------------------------


def begin_run(name: str) -> None:
    """This session has begun the run, and may delete it."""
    st.session_state.setdefault(_BEGUN, set()).add(name)


def follow_link(*names: str | None) -> None:
    """This session was given a link to these runs (other words are passed over): nobody could guess their names."""
    st.session_state.setdefault(_SEEN, set()).update(name for name in names if name and runs.is_run(name))


def all_runs() -> list[Run]:
    """The runs that this session may see, the newest first."""
    return runs.all_runs(_visible())


def finished_models() -> list[FinishedRun]:
    """Those of them that ended with a network."""
    return runs.finished_models(_visible())


def may_delete(run: str) -> bool:
    return not are_a_class() or run in st.session_state.get(_BEGUN, ())


def _visible() -> Collection[str] | None:
    """The names of the runs that may be seen; `None` for all."""
    if not are_a_class():
        return None
    return st.session_state.get(_BEGUN, set()) | st.session_state.get(_SEEN, set())
