"""What people say about a network, and the lists that lie beside its file."""

from __future__ import annotations

import json

import pytest

from core.backbones import answers
from core.errors import UserError

STRANGE = {
    "empty": b"",
    "only spaces": b" \n\n ",
    "not in UTF-8": "für".encode("latin-1"),
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "JSON of another kind": b'{"a": {"b": 1}}',
    "broken JSON": b'["a", ',
    "deep JSON": b"[" * 100_000 + b"]" * 100_000,
    "numbers far apart": json.dumps({"a": 0, "b": 10**9}).encode(),
    "huge": b"a\n" * (answers.MAX_TEXT_BYTES // 2 + 1),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_a_stray_list_beside_a_file_is_passed_over_and_the_next_one_taken(tmp_path, kind):
    (tmp_path / "class_names.txt").write_bytes(STRANGE[kind])
    found = answers.beside(tmp_path / "net.keras")
    assert found.class_names is None
    (note,) = found.notes
    assert "“class_names.txt”, was passed over: " in note
    assert note.endswith(".")
    assert len(note) < 300
    assert "\n" not in note
    (tmp_path / "labels.txt").write_text("cat\ndog")
    found = answers.beside(tmp_path / "net.keras")
    assert (found.class_names, len(found.notes)) == (("cat", "dog"), 1)


@pytest.mark.parametrize("kind", STRANGE)
def test_a_list_that_a_person_names_is_refused(tmp_path, kind):
    (tmp_path / "mine.txt").write_bytes(STRANGE[kind])
    with pytest.raises(UserError, match=r"^mine\.txt cannot be read as class names: .*\.$"):
        answers.read_names(tmp_path / "mine.txt", "class names")


def test_lists_are_looked_for_under_the_files_own_name_first_however_long_that_is(tmp_path):
    (tmp_path / "labels.txt").write_text("a")
    (tmp_path / "net.labels.txt").write_text("b")
    assert answers.beside(tmp_path / "net.h5").class_names == ("b",)
    assert answers.beside(tmp_path / ("x" * 249 + ".keras")).class_names == ("a",)
    assert answers.beside(tmp_path / "other.h5").notes == ()


def test_a_folder_or_a_link_to_nowhere_is_no_list(tmp_path):
    (tmp_path / "labels.txt").mkdir()
    (tmp_path / "class_names.txt").symlink_to(tmp_path / "nowhere")
    assert answers.beside(tmp_path / "net.h5") == answers.Beside()
