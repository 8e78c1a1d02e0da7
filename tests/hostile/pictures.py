"""Pictures that lie about what they are, how large they are, or what is in them; and odd ones that are honest."""

from __future__ import annotations

import functools
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from tests.hostile import Case

GREY = np.tile(np.linspace(0, 255, 60).round().astype(np.uint8), (40, 1))
RGB = np.stack([GREY, GREY[:, ::-1], np.full_like(GREY, 90)], axis=-1)
SIZE = "60 × 40"
DAMAGED, NO_PICTURE, LARGE = "damaged or incomplete", "not a picture", "too many pixels"


def encoded(picture: np.ndarray | Image.Image, kind: str, **options: object) -> bytes:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(name: bytes, data: bytes, crc: int | None = None) -> bytes:
    """A chunk of a PNG, with a wrong check sum where one is given."""
    return (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data) if crc is None else crc)
    )


def zeros(count: int) -> bytes:
    """`count` zero bytes as zlib compresses them, made without ever having so many."""
    part = 2**20
    packer = zlib.compressobj(9)
    first = packer.compress(bytes(part)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(part)) + packer.flush(zlib.Z_FULL_FLUSH)
    rest = packer.compress(bytes(count % part)) + packer.flush(zlib.Z_FULL_FLUSH)
    # The sum of n zero bytes: 1 stays 1, and the second half counts the bytes (RFC 1950).
    return first + again * (count // part - 1) + rest + b"\x03\0" + struct.pack(">HH", count % 65521, 1)


def png(width: int, height: int, data: bytes, *, kind: int = 0, depth: int = 8, before: bytes = b"") -> bytes:
    """A PNG of that size whose pixels are the compressed `data`; `kind` 0 is grey, 2 RGB, 3 a palette, 6 RGBA."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + before + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def black_png(width: int, height: int) -> bytes:
    return png(width, height, zeros(height * (width + 1)))


def tiff(tags: dict[int, int]) -> bytes:
    """A little-endian TIFF of these tags, and nothing else."""
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def plain_tiff(width: int, height: int, **more: int) -> bytes:
    size = min(width * height, 2**32 - 1)
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 200, 277: 1, 278: height, 279: size}
    return tiff({**tags, **{int(name[1:]): value for name, value in more.items()}})


def with_segment(jpeg: bytes, marker: int, data: bytes) -> bytes:
    """The JPEG with a segment of up to 65,533 bytes behind its beginning."""
    return jpeg[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data + jpeg[2:]


def exif(orientation: int) -> bytes:
    note = Image.Exif()
    note[0x0112] = orientation
    return note.tobytes()


@functools.cache
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)


def cases(canary: Path) -> Iterator[Case]:
    """`canary` is a file that would be made if a program in one of them ran."""
    yield from honest()
    yield from of_other_kinds(canary)
    yield from damaged()
    yield from large()
    yield from full_of_notes()
    yield from called_oddly()


def honest() -> Iterator[Case]:
    """Unusual, but pictures."""

    def read(name: str, data: bytes, says: str = SIZE, file: str = "photo.png") -> Case:
        return Case(name, file, data, says, read=True)

    jpeg, other = encoded(RGB, "JPEG"), Image.fromarray(RGB[::-1])
    yield read("16-bit grey", encoded(GREY.astype(np.uint16) * 257, "PNG"))
    yield read("floats", encoded((GREY / 255).astype(np.float32), "TIFF"), file="photo.tif")
    yield read("floats of which some are none", encoded(np.full((40, 60), np.nan, np.float32), "TIFF"))
    yield read("integers below zero", encoded(Image.fromarray(GREY.astype(np.int32) - 999), "TIFF"))
    yield read("CMYK", encoded(Image.fromarray(RGB).convert("CMYK"), "JPEG"), file="photo.jpg")
    yield read("a palette with transparency", encoded(Image.fromarray(RGB).quantize(4), "PNG", transparency=b"\0\x80"))
    yield read("grey with transparency", encoded(Image.fromarray(GREY).convert("LA"), "PNG"))
    yield read("black and white", encoded(Image.fromarray(GREY > 100), "PNG"))
    yield read("interlaced by hand", png(1, 1, zlib.compress(b"\0\x7f")), "1 × 1")
    yield read("one pixel", encoded(RGB[:1, :1], "PNG"), "1 × 1")
    yield read("a line", encoded(np.zeros((1, 20_000), np.uint8), "PNG"), "20000 × 1")
    yield read("a column", encoded(np.zeros((20_000, 1), np.uint8), "PNG"), "1 × 20000")
    for orientation in range(2, 9):
        says = SIZE if orientation < 5 else "40 × 60"
        yield read(f"turned by the camera ({orientation})", encoded(RGB, "JPEG", exif=exif(orientation)), says)
    yield read("an orientation that there is not", encoded(RGB, "JPEG", exif=exif(9)))
    yield read("of a phone that writes two (MPO)", encoded(RGB, "MPO", save_all=True, append_images=[other]))
    yield read("an animated GIF", encoded(RGB, "GIF", save_all=True, append_images=[other] * 9))
    yield read("an animated WebP", encoded(RGB, "WEBP", save_all=True, append_images=[other] * 9))
    yield read("an animated PNG", encoded(RGB, "PNG", save_all=True, append_images=[other] * 9))
    yield read(
        "a TIFF of many pages", encoded(RGB, "TIFF", save_all=True, append_images=[other.copy() for _ in range(9)])
    )
    for name, data in {
        "grey": black_png(10_000, 5_000),
        "16 bits each": png(10_000, 5_000, zeros(5_000 * 20_001), depth=16),
        "transparent": png(10_000, 5_000, zeros(5_000 * 40_001), kind=6),
    }.items():
        yield Case(f"of 50 megapixels, {name}", "photo.png", data, "10000 × 5000", read=True, dear=True)
    yield read("a JPEG called a text", jpeg, file="photo.txt")
    yield read("a JPEG called a ZIP", jpeg, file="photo.zip")
    yield read("a GIF that is JavaScript too", encoded(RGB, "GIF") + b"*/=1;alert(document.domain)//", file="photo.js")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("cats/evil.py", "import os")
    yield read("a JPEG that is a ZIP too", jpeg + packed.getvalue())
    yield read(
        "a JPEG with PHP in its comment", with_segment(jpeg, 0xFE, b"<?php system('id') ?>"), file="photo.php.jpg"
    )
    yield read("a PNG with HTML behind it", encoded(RGB, "PNG") + b"<script>alert(1)</script>", file="photo.html")


def of_other_kinds(canary: Path) -> Iterator[Case]:
    """Called pictures, but not of the kinds that are read."""
    program = f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n({canary}) (w) file closefile\n".encode()
    heads = {
        "an empty file": (b"", "is empty"),
        "a text": (b"hello, I am a picture\n", NO_PICTURE),
        "a page of the web": (
            b"<!DOCTYPE html><html><img src=http://127.0.0.1:1/x onerror=alert(1)></html>",
            NO_PICTURE,
        ),
        "an SVG that fetches": (
            b'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://127.0.0.1:1/x"/><script>1</script></svg>',
            "SVG drawing",
        ),
        "an SVG that names files": (
            b'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>',
            "SVG drawing",
        ),
        "a billion laughs": (b'<!DOCTYPE s [<!ENTITY a "' + b"ha" * 9999 + b'">]><svg>&a;</svg>', NO_PICTURE),
        "a program in PostScript": (program, "PostScript"),
        "a program in PostScript, with a preview": (b"\xc5\xd0\xd3\xc6" + bytes(28) + program, "PostScript"),
        "a PDF": (b"%PDF-1.7\n1 0 obj<</OpenAction<</S/JavaScript>>>>", "PDF"),
        "a drawing of ImageMagick's": (b"push graphic-context\nimage over 0,0 0,0 'msl:x'\n", NO_PICTURE),
        "an executable": (b"\x7fELF" + bytes(200), NO_PICTURE),
        "a program of Windows": (b"MZ" + bytes(200), NO_PICTURE),
        "a script": (f"#!/bin/sh\ntouch {canary}\n".encode(), NO_PICTURE),
        "a pickle": (b"cos\nsystem\n(S'touch " + str(canary).encode() + b"'\ntR.", NO_PICTURE),
        "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "HEIC"),
        "AVIF": (b"\0\0\0\x1cftypavif\0\0\0\0" + bytes(99), "AVIF"),
        "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99), "JPEG 2000"),
        "JPEG XL": (b"\xff\x0a" + bytes(99), "JPEG XL"),
        "Photoshop": (b"8BPS\0\x01" + bytes(99), "Photoshop"),
        "zeros": (bytes(10_000), NO_PICTURE),
        "noise": (np.random.default_rng(1).bytes(10_000), NO_PICTURE),
        "a pointer of Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", NO_PICTURE),
    }
    # The command line takes it for a model, and starts TensorFlow.
    yield Case("an HDF5 file", "photo.png", b"\x89HDF\r\n\x1a\n" + bytes(200), "file", dear=True)
    for name, (data, says) in heads.items():
        yield Case(name, "photo.png", data, says)
    for kind in ("PPM", "TGA", "PCX", "SGI", "ICO", "IM", "DDS"):
        yield Case(f"a {kind}", "photo.png", encoded(RGB, kind), "choose another picture")


def damaged() -> Iterator[Case]:
    jpeg, whole = encoded(noise(), "JPEG"), encoded(noise(), "PNG")
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        data = encoded(noise(), kind)
        for tenth in (1, 5, 9):
            yield Case(f"a {kind} cut after {tenth} tenths", "photo.png", data[: len(data) * tenth // 10], DAMAGED)
    for kind, head in {"JPEG": jpeg[:3], "PNG": whole[:8], "GIF": b"GIF89a", "TIFF": b"II*\0", "BMP": b"BM"}.items():
        yield Case(f"a {kind} of which only the beginning is there", "photo.png", head, DAMAGED)
    pixels = zlib.compress(bytes(40 * 61))
    yield Case("a wrong check sum", "photo.png", whole[:29] + bytes(4) + whole[33:], DAMAGED)
    yield Case("too few pixels", "photo.png", png(60, 40, zlib.compress(bytes(99))), DAMAGED)
    yield Case("more pixels than it says", "photo.png", png(60, 40, zeros(2**28)), SIZE, read=True)
    yield Case("pixels that do not unpack", "photo.png", png(60, 40, b"not packed at all"), DAMAGED)
    yield Case("a chunk of 4 GB", "photo.png", whole[:33] + b"\xff\xff\xff\xffIDAT" + whole[41:], DAMAGED)
    yield Case("no pixels in a row", "photo.png", png(0, 40, pixels), DAMAGED)
    yield Case("2³¹ pixels in a row", "photo.png", png(2**31, 1, pixels), LARGE)
    yield Case("a depth that there is not", "photo.png", png(60, 40, pixels, depth=7), DAMAGED)
    yield Case("a palette that is missing", "photo.png", png(60, 40, pixels, kind=3), "")
    icc = encoded(RGB, "JPEG", icc_profile=b"not a profile" * 99)
    yield Case("colours described wrongly", "photo.jpg", icc, SIZE, read=True)
    note = encoded(RGB, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0" + b"\xff" * 60_000)
    yield Case("a camera's notes that are none", "photo.jpg", note, SIZE, read=True)
    loop = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0"
    yield Case("a camera's notes that lead in a circle", "photo.jpg", encoded(RGB, "JPEG", exif=loop), SIZE, read=True)
    pages = plain_tiff(60, 40)
    pages = pages[:-4] + struct.pack("<I", 8) + bytes(3000)
    yield Case("a TIFF whose next page is the first", "photo.tif", pages, SIZE, read=True)
    packed = plain_tiff(60, 40, t259=50_000)
    yield Case("a TIFF packed in an unknown way", "photo.tif", packed + bytes(3000), DAMAGED)
    yield Case("a TIFF of whose pixels none are there", "photo.tif", plain_tiff(60, 40, t273=2**31), DAMAGED)
    scans = encoded(RGB, "JPEG", progressive=True)
    at = scans.index(b"\xff\xda")
    again = scans[at : scans.index(b"\xff", at + 2)]
    yield Case("a JPEG in thousands of passes", "photo.jpg", scans[:at] + again * 3000 + scans[at:], "passes")
    gif = (
        b"GIF89a" + struct.pack("<HHBBB", 60, 40, 0x80, 0, 0) + bytes(6) + b"," + struct.pack("<HHHHB", 0, 0, 60, 40, 0)
    )
    yield Case("a GIF that says nothing", "photo.gif", gif + b"\x02\0;", "")
    yield Case("a GIF with an unending comment", "photo.gif", gif[:19] + b"!\xfe" + b"\xff" + b"x" * 10**6, DAMAGED)


def large() -> Iterator[Case]:
    yield Case("of 169 megapixels", "photo.png", black_png(13_000, 13_000), LARGE)
    yield Case("of 400 megapixels", "photo.png", black_png(20_000, 20_000), LARGE)
    yield Case("a little above 50 megapixels", "photo.png", black_png(10_000, 5_001), LARGE)
    yield Case("a line of 50,000 pixels", "photo.png", black_png(50_000, 1), LARGE)
    yield Case("a column of 50,000 pixels", "photo.png", black_png(1, 50_000), LARGE)
    yield Case("2⁶² pixels", "photo.png", png(2**31 - 1, 2**31 - 1, zeros(2**20)), LARGE)
    yield Case("a TIFF of 10¹² pixels", "photo.tif", plain_tiff(10**6, 10**6), LARGE)
    tiles = {256: 16, 257: 16, 258: 8, 259: 5, 262: 1, 277: 1, 322: 60_000, 323: 60_000, 324: 8, 325: 8}
    yield Case("a TIFF in huge tiles", "photo.tif", tiff(tiles), LARGE)
    strips = plain_tiff(60, 40, t278=2**31, t279=2**31)
    yield Case("a TIFF in one huge strip", "photo.tif", strips + bytes(3000), SIZE, read=True)
    yield Case("a TIFF of 10,000 numbers a pixel", "photo.tif", plain_tiff(5000, 5000, t277=10_000), DAMAGED)
    bmp = b"BM" + struct.pack("<IIIIiiHHIIIIII", 54, 0, 54, 40, 30_000, 30_000, 1, 24, 0, 0, 0, 0, 0, 0)
    yield Case("a BMP of 900 megapixels", "photo.bmp", bmp, LARGE)
    canvas = bytes(4) + (16_000).to_bytes(3, "little") * 2
    webp = b"WEBPVP8X" + struct.pack("<I", 10) + canvas
    yield Case("a WebP of 256 megapixels", "photo.webp", b"RIFF" + struct.pack("<I", len(webp)) + webp, LARGE)
    gif = b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0)
    frame = b"," + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0) + b"\x02\x02\x44\x01\0;"
    yield Case("a GIF of 4 gigapixels", "photo.gif", gif + frame, LARGE)
    small = b"GIF89a" + struct.pack("<HHBBB", 60, 40, 0, 0, 0)
    yield Case("a small GIF with a huge frame", "photo.gif", small + frame, LARGE)
    jpeg = bytearray(encoded(RGB, "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", 65_500, 65_500)
    yield Case("a JPEG of 4 gigapixels", "photo.jpg", bytes(jpeg), LARGE)
    yield Case("of more than 30 MB", "photo.bmp", encoded(RGB, "BMP") + bytes(31 * 2**20), "30")


def full_of_notes() -> Iterator[Case]:
    """Little in the picture, much beside it."""
    pixels, text = zlib.compress(bytes(40 * 61)), b"note\0\0"
    bomb = chunk(b"zTXt", text + zeros(2**28))
    yield Case("a note that unpacks to 256 MB", "photo.png", png(60, 40, pixels, before=bomb), "")
    bomb = chunk(b"iTXt", b"note\0\x01\0\0\0" + zeros(2**28))
    yield Case("a note in Unicode that unpacks to 256 MB", "photo.png", png(60, 40, pixels, before=bomb), "")
    bomb = chunk(b"iCCP", text + zeros(2**28))
    yield Case("a description of colours that unpacks to 256 MB", "photo.png", png(60, 40, pixels, before=bomb), "")
    notes = chunk(b"zTXt", text + zlib.compress(bytes(10**6))) * 500
    yield Case("500 notes of a megabyte", "photo.png", png(60, 40, pixels, before=notes), "")
    notes = chunk(b"tEXt", b"note\0" + b"x" * 90) * 100_000
    yield Case("100,000 notes", "photo.png", png(60, 40, pixels, before=notes), SIZE, read=True)
    info = PngImagePlugin.PngInfo()
    info.add_text("Software", "<script>alert(1)</script>" * 1000)
    yield Case("a note in HTML", "photo.png", encoded(RGB, "PNG", pnginfo=info), SIZE, read=True)
    jpeg = encoded(RGB, "JPEG")
    for _ in range(100):
        jpeg = with_segment(jpeg, 0xE1, b"Exif\0\0" + bytes(65_500))
    yield Case("6 MB of a camera's notes", "photo.jpg", jpeg, SIZE, read=True)
    exif_chunk = chunk(b"eXIf", b"II*\0\x08\0\0\0" + b"\xff\xff" + b"\x12\x01\x02\0\xff\xff\xff\x7f\0\0\0\0" * 65_535)
    yield Case("65,535 notes of 2 GB that are not there", "photo.png", png(60, 40, pixels, before=exif_chunk), "", True)


def called_oddly() -> Iterator[Case]:
    for name, file in {
        "a name of control characters": "\x1b[31m\x07\x01.png",
        "a name of two lines": "one\ntwo.png",
        "a name that reads backwards": "cat\u202egnp.exe.png",
        "a name in HTML": "<img src=x onerror=alert(1)>.png",
        "a name in Markdown": "![x](https:evil.example).png",
        "a formula for a name": "=HYPERLINK(1).png",
        "a device of Windows": "CON.png",
        "an option for a name": "--help.png",
        "no name but a suffix": ".png",
        "a name of 250 bytes": "x" * 246 + ".png",
    }.items():
        yield Case(f"{name}, a picture", file, encoded(RGB, "PNG"), SIZE, read=True)
        yield Case(f"{name}, no picture", file, b"hello", NO_PICTURE)
