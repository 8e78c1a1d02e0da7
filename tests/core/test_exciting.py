"""Which photos excite a channel most: known answers, an oracle that goes one by one, and what strangers send."""

from __future__ import annotations

import io
import zipfile

import keras
import numpy as np
import pytest
from PIL import Image

from core import exciting, images, samples
from core.activations import infer_layers
from core.backbones.batches import BATCH_BYTES
from core.errors import UserError
from core.messages import Exciting, ExcitingRequest

from .tiny import TINY_SIZE, redness_model, tiny_backbone, with_seeded_weights

RED = (230, 20, 20)


def spot(y: int, x: int, colour=RED, size: tuple[int, int] = (TINY_SIZE, TINY_SIZE)) -> np.ndarray:
    """A grey photo with one pixel of `colour`."""
    pixels = np.full((*size, 3), 90, np.uint8)
    pixels[y, x] = colour
    return pixels


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def zip_of(path, files: dict[str, bytes]) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return str(path)


@pytest.fixture
def rank(monkeypatch):
    """Runs the task on a network made for the test: all of its snapshots."""

    def run(backbone, layer: str, photos: str) -> list[Exciting]:
        monkeypatch.setattr(exciting.loading, "load", lambda ref: backbone)
        return list(exciting.rank(ExcitingRequest(backbone.ref, layer, str(photos))))

    return run


@pytest.fixture(scope="module")
def redness():
    return tiny_backbone(redness_model())


def test_the_reddest_photo_wins_and_its_red_spot_is_the_place(rank, redness, tmp_path):
    files = {
        "a.png": spot(3, 4, (120, 60, 60)),
        "b.png": spot(17, 5),
        "c.png": spot(9, 9, (200, 200, 200)),
    }
    photos = zip_of(tmp_path / "photos.zip", {name: png(pixels) for name, pixels in files.items()})
    result = rank(redness, "redness", photos)[-1]
    assert result.names == ("a.png", "b.png", "c.png")
    assert result.peaks[:, 0].argmax() == 1
    np.testing.assert_allclose(result.peaks[1, 0], 230 - 20, rtol=1e-5)
    assert result.places[1, 0].tolist() == [17, 5]
    assert result.peaks[:, 1].argmax() == 2  # the brightest
    assert result.places[2, 1].tolist() == [9, 9]
    assert result.map_size == (TINY_SIZE, TINY_SIZE)
    assert (result.done, result.total, result.left_out, result.beyond) == (3, 3, (), 0)


@pytest.mark.parametrize("layer", ["conv1", "bn1", "conv2", "pool", "predictions"])
def test_batches_say_what_one_by_one_says(rank, layer, tmp_path):
    backbone, rng = tiny_backbone(preprocessing="tf"), np.random.default_rng(3)
    sizes = [(24, 24), (60, 31), (17, 90), (24, 48)] * 5
    photos = {f"{i:02}.png": rng.integers(0, 256, (*size, 3), np.uint8) for i, size in enumerate(sizes)}
    for name, pixels in photos.items():
        (tmp_path / name).write_bytes(png(pixels))
    result = rank(backbone, layer, tmp_path)[-1]
    assert result.names == tuple(photos)
    for place, pixels in enumerate(photos.values()):
        seen = images.fit(pixels, backbone.input_size)[None]
        values = infer_layers(backbone, seen, (layer,))[layer][0]
        maps = values.reshape(-1, values.shape[-1])
        np.testing.assert_allclose(result.peaks[place], maps.max(axis=0), rtol=1e-4, atol=1e-5)
        ys, xs = result.places[place].T
        there = values[ys, xs, np.arange(values.shape[-1])] if values.ndim == 3 else values
        np.testing.assert_allclose(there, maps.max(axis=0), rtol=1e-4, atol=1e-5)
        if values.ndim == 1:
            assert result.map_size == (1, 1) and not result.places.any()


def test_what_is_not_finite_does_not_win(rank, tmp_path):
    inputs = keras.Input((TINY_SIZE, TINY_SIZE, 3))
    logarithm = keras.layers.Lambda(lambda x: keras.ops.log(x) - 3, name="logarithm")(inputs)  # of 0: -inf
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: 1 / x, name="inverse")(logarithm))
    black = np.zeros((TINY_SIZE, TINY_SIZE, 3), np.uint8)
    (tmp_path / "black.png").write_bytes(png(black))
    result = rank(tiny_backbone(model), "logarithm", tmp_path)[-1]
    assert result.peaks.tolist() == [[0, 0, 0]]


def test_what_cannot_be_read_is_left_out_and_said_so(rank, redness, tmp_path):
    good = png(spot(1, 1))
    files = {
        "z.png": good,
        "broken.jpg": good[: len(good) // 2],
        "notes.txt": b"no picture",
        "empty.png": b"",
        "../../outside.png": good,
        "![x](https:evil)/<b>.png": good,
        "__MACOSX/._z.png": b"residue",
    }
    result = rank(redness, "redness", zip_of(tmp_path / "photos.zip", files))[-1]
    assert result.names == ("![x](https:evil)/<b>.png", "outside.png", "z.png")
    assert [name for name, _ in result.left_out] == ["broken.jpg", "empty.png", "notes.txt"]
    assert all(why for _, why in result.left_out)
    assert result.done == result.total == 6
    assert len(result.peaks) == len(result.places) == len(result.thumbnails) == 3


def test_a_folder_says_what_its_zip_says(rank, redness, tmp_path):
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    files = {"b.png": png(spot(2, 3)), "sub/a.png": png(spot(4, 5)), "a.png": png(spot(6, 7))}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    packed = rank(redness, "redness", zip_of(tmp_path / "photos.zip", files))[-1]
    unpacked = rank(redness, "redness", folder)[-1]
    assert packed.names == unpacked.names == ("a.png", "b.png", "sub/a.png")
    np.testing.assert_array_equal(packed.peaks, unpacked.peaks)
    np.testing.assert_array_equal(packed.places, unpacked.places)


def test_the_order_of_files_in_the_zip_does_not_matter(rank, redness, tmp_path):
    files = {f"{name}.png": png(spot(i, i)) for i, name in enumerate("cab")}
    one = rank(redness, "redness", zip_of(tmp_path / "1.zip", files))[-1]
    other = rank(redness, "redness", zip_of(tmp_path / "2.zip", dict(reversed(files.items()))))[-1]
    assert one.names == other.names == ("a.png", "b.png", "c.png")
    np.testing.assert_array_equal(one.peaks, other.peaks)


@pytest.mark.parametrize(
    "files", [{}, {"a.txt": b"nothing"}, {"a.png": b"\x89PNG\r\n\x1a\n"}], ids=["empty", "text", "broken"]
)
def test_without_a_photo_there_is_one_sentence(rank, redness, tmp_path, files):
    with pytest.raises(UserError, match="no photo"):
        rank(redness, "redness", zip_of(tmp_path / "photos.zip", files))


def test_unknown_layers_and_paths_are_said(rank, redness, tmp_path):
    with pytest.raises(UserError, match="nope"):
        rank(redness, "nope", "samples")
    with pytest.raises(UserError, match="no folder or ZIP"):
        rank(redness, "redness", tmp_path / "missing.zip")
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(UserError, match=r"bad\.zip"):
        rank(redness, "redness", tmp_path / "bad.zip")


def test_the_samples_are_all_looked_at(rank, redness):
    result = rank(redness, "redness", "samples")[-1]
    assert result.names == tuple(sample.name for sample in samples.PHOTOGRAPHS)
    for data in result.thumbnails:
        times = exciting.THUMBNAIL_SIDE // TINY_SIZE  # small ones are enlarged in whole pixels
        assert images.decode(data).shape == (times * TINY_SIZE, times * TINY_SIZE, 3)


def test_snapshots_grow_to_the_result(rank, redness, tmp_path, monkeypatch):
    monkeypatch.setattr(exciting, "REPORT_EVERY", 0)
    monkeypatch.setattr(exciting, "BATCH_MOST", 4)
    for i in range(10):
        (tmp_path / f"{i}.png").write_bytes(png(spot(i, i)))
    snapshots = rank(redness, "redness", tmp_path)
    assert [each.done for each in snapshots] == [4, 8, 10]
    for each in snapshots:
        assert len(each.names) == len(each.peaks) == each.done and each.total == 10
        np.testing.assert_array_equal(each.peaks, snapshots[-1].peaks[: each.done])


def test_of_too_many_photos_some_are_taken_from_all_over(rank, redness, tmp_path, monkeypatch):
    monkeypatch.setattr(exciting, "MOST_PHOTOS", 4)
    files = {f"{i:02}.png": png(spot(1, 1)) for i in range(10)} | {f"{i:02}.txt": b"no picture" for i in range(50)}
    result = rank(redness, "redness", zip_of(tmp_path / "photos.zip", files))[-1]
    assert result.names == ("00.png", "03.png", "06.png", "09.png")
    assert (result.total, result.beyond) == (4, 56)


def test_a_layer_with_many_channels_gets_fewer_photos(rank, redness, tmp_path, monkeypatch):
    monkeypatch.setattr(exciting, "MOST_ANSWERS", 6)
    for i in range(5):
        (tmp_path / f"{i}.png").write_bytes(png(spot(1, 1)))
    result = rank(redness, "redness", tmp_path)[-1]
    assert result.peaks.size <= 6 and result.names == ("0.png", "2.png", "4.png")


def test_thumbnails_have_a_limit_even_for_noise():
    noise = np.random.default_rng(0).integers(0, 256, (300, 500, 3), np.uint8)
    plenty = exciting.thumbnail(noise, 10**6)
    assert max(images.decode(plenty).shape) == 128
    tight = exciting.thumbnail(noise, exciting.THUMBNAILS_BYTES // exciting.MOST_PHOTOS)
    assert len(tight) <= exciting.THUMBNAILS_BYTES // exciting.MOST_PHOTOS


def test_batches_are_as_large_as_memory_allows():
    small = tiny_backbone()
    assert exciting.batch_size(small, "conv1") == exciting.BATCH_MOST
    inputs = keras.Input((None, None, 3))
    wide = keras.layers.Conv2D(64, 1, name="wide")(inputs)
    model = with_seeded_weights(keras.Model(inputs, keras.layers.Conv2D(1, 1, name="thin")(wide)))
    large = tiny_backbone(model, input_size=(224, 224))
    assert exciting.batch_size(large, "thin") == 2
    for layer in ("wide", "thin"):
        together = exciting.batch_size(large, layer)
        assert together == 1 or together * 224 * 224 * 64 * 4 <= BATCH_BYTES


def test_another_channel_or_batch_traces_nothing_again(redness, tmp_path):
    shown = np.stack([spot(2, 2), spot(3, 3), spot(4, 4)])
    exciting.answers(redness, "redness", shown)
    held = exciting._compiled.get(redness.model, ("redness", (TINY_SIZE, TINY_SIZE)), lambda: pytest.fail("anew"))
    exciting.answers(redness, "redness", shown[:1])
    assert held is exciting._compiled.get(redness.model, ("redness", (TINY_SIZE, TINY_SIZE)), lambda: pytest.fail())
