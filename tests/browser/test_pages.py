"""What only a browser shows: painted figures, clicks on them, live updates, the first request to a fresh server."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PAGES = {
    "activation_explorer": "Activation Explorer",
    "filter_visualizer?size=64&steps=2&count=4": "Filter Visualizer",
    "transfer_trainer?data=zip": "Transfer Learning Trainer",
}


def colours_in(picture: bytes) -> int:
    """How many different colours a screenshot has: a blank one has a handful."""
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).reshape(-1, 3)
    return len(np.unique(pixels, axis=0))


@pytest.mark.parametrize("address", PAGES)
def test_a_deep_link_may_be_the_first_request_to_a_fresh_server(fresh_server, visit, address):
    visit.open(f"{fresh_server.url}/{address}")
    visit.page.get_by_role("heading", name=PAGES[address]).wait_for(timeout=60_000)
    # The router's navigation, not the one that Streamlit makes of a folder of pages.
    visit.page.locator('[data-testid="stTopNavLink"]').first.wait_for(timeout=60_000)
    assert visit.page.locator('[data-testid="stSidebarNav"]').count() == 0
    assert visit.page.get_by_text("Page not found").count() == 0
    visit.check()
    assert fresh_server.complaints() == []


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks into the process as Linux shows it")
def test_the_serving_process_never_loads_tensorflow(server, visit):
    for (address, title), figure in zip(PAGES.items(), ("grid", "mosaic", None), strict=True):
        visit.open(f"{server.url}/{address}")
        visit.page.get_by_role("heading", name=title).wait_for(timeout=60_000)
        if figure:
            visit.figure(figure)
        visit.settled(120)
    loaded = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "orjson" in loaded  # the right process, and its libraries can be read
    assert "tensorflow" not in loaded


def test_the_welcome_shows_three_pictures(server, visit):
    visit.open(server.url)
    visit.see("See what a network has learned")
    visit.settled()
    pictures = visit.page.locator('[data-testid="stImage"] img, [data-testid="stImageContainer"] img')
    pictures.nth(2).wait_for(timeout=30_000)
    assert pictures.count() == 3
    for i in range(3):
        pictures.nth(i).evaluate("image => image.decode()")  # fails where there is no picture behind it
        assert pictures.nth(i).evaluate("image => image.naturalWidth") > 300
    visit.check()


def test_a_click_on_a_channels_number_shows_it_large(server, visit):
    visit.open(f"{server.url}/activation_explorer?photo=coffee")
    visit.see("espresso")
    grid = visit.figure("grid")
    assert colours_in(visit.figure("large").screenshot()) > 500
    visit.settled()
    grid.locator(".scatterlayer .point").nth(9).click(force=True)
    visit.page.get_by_role("heading", name="Channel 9", exact=True).wait_for(timeout=30_000)
    assert "channel=9" in visit.page.url
    visit.settled()
    visit.check()
    assert server.complaints() == []


def test_a_mosaic_sharpens_and_answers_to_clicks(server, visit):
    visit.open(f"{server.url}/filter_visualizer?size=64&steps=30&count=4&seed=7&method=textbook")
    assert colours_in(visit.figure("mosaic").screenshot()) > 500
    visit.see("Save the mosaic", 120)
    visit.settled()
    visit.figure("mosaic").locator(".scatterlayer .point").nth(2).click(force=True)
    visit.page.get_by_role("heading", name="Filter 2").wait_for(timeout=20_000)
    with visit.page.expect_download() as download:
        visit.page.get_by_role("button", name="Save the mosaic").click()
    assert download.value.suggested_filename == "filters_for_layer_block5_project_bn.png"
    assert Image.open(download.value.path()).format == "PNG"
    visit.check()
    assert server.complaints() == []
