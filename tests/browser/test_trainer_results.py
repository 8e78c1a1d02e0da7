"""The results of a training run in a real browser: from a cell of the matrix to its photos, and to one of them."""

from __future__ import annotations

import pytest

from tests.pages.trained_badly import with_answers

pytestmark = pytest.mark.slow

# Of 12 green photos 3 are taken for red, of 8 red ones 1 for green.
LABELS = [0] * 12 + [1] * 8
SURE = [0.9] * 9 + [0.2, 0.4, 0.01] + [0.05] * 7 + [0.7]
SCROLLED = "() => document.querySelector('[data-testid=stMain]').scrollTop"


def test_a_click_on_a_cell_shows_its_photos_and_a_click_on_one_of_them_where_the_network_looked(server, visit):
    run = with_answers(LABELS, SURE, network=True)
    visit.open(f"{server.url}/transfer_trainer?view=results&run={run.name}")
    figure = visit.figure("confusion")
    visit.settled()
    tiles = visit.page.locator('[class*="st-key-answer_"]')
    assert tiles.count() == 3
    before = visit.page.evaluate(SCROLLED)
    for _ in range(2):  # the second click on a cell chooses nothing else
        plot = figure.locator(".nsewdrag").first.bounding_box()
        # Far from the middle of the cell of red ones that were taken for green.
        visit.page.mouse.move(plot["x"] + 0.05 * plot["width"], plot["y"] + 0.6 * plot["height"], steps=4)
        visit.page.wait_for_timeout(300)
        visit.page.mouse.down()
        visit.page.mouse.up()
        tiles.filter(has_text="is red").wait_for()
        visit.settled()
        assert tiles.count() == 1
    assert visit.page.evaluate(SCROLLED) == before
    visit.page.wait_for_url(lambda url: "cell=1-0" in url)
    for _ in range(2):  # and it can be opened again
        tiles.first.click()
        large = visit.page.get_by_role("dialog")
        large.get_by_text("It is red").wait_for()
        large.locator(".js-plotly-plot").wait_for()
        assert large.locator("img").count() == 3
        visit.page.wait_for_url(lambda url: "closer=19" in url)
        visit.page.keyboard.press("Escape")
        large.wait_for(state="detached")
        visit.page.wait_for_url(lambda url: "closer" not in url)
        visit.settled()
    visit.check()
