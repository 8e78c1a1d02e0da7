import pytest
import tensorflow as tf

from core.featurevis import tuning
from tests.core.tiny import tiny_backbone


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


def test_a_batch_that_was_too_large_is_not_tried_again():
    backbone = tiny_backbone()
    tuning.too_large(backbone, "conv2", 64, 8)
    assert tuning.batch(backbone, "conv2", 64, 1000, 64) == 4
    assert tuning.batch(backbone, "conv1", 64, 1000, 64) == 8
    assert tuning.batch(backbone, "conv2", 32, 1000, 64) == 8
