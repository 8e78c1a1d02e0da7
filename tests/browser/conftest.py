"""A real server and a real Chromium."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import pieces

ROOT = Path(__file__).parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# Another test may have made the process' own opener while a proxy was named.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


def find_browser() -> str | None:
    found = (shutil.which(name) for name in NAMES)
    return next((each for each in (*found, *(p for p in PLACES if Path(p).exists())) if each), None)


@pytest.fixture(scope="session")
def chromium() -> str:
    browser = find_browser()
    if browser is None:
        sentence = "No Chromium or Chrome on this machine: the browser tests were not run. Install one to run them."
        if os.environ.get("LAYERSCOPE_REQUIRE_BROWSER") == "1":
            pytest.fail(sentence)
        pytest.skip(sentence)
    return browser


@pytest.fixture(scope="session")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield instance
        instance.close()


@dataclass
class Server:
    """A running `streamlit run dashboard.py`."""

    url: str
    process: subprocess.Popen
    log: Path

    def complaints(self) -> list[str]:
        """Lines of the log that no person should ever have caused."""
        return [line for line in self.log.read_text().splitlines() if re.search(r"Traceback|ERROR|CRITICAL", line)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_server(log: Path) -> Server:
    port = free_port()
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "streamlit",
                "run",
                "dashboard.py",
                f"--server.port={port}",
                "--server.headless=true",
            ],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with DIRECT.open(f"{url}/_stcore/health", timeout=2):
                return Server(url, process, log)
        except OSError:
            time.sleep(0.2)
    process.kill()
    raise RuntimeError(f"The server did not start: {log.read_text()[-2000:]}")


def stop_server(server: Server) -> None:
    if server.process.poll() is None:
        server.process.send_signal(signal.SIGTERM)
        try:
            server.process.wait(15)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()


@pytest.fixture(scope="session", autouse=True)
def chess_pieces():
    pieces.lay_out()


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Server]:
    server = start_server(tmp_path_factory.mktemp("server") / "log.txt")
    yield server
    stop_server(server)


@pytest.fixture
def fresh_server(tmp_path) -> Iterator[Server]:
    """A server that nobody has visited yet."""
    server = start_server(tmp_path / "log.txt")
    yield server
    stop_server(server)


@dataclass
class Visit:
    """One tab, with what it complained about."""

    page: object
    problems: list[str] = field(default_factory=list)

    def note(self, message) -> None:
        # On a deep link Streamlit's own front end looks for its server below the page's path first, and then above.
        probe = re.search(r"/_stcore/(health|host-config)$", message.location.get("url", ""))
        if message.type == "error" and not probe:
            self.problems.append(f"{message.text} ({message.location.get('url')})")

    def open(self, url: str) -> None:
        self.page.goto(url, wait_until="domcontentloaded")

    def see(self, text: str, seconds: float = 60) -> None:
        self.page.get_by_text(text, exact=False).first.wait_for(timeout=seconds * 1000)

    def figure(self, key: str, seconds: float = 120):
        """The figure with this key, once it is painted."""
        found = self.page.locator(f".st-key-{key} .js-plotly-plot")
        found.first.wait_for(timeout=seconds * 1000)
        found.locator(".main-svg").first.wait_for(timeout=seconds * 1000)
        return found.first

    def settled(self, seconds: float = 60) -> None:
        """Wait until no script runs: what is on the page then is what stays."""
        self.page.wait_for_function(
            "() => document.querySelector('.stApp')?.getAttribute('data-test-script-state') === 'notRunning'",
            timeout=seconds * 1000,
        )

    def check(self) -> None:
        """No error in the page, none in its console."""
        assert self.page.locator('[data-testid="stException"]').count() == 0
        errors = self.page.locator('[data-testid="stAlertContentError"]').all_inner_texts()
        assert errors == [], errors
        assert self.problems == []


@pytest.fixture
def visit(browser) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    page = context.new_page()
    visit = Visit(page)
    page.on("pageerror", lambda error: visit.problems.append(str(error)))
    page.on("console", visit.note)
    yield visit
    context.close()
