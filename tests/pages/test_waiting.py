"""Waiting on a page: what is said, the way out, and what becomes of work that nobody waits for."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from streamlit.runtime.scriptrunner import RerunData, RerunException, StopException
from streamlit.testing.v1 import AppTest

from core import audience
from core.messages import JobSnapshot, Progress
from pages.shared import viewing, waiting


@dataclass
class Waited:
    """A job that is asked a few times before it is over."""

    states: list[JobSnapshot]
    id: str = "a job"
    said: list[str] = field(default_factory=list)

    def snapshot(self) -> JobSnapshot:
        return self.states[0]

    def wait(self, timeout: float) -> JobSnapshot:
        if len(self.states) > 1:
            self.states.pop(0)
        return self.states[0]

    def result(self) -> Any:
        return self.states[0].result

    def cancel(self) -> None:
        self.said.append("cancelled")

    def join(self, viewer: str) -> None:
        self.said.append("joined")

    def leave(self, viewer: str) -> None:
        self.said.append("left")


def test_what_is_said_of_the_queue():
    def words(place: int | None, seconds: float | None, state: str = "queued") -> str:
        return waiting.queue_words(JobSnapshot(state, place=place, wait_seconds=seconds))

    assert words(3, 12.4) == "You are number 3 in the queue; about 12 seconds."
    assert words(2, 1.2) == "You are number 2 in the queue; about a second."
    assert words(1, 40) == "You are next; about 40 seconds."
    assert words(5, 200) == "You are number 5 in the queue; about 3 minutes."
    assert words(1, 0.3) == words(None, None) == words(3, 12, "running") == ""


def a_waiting_page() -> None:
    import streamlit as st

    from pages.shared import waiting

    st.session_state["found"] = waiting.wait_for(st.session_state["job"], "Looking at the photo")


@pytest.fixture
def page(engine):
    def page(job: Any) -> AppTest:
        at = AppTest.from_function(a_waiting_page)
        at.session_state["job"] = job
        return at

    return page


def test_a_person_sees_the_place_then_the_progress_then_the_result(page, monkeypatch):
    seen = []
    queued = JobSnapshot("queued", place=3, wait_seconds=12)
    running = JobSnapshot("running", latest=Progress("Loading", 0.4))
    monkeypatch.setattr(waiting, "say_progress", lambda place, snapshot, words: seen.append(snapshot))
    job = Waited([queued, queued, queued, running, running, JobSnapshot("done", result=7)])
    at = page(job).run()
    assert not at.exception
    assert seen == [queued, running, running]
    assert at.session_state["found"] == 7
    assert job.said == []
    assert not at.button


def test_who_presses_cancel_waits_no_longer_and_may_ask_again(page, engine):
    at = AppTest.from_function(a_page_that_asks, default_timeout=60)
    at.run()
    assert at.session_state["found"]
    job = at.session_state["job"]
    at.session_state["press"] = True  # the button is there only while the page waits
    at.run()
    assert [each.value for each in at.info] == ["Asking the network: stopped."]
    assert not at.exception
    at.button(key=f"again {job.id}").click().run()
    assert not at.info
    assert at.session_state["found"]


def a_page_that_asks() -> None:
    import streamlit as st

    from core.messages import ModelRef, PredictRequest
    from pages.shared import viewing, waiting
    from pages.shared.resources import sample_photo

    request = PredictRequest(ModelRef("efficientnet_lite0"), sample_photo("cat"))
    if st.session_state.pop("press", False):
        viewing.stop_waiting(st.session_state["job"])
    job = viewing.submit("core.activations:predict", request, kind="interactive")
    st.session_state["job"] = job
    st.session_state["found"] = waiting.wait_for(job, "Asking the network")


def a_watching_page() -> None:
    import streamlit as st

    from core.messages import Progress
    from pages.shared import job_panel

    job_panel.watch(st.session_state["job"], lambda latest: None, progress_of=lambda latest: Progress("x"), stop="Stop")


def test_who_waits_for_a_drawing_is_told_the_place_and_can_stop(monkeypatch):
    ready = type("Engine", (), {"ready": lambda self: True})()
    monkeypatch.setattr("pages.shared.job_panel.engine", lambda: ready)
    at = AppTest.from_function(a_watching_page)
    at.session_state["job"] = job = Waited([JobSnapshot("queued", place=1, wait_seconds=40)])
    at.run()
    assert [each.value for each in at.info] == ["You are next; about 40 seconds."]
    assert job.said == ["joined"]
    job.states[0] = JobSnapshot("queued", place=4, wait_seconds=100)
    at.run()
    assert [each.value for each in at.info] == ["You are number 4 in the queue; about 2 minutes."]
    at.button(key="stop a job").click().run()
    assert job.said.count("cancelled") == 1
    assert not at.exception


# --- Turning away ----------------------------------------------------------------------------------------------------


@pytest.fixture
def state(monkeypatch) -> dict:
    state: dict = {}
    monkeypatch.setattr(viewing.st, "session_state", state)
    return state


def running(id: str) -> Waited:
    return Waited([JobSnapshot("running")], id)


def test_what_a_run_does_not_show_any_longer_is_turned_away_from(state):
    old, kept, done = running("old"), running("kept"), Waited([JobSnapshot("done")], "done")
    with viewing.one_run():
        for job in (old, kept, done):
            viewing.look_at(job)
    assert old.said == kept.said == done.said == ["joined"]
    with viewing.one_run():
        viewing.look_at(kept)
    assert old.said == ["joined", "left"]
    assert kept.said == ["joined", "joined"]
    with viewing.one_run():
        pass
    assert old.said == ["joined", "left"]
    assert kept.said[-1] == "left"
    assert done.said == ["joined"]


def test_a_run_that_is_interrupted_by_the_next_one_says_nothing_but_one_that_is_stopped_does(state):
    job = running("a job")
    with viewing.one_run():
        viewing.look_at(job)
    with pytest.raises(RerunException), viewing.one_run():
        raise RerunException(RerunData())
    assert job.said == ["joined"]
    with pytest.raises(StopException), viewing.one_run():
        raise StopException
    assert job.said == ["joined", "left"]


def test_whoever_is_interrupted_while_waiting_waits_no_longer(state, monkeypatch, engine):
    job = running("a job")

    def interrupted(*_: Any) -> None:
        raise StopException

    monkeypatch.setattr(waiting, "say_progress", interrupted)
    with pytest.raises(StopException):
        waiting.outcome_of(job, "Looking")
    assert job.said == ["left"]


def test_an_abandoned_explanation_is_dropped_and_another_one_takes_its_turn(app, engine, monkeypatch):
    monkeypatch.setattr(audience, "LEFT", 0.2)
    page = app("activation_explorer", view="why", method="gradcam", method2="gradcam")
    page.widget("selectbox", "explorer.method2").select("scorecam")
    page.at.run()
    first = engine.jobs()[-1]
    page.widget("selectbox", "explorer.method2").select("occlusion")
    page.at.run()
    second = engine.jobs()[-1]
    if second is first:  # the run before had not come to its end
        page.at.run()
        second = engine.jobs()[-1]
    assert first.task == second.task == "core.attribution:explain"
    assert first is not second
    deadline = time.monotonic() + 60
    while not first.over and time.monotonic() < deadline:
        time.sleep(0.05)
    assert first.snapshot().state in ("cancelled", "done")  # on a fast machine it was done before
    page.finish()
    assert second.snapshot().state == "done"
