"""An HDF5 file looked through without reading its values: no links to elsewhere, no data that is only declared."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py

from core.errors import UserError

_MAX_OVERHEAD_BYTES = 64 * 1024**2  # what is neither values nor padding
_MAX_OBJECTS = 100_000
_MAX_TEXT_BYTES = 64 * 1024**2
_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}  # others may be plug-ins
_LEFT_OUT = ("/optimizer", "/model_weights/top_level_model_weights")


def check(path: Path, name: str, *, vectors_of_text: bool) -> int:
    """Look through the HDF5 file at `path`; returns how many numbers are stored in it, the optimiser's left out.

    `vectors_of_text` allows attributes that are lists of strings, which whole models in HDF5 need. Raises `UserError`
    with `name` in its sentence where the file is refused.
    """
    try:
        with h5py.File(path, "r") as file:
            elements, stored = _count_values(file, vectors_of_text)
    except _Suspicious as error:
        raise UserError(f"{name} is refused: {error}; save the model again with Keras.") from error
    # HDF5's library reports damage by many kinds of errors.
    except Exception as error:
        raise UserError(
            f"{name} is damaged: the weights in it cannot be read; copy it again from where it is whole."
        ) from error
    if path.stat().st_size - stored > _MAX_OVERHEAD_BYTES:
        raise UserError(
            f"{name} is refused: most of it is neither a model nor weights; save the model again with Keras."
        )
    return elements


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
