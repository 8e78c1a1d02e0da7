import os
import time

import pytest

from core import storage, uploads
from core.uploads import AFTER_SESSION, Uploads

HOUR = 3600.0


@pytest.fixture
def here(tmp_path, monkeypatch) -> set[str]:
    """Who is here; over an empty home."""
    monkeypatch.setenv("LAYERSCOPE_HOME", str(tmp_path))
    monkeypatch.delenv(uploads.VARIABLE, raising=False)
    return {"ann", "bob"}


def test_a_file_goes_a_while_after_the_last_who_had_it(here):
    kept, now = Uploads(here.__contains__), time.time()
    path = kept.keep(b"photos", ".zip", "ann")
    assert kept.keep(b"photos", ".zip", "bob") == path
    assert kept.sweep(now + 30 * HOUR) == []  # whoever is here keeps it, however long
    here.remove("ann")
    kept.sweep(now + 30 * HOUR)
    assert kept.sweep(now + 40 * HOUR) == [] and path.is_file()  # bob has it too
    here.remove("bob")
    gone = now + 40 * HOUR
    assert kept.sweep(gone) == kept.sweep(gone + AFTER_SESSION - 1) == []
    assert kept.sweep(gone + AFTER_SESSION) == [path] and not path.exists()


def test_who_comes_back_in_time_loses_nothing(here):
    kept, now = Uploads(here.__contains__), time.time() + HOUR
    path = kept.keep(b"photos", ".zip", "ann")
    here.remove("ann")
    kept.sweep(now)
    here.add("ann")
    kept.sweep(now + 0.9 * HOUR)
    here.remove("ann")
    assert kept.sweep(now + 1.5 * HOUR) == kept.sweep(now + 2.4 * HOUR) == [] and path.is_file()
    assert kept.sweep(now + 2.5 * HOUR) == [path]


def test_a_link_that_is_followed_in_time_keeps_the_file(here):
    kept, now = Uploads(here.__contains__), time.time() + HOUR
    path = kept.keep(b"a network", ".keras", "ann")
    here.remove("ann")
    kept.sweep(now)
    kept.take(path, "bob")
    assert kept.sweep(now + 5 * HOUR) == [] and path.is_file()
    assert kept.leave(path, "bob") and kept.is_free(path)
    assert kept.sweep(now + 5 * HOUR) == [path]


def test_what_nobody_here_has_goes_by_its_age(here, monkeypatch):
    now = time.time()
    left, used = storage.keep_upload(b"left by an earlier server", ".zip"), storage.keep_upload(b"used", ".zip")
    note = storage.folder("uploads") / "note.txt"
    note.write_text("not an upload")
    for path, hours in ((left, 25), (used, 23), (note, 100)):
        os.utime(path, (now - hours * HOUR,) * 2)
    assert Uploads(here.__contains__).sweep(now) == [left]
    assert used.is_file() and note.is_file()
    monkeypatch.setenv(uploads.VARIABLE, "22")
    assert Uploads(here.__contains__).sweep(now) == [used]


@pytest.mark.parametrize(("said", "hours"), [("", 24), ("2", 2), ("0.5", 0.5), ("-1", 24), ("0", 24), ("soon", 24)])
def test_the_age_limit_is_a_setting(monkeypatch, said, hours):
    monkeypatch.setenv(uploads.VARIABLE, said)
    assert uploads.age_limit() == hours * HOUR


def test_a_file_brought_again_while_it_is_swept_is_not_lost(here):
    kept, now = Uploads(here.__contains__), time.time()
    path = kept.keep(b"photos", ".zip", "ann")
    kept.leave(path, "ann")
    assert kept.sweep(now + 1) == []  # it is young: somebody may be about to take it
    assert kept.keep(b"photos", ".zip", "bob") == path
    assert kept.sweep(now + 30 * HOUR) == []
