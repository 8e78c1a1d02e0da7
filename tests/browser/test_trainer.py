"""The whole path of the Transfer Learning Trainer in a real browser: from a ZIP of photos to a network on the other
pages."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from tests.zips import zip_of

pytestmark = pytest.mark.timeout(600)
COLOURS = {"green": (40, 180, 40), "red": (200, 40, 40)}


def colours_in(picture: bytes) -> int:
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).reshape(-1, 3)
    return len(np.unique(pixels, axis=0))


def press(visit, name: str) -> None:
    visit.page.get_by_role("button", name=name).click()


def turn_to(visit, name: str) -> None:
    visit.page.get_by_role("radio", name=name, exact=True).or_(
        visit.page.get_by_role("button", name=name, exact=True)
    ).first.click()
    visit.settled()


def shows(visit, cell, name: str) -> bool:
    """Whether a click on `cell` brings it into the link, as it does unless it is the one on show from the start."""
    from playwright.sync_api import TimeoutError

    cell.hover(force=True)
    visit.figure("confusion").locator(".hoverlayer .hovertext").wait_for(timeout=10_000)
    cell.click(force=True)
    try:
        visit.page.wait_for_url(re.compile(f"cell={name}"), timeout=10_000)
    except TimeoutError:
        return False
    return True


def test_from_a_zip_over_a_stop_to_a_network_on_the_other_pages(server, visit):
    visit.open(f"{server.url}/transfer_trainer?data=zip&epochs=2&fine=8&size=96")
    files = visit.page.locator('[data-testid="stFileUploader"] input[type="file"]')
    files.wait_for(state="attached", timeout=60_000)
    data = zip_of(COLOURS, photos=16, **{"red/broken.jpg": b"no picture"})
    files.set_input_files({"name": "mine.zip", "mimeType": "application/zip", "buffer": data})
    visit.see("32 photos in 2 classes", 90)
    visit.settled()

    press(visit, "Start training")
    visit.see("(fine-tuning)", 180)  # the head is learned in a blink, this is slower
    assert colours_in(visit.figure("curves").screenshot()) > 20
    press(visit, "Stop")
    visit.see("was stopped after epoch", 90)
    visit.page.get_by_role("button", name="See the results").wait_for()
    link = visit.page.url

    # Whoever opens the link later, in another tab, finds the same, and can go on.
    visit.open(link)
    visit.see("was stopped after epoch", 60)
    visit.settled()
    press(visit, "Go on")
    visit.see("10 epochs in", 180)
    visit.see("It went on after epoch")
    visit.settled()

    press(visit, "See the results")
    visit.settled()
    cells = visit.figure("confusion").locator(".scatterlayer .point")
    assert shows(visit, cells.nth(0), "0-0") or shows(visit, cells.nth(3), "1-1")
    visit.see("The surest first")

    turn_to(visit, "Take home")
    with visit.page.expect_download() as download:
        visit.page.get_by_role("button", name=re.compile(r"\.keras")).first.click()
    assert download.value.suggested_filename.endswith(".keras")
    home = visit.page.url
    press(visit, "See what its filters look for")
    visit.page.get_by_role("heading", name="Filter Visualizer").wait_for(timeout=30_000)
    visit.page.get_by_role("button", name="Stop").click(timeout=60_000)
    visit.settled()
    visit.open(home)
    visit.page.get_by_role("button", name="See what it sees").click(timeout=60_000)
    visit.page.get_by_role("heading", name="Activation Explorer").wait_for(timeout=30_000)
    assert colours_in(visit.figure("grid").screenshot()) > 500
    visit.settled()
    visit.page.get_by_text(re.compile(r"\b(green|red)\b")).first.wait_for()
    visit.check()
    assert server.complaints() == []
