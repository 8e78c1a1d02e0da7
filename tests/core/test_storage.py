"""What is kept on disk: whole or absent, bounded, and private."""

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import storage
from core.errors import UserError

PRIVATE = 0o700


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERSCOPE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_home_is_the_folder_that_the_environment_names(home):
    assert storage.home() == home
    assert home.is_dir()


def test_folders_are_private(home):
    if sys.platform == "win32":
        pytest.skip("Windows keeps a person's folders private by other means")
    assert stat.S_IMODE(storage.folder("uploads").stat().st_mode) == PRIVATE
    assert stat.S_IMODE(home.stat().st_mode) == PRIVATE


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "../a", "/tmp"])
def test_a_folder_never_lies_outside_home(name):
    with pytest.raises(ValueError, match="plain folder name"):
        storage.folder(name)


def test_a_home_that_cannot_be_written_becomes_one_private_temporary_folder(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LAYERSCOPE_HOME", str(tmp_path / "file" / "home"))
    fallback = storage.home()
    assert fallback.is_dir() and tmp_path not in fallback.parents
    assert storage.home() == fallback
    if sys.platform != "win32":
        assert stat.S_IMODE(fallback.stat().st_mode) == PRIVATE


def test_the_platforms_own_folder_is_taken_without_the_variable(tmp_path):
    lines = "from core import storage; print(storage.home())"
    environment = {**os.environ, "HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path), "PYTHONPATH": str(Path.cwd())}
    for name in ("LAYERSCOPE_HOME", "XDG_DATA_HOME"):
        environment.pop(name, None)
    found = subprocess.run([sys.executable, "-c", lines], env=environment, capture_output=True, text=True, check=True)
    place = Path(found.stdout.strip())
    assert tmp_path in place.parents and place.name.lower() == "layerscope"


def test_storage_does_not_load_tensorflow():
    lines = "import sys, core.storage, core.images; print({'tensorflow', 'keras', 'streamlit'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


@settings(max_examples=30)
@given(old=st.binary(max_size=200), new=st.binary(max_size=200))
def test_what_is_written_is_what_is_read(tmp_path_factory, old, new):
    path = tmp_path_factory.mktemp("kept") / "a.b"
    for data in (old, new):
        storage.write_bytes(path, data)
        assert path.read_bytes() == data
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt(), OSError("without a number")])
def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "model.keras"
    path.write_bytes(b"old")

    def write(temporary):
        temporary.write_bytes(b"half of the n")
        raise error

    with pytest.raises(type(error)):
        storage.write_atomically(path, write)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "full"), (errno.EACCES, "written"), (errno.EROFS, "written")]
)
def test_a_full_or_closed_disk_is_said_in_one_sentence(tmp_path, number, words):
    path = tmp_path / "model.keras"

    def write(temporary):
        temporary.write_bytes(bytes(1_500_000))
        raise OSError(number, os.strerror(number))

    with pytest.raises(UserError, match=words) as refused:
        storage.write_atomically(path, write)
    assert "model.keras" in str(refused.value) and str(tmp_path) in str(refused.value)
    assert ("1.5 MB" in str(refused.value)) == (number == errno.ENOSPC)
    assert list(tmp_path.iterdir()) == []


def test_more_than_the_disk_has_is_refused_before_it_is_written(tmp_path):
    def write(temporary):
        raise AssertionError("nothing may be written")

    with pytest.raises(UserError, match="full"):
        storage.write_atomically(tmp_path / "huge", write, needs=storage.free_bytes(tmp_path) * 2 + 1)


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_a_truly_full_disk():
    with pytest.raises(UserError, match="full"):
        storage.write_atomically("/tmp/never", lambda temporary: Path("/dev/full").write_bytes(b"x"))
    assert not Path("/tmp/never").exists()


def test_a_file_in_the_place_of_a_folder_is_said(tmp_path):
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(UserError, match="is not a folder"):
        storage.write_bytes(tmp_path / "out" / "a.png", b"x")


@pytest.mark.parametrize("name", ["model.keras", "x.weights.h5", "a.png", "plain", "ü" * 120 + ".png"])
def test_the_writer_sees_the_files_own_suffix(tmp_path, name):
    seen = []

    def write(temporary):
        seen.append(temporary)
        temporary.write_bytes(b"x")

    storage.write_atomically(tmp_path / name, write)
    assert seen[0].parent == tmp_path and seen[0].name != name
    assert seen[0].suffix == Path(name).suffix
    assert (tmp_path / name).exists()


def test_readers_never_see_half_a_file(tmp_path):
    path = tmp_path / "shared"
    contents = [bytes([value]) * 200_000 for value in range(2)]
    storage.write_bytes(path, contents[0])
    done = threading.Event()

    def keep_writing():
        for turn in range(40):
            storage.write_bytes(path, contents[turn % 2])
        done.set()

    writer = threading.Thread(target=keep_writing)
    writer.start()
    while not done.is_set():
        assert path.read_bytes() in contents
    writer.join()


@settings(max_examples=40)
@given(sizes=st.lists(st.integers(0, 50), min_size=1, max_size=8), room=st.integers(0, 200))
def test_trimming_keeps_the_newest_that_fit(tmp_path_factory, sizes, room):
    folder = tmp_path_factory.mktemp("cache")
    for age, size in enumerate(sizes):
        path = folder / str(age)
        path.write_bytes(bytes(size))
        os.utime(path, (1_000_000 - age, 1_000_000 - age))
    storage.trim(folder, room)
    kept = sorted(int(path.name) for path in folder.iterdir())
    expected = [age for age in range(len(sizes)) if age == 0 or sum(sizes[: age + 1]) <= room]
    assert kept == expected


def test_an_upload_is_kept_once_under_its_digest():
    first = storage.keep_upload(b"photos", ".ZIP")
    assert first.read_bytes() == b"photos" and first.suffix == ".zip"
    assert storage.keep_upload(b"photos", ".zip") == first
    assert storage.keep_upload(b"others", ".zip") != first


def test_an_upload_that_was_damaged_on_disk_is_written_again():
    path = storage.keep_upload(b"photos", ".zip")
    path.write_bytes(b"ph")
    assert storage.keep_upload(b"photos", ".zip").read_bytes() == b"photos"


@pytest.mark.parametrize("suffix", ["/../../x", ".a/b", "..", ".tar\0", ". ", ".ü"])
def test_a_strangers_suffix_is_never_part_of_a_path(suffix):
    path = storage.keep_upload(b"data", suffix)
    assert path.parent == storage.folder("uploads")
    assert path.name.isalnum()


def test_all_uploads_together_are_bounded(monkeypatch):
    monkeypatch.setattr(storage, "UPLOADS_MAX_BYTES", 250)
    paths = []
    for index in range(4):
        paths.append(storage.keep_upload(bytes([index]) * 100, ".zip"))
        os.utime(paths[-1], (index + 1, index + 1))
    assert [path.exists() for path in paths] == [False, False, True, True]


def test_the_room_on_the_disk_is_known_for_a_place_that_is_not_there_yet(tmp_path):
    assert storage.free_bytes(tmp_path / "not" / "yet") > 0
