"""The way to a layer as a person goes it: clicks on bars, keys, a tile of the journey."""

from __future__ import annotations

import re

import pytest


def layer_in(address: str) -> str:
    return re.search(r"[?&]layer=([^&]*)", address)[1]


def arrive(visit, layer: str) -> None:
    visit.page.wait_for_url(lambda address: layer_in(address) == layer, timeout=60_000)
    visit.settled(120)


def test_bars_and_keys_lead_to_layers(server, visit):
    page = visit.page
    visit.open(f"{server.url}/activation_explorer?layer=block3_add")
    strip = visit.figure("strip")
    visit.settled(120)
    strip.locator(".bars .point").nth(0).click(force=True)
    arrive(visit, "stem_activation")
    page.keyboard.press("n")
    arrive(visit, "block0_depthwise_conv")
    page.keyboard.press("p")
    arrive(visit, "stem_activation")
    page.locator(".st-key-all_layers button").first.click()
    search = page.locator(".st-key-layers_search input")
    search.press_sequentially("npn")  # letters in a box are letters
    visit.settled()
    assert layer_in(page.url) == "stem_activation"
    search.fill("pool")
    search.press("Enter")
    visit.see("1 of 142 layers")
    visit.check()


@pytest.mark.slow
def test_a_tile_of_the_journey_opens_its_channel(server, visit):
    page = visit.page
    visit.open(f"{server.url}/activation_explorer?view=journey")
    row = visit.figure("journey_block2_depthwise_activation")
    visit.settled(120)
    row.scroll_into_view_if_needed()
    box = row.bounding_box()
    page.mouse.click(box["x"] + 50, box["y"] + 50)
    arrive(visit, "block2_depthwise_activation")
    visit.figure("grid")
    visit.settled(120)
    assert re.search(r"[?&]channel=\d+", page.url) and "view=journey" not in page.url
    visit.check()
