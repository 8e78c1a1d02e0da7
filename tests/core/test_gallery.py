"""Finished drawings on disk: found again exactly, or not at all; bounded; never in the way of a drawing."""

import io
import json
import math
import os
import subprocess
import sys
import tracemalloc
import zipfile
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import gallery, storage
from core.messages import (
    Dream,
    DreamRequest,
    Faces,
    FacesRequest,
    Frame,
    ModelRef,
    Mosaic,
    Photo,
    Portrait,
    PortraitRequest,
    RenderRequest,
    Trust,
)

LITE = ModelRef("efficientnet_lite0")
PHOTO = Photo.of(np.zeros((4, 4, 3), np.uint8))
REQUEST = RenderRequest(LITE, "block5_project_bn", (3, 1))
MOSAIC = Mosaic(
    *("block5_project_bn", (3, 1), 30, 30, (0.1 + 0.2, math.nan), b"webp\0\xff", 305, 150, 150, 5, 2, 1.25, 0, 0.5),
    *("bfloat16", 8, "trained on ImageNet", b"png" * 1000, (1,)),
    (Trust(1.5, -0.25, math.inf, "cat"), Trust(math.nan, 0.0, 1e-45, "häßlich")),
)
FRAMES = tuple(Frame(step, step / 3, bytes([step]) * step) for step in range(4))
PAIRS = [
    (REQUEST, MOSAIC),
    (
        PortraitRequest(LITE, "stem_conv", 3),
        Portrait("stem_conv", 3, 9, 9, 256, FRAMES, 2.5, 0.0, "float32", "here", b"png", True, MOSAIC.trust[0]),
    ),
    (
        PortraitRequest(LITE, "stem_conv", 4),
        Portrait("stem_conv", 4, 9, 9, 256, FRAMES, 2.5, None, "float32", "here", b"png"),
    ),
    (
        FacesRequest(LITE, "stem_conv", 3),
        Faces("stem_conv", 3, 9, 9, 8, (b"a", b"", b"c"), (1.0, 2.0), 3.0, 0.0, "o", b"p"),
    ),
    (DreamRequest(LITE, PHOTO, (("stem_conv", 0.5),)), Dream(60, 60, 3, 3, b"w", 448, 300, -1.5, 9.0, None, "o", b"p")),
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LAYERSCOPE_DRAWINGS")
    return tmp_path / "home" / "drawings"


def files(folder):
    return sorted(folder.glob("*")) if folder.exists() else []


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def write_members(path, contents, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


# ---- kept and found


@pytest.mark.parametrize(("request_", "result"), PAIRS)
def test_what_is_kept_is_found_exactly(request_, result):
    assert gallery.find(request_) is None
    gallery.keep(request_, result)
    found = gallery.find(request_)
    assert found == result and repr(found) == repr(result)
    for field in fields(result):  # bytes are not in a repr; tuples must not come back as lists
        assert type(getattr(found, field.name)) is type(getattr(result, field.name))
        assert getattr(found, field.name) == getattr(result, field.name)


@settings(max_examples=50)
@given(
    scores=st.lists(st.floats(width=32) | st.just(math.nan), max_size=5),
    picture=st.binary(max_size=50),
    origin=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
def test_any_numbers_bytes_and_words(scores, picture, origin):
    result = replace(MOSAIC, scores=tuple(scores), picture=picture, origin=origin)
    gallery.keep(REQUEST, result)
    found = gallery.find(REQUEST)
    assert repr(found) == repr(result) and found.picture == picture


def test_numbers_of_numpy_become_pythons():
    gallery.keep(REQUEST, replace(MOSAIC, step=np.int64(30), seconds=np.float32(0.1), silent=(np.int32(1),)))
    assert gallery.find(REQUEST) == replace(MOSAIC, seconds=float(np.float32(0.1)))


@pytest.mark.parametrize(
    "change",
    [
        {"layer": "block4_add"},
        {"filters": (1, 3)},
        {"method": "fast"},
        {"steps": 30},
        {"seed": 1},
        {"model": ModelRef("efficientnet_lite0", None)},
        {"model": ModelRef("xception")},
    ],
)
def test_another_request_is_not_found(change):
    gallery.keep(REQUEST, MOSAIC)
    assert gallery.find(replace(REQUEST, **change)) is None
    assert gallery.find(REQUEST) == MOSAIC


def test_a_new_version_finds_nothing_old(monkeypatch):
    gallery.keep(REQUEST, MOSAIC)
    monkeypatch.setattr(gallery, "VERSION", gallery.VERSION + 1)
    assert gallery.find(REQUEST) is None


def test_a_models_other_spelling_is_the_same_model():
    gallery.keep(REQUEST, MOSAIC)
    assert gallery.find(replace(REQUEST, model=ModelRef("EfficientNet-Lite0"))) == MOSAIC


@pytest.mark.parametrize("as_weights", [False, True])
def test_a_file_counts_with_what_is_in_it(tmp_path, as_weights):
    def request(path):
        return replace(REQUEST, model=ModelRef("xception", str(path)) if as_weights else ModelRef(str(path)))

    first, copy, other_name = tmp_path / "cats.h5", tmp_path / "elsewhere" / "cats.h5", tmp_path / "dogs.h5"
    copy.parent.mkdir()
    for path in (first, copy, other_name):
        path.write_bytes(b"one")
    gallery.keep(request(first), MOSAIC)
    os.utime(copy, (1, 1))
    assert gallery.find(request(first)) == gallery.find(request(copy)) == MOSAIC
    assert gallery.find(request(other_name)) is None  # the drawing says which file it is of
    first.write_bytes(b"two")
    os.utime(first, (2, 2))
    assert gallery.find(request(first)) is None
    first.unlink()
    assert gallery.find(request(first)) is None
    gallery.keep(request(first), MOSAIC)
    assert len(files(storage.folder("drawings"))) == 1


@pytest.mark.parametrize("name", ["", ".", "nowhere.keras", "~nobody-here/a.h5", "a\0.h5", "/dev/zero"])
def test_a_model_that_is_not_there_is_left_to_others_to_complain_about(name):
    request = replace(REQUEST, model=ModelRef(name))
    gallery.keep(request, MOSAIC)
    assert gallery.find(request) is None


def test_an_unfinished_drawing_is_not_kept(folder):
    gallery.keep(REQUEST, replace(MOSAIC, step=3, png=None))
    gallery.keep(REQUEST, PAIRS[-1][1])
    assert not files(folder)


# ---- the decorator


def drawing(*snapshots):
    """A decorated generator, and how often it has drawn and been closed."""
    calls = []

    @gallery.kept
    def run(request):
        """Draws."""
        calls.append("begins")
        try:
            yield from snapshots
        finally:
            calls.append("ends")

    return run, calls


def test_the_second_time_the_drawing_is_there_at_once():
    run, calls = drawing("words", replace(MOSAIC, png=None), MOSAIC)
    assert list(run(REQUEST)) == ["words", replace(MOSAIC, png=None), MOSAIC]
    assert list(run(REQUEST)) == [MOSAIC]
    assert calls == ["begins", "ends"]
    assert run.__name__ == "run" and run.__doc__ == "Draws."


def test_a_drawing_that_was_stopped_is_closed_and_not_kept(folder):
    run, calls = drawing("words", replace(MOSAIC, png=None), MOSAIC)
    snapshots = run(REQUEST)
    next(snapshots), next(snapshots)
    snapshots.close()
    assert calls == ["begins", "ends"] and not files(folder)


def test_an_error_passes_through(folder):
    @gallery.kept
    def run(request):
        yield MOSAIC
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(run(REQUEST))
    assert not files(folder)


def test_a_model_file_replaced_during_the_drawing_has_not_been_drawn(tmp_path):
    path = tmp_path / "cats.keras"
    path.write_bytes(b"old")
    request = replace(REQUEST, model=ModelRef(str(path)))

    @gallery.kept
    def run(request):
        path.write_bytes(b"new one")
        yield MOSAIC

    list(run(request))
    assert gallery.find(request) is None
    path.write_bytes(b"old")
    assert gallery.find(request) == MOSAIC


# ---- broken, foreign and half files


def test_half_a_file_is_none_and_removed(folder):
    gallery.keep(REQUEST, MOSAIC)
    (path,) = files(folder)
    whole = path.read_bytes()
    for length in {0, 1, 30, len(whole) // 2, len(whole) - 30, len(whole) - 1}:
        path.write_bytes(whole[:length])
        assert gallery.find(REQUEST) is None
        assert not path.exists()


@settings(max_examples=100, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_a_damaged_file_is_the_same_drawing_or_none(place, byte):
    gallery.keep(REQUEST, MOSAIC)
    (path,) = files(storage.folder("drawings"))
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] = byte
    path.write_bytes(data)
    found = gallery.find(REQUEST)
    assert found is None or (repr(found) == repr(MOSAIC) and found.png == MOSAIC.png)
    assert path.exists() == (found is not None)


def changed_json(contents, **changes):
    array = np.load(io.BytesIO(contents["drawing.npy"]))
    facts = json.loads(array.tobytes())
    facts["drawing"].update(changes)
    return {**contents, "drawing.npy": npy(np.frombuffer(json.dumps(facts).encode(), np.uint8))}


@pytest.mark.parametrize(
    "change",
    [
        lambda found: changed_json(found, layer=3),
        lambda found: changed_json(found, step="30"),
        lambda found: changed_json(found, step=True),
        lambda found: changed_json(found, step=30.0),
        lambda found: changed_json(found, scores=[[0.1]]),
        lambda found: changed_json(found, scores=None),
        lambda found: changed_json(found, filters={"0": 1}),
        lambda found: changed_json(found, picture="webp"),
        lambda found: changed_json(found, picture=10**12),
        lambda found: changed_json(found, png=None),
        lambda found: changed_json(found, trust=[{"tile": 1.0}]),
        lambda found: changed_json(found, trust=[{"tile": 1.0, "noise": 1.0, "photo": 1.0, "photo_name": None}]),
        lambda found: changed_json(found, more=1),
        lambda found: {**found, "drawing.npy": npy(np.frombuffer(b"[" * 200_000, np.uint8))},
        lambda found: {**found, "drawing.npy": npy(np.frombuffer(b"\xff{}", np.uint8))},
        lambda found: {**found, "picture_0.npy": npy(np.zeros(6, np.int8))},
        lambda found: {**found, "picture_0.npy": npy(np.zeros((2, 3), np.uint8))},
        lambda found: {**found, "picture_0.npy": b"webp\0\xff"},
        lambda found: {**found, "picture_2.npy": npy(np.zeros(6, np.uint8))},
        lambda found: {"drawing.npy": found["drawing.npy"]},
        lambda found: {"../drawing.npy": found["drawing.npy"]},
        lambda found: {},
    ],
)
def test_a_file_that_was_not_written_here_is_none_and_removed(folder, change):
    gallery.keep(REQUEST, MOSAIC)
    (path,) = files(folder)
    contents = members(path)
    write_members(path, contents)
    assert gallery.find(REQUEST) == MOSAIC  # written like this it would be right
    write_members(path, change(contents))
    assert gallery.find(REQUEST) is None
    assert not path.exists()


def test_the_drawing_of_another_request_under_this_ones_name_is_none(folder):
    other = replace(REQUEST, seed=5)
    gallery.keep(REQUEST, MOSAIC)
    (path,) = files(folder)
    gallery.keep(other, replace(MOSAIC, seconds=9.0))
    (foreign,) = set(files(folder)) - {path}
    path.write_bytes(foreign.read_bytes())
    assert gallery.find(REQUEST) is None


def test_pickles_are_never_opened(folder, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "harm"),))

    gallery.keep(REQUEST, MOSAIC)
    (path,) = files(folder)
    file = io.BytesIO()
    np.save(file, np.array([Bomb()], object), allow_pickle=True)
    write_members(path, {**members(path), "picture_0.npy": file.getvalue()})
    assert gallery.find(REQUEST) is None
    assert not (tmp_path / "harm").exists()


def test_no_room_is_made_for_sizes_that_are_only_stated(folder):
    gallery.keep(REQUEST, MOSAIC)
    (path,) = files(folder)
    contents = members(path)
    header = npy(np.zeros(6, np.uint8)).replace(b"(6,)", b"(%d,)" % 10**12)
    attacks = [
        ({**contents, "picture_0.npy": header}, zipfile.ZIP_STORED),
        ({**contents, "picture_0.npy": npy(np.zeros(40 * 2**20, np.uint8))}, zipfile.ZIP_DEFLATED),
    ]
    for attack, compression in attacks:
        write_members(path, attack, compression)
        tracemalloc.start()
        assert gallery.find(REQUEST) is None
        assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()
        assert not path.exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_what_is_no_file_is_not_waited_for(folder):
    gallery.keep(REQUEST, MOSAIC)
    (path,) = files(folder)
    path.unlink()
    os.mkfifo(path)
    assert gallery.find(REQUEST) is None


# ---- bounds, and disks that do not want


def test_the_longest_unused_go_first(monkeypatch, folder):
    requests = [replace(REQUEST, seed=seed) for seed in range(4)]
    for age, request in enumerate(requests[:3]):
        gallery.keep(request, MOSAIC)
        (newest,) = [path for path in files(folder) if path.stat().st_mtime > 1e9]
        os.utime(newest, (1000 + age, 1000 + age))
    size = newest.stat().st_size
    assert gallery.find(requests[0]) == MOSAIC  # used: from now on the youngest
    monkeypatch.setenv("LAYERSCOPE_DRAWINGS", f"{3 * size} B")
    gallery.keep(requests[3], MOSAIC)
    assert [gallery.find(request) is not None for request in requests] == [True, False, True, True]


@pytest.mark.parametrize(
    ("words", "size"), [("500MB", 500_000_000), ("2 GiB", 2 * 1024**3), ("", 1024**3), ("x", 1024**3)]
)
def test_the_bound_is_a_setting(monkeypatch, words, size):
    monkeypatch.setenv("LAYERSCOPE_DRAWINGS", words)
    assert gallery._most_bytes() == size


def test_nothing_is_kept_or_found_where_nothing_may_be(monkeypatch, folder):
    monkeypatch.setenv("LAYERSCOPE_DRAWINGS", "0")
    gallery.keep(REQUEST, MOSAIC)
    assert not files(folder)
    monkeypatch.delenv("LAYERSCOPE_DRAWINGS")
    gallery.keep(REQUEST, MOSAIC)
    monkeypatch.setenv("LAYERSCOPE_DRAWINGS", "0")
    assert gallery.find(REQUEST) is None


def test_a_drawing_larger_than_the_bound_is_not_kept(monkeypatch, folder):
    monkeypatch.setenv("LAYERSCOPE_DRAWINGS", "1kB")
    gallery.keep(REQUEST, MOSAIC)
    assert not files(folder)


def test_a_full_disk_does_not_break_a_drawing(monkeypatch, folder):
    monkeypatch.setattr(storage, "free_bytes", lambda path: 100)
    run, calls = drawing(MOSAIC)
    assert list(run(REQUEST)) == list(run(REQUEST)) == [MOSAIC]
    assert calls == ["begins", "ends"] * 2 and not files(folder)


def test_a_folder_that_cannot_be_made_does_not_break_a_drawing(folder):
    storage.home().joinpath("drawings").write_text("in the way")
    run, _ = drawing(MOSAIC)
    assert list(run(REQUEST)) == list(run(REQUEST)) == [MOSAIC]


def test_another_process_finds_it_and_tensorflow_is_not_needed():
    gallery.keep(REQUEST, MOSAIC)
    lines = (
        "import sys; from core import gallery; from core.messages import ModelRef, RenderRequest;"
        "found = gallery.find(RenderRequest(ModelRef('efficientnet_lite0'), 'block5_project_bn', (3, 1)));"
        "print(found.step, {'tensorflow', 'keras', 'streamlit'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "30 set()"
