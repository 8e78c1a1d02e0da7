"""The Trainer's view of the photos: where they come from, and what the data doctor says of them."""

from __future__ import annotations

import io
import zipfile

from tests.zips import zip_of

COLOURS = {"red": (200, 40, 40), "green": (40, 180, 40)}


def members(data: bytes) -> list[tuple[str, bytes, str]]:
    """The files of a ZIP as a browser brings those of a folder."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(f"my folder/{name}", archive.read(name), "image/png") for name in archive.namelist()]


def in_parts() -> bytes:
    files = {f"{part}/{name}": data for part in ("train", "valid") for name, data, _ in parts_of(part)}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def parts_of(part: str) -> list[tuple[str, bytes, str]]:
    """Other photos for each part: the colours are drawn in another order."""
    classes = COLOURS if part == "train" else dict(reversed(COLOURS.items()))
    return [(name.removeprefix("my folder/"), data, kind) for name, data, kind in members(zip_of(classes, 4))]


def turn(page, view: str):
    page.widget("segmented_control", "trainer.view").set_value(view)
    return page.run()


def choose(page, source: str):
    page.widget("segmented_control", "trainer.data").set_value(source)
    return page.run()


def test_a_zip_with_folders_for_validation_is_used_as_it_is_or_split_anew(app):
    page = app("transfer_trainer", data="zip")
    page.widget("file_uploader", "trainer.zip").upload("mine.zip", in_parts(), "application/zip")
    page.run()
    assert "16 photos in 2 classes" in page.words()
    assert "8 to learn from, 8 for validation" in page.words()
    table = page.at.dataframe[0].value
    assert table.to_dict("list") == {
        "class": ["green", "red"],
        "photos": [8, 8],
        "training": [4, 4],
        "validation": [4, 4],
        "test": [0, 0],
    }
    page.widget("toggle", "trainer.own_splits").set_value(False)
    page.run()
    assert page.at.query_params["own_splits"] == "False"
    assert "drawn for validation" in page.words()
    turn(page, "runs")
    turn(page, "photos")
    assert "Still chosen: mine\\.zip" in page.words()
    assert "16 photos in 2 classes" in page.words()
    assert not page.widget("toggle", "trainer.own_splits").value


def test_the_doctor_says_what_is_wrong_and_with_which_files(app):
    page = app("transfer_trainer", data="zip")
    evil = "red/![x](https:evil).jpg"
    data = zip_of(COLOURS, **{evil: b"no picture", "red/again.png": members(zip_of(COLOURS))[0][1]})
    page.widget("file_uploader", "trainer.zip").upload("mine.zip", data, "application/zip")
    page.run()
    labels = [each.label for each in page.at.expander]
    assert sum("1 file is no picture" in each for each in labels) == 1
    assert sum("1 file is a copy of another" in each for each in labels) == 1
    left_out = [table.value for table in page.at.dataframe if "why" in table.value]
    files = [name for table in left_out for name in table["file"]]
    assert sorted(files) == ["red/![x](https:evil).jpg", "red/again.png"]
    assert "fewer than 10 photos" in page.words()
    assert "![x]" not in page.words()


def test_a_folder_stays_chosen_when_the_view_changes(app):
    page = app("transfer_trainer", data="folder")
    assert "Choose the folder" in page.words()
    assert page.widget("button", "trainer.start").disabled
    uploader = page.widget("file_uploader", "trainer.folder")
    assert uploader.accept_directory
    uploader.set_value(members(zip_of(COLOURS)))
    page.run()
    assert "12 photos in 2 classes" in page.words()
    turn(page, "runs")
    assert not page.widget("button", "trainer.start").disabled
    turn(page, "photos")
    assert "Still chosen: 12 files of a folder" in page.words()
    choose(page, "zip")
    assert page.widget("button", "trainer.start").disabled
    choose(page, "folder")
    assert "12 photos in 2 classes" in page.words()


def test_too_large_a_folder_is_refused_in_one_sentence(app, monkeypatch):
    monkeypatch.setattr("pages.trainer.sources.MOST_BYTES", 1)
    page = app("transfer_trainer", data="folder")
    page.widget("file_uploader", "trainer.folder").set_value(members(zip_of(COLOURS)))
    page.run()
    assert len(page.at.error) == 1
    assert page.widget("button", "trainer.start").disabled


def add_class(page, name: str):
    page.widget("text_input", "trainer.new class").set_value(name)
    return page.run()


def add_photos(page, photos: list[tuple[str, bytes, str]]):
    uploader = next(each for each in page.at.file_uploader if each.key.startswith("trainer.files"))
    uploader.set_value(photos)
    return page.run()


def test_photos_are_collected_class_by_class(app):
    page = app("transfer_trainer", data="collect", way="files")
    photos = members(zip_of(COLOURS))
    assert "Type the name of the first class" in page.words()
    add_class(page, "../mu*g*")
    assert page.widget("selectbox", "trainer.class").options == ["-mu*g*"]
    add_photos(page, [*photos[:3], ("broken.png", b"no picture", "image/png")])
    assert len(page.at.error) == 1
    add_class(page, "plant")
    add_photos(page, photos[6:9])
    assert "**plant** · 3 photos" in page.words()
    assert "photos in 2 classes" not in page.words()
    assert page.widget("button", "trainer.start").disabled
    page.widget("button", "trainer.use").click()
    page.run()
    assert "6 photos in 2 classes" in page.words()
    assert not page.widget("button", "trainer.start").disabled

    turn(page, "runs")
    turn(page, "photos")
    assert "6 photos in 2 classes" in page.words()
    page.widget("button", "trainer.undo 1").click()
    page.run()
    assert "**plant** · 2 photos" in page.words()
    assert "photos in 2 classes" not in page.words(), "what was collected has changed"
    assert page.widget("button", "trainer.start").disabled
    add_class(page, "PLANT")
    assert page.widget("selectbox", "trainer.class").value == "plant"
    page.widget("button", "trainer.remove 0").click()
    page.run()
    assert page.widget("selectbox", "trainer.class").options == ["plant"]
    assert page.widget("button", "trainer.use").disabled
    assert "another class first" in page.words()


def test_the_webcam_adds_a_photo_to_the_class(app):
    page = app("transfer_trainer", data="collect")
    add_class(page, "mug")
    for number in range(2):
        shot = ("camera.jpg", members(zip_of(COLOURS))[number][1], "image/jpeg")
        page.at.camera_input(key=f"trainer.shot {number}").set_value(shot)
        page.run()
    assert "**mug** · 2 photos" in page.words()


def test_a_name_that_no_folder_can_bear_makes_no_class(app):
    page = app("transfer_trainer", data="collect")
    for name, errors in (("__MACOSX", 1), ("...", 0), ("  ", 0)):
        add_class(page, name)
        assert "Type the name of the first class" in page.words()
        assert len(page.at.error) == errors
