"""The Filter Visualizer in a real browser: it sharpens, answers to the mouse, stops, and keeps what is there."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.timeout(420)


def colours_in(picture: bytes) -> int:
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).reshape(-1, 3)
    return len(np.unique(pixels, axis=0))


def tile(visit, number: int):
    return visit.figure("mosaic").locator(".scatterlayer .point").nth(number)


def choose(visit, panel: str) -> None:
    visit.page.locator(".st-key-visualizer-panel").get_by_text(panel, exact=True).click()


def test_it_is_drawn_pointed_at_clicked_and_stopped_half_way(server, visit):
    visit.open(f"{server.url}/filter_visualizer?steps=200&count=16&seed=21&method=textbook")
    assert colours_in(visit.figure("mosaic").screenshot()) > 500
    # A click while it is being drawn opens the tile, and no later picture loses it.
    tile(visit, 6).click(force=True)
    visit.page.get_by_role("heading", name="Filter 6").wait_for(timeout=30_000)
    visit.page.wait_for_timeout(3000)
    assert visit.page.get_by_role("heading", name="Filter 6").count() == 1
    assert "filter=6" in visit.page.url
    visit.page.get_by_role("button", name="Stop").click()
    visit.see("kept as far as it came")
    visit.settled()
    assert visit.page.get_by_role("heading", name="Filter 6").count() == 1
    assert colours_in(visit.figure("mosaic").screenshot()) > 500
    tile(visit, 3).hover(force=True)
    hover = visit.figure("mosaic").locator(".hoverlayer")
    hover.locator(".hovertext").wait_for(timeout=10_000)
    assert "filter 3" in hover.text_content() and "score" in hover.text_content()
    with visit.page.expect_download() as download:
        visit.page.get_by_role("button", name="Save the mosaic").click()
    assert Image.open(download.value.path()).size[0] > 1000
    visit.check()
    assert server.complaints() == []


@pytest.mark.slow
def test_a_click_draws_it_large_and_a_slider_goes_back_over_its_steps(server, visit):
    visit.open(f"{server.url}/filter_visualizer?size=64&steps=5&count=4&seed=22")
    visit.see("All tiles (ZIP)", 120)
    visit.settled()
    tile(visit, 2).click(force=True)
    visit.see("Save it large", 120)
    choose(visit, "Steps")
    visit.see("Animation (WebP)")
    visit.figure("scores")
    visit.settled()
    picture = visit.page.locator(".st-key-steps img")
    last = picture.get_attribute("src")
    slider = visit.page.locator(".st-key-visualizer-step input")
    slider.focus()
    slider.press("ArrowLeft")
    visit.page.wait_for_function(
        "last => document.querySelector('.st-key-steps img').getAttribute('src') !== last", arg=last, timeout=20_000
    )
    visit.settled()
    assert "step=4" in visit.page.url
    with visit.page.expect_download() as download:
        visit.page.get_by_role("button", name="Animation (WebP)").click()
    animation = Image.open(download.value.path())
    assert animation.format == "WEBP" and animation.n_frames > 2
    # On a projector the mosaic and the beginning of the panel are both in view.
    for part in (".st-key-mosaic", ".st-key-panel"):
        box = visit.page.locator(part).bounding_box()
        assert box["y"] < 250 and box["x"] + box["width"] <= 1366
    visit.check()
    assert server.complaints() == []


def test_a_dream_is_live_and_the_link_opens_it(server, visit):
    visit.open(f"{server.url}/filter_visualizer?view=dream&dream_size=96&dream_steps=10&octaves=2&photo=coffee")
    visit.see("Before")
    visit.see("Save the dream", 120)
    visit.settled()
    pictures = visit.page.locator(".st-key-before img, .st-key-after img")
    assert pictures.count() == 2
    for place in range(2):
        pictures.nth(place).evaluate("image => image.decode()")
    assert "view=dream" in visit.page.url and "photo=coffee" in visit.page.url
    visit.check()
    assert server.complaints() == []


def test_from_a_tile_to_its_map_on_the_photo(server, visit):
    visit.open(f"{server.url}/filter_visualizer?size=64&steps=1&count=4&choose=photo&photo=coffee")
    visit.see("All tiles (ZIP)", 120)
    visit.settled()
    visit.page.get_by_role("button", name="Where does it fire on a photo?").click()
    visit.page.get_by_role("heading", name="Activation Explorer").wait_for(timeout=30_000)
    visit.see("espresso")
    visit.settled()
    visit.check()
