"""The ZIP archive that a `.keras` file is, looked through before anything in it is unpacked."""

from __future__ import annotations

import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from core.backbones import mistaken, private_copy
from core.errors import UserError

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
MAX_CONFIG_BYTES = 16 * 1024**2

_MB = 1024**2
_MEMBERS = {CONFIG, METADATA, WEIGHTS}
_MAX_METADATA_BYTES = 1 * _MB
_MAX_VOCABULARY_BYTES = 16 * _MB
_MAX_VOCABULARIES = 40
_MAX_VOCABULARY_MEMBERS = 2 * _MAX_VOCABULARIES  # Keras writes a TextVectorization's words twice
_VOCABULARY = re.compile(r"assets((?:/layers/[A-Za-z0-9_]{1,80}){1,10})(?:/_lookup_layer)?/vocabulary\.txt")
_MAX_DIRECTORY_BYTES = 65_536
_HEAD_BYTES = 4096
_SYMLINK = 0o120000


@dataclass(frozen=True)
class Archive:
    """What is in a `.keras` file, the weights excepted. `vocabularies` are the words that its layers look up, by the
    path that Keras gives the layer ("layers/text_vectorization")."""

    config: bytes
    metadata: bytes
    vocabularies: dict[str, tuple[str, ...]]


def read(path: Path, name: str) -> Archive:
    """What the archive at `path` holds, once its directory is known to be harmless. `name` is for the sentence of the
    `UserError` that is raised where it is refused."""
    with _opened(path, name) as archive:
        return _read(archive, name)


def unpack(path: Path, target: Path, name: str) -> Archive:
    """`read`, and write the weights to `target`: of one and the same file, whatever becomes of `path` meanwhile."""
    with _opened(path, name) as archive:
        found = _read(archive, name)
        # Python's reader stops at the size that the directory states, and checks the CRC there.
        with archive.open(WEIGHTS) as source:
            private_copy.write(source, target, archive.getinfo(WEIGHTS).file_size, name)
            if source.read(1):
                raise zipfile.BadZipFile
        return found


def _read(archive: zipfile.ZipFile, name: str) -> Archive:
    members = archive.infolist()
    _check_members(name, members)
    return Archive(
        config=_member(archive, CONFIG, MAX_CONFIG_BYTES),
        metadata=_member(archive, METADATA, _MAX_METADATA_BYTES),
        vocabularies=_vocabularies(archive, members, name),
    )


def kind(path: Path) -> str | None:
    """What the archive at `path` is where it is no `.keras` file but of a known kind, as the end of a sentence."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
            file.seek(max(0, path.stat().st_size - _MAX_DIRECTORY_BYTES))
            tail = file.read()
    except OSError:
        return None
    return mistaken.in_archive(_names_in(head) + _names_in(tail))


def _names_in(data: bytes) -> list[str]:
    """The members' names that follow local headers and directory entries in `data`; only to say what it is."""
    names = []
    for magic, length_at, name_at in ((b"PK\x03\x04", 26, 30), (b"PK\x01\x02", 28, 46)):
        at = data.find(magic)
        while 0 <= at < len(data) - name_at:
            length = int.from_bytes(data[at + length_at : at + length_at + 2], "little")
            names.append(data[at + name_at : at + name_at + min(length, 300)].decode("utf-8", "replace"))
            at = data.find(magic, at + 4)
    return names


@contextmanager
def _opened(path: Path, name: str) -> Iterator[zipfile.ZipFile]:
    try:
        with path.open("rb") as file:
            _check_entry_count(file, name)
            with zipfile.ZipFile(file) as archive:
                yield archive
    # Python's reader says in many ways that it does not get along with an archive.
    except (OSError, zipfile.BadZipFile, EOFError, zlib.error, RuntimeError, struct.error, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{name} is damaged or was not copied to its end: it is not the archive that a .keras file is; "
            "copy it again from where it is whole."
        ) from error


def _check_entry_count(file: BinaryIO, name: str) -> None:
    """Read the number of entries from the archive's end record: a hostile archive's directory can have millions."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - 65_557 - 76))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        raise zipfile.BadZipFile
    entries, directory_bytes = struct.unpack("<HI", tail[at + 10 : at + 16])
    # Where there is a record for archives beyond 2 GB before it, Python's reader believes that one.
    if at >= 76 and tail[at - 20 : at - 16] == b"PK\x06\x07":
        entries, directory_bytes = struct.unpack("<QQ", tail[at - 44 : at - 28])
    if (
        not len(_MEMBERS) <= entries <= len(_MEMBERS) + _MAX_VOCABULARY_MEMBERS
        or directory_bytes > _MAX_DIRECTORY_BYTES
    ):
        raise _wrong_members(name)


def _wrong_members(name: str) -> UserError:
    return UserError(
        f"{name} is no .keras file: such a file holds exactly {', '.join(sorted(_MEMBERS))} and the words of its "
        "layers, as `model.save` in Keras 3 writes it."
    )


def _check_members(name: str, members: list[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    others = [each for each in names if each not in _MEMBERS]
    if (
        len(set(names)) != len(names)
        or not set(names) >= _MEMBERS
        or len(others) > _MAX_VOCABULARY_MEMBERS
        or not all(map(_VOCABULARY.fullmatch, others))
    ):
        raise _wrong_members(name)
    end = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UserError(f"{name} is encrypted or packed in an unusual way; save it again with Keras.")
        if (member.external_attr >> 16) & 0o170000 == _SYMLINK:
            raise UserError(
                f"{name} is refused: a part of it only refers to another file; save the model again with Keras."
            )
        if member.header_offset < end:
            raise UserError(f"{name} is refused: its members overlap; save the model again with Keras.")
        end = member.header_offset + 30 + len(member.filename) + member.compress_size
        if member.file_size > _limit(member):
            raise UserError(
                f"{name} is refused: its {member.filename} would unpack to {member.file_size:,} bytes; save the model "
                "again with Keras."
            )


def _limit(member: zipfile.ZipInfo) -> int:
    if member.filename == WEIGHTS:
        return 4 * member.compress_size + _MB
    return {CONFIG: MAX_CONFIG_BYTES, METADATA: _MAX_METADATA_BYTES}.get(member.filename, _MAX_VOCABULARY_BYTES)


def _member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    with archive.open(name) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise zipfile.BadZipFile
    return data


def _vocabularies(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], name: str) -> dict[str, tuple[str, ...]]:
    chosen: dict[str, str] = {}
    for member in members:
        found = _VOCABULARY.fullmatch(member.filename)
        if found is not None:
            chosen[found[1][1:]] = member.filename
    if sum(archive.getinfo(member).file_size for member in chosen.values()) > 4 * _MAX_VOCABULARY_BYTES:
        raise UserError(f"{name} is refused: the lists of words in it are too long.")
    return {layer: _words(_member(archive, member, _MAX_VOCABULARY_BYTES), name) for layer, member in chosen.items()}


def _words(data: bytes, name: str) -> tuple[str, ...]:
    """The words as Keras reads them: one a line, without the empty ones at the end."""
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is refused: a list of words in it is no text in UTF-8.") from error
    while lines and not lines[-1]:
        lines.pop()
    return tuple(lines)
