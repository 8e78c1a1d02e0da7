"""Processes that write what Layerscope keeps until they are killed, and what must be true of it afterwards.

A `Nursery` has imported what is needed once; each writer is a fork of it, and so begins within milliseconds.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

from core import gallery, opened, runs, samples, storage
from core.backbones import answers
from core.messages import ModelRef, Mosaic, RenderRequest
from core.transfer import checkpoints, forms
from core.transfer.requests import TrainingConfig

ROOT = Path(__file__).parents[2]
PATIENCE = 120  # seconds until a test gives up
MOSAIC = Mosaic("conv1", (1,), 4, 4, (0.5,), b"webp", 64, 64, 64, 5, 1, 1.0, 0.0, 0.5, "float32", 8, "made", b"png")


# --- What is written -------------------------------------------------------------------------------------------------


def keep_uploads() -> None:
    for turn in itertools.count():
        storage.keep_upload(random.Random(turn % 5).randbytes(500_000), ".zip")
        for path in storage.folder("uploads").glob("[!.]*"):
            path.unlink()


def keep_answers() -> None:
    for turn in itertools.count():
        path = storage.folder("uploads") / f"{turn % 5:024x}.keras"
        model = opened.opened(path, f"{turn}.keras")
        opened.remember(opened.say(model, class_names=tuple(f"class {turn}.{each}" for each in range(5000))))


def drawing(number: int) -> tuple[RenderRequest, Mosaic]:
    return RenderRequest(ModelRef("efficientnet_lite0"), "conv1", (number,)), replace(
        MOSAIC, png=random.Random(number).randbytes(500_000)
    )


def keep_drawings() -> None:
    for turn in itertools.count():
        gallery.keep(*drawing(turn % 5))


def keep_everything() -> None:
    """A little of each, for ever."""
    for turn in itertools.count():
        storage.keep_upload(random.Random(turn).randbytes(300_000), ".zip")
        gallery.keep(*drawing(turn % 5))
        answers.keep(answers.Answers(class_names=tuple(f"{turn}.{each}" for each in range(2000))))


def draw_chess_pieces() -> None:
    samples.CHESSMAN_PER_CLASS = 1
    samples.chessman()


def draw_mosaic(model: str, number: int) -> None:
    from core.featurevis import mosaic

    list(mosaic.run(mosaic_request(model, number)))


def mosaic_request(model: str, number: int) -> RenderRequest:
    return RenderRequest(ModelRef(model), "tiny/conv1", (0, 1), size=64, steps=4, seed=number, precision="float32")


def train(folder: str) -> None:
    from core.transfer import attempts, training

    attempts.DEATHS = 10**6  # who is killed so often here is not short of memory
    list(training.run(runs.read_config(Path(folder))))


def export(folder: str, form: str) -> None:
    from core.transfer import exporting

    list(exporting.run(forms.wanted(Path(folder), form)))


# --- What must be true -----------------------------------------------------------------------------------------------


def check_home() -> int:
    """Everything that can be found is whole, before what was left half made is removed and after; how many files there
    were."""
    found = check_what_is_found()
    storage.clean_up(0)
    assert [path for path in storage.home().rglob(".*") if path.is_file()] == []
    assert check_what_is_found() == found
    return found


def check_what_is_found() -> int:
    uploads = [path for path in storage.folder("uploads").iterdir() if storage.is_upload(path.name)]
    assert all(storage.digest_of(path.read_bytes()) == path.stem for path in uploads)
    said = list(storage.folder("answers").glob("[!.]*"))
    assert all(answers.read(path.stem) != answers.NONE for path in said)
    notes = list(storage.folder("opened").glob("[!.]*"))
    assert all(opened._recalled(path).class_names for path in notes)
    drawn = list(storage.folder("drawings").glob("[!.]*"))
    for path in drawn:
        gallery._read(path)
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
    for number in range(5):
        request, mosaic = drawing(number)
        assert gallery.find(request) in (None, mosaic)
    for run in runs.all_runs():
        assert run.config is not None
        assert not run.can_go_on or checkpoints.read(run.folder, run.config) is not None
        for form in forms.MADE:
            made = forms.made(run.folder, form)
            assert made is None or not made.file_name.endswith("zip") or zipfile.ZipFile(made.path).testzip() is None
    chess = [path for path in storage.folder("samples").glob("[!.]*") if not samples._is_whole(path)]
    assert chess == []
    return len(uploads) + len(said) + len(notes) + len(drawn)


def begun_run(config: TrainingConfig) -> TrainingConfig:
    folder = runs.new_run()
    config = replace(config, out=str(folder))
    runs.write_config(folder, config)
    return config


# --- Processes -------------------------------------------------------------------------------------------------------


class Nursery:
    """Starts writers, one at a time; `modules` are imported beforehand."""

    def __init__(self, *modules: str):
        code = "import sys; sys.path[:1] = [sys.argv[1]]; from tests.core import writers; writers.nurse(sys.argv[2:])"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, str(ROOT), *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if name != "LAYERSCOPE_DRAWINGS"},
        )
        assert self._process.stdout.readline() == "ready\n"

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._process.stdout.close()

    def begin(self, task: str, *words: object) -> int:
        """The number of a new process that does `task`, a function of this module, in this process' home."""
        self._process.stdin.write(json.dumps([os.environ["LAYERSCOPE_HOME"], task, *words]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def end(self) -> int:
        """Wait for the writer; its status, negative where a signal ended it."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def kill_after(self, seconds: float, task: str, *words: object) -> bool:
        """Begin `task` and kill it after so long; whether it was still at work."""
        number = self.begin(task, *words)
        time.sleep(seconds)
        os.kill(number, signal.SIGKILL)
        status = self.end()
        assert status in (0, -signal.SIGKILL), status
        return status != 0


def nurse(modules: list[str]) -> None:
    for module in modules:
        importlib.import_module(module)
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print("ready", file=out, flush=True)
    while line := sys.stdin.readline():
        home, task, *words = json.loads(line)
        child = os.fork()
        if child == 0:
            os.environ["LAYERSCOPE_HOME"] = home
            try:
                globals()[task](*words)
            except BaseException:
                sys.excepthook(*sys.exc_info())
                os._exit(1)
            os._exit(0)
        print(child, file=out, flush=True)
        sys.stdin.readline()  # until then it has a number that nobody else gets: it may be killed
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=out, flush=True)
