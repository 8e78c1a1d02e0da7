"""Finished drawings, kept on disk for everyone: what has been drawn once is there at once, after a restart too.

One file a request, `.npz` without pickle: the plain fields of the result as JSON, its pictures as they are. A file that
is broken, half or somebody else's counts as none and is removed. The disk holds at most `LAYERSCOPE_DRAWINGS` of them
("500MB"; 1 GiB where it is not set, "0" keeps none); those that were used longest ago go first.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import io
import json
import logging
import math
import os
import types
import typing
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from dask.utils import parse_bytes

from core import storage
from core.backbones import catalogue
from core.errors import UserError
from core.featurevis.recipes import RECIPES
from core.messages import (
    Dream,
    DreamRequest,
    Faces,
    FacesRequest,
    ModelRef,
    Mosaic,
    Portrait,
    PortraitRequest,
    RenderRequest,
    digest_of,
)

log = logging.getLogger(__name__)

Request = RenderRequest | PortraitRequest | FacesRequest | DreamRequest
Drawing = Mosaic | Portrait | Faces | Dream

# Raise this with every change of what a request looks like when drawn, or the drawings of the version before would be
# found for ever. The methods' own numbers, which a request may leave to them, are part of a drawing's name anyway.
VERSION = 2

RESULTS: dict[type, type] = {RenderRequest: Mosaic, PortraitRequest: Portrait, FacesRequest: Faces, DreamRequest: Dream}
DEFAULT_BYTES = 1024**3
LARGEST_DRAWING = 256 * 1024**2
_LARGEST_MODEL = 4 * 1024**3
_NPY_VERSION = (1, 0)
_CHUNK = 1 << 20


def find(request: Request) -> Drawing | None:
    """What was kept for an equal request to the same model, exactly; else `None`. Never raises."""
    key = _key(request)
    if key is None or not _most_bytes():
        return None
    try:
        path = _path(key)
    except (UserError, OSError):
        return None
    try:
        if not path.is_file():
            return None
        found = _decode(*_read(path), key, RESULTS[type(request)])
    except Exception:  # what a broken file makes its readers stumble over has many names
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    return found


def keep(request: Request, result: Drawing) -> None:
    """Keep the finished `result` of `request`. Where the disk does not allow it, it is not kept, and that is all."""
    key = _key(request)
    if key is not None:
        _keep(key, RESULTS[type(request)], result)


def kept(draw: Callable[[Any], Iterator[Any]]) -> Callable[[Any], Iterator[Any]]:
    """Decorates a generator `draw(request)`: yields the kept drawing alone where there is one, else draws and keeps."""

    @functools.wraps(draw)
    def find_or_draw(request: Request) -> Iterator[Any]:
        found = find(request)
        if found is not None:
            yield found
            return
        key = _key(request)  # of the model as it is now; its file may have changed when the drawing is done
        snapshot = None
        with contextlib.closing(draw(request)) as snapshots:
            for snapshot in snapshots:
                yield snapshot
        if key is not None:
            _keep(key, RESULTS[type(request)], snapshot)

    return find_or_draw


def _keep(key: str, kind: type, result: Any) -> None:
    if type(result) is not kind or result.png is None:
        return  # not finished
    most = _most_bytes()
    arrays = _encode(key, result)
    size = sum(array.nbytes for array in arrays.values())
    if size > min(most, LARGEST_DRAWING):
        return
    try:
        path = _path(key)
        storage.write_atomically(path, lambda temporary: np.savez(temporary, **arrays), needs=size)
        storage.trim(path.parent, most)
    except (UserError, OSError) as error:
        log.warning("A drawing is not kept: %s", error)


def _most_bytes() -> int:
    asked = os.environ.get("LAYERSCOPE_DRAWINGS")
    if not asked:
        return DEFAULT_BYTES
    try:
        return max(0, parse_bytes(asked))
    except ValueError:
        log.warning("LAYERSCOPE_DRAWINGS must be a size such as 500MB, not %r; 1 GiB is taken.", asked)
        return DEFAULT_BYTES


def _path(key: str) -> Path:
    return storage.folder("drawings") / f"{digest_of(key.encode())}.npz"


def _key(request: Request) -> str | None:
    """What must be equal for two drawings to be the same; `None` where the model cannot be found."""
    try:
        model, *contents = _identity(request.model)
    except (OSError, ValueError, RuntimeError):  # no such file, no such path, no such home
        return None
    recipe = RECIPES.get(getattr(request, "method", "lucid"))
    return f"{VERSION} {replace(request, model=model)!r} {recipe} {contents}"


def _identity(ref: ModelRef) -> tuple[ModelRef, str] | tuple[ModelRef]:
    """`ref` without folders, and the digest of its file: an equal file elsewhere, uploaded perhaps, is the same one.

    The file's name stays, because the drawing's `origin` says it.
    """
    try:
        name = catalogue.find(ref.name).name
    except UserError:
        own = replace(ref, name=Path(ref.name).name, weights="random" if ref.weights is None else None)
        return own, _digest_of_file(ref.name)
    if ref.weights in (None, "imagenet"):
        return (replace(ref, name=name),)
    return replace(ref, name=name, weights=Path(ref.weights).name), _digest_of_file(ref.weights)


def _digest_of_file(name: str) -> str:
    path = Path(name).expanduser().resolve()
    status = path.stat()
    if not path.is_file() or status.st_size > _LARGEST_MODEL:
        raise OSError(f"{path} is no model.")
    return _digest_of_contents(path, status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=256)
def _digest_of_contents(path: Path, _modified: int, _size: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _encode(key: str, result: Drawing) -> dict[str, np.ndarray]:
    """The members of the file: "drawing", JSON, in which each picture is its length; then the pictures in their order.

    The order of the fields, and with it that of the pictures, is that of the dataclasses.
    """
    pictures: list[bytes] = []

    def plain(value: Any) -> Any:
        if isinstance(value, bytes):
            pictures.append(value)
            return len(value)
        if isinstance(value, tuple):
            return [plain(each) for each in value]
        if isinstance(value, np.generic):
            return value.item()
        if dataclasses.is_dataclass(value):
            return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return value

    words = json.dumps({"key": key, "drawing": plain(result)}).encode()
    arrays = [np.array(bytearray(data), np.uint8) for data in (words, *pictures)]
    return dict(zip(_names(len(pictures)), arrays, strict=True))


def _names(pictures: int) -> list[str]:
    return ["drawing", *(f"picture_{index}" for index in range(pictures))]


def _read(path: Path) -> tuple[bytes, list[bytes]]:
    """The bytes of the JSON and of the pictures. Nothing is unpacked, so no more is read than the file has."""
    size = path.stat().st_size
    if size > LARGEST_DRAWING + _CHUNK:
        raise ValueError("The file is larger than any that was written here.")
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if [member.filename for member in members] != [f"{name}.npy" for name in _names(len(members) - 1)]:
            raise ValueError("The file has other members than those that were written here.")
        if sum(member.file_size for member in members) > size or any(
            member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size for member in members
        ):
            raise ValueError("The file states sizes that it cannot have.")
        words, *pictures = (_array_bytes(archive.read(member)) for member in members)
    return words, pictures


def _array_bytes(data: bytes) -> bytes:
    """What the `uint8[N]` array in a `.npy` file holds; its stated shape is checked before anything is made of it."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version != _NPY_VERSION:
        raise ValueError(f"An array of version {version} was not written here.")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    content = data[file.tell() :]
    if dtype != np.uint8 or shape != (len(content),):
        raise ValueError(f"{dtype}{list(shape)} is not what {len(content)} bytes hold.")
    return content


def _decode(words: bytes, pictures: list[bytes], key: str, kind: type) -> Drawing:
    # All NaN become one object, so that equal tuples of scores compare as equal.
    found = json.loads(words, parse_constant=lambda name: math.nan if name == "NaN" else float(name))
    if found["key"] != key:
        raise ValueError("The drawing is that of another request.")
    waiting = iter(pictures)
    drawing = _typed(kind, found["drawing"], waiting)
    if next(waiting, None) is not None:
        raise ValueError("There are more pictures than the drawing has.")
    return drawing


def _typed(kind: Any, value: Any, pictures: Iterator[bytes]) -> Any:
    """`value`, from JSON, as the annotation `kind` wants it; `ValueError` where it is anything else."""
    if isinstance(kind, types.UnionType):
        (wanted,) = (each for each in typing.get_args(kind) if each is not types.NoneType)
        return None if value is None else _typed(wanted, value, pictures)
    if typing.get_origin(kind) is tuple and type(value) is list:
        kinds = typing.get_args(kind)
        if kinds[-1] is Ellipsis:
            kinds = kinds[:1] * len(value)
        return tuple(_typed(each, part, pictures) for each, part in zip(kinds, value, strict=True))
    if dataclasses.is_dataclass(kind) and type(value) is dict:
        annotations = typing.get_type_hints(kind)
        names = [field.name for field in dataclasses.fields(kind)]
        if list(value) != names:
            raise ValueError(f"{kind.__name__} has other fields than the file.")
        return kind(**{name: _typed(annotations[name], value[name], pictures) for name in names})
    if kind is bytes and type(value) is int:
        picture = next(pictures, None)
        if picture is None or len(picture) != value:
            raise ValueError("A picture is missing or has another length.")
        return picture
    if type(value) is kind or (kind is float and type(value) is int):
        return value
    raise ValueError(f"{kind} was expected, not {type(value)}.")
