"""What only a browser shows of the grid: what pointing at it tells, what a click on it does, what a slider leaves."""

from __future__ import annotations

import re

import pytest


def words_at(visit, grid, place: int, across: float = 0.5, down: float = 0.75) -> str:
    """What pointing at the map in that place tells."""
    painted = grid.locator(".heatmaplayer image").nth(place)
    painted.scroll_into_view_if_needed()
    box = painted.bounding_box()
    visit.page.mouse.move(box["x"] + box["width"] * across, box["y"] + box["height"] * down)
    grid.locator(".hoverlayer .hovertext").wait_for(timeout=10_000)
    return grid.locator(".hoverlayer").text_content()


@pytest.mark.parametrize("layer", ["block6_add", "block2_expand_activation"])  # 14 × 14; 56 × 56, as whole thousandths
def test_pointing_tells_channel_row_column_and_value(server, visit, layer):
    visit.open(f"{server.url}/activation_explorer?layer={layer}&photo=cat")
    grid = visit.figure("grid")
    visit.settled()
    words = words_at(visit, grid, 9)
    found = re.fullmatch(r"channel (\d+)row (\d+), column (\d+)value ([−-]?\d+(?:\.\d+)?(?:e[−-]?\d+)?)(.*)", words)
    assert found, words
    side = 14 if layer == "block6_add" else 56
    assert int(found[1]) == 9
    assert abs(int(found[2]) - 0.75 * side) <= 1 and abs(int(found[3]) - 0.5 * side) <= 1
    # The same cell of the large map, which has every value in full, tells the same.
    number = grid.locator(".scatterlayer .point").nth(9)
    number.hover(force=True)
    # Plotly's clicks are on what it last found under the pointer, a moment after that has moved.
    grid.locator(".hoverlayer").get_by_text("click to see").wait_for(timeout=10_000)
    number.click(force=True)
    visit.page.get_by_role("heading", name="Channel 9", exact=True).wait_for(timeout=30_000)
    assert "channel=9" in visit.page.url
    visit.settled()
    large = visit.figure("large")
    large.locator(".heatmaplayer image").scroll_into_view_if_needed()
    box = large.locator(".heatmaplayer image").bounding_box()
    row, column = int(found[2]), int(found[3])
    visit.page.mouse.move(
        box["x"] + box["width"] * (column + 0.5) / side, box["y"] + box["height"] * (row + 0.5) / side
    )
    large.locator(".hoverlayer .hovertext").wait_for(timeout=10_000)
    again = large.locator(".hoverlayer").text_content()
    assert f"row {row}, column {column}" in again
    value = float(again.partition("value ")[2].replace("−", "-"))
    assert float(found[4].replace("−", "-")) == pytest.approx(value, abs=0.02)
    visit.check()


def test_the_blend_fetches_nothing_of_the_grid_again(server, visit):
    received: list[int] = []
    visit.page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))))
    visit.open(f"{server.url}/activation_explorer?layer=block2_expand_activation&photo=cat")
    grid = visit.figure("grid")
    visit.figure("large")
    visit.settled()
    grid.evaluate("figure => { figure.seenBefore = true; figure.firstMap = figure.data[0]; }")
    assert max(received) > 400_000  # the grid has come this way
    received.clear()
    slider = visit.page.locator(".st-key-explorer-blend input[type=range]")
    slider.focus()
    for _ in range(4):
        visit.page.keyboard.press("ArrowLeft")
    visit.page.wait_for_function(
        "() => document.querySelector('.st-key-large .js-plotly-plot')?.data[0].opacity === 0.4", timeout=20_000
    )
    visit.settled()
    assert grid.evaluate("figure => figure.seenBefore === true && figure.firstMap === figure.data[0]")
    assert 0 < max(received) < 150_000  # the one map and the photo below it
    assert "blend=40" in visit.page.url
    visit.check()
    assert server.complaints() == []


def test_a_click_on_a_bar_chooses_its_unit(server, visit):
    visit.open(f"{server.url}/activation_explorer?layer=predictions&photo=cat")
    bars = visit.figure("units")
    visit.settled()
    bars.locator(".barlayer .point").nth(1).click(force=True)
    visit.page.get_by_role("heading", name="tiger cat").wait_for(timeout=30_000)
    assert "channel=282" in visit.page.url
    visit.check()


def test_maps_grow_with_the_window(server, visit):
    page = visit.page
    visit.open(f"{server.url}/activation_explorer?view=compare&grey=yes&photo=cat")
    figure = visit.figure("compared")
    visit.settled()
    heights = []
    for width, height in ((1366, 768), (1920, 1080)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_function(
            "() => { const room = document.querySelector('.st-key-compared_room').getBoundingClientRect().height;"
            "const drawn = document.querySelector('.st-key-compared .js-plotly-plot')._fullLayout.height;"
            "return Math.abs(room - drawn) < 3; }",
            timeout=20_000,
        )
        heights.append(figure.bounding_box()["height"])
    assert heights[1] > 1.25 * heights[0]
    visit.check()
