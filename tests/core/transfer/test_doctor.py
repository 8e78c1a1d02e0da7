"""The data doctor: each thing that can be wrong with photos is found, and nothing where nothing is wrong."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from core import images, samples
from core.messages import Progress
from core.transfer import datasets, doctor, preview
from core.transfer.requests import DataPreview, DataRequest, Finding

from .conftest import photo, zip_of


def noise(seed: int, size: tuple[int, int] = (120, 120)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def jpeg(pixels: np.ndarray, orientation: int | None = None) -> bytes:
    file, exif = io.BytesIO(), Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.fromarray(pixels).save(file, "JPEG", exif=exif)
    return file.getvalue()


def healthy(count: int = 10, prefix: str = "", start: int = 0) -> dict[str, bytes]:
    """`count` photos of each of two classes, with nothing wrong about them."""
    names = [f"{prefix}{name}/{index:02}.png" for name in ("ant", "bee") for index in range(count)]
    return {name: images.encode_png(noise(start + seed)) for seed, name in enumerate(names)}


@pytest.fixture
def look(tmp_path):
    def look_at(files: dict[str, bytes]) -> dict[str, Finding]:
        path = zip_of(tmp_path / "data.zip", files)
        found = doctor.findings(datasets.read(str(path), 32))
        kinds = {finding.kind: finding for finding in found}
        assert len(kinds) == len(found), "two findings of one kind"
        for finding in found:
            assert finding.words.endswith((".", "?")) and finding.words.isprintable()
            assert all(len(row) == len(finding.columns) for row in finding.rows)
        return kinds

    return look_at


def files_of(finding: Finding) -> list[str]:
    column = finding.columns.index("file")
    return sorted(row[column] for row in finding.rows)


def pixels_of(finding: Finding) -> np.ndarray:
    return images.decode(finding.picture)


def test_healthy_photos_have_a_clean_bill(look):
    found = look(healthy())
    assert list(found) == ["nothing"]
    assert found["nothing"].level == "good"


@pytest.mark.parametrize(
    ("kind", "name", "data"),
    [
        ("damaged", "ant/cut.png", images.encode_png(noise(90))[:2000]),
        ("no picture", "ant/song.jpg", b"la la la"),
        ("no picture", "ant/letter.txt", b"Dear Sir"),
        ("small", "ant/tiny.png", photo(seed=91, side=31)),
        ("duplicate", "ant/zz copy.png", images.encode_png(noise(3))),
        ("two classes", "bee/zz.png", images.encode_png(noise(3))),
        ("outside", "stray.png", images.encode_png(noise(92))),
    ],
    ids=["damaged", "no picture", "a text", "small", "duplicate", "two classes", "outside"],
)
def test_what_is_left_out_is_told_with_its_kind(look, kind, name, data):
    found = look(healthy() | {name: data})
    assert list(found) == [kind]
    assert found[kind].words.startswith("1 file ")
    assert files_of(found[kind]) == [name]
    shown = kind in ("small", "duplicate", "two classes")
    assert (found[kind].picture is not None) == shown


def test_several_are_told_in_one_sentence(look):
    found = look(healthy() | {f"ant/{number}.txt": b"x" for number in range(3)})
    assert found["no picture"].words == "3 files are no pictures; they are left out."


def test_a_training_photo_nearly_in_the_test_is_told_with_its_twin(look):
    cat = samples.photograph("cat").pixels
    files = healthy(10, "train/") | healthy(4, "valid/", 100) | healthy(4, "test/", 200)
    files |= {"train/ant/cat.jpg": jpeg(images.resize(cat, (150, 225))), "test/ant/cat.jpg": jpeg(cat)}
    found = look(files)
    assert list(found) == ["leak"]
    assert found["leak"].rows == (("train/ant/cat.jpg", "test/ant/cat.jpg"),)
    assert pixels_of(found["leak"]).shape == (2 * 32 + 4, 32, 3)


def test_a_class_that_is_never_asked_about_is_told(look):
    files = healthy(10, "train/") | healthy(4, "test/", 100)
    found = look({name: data for name, data in files.items() if "test/bee" not in name})
    assert found["empty part"].words.startswith("There are no photos for test of bee")
    assert "drawn" in found["no validation"].words


def test_nearly_the_same_within_a_class_are_told_in_pairs(look):
    cat, coffee = (images.resize(samples.photograph(name).pixels, (240, 360)) for name in ("cat", "coffee"))
    files = {"ant/a.jpg": jpeg(cat), "ant/b.jpg": jpeg(images.resize(cat, (150, 225)))}
    files |= {"bee/a.jpg": jpeg(coffee), "bee/b.jpg": jpeg(images.resize(coffee, (200, 300)))}
    found = look(healthy() | files)
    assert list(found) == ["alike"]
    assert found["alike"].rows == (("1", "ant/a.jpg"), ("1", "ant/b.jpg"), ("2", "bee/a.jpg"), ("2", "bee/b.jpg"))
    assert "2 groups" in found["alike"].words
    assert pixels_of(found["alike"]).shape == (2 * 32 + 4, 2 * 32 + 4, 3)


def test_nearly_the_same_in_two_classes_is_worth_a_look(look):
    cat = samples.photograph("cat").pixels
    found = look(healthy() | {"ant/a.jpg": jpeg(cat), "bee/b.jpg": jpeg(images.resize(cat, (100, 150)))})
    assert (list(found), found["alike across"].level) == (["alike across"], "attend")


def test_a_class_of_one_scene_is_told(look):
    cat = samples.photograph("cat").pixels
    shots = {f"cup/{number:02}.jpg": jpeg(images.resize(cat, (100 + number, 150))) for number in range(10)}
    assert "All photos of cup are nearly the same" in look(healthy() | shots)["all alike"].words


@pytest.mark.parametrize(("count", "told"), [(19, False), (20, False), (21, True)])
def test_imbalance_is_told_from_twice_as_many_on(look, count, told):
    files = healthy() | {f"ant/more {index}.png": images.encode_png(noise(300 + index)) for index in range(count - 10)}
    found = look(files)
    assert ("imbalance" in found) == told
    if told:
        assert "ant has 21 photos, 2.1 times as many as bee with 10." in found["imbalance"].words
        assert "class weights" in found["imbalance"].words


def test_few_photos_are_told(look):
    assert look(healthy(9))["few"].words == "ant and bee have fewer than 10 photos. More would help a lot."


def grey(seed: int) -> bytes:
    return jpeg(np.repeat(noise(seed)[..., :1], 3, axis=2))


def test_grey_photos_are_told(look):
    found = look(healthy() | {f"{name}/grey.jpg": grey(ord(name[0])) for name in ("ant", "bee")})
    assert (list(found), found["grey"].words, found["grey"].level) == (["grey"], "2 photos have no colour.", "note")


def test_grey_as_the_mark_of_a_class_is_a_warning(look):
    files = {name: data for name, data in healthy().items() if name.startswith("ant")}
    found = look(files | {f"bee/{index:02}.jpg": grey(400 + index) for index in range(10)})
    assert found["grey"].level == "attend"
    assert "10 of them are of bee" in found["grey"].words


@pytest.mark.parametrize("orientation", range(2, 9))
def test_photos_that_were_set_upright_are_told_and_upright(look, tmp_path, orientation):
    scene = samples.photograph("cat").pixels
    lying = {
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: np.rot90(p),
        7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
        8: lambda p: np.rot90(p, -1),
    }[orientation]
    found = look(healthy() | {"ant/phone.jpg": jpeg(np.ascontiguousarray(lying(scene)), orientation)})
    assert (list(found), files_of(found["turned"])) == (["turned"], ["ant/phone.jpg"])
    dataset = datasets.read(str(tmp_path / "data.zip"), 32)
    place = dataset.files.index("ant/phone.jpg")
    assert dataset.originals[place].size == scene.shape[:2]
    difference = dataset.photos[place].astype(int) - images.fit(scene, (32, 32))
    assert np.abs(difference).mean() < 4


def test_odd_sizes_are_told(look):
    odd = {"ant/small.png": noise(501, (60, 64)), "ant/panorama.png": noise(502, (100, 420)), "bee/x.png": noise(503)}
    found = look(healthy() | {name: images.encode_png(pixels) for name, pixels in odd.items()})
    assert set(found) == {"blurred", "oblong", "mixed sizes"}
    assert found["blurred"].rows == (("ant/small.png", "64 × 60"),)
    assert found["oblong"].rows == (("ant/panorama.png", "420 × 100"),)
    assert "from 64 × 60 to 420 × 100 pixels" in found["mixed sizes"].words


def test_what_matters_comes_first(look):
    found = look(healthy(9) | {"ant/cut.png": images.encode_png(noise(90))[:2000], "ant/up.jpg": jpeg(noise(91), 6)})
    assert [finding.level for finding in found.values()] == ["attend", "note", "good"]


def test_the_preview_has_all_of_it_from_one_reading(tmp_path):
    path = zip_of(tmp_path / "data.zip", healthy(10, "train/") | healthy(4, "valid/", 100))
    *progress, found = preview.run(DataRequest(str(path)))
    assert progress and all(isinstance(item, Progress) for item in progress)
    assert isinstance(found, DataPreview)
    assert (found.classes, found.counts, found.parts) == (("ant", "bee"), (14, 14), ((10, 4, 0), (10, 4, 0)))
    assert [finding.kind for finding in found.findings] == ["nothing"]
    assert all(images.decode(picture).shape == (194, 194, 3) for picture in found.thumbnails)


@pytest.mark.slow
def test_the_doctor_finds_nothing_wrong_with_chessman():
    found = doctor.findings(datasets.read("chessman", 32))
    assert [finding.kind for finding in found] == ["nothing"]
