"""PyTorch's old checkpoints, which are pickles, and so programs."""

from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.hostile import Case

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


class _Named:
    """Pickled as a name alone."""

    def __init__(self, module: str, name: str, arguments: tuple | None = None):
        self.module, self.name, self.arguments = module, name, arguments


class _Storage:
    def __init__(self, key: str, count: int, kind: str = "FloatStorage"):
        self.key, self.count, self.kind = key, count, kind


class _Pickler(pickle._Pickler):
    """The one in Python, which can be told to write a name that is not there."""

    def persistent_id(self, value: object) -> tuple | None:
        if isinstance(value, _Storage):
            return ("storage", _Named("torch", value.kind), value.key, "cpu", value.count, None)
        return None

    def save(self, value: object, save_persistent_id: bool = True) -> None:
        if not isinstance(value, _Named):
            super().save(value, save_persistent_id)
            return
        self.write(b"c" + value.module.encode() + b"\n" + value.name.encode() + b"\n")
        if value.arguments is not None:
            super().save(value.arguments)
            self.write(b"R")


def pickled(value: object) -> bytes:
    file = io.BytesIO()
    _Pickler(file, 2).dump(value)
    return file.getvalue()


def tensor(storage: _Storage, offset: int, shape: tuple, strides: tuple) -> _Named:
    arguments = (storage, offset, shape, strides, False, OrderedDict())
    return _Named("torch._utils", "_rebuild_tensor_v2", arguments)


def checkpoint(state: object, keys: object, values: bytes, magic: object = MAGIC) -> bytes:
    return b"".join(map(pickled, (magic, PROTOCOL, {"little_endian": True}, state, keys))) + values


def plain() -> bytes:
    numbers = np.arange(6, dtype="<f4")
    state = OrderedDict(weight=tensor(_Storage("0", 6), 0, (2, 3), (3, 1)))
    return checkpoint(state, ["0"], struct.pack("<q", 6) + numbers.tobytes())


def cases(canary: Path) -> Iterator[Case]:
    command, values = f"touch {canary}", struct.pack("<q", 6) + bytes(24)
    yield Case("plain numbers", "weights.pth", plain(), "1 tensor", read=True)
    states = {
        "os.system": _Named("os", "system", (command,)),
        "exec": _Named("builtins", "exec", (f"open({str(canary)!r}, 'w')",)),
        "a module that is only named": _Named("antigravity", "geohash"),
        "a name with points": _Named("collections", "OrderedDict.__init__.__globals__"),
        "a class of PyTorch": _Named("torch.nn", "Module", ()),
        "a list": [1, 2],
        "numbers without a tensor": OrderedDict(weight=3),
        "a storage without a tensor": OrderedDict(weight=_Storage("0", 6)),
        "a tensor beyond its storage": OrderedDict(weight=tensor(_Storage("0", 6), 3, (2, 3), (3, 1))),
        "a tensor before its storage": OrderedDict(weight=tensor(_Storage("0", 6), -3, (2, 3), (3, 1))),
        "a tensor of 2⁶⁰ numbers": OrderedDict(weight=tensor(_Storage("0", 6), 0, (2**30, 2**30), (0, 0))),
        "a storage of 2³⁰ numbers": OrderedDict(weight=tensor(_Storage("0", 2**30), 0, (2, 3), (3, 1))),
        "a storage of fewer than no numbers": OrderedDict(weight=tensor(_Storage("0", -6), 0, (2, 3), (3, 1))),
        "a storage of Python": OrderedDict(weight=tensor(_Storage("0", 6, "UntypedStorage"), 0, (2, 3), (3, 1))),
        "10⁵ axes": OrderedDict(weight=tensor(_Storage("0", 6), 0, (1,) * 10**5, (0,) * 10**5)),
        "one storage in 1,000 tensors": OrderedDict(
            {str(n): tensor(_Storage("0", 6), 0, (2, 3), (3, 1)) for n in range(1000)}
        ),
    }
    for name, state in states.items():
        yield Case(name, "weights.pth", checkpoint(state, ["0"], values), "nothing in it was executed")
    beginning, rest = checkpoint(0, 0, b"").partition(pickled(0))[0], pickled(["0"]) + values
    tuples = b"\x80\x02})" + b"q\0h\0\x86" * 60 + b"Ns."
    yield Case("tuples in tuples as a key", "weights.pth", beginning + tuples + rest, "nothing in it was executed")
    good = pickled(OrderedDict(weight=tensor(_Storage("0", 6), 0, (2, 3), (3, 1))))
    change = b"}(X\x07\0\0\0stridesJ\0\0\0\x80\x85X\x05\0\0\0shapeK\x02\x85ub"
    assert good.count(b"Rs") == 1
    data = beginning + good.replace(b"Rs", b"R" + change + b"s") + rest
    yield Case("a tensor changed when it has been checked", "weights.pth", data, "1 tensor", read=True)
    for name, data in {
        "nothing": b"",
        "a text": b"hello",
        "a pickle alone": pickle.dumps({}),
        "a stream that never ends": b"\x80\x02" + b"(" * 10**6,
        "a string of 2⁶³ bytes": b"\x80\x04\x8d" + struct.pack("<Q", 2**63 - 1),
        "bytes of 2 GB": b"\x80\x03B" + struct.pack("<I", 2**31 - 1),
        "a place of 2³² in its memory": b"\x80\x02Nr" + b"\xff\xff\xff\x7f" + b".",
        "a number of a million digits": b"I" + b"9" * 10**6 + b"\n.",
        "a list in itself": b"\x80\x02]q\0h\0a.",
        "deep nesting": b"\x80\x02" + b"]" * 10**5 + b"a" * (10**5 - 1) + b".",
        "an extension by its number": b"\x80\x02\x82\x01.",
        "a billion laughs": b"]" + b"".join(b"p%d\n(" % n + b"g%d\n" % n * 10 + b"l" for n in range(9)) + b".",
        "another beginning": checkpoint(OrderedDict(), [], b"", magic=1),
        "its end missing": plain()[:-4],
        "a wrong number of values": plain()[:-32] + struct.pack("<q", 7) + bytes(28),
        "a ZIP": b"PK\x03\x04" + bytes(99),
    }.items():
        yield Case(name, "weights.pth", data, "nothing in it was executed")
