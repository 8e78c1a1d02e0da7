import pytest

from core import shared_data
from core.archives import entries
from core.errors import UserError


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """A folder that is shared, beside one that is not."""
    folder, outside = tmp_path / "shared", tmp_path / "outside"
    for path in (folder / "flowers" / "roses", outside / "secrets"):
        path.mkdir(parents=True)
    (folder / "leaves.zip").write_bytes(b"PK")
    (folder / "notes.txt").write_text("none of the photos")
    (folder / ".hidden").mkdir()
    (outside / "secret.jpg").write_bytes(b"secret")
    (outside / "all.zip").write_bytes(b"PK")
    monkeypatch.setenv(shared_data.VARIABLE, str(folder))
    return folder


def link(at, to) -> None:
    try:
        at.symlink_to(to, target_is_directory=to.is_dir())
    except OSError:
        pytest.skip("links cannot be made here")


def test_its_folders_and_zips_are_offered_and_found(shared):
    assert shared_data.names() == ["flowers", "leaves.zip"]
    assert shared_data.find("flowers") == shared.resolve() / "flowers"
    assert shared_data.find("leaves.zip").is_file()


def test_a_link_out_of_it_is_not_followed_and_one_within_is(shared):
    link(shared / "out", shared.parent / "outside")
    link(shared / "out.zip", shared.parent / "outside" / "all.zip")
    link(shared / "round", shared / "round")
    link(shared / "within", shared / "flowers")
    assert shared_data.names() == ["flowers", "leaves.zip", "within"]
    for name in ("out", "out.zip", "round", "out/secrets"):
        with pytest.raises(UserError):
            shared_data.find(name)


def test_what_is_missing_and_what_may_not_be_seen_are_told_by_the_same_words(shared):
    names = [
        "nothing",
        "../outside",
        "../outside/all.zip",
        str(shared.parent / "outside"),
        "notes.txt",
        ".",
        "",
        "a\0b",
    ]
    told = set()
    for name in [*names, "x" * 60_000, "/etc", "flowers/../../outside"]:
        with pytest.raises(UserError) as refusal:
            shared_data.find(name)
        told.add(str(refusal.value))
    assert len(told) == 1


def test_where_nothing_is_shared_nothing_is_found(shared, monkeypatch):
    for value in ("", str(shared / "gone")):
        monkeypatch.setenv(shared_data.VARIABLE, value)
        assert shared_data.root() is None and shared_data.names() == []
        with pytest.raises(UserError):
            shared_data.find("flowers")


def test_a_photo_that_leads_out_of_a_shared_folder_is_not_read(shared):
    photo = shared / "flowers" / "roses" / "a.jpg"
    photo.write_bytes(b"a photo")
    link(photo.with_name("b.jpg"), shared.parent / "outside" / "secret.jpg")
    link(photo.with_name("c.jpg"), photo)
    with entries(shared / "flowers") as found:
        read = {entry.label: entry.read() for entry in found}
    assert read == {"roses/a.jpg": b"a photo", "roses/c.jpg": b"a photo"}
