"""ZIPs that lie, climb out, swell, or come from other systems; each with good photos in it where there can be any."""

from __future__ import annotations

import functools
import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.hostile import Case
from tests.hostile.pictures import black_png, encoded, zeros

Members = dict[str, bytes]
Member = tuple[str | zipfile.ZipInfo, bytes]
Directory = Callable[[list[bytes]], list[bytes]]
PHOTOS, REFUSED = "6 photos in 2 classes", "not a zip file that can be read"
LEFT = "1 file was left out"
END = struct.Struct("<4s4H2LH")


@functools.cache
def photo(number: int) -> bytes:
    """A small photo; those of different numbers are not alike."""
    return encoded(np.random.default_rng(number).integers(0, 256, (40, 48, 3), np.uint8), "PNG")


def good() -> Members:
    """Two classes of three photos."""
    return {
        f"{kind}/{number}.png": photo(number + 10 * (kind == "dogs"))
        for kind in ("cats", "dogs")
        for number in range(3)
    }


def packed(members: Members | list[Member], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, data)
    return file.getvalue()


def with_members(*more: Member) -> bytes:
    """The good photos, and these."""
    return packed([*good().items(), *more])


def member(name: str, **facts: int) -> zipfile.ZipInfo:
    """A member as `zipfile` writes it, with other facts, such as `external_attr`."""
    info = zipfile.ZipInfo(name)
    for fact, value in facts.items():
        setattr(info, fact, value)
    return info


def special(name: str, kind: int) -> zipfile.ZipInfo:
    """A member that says it is a link or a device."""
    return member(name, external_attr=(kind | 0o777) << 16, create_system=3)


def local(
    name: bytes, data: bytes, size: int, crc: int, *, method: int = 0, flags: int = 0, extra: bytes = b""
) -> bytes:
    """A member as it lies in an archive, with whatever is said of it."""
    numbers = (20, flags, method, 0, 33, crc, len(data), size, len(name), len(extra))
    return struct.pack("<4s5H3L2H", b"PK\x03\x04", *numbers) + name + extra + data


def entry(
    name: bytes, at: int, stored: int, size: int, crc: int, *, method: int = 0, flags: int = 0, extra: bytes = b""
) -> bytes:
    """The directory's word of a member that lies `at`."""
    numbers = (20, 20, flags, method, 0, 33, crc, stored, size, len(name), len(extra), 0, 0, 0, 0, at)
    return struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *numbers) + name + extra


def end(count: int, size: int, at: int, comment: bytes = b"") -> bytes:
    return END.pack(b"PK\x05\x06", 0, 0, count, count, size, at, len(comment)) + comment


def by_hand(*more: tuple[bytes, bytes], directory: Directory = list, **facts: Any) -> bytes:
    """An archive of the good photos and `more`, with names in bytes; `directory` may change what it says of them."""
    body, entries = b"", []
    for name, data in [*((name.encode(), data) for name, data in good().items()), *more]:
        crc = zlib.crc32(data)
        entries.append(entry(name, len(body), len(data), len(data), crc, **facts))
        body += local(name, data, len(data), crc, **facts)
    entries = directory(entries)
    said = b"".join(entries)
    return body + said + end(min(len(entries), 0xFFFF), len(said), len(body))


def changed(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


def in_entry(data: bytes, which: int, at: int, value: bytes) -> bytes:
    """The archive with something else in what its directory says of the member `which`."""
    place = struct.unpack("<L", data[-6:-2])[0]
    for _ in range(which):
        place = data.index(b"PK\x01\x02", place + 4)
    return changed(data, place + at, value)


def cases(canary: Path) -> Iterator[Case]:
    """`canary` is a file that would be made if a member were written where it says."""
    for name, data, says in (
        *that_climb_out(canary),
        *of_special_kinds(),
        *with_odd_names(),
        *from_other_systems(),
        *with_bad_files(),
        *built_unusually(),
    ):
        yield Case(name, "photos.zip", data, says, read=True)
    for name, data, says in (*that_swell(), *that_lie(), *without_photos()):
        yield Case(name, "photos.zip", data, says)
    yield Case("a ZIP called a picture", "photos.png", packed(good()), PHOTOS, read=True)
    yield Case("a ZIP with an odd name", "![x](https:evil)<b>\n.zip", b"PK\x03\x04" + bytes(99), REFUSED)


def that_climb_out(canary: Path) -> Iterator[tuple[str, bytes, str]]:
    up = "../" * 20
    names = {
        "a path that climbs out": f"{up}{canary}",
        "a whole path": f"{canary}",
        "a path of Windows that climbs out": f"{up}{canary}".replace("/", "\\"),
        "a path that climbs out within a class": f"cats/../../{up}{canary}.png",
        "a path over a network": "\\\\server\\share\\evil.py",
        "a path with a drive": "C:evil.png",
        "a path that goes nowhere": "cats/./././/evil.png",
    }
    for name, path in names.items():
        yield name, with_members((path, b"no photo")), PHOTOS
    photos = {f"C:\\Users\\x\\{path}".replace("/", "\\"): data for path, data in good().items()}
    yield "photos with whole paths of Windows", packed(photos), PHOTOS
    photos = {f"{up}{path}": data for path, data in good().items()}
    yield "photos that climb out", packed(photos), PHOTOS
    through = [(special("cats/out", stat.S_IFLNK), str(canary.parent).encode()), (f"cats/out/{canary.name}", b"x")]
    yield "a path through a link", with_members(*through), PHOTOS


def of_special_kinds() -> Iterator[tuple[str, bytes, str]]:
    kinds = {"a link": stat.S_IFLNK, "a device": stat.S_IFCHR, "a disk": stat.S_IFBLK, "a pipe": stat.S_IFIFO}
    for name, kind in {**kinds, "a socket": stat.S_IFSOCK}.items():
        yield name, with_members((special("cats/9.png", kind), b"/etc/passwd")), LEFT
    inner = packed(good())
    yield "an archive inside", with_members(("cats/more.zip", inner)), LEFT
    for _ in range(5):
        inner = packed({"cats/more.zip": inner}, zipfile.ZIP_DEFLATED)
    yield "archives inside archives", with_members(("cats/more.zip", inner)), LEFT
    yield "an archive inside that is called a photo", with_members(("cats/more.png", inner)), LEFT
    for name, method in {
        "bzip2": 12,
        "LZMA": 14,
        "deflate64": 9,
        "Zstandard": 93,
        "AES": 99,
        "nothing known": 77,
    }.items():
        data = in_entry(with_members(("cats/9.png", photo(9))), 6, 10, struct.pack("<H", method))
        yield f"a photo packed by {name}", data, LEFT
    data = with_members(("cats/9.png", photo(9)))
    yield "one photo behind a password", in_entry(data, 6, 8, b"\x01\0"), LEFT
    yield "one photo that is a patch", in_entry(data, 6, 8, b"\x20\0"), LEFT
    yield "one photo behind strong encryption", in_entry(data, 6, 8, b"\x41\0"), LEFT


def with_odd_names() -> Iterator[tuple[str, bytes, str]]:
    for name, file in {
        "a name of 60,000 characters": "x" * 60_000 + ".png",
        "60,000 characters without an end": "x" * 60_000,
        "a path of 20,000 folders": "cats/" + "a/" * 20_000 + "x.png",
        "control characters": "cats/\x1b[31m\x07\r\n9.png",
        "nothing but control characters": "cats/\x01\x02\x03",
        "signs that turn the writing": "cats/\u202e\u2066gnp.9\u200f.png",
        "signs without width": "cats/\u200b\u200d\ufeff.png",
        "a device of Windows": "cats/CON.png",
        "another device of Windows": "cats/nul",
        "a stream of Windows": "cats/9.png:evil.exe",
        "points and blanks at the end": "cats/9.png. . .",
        "a percent sign": "cats/%s%n%00.png",
        "HTML": "cats/<img src=x onerror=alert(1)>.png",
        "Markdown": "cats/![x](https:evil).png",
        "a formula": "cats/=HYPERLINK(1).png",
        "a tilde": "~root/.ssh/authorized_keys",
        "a variable": "$HOME/x.png.exe",
        "one folder and a file of one name": "cats",
        "a zero byte": "cats/9.png\0.exe",
    }.items():
        yield f"{name} in a name", by_hand((file.encode(), b"no photo")), PHOTOS
    yield "a member without a name", by_hand((b"", photo(9))), PHOTOS
    yield "a member whose name is a zero byte", by_hand((b"\0", photo(9))), PHOTOS
    for name, folders in {
        "60,000 characters": ("x" * 30_000 + "A" + "x" * 30_000, "x" * 60_000),
        "HTML": ("<b>cats</b>", "<script>alert(1)</script>"),
        "Markdown": ("![x](https:evil)", "[a](javascript:alert(1))"),
        "formulas": ("=1+1", "@SUM(A1)"),
        "devices of Windows": ("CON", "LPT1"),
        "nothing but their case": ("Cats", "cats"),
        "signs that turn the writing": ("\u202estac", "\u2067sgod"),
        "letters that are put together": ("caf\u00e9", "the\u0301"),
    }.items():
        names = dict(zip(("cats", "dogs"), folders, strict=True))
        photos = {f"{names[path[:4]]}{path[4:]}": data for path, data in good().items()}
        yield f"classes told apart by {name}", packed(photos), PHOTOS


def from_other_systems() -> Iterator[tuple[str, bytes, str]]:
    for page, folders in {
        "cp437": ("Ähre", "Müll"),
        "cp949": ("고양이", "개"),
        "cp932": ("ねこ", "いぬ"),
        "gbk": ("小猫", "小狗"),
        "big5": ("貓", "狗"),
        "cp866": ("кошки", "собаки"),
        "utf-8": ("кошки", "ねこ"),
    }.items():
        names = {old: new.encode(page) for old, new in zip((b"cats", b"dogs"), folders, strict=True)}
        body, said = b"", b""
        for path, data in good().items():
            name, crc = names[path[:4].encode()] + path[4:].encode(), zlib.crc32(data)
            said += entry(name, len(body), len(data), len(data), crc)
            body += local(name, data, len(data), crc)
        yield f"names in the code page {page}", body + said + end(6, len(said), len(body)), folders[0]
    body, said = b"", b""
    for path, data in good().items():
        name, crc = path.replace("cats", "ka\x84tzchen").encode("latin-1"), zlib.crc32(data)
        note = b"\x01" + struct.pack("<L", zlib.crc32(name)) + path.replace("cats", "猫 кот").encode()
        extra = struct.pack("<HH", 0x7075, len(note)) + note
        said += entry(name, len(body), len(data), len(data), crc, extra=extra)
        body += local(name, data, len(data), crc)
    yield "names in Unicode beside others", body + said + end(6, len(said), len(body)), "猫 кот (3)"
    residue = {"__MACOSX/cats/._0.png": b"x", "cats/._0.png": b"x", ".DS_Store": b"x", "cats/.DS_Store": b"x"}
    residue |= {"cats/Thumbs.db": b"x", "dogs/desktop.ini": b"x", "cats/Icon\r": b"", "$RECYCLE.BIN/x.png": b"x"}
    residue |= {"cats/ehthumbs.db": b"x", "System Volume Information/x": b"x", ".git/config": b"x", "cats/.x.png": b"x"}
    yield "what macOS and Windows leave behind", with_members(*residue.items()), f"{PHOTOS}: cats (3), dogs (3)."
    photos = {path.replace("/", "\\"): data for path, data in good().items()}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path, data in photos.items():
            info = zipfile.ZipInfo("x")
            info.filename = path
            archive.writestr(info, data)
    yield "paths of Windows", file.getvalue(), PHOTOS


def with_bad_files() -> Iterator[tuple[str, bytes, str]]:
    """Good photos among bad: the good ones are used."""
    for name, data in {
        "a text": b"hello",
        "nothing": b"",
        "half a photo": photo(9)[:900],
        "a page of the web": b"<!DOCTYPE html><script>1</script>",
        "an SVG": b"<svg/>",
        "a program in PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n",
        "169 megapixels": black_png(13_000, 13_000),
        "a line": encoded(np.zeros((1, 5000), np.uint8), "PNG"),
        "a pickle": b"cos\nsystem\n(S'true'\ntR.",
    }.items():
        yield f"{name} called a photo", with_members(("cats/9.png", data)), LEFT
    yield "a program among the photos", with_members(("cats/__init__.py", b"import evil"), ("evil.py", b"")), PHOTOS
    yield "one photo twice", with_members(("cats/9.png", photo(0))), LEFT
    yield "one name twice", packed([*good().items(), ("cats/0.png", photo(9))]), "7 photos in 2 classes"
    yield "one name twice, but for its case", with_members(("cats/0.PNG", photo(9))), "7 photos in 2 classes"
    data = with_members(("cats/9.png", photo(9)))
    at = data.index(photo(9)) + 60
    yield "a photo whose bytes have changed", changed(data, at, b"\xff\0\xff"), LEFT
    yield "a photo that says it is larger", in_entry(data, 6, 24, struct.pack("<L", 10**6)), LEFT
    yield "a photo that says it is smaller", in_entry(data, 6, 24, struct.pack("<L", 99)), LEFT
    yield "a photo of 31 MB", with_members(("cats/9.bmp", photo(9) + bytes(31 * 10**6))), LEFT


def built_unusually() -> Iterator[tuple[str, bytes, str]]:
    plain = packed(good())
    yield "data before it", b"#!/bin/sh\nexit\n" * 999 + plain, PHOTOS
    yield "a JPEG before it", encoded(np.zeros((40, 60, 3), np.uint8), "JPEG") + plain, "6"
    yield "a comment of 65,535 bytes", plain[:-2] + b"\xff\xff" + b"x" * 65_535, PHOTOS
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in good().items():
            with archive.open(name, "w", force_zip64=True) as target:
                target.write(data)
    yield "numbers as for 4 GB", file.getvalue(), PHOTOS
    yield "packed", packed(good(), zipfile.ZIP_DEFLATED), PHOTOS
    yield "its folders as members", packed({"cats/": b"", "dogs/": b"", **good()}), PHOTOS
    yield "a folder with something in it", with_members(("cats/", b"x" * 99)), PHOTOS
    yield "no dates", by_hand(), PHOTOS
    yield "a place among several parts", changed(plain, len(plain) - END.size + 4, b"\x03\0\x03\0"), PHOTOS
    large = struct.pack("<HHQQQ", 1, 24, 2**63, 2**63, 2**63)
    yield "numbers for 4 GB that nobody asks for", by_hand(extra=large), PHOTOS
    yield "only its directory's order changed", by_hand(directory=lambda entries: entries[::-1]), PHOTOS
    data = by_hand()
    yield "other names before the members than in the directory", data.replace(b"cats/0.png", b"evil/0.png", 1), LEFT


def that_swell() -> Iterator[tuple[str, bytes, str]]:
    def bomb(count: int, size: int, stated: int | None = None) -> bytes:
        raw, body, said = zeros(size)[2:-4], b"", b""
        for number in range(count):
            name = (b"cats/%d.png", b"dogs/%d.png")[number % 2] % number
            said += entry(name, len(body), len(raw), stated or size, 0, method=8)
            body += local(name, raw, stated or size, 0, method=8)
        return body + said + end(count, len(said), len(body))

    yield "2.9 GB of zeros", bomb(100, 29 * 10**6), "unpack"
    yield "1.7 GB of zeros", bomb(60, 29 * 10**6), "unpack"
    yield "4 GB in one", bomb(1, 10**9, 2**32 - 2), "unpack"
    yield "4 × 1 GB that says it has 10 bytes", bomb(4, 10**9, 10), "no photo that can be used"
    yield "90 MB of zeros", bomb(6, 15 * 10**6), "no photo that can be used"
    raw = zeros(20 * 10**6)[2:-4]
    name = b"cats/%d.png"
    body = local(name % 0, raw, 20 * 10**6, 0, method=8)
    said = b"".join(entry(name % number, 0, len(raw), 20 * 10**6, 0, method=8) for number in range(99))
    yield "members that share their bytes", body + said + end(99, len(said), len(body)), "overlap"
    yield "members that lie in each other", *_quoted(200)


def _quoted(count: int) -> tuple[bytes, str]:
    """Each member holds the ones behind it, quoted in a stored block of deflate (Fifield, 2019)."""
    kernel = zeros(10**6)[2:-4]
    bodies, size = local(b"k.png", kernel, 10**6, 0, method=8), 10**6
    places = [(b"k.png", len(bodies), len(kernel), size)]
    for number in range(count):
        name = b"%d.png" % number
        quoted = min(len(bodies), 30 + len(places[-1][0]))
        block = b"\0" + struct.pack("<HH", quoted, quoted ^ 0xFFFF)
        stored = len(block) + places[-1][2] + quoted
        size += quoted
        bodies = local(name, block, size, 0, method=8) + bodies
        places.append((name, len(bodies), stored, size))
    said = b"".join(
        entry(name, len(bodies) - from_end, stored, size, 0, method=8) for name, from_end, stored, size in places
    )
    return bodies + said + end(len(places), len(said), len(bodies)), "overlap"


def that_lie() -> Iterator[tuple[str, bytes, str]]:
    plain, ends = packed(good()), b"PK\x05\x06" * 99
    yield "ends of archives in its comment", plain[:-2] + struct.pack("<H", len(ends)) + ends, REFUSED
    for tenth in (1, 3, 5, 7, 9):
        yield f"cut after {tenth} tenths", plain[: len(plain) * tenth // 10], REFUSED
    yield "its last byte missing", plain[:-1], REFUSED
    many = [entry(b"cats/%d.png" % number, 0, 0, 0, 0) for number in range(100_000)]
    said = b"".join(many)
    body = local(b"cats/0.png", b"", 0, 0)
    yield "100,000 entries", body + said + end(0xFFFF, len(said), len(body)), "20,000"
    yield "100,000 entries of which it tells 5", body + said + end(5, len(said), len(body)), "20,000"
    empty = {f"cats/{number}.png": b"" for number in range(20_001)}
    yield "20,001 members", packed(empty), "20,000"
    yield "a directory that it does not have", changed(plain, len(plain) - 10, struct.pack("<L", 2**31)), REFUSED
    yield "a directory elsewhere", changed(plain, len(plain) - 6, struct.pack("<L", 2**32 - 2)), "overlap"
    yield "60,000 entries that are not there", changed(plain, len(plain) - 14, b"\x60\xea\x60\xea"), "20,000"
    yield "all behind a password", by_hand(flags=1), "password"
    yield "a member beyond its end", in_entry(plain, 0, 42, struct.pack("<L", 2**31)), REFUSED
    yield "a member in the directory", in_entry(plain, 0, 42, plain[-6:-2]), REFUSED
    yield "a member larger than the archive", in_entry(plain, 0, 20, struct.pack("<L", 10**6)), "overlap"
    yield "a note that does not end", in_entry(plain, 0, 30, b"\xff\xff"), REFUSED
    extra = struct.pack("<HHQQQ", 1, 24, 2**63, 2**63, 2**63)
    huge = by_hand(directory=lambda entries: [_of_4_gb(entries[0], extra), *entries[1:]])
    yield "a member of 2⁶³ bytes", huge, "unpack"
    yield "a member at 2⁶³", huge.replace(extra[4:20], struct.pack("<QQ", 9, 9)), REFUSED
    short = by_hand(directory=lambda entries: [_of_4_gb(entries[0], extra[:12]), *entries[1:]])
    yield "a note about 4 GB that is too short", short, REFUSED
    at = len(plain) - END.size
    count, size, place = struct.unpack("<HLL", plain[at + 10 : at + 20])
    for name, numbers in {
        "a second end that disagrees": (count + 1, size, place),
        "a second end that counts 10⁹": (10**9, size, place),
        "a second end of 2⁶³": (count, 2**63, 2**63),
    }.items():
        second = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, numbers[0], *numbers)
        where = struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1)
        yield name, plain[:at] + second + where + plain[at:], ""
    yield "a name that is not the UTF-8 it says", by_hand((b"cats/\xff\xfe.png", photo(9)), flags=0x800), REFUSED


def _of_4_gb(said: bytes, extra: bytes) -> bytes:
    """A directory's entry whose sizes and place are in the note for large archives."""
    name = said[46:]
    head = changed(said[:46], 20, b"\xff" * 8)
    head = changed(changed(head, 30, struct.pack("<H", len(extra))), 42, b"\xff" * 4)
    return head + name + extra


def without_photos() -> Iterator[tuple[str, bytes, str]]:
    yield "nothing at all", b"", REFUSED
    yield "a text", b"hello", REFUSED
    yield "zeros", bytes(100_000), REFUSED
    yield "an archive of RAR", b"Rar!\x1a\x07\x01\0" + bytes(999), REFUSED
    yield "an archive of 7-Zip", b"7z\xbc\xaf\x27\x1c" + bytes(999), REFUSED
    yield "an archive of tar", b"cats/0.png" + bytes(247) + b"ustar" + bytes(999), REFUSED
    yield "packed by gzip", b"\x1f\x8b\x08" + bytes(999), REFUSED
    yield "an archive of nothing", packed({}), "two class folders"
    yield "an archive of folders", packed({"cats/": b"", "dogs/": b""}), "two class folders"
    yield "an archive of archives", packed({f"{n}.zip": packed(good()) for n in range(9)}), "other archives"
    yield "an archive of texts", packed({"a/x.txt": b"x", "b/x.txt": b"x"}), "no photo that can be used"
    yield (
        "only what macOS leaves behind",
        packed({f"__MACOSX/{path}": data for path, data in good().items()}),
        "two class",
    )
    yield "2,000 classes", packed({f"{n}/x.png": b"" for n in range(2000)}), "2,000 class folders"
    huge = {f"{kind}/{number}.png": black_png(20_000, 9_000) for kind in "ab" for number in "12"}
    yield "photos that are all black and huge", packed(huge), "too many pixels"
