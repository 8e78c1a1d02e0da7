"""The names of a ZIP's members where the archive does not say how they are written.

An archive says so for UTF-8 alone. Without a word, macOS writes UTF-8 too, WinZip and 7-Zip add the name in Unicode
beside, and Windows writes in the code page of its country, which is told here by the letters that come out.
"""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Sequence

DOS = "cp437"  # which `zipfile` takes for all that does not say that it is UTF-8
_SAYS_UTF8 = 0x800
_UNICODE_PATH = 0x7075  # Info-ZIP's note of a name in UTF-8
_READ_BYTES = 4000  # of the names, to tell their page
_IDEOGRAPHS = "\u3005\u4e00-\u9fff"
_PAGES = (  # a code page, and what the names are then made of
    ("utf-8", re.compile(".*", re.DOTALL)),
    ("cp932", re.compile(f"(?=.*[\u3041-\u30fa])[\0-\x7f\u3000-\u30ff\uff01-\uff5e{_IDEOGRAPHS}]+", re.DOTALL)),
    ("euc_kr", re.compile("[\0-\x7f\uac00-\ud7a3]+")),
    ("gb2312", re.compile(f"[\0-\x7f{_IDEOGRAPHS}]+")),
    ("big5", re.compile(f"[\0-\x7f{_IDEOGRAPHS}]+")),
    # German in the old page gives Cyrillic letters too, but within Latin words.
    ("cp866", re.compile("(?!.*([A-Za-z][Ѐ-ӿ]|[Ѐ-ӿ][A-Za-z]))[\0-\x7fЀ-ӿ]+", re.DOTALL)),
)


def names(members: Sequence[zipfile.ZipInfo]) -> list[str]:
    """The paths of `members` as whoever packed them wrote them, as far as that can be told."""
    found = [_said(member) for member in members]
    raw = [_raw(member) for member, name in zip(members, found, strict=True) if name is None]
    page = page_of(raw)
    return [_decoded(_raw(member), page) if name is None else name for member, name in zip(members, found, strict=True)]


def page_of(raw: Sequence[bytes]) -> str:
    """The code page in which the names `raw` are written, as far as it shows in their letters."""
    read, length = [], 0
    for name in dict.fromkeys(raw):
        length += len(name)
        if length > _READ_BYTES:
            break
        read.append(name)
    for page, letters in _PAGES:
        try:
            if letters.fullmatch(b"\n".join(read).decode(page)):
                return page
        except UnicodeDecodeError:
            continue
    return DOS


def _said(member: zipfile.ZipInfo) -> str | None:
    """The name where there is no doubt about it."""
    name = member.filename
    if name.isascii() or member.flag_bits & _SAYS_UTF8:
        return name
    try:
        return _beside(member)
    except UnicodeError:
        return None


def _beside(member: zipfile.ZipInfo) -> str | None:
    extra, place = member.extra, 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, place)
        note = extra[place + 4 : place + 4 + length]
        if kind == _UNICODE_PATH and len(note) > 5 and note[1:5] == struct.pack("<L", zlib.crc32(_raw(member))):
            return note[5:].decode("utf-8")
        place += 4 + length
    return None


def _raw(member: zipfile.ZipInfo) -> bytes:
    return member.orig_filename.encode(DOS).partition(b"\0")[0]


def _decoded(raw: bytes, page: str) -> str:
    try:
        return raw.decode(page)
    except UnicodeDecodeError:
        return raw.decode(DOS)
