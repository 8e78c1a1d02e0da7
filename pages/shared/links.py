"""A page's state in its address, so that a teacher can send a link to exactly what is on the screen.

Widgets keep their values under `<page>.<name>` in the session. The address is read once, when the page is first seen
in a session; afterwards it is only written: a rerun can still carry the address from before a click, and must not
undo the click.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import streamlit as st


def key(page: str, name: str) -> str:
    return f"{page}.{name}"


def restore(
    page: str, name: str, default: Any, *, allowed: Collection | None = None, parse: Callable[[str], Any] = str
) -> str:
    """Make sure that widget `<page>.<name>` starts with a valid value; returns the widget's key.

    The address comes first, then what was chosen before, then `default`. A value that is not in `allowed` is dropped.
    """
    widget = key(page, name)
    seen = st.session_state.setdefault("links_read", set())
    if widget not in seen:
        seen.add(widget)
        value = _parsed(st.query_params.get(name), parse)
        if value is not None and (allowed is None or value in allowed):
            st.session_state[widget] = value
    if widget not in st.session_state or (allowed is not None and st.session_state[widget] not in allowed):
        st.session_state[widget] = default
    return widget


def publish(page: str, /, **values: Any) -> None:
    """Write the page's state into its address; `None` takes a name out."""
    for name, value in values.items():
        if value is None:
            st.query_params.pop(name, None)
        elif st.query_params.get(name) != str(value):
            st.query_params[name] = str(value)


def go(page_file: str, page: str, /, **values: Any) -> None:
    """Open another page in this session with these values chosen."""
    seen = st.session_state.setdefault("links_read", set())
    st.session_state.pop(key(page, "shown"), None)  # what the page showed before is not what is asked for now
    for name, value in values.items():
        st.session_state[key(page, name)] = value
        seen.add(key(page, name))
    st.switch_page(page_file)


def weights_name(weights: str | None) -> str:
    """How an address and the widgets call `ModelRef.weights`."""
    return "random" if weights is None else "imagenet"


def _parsed(text: str | None, parse: Callable[[str], Any]) -> Any:
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError:
        return None
