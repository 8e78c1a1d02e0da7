"""Pages as a class sees them: nobody else's work, what is shared with all, and what links still lead to."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from core import opened, runs, serving, shared_data, storage
from pages.trainer import runs_view
from tests.core.tiny import tiny_model
from tests.pages.conftest import ROOT
from tests.pages.test_opening import bytes_of, upload
from tests.pages.test_trainer_runs import CONFIG, REPORT, kept, table
from tests.zips import zip_of

EXPLORER, TRAINER = "activation_explorer", "transfer_trainer"


@pytest.fixture(autouse=True)
def class_server(monkeypatch):
    monkeypatch.setenv(serving.CLASS, "1")
    monkeypatch.delenv(serving.VARIABLE, raising=False)


@pytest.fixture
def others_run():
    name = kept(CONFIG, REPORT)
    yield name
    runs.delete(name)


def labels(page) -> list[str]:
    return [each.label for each in page.at.button]


def stars(page, where: str) -> int:
    return sum(option.startswith("★") for option in page.widget("selectbox", f"{where}.model").options)


def test_others_runs_are_not_listed_and_a_link_shows_one_that_cannot_be_deleted(app, trained, others_run):
    page = app(TRAINER, data="zip", view="runs")
    assert not page.at.dataframe and stars(page, "trainer") == 0
    words = page.words()
    assert runs_view.NOTHING_YET in words and runs_view.ONES_OWN in words
    page = app(TRAINER, data="zip", view="runs", compare=others_run, run=trained)
    assert len(table(page)) == 2 and stars(page, "trainer") == 1  # the one with a network
    assert "Show its results" in labels(page) and "Delete for good" not in labels(page)


def test_ones_own_run_is_listed_and_can_be_deleted(app, others_run):
    page = app(TRAINER, data="zip", view="runs", compare=others_run)
    page.at.session_state["visitors.begun"] = {others_run}
    page.run()
    assert len(table(page)) == 1 and "Delete for good" in labels(page)


def test_others_networks_are_in_no_list_and_a_link_finds_one(app, trained):
    page = app(EXPLORER)
    assert stars(page, "explorer") == 0
    page = app(EXPLORER, model=trained)
    assert stars(page, "explorer") == 1
    assert page.widget("selectbox", "explorer.model").value == str(runs.find(trained).folder / runs.MODEL)


@pytest.mark.parametrize("link", ["../../etc/passwd.h5", "2026-01-01-0123456789ab"])
def test_a_link_leads_to_no_path(app, link):
    page = app(EXPLORER, model=link)
    assert page.widget("selectbox", "explorer.model").value == "efficientnet_lite0" and not page.at.error
    assert stars(page, "explorer") == 0


def test_a_link_to_an_upload_works_in_another_tab_where_models_may_be_opened(app, tmp_path, monkeypatch):
    monkeypatch.setenv(serving.VARIABLE, "1")
    model = bytes_of(tiny_model(classes=5), tmp_path)
    mine = upload(app(EXPLORER), model, "cats.keras")
    path = storage.folder("uploads") / f"{storage.digest_of(model)}.keras"
    upload(app(EXPLORER), model, "dogs.keras")  # what others say about the same file is theirs
    link = "".join(mine.at.query_params["model"])
    assert opened.id_in(link) == opened.id_of(str(path))
    page = app(EXPLORER, model=link)
    assert page.widget("selectbox", "explorer.model").value == str(path)
    assert "from the file cats" in page.words() and "dogs" not in page.words()
    page = app(EXPLORER)
    assert stars(page, "explorer") == 0  # and in no list of those who have no link
    monkeypatch.setenv(serving.VARIABLE, "0")
    page = app(EXPLORER, model=opened.id_of(str(path)))
    assert page.widget("selectbox", "explorer.model").value == "efficientnet_lite0"


def test_shared_photos_are_chosen_by_name_and_a_link_leads_to_none_beside_them(app, tmp_path, monkeypatch):
    shared = tmp_path / "shared"
    (shared / "empty").mkdir(parents=True)
    photos = zip_of({"red": (200, 40, 40), "green": (40, 180, 40)}, 4)
    (shared / "leaves.zip").write_bytes(photos)
    (tmp_path / "secret.zip").write_bytes(photos)
    monkeypatch.setenv(shared_data.VARIABLE, str(shared))
    page = app(TRAINER, data="shared", photos="leaves.zip")
    assert page.widget("selectbox", "trainer.photos").options == ["empty", "leaves.zip"]
    assert "8 photos in 2 classes" in page.words()
    told = set()
    for name in ("../secret.zip", "nothing.zip"):
        page = app(TRAINER, data="shared", photos=name)
        assert page.widget("selectbox", "trainer.photos").value == "empty"
        told.add(page.at.error[0].value)
    assert len(told) == 1


def test_on_ones_own_machine_everything_is_listed(app, trained, others_run, monkeypatch):
    monkeypatch.delenv(serving.CLASS)
    page = app(TRAINER, data="zip", view="runs")
    assert len(table(page)) == len(runs.all_runs()) and runs_view.ONES_OWN not in page.words()
    page = app(TRAINER, data="zip")
    assert "Photos of this class" not in page.widget("segmented_control", "trainer.data").options


def test_a_home_that_cannot_be_written_is_said_once_and_only_on_ones_own_machine(engine, monkeypatch, tmp_path):
    monkeypatch.setattr(storage, "moved", lambda: (tmp_path / "wanted_", tmp_path / "place"))
    assert not AppTest.from_file(str(ROOT / "dashboard.py"), default_timeout=60).run().toast
    monkeypatch.delenv(serving.CLASS)
    at = AppTest.from_file(str(ROOT / "dashboard.py"), default_timeout=60).run()
    (said,) = at.toast
    assert "wanted\\_ may not be written to" in said.value and "place" in said.value
    assert not at.run().toast
