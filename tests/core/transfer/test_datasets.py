from __future__ import annotations

import struct
import threading
import time
import zipfile

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core import archives, images, samples
from core.errors import UserError
from core.messages import Progress
from core.transfer import datasets
from core.transfer.datasets import Dataset

from .conftest import coloured, photo, write, zip_of


def four(**changes) -> dict[str, bytes]:
    """Two classes with two photos each, and what is given."""
    files = {f"{name}/{index}.png": photo(seed=index + 10 * (name == "b")) for name in "ab" for index in range(2)}
    return {**files, **changes}


def read_zip(tmp_path, files, **options) -> Dataset:
    return datasets.read(str(zip_of(tmp_path / "data.zip", files, **options)), 16)


def test_folder_and_zip_give_the_same(folder, tmp_path):
    from_folder = datasets.read(str(folder), 16)
    from_zip = read_zip(tmp_path, coloured())
    assert from_folder.classes == from_zip.classes == ("blue", "green", "red")
    assert from_folder.files == from_zip.files
    np.testing.assert_array_equal(from_folder.photos, from_zip.photos)
    np.testing.assert_array_equal(from_folder.labels, np.repeat([0, 1, 2], 8))


def test_photos_are_what_images_makes_of_the_bytes(folder):
    dataset = datasets.read(str(folder), 16)
    for pixels, file in zip(dataset.photos, dataset.files, strict=True):
        expected = images.fit(images.decode((folder / file).read_bytes()), (16, 16))
        np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("prefix", ["", "top/", "home/teacher/pictures/"])
def test_common_top_folders_are_opened(tmp_path, prefix):
    files = {f"{prefix}{name}": data for name, data in four().items()}
    assert read_zip(tmp_path, files).classes == ("a", "b")


def test_photos_deeper_in_a_class_belong_to_it(tmp_path):
    dataset = read_zip(tmp_path, four(**{"a/monday/7.png": photo(seed=7)}))
    assert dataset.classes == ("a", "b")
    assert dataset.labels.tolist() == [0, 0, 0, 1, 1]


def test_train_and_test_folders_are_put_together(tmp_path):
    names = [f"pets/{part}/{name}" for part in ("train", "test") for name in four()]
    dataset = read_zip(tmp_path, {name: photo(seed=seed) for seed, name in enumerate(names)})
    assert dataset.classes == ("a", "b")
    assert len(dataset) == 8


def test_classes_that_are_named_like_splits_stay_classes(tmp_path):
    names = [f"{name}/{index}.png" for name in ("train", "bus") for index in (1, 2)]
    files = {name: photo(seed=seed) for seed, name in enumerate(names)}
    assert read_zip(tmp_path, files).classes == ("bus", "train")


def parts_of(dataset: Dataset) -> dict[str, int]:
    return dict(zip(dataset.files, dataset.given.tolist(), strict=True))


@pytest.mark.parametrize(
    ("train", "valid", "test"),
    [("train", "valid", "test"), ("Training", "val", "Testing"), ("train_set", "validation_data", "test-images")],
)
@pytest.mark.parametrize("path", ["{part}/{name}", "top/pets/{part}/{name}", "{part}/{part}/{name}"])
def test_folders_say_what_their_photos_are_for(tmp_path, train, valid, test, path):
    names = {train: 0, valid: 1, test: 2}
    files = {path.format(part=part, name=name): name for part in names for name in four()}
    dataset = read_zip(tmp_path, {name: photo(seed=seed) for seed, name in enumerate(files)})
    assert dataset.classes == ("a", "b")
    assert parts_of(dataset) == {name: names[next(part for part in names if part in name)] for name in files}


def test_each_class_may_have_such_folders_of_its_own(tmp_path):
    names = [f"{name}/{part}/{index}.png" for name in "ab" for part in ("train", "test") for index in (1, 2)]
    dataset = read_zip(tmp_path, {name: photo(seed=seed) for seed, name in enumerate(names)})
    assert dataset.classes == ("a", "b")
    assert parts_of(dataset) == {name: 2 if "test" in name else 0 for name in names}


def test_a_training_folder_alone_says_nothing(tmp_path):
    dataset = read_zip(tmp_path, {f"train/{name}": data for name, data in four().items()})
    assert (dataset.classes, dataset.given) == (("a", "b"), None)


def test_photos_without_a_class_do_not_hide_the_classes(tmp_path):
    """The test folder of a competition: nobody may know what is in it."""
    files = {f"train/{name}": data for name, data in four().items()}
    dataset = read_zip(tmp_path, {**files, "test/1.png": photo(seed=50), "test/2.png": photo(seed=51)})
    assert (dataset.classes, dataset.given) == (("a", "b"), None)
    assert {file for file, _ in dataset.left_out} == {"test/1.png", "test/2.png"}


def in_parts(**more: bytes) -> dict[str, bytes]:
    names = [f"{part}/{name}/{index}.png" for part in ("train", "valid", "test") for name in "ab" for index in range(3)]
    return {name: photo(seed=seed) for seed, name in enumerate(names)} | more


def test_of_equal_photos_the_one_for_the_test_is_kept(tmp_path):
    files = in_parts()
    files |= {"train/a/copy.png": files["valid/a/0.png"], "valid/b/copy.png": files["test/b/0.png"]}
    dataset = read_zip(tmp_path, files)
    assert dict(dataset.left_out) == {
        "train/a/copy.png": "is the same photo as valid/a/0.png, which is kept for validation",
        "valid/b/copy.png": "is the same photo as test/b/0.png, which is kept for test",
    }


def test_a_training_photo_that_is_nearly_one_of_the_test_is_not_learned_from(tmp_path):
    cat = samples.photograph("cat").pixels
    alike = {
        "train/a/cat.png": images.encode_png(images.resize(cat, (100, 150))),
        "test/a/cat.jpg": images.encode_jpeg(cat, 50),
        "train/b/dog.png": images.encode_png(samples.photograph("coffee").pixels),
    }
    dataset = read_zip(tmp_path, in_parts(**alike))
    places = {file: place for place, file in enumerate(dataset.files)}
    assert dataset.given[places["train/a/cat.png"]] == -1
    assert np.count_nonzero(dataset.given == -1) == 1
    assert dataset.left_out == ()
    splits = datasets.split(dataset, 0.2, 0)
    assert splits.unused.tolist() == [places["train/a/cat.png"]]
    everything = [*splits.training, *splits.validation, *splits.test, *splits.unused]
    assert sorted(everything) == list(range(len(dataset)))
    anew = datasets.split(dataset, 0.2, 0, own=False)
    assert sorted([*anew.training, *anew.validation]) == list(range(len(dataset)))
    same_side = np.isin([places["train/a/cat.png"], places["test/a/cat.jpg"]], anew.training)
    assert same_side[0] == same_side[1]


def test_what_is_left_out_does_not_depend_on_the_size(tmp_path):
    """The centres of these two are the same; the photos are not."""
    left = np.full((40, 80, 3), 200, np.uint8)
    left[:, 20:60] = np.random.default_rng(0).integers(0, 255, (40, 40, 3))
    right = left.copy()
    right[:, :10] = 0
    data = {"a/left.png": images.encode_png(left), "a/right.png": images.encode_png(right), "b/x.png": photo(seed=80)}
    path = zip_of(tmp_path / "data.zip", four(**data, **{"a/tiny.png": photo(seed=81, side=31)}))
    small, large = (datasets.read(str(path), size) for size in (16, 64))
    assert small.files == large.files
    assert (
        small.left_out == large.left_out == (("a/tiny.png", "has only 31 × 31 pixels; at least 32 a side are needed"),)
    )
    assert {"a/left.png", "a/right.png"} <= set(small.files)
    np.testing.assert_array_equal(small.groups, large.groups)


def test_residue_is_passed_over_in_silence(tmp_path):
    residue = ["__MACOSX/a/._0.png", "a/._0.png", "a/.DS_Store", "b/Thumbs.db", "desktop.ini", ".git/x.png"]
    dataset = read_zip(tmp_path, {f"top/{name}": data for name, data in four(**dict.fromkeys(residue, b"x")).items()})
    assert dataset.classes == ("a", "b")
    assert len(dataset) == 4
    assert dataset.left_out == ()


def test_content_decides_and_not_the_name(tmp_path):
    dataset = read_zip(tmp_path, four(**{"a/photo.txt": photo(seed=5, kind="JPEG"), "b/text.png": b"not a picture"}))
    assert len(dataset) == 5
    assert [file for file, _ in dataset.left_out] == ["b/text.png"]


def test_bad_files_are_listed_and_stay_where_they_are(folder):
    bad = {"red/cut.png": photo(seed=3)[:200], "red/empty.jpg": b"", "green/a.svg": b"<svg/>"}
    write(folder, bad)
    dataset = datasets.read(str(folder), 16)
    assert {file for file, _ in dataset.left_out} == set(bad)
    assert all(why for _, why in dataset.left_out)
    assert all((folder / file).read_bytes() == data for file, data in bad.items())
    assert len(dataset) == 24


def test_folders_of_texts_are_no_classes(tmp_path):
    dataset = read_zip(tmp_path, four(**{"notes/readme.txt": b"hello", "LICENSE": b"free"}))
    assert dataset.classes == ("a", "b")


def test_copies_within_a_class_are_left_out_but_the_first(tmp_path):
    dataset = read_zip(tmp_path, four(**{"a/9.png": photo(seed=0), "a/99.png": photo(seed=0)}))
    assert len(dataset) == 4
    assert dataset.left_out == tuple((f"a/{name}.png", "is the same photo as a/0.png") for name in (9, 99))
    assert {each.kind for each in dataset.refused} == {"duplicate"}
    np.testing.assert_array_equal(dataset.refused[0].pixels, dataset.photos[0])


def test_one_photo_in_two_classes_is_kept_once(tmp_path):
    dataset = read_zip(tmp_path, four(**{"b/again.png": photo(seed=0)}))
    assert len(dataset) == 4
    assert [file for file, _ in dataset.left_out] == ["b/again.png"]


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"a.png": photo(), "b.png": photo(seed=1)},
        {"a/0.png": photo(), "a/1.png": photo(seed=1)},
        {"a/0.png": photo(), "a/1.png": photo(seed=1), "b/0.png": photo(seed=9)},
        {"a/0.png": photo(), "a/1.png": photo(seed=1), "b/0.png": photo(seed=9), "b/1.png": photo(seed=9)},
        {"a/0.png": photo(), "a/1.png": photo(seed=1), "b/0.png": b"no", "b/1.png": b"no"},
    ],
    ids=["nothing", "no folders", "one class", "one photo", "the same photo twice", "no readable photo"],
)
def test_too_little_is_said_in_one_sentence(tmp_path, files):
    with pytest.raises(UserError, match="at least two"):
        read_zip(tmp_path, files)


@pytest.mark.parametrize(
    ("files", "remedy"),
    [
        ({"cats.zip": b"PK", "dogs.zip": b"PK"}, r"other archives \(cats.zip, dogs.zip\). Unpack them"),
        ({f"pets/{index}.png": photo(seed=index) for index in range(4)}, "all its 4 photos lie in one folder"),
        ({f"{index}.png": photo(seed=index) for index in range(4)}, "all its 4 photos lie side by side"),
        (
            {f"{part}/{index}.png": photo(seed=index) for part in ("train", "valid") for index in range(4)},
            "has train and valid, but no class folders inside",
        ),
    ],
    ids=["a ZIP of ZIPs", "one folder", "no folder", "parts without classes"],
)
def test_a_common_mistake_gets_its_own_remedy(tmp_path, files, remedy):
    with pytest.raises(UserError, match=remedy):
        read_zip(tmp_path, files)


def test_per_class_takes_so_many_of_each_part(tmp_path):
    dataset = datasets.read(str(zip_of(tmp_path / "data.zip", in_parts())), 16, per_class=2)
    assert [np.bincount(dataset.labels[dataset.given == part]).tolist() for part in range(3)] == [[2, 2]] * 3


def test_per_class_takes_so_many_of_each_and_always_the_same(folder):
    first, again = (datasets.read(str(folder), 16, per_class=3) for _ in range(2))
    assert np.bincount(first.labels).tolist() == [3, 3, 3]
    assert first == again


def test_what_is_neither_folder_nor_zip_is_refused(tmp_path):
    (tmp_path / "photo.png").write_bytes(photo())
    for name in ("photo.png", "nowhere"):
        with pytest.raises(UserError, match=name):
            datasets.inspect(tmp_path / name)


def test_inspect_says_what_is_there(folder):
    assert datasets.inspect(folder) == "24 photos in 3 classes: blue (8), green (8), red (8)."


def test_chessman_is_drawn_with_progress_and_given_up_with_the_reader(folder, monkeypatch):
    given_up = threading.Event()

    def draw(report):
        try:
            while not folder.joinpath("drawn").exists():
                report(Progress("Drawing"))
                time.sleep(0.001)
        except InterruptedError:
            given_up.set()
            raise
        return folder

    monkeypatch.setattr(datasets.samples, "chessman", draw)
    steps = datasets.reading("chessman", 16)
    assert next(steps) == next(steps) == Progress("Drawing")
    steps.close()
    assert given_up.wait(10)
    steps = datasets.reading("chessman", 16)
    next(steps)
    folder.joinpath("drawn").touch()
    *_, dataset = steps
    assert (dataset.name, len(dataset)) == ("chessman", 24)


def test_an_error_while_drawing_reaches_the_reader(monkeypatch):
    def draw(report):
        raise UserError("The disk is full.")

    monkeypatch.setattr(datasets.samples, "chessman", draw)
    with pytest.raises(UserError, match="disk is full"):
        datasets.read("chessman", 16)


# --- ZIPs from anybody -----------------------------------------------------------------------------------------------


def test_paths_never_leave_the_archive(tmp_path):
    files = {f"../../top/../{name}": value for name, value in four().items()}
    data = zip_of(tmp_path / "data.zip", files)
    assert datasets.read(str(data), 16).classes == ("a", "b")
    assert [path.name for path in tmp_path.iterdir()] == ["data.zip"]


def test_names_become_printable_and_short(tmp_path):
    evil = "a\x1b[31m\u202e" + "x" * 300
    files = {f"{name}/{index}.png": photo(seed=index + 7 * (name == "b")) for name in (evil, "b") for index in range(2)}
    classes = read_zip(tmp_path, files).classes
    assert all(name.isprintable() and len(name) <= 80 for name in classes)


def test_long_names_that_differ_at_the_end_or_middle_stay_apart(tmp_path):
    names = ["x" * 60 + letter + "y" * 60 for letter in "pq"]
    files = {f"{name}/{index}.png": photo(seed=index + 9 * (name in names[0])) for name in names for index in (1, 2)}
    assert len(read_zip(tmp_path, files).classes) == 2


@given(st.text())
def test_clean_is_printable_short_and_never_empty(text):
    name = archives.clean(text)
    assert name.isprintable()
    assert 0 < len(name) <= 80
    assert archives.clean(name) == name


def test_utf8_names_without_the_flag_are_read_as_utf8(tmp_path):
    path = zip_of(tmp_path / "data.zip", {name.replace("a/", "é/"): data for name, data in four().items()})
    raw = bytearray(path.read_bytes())
    for sign, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = raw.find(sign)
        while place >= 0:
            flags = struct.unpack_from("<H", raw, place + at)[0]
            struct.pack_into("<H", raw, place + at, flags & ~0x800)
            place = raw.find(sign, place + 1)
    path.write_bytes(raw)
    assert datasets.read(str(path), 16).classes == ("b", "é")


def test_too_many_entries_are_refused_before_they_are_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "ENTRIES_MAX", 10)
    files = {f"a/{index}.png": b"" for index in range(11)}
    path = zip_of(tmp_path / "many.zip", files)
    raw = bytearray(path.read_bytes())
    struct.pack_into("<2H", raw, len(raw) - 22 + 8, 2, 2)  # an end record that tells fewer
    for data in (path.read_bytes(), raw):
        path.write_bytes(data)
        with pytest.raises(UserError, match="more than 10 files"):
            datasets.inspect(path)


def test_a_large_member_is_left_out_and_a_large_total_refused(tmp_path, monkeypatch):
    files = four(**{"a/film.mp4": bytes(50_000)})
    monkeypatch.setattr(archives, "MEMBER_MAX_BYTES", 20_000)
    dataset = read_zip(tmp_path, files)
    assert [file for file, _ in dataset.left_out] == ["a/film.mp4"]
    monkeypatch.setattr(archives, "TOTAL_MAX_BYTES", 40_000)
    with pytest.raises(UserError, match="unpacks to more than"):
        read_zip(tmp_path, files)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_are_left_out(tmp_path, method):
    path = zip_of(tmp_path / "data.zip", four())
    with zipfile.ZipFile(path, "a", method) as archive:
        archive.writestr("a/odd.png", photo(seed=77))
    dataset = datasets.read(str(path), 16)
    assert [file for file, _ in dataset.left_out] == ["a/odd.png"]


def test_links_and_inner_archives_are_left_out(tmp_path):
    inner = zip_of(tmp_path / "inner.zip", four()).read_bytes()
    path = zip_of(tmp_path / "data.zip", four(**{"a/inner.zip": inner}))
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("b/link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    left_out = dict(datasets.read(str(path), 16).left_out)
    assert "link" in left_out["b/link.png"]
    assert "archive" in left_out["a/inner.zip"]


def test_passwords_are_refused(tmp_path):
    path = zip_of(tmp_path / "data.zip", four())
    raw = bytearray(path.read_bytes())
    place = raw.find(b"PK\x01\x02")
    raw[place + 8] |= 1
    path.write_bytes(raw)
    with pytest.raises(UserError, match="password"):
        datasets.inspect(path)


def test_overlapping_members_are_refused(tmp_path):
    path = zip_of(tmp_path / "data.zip", four())
    raw = bytearray(path.read_bytes())
    places = [place for place in range(len(raw)) if raw[place : place + 4] == b"PK\x01\x02"]
    raw[places[1] + 42 : places[1] + 46] = raw[places[0] + 42 : places[0] + 46]
    path.write_bytes(raw)
    with pytest.raises(UserError, match="overlap"):
        datasets.inspect(path)


def test_a_damaged_member_is_left_out(tmp_path):
    path = zip_of(tmp_path / "data.zip", four(**{"a/bad.png": photo(seed=55)}), zipfile.ZIP_STORED)
    raw = bytearray(path.read_bytes())
    raw[raw.find(photo(seed=55)) + 100] ^= 0xFF
    path.write_bytes(raw)
    dataset = datasets.read(str(path), 16)
    assert dataset.left_out == (("a/bad.png", "is damaged inside the ZIP"),)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9, 0.99])
def test_a_cut_off_archive_is_refused(tmp_path, keep):
    raw = zip_of(tmp_path / "data.zip", four()).read_bytes()
    (tmp_path / "data.zip").write_bytes(raw[: int(len(raw) * keep)])
    with pytest.raises(UserError, match=r"data\.zip"):
        datasets.inspect(tmp_path / "data.zip")


@given(st.data())
def test_no_damage_to_an_archive_raises_anything_but_a_sentence(tmp_path_factory, data):
    path = zip_of(tmp_path_factory.mktemp("fuzz") / "data.zip", four())
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    try:
        datasets.read(str(path), 16)
    except UserError as error:
        assert str(error).isprintable()


@example(names=[".\b", ".\b", "..\b/.\b."])
@given(names=st.lists(st.one_of(st.text(max_size=30), st.sampled_from(["a/b.png", "a\\b.png", "../x", "/", "a/../c"]))))
def test_what_is_packed_is_found_again(tmp_path_factory, names):
    files = [(name, str(number).encode()) for number, name in enumerate(names)]
    data = archives.pack(files)
    assert data == archives.pack(files)
    path = tmp_path_factory.mktemp("packed") / "data.zip"
    path.write_bytes(data)
    with archives.entries(path) as found:
        kept = {entry.read() for entry in found}
        assert len({entry.parts for entry in found}) == len(found)
    with zipfile.ZipFile(path) as archive:
        assert len(set(archive.namelist())) == len(names)
        assert all(not name.startswith("/") and ".." not in name.split("/") for name in archive.namelist())
    hidden = [
        number for number, name in enumerate(names) if any(part.startswith(".") for part in archives._parts(name))
    ]
    assert {str(number).encode() for number in range(len(names)) if number not in hidden} - kept == set()


# --- Splits ----------------------------------------------------------------------------------------------------------


def dataset_of(groups: list[list[int]]) -> Dataset:
    """One class for each list; each number in it is a photo that occurs so many times."""
    digests, labels = [], []
    for label, counts in enumerate(groups):
        for place, count in enumerate(counts):
            digests += [f"{label}/{place}"] * count
            labels += [label] * count
    return Dataset(
        name="made",
        classes=tuple(map(str, range(len(groups)))),
        photos=np.zeros((len(labels), 1, 1, 3), np.uint8),
        labels=np.array(labels),
        files=tuple(map(str, range(len(labels)))),
        digests=tuple(digests),
    )


@given(
    groups=st.lists(st.lists(st.integers(1, 4), min_size=2, max_size=12), min_size=2, max_size=5),
    validation=st.floats(0.05, 0.95),
    seed=st.integers(0, 5),
)
def test_splits_part_the_photos_and_keep_duplicates_together(groups, validation, seed):
    dataset = dataset_of(groups)
    splits = datasets.split(dataset, validation, seed)
    assert sorted([*splits.training, *splits.validation]) == list(range(len(dataset)))
    for side in (splits.training, splits.validation):
        assert set(dataset.labels[side]) == set(range(len(groups)))
    seen = [{dataset.digests[index] for index in side} for side in (splits.training, splits.validation)]
    assert not seen[0] & seen[1]


def test_each_class_is_split_in_the_same_proportion():
    dataset = dataset_of([[1] * 50, [1] * 20, [1] * 10])
    held_back = datasets.split(dataset, 0.2, 0).validation
    assert np.bincount(dataset.labels[held_back]).tolist() == [10, 4, 2]


def test_the_seed_draws_the_split():
    dataset = dataset_of([[1] * 50, [1] * 50])
    first, again, other = (datasets.split(dataset, 0.2, seed).validation.tolist() for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("validation", [0, 1, -0.1, float("nan")])
def test_a_share_outside_is_refused(validation):
    with pytest.raises(UserError, match="between 0 and 1"):
        datasets.split(dataset_of([[1, 1], [1, 1]]), validation, 0)


def grouped(groups: list[int], labels: list[int], given: list[int] | None = None) -> Dataset:
    count = len(groups)
    return Dataset(
        name="made",
        classes=tuple(map(str, range(max(labels) + 1))),
        photos=np.zeros((count, 1, 1, 3), np.uint8),
        labels=np.array(labels),
        files=tuple(map(str, range(count))),
        digests=tuple(map(str, range(count))),
        given=None if given is None else np.array(given, np.int8),
        groups=np.array(groups),
    )


@given(
    photos=st.lists(st.tuples(st.integers(0, 15), st.integers(0, 2)), min_size=6, max_size=40),
    validation=st.floats(0.05, 0.95),
    seed=st.integers(0, 5),
)
def test_every_class_is_on_both_sides_whatever_the_groups(photos, validation, seed):
    photos += [(100 + label, label) for label in (0, 0, 1, 1, 2, 2)]
    dataset = grouped([group for group, _ in photos], [label for _, label in photos])
    splits = datasets.split(dataset, validation, seed)
    assert sorted([*splits.training, *splits.validation]) == list(range(len(dataset)))
    for side in (splits.training, splits.validation):
        assert set(dataset.labels[side]) == {0, 1, 2}


@given(seed=st.integers(0, 20))
def test_nearly_the_same_stay_together_across_classes_too(seed):
    groups = [0, 0, 1, 1, 1, 2, 3, 4, 5, 6, 0, 10, 10, 11, 12, 13, 14, 15]
    labels = [0] * 10 + [1] * 8
    splits = datasets.split(grouped(groups, labels), 0.3, seed)
    sides = [set(np.array(groups)[side]) for side in (splits.training, splits.validation)]
    assert not sides[0] & sides[1]


def test_one_scene_taken_again_and_again_is_parted_all_the_same():
    dataset = grouped([0] * 10 + [10] * 10, [0] * 10 + [1] * 10)
    held_back = datasets.split(dataset, 0.2, 0).validation
    assert np.bincount(dataset.labels[held_back]).tolist() == [2, 2]


def test_a_large_group_is_not_held_back_while_there_are_others():
    dataset = grouped([0] * 30 + list(range(30, 40)) + list(range(40, 60)), [0] * 40 + [1] * 20)
    for seed in range(10):
        held_back = datasets.split(dataset, 0.2, seed).validation
        assert np.bincount(dataset.labels[held_back]).tolist() == [8, 4]


def test_folders_are_used_as_they_are_or_not_at_all():
    dataset = grouped(list(range(12)), [0, 1] * 6, [0] * 6 + [1] * 4 + [2] * 2)
    splits = datasets.split(dataset, 0.2, 0)
    assert [side.tolist() for side in (splits.training, splits.validation, splits.test)] == [
        [0, 1, 2, 3, 4, 5],
        [6, 7, 8, 9],
        [10, 11],
    ]
    anew = datasets.split(dataset, 0.25, 0, own=False)
    assert (len(anew.training), len(anew.validation), len(anew.test)) == (8, 4, 0)


def test_without_a_validation_folder_it_is_drawn_from_what_is_learned_from():
    dataset = grouped(list(range(24)), [0, 1] * 12, [0] * 20 + [2] * 4)
    splits = datasets.split(dataset, 0.2, 0)
    assert splits.test.tolist() == [20, 21, 22, 23]
    assert np.bincount(dataset.labels[splits.validation]).tolist() == [2, 2]
    assert set(splits.training) | set(splits.validation) == set(range(20))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([0, 1, 1, 1], "'1' of made has no photos to learn from"),
        ([0, 2, 0, 0], "'0' of made has 1 photo to learn from"),
        ([0, 0, -1, 1], "'1' of made has no photos to learn from in the training folder, since others are nearly"),
    ],
)
def test_a_class_without_photos_to_learn_from_is_said_so(given, words):
    with pytest.raises(UserError, match=words):
        datasets.split(grouped(list(range(4)), [0, 0, 1, 1], given), 0.2, 0)


def test_a_name_that_this_machine_made_up_is_not_said(tmp_path):
    made_up = tmp_path / f"{'0123456789ab' * 2}.zip"
    made_up.write_bytes(b"no ZIP")
    with pytest.raises(UserError, match=r"^This data set is not a ZIP file"):
        datasets.read(str(made_up), 32)
