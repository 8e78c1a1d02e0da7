import io
import os
import pickle
import struct
import sys
import types
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from core.backbones.checkpoint import read_checkpoint
from core.errors import UserError

MAGIC = 0x1950A86A20F9469CFC6C


class FloatStorage:
    """Pickled by reference as torch.FloatStorage."""

    __module__ = "torch"
    __qualname__ = "FloatStorage"


def _rebuild_tensor_v2(*arguments):
    raise AssertionError("only its name is written")


_rebuild_tensor_v2.__module__ = "torch._utils"


class Storage:
    def __init__(self, key, values):
        self.key, self.values = key, np.ascontiguousarray(values, "<f4").ravel()


class Tensor:
    def __init__(self, storage, offset, shape, strides):
        self.arguments = storage, offset, shape, strides, False, OrderedDict()

    def __reduce__(self):
        return _rebuild_tensor_v2, self.arguments


class Pickler(pickle.Pickler):
    def persistent_id(self, item):
        if isinstance(item, Storage):
            return "storage", FloatStorage, item.key, "cpu", item.values.size, None
        return None


@pytest.fixture
def legacy(monkeypatch):
    """Writes a state dictionary as PyTorch did before its ZIP format, without PyTorch."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch.FloatStorage, torch._utils, utils._rebuild_tensor_v2 = FloatStorage, utils, _rebuild_tensor_v2

    def write(state, storages, magic=MAGIC):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "torch", torch)
            patch.setitem(sys.modules, "torch._utils", utils)
            stream = io.BytesIO()
            for item in (magic, 1001, {"little_endian": True}, state, [storage.key for storage in storages]):
                Pickler(stream, 2).dump(item)
        for storage in storages:
            stream.write(struct.pack("<q", storage.values.size) + storage.values.tobytes())
        return stream.getvalue()

    return write


def read(tmp_path, data):
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    return read_checkpoint(path)


def two_tensors(legacy):
    a, b = Storage("0", np.arange(6)), Storage("1", np.arange(100, 112))
    state = OrderedDict(
        whole=Tensor(a, 0, (2, 3), (3, 1)), turned=Tensor(b, 2, (2, 3), (1, 2)), one=Tensor(a, 5, (), ())
    )
    return legacy(state, [a, b])


def test_tensors_come_back_with_offsets_and_strides(tmp_path, legacy):
    arrays = read(tmp_path, two_tensors(legacy))
    assert list(arrays) == ["whole", "turned", "one"]
    np.testing.assert_array_equal(arrays["whole"], np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(arrays["turned"], [[102, 104, 106], [103, 105, 107]])
    assert arrays["one"] == 5
    assert arrays["whole"].dtype == np.float32


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [(0, (7,), (1,)), (6, (1,), (1,)), (0, (2, 3), (4, 1)), (0, (4, 4), (0, 0)), (-1, (2,), (1,)), (0, (2,), (-1,))],
)
def test_a_tensor_that_reaches_beyond_its_storage_is_refused(tmp_path, legacy, offset, shape, strides):
    storage = Storage("0", np.arange(6))
    with pytest.raises(UserError):
        read(tmp_path, legacy(OrderedDict(x=Tensor(storage, offset, shape, strides)), [storage]))


def test_every_truncation_is_refused(tmp_path, legacy):
    data = two_tensors(legacy)
    for length in range(len(data)):
        with pytest.raises(UserError):
            read(tmp_path, data[:length])


class Touch:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("call", ["system", "eval", "open", "getattr"])
def test_nothing_in_the_file_is_executed(tmp_path, call, place):
    canary = tmp_path / "canary"
    hostile = {
        "system": Touch(os.system, f"touch {canary}"),
        "eval": Touch(eval, f"open({str(canary)!r}, 'w')"),
        "open": Touch(open, str(canary), "w"),
        "getattr": Touch(getattr, Path(canary), "touch"),
    }[call]
    items = [MAGIC, 1001, {}, OrderedDict(), []]
    items[place] = hostile
    with pytest.raises(UserError, match="nothing in it was executed"):
        read(tmp_path, b"".join(pickle.dumps(item, 2) for item in items))
    assert not canary.exists()
    # The same pickle in the standard unpickler does what it says, so the canary can sing.
    if call != "getattr":
        pickle.loads(pickle.dumps(hostile, 2))
        assert canary.exists()


def test_damaged_bytes_give_arrays_or_a_refusal(tmp_path, legacy):
    data = two_tensors(legacy)
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(data)
        for position in rng.integers(0, len(data), 3):
            damaged[position] = rng.integers(0, 256)
        try:
            arrays = read(tmp_path, bytes(damaged))
        except UserError:
            continue
        assert all(isinstance(array, np.ndarray) for array in arrays.values())


def test_the_checksum_is_held(tmp_path, legacy):
    path = tmp_path / "weights.pth"
    path.write_bytes(two_tensors(legacy))
    with pytest.raises(UserError, match="checksum"):
        read_checkpoint(path, "0" * 64)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"absent\.pth"):
        read_checkpoint(tmp_path / "absent.pth")
