"""Reads a checkpoint in PyTorch's legacy format without PyTorch, and without unpickling anything.

The format (`torch.serialization._legacy_save`) is five pickles one after the other (magic number, protocol version,
system information, the state dictionary, the keys of the storages), then for each key the number of its elements as an
int64 and their raw little-endian values. A pickle is a program for a small machine with a stack and a memory. Python's
own machine can be made to call whatever a file names, to take all memory with one number, or to change what it has
already checked; the one here has only the steps that a state dictionary needs, on values of its own.
"""

from __future__ import annotations

import hashlib
import io
import math
import pickletools
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import UserError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
_MAX_ELEMENTS = 2**31
_MARK = object()
_ORDERED, _REBUILD = "collections OrderedDict", "torch._utils _rebuild_tensor_v2"
_STORAGES = {f"torch {name}": dtype for name, dtype in _DTYPES.items()}
_VALUES = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": (), "MARK": _MARK}
_NUMBERS_AND_TEXTS = {"BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True)
class _Name:
    """A name that the pickle gives, one of those that are known here."""

    name: str


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

    @property
    def size(self) -> int:
        return math.prod(self.shape)


class _Refused(Exception):
    """The file is not what it should be; the text says in what, for the log."""


class _Machine:
    """Runs one pickle, step by step."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memory: dict[int, Any] = {}

    def run(self, stream: io.BytesIO) -> Any:
        for opcode, argument, _ in pickletools.genops(stream):
            self.step(opcode.name, argument)
        (value,) = self.stack
        return value

    def step(self, name: str, argument: Any) -> None:
        push, pop = self.stack.append, self.stack.pop
        if name in _VALUES:
            push(_VALUES[name])
        elif name in _NUMBERS_AND_TEXTS:
            push(argument)
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memory[argument] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            push(self.memory[argument])
        elif name == "EMPTY_DICT":
            push({})
        elif name == "EMPTY_LIST":
            push([])
        elif name == "TUPLE":
            push(tuple(self.above_mark()))
        elif name in _TUPLES:
            push(tuple(reversed([pop() for _ in range(_TUPLES[name])])))
        elif name == "APPEND":
            self.extend([pop()])
        elif name == "APPENDS":
            self.extend(self.above_mark())
        elif name == "SETITEM":
            value, key = pop(), pop()
            self.update([key, value])
        elif name == "SETITEMS":
            self.update(self.above_mark())
        elif name == "GLOBAL":
            push(_known(argument))
        elif name == "BINPERSID":
            push(_storage(pop()))
        elif name == "REDUCE":
            arguments, called = pop(), pop()
            push(_called(called, arguments))
        elif name == "BUILD":
            pop()  # what a state dictionary notes of PyTorch's versions
        elif name not in ("PROTO", "STOP"):
            raise _Refused(f"it takes the step {name}")

    def above_mark(self) -> list[Any]:
        values = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def extend(self, values: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise _Refused("something is appended to no list")
        self.stack[-1].extend(values)

    def update(self, values: list[Any]) -> None:
        # Texts alone: to look up a tuple in tuples in tuples can take for ever.
        if type(self.stack[-1]) is not dict or not all(type(key) is str for key in values[::2]):
            raise _Refused("something is no dictionary of names")
        self.stack[-1].update(zip(values[::2], values[1::2], strict=True))


def _known(name: str) -> _Name:
    if name not in {_ORDERED, _REBUILD, *_STORAGES}:
        raise _Refused(f"it names {name}")
    return _Name(name)


def _called(called: Any, arguments: Any) -> Any:
    """What stands in for `OrderedDict()`, and for `_rebuild_tensor_v2`, which notes what is to be read later."""
    if called == _Name(_ORDERED) and arguments == ():
        return {}
    if called != _Name(_REBUILD) or type(arguments) is not tuple or len(arguments) not in (4, 5, 6):
        raise _Refused("it calls something else")
    storage, offset, shape, strides = arguments[:4]
    if type(storage) is not _Storage or type(shape) is not tuple or type(strides) is not tuple:
        raise _Refused("a tensor's description is malformed")
    if not all(type(number) is int and 0 <= number <= _MAX_ELEMENTS for number in (offset, *shape, *strides)):
        raise _Refused("a tensor's description is malformed")
    return _Tensor(storage, offset, shape, strides)


def _storage(described: Any) -> _Storage:
    match described:
        case ("storage", _Name(name), str(key), str(), int(count), None) if name in _STORAGES:
            if 0 <= count <= _MAX_ELEMENTS:
                return _Storage(key, _STORAGES[name], count)
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
    if any(n == 0 for n in tensor.shape) or last >= flat.size or tensor.size > flat.size:
        raise _Refused("a tensor reaches beyond its storage")
    byte_strides = [stride * flat.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, byte_strides).copy()


def _parse(data: bytes) -> dict[str, np.ndarray]:
    stream = io.BytesIO(data)
    magic, protocol, _, state, keys = (_Machine().run(stream) for _ in range(5))
    if magic != _MAGIC or protocol != _PROTOCOL:
        raise _Refused("it does not begin as such a file does")
    if type(state) is not dict or type(keys) is not list or not all(type(key) is str for key in keys):
        raise _Refused("it does not hold a state dictionary")
    if not all(type(tensor) is _Tensor for tensor in state.values()):
        raise _Refused("its state dictionary holds something else than tensors")
    storages = {tensor.storage.key: tensor.storage for tensor in state.values()}
    values = _read_storages(stream, keys, storages)
    if sum(tensor.size for tensor in state.values()) > 2 * sum(each.size for each in values.values()):
        raise _Refused("its tensors are larger than what is stored")
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
