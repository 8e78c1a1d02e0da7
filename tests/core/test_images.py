"""Pictures: whatever Pillow can write is read rightly, and whatever else comes is refused in one sentence."""

import io
import random
import struct
import tracemalloc
import warnings
import zlib

import numpy as np
import PIL
import plotly.colors
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from core import images
from core.errors import UserError

GREY = np.tile(np.linspace(0, 255, 40).round().astype(np.uint8), (24, 1))
RGB = np.stack([GREY, GREY[:, ::-1], np.full_like(GREY, 90)], axis=-1)
CLOSE = 2  # grey levels on the average, for formats without loss


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def encoded(image, kind, **options):
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def difference(found, expected):
    assert found.dtype == np.uint8 and found.shape == expected.shape
    return np.abs(found.astype(int) - expected).mean()


def in_three(grey):
    return np.stack([grey] * 3, axis=-1)


# ---- what is read


@pytest.mark.parametrize(
    ("kind", "close"), [("PNG", 0), ("BMP", 0), ("TIFF", 0), ("WEBP", 0), ("JPEG", 5), ("GIF", 25)]
)
def test_every_accepted_format(kind, close):
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95, "subsampling": 0}}.get(kind, {})
    found = images.decode(encoded(RGB, kind, **options), "liar.txt")
    assert difference(found, RGB) <= close
    assert found.flags.c_contiguous


@pytest.mark.parametrize("kind", ["PNG", "GIF", "WEBP", "TIFF"])
def test_the_first_of_several_frames(kind):
    first, second = Image.new("RGB", (30, 20), (200, 10, 10)), Image.new("RGB", (30, 20), (10, 10, 200))
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(first, kind, save_all=True, append_images=[second], **options)
    assert difference(images.decode(data), np.asarray(first)) <= CLOSE


def lab():
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    return ImageCms.profileToProfile(Image.fromarray(RGB), srgb, lab, outputMode="LAB")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "HSV", "LAB"])
def test_every_mode_with_colours(mode):
    image = Image.fromarray(RGB)
    image = lab() if mode == "LAB" else image.convert("RGBA").convert("RGBa") if mode == "RGBa" else image.convert(mode)
    assert image.mode == mode
    assert difference(np.asarray(images._to_rgb(image, "TIFF")), RGB) <= CLOSE


@pytest.mark.parametrize("mode", ["L", "LA", "La", "P", "PA"])
def test_every_mode_in_grey(mode):
    image = Image.fromarray(GREY)
    image = image.convert("LA").convert("La") if mode == "La" else image.convert("P").convert(mode)
    assert image.mode == mode
    assert difference(np.asarray(images._to_rgb(image, "PNG")), in_three(GREY)) <= CLOSE


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "GIF"])
def test_two_colours(kind):
    ink = GREY > 100
    assert difference(images.decode(encoded(Image.fromarray(ink), kind)), in_three(ink * 255)) == 0


YCBCR_TIFF = pytest.param(
    "YCbCr",
    "TIFF",
    marks=pytest.mark.skipif(PIL.__version__ < "13", reason="Pillow 12 calls its own YCbCr TIFF files truncated"),
)


@pytest.mark.parametrize(("mode", "kind"), [("CMYK", "JPEG"), ("CMYK", "TIFF"), YCBCR_TIFF, ("LAB", "TIFF")])
def test_the_modes_that_files_bring(mode, kind):
    image = lab() if mode == "LAB" else Image.fromarray(RGB).convert(mode)
    assert difference(images.decode(encoded(image, kind)), RGB) <= 5


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_rescaled_and_not_clipped(kind):
    data = encoded(GREY.astype(np.uint16) * 257, kind)
    assert difference(images.decode(data), in_three(GREY)) == 0


def test_a_sixteen_bit_png_keeps_its_brightness():
    dark = np.full((8, 8), 3 * 257, np.uint16)
    assert (images.decode(encoded(dark, "PNG")) == 3).all()


def test_a_twelve_bit_tiff_is_not_black():
    data = encoded((GREY.astype(int) * 4095 // 255).astype(np.uint16), "TIFF")
    assert difference(images.decode(data), in_three(GREY)) <= 1


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_floats_in_the_usual_ranges(top):
    data = encoded((GREY / 255 * top).astype(np.float32), "TIFF")
    assert difference(images.decode(data), in_three(GREY)) <= 1


@settings(max_examples=30)
@given(low=st.floats(-1e30, -1e-3), spread=st.floats(1e-3, 1e30))
def test_other_floats_are_stretched(low, spread):
    values = (low + np.linspace(0, 1, 16).reshape(4, 4) * spread).astype(np.float32)
    found = images.decode(encoded(values, "TIFF"))[:, :, 0].ravel().astype(int)
    assert (np.diff(found) >= 0).all()
    if len(set(values.ravel())) > 1:
        assert (found[0], found[-1]) == (0, 255)


def test_numbers_that_are_none_do_no_harm():
    values = np.array([[np.nan, np.inf], [-np.inf, 1.0]], np.float32)
    assert images.decode(encoded(values, "TIFF"))[:, :, 0].tolist() == [[0, 0], [0, 255]]


def test_integers_of_thirty_two_bits():
    data = encoded(Image.fromarray(GREY.astype(np.int32) * 100_000 - 5), "TIFF")
    assert difference(images.decode(data), in_three(GREY)) <= 1


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_what_is_transparent_is_white(kind):
    image = Image.fromarray(RGB).convert("RGBA")
    image.putalpha(Image.fromarray(np.where(GREY > 100, 255, 0).astype(np.uint8)))
    options = {"lossless": True} if kind == "WEBP" else {}
    expected = np.where((GREY > 100)[..., None], RGB, 255)
    assert difference(images.decode(encoded(image, kind, **options)), expected) == 0


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_transparent_colour_is_white(mode):
    image = Image.new(mode, (4, 4), 0)
    image.putpixel((0, 0), (9, 9, 9) if mode == "RGB" else 9)
    if mode == "P":
        image.putpalette([0, 0, 200] * 256)
    data = encoded(image, "PNG", transparency=(0, 0, 0) if mode == "RGB" else 0)
    found = images.decode(data)
    assert (found[1:] == 255).all() and (found[0, 0] != 255).any()


def test_a_palette_with_its_own_transparency():
    image = Image.fromarray(RGB).quantize(4)
    data = encoded(image, "PNG", transparency=bytes([0, 255, 255, 255]))
    expected = np.where((np.asarray(image) == 0)[..., None], 255, np.asarray(image.convert("RGB")))
    assert difference(images.decode(data), expected) == 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_upright(kind, orientation):
    upright = np.full((32, 48, 3), 30, np.uint8)
    upright[:16, :16] = 220  # one bright corner: the first
    upright[:16, 32:] = 120
    # What a camera stores for each orientation, from the meaning of row 0 and column 0 in EXIF 2.32, table 6.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = images.decode(encoded(np.ascontiguousarray(stored), kind, exif=exif.tobytes()))
    assert difference(found, upright) <= 6


def test_a_damaged_note_of_the_camera_does_not_matter():
    exif = b"Exif\0\0II*\0\x08\0\0\0" + bytes([255]) * 40
    assert images.decode(encoded(RGB, "JPEG", exif=exif)).shape == RGB.shape


# ---- what is refused


def sentence(data, name="cat.png"):
    with pytest.raises(UserError) as refused:
        images.decode(data, name)
    text = str(refused.value)
    assert "\n" not in text and len(text) < 250
    assert text.startswith(name)
    return text


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"hello", "not a picture"),
        (bytes(1000), "not a picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(99), "HEIC"),
        (b"\0\0\0\x1cftypavif\0\0\0\0" + bytes(99), "AVIF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- x -->\n<SVG width='1'/>", "SVG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "EPS"),
        (b"%PDF-1.7\n", "PDF"),
        (b"PK\x03\x04" + bytes(40), "ZIP"),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "HDF5"),
        (b"\xff\xd8\xff", "damaged"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (b"GIF89a", "damaged"),
        (b"II*\0", "damaged"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "no pixels"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_sentence(data, words):
    assert words in sentence(data)


def test_formats_that_pillow_could_read_but_nobody_should_send():
    for kind in ("PPM", "ICO", "TGA", "PCX", "SGI", "EPS", "PDF"):
        sentence(encoded(RGB, kind))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
def test_half_a_picture_is_refused(kind):
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    data = encoded(noise, kind)
    assert "damaged or incomplete" in sentence(data[: len(data) // 2])


@pytest.mark.parametrize("name", ["", "\n", "a\nb\x1b[31m.png", "x" * 5000])
def test_a_strange_name_does_not_break_the_sentence(name):
    with pytest.raises(UserError) as refused:
        images.decode(b"", name)
    assert str(refused.value).isprintable() and len(str(refused.value)) < 250


def png_that_claims(width, height):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


def webp_that_claims(width, height):
    canvas = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunk = b"VP8X" + struct.pack("<I", 10) + canvas
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def gif_that_claims(width, height):
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + b";"


def bmp_that_claims(width, height):
    return b"BM" + struct.pack("<IIIIiiHHIIIIII", 54, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("claim", [png_that_claims, webp_that_claims, bmp_that_claims])
@pytest.mark.parametrize("size", [(10_000, 10_000), (20_001, 2), (2, 20_001), (16_000_000, 16_000_000)])
def test_too_many_pixels_are_refused_before_they_are_decoded(claim, size):
    tracemalloc.start()
    assert "too many pixels" in sentence(claim(*size))
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_too_many_pixels_in_a_gif():
    frame = b"," + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0) + b"\x02\x02\x44\x01\0;"
    assert "too many pixels" in sentence(gif_that_claims(65_535, 65_535)[:-1] + frame)
    assert "too many pixels" in sentence(gif_that_claims(10, 10)[:-1] + frame)


def test_a_small_tiff_in_huge_tiles():
    tags = {256: 16, 257: 16, 258: 8, 259: 5, 262: 1, 277: 1, 322: 60_000, 323: 60_000, 324: 8, 325: 8}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    data = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    assert "too many pixels" in sentence(data)
    small = data.replace(struct.pack("<I", 60_000), struct.pack("<I", 16))
    assert "damaged" in sentence(small)


def test_exactly_the_limit_of_pixels_is_accepted(monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", RGB.shape[0] * RGB.shape[1])
    data = encoded(RGB, "PNG")
    assert images.decode(data).shape == RGB.shape
    monkeypatch.setattr(images, "MAX_PIXELS", images.MAX_PIXELS - 1)
    assert "too many pixels" in sentence(data)


def test_too_many_bytes():
    assert "30" in sentence(b"\xff\xd8\xff" + bytes(images.MAX_BYTES))


def test_a_jpeg_with_thousands_of_passes():
    data = encoded(RGB, "JPEG", progressive=True)
    scan = data.index(b"\xff\xda")
    assert "passes" in sentence(data[:scan] + data[scan : data.index(b"\xff", scan + 2)] * 1500 + data[scan:])


SEEDS = [
    encoded(RGB, "PNG"),
    encoded(Image.fromarray(RGB).quantize(16), "PNG", transparency=b"\0\x80"),
    encoded(GREY.astype(np.uint16) * 257, "PNG"),
    encoded(RGB, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"),
    encoded(RGB, "JPEG", progressive=True),
    encoded(Image.fromarray(RGB).convert("CMYK"), "JPEG"),
    encoded(RGB, "WEBP"),
    encoded(Image.fromarray(RGB).convert("RGBA"), "WEBP", lossless=True),
    encoded(RGB, "GIF", save_all=True, append_images=[Image.fromarray(RGB[::-1])]),
    encoded(RGB, "BMP"),
    encoded(Image.fromarray(RGB).quantize(16), "BMP"),
    encoded(RGB, "TIFF", compression="tiff_lzw"),
    encoded(RGB, "TIFF", compression="jpeg"),
    encoded((GREY / 255).astype(np.float32), "TIFF"),
]


def mutated(data, rng):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        place = rng.randrange(len(data))
        what = rng.randrange(5)
        if what == 0:
            data[place] = rng.randrange(256)
        elif what == 1:
            data[place : place + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\0\x80"])
        elif what == 2:
            del data[place : place + rng.randrange(1, 40)]
        elif what == 3:
            data[place:place] = rng.randbytes(rng.randrange(1, 20))
        else:
            data = data[: max(place, 4)]
        data = data or bytearray(b"x")
    return bytes(data)


def assert_decoded_or_refused(data):
    try:
        found = images.decode(data)
    except UserError as refused:
        assert "\n" not in str(refused)
        return
    assert found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3 and found.size


@settings(max_examples=600, deadline=None)
@given(seed=st.sampled_from(SEEDS), chance=st.integers(0, 2**32))
def test_a_damaged_picture_gives_pixels_or_a_sentence_and_nothing_else(seed, chance):
    assert_decoded_or_refused(mutated(seed, random.Random(chance)))


@pytest.mark.slow
def test_many_damaged_pictures():
    rng = random.Random(0)
    for _ in range(50_000):
        assert_decoded_or_refused(mutated(rng.choice(SEEDS), rng))


@settings(max_examples=100)
@given(data=st.binary(max_size=300))
def test_anything_gives_pixels_or_a_sentence(data):
    assert_decoded_or_refused(data)


# ---- what is made of them


def test_a_photo_has_at_most_1280_pixels_a_side():
    found = images.photo(encoded(np.zeros((1500, 3000, 3), np.uint8), "PNG"))
    assert found.pixels.shape == (640, 1280, 3)
    assert not found.pixels.flags.writeable


@pytest.mark.parametrize("size", [(3000, 2000), (5000, 100), (1281, 1280), (20_000, 1)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_large_photo_is_shrunk_and_looks_the_same(size, kind):
    across = np.linspace(0, 255, size[0])[None, :, None]
    pixels = np.broadcast_to(across, (size[1], size[0], 3)).astype(np.uint8)
    found = images.photo(encoded(pixels, kind)).pixels
    assert found.shape[1] == 1280 and found.shape[0] == max(1, round(size[1] * 1280 / size[0]))
    assert np.abs(found[:, 2:-2].mean(axis=(0, 2)) - np.linspace(0, 255, 1280)[2:-2]).max() < 3


def test_a_small_photo_stays_as_it_is():
    assert (images.photo(encoded(RGB, "PNG")).pixels == RGB).all()


def test_equal_photos_have_equal_digests_and_others_not():
    first, again = images.photo(encoded(RGB, "PNG")), images.photo(encoded(RGB, "BMP"))
    assert first == again
    assert first != images.photo(encoded(RGB[:, ::-1], "PNG"))


@settings(max_examples=60)
@given(shape=st.tuples(st.integers(1, 90), st.integers(1, 90)), size=st.tuples(st.integers(1, 64), st.integers(1, 64)))
def test_fitting_gives_the_wanted_size_from_the_middle(shape, size):
    down, across = np.mgrid[: shape[0], : shape[1]]
    pixels = np.stack([down, across, np.full(shape, 77)], axis=-1).astype(np.uint8)
    found = images.fit(pixels, size)
    assert found.shape == (*size, 3) and (found[:, :, 2] == 77).all()
    middle = (np.array(shape) - 1) / 2
    assert np.abs(found.reshape(-1, 3)[:, :2].mean(axis=0) - middle).max() <= 1


def test_fitting_cuts_off_the_sides_and_not_the_middle():
    pixels = np.zeros((50, 150, 3), np.uint8)
    pixels[:, 50:100] = 200
    assert (images.fit(pixels, (50, 50)) == 200).all()
    assert (images.fit(pixels.transpose(1, 0, 2), (50, 50)) == 200).all()


def test_shrinking_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    found = images.resize(stripes, (8, 8)).astype(int)
    assert np.abs(found - 127.5).max() < 20


@pytest.mark.parametrize(
    ("encode", "close"), [(images.encode_png, 0), (images.encode_webp, 8), (images.encode_jpeg, 8)]
)
def test_what_is_encoded_can_be_decoded(encode, close):
    assert difference(images.decode(encode(RGB)), RGB) <= close


@pytest.mark.parametrize("pixels", [RGB.astype(float), GREY, RGB[..., :2]])
def test_what_is_no_picture_is_not_encoded(pixels):
    with pytest.raises(ValueError, match="uint8"):
        images.encode_png(pixels)


def test_the_textbooks_mosaic_is_1235_pixels_wide():
    assert images.stitch(np.zeros((64, 150, 150, 3), np.uint8), columns=8, margin=5).shape == (1235, 1235, 3)


@settings(max_examples=60)
@given(
    count=st.integers(1, 12),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    columns=st.integers(1, 5),
    margin=st.integers(0, 3),
)
def test_each_tile_is_where_it_belongs(count, height, width, columns, margin):
    tiles = np.random.default_rng(0).integers(0, 250, (count, height, width, 3), dtype=np.uint8)
    picture = images.stitch(tiles, columns, margin, background=255)
    rows = -(-count // columns)
    assert picture.shape == (rows * height + (rows - 1) * margin, columns * width + (columns - 1) * margin, 3)
    for index, tile in enumerate(tiles):
        top, left = index // columns * (height + margin), index % columns * (width + margin)
        assert (picture[top : top + height, left : left + width] == tile).all()
    assert (picture == 255).all(axis=-1).sum() == picture.shape[0] * picture.shape[1] - count * height * width


@pytest.mark.parametrize(("colours", "scale"), [("viridis", "Viridis"), ("diverging", "RdBu_r")])
def test_colours_agree_with_the_charts(colours, scale):
    values = np.linspace(-3, 7, 256)[None]
    wanted = plotly.colors.sample_colorscale(scale, np.linspace(0, 1, 256), colortype="tuple")
    found = images.colourise(values, -3, 7, colours)[0]
    assert np.abs(found - np.array(wanted) * 255).max() <= 1


def test_colours_beyond_the_scale_and_of_nothing():
    found = images.colourise(np.array([[-np.inf, -1, 0, 1, 2, np.inf, np.nan]]), 0, 1)[0]
    assert (found[:3] == found[0]).all() and (found[3:6] == found[5]).all()
    assert (found[0] != found[5]).any() and found[6].tolist() == [128] * 3


def test_a_map_of_one_value_has_one_colour():
    for colours in ("viridis", "diverging"):
        assert len(np.unique(images.colourise(np.full((4, 4), 2.5), 2.5, 2.5, colours).reshape(-1, 3), axis=0)) == 1


def test_an_overlay_lies_between_the_photo_and_the_heat():
    heat = images.colourise(np.arange(6.0).reshape(2, 3), 0, 5)
    assert (images.overlay(RGB, heat, 0) == RGB).all()
    assert (images.overlay(RGB, heat, 1) == images.resize(heat, RGB.shape[:2])).all()
    halfway = (RGB.astype(float) + images.resize(heat, RGB.shape[:2])) / 2
    assert np.abs(images.overlay(RGB, heat, 0.5) - halfway).max() <= 1


# ---- files


def test_a_file_is_read_and_one_that_is_too_large_is_not(tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(encoded(RGB, "PNG"))
    assert (images.decode(images.read(path)) == RGB).all()
    with path.open("r+b") as file:
        file.truncate(images.MAX_BYTES + 1)
    with pytest.raises(UserError, match="30"):
        images.read(path)
    for missing in (tmp_path / "none", tmp_path):
        with pytest.raises(UserError, match="no file"):
            images.read(missing)


@pytest.mark.parametrize("seed", SEEDS)
def test_pictures_look_like_pictures(seed):
    assert images.looks_like_picture(seed[:4096])


@pytest.mark.parametrize("head", [b"", b"hello", b"PK\x03\x04", b"%PDF-1.7", b"\x89HDF\r\n\x1a\n", bytes(99)])
def test_other_files_do_not(head):
    assert not images.looks_like_picture(head)


# ---- animations


def played(data):
    """The frames, how long each is shown, and how often all are (0: for ever)."""
    with Image.open(io.BytesIO(data)) as image:
        frames, times = [], []
        for index in range(image.n_frames):
            image.seek(index)
            frames.append(np.array(image.convert("RGB")))
            times.append(image.info["duration"])
        return frames, times, image.info["loop"]


@pytest.mark.parametrize("kind", ["webp", "gif"])
def test_an_animation_shows_every_frame(kind):
    frames = [np.roll(RGB, 5 * shift, axis=1) for shift in range(6)]
    data = images.encode_animation(frames, kind, milliseconds=80, hold_last=700)
    found, times, loops = played(data)
    assert (len(found), times, loops) == (6, [80] * 5 + [700], 0)
    for frame, expected in zip(found, frames, strict=True):
        assert difference(frame, expected) < 8
    assert difference(found[0], frames[3]) > 30
    assert data.startswith({"webp": b"RIFF", "gif": b"GIF89a"}[kind])


@pytest.mark.parametrize("kind", ["webp", "gif"])
def test_each_frame_of_an_animation_has_its_own_colours(kind):
    colours = [(220, 30, 40), (30, 200, 60), (20, 60, 230), (128, 128, 128), (0, 0, 0), (255, 255, 255)]
    frames = [np.broadcast_to(np.array(colour, np.uint8), (16, 20, 3)) for colour in colours]
    found, _, _ = played(images.encode_animation(frames, kind))
    assert [tuple(frame[8, 10].tolist()) for frame in found] == [pytest.approx(colour, abs=6) for colour in colours]


@pytest.mark.parametrize("kind", ["webp", "gif"])
def test_frames_that_are_equal_last_as_long_as_they_would(kind):
    _, times, _ = played(images.encode_animation([RGB, RGB, RGB, RGB[:, ::-1]], kind, milliseconds=50, hold_last=400))
    assert sum(times) == 550
    assert images.decode(images.encode_animation([RGB], kind)).shape == RGB.shape


@pytest.mark.parametrize(
    ("frames", "kind"), [([], "webp"), ([RGB, RGB[1:]], "gif"), ([RGB / 255], "webp"), ([RGB], "mp4")]
)
def test_what_is_no_animation(frames, kind):
    with pytest.raises(ValueError, match="must be"):
        images.encode_animation(frames, kind)
