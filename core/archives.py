"""The files of a folder or of a ZIP archive, one by one, without ever extracting by a stranger's paths.

An archive comes from anybody. The number of its entries is counted in its directory before `zipfile` builds an object
for each; the sizes it states are added up before anything is inflated; entries that share bytes are refused, since a
few kilobytes can thus claim gigabytes. A member is read into memory and never written anywhere.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from core import old_names, shared_data
from core.errors import UserError

ENTRIES_MAX = 20_000
MEMBER_MAX_BYTES = 30 * 1000**2
TOTAL_MAX_BYTES = 2 * 1000**3
TIMES_MAX, SMALL_BYTES = 200, 100 * 1000**2  # even drawings of one colour, if they are many, do not shrink so much
RESIDUE_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
RESIDUE_FOLDERS = {"__macosx", "$recycle.bin", "system volume information"}

_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_SIZE = 20
_ENCRYPTED = 0x1
_MADE_UP = re.compile(r"[0-9a-f]{24}\.zip")  # `storage.keep_upload`


class Unreadable(Exception):
    """Why one file is left out; its text completes "the file ..."."""


@dataclass(frozen=True)
class Entry:
    """One file: the parts of its cleaned path, and how to get its bytes (raises `Unreadable`)."""

    parts: tuple[str, ...]
    read: Callable[[], bytes]

    @property
    def label(self) -> str:
        return shorten("/".join(self.parts))


@contextlib.contextmanager
def entries(path: Path) -> Iterator[list[Entry]]:
    """The files below the folder `path`, or in the ZIP `path`, in the order of their names; residue is left out.

    Raises `UserError` where there is no such thing, or where the archive as a whole is refused.
    """
    if path.is_dir():
        yield _in_folder(path)
        return
    if not path.is_file():
        raise UserError(f"There is no folder or ZIP file at {shorten(str(path))}. Give the path of your photos.")
    with contextlib.ExitStack() as stack:
        try:
            _count_entries(path)
            archive = stack.enter_context(zipfile.ZipFile(path))
            found = _in_archive(archive, path)
        except (zipfile.BadZipFile, struct.error, OSError, ValueError, NotImplementedError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(
                f"{name_of(path)} is not a ZIP file that can be read. Pack the photos into a new ZIP."
            ) from error
        yield found


def pack(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Named files -> a ZIP, not compressed, for photos are compressed already. Equal files make an equal ZIP.

    A name is a label that a stranger chose: what cannot be printed, and what leads up or out, is taken from it, and of
    two equal ones the second gets a number.
    """
    packed, taken = io.BytesIO(), set()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files:
            path = PurePosixPath(*[shorten(part, 120) for part in _parts(name)] or ["unnamed"])
            called, number = path, 1
            while str(called) in taken:
                number += 1
                called = path.with_name(f"{path.stem} ({number}){path.suffix}")
            taken.add(str(called))
            # Without the time of day, which would make every ZIP a new one.
            archive.writestr(zipfile.ZipInfo(str(called)), data)
    return packed.getvalue()


def clean(text: str, most: int = 80) -> str:
    """`text` as one printable line of at most `most` characters, in Unicode's composed form; never empty."""
    return shorten(_printable(text), most)


def name_of(path: Path) -> str:
    """What a sentence calls the photos at `path`: their file name, unless this machine made it up for an upload."""
    return "This data set" if _MADE_UP.fullmatch(path.name) else clean(path.name)


def shorten(text: str, most: int = 80) -> str:
    """`text`, its middle left out where it is longer than `most` characters."""
    if len(text) <= most:
        return text
    tail = most // 3
    return f"{text[: most - tail - 1]}…{text[-tail:]}"


def _printable(text: str) -> str:
    composed = unicodedata.normalize("NFC", text)
    printable = "".join(sign for sign in composed if sign.isprintable()).strip()
    # A name of which only ".png" can be shown is not hidden by that.
    lost = not printable or (printable.startswith(".") and not composed.startswith("."))
    return f"unnamed{printable}" if lost else printable


def _parts(name: str) -> tuple[str, ...]:
    raw = name.replace("\\", "/").split("/")
    parts = (_printable(part) for part in raw if part.strip())
    return tuple(part for part in parts if part not in (".", ".."))  # which they may be only now


def _is_residue(parts: tuple[str, ...]) -> bool:
    """What macOS and Windows leave behind, and whatever is hidden."""
    folders, name = parts[:-1], parts[-1]
    return (
        any(part.startswith(".") for part in parts)
        or any(folder.casefold() in RESIDUE_FOLDERS for folder in folders)
        or name.casefold() in RESIDUE_FILES
    )


def _in_folder(root: Path) -> list[Entry]:
    found = []
    shared = shared_data.root()
    limit = shared if shared is not None and root.resolve().is_relative_to(shared) else None
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            path = Path(folder, name)
            parts = _parts(path.relative_to(root).as_posix())
            if limit is not None and not path.resolve().is_relative_to(limit):
                continue  # a link that leads out of what is shared
            if parts and not _is_residue(parts):
                found.append(Entry(parts, lambda path=path: _read_file(path)))
        if len(found) > ENTRIES_MAX:
            raise UserError(f"{name_of(root)} holds more than {ENTRIES_MAX:,} files. Use fewer photos.")
    return found


def _read_file(path: Path) -> bytes:
    try:
        # A pipe or a device would never end.
        if not path.is_file():
            raise Unreadable("is not a regular file")
        if path.stat().st_size > MEMBER_MAX_BYTES:
            raise Unreadable(_too_large())
        return path.read_bytes()
    except OSError as error:
        raise Unreadable("cannot be read from the disk") from error


def _too_large() -> str:
    return f"is larger than {MEMBER_MAX_BYTES // 1000**2} MB"


def _count_entries(path: Path) -> None:
    """Refuse an archive with too many entries before `zipfile` makes an object of each."""
    with path.open("rb") as file:
        end, start, size = _directory(file)
        file.seek(start)
        directory = file.read(min(size, ENTRIES_MAX * 46 + 64 * 1024**2))
    count = place = 0
    while place + 46 <= len(directory) and directory[place : place + 4] == b"PK\x01\x02":
        count += 1
        place += 46 + sum(struct.unpack_from("<3H", directory, place + 28))
        if count > ENTRIES_MAX:
            break
    if max(count, end) > ENTRIES_MAX:
        raise UserError(f"{name_of(path)} holds more than {ENTRIES_MAX:,} files. Pack fewer photos into the ZIP.")
    if place < size:
        raise zipfile.BadZipFile("the directory does not end where it says")


def _directory(file) -> tuple[int, int, int]:
    """(number of entries as stated, offset, size) of the archive's central directory."""
    file.seek(0, os.SEEK_END)
    length = file.tell()
    base = max(0, length - _END.size - 65_535)
    file.seek(base)
    tail = file.read()
    plain = tail[-_END.size :]
    within = (
        len(tail) - _END.size if plain[:4] == b"PK\x05\x06" and plain[-2:] == b"\0\0" else tail.rfind(b"PK\x05\x06")
    )
    if within < 0:
        raise zipfile.BadZipFile("no end record")
    _, _, _, _, count, size, _, _ = _END.unpack_from(tail, within)
    end = base + within
    locator = end - _LOCATOR_SIZE
    if locator >= _END_64.size:
        file.seek(locator)
        if file.read(4) == b"PK\x06\x07":
            file.seek(locator - _END_64.size)
            sign, *_, long_count, long_size, _ = _END_64.unpack(file.read(_END_64.size))
            if sign != b"PK\x06\x06" or count not in (0xFFFF, long_count) or size not in (0xFFFFFFFF, long_size):
                raise zipfile.BadZipFile("two end records that disagree")
            count, size, end = long_count, long_size, locator - _END_64.size
    if size > end:
        raise zipfile.BadZipFile("the directory is larger than the file")
    return count, end - size, size


def _in_archive(archive: zipfile.ZipFile, path: Path) -> list[Entry]:
    name = name_of(path)
    # Python 3.11 stumbles over one without a name.
    members = [member for member in archive.infolist() if member.filename and not member.is_dir()]
    if members and all(member.flag_bits & _ENCRYPTED for member in members):
        raise UserError(f"{name} is protected by a password. Pack the photos into a ZIP without one.")
    total = sum(member.file_size for member in members)
    if total > TOTAL_MAX_BYTES:
        raise UserError(f"{name} unpacks to more than {TOTAL_MAX_BYTES // 1000**3} GB. Use fewer or smaller photos.")
    if _overlap(archive, members):
        raise UserError(f"{name} is refused: its entries overlap. Pack the photos into a new ZIP.")
    if total > SMALL_BYTES and total > TIMES_MAX * sum(member.compress_size for member in members):
        raise UserError(
            f"{name} is refused: it would unpack to more than {TIMES_MAX} times its size, as photos never do. "
            "Pack the photos into a new ZIP."
        )
    found = []
    for member, inner in zip(members, old_names.names(members), strict=True):
        parts = _parts(inner)
        if parts and not _is_residue(parts):
            found.append(Entry(parts, lambda member=member: _read_member(archive, member)))
    return sorted(found, key=lambda entry: entry.parts)


def _overlap(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]) -> bool:
    """True where two members, or a member and the directory, share bytes."""
    free_from = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.header_offset < free_from:
            return True
        archive.fp.seek(member.header_offset)
        header = archive.fp.read(30)
        if len(header) < 30 or header[:4] != b"PK\x03\x04":
            raise zipfile.BadZipFile("a member is not where it is said to be")
        free_from = member.header_offset + 30 + sum(struct.unpack_from("<2H", header, 26)) + member.compress_size
    return free_from > archive.start_dir


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise Unreadable("is a link or a special file")
    if member.flag_bits & _ENCRYPTED:
        raise Unreadable("is protected by a password")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Unreadable("is packed by a method other than store and deflate")
    if member.file_size > MEMBER_MAX_BYTES:
        raise Unreadable(_too_large())
    try:
        with archive.open(member) as file:
            data = file.read(MEMBER_MAX_BYTES + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise Unreadable("is damaged inside the ZIP") from error
    if len(data) != member.file_size:
        raise Unreadable("is damaged inside the ZIP")
    if data[:4] == b"PK\x03\x04":
        raise Unreadable("is an archive inside the archive; unpack it first")
    return data
