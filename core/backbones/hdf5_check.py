"""An HDF5 file looked through without loading it: no links to elsewhere, no data that is only declared.

All that is not plain numbers in a row is read once, in a process apart: who reads it afterwards does not hang on it.
"""

from __future__ import annotations

import json
import math
import signal
import sys
from pathlib import Path
from typing import Any

import h5py

from core.backbones import apart
from core.errors import UserError

_MAX_OVERHEAD_BYTES = 64 * 1024**2  # what is neither values nor padding
_SECONDS = 8.0
_BYTES_PER_SECOND = 20e6  # of a slow disk
_MAX_OBJECTS = 100_000
_MAX_TEXT_BYTES = 64 * 1024**2
_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}  # others may be plug-ins
_LEFT_OUT = ("/optimizer", "/model_weights/top_level_model_weights")


def check(path: Path, name: str, *, vectors_of_text: bool) -> int:
    """Look through the HDF5 file at `path`; returns how many numbers are stored in it, the optimiser's left out.

    `vectors_of_text` allows attributes that are lists of strings, which whole models in HDF5 need. Raises `UserError`
    with `name` in its sentence where the file is refused.
    """
    size = path.stat().st_size
    seconds = _SECONDS + size / _BYTES_PER_SECOND
    question = {"path": str(path.resolve()), "vectors_of_text": vectors_of_text, "seconds": math.ceil(seconds)}
    try:
        answer = apart.ask(question, seconds)
    except apart.NoAnswer:
        answer = {}
    if "suspicious" in answer:
        raise UserError(f"{name} is refused: {answer['suspicious']}; save the model again with Keras.")
    if "elements" not in answer:
        raise UserError(f"{name} is damaged: the weights in it cannot be read; copy it again from where it is whole.")
    if size - answer["stored"] > _MAX_OVERHEAD_BYTES:
        raise UserError(
            f"{name} is refused: most of it is neither a model nor weights; save the model again with Keras."
        )
    return answer["elements"]


def serve() -> None:
    """Answers the questions on standard input, a line each, until that closes: in a process of its own."""
    print("{}", flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        if hasattr(signal, "alarm"):  # the end, also where nobody is left to end it
            signal.alarm(question["seconds"] + 5)
        print(json.dumps(_answer(question["path"], question["vectors_of_text"])), flush=True)
        if hasattr(signal, "alarm"):
            signal.alarm(0)


def _answer(path: str, vectors_of_text: bool) -> dict[str, Any]:
    try:
        with h5py.File(path, "r") as file:
            elements, stored = _count_values(file, vectors_of_text)
    except _Suspicious as error:
        return {"suspicious": str(error)}
    except Exception:  # HDF5's library reports damage by many kinds of errors
        return {}
    return {"elements": elements, "stored": stored}


class _Suspicious(Exception):
    """What is wrong with an HDF5 file, as the end of a sentence."""


def _count_values(file: h5py.File, vectors_of_text: bool) -> tuple[int, int]:
    """The numbers in `file`, and the bytes that they take in it."""
    elements = stored = 0
    seen: set[Any] = set()
    stack: list[tuple[str, Any]] = [("", file["/"])]
    while stack:
        path, item = stack.pop()
        address = h5py.h5o.get_info(item.id).addr
        if address in seen:
            raise _Suspicious("one object in it has several names")
        seen.add(address)
        if len(seen) > _MAX_OBJECTS:
            raise _Suspicious(f"it holds more than {_MAX_OBJECTS:,} objects")
        _check_attributes(item, vectors_of_text)
        if isinstance(item, h5py.Dataset):
            _check_dataset(item)
            stored += item.id.get_storage_size()
            elements += 0 if path.startswith(_LEFT_OUT) else math.prod(item.shape)
            continue
        for key in item:
            if type(item.get(key, getlink=True)) is not h5py.HardLink:
                raise _Suspicious("it refers to other places or files")
            stack.append((f"{path}/{key}", item[key]))
    return elements, stored


def _check_dataset(dataset: Any) -> None:
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise _Suspicious("it refers to data in other files")
    filters = dataset.id.get_create_plist()
    if any(filters.get_filter(place)[0] not in _FILTERS for place in range(filters.get_nfilters())):
        raise _Suspicious("its weights are packed in an unusual way")
    if dataset.shape is None or dataset.dtype.kind not in "fiub":
        raise _Suspicious("it holds something else than numbers")
    declared = math.prod(dataset.shape) * dataset.dtype.itemsize
    chunk = math.prod(dataset.chunks or (1,)) * dataset.dtype.itemsize
    if max(declared, chunk) > 4 * dataset.id.get_storage_size() + 4096:
        raise _Suspicious(f"it declares {declared:,} bytes of weights that are not in it")
    if dataset.chunks is not None:
        for part in dataset.iter_chunks():
            dataset[part]


def _check_attributes(item: Any, vectors_of_text: bool) -> None:
    for name in item.attrs:
        attribute = item.attrs.get_id(name)
        kind, shape = attribute.dtype.kind, attribute.shape
        is_text = kind == "O"
        if is_text and shape not in ((), None) and not (vectors_of_text and len(shape) == 1):
            raise _Suspicious("an attribute in it is no plain text")
        if not is_text and kind not in "fiubS":
            raise _Suspicious("an attribute in it is neither text nor a number")
        if math.prod(shape or ()) * attribute.dtype.itemsize > _MAX_TEXT_BYTES:
            raise _Suspicious("an attribute in it is too large")
        item.attrs[name]
