"""Files that are not what they seem, brought to the pages: used, or refused in one sentence; the page goes on."""

from __future__ import annotations

import pytest

from tests.hostile import Case, archives, pictures

PICTURES = ("a program in PostScript", "HEIC", "a PNG cut after 5 tenths", "of 169 megapixels", "an SVG that fetches")
READ = ("a palette with transparency", "turned by the camera (6)")
ARCHIVES = (
    "a link",
    "names in the code page cp932",
    "1.7 GB of zeros",
    "100,000 entries",
    "members that share their bytes",
)


def chosen(cases, names: tuple[str, ...] | None) -> list[Case]:
    found = [case for case in cases if names is None or case.name in names]
    assert names is None or len(found) == len(names)
    return found


def bring_photos(app, tmp_path, names: tuple[str, ...] | None) -> None:
    page = app("activation_explorer", source="upload", layer="stem_conv")
    for case in chosen(pictures.cases(tmp_path / "canary"), names):
        page.widget("file_uploader", "explorer.photo_file").upload("photo.png", case.data, "image/png")
        page.run()
        refused = [each.value for each in page.at.error]
        assert len(refused) == (0 if case.read else 1), (case.name, refused)
        assert case.read or case.says.casefold() in refused[0].replace("\\", "").casefold(), (case.name, refused)
        assert page.figure("grid")
    assert not (tmp_path / "canary").exists()


def bring_archives(app, tmp_path, names: tuple[str, ...] | None) -> None:
    page = app("transfer_trainer", data="zip")
    for case in chosen(archives.cases(tmp_path / "canary"), names):
        page.widget("file_uploader", "trainer.zip").upload("photos.zip", case.data, "application/zip")
        page.run()
        assert len(page.at.error) == (0 if case.read else 1), (case.name, page.words())
        if case.read:
            assert "photos in 2 classes" in page.words(), case.name
    assert not (tmp_path / "canary").exists()


def test_photos_on_the_explorer(app, tmp_path):
    bring_photos(app, tmp_path, PICTURES)


def test_archives_on_the_trainer(app, tmp_path):
    bring_archives(app, tmp_path, ARCHIVES)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_all_photos_on_the_explorer(app, tmp_path):
    bring_photos(app, tmp_path, None)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_all_archives_on_the_trainer(app, tmp_path):
    bring_archives(app, tmp_path, None)
