"""One cell, in a real browser: a click on the map chooses it, and one can walk back layer by layer."""

from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.timeout(420)


def numbers(visit) -> tuple[int, int]:
    return tuple(int(visit.page.locator(f".st-key-explorer-{name} input").first.input_value()) for name in ("y", "x"))


def test_a_click_on_the_map_chooses_a_cell_and_nothing_jumps(server, visit):
    visit.open(f"{server.url}/activation_explorer?layer=block1_depthwise_conv&channel=44&part=cell")
    visit.figure("cell_photo", 240)
    visit.settled()
    before, grid = numbers(visit), visit.figure("grid").bounding_box()
    box = visit.figure("cell_map").bounding_box()
    side = min(box["width"], 196)  # square, in the upper left corner
    visit.page.mouse.click(box["x"] + 0.5 * side, box["y"] + 0.25 * side)
    visit.page.wait_for_function(
        "before => document.querySelector('.st-key-explorer-y input').value !== before",
        arg=str(before[0]),
        timeout=90_000,
    )
    visit.settled()
    y, x = numbers(visit)
    assert abs(y - 14) <= 4 and abs(x - 28) <= 4  # of 56 × 56
    assert re.search(rf"y={y}\b", visit.page.url) and re.search(rf"x={x}\b", visit.page.url)
    visit.see(f"Row {y}, column {x} has the value")
    assert visit.figure("grid").bounding_box() == grid
    visit.check()


@pytest.mark.slow
def test_one_walks_back_and_forth_and_sees_it_large(server, visit):
    visit.open(f"{server.url}/activation_explorer?layer=block1_expand_activation&channel=70&page=2&part=cell&y=3&x=5")
    visit.figure("cell_photo", 240)
    visit.page.get_by_role("button", name="block1_expand_bn").click()
    visit.see("Mean and variance of this channel")
    visit.page.get_by_role("button", name="block1_expand_conv").click()
    visit.see("16 products")
    visit.settled()
    assert "layer=block1_expand_conv" in visit.page.url and "channel=70" in visit.page.url
    assert numbers(visit) == (3, 5)
    visit.page.get_by_role("button", name="Large").click()
    visit.page.get_by_role("dialog").get_by_text("How this value comes about").wait_for(timeout=20_000)
    visit.figure("large_parts")
    visit.page.get_by_role("dialog").get_by_role("button", name="Close").click()
    visit.page.get_by_role("button", name="block1_expand_bn").click()
    visit.see("Mean and variance of this channel")
    visit.check()
    assert server.complaints() == []
