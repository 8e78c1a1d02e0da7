"""The engine on real workers; the toy tasks are in `tasks.py`."""

from __future__ import annotations

import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from core import work
from core.engine import Engine, EngineError, Job
from core.errors import UserError
from tests.core.tasks import Count

ROOT = Path(__file__).parents[2]
TOYS = "tests.core.tasks"
PATIENCE = 60  # seconds until a test gives up; nothing is expected to take so long


def toy(name: str) -> str:
    return f"{TOYS}:{name}"


def until(condition: Callable[[], object], what: str) -> object:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited in vain until {what}")


def until_running(job: Job) -> None:
    until(lambda: job.snapshot().latest is not None, f"{job.task} streams")


def lines(diary: Path) -> list[str]:
    return diary.read_text().splitlines() if diary.exists() else []


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAYERSCOPE_TASK_MODULES", TOYS)
        patch.setenv("LAYERSCOPE_IDLE_SECONDS", "3")
        patch.delenv("LAYERSCOPE_SCHEDULER", raising=False)
        engine = Engine.start(warm_up=False)
        yield engine
        engine.close()


def test_a_task_submitted_while_the_cluster_starts_is_computed(engine):
    job = engine.submit(toy("double"), 21, kind="interactive")
    assert job.snapshot().state in ("queued", "running", "done")
    assert job.result(PATIENCE) == 42
    assert job.snapshot().state == "done"
    assert job.snapshot().latest == job.snapshot().result == 42


def test_two_viewers_see_the_newest_snapshot_even_while_the_task_pauses(engine, tmp_path):
    gate = tmp_path / "gate"
    job = engine.submit(toy("hold"), str(gate), kind="render")
    seen: list[set] = [set(), set()]

    def watch(viewer: int) -> None:
        while not (snapshot := job.snapshot()).over:
            seen[viewer].add(snapshot.latest)
            time.sleep(0.01)
        seen[viewer].add(snapshot.latest)

    viewers = [threading.Thread(target=watch, args=(viewer,)) for viewer in (0, 1)]
    for viewer in viewers:
        viewer.start()
    until(lambda: all("holding" in each for each in seen), "both viewers see the first snapshot")
    gate.touch()
    assert job.wait(PATIENCE).state == "done"
    for viewer in viewers:
        viewer.join()
    assert all({"holding", "let go"} <= each for each in seen)


def test_equal_requests_are_computed_once(engine, tmp_path):
    diary = tmp_path / "diary"
    jobs = [engine.submit(toy("count"), Count(str(diary), to=10), kind="render") for _ in range(30)]
    assert len({id(job) for job in jobs}) == 1
    assert jobs[0].result(PATIENCE) == 10
    again = engine.submit(toy("count"), Count(str(diary), to=10), kind="render")
    assert again is jobs[0] is engine.job(again.id)
    assert sum(line.startswith("started") for line in lines(diary)) == 1
    other = engine.submit(toy("count"), Count(str(diary), to=11), kind="render")
    assert other.result(PATIENCE) == 11
    assert engine.jobs()[-1] is other


def test_cancelling_closes_the_generator_and_keeps_what_was_seen(engine, tmp_path):
    diary = tmp_path / "diary"
    request = Count(str(diary), to=10**6)
    job = engine.submit(toy("count"), request, kind="render")
    until_running(job)
    job.cancel()
    assert job.snapshot().state == "cancelled"
    assert job.snapshot().latest >= 1
    until(lambda: lines(diary)[1:] == ["told to stop", "closed"], "the generator is closed")
    snapshot = job.snapshot()
    assert (snapshot.state, snapshot.error) == ("cancelled", None)
    with pytest.raises(EngineError, match="cancelled"):
        job.result(0)
    anew = engine.submit(toy("count"), request, kind="render")
    assert anew is not job
    assert anew.id == job.id
    until_running(anew)
    anew.cancel()


def test_a_queued_job_knows_its_place_and_leaves_it_when_cancelled(engine, tmp_path):
    gate, diary = tmp_path / "gate", tmp_path / "diary"
    first = engine.submit(toy("hold"), str(gate), kind="training")
    until_running(first)
    second, third = (
        engine.submit(toy("count"), Count(str(diary), to=2, note=note), kind="training") for note in ("second", "third")
    )
    assert [second.snapshot().place, third.snapshot().place] == [1, 2]
    second.cancel()
    assert third.snapshot().place == 1
    gate.touch()
    assert third.result(PATIENCE) == 2
    assert (second.snapshot().state, second.snapshot().latest) == ("cancelled", None)


def test_interactive_work_does_not_wait_for_a_render(engine, tmp_path):
    gate = tmp_path / "gate"
    render = engine.submit(toy("hold"), str(gate), kind="render")
    until_running(render)
    interactive_worker, niceness = engine.submit(toy("process"), "interactive", kind="interactive").result(PATIENCE)
    assert not render.snapshot().over
    gate.touch()
    job_worker, job_niceness = engine.submit(toy("process"), "training", kind="training").result(PATIENCE)
    assert interactive_worker != job_worker
    assert os.getpid() not in (interactive_worker, job_worker)
    assert job_niceness > niceness or sys.platform == "win32"


def test_a_persons_error_keeps_its_sentence(engine):
    job = engine.submit(toy("refuse"), "cat.txt", kind="interactive")
    with pytest.raises(UserError, match=r"^cat\.txt is not a picture\.$"):
        job.result(PATIENCE)
    assert (job.snapshot().state, job.snapshot().error) == ("failed", "cat.txt is not a picture.")


def test_our_own_error_goes_to_the_log_and_the_person_gets_its_id(engine, caplog):
    job = engine.submit(toy("stumble_after"), 7, kind="interactive")
    with caplog.at_level(logging.ERROR, "core.job"), pytest.raises(EngineError) as raised:
        job.result(PATIENCE)
    snapshot = job.snapshot()
    assert snapshot.state == "failed"
    assert snapshot.latest == 7
    assert "secret" not in snapshot.error
    assert raised.value.id in snapshot.error
    assert raised.value.id in caplog.text
    assert "KeyError: 'secret'" in caplog.text


def test_an_unknown_function_is_our_own_error(engine):
    with pytest.raises(EngineError):
        engine.submit(toy("no_such_function"), 1, kind="interactive").result(PATIENCE)


@pytest.mark.parametrize("task", ["os:system", "core.engine", "core.work:_warm_up", "corex:f", "builtins:eval"])
def test_only_our_own_public_functions_are_tasks(engine, task):
    with pytest.raises(ValueError, match="`task` must be"):
        engine.submit(task, "true", kind="interactive")
    with pytest.raises(ValueError, match="`task` must be"):
        work.resolve(task)


def test_a_value_that_would_bring_tensorflow_along_is_refused():
    payload = pickle.dumps(("tensorflow", "Tensor"))
    assert work.unpack(payload) == ("tensorflow", "Tensor")
    with pytest.raises(pickle.UnpicklingError, match=r"tensorflow\.Tensor"):
        work.unpack(b"ctensorflow\nTensor\n.")


def test_after_running_out_of_memory_the_worker_is_renewed_and_the_work_tried_there_once_more(engine, tmp_path):
    diary = tmp_path / "diary"
    job = engine.submit(toy("starve"), str(diary), kind="interactive")
    with pytest.raises(UserError, match="more memory"):
        job.result(PATIENCE)
    pids = {int(line.split()[1]) for line in lines(diary)}
    assert len(pids) == len(lines(diary)) == 2
    assert job.snapshot().attempt == 2
    until(lambda: not any(map(psutil.pid_exists, pids)), "both workers are gone")
    assert engine.submit(toy("process"), "renewed", kind="interactive").result(PATIENCE)[0] not in pids


def test_what_was_too_large_once_is_done_in_a_fresh_worker_and_its_picture_stays_meanwhile(engine, tmp_path):
    job = engine.submit(toy("starve_once"), str(tmp_path / "diary"), kind="render")
    until(lambda: job.snapshot().attempt == 2, "the work is done again")
    time.sleep(0.5)  # its first snapshot is only Progress
    snapshot = job.snapshot()
    assert (snapshot.state, snapshot.latest) == ("running", "a picture")
    (tmp_path / "go").touch()
    assert job.result(PATIENCE) == "all of it"
    assert job.snapshot().error is None
    assert len({line.split()[1] for line in lines(tmp_path / "diary")}) == 2


def test_a_task_that_shrinks_is_tried_again_until_it_fits(engine, tmp_path):
    job = engine.submit(toy("shrink"), (str(tmp_path / "diary"), 2), kind="render")
    assert job.result(2 * PATIENCE) == 2
    assert job.snapshot().attempt == 4


def test_a_cancelled_job_is_not_tried_again(engine, tmp_path):
    job = engine.submit(toy("starve_once"), str(tmp_path / "diary"), kind="render")
    until(lambda: job.snapshot().latest == "a picture", "its memory is running out")
    job.cancel()
    assert engine.submit(toy("process"), "after hunger", kind="render").result(PATIENCE)
    assert job.snapshot().state == "cancelled"
    assert len(lines(tmp_path / "diary")) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_the_work_of_a_killed_worker_is_done_again(engine, tmp_path):
    diary = tmp_path / "diary"
    job = engine.submit(toy("count"), Count(str(diary), to=60), kind="render")
    until_running(job)
    os.kill(int(lines(diary)[0].split()[1]), signal.SIGKILL)
    assert job.result(PATIENCE) == 60
    assert job.snapshot().attempt == 2
    assert sum(line.startswith("started") for line in lines(diary)) == 2


def test_a_worker_that_dies_in_the_middle_of_a_stream_does_not_stop_the_others(engine, tmp_path):
    job = engine.submit(toy("die_once"), str(tmp_path / "died"), kind="render")
    assert job.result(PATIENCE) == "after"
    assert job.snapshot().attempt == 2
    after = engine.submit(toy("hold"), str(tmp_path / "gate"), kind="render")
    until_running(after)
    (tmp_path / "gate").touch()
    assert after.result(PATIENCE) == "let go"


def test_a_task_that_kills_its_worker_is_given_up_and_takes_nobody_along(engine):
    killer = engine.submit(toy("die"), "always", kind="interactive")
    bystanders = [engine.submit(toy("double"), number, kind="interactive") for number in (100, 101)]
    assert killer.wait(PATIENCE).state == "failed"
    assert "four times" in killer.snapshot().error
    assert [job.result(PATIENCE) for job in bystanders] == [200, 202]


def test_a_task_that_takes_too_long_is_given_up_and_its_worker_with_it(engine, tmp_path):
    diary = tmp_path / "diary"
    began = time.monotonic()
    job = engine.submit(toy("hang"), str(diary), kind="interactive", seconds=1)
    until(lambda: lines(diary), "it hangs")
    bystanders = [engine.submit(toy("double"), number, kind="interactive", seconds=30) for number in (200, 201)]
    with pytest.raises(UserError, match="longer than 1 seconds to open"):
        job.result(PATIENCE)
    assert [waiting.result(PATIENCE) for waiting in bystanders] == [400, 402]
    assert time.monotonic() - began < 20
    assert len(lines(diary)) == 1
    until(lambda: not psutil.pid_exists(int(lines(diary)[0].split()[1])), "the process that hung is gone")


def test_who_is_patient_enough_is_not_disturbed(engine, tmp_path):
    (tmp_path / "gate").touch()
    pid = engine.submit(toy("process"), "patience", kind="interactive").result(PATIENCE)[0]
    assert engine.submit(toy("hold"), str(tmp_path / "gate"), kind="interactive", seconds=0.4).result(PATIENCE)
    time.sleep(0.6)
    assert engine.submit(toy("process"), "more patience", kind="interactive").result(PATIENCE)[0] == pid


def test_what_kills_its_worker_while_it_is_opened_is_given_up_in_words_for_that(engine):
    job = Job("id", toy("die"), "file", "interactive", 1, engine)
    job.seconds, job.starts = 30, 4
    engine._following.judge_death(job, 4)
    assert job.snapshot().state == "failed"
    assert job.snapshot().error.startswith("Opening it ran out of memory or was killed four times")


def test_the_job_worker_leaves_when_idle_and_comes_back(engine):
    pid, _ = engine.submit(toy("process"), "before", kind="render").result(PATIENCE)
    until(lambda: not psutil.pid_exists(pid), "the job worker has left")
    until(lambda: engine.resources().workers == 1, "one worker is left")
    assert engine.resources().memory_bytes > 0
    assert engine.submit(toy("process"), "after", kind="render").result(PATIENCE)[0] != pid


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_when_the_whole_cluster_dies_another_one_does_its_work(engine, tmp_path):
    gate = tmp_path / "gate"
    job = engine.submit(toy("hold"), str(gate), kind="interactive")
    until_running(job)
    os.kill(engine._cluster._process.pid, signal.SIGKILL)
    gate.touch()
    assert job.result(PATIENCE) == "let go"
    assert engine.submit(toy("double"), 50, kind="interactive").result(PATIENCE) == 100


def test_old_results_are_forgotten_and_computed_again(engine, monkeypatch):
    monkeypatch.setattr("core.engine.KEPT_JOBS", 3)
    jobs = [engine.submit(toy("double"), number, kind="interactive") for number in range(1000, 1003)]
    assert [job.result(PATIENCE) for job in jobs] == [2000, 2002, 2004]
    assert engine.submit(toy("double"), 1000, kind="interactive") is jobs[0]  # so 1001 is now the oldest
    engine.submit(toy("double"), 1003, kind="interactive").result(PATIENCE)
    assert engine.job(jobs[1].id) is None
    assert engine.job(jobs[0].id) is jobs[0]
    assert engine.submit(toy("double"), 1001, kind="interactive").result(PATIENCE) == 2002


def run_python(script: str, **options) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LAYERSCOPE_TASK_MODULES": TOYS}
    return subprocess.Popen([sys.executable, "-c", script], env=environment, text=True, **options)


def test_the_process_that_submits_never_loads_tensorflow():
    script = """
import sys
from core.engine import Engine
engine = Engine.start(warm_up=False)
assert engine.submit("tests.core.tasks:double", 2, kind="interactive").result(60) == 4
assert not {"tensorflow", "keras"} & set(sys.modules), "TensorFlow is here"
"""
    process = run_python(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "", "")  # and it ends without a word, though nobody closed the engine


def test_the_workers_warm_up_in_the_background():
    script = """
import sys, time
from core.engine import Engine
engine = Engine.start()
assert engine.device() is None and not engine.ready()
while not engine.ready():
    time.sleep(0.05)
assert engine.submit("tests.core.tasks:has_module", "tensorflow", kind="interactive").result(60)
assert "tensorflow" not in sys.modules, "TensorFlow is here"
print(engine.device().kind, engine.device().words)
"""
    process = run_python(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = process.communicate(timeout=2 * PATIENCE)
    assert process.returncode == 0, err
    assert out.startswith(("CPU CPU, ", "GPU "))


@pytest.mark.parametrize("ending", ["SIGKILL", "SIGTERM", "SIGINT"])
@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_no_process_is_left_behind(tmp_path, ending):
    script = f"""
import time
from core.engine import Engine
from tests.core.tasks import Count
engine = Engine.start(warm_up=False)
job = engine.submit("tests.core.tasks:count", Count({str(tmp_path / "diary")!r}, to=10**6), kind="render")
while job.snapshot().latest is None:
    time.sleep(0.05)
print("running", flush=True)
time.sleep(600)
"""
    process = run_python(script, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout.readline() == "running\n"
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 3
        process.send_signal(getattr(signal, ending))
        process.wait(PATIENCE)
        _, alive = psutil.wait_procs(children, timeout=PATIENCE)
        assert not alive
    finally:
        process.kill()


@pytest.fixture
def scheduler(tmp_path) -> Iterator[tuple[str, Callable[..., None]]]:
    """A scheduler that somebody else started, and a function that starts workers for it."""
    processes = []
    card = tmp_path / "scheduler.json"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LAYERSCOPE_TASK_MODULES": TOYS}

    def launch(*command: str) -> None:
        arguments = [sys.executable, "-m", "dask", *command, "--no-dashboard", "--scheduler-file", str(card)]
        processes.append(subprocess.Popen(arguments, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL))

    def worker(*options: str) -> None:
        launch("worker", "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1", *options)

    launch("scheduler", "--host", "127.0.0.1", "--port", "0")
    until(lambda: card.exists() and card.read_text().strip().endswith("}"), "the scheduler is up")
    yield json.loads(card.read_text())["address"], worker
    for process in processes:
        process.kill()
    for process in processes:
        process.wait(PATIENCE)


def test_workers_of_others_do_everything_unless_they_say_what_they_are_for(scheduler, monkeypatch):
    address, worker = scheduler
    monkeypatch.setenv("LAYERSCOPE_SCHEDULER", address)
    monkeypatch.setenv("LAYERSCOPE_TASK_MODULES", TOYS)
    engine = Engine.start(warm_up=False)
    try:
        worker()
        pids = {
            engine.submit(toy("process"), kind, kind=kind).result(PATIENCE)[0] for kind in ("interactive", "render")
        }
        assert len(pids) == 1
        worker("--resources", "render=1")
        until(lambda: engine.resources().workers == 2, "the second worker has come")
        render = {engine.submit(toy("process"), number, kind="render").result(PATIENCE)[0] for number in range(6)}
        assert len(render) == 1
        assert not render & pids
    finally:
        engine.close()


def test_a_scheduler_that_does_not_answer_is_said_so(monkeypatch):
    monkeypatch.setenv("LAYERSCOPE_TASK_MODULES", TOYS)
    monkeypatch.setattr("core.connection.CONNECT_SECONDS", 0.5)
    engine = Engine.start("tcp://127.0.0.1:9", warm_up=False)
    try:
        with pytest.raises(EngineError, match=r"tcp://127\.0\.0\.1:9 does not answer"):
            engine.submit(toy("double"), 1, kind="interactive").result(PATIENCE)
    finally:
        engine.close()
