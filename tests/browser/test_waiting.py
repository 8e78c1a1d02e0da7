"""The way out of a wait, in a real browser: only there a press can meet a script that still runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

# The first waits in the page's own run, the second in a fragment's, which Streamlit does not interrupt for a press.
WAITS = ("photo=rocket", "view=what_if&layer=block9_project_bn")


@contextmanager
def suspended(server) -> Iterator[None]:
    """The process that computes for those who wait holds its breath."""
    processes = psutil.Process(server.process.pid).children(recursive=True)
    worker = max(processes, key=lambda process: process.memory_info().rss)
    worker.suspend()
    try:
        yield
    finally:
        worker.resume()


@pytest.mark.slow
def test_cancel_ends_the_wait_at_once_and_it_can_be_begun_again(server, visit):
    visit.open(f"{server.url}/activation_explorer")
    visit.figure("grid")
    for address in WAITS:
        with suspended(server):
            visit.open(f"{server.url}/activation_explorer?{address}")
            way_out = visit.page.get_by_role("button", name="Cancel")
            way_out.wait_for(timeout=60_000)
            way_out.click()
            began = time.monotonic()
            again = visit.page.get_by_role("button", name="Try again")
            again.wait_for(timeout=60_000)
            assert time.monotonic() - began < 10
            visit.see("stopped.")
        again.click()
        again.wait_for(state="detached", timeout=60_000)
        visit.settled()
        assert visit.page.get_by_text("stopped.").count() == 0
    visit.check()
