"""Nothing that is kept is lost or half: processes killed at any moment, full disks, folders that cannot be written."""

from __future__ import annotations

import errno
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core import gallery, opened, runs, samples, storage
from core.backbones import answers
from core.errors import UserError
from core.messages import ModelRef
from core.transfer import checkpoints, forms
from core.transfer.requests import TrainingConfig
from tests.core import writers
from tests.core.writers import Nursery, begun_run, check_home, drawing

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs SIGKILL, fork and small file systems")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LAYERSCOPE_DRAWINGS", raising=False)
    return tmp_path / "home"


@pytest.fixture(scope="module")
def nursery():
    with Nursery() as found:
        yield found


# --- Killed ----------------------------------------------------------------------------------------------------------


def test_a_few_kills_of_whatever_writes(nursery):
    rng = random.Random()
    for _ in range(4):
        assert nursery.kill_after(rng.uniform(0.02, 0.3), "keep_everything")
        check_home()
    while not check_home():  # on a machine that was too busy for any file so far
        nursery.kill_after(0.5, "keep_everything")


@pytest.fixture
def config(tmp_path) -> TrainingConfig:
    from tests.core.transfer.conftest import coloured, save_backbone, write

    return TrainingConfig(
        *(str(write(tmp_path / "colours", coloured())), ModelRef(str(save_backbone(tmp_path / "mine.keras"))), ""),
        size=32,
        epochs=12,
        fine_tune_epochs=12,
        validation=0.25,
        batch_size=8,
        learning_rate=3e-3,
        augmentation=None,
    )


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_fifty_kills(config, tmp_path):
    from tests.core.transfer.test_killed import assert_same

    rng, killed = random.Random(7), 0
    with Nursery("core.transfer.training", "core.featurevis.mosaic", "core.transfer.exporting") as nursery:

        def seconds_of(*task: object) -> float:
            before = time.monotonic()
            nursery.begin(*task)
            assert nursery.end() == 0
            return time.monotonic() - before

        for task in ("keep_uploads", "keep_answers", "keep_drawings"):
            for _ in range(6):
                killed += nursery.kill_after(rng.uniform(0, 1.5), task)
                check_home()
        lasts = seconds_of("draw_mosaic", config.backbone.name, 0)
        for number in range(1, 7):
            killed += nursery.kill_after(rng.uniform(0, lasts), "draw_mosaic", config.backbone.name, number)
            check_home()
        whole = begun_run(config)
        lasts = seconds_of("train", whole.out)
        run, kills, finished = begun_run(config), 0, []
        while kills < 14:
            before = checkpoints.told(Path(run.out))
            if nursery.kill_after(rng.uniform(0, lasts), "train", run.out):
                kills += 1
                after = checkpoints.told(Path(run.out))
                ended = runs.read_report(Path(run.out)) is not None
                assert ended or before is None or after.epoch >= before.epoch  # no epoch is lost
                check_home()
            if runs.read_report(Path(run.out)) is not None:
                finished.append(run)
                run = begun_run(config)
        nursery.begin("train", run.out)
        assert nursery.end() == 0
        for each in (*finished, run):
            assert_same(Path(each.out), Path(whole.out))
        killed += kills
        lasts = seconds_of("export", whole.out, "savedmodel")
        for _ in range(6):
            killed += nursery.kill_after(rng.uniform(0, lasts), "export", whole.out, "savedmodel")
            check_home()
        seconds_of("export", whole.out, "savedmodel")
        assert forms.made(Path(whole.out), "savedmodel") is not None
        lasts = None
        while killed < 50:
            killed += nursery.kill_after(rng.uniform(0, lasts or 5), "draw_chess_pieces")
            check_home()
            lasts = (lasts or 5) / (2 if any(storage.folder("samples").iterdir()) else 1)
            for path in storage.folder("samples").iterdir():
                path.rename(tmp_path / f"{path.name}.{killed}.{rng.random()}")
    assert killed >= 50


SERVER = """
import sys, time
from pathlib import Path
from core import runs
from core.engine import Engine
engine = Engine.start(warm_up=False)
job = engine.submit("core.transfer.training:run", runs.read_config(Path(sys.argv[1])), kind="training")
job.result(300)
engine.close()
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_is_found_and_goes_on_after_its_server_was_killed(config, monkeypatch):
    from core.transfer import attempts
    from tests.core.transfer.test_killed import assert_same, epoch_of, until

    monkeypatch.delenv("LAYERSCOPE_SCHEDULER", raising=False)

    def serve(run: TrainingConfig) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", SERVER, run.out], cwd=writers.ROOT)

    config = replace(config, epochs=40)
    whole, run = begun_run(config), begun_run(config)
    folder = Path(run.out)
    server = serve(run)
    try:
        epoch = until(lambda: epoch_of(folder) >= 3 and epoch_of(folder), "some epochs are kept")
        server.kill()
        server.wait(writers.PATIENCE)
        until(lambda: not attempts.at_work(folder), "its worker has followed the server")
        (found,) = (each for each in runs.all_runs() if each.folder == folder)
        assert found.can_go_on or found.report is not None
        check_home()
        server = serve(run)
        assert server.wait(300) == 0
    finally:
        server.kill()
    report = runs.read_report(folder)
    assert not report.stopped and report.epochs == config.epochs + config.fine_tune_epochs
    notes = [note for note in report.notes if note.startswith("It went on after epoch")]
    assert notes and int(notes[-1].split()[5]) >= epoch
    server = serve(whole)
    assert server.wait(300) == 0
    assert_same(folder, Path(whole.out))


# --- Two at once -----------------------------------------------------------------------------------------------------


def test_two_programs_keep_the_same_things_at_once(nursery):
    number = nursery.begin("keep_everything")
    deadline = time.monotonic() + 1
    for turn in itertools.count():
        gallery.keep(*drawing(turn % 5))
        kept = storage.keep_upload(random.Random(turn).randbytes(300_000), ".zip")
        assert kept.read_bytes() == random.Random(turn).randbytes(300_000)
        writers.check_what_is_found()
        if time.monotonic() > deadline:
            break
    os.kill(number, signal.SIGKILL)
    assert nursery.end() == -signal.SIGKILL
    check_home()


# --- Full ------------------------------------------------------------------------------------------------------------


@contextmanager
def mounted(place: Path, size: str = "3m"):
    """A small file system of its own; skipped where none may be made."""
    place.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "layerscope", str(place)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    storage._writable.cache_clear()
    try:
        yield place
    finally:
        storage._writable.cache_clear()
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(place: Path, leave: int = 0) -> Path:
    """Leaves so many bytes of the file system of `place`."""
    filler = place / "filler"
    with filler.open("ab", buffering=0) as file:
        while (most := min(storage.free_bytes(place) - leave, 1 << 20)) > 0:
            try:
                file.write(bytes(most))
            except OSError:
                break
    return filler


def test_a_full_disk_is_said_in_a_sentence_each_time_and_all_that_was_there_stays(home, monkeypatch):
    monkeypatch.setattr(samples, "draw", lambda piece, index: np.zeros((192, 192, 3), np.uint8) + index)
    with mounted(home):
        kept = storage.keep_upload(b"photos", ".zip")
        name = answers.keep(answers.Answers(class_names=("a", "b")))
        gallery.keep(*drawing(1))
        config = begun_run(TrainingConfig("chessman", ModelRef("efficientnet_lite0"), ""))
        filler = fill(home)
        attempts = (
            lambda: storage.keep_upload(bytes(200_000), ".zip"),
            lambda: answers.keep(answers.Answers(class_names=("c",) * 9000)),
            lambda: runs.write_config(Path(config.out), config),
            samples.chessman,
        )
        for pretend in (False, True):  # as if others had taken the room between the look and the writing
            if pretend:
                monkeypatch.setattr(storage, "free_bytes", lambda path, free=storage.free_bytes: free(path) + 10**9)
            for attempt in attempts:
                with pytest.raises(UserError, match=r"disk.* full") as refused:
                    attempt()
                assert "\n" not in str(refused.value) and isinstance(refused.value.__cause__, OSError)
            gallery.keep(*drawing(2))
        monkeypatch.undo()
        monkeypatch.setenv("LAYERSCOPE_HOME", str(home))
        monkeypatch.delenv("LAYERSCOPE_DRAWINGS", raising=False)
        storage._writable.cache_clear()
        assert storage.home() == home and storage.moved() is None  # a server started now finds what is here
        assert kept.read_bytes() == b"photos" and answers.read(name).class_names == ("a", "b")
        assert gallery.find(drawing(1)[0]) == drawing(1)[1] and gallery.find(drawing(2)[0]) is None
        assert runs.find(Path(config.out).name).config == config
        assert list(home.rglob(".*")) == []
        filler.unlink()
        assert storage.keep_upload(bytes(200_000), ".zip").stat().st_size == 200_000


@pytest.mark.slow
def test_a_run_keeps_in_memory_what_it_has_no_room_for_and_goes_on(home, config):
    from core.transfer import training

    with mounted(home, "32m"):
        whole = begun_run(config)
        list(training.run(whole))
        run = begun_run(config)
        filler, seen = None, []
        for snapshot in training.run(run):
            epoch = len(snapshot.history)
            if filler is None and epoch == 3:
                filler, before = fill(home), checkpoints.told(Path(run.out)).epoch
            elif filler and filler.exists() and epoch == 6:
                assert any("No room for a checkpoint" in note for note in snapshot.notes)
                assert before <= checkpoints.told(Path(run.out)).epoch <= 4  # the last one, and whole
                filler.unlink()
            elif filler and not filler.exists() and epoch == 9 and "again" not in seen:
                assert snapshot.notes == () and checkpoints.told(Path(run.out)).epoch >= 8
                seen.append("again")
            elif snapshot.phase == "saving" and "saving" not in seen:
                fill(home)
                seen.append("saving")
            elif snapshot.words.startswith("Learned, and kept in memory") and "waited" not in seen:
                assert "full" in snapshot.words and len(snapshot.history) == 24
                (home / "filler").unlink()
                seen.append("waited")
        assert seen == ["again", "saving", "waited"] and snapshot.report.epochs == 24
        from tests.core.transfer.test_killed import assert_same

        assert_same(Path(run.out), Path(whole.out))
        fill(home)
        with pytest.raises(UserError, match="room on the disk"):
            from core.transfer import exporting

            list(exporting.run(forms.wanted(Path(run.out), "savedmodel")))
        with pytest.raises(UserError, match="full"):
            list(exporting.run(forms.wanted(Path(run.out), "report")))
        assert list(home.rglob(".*")) == []


@pytest.mark.parametrize("number", [errno.EFBIG, errno.EIO])
def test_a_disk_that_takes_no_such_file_is_said(tmp_path, number):
    def write(temporary):
        raise OSError(number, os.strerror(number))

    with pytest.raises(UserError, match=r"model\.keras cannot be saved"):
        storage.write_atomically(tmp_path / "model.keras", write)


# --- Read-only -------------------------------------------------------------------------------------------------------


def test_a_home_that_may_not_be_written_is_the_same_other_one_for_every_process(home):
    with mounted(home):
        subprocess.run(["mount", "-o", "remount,ro", str(home)], check=True)
        place = storage.home()
        assert storage.moved() == (home, place) and not place.is_relative_to(home)
        path = storage.keep_upload(b"photos", ".zip")
        model = opened.opened(path, "mine.keras")
        words = "from core import storage; print(storage.home())"
        found = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
        assert found.stdout.strip() == str(place) and "cannot be written to" in found.stderr
        assert path.is_relative_to(place) and answers.read(model.digest) == model.said
        assert begun_run(TrainingConfig("chessman", ModelRef("efficientnet_lite0"), "")).out.startswith(str(place))


def test_a_trap_in_the_place_of_the_other_home_is_not_stepped_into(home, tmp_path, monkeypatch):
    monkeypatch.setattr(storage.tempfile, "tempdir", str(tmp_path))
    first = storage._temporary_home(home)
    assert storage._temporary_home(home) == first and first.parent == tmp_path
    first.chmod(0o777)
    assert storage._temporary_home(home) != first
    first.rmdir()
    first.symlink_to(tmp_path)
    assert storage._temporary_home(home) not in (first, tmp_path)


# --- Left behind -----------------------------------------------------------------------------------------------------


def test_what_was_left_half_made_goes_when_it_is_old_and_is_in_nobodys_way(home):
    run = Path(begun_run(TrainingConfig("chessman", ModelRef("efficientnet_lite0"), "")).out)
    kept = storage.keep_upload(b"photos", ".zip")
    never_began = runs.new_run()
    (never_began / runs.PHOTOS).write_bytes(b"x")
    left = [storage.beside(kept), storage.beside(run / runs.CHECKPOINT), storage.beside(run / "backbone" / "a.keras")]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    left.append(storage.beside(run))
    left[-1].mkdir()
    (left[-1] / "config.json").write_text("{}")
    others = [kept.with_name(".keep"), run / ".0123.npz", home / f".{'0' * 16}", run / f"{'0' * 16}.npz"]
    for path in others:
        path.write_bytes(b"somebody's")
    assert [each.folder for each in runs.all_runs()] == [run]
    assert storage.clean_up() == [] and runs.clean_up() is None and never_began.exists()
    for path in (*left, *others, never_began, run):
        os.utime(path, (1, 1))
    assert set(storage.clean_up()) == set(left)
    runs.clean_up()
    assert not never_began.exists() and run.exists() and kept.exists() and all(path.exists() for path in others)


def test_an_answer_that_was_damaged_is_written_again():
    said = answers.Answers(class_names=("a", "b"))
    name = answers.keep(said)
    path = storage.folder("answers") / f"{name}.json"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(UserError, match="say it again"):
        answers.read(name)
    assert answers.keep(said) == name and answers.read(name) == said
