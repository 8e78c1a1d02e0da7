"""Files that a person opened, and what was said about them."""

from __future__ import annotations

from core import opened, storage
from core.backbones import answers
from core.backbones.answers import Answers


def test_a_file_opened_again_keeps_its_answers_under_its_new_name():
    path = storage.keep_upload(b"a network", ".keras")
    first = opened.opened(path, "cats.keras")
    assert first.said == Answers(title="cats.keras") and first.name == "cats.keras"
    told = opened.say(first, preprocessing="unit", class_names=("a", "b"))
    assert opened.opened(path, "cats.keras") == first  # said, but not yet remembered
    opened.remember(told)
    again = opened.opened(path, "dogs.keras")
    assert (again.name, again.said.preprocessing, again.said.class_names) == ("dogs.keras", "unit", ("a", "b"))
    assert answers.read(again.ref.answers) == again.said and again.ref.answers != told.ref.answers


def test_what_is_forgotten_is_gone():
    path = storage.keep_upload(b"another network", ".h5")
    model = opened.opened(path, "x.h5")
    opened.remember(opened.say(model, preprocessing="unit"))
    assert model.is_here
    opened.forget(path)
    opened.forget(path)
    assert not model.is_here and opened.opened(path, "x.h5") == model


def test_a_note_that_is_damaged_says_nothing():
    path = storage.keep_upload(b"a third one", ".h5")
    for note in (b"{", b"[]", b'{"answers": "../../x"}', b'{"answers": 3}', b'{"answers": "' + b"0" * 24 + b'"}'):
        (storage.folder("opened") / f"{path.stem}.json").write_bytes(note)
        assert opened.opened(path, "x.h5").said == Answers(title="x.h5")


def test_names_come_to_known_suffixes_only():
    names = ("A.Keras", "x.hdf5", "m.onnx", "../../etc/passwd", "x.sh", "x", "x.keras.exe")
    assert [opened.suffix_of(name) for name in names] == [".keras", ".hdf5", ".onnx", "", "", "", ""]


def test_a_link_never_says_a_path():
    model = opened.Opened("/somewhere/0123456789abcdef01234567.keras", Answers(), None)
    assert model.id == "file-0123456789ab"
