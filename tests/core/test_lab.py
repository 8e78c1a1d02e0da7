"""A lab's own cluster: a scheduler and three workers over TLS, started by somebody else, one of which is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest
from distributed import Security

from core import samples
from core.engine import Engine, EngineError
from core.messages import ActivationsRequest, ModelRef, Mosaic, PredictRequest, RenderRequest
from tests.core.test_engine import PATIENCE, ROOT, until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")]
MODEL = ModelRef("efficientnet_lite0")
LAYERS = [f"block{block}_{part}_bn" for block in range(1, 11) for part in ("depthwise", "project")]
A_PAGE = """
import sys, time
from streamlit.testing.v1 import AppTest
from pages.shared.resources import engine
at = AppTest.from_file("dashboard.py", default_timeout=300).run()
at.switch_page("pages/activation_explorer.py").run()
while any(not job.snapshot().over for job in engine().jobs()):
    time.sleep(0.1)
at.run()
assert not at.exception, at.exception
assert not at.error, at.error
assert at.get("plotly_chart")
assert "tensorflow" not in sys.modules
print("workers", engine().resources().workers)
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[dict[str, str]]:
    """The settings of an app that joins it."""
    folder = tmp_path_factory.mktemp("lab")
    credentials = Security.temporary()
    files = {"CA": "tls_ca_file", "CERT": "tls_client_cert", "KEY": "tls_client_key"}
    for name, attribute in files.items():
        (folder / name).write_text(getattr(credentials, attribute))
    options = [
        f"--tls-{option}={folder / name}" for name, option in (("CA", "ca-file"), ("CERT", "cert"), ("KEY", "key"))
    ]
    card = folder / "scheduler.json"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "KERAS_BACKEND": "tensorflow",
        "LAYERSCOPE_HOME": str(folder / "home"),
        "LAYERSCOPE_DRAWINGS": "0",
    }

    def launch(*command: str) -> subprocess.Popen:
        arguments = [sys.executable, "-m", "dask", *command, *options, "--scheduler-file", str(card), "--no-dashboard"]
        return subprocess.Popen(arguments, cwd=folder, env=environment, stderr=subprocess.DEVNULL)

    processes = [launch("scheduler", "--protocol", "tls", "--host", "tls://127.0.0.1", "--port", "0")]
    until(lambda: card.exists() and card.read_text().strip().endswith("}"), "the scheduler is up")
    for _ in range(3):
        processes.append(launch("worker", "--nthreads", "1", "--host", "tls://127.0.0.1"))
    address = json.loads(card.read_text())["address"]
    assert address.startswith("tls://")
    yield {"LAYERSCOPE_SCHEDULER": address, **{f"LAYERSCOPE_TLS_{name}": str(folder / name) for name in files}}
    for process in processes:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()
        process.wait(PATIENCE)


@pytest.fixture
def engine(lab, monkeypatch) -> Iterator[Engine]:
    for name, value in lab.items():
        monkeypatch.setenv(name, value)
    engine = Engine.start()
    until(lambda: engine.resources().workers == 3, "three workers have come")
    yield engine
    engine.close()


def test_one_of_three_workers_is_killed_in_the_middle_and_every_answer_comes(engine):
    cat = samples.photograph("cat")
    mosaic = engine.submit(
        "core.featurevis.mosaic:run", RenderRequest(MODEL, LAYERS[8], tuple(range(24)), "fast", 96), kind="render"
    )
    looks = [
        engine.submit(
            "core.activations:infer",
            ActivationsRequest(MODEL, cat, (layer,)),
            kind="interactive",
            viewer=f"session {who}",
        )
        for who, layer in enumerate(LAYERS)
    ]
    looks[3].result(300)
    assert not all(job.over for job in looks)
    assert not mosaic.over
    victim = next(iter(engine.resources().threads))
    pid = pid_listening_at(victim)
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    for layer, job in zip(LAYERS, looks, strict=True):
        assert job.result(300).values[layer].size
    found = mosaic.result(600)
    assert isinstance(found, Mosaic)
    assert len(found.scores) == 24
    assert time.monotonic() - killed < 300
    until(lambda: engine.resources().workers == 3, "its nanny has started another one")
    assert engine.submit("core.activations:predict", PredictRequest(MODEL, cat), kind="interactive").result(300)


def pid_listening_at(address: str) -> int:
    port = int(address.rpartition(":")[2])
    return next(
        each.pid for each in psutil.net_connections("tcp") if each.laddr.port == port and each.status == "LISTEN"
    )


def test_the_app_itself_computes_there(lab):
    environment = {**os.environ, **lab, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", A_PAGE], cwd=ROOT, env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "workers 3"


def test_without_the_right_credentials_nobody_gets_in(lab, monkeypatch, tmp_path):
    other = Security.temporary()
    monkeypatch.setattr("core.connection.CONNECT_SECONDS", 2)
    for name, attribute in (("CA", "tls_ca_file"), ("CERT", "tls_client_cert"), ("KEY", "tls_client_key")):
        (tmp_path / name).write_text(getattr(other, attribute))
        monkeypatch.setenv(f"LAYERSCOPE_TLS_{name}", str(tmp_path / name))
    engine = Engine.start(lab["LAYERSCOPE_SCHEDULER"], warm_up=False)
    try:
        with pytest.raises(EngineError, match="does not answer"):
            engine.submit("core.device:describe", None, kind="interactive").result(60)
    finally:
        engine.close()
