from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core import runs, storage
from core.errors import UserError
from core.messages import ModelRef
from core.transfer import attempts, checkpoints
from core.transfer.checkpoints import Checkpoint
from core.transfer.requests import Augmentation, EpochRow, TrainingConfig, TrainingSnapshot, Watched

CONFIG = TrainingConfig("photos.zip", ModelRef("tiny"), "here", augmentation=Augmentation(zoom=0.2))
ROWS = (EpochRow(1, "head", 1.5, 0.25, 1.25, 0.5, 0.1), EpochRow(2, "head", 1.0, 0.5, 0.75, 0.75, 2.0, 0.1, 0.2, 0.3))


def a_checkpoint(losses: int = 700) -> Checkpoint:
    rng = np.random.default_rng(0)
    told = TrainingSnapshot(
        words="Epoch 2 of 8 (head)",
        phase="head",
        epoch=2,
        epochs=8,
        step=9,
        steps=9,
        history=ROWS,
        batch_losses=tuple(rng.random(losses)),
        batch_epochs=tuple(np.linspace(0, 2, losses)),
        seconds=12.5,
        classes=("été", "b"),
        watched=(Watched("été/1.png", b"\x00RIFF\xff", 0, (1, 0), (0.25, 0.75)),),
        notes=("It went on after epoch 1 of 8.",),
    )
    arrays = {
        "variable/0": rng.normal(size=(3, 4)).astype(np.float32),
        "optimizer/0": np.array(7, np.int64),
        "random/0": np.array([1, 2**32 - 1], np.uint32),
        "best/0": np.zeros((0, 2), np.float32),
    }
    return Checkpoint(told, "photos", 16, 0.01, {"phase": "head", "epoch": 2, "score": [0.75, -0.75]}, arrays)


def test_what_is_kept_comes_back(tmp_path):
    kept = a_checkpoint()
    checkpoints.write(tmp_path, CONFIG, kept)
    found = checkpoints.read(tmp_path, replace(CONFIG, out="elsewhere"))
    assert replace(found, arrays={}) == replace(kept, arrays={})
    assert list(found.arrays) == list(kept.arrays)
    for name, values in kept.arrays.items():
        assert found.arrays[name].dtype == values.dtype
        np.testing.assert_array_equal(found.arrays[name], values)
    assert [path.name for path in tmp_path.iterdir()] == [runs.CHECKPOINT]


def test_it_can_be_told_of_without_its_configuration(tmp_path):
    assert checkpoints.told(tmp_path) is None
    checkpoints.write(tmp_path, CONFIG, a_checkpoint())
    told = checkpoints.told(tmp_path)
    assert (told.history, told.watched, told.epochs) == (ROWS, a_checkpoint().told.watched, 8)
    assert len(told.batch_losses) == len(told.batch_epochs) == 500
    assert told.batch_epochs[-1] == 2


@pytest.mark.parametrize("changes", [{"seed": 1}, {"epochs": 9}, {"augmentation": None}, {"data": "others.zip"}])
def test_one_of_another_configuration_is_none(tmp_path, changes):
    checkpoints.write(tmp_path, CONFIG, a_checkpoint())
    assert checkpoints.read(tmp_path, replace(CONFIG, **changes)) is None


def test_whatever_is_wrong_with_the_file_it_is_damaged_and_nothing_else(tmp_path):
    checkpoints.write(tmp_path, CONFIG, a_checkpoint(20))
    path, rng = tmp_path / runs.CHECKPOINT, np.random.default_rng(1)
    whole = path.read_bytes()
    harmless = 0
    for trial in range(400):
        broken = bytearray(whole)
        if trial % 4 == 0:
            broken = broken[: rng.integers(len(broken))]
        else:
            for place in rng.integers(0, len(broken), 1 + trial % 3):
                broken[place] = rng.integers(256)
        path.write_bytes(bytes(broken))
        told = checkpoints.told(tmp_path)
        assert told is None or told.history == ROWS
        try:
            found = checkpoints.read(tmp_path, CONFIG)
        except checkpoints.Damaged:
            continue
        harmless += 1  # a date in the archive, a byte of a name
        if found is not None:
            assert found.told.batch_losses == a_checkpoint(20).told.batch_losses
    assert harmless < 200


@pytest.mark.parametrize("data", [b"", b"nothing", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_archive_is_damaged(tmp_path, data):
    (tmp_path / runs.CHECKPOINT).write_bytes(data)
    assert checkpoints.told(tmp_path) is None
    with pytest.raises(checkpoints.Damaged):
        checkpoints.read(tmp_path, CONFIG)


def test_an_archive_that_would_run_code_is_damaged(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    np.savez(tmp_path / runs.CHECKPOINT, facts=np.array([Trap()], dtype=object))
    assert checkpoints.told(tmp_path) is None
    assert not (tmp_path / "sprung").exists()


def test_a_full_disk_leaves_the_one_before(tmp_path, monkeypatch):
    checkpoints.write(tmp_path, CONFIG, a_checkpoint())
    monkeypatch.setattr(storage, "free_bytes", lambda path: 100)
    with pytest.raises(UserError, match="full"):
        checkpoints.write(tmp_path, CONFIG, replace(a_checkpoint(), batch_size=1))
    assert checkpoints.read(tmp_path, CONFIG).batch_size == 16


def test_the_same_photos_split_alike_have_one_digest():
    one, other = np.array([0, 2]), np.array([1])
    digest = checkpoints.digest_of_photos(("a", "b", "c"), one, other)
    assert digest == checkpoints.digest_of_photos(("a", "b", "c"), one.copy(), other.copy())
    assert digest != checkpoints.digest_of_photos(("a", "b", "c"), other, one)
    assert digest != checkpoints.digest_of_photos(("a", "c", "b"), one, other)


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 12_345])
def test_thinning_keeps_the_ends_and_the_order(count):
    values = [float(value) for value in range(count)]
    thin = checkpoints.thinned(values)
    assert len(thin) == min(count, 500)
    assert list(thin) == sorted(set(thin))
    if values:
        assert (thin[0], thin[-1]) == (values[0], values[-1])


# Who is at work


def a_process_that_died(folder: Path, epoch: int) -> None:
    """As one that was killed would have left it."""
    script = (
        "import sys; from pathlib import Path; from core.transfer import attempts\n"
        "attempts.begin(Path(sys.argv[1]), 32, int(sys.argv[2]))"
    )
    subprocess.run([sys.executable, "-c", script, str(folder), str(epoch)], check=True, cwd=Path(__file__).parents[3])


def test_who_is_killed_once_is_followed_with_as_many_photos(tmp_path):
    for epoch in (0, 1, 3):
        a_process_that_died(tmp_path, epoch)
        assert attempts.read(tmp_path).deaths == bool(epoch)
        assert not attempts.at_work(tmp_path)
    attempt, halved = attempts.begin(tmp_path, 32, 4)
    assert (attempt.batch_size, halved) == (32, False)
    attempts.end(tmp_path, attempt, 32)
    assert attempts.read(tmp_path) is None


def test_who_is_killed_twice_in_one_epoch_is_followed_with_half_as_many(tmp_path):
    a_process_that_died(tmp_path, 2)
    a_process_that_died(tmp_path, 2)
    attempt, halved = attempts.begin(tmp_path, 32, 2)
    assert (attempt.batch_size, attempt.deaths, halved) == (16, 0, True)
    attempts.end(tmp_path, attempt, 32)
    again, halved = attempts.begin(tmp_path, 32, 2)  # known to whoever goes on
    assert (again.batch_size, halved) == (16, False)
    attempts.forget(tmp_path)
    assert attempts.begin(tmp_path, 32, 2)[0].batch_size == 32


def test_a_living_process_is_at_work(tmp_path):
    attempts.begin(tmp_path, 32, 0)
    assert not attempts.at_work(tmp_path)  # it is this one
    facts = json.loads((tmp_path / attempts.NOTE).read_text())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        facts["process"] = list(attempts._identity(other.pid))
        (tmp_path / attempts.NOTE).write_text(json.dumps(facts))
        assert attempts.at_work(tmp_path)
        (tmp_path / attempts.NOTE).write_text(json.dumps({**facts, "process": [other.pid, 1.0]}))
        assert not attempts.at_work(tmp_path)  # its number has been given to another since
        (tmp_path / attempts.NOTE).write_text(json.dumps({**facts, "host": platform.node() + "2"}))
        assert not attempts.at_work(tmp_path)  # nobody knows
        other.stdin.close()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"batch_size": "many", "process": null}', '{"process": [1]}'])
def test_a_note_that_cannot_be_read_is_none(tmp_path, text):
    (tmp_path / attempts.NOTE).write_text(text)
    assert attempts.read(tmp_path) is None
    assert attempts.begin(tmp_path, 8, 0)[0].batch_size == 8
