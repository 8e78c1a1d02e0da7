import os
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from core.errors import TooLarge
from core.featurevis import tuning
from tests.core.tiny import tiny_backbone

ROOT = Path(__file__).parents[3]


def clock(times: dict, asked: list):
    def seconds(candidate):
        asked.append(candidate)
        if isinstance(times[candidate], Exception):
            raise times[candidate]
        return times[candidate]

    return seconds


def test_the_fastest_is_taken_and_timed_once():
    asked = []
    seconds = clock({"float32": 2.0, "bfloat16": 1.0}, asked)
    assert [tuning.fastest("key", ("float32", "bfloat16"), seconds) for _ in range(3)] == ["bfloat16"] * 3
    assert asked == ["float32", "bfloat16"]
    assert tuning.fastest("another key", ("float32", "bfloat16"), seconds) == "bfloat16"
    assert len(asked) == 4


def test_what_cannot_be_computed_is_left_out():
    seconds = clock({"float32": 2.0, "bfloat16": tf.errors.UnimplementedError(None, None, "no such kernel")}, [])
    assert tuning.fastest("key", ("float32", "bfloat16"), seconds) == "float32"


def test_another_process_knows_it_too(monkeypatch):
    tuning.remember("key", "bfloat16")
    monkeypatch.setattr(tuning, "_known", None)  # as a new process begins
    assert tuning.recall("key") == "bfloat16"
    assert tuning.fastest("key", ("float32", "bfloat16"), clock({}, [])) == "bfloat16"


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"key": 7}'])
def test_a_damaged_memory_is_no_obstacle(monkeypatch, damage):
    tuning.remember("key", "bfloat16")
    tuning._file().write_text(damage, encoding="utf-8")
    monkeypatch.setattr(tuning, "_known", None)
    assert tuning.fastest("key", ("a", "b"), clock({"a": 1.0, "b": 2.0}, [])) == "a"


def test_the_memory_is_bounded_and_the_oldest_go(monkeypatch):
    monkeypatch.setattr(tuning, "_KEPT", 5)
    for number in range(8):
        tuning.remember(f"key {number}", number)
    assert [tuning.recall(f"key {number}") for number in range(8)] == [None, None, None, 3, 4, 5, 6, 7]


def test_what_is_asked_for_is_not_timed():
    backbone = tiny_backbone()
    for asked in ("float32", "bfloat16"):
        assert tuning.precision(backbone, "conv2", asked, clock({}, [])) == asked


def test_a_processor_without_bfloat16_does_not_try_it(monkeypatch):
    monkeypatch.setattr(tuning, "has_bfloat16", lambda: False)
    assert tuning.precision(tiny_backbone(), "conv2", "auto", clock({}, [])) == "float32"


@pytest.mark.parametrize(("images", "batch"), [(1, 1), (2, 2), (3, 4), (8, 8), (500, 8)])
def test_a_batch_is_a_power_of_two(images, batch):
    assert tuning.batch(tiny_backbone(), "conv2", 64, 1000, images) == batch


def test_a_batch_fits_into_the_memory_that_is_free(monkeypatch):
    class Memory:
        available = 24 * 10**9

    monkeypatch.setattr(tuning.psutil, "virtual_memory", Memory)
    assert tuning.batch(tiny_backbone(), "conv2", 64, 4 * 10**8, 64) == 4
    assert tuning.batch(tiny_backbone(), "conv2", 64, 10**12, 64) == 1


def test_a_batch_fits_into_what_the_worker_may_have(monkeypatch):
    own = tuning.psutil.Process().memory_info().rss
    monkeypatch.setenv("LAYERSCOPE_LIMIT", str(own + 10**9))
    assert tuning.batch(tiny_backbone(), "conv2", 64, 10**7, 64) in (4, 8)  # 8.3, less what was taken meanwhile
    monkeypatch.setenv("LAYERSCOPE_LIMIT", str(own // 2))  # more than it may is taken already
    assert tuning.batch(tiny_backbone(), "conv2", 64, 10**7, 64) == 1


def test_a_batch_that_was_too_large_is_not_tried_again():
    backbone = tiny_backbone()
    tuning.too_large(backbone, "conv2", 64, 8)
    assert tuning.batch(backbone, "conv2", 64, 1000, 64) == 4
    assert tuning.batch(backbone, "conv1", 64, 1000, 64) == 8
    assert tuning.batch(backbone, "conv2", 32, 1000, 64) == 8


def halves_on_error(batch: int) -> None:
    with tuning.trying(tiny_backbone(), "conv2", 64, batch):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM")


def test_where_memory_runs_out_the_next_attempt_takes_half():
    with pytest.raises(TooLarge):
        halves_on_error(8)
    assert tuning.batch(tiny_backbone(), "conv2", 64, 1000, 64) == 4
    with pytest.raises(tf.errors.ResourceExhaustedError):
        halves_on_error(1)
    assert not list(tuning._file().parent.glob("trying*"))


DIES = """
import os, sys
sys.path.insert(0, os.getcwd())
from core.featurevis import tuning
from tests.core.tiny import tiny_backbone
print(tuning.batch(tiny_backbone(), "conv2", 64, 1000, 64), flush=True)
with tuning.trying(tiny_backbone(), "conv2", 64, 8):
    os._exit(9)
"""


def test_a_process_that_was_killed_for_its_memory_is_heard_of_once(monkeypatch):
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    dead = subprocess.run([sys.executable, "-c", DIES], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert dead.stdout == "8\n", dead.stderr
    assert tuning.batch(tiny_backbone(), "conv1", 64, 1000, 64) == 8
    # It was started by this process; a process that took its place would have been too.
    monkeypatch.setattr(tuning.os, "getppid", os.getpid)
    assert tuning.batch(tiny_backbone(), "conv2", 64, 1000, 64) == 4
    tuning.remember(tuning._key("batch", tiny_backbone(), "conv2", 64), None)
    assert tuning.batch(tiny_backbone(), "conv2", 64, 1000, 64) == 8


def test_one_that_was_stopped_with_the_whole_app_says_nothing_of_memory():
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, "-c", DIES], cwd=ROOT, env=environment, capture_output=True)
    assert tuning.batch(tiny_backbone(), "conv2", 64, 1000, 64) == 8
    assert not list(tuning._file().parent.glob("trying*/*"))


def test_while_another_process_is_still_at_it_nothing_is_concluded(monkeypatch):
    monkeypatch.setattr(tuning.os, "getppid", os.getpid)
    with tuning.trying(tiny_backbone(), "conv2", 64, 8):
        assert tuning.batch(tiny_backbone(), "conv2", 64, 1000, 64) == 8


def test_what_processes_learn_at_the_same_time_is_all_kept(monkeypatch):
    tuning.remember("mine", 1)
    monkeypatch.setattr(tuning, "_known", None)  # another process, which has not read what this one found
    tuning._known = tuning.OrderedDict()
    tuning.remember("theirs", 2)
    monkeypatch.setattr(tuning, "_known", None)
    assert [tuning.recall("mine"), tuning.recall("theirs")] == [1, 2]


def test_a_batchs_largest_array_is_one_that_is_not_mapped_anew():
    megabyte = 2**20
    sizes = [tuning.batch(tiny_backbone(), "conv2", 64, 1000, 64, largest_bytes=n * megabyte) for n in (1, 5, 12, 99)]
    assert sizes == [8, 4, 2, 1]


def test_xla_is_tried_on_a_gpu_alone_and_left_where_it_cannot_compile(monkeypatch):
    backbone, asked = tiny_backbone(), []
    assert tuning.xla(backbone, "conv2", "fast", "float32", clock({}, asked)) is False
    assert asked == []
    monkeypatch.setattr(tuning, "device_kind", lambda: "GPU")
    assert tuning.xla(backbone, "conv2", "fast", "float32", clock({False: 2.0, True: 1.0}, asked)) is True
    assert tuning.xla(backbone, "conv2", "fast", "float32", clock({}, asked)) is True  # remembered
    cannot = clock({False: 2.0, True: tf.errors.InvalidArgumentError(None, None, "no such kernel")}, asked)
    assert tuning.xla(backbone, "conv2", "lucid", "float32", cannot) is False
    assert asked == [False, True, False, True]
