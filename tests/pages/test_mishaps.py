"""Errors that nobody expected, wherever they come up: a sentence for the person, the traceback in the log."""

from __future__ import annotations

import logging
import re

import pytest
from starlette.requests import ClientDisconnect
from streamlit import error_util
from streamlit.testing.v1 import AppTest

from pages.shared.mishaps import tell_in_a_sentence  # before it is taken from the other tests


@pytest.fixture(autouse=True)
def told(monkeypatch):
    monkeypatch.setattr(error_util, "show_uncaught_app_exception", error_util.show_uncaught_app_exception)
    logger = logging.getLogger(error_util.__name__)
    monkeypatch.setattr(logger, "filters", [])
    tell_in_a_sentence()
    tell_in_a_sentence()  # as the router does at each run
    assert len(logger.filters) == 1


def page_that_breaks():
    import streamlit as st

    st.title("Before")
    with st.container():
        raise RuntimeError("/home/somebody: secret {details} %s")


def fragment_that_breaks():
    import streamlit as st

    @st.fragment
    def part():
        {}["secret"]

    part()


def callback_that_breaks():
    import streamlit as st

    def press():
        raise ZeroDivisionError("secret")

    st.button("Press", on_click=press)


def page_that_stops():
    import streamlit as st

    st.write("here")
    st.stop()


def told_and_logged(at: AppTest, caplog) -> tuple[str, str]:
    """The sentence on the page, and what the log has under its id."""
    (error,) = at.error
    (id,) = re.findall(r"log id ([0-9a-f]{8})", error.value)
    (record,) = [each for each in caplog.records if f"[{id}]" in each.getMessage()]
    return error.value, logging.Formatter().format(record)


@pytest.mark.parametrize(("script", "kind"), [(page_that_breaks, "RuntimeError"), (fragment_that_breaks, "KeyError")])
def test_a_person_sees_a_sentence_and_the_log_has_the_traceback(script, kind, caplog):
    at = AppTest.from_function(script).run()
    sentence, log = told_and_logged(at, caplog)
    assert not at.exception and "secret" not in sentence and "Traceback" not in sentence
    assert "Traceback" in log and f"{kind}: " in log and "secret" in log


def test_so_it_is_in_a_callback(caplog):
    at = AppTest.from_function(callback_that_breaks).run()
    assert not at.error
    at.button[0].click().run()
    _, log = told_and_logged(at, caplog)
    assert "ZeroDivisionError: secret" in log


def test_each_mishap_has_an_id_of_its_own(caplog):
    ids = {re.search("log id (.{8})", AppTest.from_function(page_that_breaks).run().error[0].value)[1] for _ in "ab"}
    assert len(ids) == 2


def test_to_stop_is_no_mishap(caplog):
    at = AppTest.from_function(page_that_stops).run()
    assert not at.error and not [each for each in caplog.records if each.exc_info]


@pytest.mark.parametrize(("error", "logged"), [(ClientDisconnect(), 0), (RuntimeError("broken"), 1)])
def test_a_tab_closed_during_an_upload_is_no_error(error, logged, caplog):
    logging.getLogger("uvicorn.error").error("Exception in ASGI application", exc_info=error)
    assert len(caplog.records) == logged
