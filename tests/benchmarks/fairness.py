"""Many at one server: how long short work takes beside long work, thirty sessions at once, and a killed worker.

`python -m tests.benchmarks.fairness` prints the table. Each ratio is of two things done by turns on one engine.
"""

from __future__ import annotations

import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil

from core import images
from core.engine import Engine, Job
from core.messages import ActivationsRequest, ModelRef, Mosaic, Photo, RenderRequest
from core.transfer.requests import TrainingConfig
from tests.benchmarks.rows import Row
from tests.zips import png, zip_of

MODEL = ModelRef("efficientnet_lite0")
LAYERS = [f"block{block}_{part}_bn" for block in range(1, 16) for part in ("depthwise", "project")]
ROUNDS, EACH = 4, 12
_photos = iter(range(10**6))


def new_photo() -> Photo:
    """A photo that nobody has asked about: of 480 × 640 pixels."""
    rng = np.random.default_rng(next(_photos))
    small = rng.integers(0, 255, (12, 16, 3)).astype(np.uint8)
    return images.photo(png(images.resize(small, (480, 640))), "noise.png")


def look(engine: Engine, photo: Photo, layer: str, viewer: str | None = None) -> Job:
    return engine.submit(
        "core.activations:infer", ActivationsRequest(MODEL, photo, (layer,)), kind="interactive", viewer=viewer
    )


def seconds_of(thing: Callable[[], object]) -> float:
    began = time.perf_counter()
    thing()
    return time.perf_counter() - began


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LAYERSCOPE_HOME"], os.environ["LAYERSCOPE_DRAWINGS"] = folder, "0"
        engine = Engine.start()
        try:
            for layer in LAYERS * 2:  # at the second look each is compiled
                look(engine, new_photo(), layer).result(300)
            yield from beside_long_work(engine, Path(folder))
            yield from thirty_layers(engine)
            yield from through_the_line(engine)
            yield from one_mosaic(engine)
            yield from killed(engine)
        finally:
            engine.close()


def beside_long_work(engine: Engine, folder: Path) -> Iterator[Row]:
    (folder / "photos.zip").write_bytes(zip_of({"green": (40, 180, 40), "red": (200, 40, 40)}, photos=40))
    alone, beside = [], []
    for turn in range(ROUNDS):
        alone += [seconds_of(lambda: look(engine, new_photo(), LAYERS[9]).result(300)) for _ in range(EACH)]
        config = TrainingConfig(
            str(folder / "photos.zip"), MODEL, str(folder / f"run {turn}"), epochs=1, fine_tune_epochs=1000, seed=turn
        )
        request = RenderRequest(MODEL, LAYERS[10], tuple(range(64)), "lucid", 128, steps=2000, seed=turn)
        jobs = [
            engine.submit("core.transfer.training:run", config, kind="training"),
            engine.submit("core.featurevis.mosaic:run", request, kind="render"),
        ]
        wait_for_both(jobs)
        beside += [seconds_of(lambda: look(engine, new_photo(), LAYERS[9]).result(300)) for _ in range(EACH)]
        assert all(job.snapshot().state == "running" for job in jobs)
        for job in jobs:
            job.cancel()
        time.sleep(2)  # they stop at their next snapshot
    ratio = statistics.median(beside) / statistics.median(alone)
    words = (
        f"{ratio:.2f}× ({1000 * statistics.median(alone):.0f} ms alone), the slowest {max(beside) / max(alone):.2f}×"
    )
    yield Row("one activation, a mosaic and a training under way", "alone", "≤ 2.5×", words)


def wait_for_both(jobs: list[Job]) -> None:
    training, mosaic = jobs
    while not isinstance(mosaic.snapshot().latest, Mosaic):
        time.sleep(0.1)
    while not getattr(training.snapshot().latest, "history", ()):  # the second phase has begun
        assert not training.over, training.snapshot().error
        time.sleep(0.1)


def thirty_layers(engine: Engine) -> Iterator[Row]:
    """A photo of its own for each round; one after the other is how a single session asks."""

    def one_after_the_other() -> None:
        photo = new_photo()
        for layer in LAYERS:
            look(engine, photo, layer, "one").result(300)

    def at_once() -> None:
        photo = new_photo()
        jobs = [look(engine, photo, layer, f"session {number}") for number, layer in enumerate(LAYERS)]
        for job in jobs:
            job.result(300)

    one, thirty = by_turns(one_after_the_other, at_once)
    words = f"{thirty / one:.2f}× ({thirty:.1f} s, the last)"
    yield Row("30 sessions, 30 layers at once, last answer", "one session × 30", "≤ 1.0×", words)


def through_the_line(engine: Engine) -> Iterator[Row]:
    """What it costs that jobs wait here and not in Dask."""

    def at_once() -> None:
        photo = new_photo()
        for job in [look(engine, photo, layer) for layer in LAYERS]:
            job.result(300)

    def all_handed_out() -> None:
        engine._rooms["interactive"] = 1000
        at_once()

    def in_line() -> None:
        engine._rooms["interactive"] = 1
        at_once()

    looked, engine.looked = engine.looked, lambda: None
    dask, line = by_turns(all_handed_out, in_line)
    engine.looked = looked
    yield Row("30 activations through the line", "all handed to Dask", "–", f"{line / dask:.2f}×")


def one_mosaic(engine: Engine) -> Iterator[Row]:
    request = RenderRequest(MODEL, LAYERS[4], tuple(range(8)), "fast", 128, seed=77)
    jobs = [
        engine.submit("core.featurevis.mosaic:run", request, kind="render", viewer=f"session {number}")
        for number in range(30)
    ]
    for job in jobs:
        job.result(300)
    times = len(set(map(id, jobs))) * jobs[0].snapshot().attempt
    yield Row("30 sessions, the same mosaic", "one mosaic", "once", f"computed {times}×")


def killed(engine: Engine) -> Iterator[Row]:
    if not hasattr(signal, "SIGKILL"):
        return
    request = RenderRequest(MODEL, LAYERS[10], tuple(range(64)), "lucid", 128, steps=2000, seed=99)
    mosaic = engine.submit("core.featurevis.mosaic:run", request, kind="render")
    while not isinstance(mosaic.snapshot().latest, Mosaic):
        time.sleep(0.1)
    before = mosaic.snapshot().latest

    def again() -> None:
        kill_the_busiest(engine)
        while mosaic.snapshot().attempt < 2 or mosaic.snapshot().latest is before:
            time.sleep(0.1)

    drawn = seconds_of(again)
    mosaic.cancel()
    time.sleep(2)
    jobs = [look(engine, new_photo(), layer) for layer in LAYERS]
    jobs[3].result(300)

    def answered() -> None:
        kill_the_busiest(engine)
        for job in jobs:
            job.result(300)

    words = f"{drawn:.1f} s until the mosaic grows again, {seconds_of(answered):.1f} s until all of 30 activations"
    yield Row("a worker killed (-9)", "–", "≤ 20 s", words)


def kill_the_busiest(engine: Engine) -> None:
    processes = psutil.Process(engine._cluster._process.pid).children(recursive=True)
    processes = [process for process in processes if process.memory_info().rss > 300e6]  # with TensorFlow
    for process in processes:
        process.cpu_percent()
    time.sleep(0.3)
    max(processes, key=lambda process: process.cpu_percent()).kill()


def by_turns(*things: Callable[[], object]) -> list[float]:
    times: list[list[float]] = [[] for _ in things]
    for count in range(ROUNDS + 1):
        for place, thing in enumerate(things):
            took = seconds_of(thing)
            if count:
                times[place].append(took)
    return [statistics.median(each) for each in times]


if __name__ == "__main__":
    for row in measure():
        sys.stdout.write(f"{row.what:52} {row.against:22} {row.goal:8} {row.found}\n")
        sys.stdout.flush()
