"""What a person sees of an error that nobody expected: one sentence with an id. The log has the traceback under it.

Streamlit writes an uncaught exception (of a page, of a fragment, of a callback) to its log, and then shows it; its own
words for that, without details, tell the person nothing to go by.
"""

from __future__ import annotations

import contextlib
import logging
import uuid

import streamlit as st
from starlette.requests import ClientDisconnect
from streamlit import error_util

from core.errors import WENT_WRONG

_LOGGER = logging.getLogger(error_util.__name__)
_SERVER = logging.getLogger("uvicorn.error")


def tell_in_a_sentence() -> None:
    """From now on, in the whole process."""
    error_util.show_uncaught_app_exception = show
    if _name_in_log not in _LOGGER.filters:
        _LOGGER.addFilter(_name_in_log)
    if _is_more_than_leaving not in _SERVER.filters:
        _SERVER.addFilter(_is_more_than_leaving)


def show(error: BaseException) -> None:
    """On the page, where it was being written to."""
    st.error(WENT_WRONG.format(id=id_of(error)), icon=":material/error:")


def id_of(error: BaseException) -> str:
    """A name for this very error, the same whenever it is asked for."""
    id = getattr(error, "layerscope_id", None) or uuid.uuid4().hex[:8]
    with contextlib.suppress(AttributeError, TypeError):  # an exception that takes no attributes
        error.layerscope_id = id
    return id


def _name_in_log(record: logging.LogRecord) -> bool:
    """The id before the words of a record that has an error's traceback."""
    if record.exc_info and record.exc_info[1] is not None:
        record.msg, record.args = f"[{id_of(record.exc_info[1])}] {record.getMessage()}", ()
    return True


def _is_more_than_leaving(record: logging.LogRecord) -> bool:
    """Who closes the tab in the middle of an upload does nothing wrong; the server logs a traceback all the same."""
    return not (record.exc_info and isinstance(record.exc_info[1], ClientDisconnect))
