"""No weight of a person's network stays as chance has made it, and none is drawn that the file brings."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers as L

from core import storage
from core.backbones import filling, imported, limits, private_copy
from core.errors import UserError
from tests.core.backbones import hostile


def nested():
    image, outer = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    body = keras.Sequential([L.Conv2D(4, 3), L.BatchNormalization()])
    inner = keras.Model(image, body(L.Normalization()(image)), name="inner")
    return keras.Model(outer, L.Dense(2)(L.Flatten()(L.add([inner(outer), inner(outer)]))))


def shared():
    numbers = keras.Input((8,))
    dense = L.Dense(8)
    return keras.Model(numbers, L.Dense(2)(dense(dense(numbers))))


def in_steps():
    steps = keras.Input((6, 4))
    x = L.Bidirectional(L.LSTM(3, return_sequences=True))(steps)
    x = L.TimeDistributed(keras.Sequential([L.Dense(5), L.Dropout(0.5)]))(x)
    x = L.MultiHeadAttention(2, 3)(x, x)
    x = L.RNN([L.LSTMCell(3), L.GRUCell(2)], return_sequences=True)(x)
    x = L.SpectralNormalization(L.Conv1D(3, 2))(x)
    return keras.Model(steps, L.Dense(2)(L.GlobalMaxPooling1D()(x)))


def saved(model: keras.Model, path: Path) -> list[np.ndarray]:
    """The weights of `model`, none of them as Keras would make it, once it is saved at `path`."""
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(1, 2, weight.shape) for weight in model.weights])
    model.save(path)
    return model.get_weights()


def stored(data: bytes) -> bytes:
    return hostile.members(data)["model.weights.h5"] if data[:2] == b"PK" else data


def with_stored(data: bytes, weights: bytes) -> bytes:
    return hostile.archive({**hostile.members(data), "model.weights.h5": weights}) if data[:2] == b"PK" else weights


@pytest.mark.filterwarnings("ignore:Skipping nested container")
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize(
    ("make", "every"),
    [(shared, 2), pytest.param(nested, 1, marks=pytest.mark.slow), pytest.param(in_steps, 1, marks=pytest.mark.slow)],
)
def test_without_any_one_of_its_groups_a_file_opens_with_its_own_weights_or_not_at_all(tmp_path, make, every, suffix):
    path = tmp_path / f"mine{suffix}"
    expected = saved(make(), path)
    data = path.read_bytes()
    names: list[str] = []
    with h5py.File(io.BytesIO(stored(data))) as file:
        file.visit(names.append)
    refused = 0
    for name in names[::every]:
        buffer = io.BytesIO(stored(data))
        with h5py.File(buffer, "r+") as file:
            del file[name]
            file["spare"] = np.ones(2000, np.float32)  # as many numbers as before, and more
        path.write_bytes(with_stored(data, buffer.getvalue()))
        try:
            found = imported.open_model(path).model.get_weights()
        except UserError as error:
            assert "damaged" in str(error)
            refused += 1
            continue
        assert all(map(np.array_equal, found, expected)), name
    assert refused > 2


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_weights_that_keras_passes_over_are_missed(tmp_path, suffix, monkeypatch):
    """Keras goes on where it does not find a group in a group; here it finds nothing for one layer."""
    path = tmp_path / f"mine{suffix}"
    saved(shared(), path)

    def load(model: keras.Model, file: str) -> None:
        model.layers[1].kernel.assign(np.ones((8, 8)))

    monkeypatch.setattr(keras.Model, "load_weights", load)
    with pytest.raises(UserError, match="3 of the 4 lists of weights that its model needs are not in it") as raised:
        imported.open_model(path)
    assert path.name in str(raised.value)


def test_what_is_no_weight_begins_as_its_layer_says_and_all_can_be_trained(tmp_path):
    path = tmp_path / "mine.keras"
    model = keras.Sequential([keras.Input((4,)), L.Dense(3), L.Dropout(0.5, seed=7), L.Dense(2)])
    expected = saved(model, path)
    opened = imported.open_model(path).model
    assert all(map(np.array_equal, opened.get_weights(), expected))
    np.testing.assert_array_equal(opened.layers[1].seed_generator.state, [7, 0])
    assert [weight.trainable for weight in opened.weights] == [weight.trainable for weight in model.weights]
    opened.weights[0].assign_add(np.ones((4, 3)))
    np.testing.assert_allclose(opened.weights[0], expected[0] + 1)
    assert opened.get_config()["layers"][1]["config"]["kernel_initializer"]["class_name"] == "GlorotUniform"


def orthogonal(path: Path) -> Path:
    model = keras.Sequential([keras.Input((8,)), L.Dense(8), L.Dense(2)])
    model.layers[0].kernel_initializer = keras.initializers.Orthogonal()
    model.save(path)
    return path


def test_nothing_is_drawn_that_the_file_brings(tmp_path, monkeypatch):
    path = orthogonal(tmp_path / "mine.h5")

    def draw(*_, **__):
        raise AssertionError

    monkeypatch.setattr(keras.initializers.Orthogonal, "__call__", draw)
    assert len(imported.open_model(path).model.get_weights()) == 4


def test_random_weights_that_would_take_minutes_are_refused_by_counting(tmp_path, monkeypatch):
    path = orthogonal(tmp_path / "mine.keras")
    assert np.abs(imported.open_model(path, trained=False).model.get_weights()[0]).max() > 0
    monkeypatch.setattr(filling, "_MAX_ORTHOGONAL", 8**3 - 1)
    with pytest.raises(UserError, match="would take minutes to draw"):
        imported.open_model(path, trained=False)
    imported.open_model(path)


# One and the same file


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_file_that_is_changed_between_checking_and_loading_is_read_as_it_was_checked(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"mine{suffix}"
    expected = saved(shared(), path)
    load = keras.Model.load_weights

    def changed_first(model: keras.Model, file: str) -> None:
        with path.open("r+b") as other:  # the same file on the disk, with another content
            other.write(bytes(path.stat().st_size))
        path.unlink()
        assert Path(file).parent.stat().st_mode & 0o077 == 0
        load(model, file)

    monkeypatch.setattr(keras.Model, "load_weights", changed_first)
    assert all(map(np.array_equal, imported.open_model(path).model.get_weights(), expected))


# Room


@pytest.fixture
def small_disk(tmp_path):
    """A file system of a megabyte and a half."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1536k,mode=700", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("known", [True, False])
def test_a_full_disk_is_called_a_full_disk(tmp_path, small_disk, monkeypatch, known):
    monkeypatch.setattr(private_copy.tempfile, "tempdir", str(small_disk))
    if not known:  # somebody else fills the disk while it is written
        monkeypatch.setattr(storage, "free_bytes", lambda _: 10**12)
    for suffix in (".keras", ".h5"):
        path = tmp_path / f"large{suffix}"
        saved(keras.Sequential([keras.Input((1000,)), L.Dense(600)]), path)
        with pytest.raises(UserError, match=f"not enough room on the disk to unpack {path.name}"):
            imported.open_model(path)
        assert list(small_disk.iterdir()) == []


def test_a_disk_without_room_for_old_names_is_called_a_full_disk(tmp_path, monkeypatch):
    path = tmp_path / "mine.keras"
    saved(shared(), path)

    def full(_):
        raise OSError("Can't write data (unable to extend file properly)")

    monkeypatch.setattr(imported, "_rename_old_groups", full)
    with pytest.raises(UserError, match="damaged"):
        imported.inspect(path)
    monkeypatch.setattr(private_copy, "is_full", lambda _: True)
    with pytest.raises(UserError, match="not enough room"):
        imported.inspect(path)


def test_where_nothing_can_be_written_that_is_said(tmp_path, monkeypatch):
    path = tmp_path / "mine.h5"
    saved(shared(), path)
    monkeypatch.setattr(private_copy.tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(UserError, match=r"mine\.h5 cannot be unpacked: no file can be written .*No such file"):
        imported.inspect(path)


# Limits


def test_bytes_are_counted_as_they_are(tmp_path, monkeypatch):
    for dtype, size in (("float64", 8), ("float32", 4), ("float16", 2)):
        path = tmp_path / f"{dtype}.keras"
        keras.Sequential([keras.Input((10,)), L.Dense(10, use_bias=False, dtype=dtype)]).save(path)
        monkeypatch.setattr(limits, "_MAX_WEIGHT_BYTES", 100 * size)
        imported.inspect(path)
        monkeypatch.setattr(limits, "_MAX_WEIGHT_BYTES", 100 * size - 1)
        with pytest.raises(UserError, match=f"100 parameters take {100 * size} bytes"):
            imported.inspect(path)


def stepwise(count, inner):
    steps = keras.Input((count, 4))
    return keras.Model(steps, L.Dense(2)(L.GlobalMaxPooling1D()(L.TimeDistributed(inner)(steps))))


def test_a_layer_that_is_called_at_each_of_many_steps_is_refused_by_counting(tmp_path):
    three = keras.Sequential([keras.Input((4,)), L.Dense(5), L.Dense(5), L.Dense(5)])
    twice = L.TimeDistributed(L.Dense(3))
    for place, (model, calls) in enumerate(
        [
            (stepwise(100_000, L.Dense(5)), "100,000"),
            (stepwise(10_000, three), "30,000"),
            (
                keras.Sequential([keras.Input((200, 200, 4)), L.TimeDistributed(twice), L.Flatten(), L.Dense(1)]),
                "40,000",
            ),
        ]
    ):
        path = tmp_path / f"{place}.h5"
        model.save(path)
        with pytest.raises(UserError, match=f"step by step, {calls} times for one image"):
            imported.inspect(path)
    stepwise(100, three).save(tmp_path / "few.keras")
    imported.inspect(tmp_path / "few.keras")


@pytest.mark.parametrize("data", [b"[]", b"5", b"null", b'"x"', b"", b"{", b"\xff", b"[" * 100_000])
def test_notes_that_are_no_notes_are_refused(tmp_path, data):
    path = tmp_path / "mine.keras"
    path.write_bytes(hostile.with_member("metadata.json", data))
    for door in (imported.inspect, lambda path: imported.write_facts(path, ["a"], None)):
        with pytest.raises(UserError, match=r"^mine\.keras is refused: the metadata\.json in it cannot be read"):
            door(path)


@pytest.mark.parametrize(
    "notes", [[], None, 5, "x", {"class_names": {"a": 1}, "input_size": "big"}, {"class_names": [1]}]
)
def test_strange_notes_of_ours_say_nothing(tmp_path, notes):
    path = tmp_path / "mine.keras"
    path.write_bytes(hostile.with_member("metadata.json", json.dumps({"layerscope": notes}).encode()))
    found = imported.examine(path).understood
    assert (found.class_names, found.input_size) == (None, (16, 16))
