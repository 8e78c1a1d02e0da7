"""Pages in Streamlit's own test bench, over a real engine with the real embedded network."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core import runs, storage
from core.messages import ModelRef
from core.transfer.requests import TrainingConfig
from tests import pieces
from tests.zips import zip_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def engine():
    from pages.shared.resources import engine

    instance = engine()
    yield instance
    instance.close()


@pytest.fixture(scope="session", autouse=True)
def chess_pieces():
    pieces.lay_out()


@pytest.fixture(scope="session", autouse=True)
def no_keras_in_the_serving_process():
    """Other tests have loaded Keras into this process; after each run of a page Streamlit would clear it, and collect
    all of TensorFlow's garbage. The process that serves pages has none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streamlit.runtime.scriptrunner.script_runner._clean_problem_modules", lambda: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def errors_as_they_are():
    """What goes wrong in a page is to fail its test, with its traceback, and not to be told to a person."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pages.shared.mishaps.tell_in_a_sentence", lambda: None)
        yield


class App:
    """A page, run until nothing is under way any more (the test bench has no timers of its own)."""

    def __init__(self, engine, page: str, /, **query):
        self.engine = engine
        self.at = AppTest.from_file(str(ROOT / "dashboard.py"), default_timeout=300)
        self.at.run()
        for name, value in query.items():
            self.at.query_params[name] = str(value)
        self.at.switch_page(f"pages/{page}.py")
        self.run()

    def run(self) -> App:
        self.at.run()
        return self.finish()

    def finish(self, seconds: float = 180) -> App:
        deadline = time.monotonic() + seconds
        while any(not job.snapshot().over for job in self.engine.jobs()):
            assert time.monotonic() < deadline, "a job does not end"
            time.sleep(0.1)
        self.at.run()
        assert not self.at.exception, self.at.exception
        return self

    def figure(self, key: str):
        found = [each for each in self.at.get("plotly_chart") if each.key == key]
        assert found, f"no figure {key!r} among {[each.key for each in self.at.get('plotly_chart')]}"
        return found[0]

    def words(self) -> str:
        """Everything that the page says, in order."""
        kinds = ("title", "subheader", "markdown", "caption", "info", "warning", "error")
        return "\n".join(str(element.value) for kind in kinds for element in self.at.get(kind))

    def widget(self, kind: str, key: str):
        return getattr(self.at, kind)(key=key)


@pytest.fixture(scope="session")
def trained(engine) -> str:
    """The name of a run that has ended: two classes, a few photos, two epochs of the head."""
    run = runs.new_run()
    data = storage.keep_upload(zip_of({"green": (40, 180, 40), "red": (200, 40, 40)}, photos=12), ".zip")
    config = TrainingConfig(runs.keep_photos(run, str(data)), ModelRef("efficientnet_lite0"), str(run), 96, 2)
    runs.write_config(run, config)
    engine.submit("core.transfer.training:run", config, kind="training").result(300)
    return run.name


@pytest.fixture
def app(engine):
    return lambda page, /, **query: App(engine, page, **query)
