"""Turns, places and viewers, on real workers; the line by itself is tested in `test_queueing.py`."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import audience
from core.cluster import JoinedCluster, OwnCluster
from core.engine import Engine, EngineError, Job
from tests.core.tasks import Count
from tests.core.test_engine import PATIENCE, TOYS, lines, toy, until, until_running

KINDS = ("interactive", "study", "render", "training")
HERE = {"ann", "ben", "cem", "dan", "eve"}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERSCOPE_TASK_MODULES", TOYS)
        patch.delenv("LAYERSCOPE_SCHEDULER", raising=False)
        engine = Engine.start(warm_up=False, is_here=lambda viewer: viewer in HERE)
        yield engine
        engine.close()


@pytest.fixture(autouse=True)
def short_graces(monkeypatch):
    monkeypatch.setattr(audience, "LEFT", 0.3)
    monkeypatch.setattr(audience, "GONE", 0.6)


class Gate:
    """A job that holds its place until the gate is opened; what comes after it waits."""

    def __init__(self, engine: Engine, path: Path, kind: str = "study"):
        self.path = path
        self.job = engine.submit(toy("hold"), str(path), kind=kind)
        until_running(self.job)

    def open(self) -> None:
        self.path.touch()


def counting(engine: Engine, diary: Path, viewer: str | None, kind: str = "study", to: int = 10**6, **more) -> Job:
    return engine.submit(toy("count"), Count(str(diary), to=to, note=str(diary)), kind=kind, viewer=viewer, **more)


def stays(job: Job) -> bool:
    time.sleep(1.2)
    return not job.over


# --- Turns -----------------------------------------------------------------------------------------------------------


def test_sessions_take_turns_and_each_knows_its_place_and_when_it_will_begin(engine, tmp_path):
    for number in range(3):  # what one takes is learned
        counting(engine, tmp_path / f"learned {number}", None, to=10).result(PATIENCE)
    gate = Gate(engine, tmp_path / "gate")
    many = [counting(engine, tmp_path / f"ann {number}", "ann", to=10) for number in range(4)]
    one = counting(engine, tmp_path / "ben", "ben", to=10)
    other = counting(engine, tmp_path / "cem", "cem", to=10)
    places = [job.snapshot().place for job in (*many, one, other)]
    assert places == [1, 4, 5, 6, 2, 3]
    waits = [job.snapshot().wait_seconds for job in (many[0], one, other)]
    assert waits[0] < waits[1] < waits[2]
    assert 0.15 < waits[1] - waits[0] < 1.5  # ten steps of 0.02 seconds, on a busy machine
    many[1].cancel()
    assert [job.snapshot().place for job in (many[2], one)] == [4, 2]
    gate.open()
    assert [job.result(PATIENCE) for job in (*many[2:], one, other)] == [10] * 4
    began = [job.began for job in (many[0], one, other, many[2], many[3])]
    assert began == sorted(began)
    assert not (tmp_path / "ann 1").exists()


def test_what_several_wait_for_is_computed_once_also_when_they_ask_in_the_same_moment(engine, tmp_path):
    together, jobs = threading.Barrier(30), []

    def ask(number: int) -> None:
        together.wait()
        jobs.append(counting(engine, tmp_path / "diary", f"session {number}", to=30, keep=True))

    sessions = [threading.Thread(target=ask, args=(number,)) for number in range(30)]
    for session in sessions:
        session.start()
    for session in sessions:
        session.join()
    assert len(jobs) == 30
    assert len(set(map(id, jobs))) == 1
    assert jobs[0].result(PATIENCE) == 30
    assert len(lines(tmp_path / "diary")) == 2  # started, closed


def test_neither_drawings_nor_what_takes_longer_hold_up_what_takes_a_moment(engine, tmp_path):
    gates = [Gate(engine, tmp_path / kind, kind) for kind in ("study", "render", "training")]
    assert engine.submit(toy("double"), 70, kind="interactive").result(PATIENCE) == 140
    assert not any(gate.job.over for gate in gates)
    for gate in gates:
        gate.open()
        gate.job.result(PATIENCE)


# --- Viewers ---------------------------------------------------------------------------------------------------------


def test_what_its_viewer_turns_away_from_is_dropped_and_begun_anew_for_whoever_asks(engine, tmp_path):
    diary = tmp_path / "diary"
    job = counting(engine, diary, "ann")
    until_running(job)
    job.leave("ann")
    assert job.wait(5).state == "cancelled"
    until(lambda: "told to stop" in lines(diary), "the worker has stopped")
    assert engine.job(job.id) is None
    anew = counting(engine, diary, "ann")
    assert anew is not job
    until_running(anew)
    anew.cancel()


def test_a_rerun_that_asks_again_goes_on_with_the_same_job(engine, tmp_path):
    job = counting(engine, tmp_path / "diary", "ann")
    until_running(job)
    for _ in range(3):
        job.leave("ann")
        time.sleep(0.1)
        assert counting(engine, tmp_path / "diary", "ann") is job
    assert stays(job)
    job.cancel()
    assert sum(line.startswith("started") for line in lines(tmp_path / "diary")) == 1


def test_what_waits_in_the_line_is_dropped_from_it(engine, tmp_path):
    gate = Gate(engine, tmp_path / "gate")
    job, behind = counting(engine, tmp_path / "a", "dan"), counting(engine, tmp_path / "b", "eve", to=2)
    assert (job.snapshot().place, behind.snapshot().place) == (1, 2)
    job.leave("dan")
    until(lambda: job.over, "it is dropped")
    assert behind.snapshot().place == 1
    gate.open()
    assert behind.result(PATIENCE) == 2
    assert not (tmp_path / "a").exists()
    with pytest.raises(EngineError):
        job.result(0)


def test_when_all_tabs_are_closed_a_drawing_is_dropped_but_not_before(engine, tmp_path):
    job = counting(engine, tmp_path / "diary", "ann", kind="render")
    job.join("ben")
    HERE.discard("ann")
    try:
        assert stays(job)
        HERE.discard("ben")
        assert job.wait(5).state == "cancelled"
    finally:
        HERE.update(("ann", "ben"))


def test_a_drawing_goes_on_for_who_looks_elsewhere_until_they_ask_for_another(engine, tmp_path):
    job = counting(engine, tmp_path / "first", "ann", kind="render")
    until_running(job)
    job.leave("ann")
    assert stays(job)
    counting(engine, tmp_path / "of another person", "ben", kind="render", to=2).leave("ben")
    assert stays(job)
    another = counting(engine, tmp_path / "second", "ann", kind="render", to=2)
    assert job.wait(5).state == "cancelled"
    assert another.result(PATIENCE) == 2


def test_two_drawings_that_are_both_looked_at_both_go_on(engine, tmp_path):
    jobs = [counting(engine, tmp_path / name, "cem", kind="render") for name in "ab"]
    assert stays(jobs[0])
    assert not jobs[1].over
    for job in jobs:
        job.cancel()


@pytest.mark.parametrize(
    ("kind", "viewer", "keep"), [("training", "gone", False), ("render", "gone", True), ("study", None, False)]
)
def test_what_is_never_dropped(engine, tmp_path, kind, viewer, keep):
    job = counting(engine, tmp_path / "diary", viewer, kind=kind, keep=keep)
    job.leave(viewer)
    assert stays(job)
    job.cancel()


# --- Room ------------------------------------------------------------------------------------------------------------


def test_how_many_can_run_at_a_time():
    assert OwnCluster(warm_up=False).rooms({"a": (2, {"render": 1}), "b": (2, {})}) == dict.fromkeys(KINDS, 1)
    joined = JoinedCluster("tcp://lab:1")
    assert joined.rooms({}) == dict.fromkeys(KINDS, 1)
    assert joined.rooms({"a": (1, {})}) == dict.fromkeys(KINDS, 1)
    assert joined.rooms({"a": (1, {}), "b": (2, {})}) == {"interactive": 3, "study": 2, "render": 2, "training": 2}
    assert joined.rooms({"a": (2, {"interactive": 1}), "b": (4, {})})["study"] == 1
    for_each = {
        "a": (2, {"interactive": 1, "study": 1}),
        "b": (1, {"render": 1, "training": 1}),
        "c": (4, {"render": 3}),
    }
    assert joined.rooms(for_each) == {"interactive": 1, "study": 1, "render": 4, "training": 1}
