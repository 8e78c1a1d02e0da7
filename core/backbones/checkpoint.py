"""Reads a checkpoint in PyTorch's legacy format without PyTorch, and without running anything that is in it.

The format (`torch.serialization._legacy_save`) is five pickles one after the other (magic number, protocol version,
system information, the state dictionary, the keys of the storages), then for each key the number of its elements as an
int64 and their raw little-endian values. A state dictionary needs two callables and one kind of persistent id; here the
unpickler knows exactly these, and refuses every other name.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import struct
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import UserError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
_MAX_ELEMENTS = 2**31


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype
    count: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Refused(Exception):
    """The file is not what it should be; the text says in what, for the log."""


def _tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, requires_grad: Any = False, hooks: Any = None
) -> _Tensor:
    """What stands in for `torch._utils._rebuild_tensor_v2`: it notes what is to be read, once the values are there."""
    numbers = [offset, *shape, *strides]
    if not isinstance(storage, _Storage) or not all(type(n) is int and 0 <= n <= _MAX_ELEMENTS for n in numbers):
        raise _Refused("a tensor's description is malformed")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
    """Knows the two callables of a state dictionary; every other name is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise _Refused(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        match pid:
            case ("storage", np.dtype() as dtype, str(key), str(), int(count), None) if 0 <= count <= _MAX_ELEMENTS:
                return _Storage(key, dtype, count)
        raise _Refused("a persistent id is not a storage")


def _read_storages(stream: io.BytesIO, keys: list[str], wanted: dict[str, _Storage]) -> dict[str, np.ndarray]:
    values = {}
    for key in keys:
        storage = wanted.get(key)
        header = stream.read(8)
        if storage is None or len(header) != 8 or struct.unpack("<q", header)[0] != storage.count:
            raise _Refused("a storage's length does not agree with its description")
        data = stream.read(storage.count * storage.dtype.itemsize)
        if len(data) != storage.count * storage.dtype.itemsize:
            raise _Refused("it ends too early")
        values[key] = np.frombuffer(data, storage.dtype)
    return values


def _array(tensor: _Tensor, values: dict[str, np.ndarray]) -> np.ndarray:
    """The strided view that `tensor` describes, copied; checked first, because NumPy would read beyond the storage."""
    flat = values.get(tensor.storage.key)
    if flat is None or len(tensor.shape) != len(tensor.strides):
        raise _Refused("a tensor has no storage")
    last = tensor.offset + sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True))
    if any(n == 0 for n in tensor.shape) or last >= flat.size or np.prod(tensor.shape, dtype=object) > flat.size:
        raise _Refused("a tensor reaches beyond its storage")
    byte_strides = [stride * flat.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, byte_strides).copy()


def _parse(data: bytes) -> dict[str, np.ndarray]:
    stream = io.BytesIO(data)
    magic, protocol, _, state, keys = (_Unpickler(stream).load() for _ in range(5))
    if magic != _MAGIC or protocol != _PROTOCOL:
        raise _Refused("it does not begin as such a file does")
    if not isinstance(state, OrderedDict) or not isinstance(keys, list):
        raise _Refused("it does not hold a state dictionary")
    if not all(isinstance(name, str) and isinstance(tensor, _Tensor) for name, tensor in state.items()):
        raise _Refused("its state dictionary holds something else than tensors")
    storages = {tensor.storage.key: tensor.storage for tensor in state.values()}
    values = _read_storages(stream, keys, storages)
    return {name: _array(tensor, values) for name, tensor in state.items()}


def read_checkpoint(path: Path, sha256: str | None = None) -> dict[str, np.ndarray]:
    """The arrays of the checkpoint at `path`, by name; `float32` or `int64`, in PyTorch's order of axes.

    With `sha256` (hexadecimal) the file must have that checksum. Nothing in the file is executed. Raises `UserError`
    where the file is missing, damaged, or anything else than a state dictionary.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"The file of weights {Path(path).name} cannot be read: {error.strerror or error}.") from error
    if sha256 is not None and hashlib.sha256(data).hexdigest() != sha256:
        raise UserError(
            f"The file of weights {Path(path).name} is damaged or another one than expected (its checksum differs): "
            "install it again."
        )
    try:
        return _parse(data)
    # A hostile pickle can make the unpickler raise nearly anything; all of it means the same to a person.
    except Exception as error:
        raise UserError(
            f"The file {Path(path).name} is not a PyTorch checkpoint of plain tensors, or it is damaged; "
            "nothing in it was executed."
        ) from error
