"""One job on several workers: a cluster of three, each a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import keras
import psutil
import pytest

from core import sharing
from core.engine import Engine, Job
from core.errors import UserError
from core.messages import ModelRef, Mosaic, RenderRequest
from tests.core.tasks import Sum
from tests.core.test_engine import PATIENCE, ROOT, TOYS, lines, toy, until
from tests.core.tiny import with_seeded_weights

MOSAIC = "core.featurevis.mosaic:run"
kept = []
ADDING = sharing.Sharing(
    ask=toy("ask"),
    is_settled=lambda request: len(request.numbers) < 3,
    agree=lambda request, answers: replace(request, asked=sum(answer.asked for answer in answers)),
    split=lambda request, workers: [replace(request, numbers=request.numbers[n::workers]) for n in range(workers)],
    merge=lambda request, parts, latest: sum(each for each in latest if isinstance(each, int)),
    find=lambda request: 1000 if request.numbers == (1000,) * 5 else None,
    keep=lambda request, result: kept.append((request, result)),
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[tuple[str, Callable[[], None]]]:
    """The address of a scheduler, and a function that makes sure that it has so many workers."""
    folder = tmp_path_factory.mktemp("cluster")
    card = folder / "scheduler.json"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "LAYERSCOPE_TASK_MODULES": TOYS,
        "LAYERSCOPE_HOME": str(folder / "home"),
        "LAYERSCOPE_DRAWINGS": "0",
        "KERAS_BACKEND": "tensorflow",
    }
    processes, workers = [], []

    def launch(*command: str) -> subprocess.Popen:
        arguments = [sys.executable, "-m", "dask", *command, "--no-dashboard", "--scheduler-file", str(card)]
        processes.append(subprocess.Popen(arguments, cwd=folder, env=environment, stderr=subprocess.DEVNULL))
        return processes[-1]

    def at_work(count: int) -> None:
        alive = [worker for worker in workers if worker.poll() is None]
        for surplus in alive[count:]:
            surplus.terminate()
            surplus.wait(PATIENCE)
        alive = alive[:count]
        workers[:] = alive + [
            launch("worker", "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1") for _ in range(count - len(alive))
        ]

    launch("scheduler", "--host", "127.0.0.1", "--port", "0")
    until(lambda: card.exists() and card.read_text().strip().endswith("}"), "the scheduler is up")
    yield json.loads(card.read_text())["address"], at_work
    for process in processes:
        process.kill()
    for process in processes:
        process.wait(PATIENCE)


@pytest.fixture
def start(cluster, monkeypatch) -> Iterator[Callable[[int], Engine]]:
    """A function that gives an engine with so many workers."""
    address, at_work = cluster
    engines = []
    monkeypatch.setenv("LAYERSCOPE_TASK_MODULES", TOYS)
    monkeypatch.setenv("LAYERSCOPE_DRAWINGS", "0")
    monkeypatch.setitem(sharing.SHARED, toy("add"), ADDING)

    def start(workers: int) -> Engine:
        at_work(workers)
        engines.append(Engine.start(address, warm_up=False))
        until(lambda: engines[-1].resources().workers == workers, f"{workers} workers have come")
        return engines[-1]

    yield start
    for engine in engines:
        engine.close()


def started(diary: Path) -> list[list[str]]:
    return [line.split(maxsplit=2)[1:] for line in lines(diary) if line.startswith("started")]


def until_on_three_workers(diary: Path) -> None:
    until(lambda: len({pid for pid, _ in started(diary)}) == 3, "three workers are at it")


def test_three_workers_share_a_job_and_it_looks_like_one(start, tmp_path):
    engine, diary = start(3), tmp_path / "diary"
    job = engine.submit(toy("add"), Sum(str(diary), tuple(range(1, 12))), kind="render")
    until_on_three_workers(diary)
    assert all(line.endswith(" 3") for line in lines(diary) if line.startswith("started"))  # what they agreed on
    assert job.snapshot().state == "running"
    assert engine.jobs() == [job]
    (tmp_path / "go").touch()
    assert job.result(PATIENCE) == 66
    assert (job.snapshot().state, job.snapshot().latest, job.snapshot().attempt) == ("done", 66, 1)
    assert len(started(diary)) == 3
    assert engine.submit(toy("add"), Sum(str(diary), tuple(range(1, 12))), kind="render") is job
    until(lambda: kept and kept[-1] == (Sum(str(diary), tuple(range(1, 12))), 66), "the result is kept")
    assert engine.submit(toy("add"), Sum(str(diary), (1000,) * 5), kind="render").result(PATIENCE) == 1000
    assert len(started(diary)) == 3


def test_cancelling_ends_all_parts(start, tmp_path):
    engine, diary = start(3), tmp_path / "diary"
    job = engine.submit(toy("add"), Sum(str(diary), tuple(range(12))), kind="render")
    until_on_three_workers(diary)
    job.cancel()
    assert job.snapshot().state == "cancelled"
    until(lambda: sum(line.startswith("ended") for line in lines(diary)) == 3, "all three have stopped")
    assert not (tmp_path / "go").exists()


def test_one_part_that_fails_fails_the_job_in_its_sentence_and_ends_the_others(start, tmp_path):
    engine, diary = start(3), tmp_path / "diary"
    job = engine.submit(toy("add"), Sum(str(diary), tuple(range(11, 20))), kind="render")
    with pytest.raises(UserError, match=r"^13 brings bad luck\.$"):
        job.result(PATIENCE)
    assert (job.snapshot().state, job.snapshot().error) == ("failed", "13 brings bad luck.")
    until(lambda: len(started(diary)) == sum(line.startswith("ended") for line in lines(diary)), "the others stopped")


def test_a_worker_that_is_busy_for_long_is_not_counted_on(start, tmp_path):
    engine, diary = start(3), tmp_path / "diary"
    training = engine.submit(toy("hold"), str(tmp_path / "gate"), kind="training")
    until(lambda: training.snapshot().latest == "holding", "the training has begun")
    job = engine.submit(toy("add"), Sum(str(diary), tuple(range(12))), kind="render")
    until(lambda: len({pid for pid, _ in started(diary)}) == 2, "two workers are at it")
    (tmp_path / "go").touch()
    assert job.result(PATIENCE) == 66
    assert len(started(diary)) == 2
    assert not training.snapshot().over
    (tmp_path / "gate").touch()
    training.result(PATIENCE)


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_worker_costs_only_its_own_part(start, tmp_path):
    engine, diary = start(3), tmp_path / "diary"
    job = engine.submit(toy("add"), Sum(str(diary), tuple(range(12))), kind="render")
    until_on_three_workers(diary)
    (victim, lost), *others = started(diary)
    os.kill(int(victim), signal.SIGKILL)
    until(lambda: not psutil.pid_exists(int(victim)) or psutil.Process(int(victim)).status() == "zombie", "it is dead")
    (tmp_path / "go").touch()
    assert job.result(PATIENCE) == 66
    assert job.snapshot().attempt == 2
    again = started(diary)[3:]
    assert [what for _, what in again] == [lost]
    assert again[0][0] in {pid for pid, _ in others}


def watch(job: Job) -> list[Mosaic]:
    shots: list[Mosaic] = []
    deadline = time.monotonic() + 2 * PATIENCE
    while not job.snapshot().over and time.monotonic() < deadline:
        latest = job.snapshot().latest
        if isinstance(latest, Mosaic) and latest not in shots[-1:]:
            shots.append(latest)
        time.sleep(0.02)
    return shots


@pytest.mark.slow
def test_three_workers_draw_the_same_mosaic_as_one(start, tmp_path):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(30, 3, padding="same", activation="relu", name="conv1")(inputs)
    outputs = keras.layers.Conv2D(30, 3, padding="same", name="conv2")(x)
    with_seeded_weights(keras.Model(inputs, outputs)).save(tmp_path / "wide.keras")
    request = RenderRequest(ModelRef(str(tmp_path / "wide.keras")), "conv2", tuple(range(27)), size=130, steps=10)
    alone = start(1).submit(MOSAIC, request, kind="render").result(2 * PATIENCE)
    job = start(3).submit(MOSAIC, request, kind="render")
    shots = watch(job)
    together = job.result(PATIENCE)
    assert together.png == alone.png
    assert together.picture == alone.picture
    assert together.scores == alone.scores
    assert replace(together, seconds=0, seconds_to_first_picture=0) == replace(
        alone, seconds=0, seconds_to_first_picture=0
    )
    assert [len(part.result(0).filters) for part in job.parts] == [8, 8, 11]
    assert len({part.worker for part in job.parts}) == 3
    assert shots
    assert all(shot.filters == request.filters and len(shot.scores) == 27 for shot in shots)
    assert [shot.step for shot in shots] == sorted(shot.step for shot in shots)
