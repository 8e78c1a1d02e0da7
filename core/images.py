"""Pictures: bytes to checked pixels, and pixels to what is shown.

At every door a picture is `uint8[H, W, 3]`, RGB, upright. What a stranger sends is decided by its content, never by its
name; its size is checked before anything is decoded; and whatever is wrong with it becomes one sentence.
"""

from __future__ import annotations

import io
import math
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageCms, TiffImagePlugin

from core.errors import UserError
from core.messages import Photo

MAX_BYTES = 30 * 1024**2
MAX_PIXELS = 50_000_000
MAX_SIDE = 20_000
MAX_JPEG_SCANS = 1000
PHOTO_SIDE = 1280
ACCEPTED = "JPEG, PNG, WebP, BMP, GIF or TIFF"

# One picture at a time: thirty large ones at once would take 15 GB, and `catch_warnings` is not safe between threads.
_decoding = threading.Lock()

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_OTHERS = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript (EPS) drawing"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript (EPS) drawing"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "a ZIP archive"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"8BPS", "a Photoshop document"),
    (b"\0\0\x01\0", "an icon (ICO)"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
)
_NO_PICTURES = (b"%PDF", b"PK", b"\x89HDF")
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_UPRIGHT = {  # EXIF's orientation -> what sets the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ON_ITS_SIDE = range(5, 9)  # height and width change places
COLOURS = {  # those of Plotly's "Viridis" and "RdBu_r", so that pictures and charts agree
    "viridis": "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725",
    "diverging": "053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f",
}
_NO_VALUE = 128  # the grey of a map's NaN


@dataclass(frozen=True)
class Original:
    """What a picture's file was: `size` is (height, width) as one sees it, before it was shrunk; `turned` where it lay
    on its side or was mirrored, by what the camera noted (EXIF), and has been set upright."""

    size: tuple[int, int]
    turned: bool


def decode(data: bytes, name: str = "the file") -> np.ndarray:
    """The picture in `data` as `uint8[H, W, 3]`, RGB, upright; transparency over white; the first frame of several.

    Raises `UserError`, and nothing else, for what is not a whole JPEG, PNG, WebP, BMP, GIF or TIFF picture of at most
    30 MB, 50 megapixels and 20,000 pixels a side. `name` is only said in that sentence.
    """
    return _pixels(data, name, None)[0]


def photo(data: bytes, name: str = "the file") -> Photo:
    """`decode`, then shrunk so that the long side has at most 1280 pixels."""
    return photo_and_original(data, name)[0]


def photo_and_original(data: bytes, name: str = "the file") -> tuple[Photo, Original]:
    """`photo`, and what its file was."""
    pixels, original = _pixels(data, name, PHOTO_SIDE)
    height, width = pixels.shape[:2]
    shrink = PHOTO_SIDE / max(height, width)
    if shrink < 1:
        pixels = resize(pixels, (max(1, round(height * shrink)), max(1, round(width * shrink))))
    return Photo.of(pixels), original


def read(path: Path) -> bytes:
    """The bytes of a picture's file, of any name; `UserError` where it cannot be read or is larger than 30 MB."""
    if not path.is_file():
        raise UserError(f"There is no file {path}. Give the path of a picture ({ACCEPTED}).")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UserError(_too_heavy(_called(path.name), size))
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read. Check who may read it.") from error


def looks_like_picture(head: bytes) -> bool:
    """Whether a file that begins with `head` (4096 bytes are enough) means to be a picture, accepted or not."""
    return bool(_accepted_kind(head) or _refused_kind(head)) and not head.startswith(_NO_PICTURES)


def resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`uint8[H, W, 3]` -> `uint8[h, w, 3]` for `size` (h, w), antialiased, the aspect not kept."""
    height, width = size
    return np.array(_image(pixels).resize((width, height), Image.Resampling.BICUBIC))


def fit(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The largest part in the middle that has the aspect of `size` (h, w), antialiased to it: `uint8[h, w, 3]`."""
    height, width = size
    full_height, full_width = pixels.shape[:2]
    scale = min(full_height / height, full_width / width)
    left, top = (full_width - scale * width) / 2, (full_height - scale * height) / 2
    # Rounding may put an edge a hair outside, which Pillow refuses.
    box = (max(0.0, left), max(0.0, top), min(full_width, left + scale * width), min(full_height, top + scale * height))
    return np.array(_image(pixels).resize((width, height), Image.Resampling.BICUBIC, box=box))


def encode_png(pixels: np.ndarray) -> bytes:
    """`uint8[H, W, 3]` -> PNG, without loss."""
    return _encode(pixels, format="PNG")


def encode_webp(pixels: np.ndarray, quality: int = 85) -> bytes:
    """`uint8[H, W, 3]` -> WebP, which allows at most 16,383 pixels a side."""
    return _encode(pixels, format="WEBP", quality=quality)


def encode_jpeg(pixels: np.ndarray, quality: int = 90) -> bytes:
    """`uint8[H, W, 3]` -> JPEG."""
    return _encode(pixels, format="JPEG", quality=quality)


def encode_animation(
    frames: Sequence[np.ndarray], kind: Literal["webp", "gif"], milliseconds: int = 100, hold_last: int = 1500
) -> bytes:
    """Pictures of one size, `uint8[H, W, 3]`, one after the other and again for ever, as animated WebP or GIF.

    Each is shown for `milliseconds` (GIF counts in hundredths of a second), the last one for `hold_last`. Equal ones in
    a row become one that is shown longer. GIF has 256 colours a picture; WebP takes less than half of its room.
    """
    if not frames or len({frame.shape for frame in frames}) != 1:
        raise ValueError(f"`frames` must be pictures of one size, got {[frame.shape for frame in frames]}.")
    first, *others = map(_image, frames)
    times = [milliseconds] * len(others) + [hold_last]
    options = {"save_all": True, "append_images": others, "duration": times, "loop": 0}
    buffer = io.BytesIO()
    if kind == "webp":
        first.save(buffer, format="WEBP", quality=85, **options)
    elif kind == "gif":
        first.save(buffer, format="GIF", **options)
    else:
        raise ValueError(f"`kind` must be 'webp' or 'gif', got {kind!r}.")
    return buffer.getvalue()


def stitch(tiles: np.ndarray, columns: int, margin: int, background: int = 0) -> np.ndarray:
    """`uint8[N, h, w, 3]` -> one picture, row by row, with `margin` pixels of grey `background` between the tiles.

    There is no margin around, as in the textbook: 8 tiles of 150 with margins of 5 are 1235 wide. The last row is
    filled up with the background.
    """
    count, height, width, _ = tiles.shape
    rows = math.ceil(count / columns)
    picture = np.full((rows * (height + margin), columns * (width + margin), 3), background, np.uint8)
    cells = picture.reshape(rows, height + margin, columns, width + margin, 3)
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        cells[row, :height, column, :width] = tile
    height, width = max(0, len(picture) - margin), picture.shape[1] - margin
    return np.ascontiguousarray(picture[:height, :width])


def colourise(
    values: np.ndarray, low: float, high: float, colours: Literal["viridis", "diverging"] = "viridis"
) -> np.ndarray:
    """`float[H, W]` -> `uint8[H, W, 3]`: `low` and below get the first colour, `high` and above the last, NaN grey.

    Where `low` is not below `high` there is nothing to tell apart, and all get the first ("diverging": the middle).
    """
    values = np.asarray(values, dtype=np.float64)
    if high > low:
        position = np.clip((values - low) / (high - low), 0.0, 1.0)
    else:
        position = np.where(np.isnan(values), np.nan, 0.5 if colours == "diverging" else 0.0)
    missing = np.isnan(position)
    picture = _table(colours)[np.rint(np.where(missing, 0.0, position) * 255).astype(np.uint8)]
    picture[missing] = _NO_VALUE
    return picture


def overlay(photo: np.ndarray, heat: np.ndarray, alpha: float) -> np.ndarray:
    """`heat` (`uint8[h, w, 3]`, enlarged to the photo) over `photo` (`uint8[H, W, 3]`); at `alpha` 0 only the photo."""
    if heat.shape != photo.shape:
        heat = resize(heat, photo.shape[:2])
    return np.array(Image.blend(_image(photo), _image(heat), min(max(alpha, 0.0), 1.0)))


def _pixels(data: bytes, name: str, draft_side: int | None) -> tuple[np.ndarray, Original]:
    called = _called(name)
    kind = _kind(data, called)
    try:
        with _decoding, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _read(data, kind, called, draft_side)
    except (UserError, KeyboardInterrupt):
        raise
    except Image.DecompressionBombError as error:
        raise UserError(_too_large(called)) from error
    except MemoryError as error:
        raise UserError(f"{called} needs more memory than is free here. Make the picture smaller.") from error
    except Exception as error:  # Pillow's readers raise whatever a broken file makes them stumble over
        raise UserError(f"{called} is a damaged or incomplete {kind} picture. Save or download it again.") from error


def _kind(data: bytes, called: str) -> str:
    """Which of the accepted formats `data` begins like; `UserError` for all others."""
    if not data:
        raise UserError(f"{called} is empty. Choose a picture ({ACCEPTED}).")
    if len(data) > MAX_BYTES:
        raise UserError(_too_heavy(called, len(data)))
    kind = _accepted_kind(data)
    if kind is None:
        what = _refused_kind(data) or "is not a picture that can be opened here"
        raise UserError(f"{called} {what}. Save it as {ACCEPTED}, or choose another picture.")
    return kind


def _accepted_kind(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    return next((kind for signature, kind in _SIGNATURES if data.startswith(signature)), None)


def _refused_kind(data: bytes) -> str | None:
    """What else `data` is, as the end of "the file ..."; `None` where that is not known."""
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS:
        return "is in HEIC, the format of iPhones, which cannot be opened here"
    if data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis"):
        return "is in AVIF, a format which cannot be opened here"
    if b"<svg" in data[:4096].lower():
        return "is an SVG drawing, made of shapes and not of pixels"
    return next((f"is {what}" for signature, what in _OTHERS if data.startswith(signature)), None)


def _read(data: bytes, kind: str, called: str, draft_side: int | None) -> tuple[np.ndarray, Original]:
    if kind == "WebP":
        _check_size(_webp_size(data), called)  # its reader makes room for the whole picture when it is opened
    if kind == "JPEG" and data.count(b"\xff\xda") > MAX_JPEG_SCANS:
        raise UserError(f"{called} is a JPEG in more than {MAX_JPEG_SCANS} passes, which takes too long. Save it anew.")
    with Image.open(io.BytesIO(data), formats=[kind.upper()]) as image:
        _check_size(image.size, called)
        if kind == "TIFF":
            _check_tiles(image, called)
        width, height = image.size
        if draft_side:
            image.draft(None, (draft_side, draft_side))  # a large JPEG is decoded at a half, a quarter or an eighth
        image.load()
        orientation = _orientation(image)
        turn = _UPRIGHT.get(orientation)
        upright = image if turn is None else image.transpose(turn)
        size = (width, height) if orientation in _ON_ITS_SIDE else (height, width)
        return np.array(_to_rgb(upright, kind)), Original(size, turn is not None)


def _to_rgb(image: Image.Image, kind: str) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_grey(np.asarray(image), image.mode, kind)).convert("RGB")
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image)
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def _grey(values: np.ndarray, mode: str, kind: str) -> np.ndarray:
    """One number per pixel, of any range, to `uint8[H, W]`.

    16 bits are taken in full, except in a TIFF that uses only the 12 or 14 of a scientific camera. Other numbers are
    taken as 0..1 (floats), 0..255 or 0..65535 where they fit, and stretched from least to greatest where they do not.
    """
    values = values.astype(np.float32)  # a copy, which is changed in its place: there may be 50 million
    np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if mode == "F":
        ranges = [1.0, 255.0, 65535.0]
    elif kind == "PNG":
        ranges = [65535.0]
    else:
        ranges = [255.0, 65535.0] if mode == "I" else [4095.0, 16383.0, 65535.0]
    full = next((top for top in ranges if high <= top), None)
    if low >= 0 and full is not None:
        low = 0.0
    else:
        full = max(high - low, 1e-30)
    scale = 255.0 / full
    values *= scale
    values -= low * scale
    np.rint(values, out=values)
    return np.clip(values, 0, 255, out=values).astype(np.uint8)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # a damaged note about the camera does not make the picture any worse
        return 1


def _webp_size(data: bytes) -> tuple[int, int]:
    """Width and height as the first chunk of a WebP file has them (RFC 9649)."""
    chunk = data[12:16]
    if chunk == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if chunk == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF


def _check_size(size: tuple[int, int], called: str) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise UserError(f"{called} has no pixels ({width} × {height}). Choose another picture.")
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise UserError(_too_large(called, f" ({width:,} × {height:,})"))


def _check_tiles(image: TiffImagePlugin.TiffImageFile, called: str) -> None:
    """A small TIFF may be cut into huge tiles, for each of which libtiff makes room."""
    if int(image.tag_v2.get(322, 1)) * int(image.tag_v2.get(323, 1)) > MAX_PIXELS:
        raise UserError(_too_large(called))


def _too_heavy(called: str, size: int) -> str:
    return f"{called} has {size / 1024**2:.1f} MB; a picture may have {MAX_BYTES // 1024**2}. Make it smaller."


def _too_large(called: str, size: str = "") -> str:
    limit = f"at most {MAX_PIXELS // 1_000_000} megapixels and {MAX_SIDE:,} pixels a side are accepted"
    return f"{called} has too many pixels{size}: {limit}. Make it smaller."


def _called(name: str) -> str:
    name = "".join(letter for letter in name if letter.isprintable()).strip()[-80:]
    return "The file" if name in ("", "the file") else name


def _image(pixels: np.ndarray) -> Image.Image:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"`pixels` must be uint8[H, W, 3], got {pixels.dtype}{list(pixels.shape)}.")
    return Image.fromarray(np.ascontiguousarray(pixels))


def _encode(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    _image(pixels).save(buffer, **options)
    return buffer.getvalue()


def _table(colours: str) -> np.ndarray:
    """`uint8[256, 3]`, straight lines between the given colours."""
    given = np.array([list(bytes.fromhex(colour)) for colour in COLOURS[colours].split()], dtype=np.float64)
    at, nodes = np.linspace(0, 1, 256), np.linspace(0, 1, len(given))
    return np.stack([np.rint(np.interp(at, nodes, channel)) for channel in given.T], axis=1).astype(np.uint8)
