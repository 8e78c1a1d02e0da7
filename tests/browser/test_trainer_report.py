"""The report of a run opens from the disk, without a network, and asks for nothing."""

from __future__ import annotations

import pytest

from core.transfer import report_page
from tests.core.transfer.test_report_page import HOSTILE, content


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_from_the_disk_without_a_network(browser, tmp_path, scheme):
    file = tmp_path / "report.html"
    file.write_text(report_page.page(content(HOSTILE)), encoding="utf-8")
    context = browser.new_context(offline=True, color_scheme=scheme, viewport={"width": 1366, "height": 768})
    try:
        page = context.new_page()
        asked, said = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.goto(file.as_uri())
        assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
        assert said == []  # no complaint, and no name that came alive
        shown = page.evaluate("[...document.images].map(each => each.complete && each.naturalWidth > 0)")
        assert shown and all(shown)
        heights = page.evaluate(
            "[...document.querySelectorAll('svg')].map(each => each.getBoundingClientRect().height)"
        )
        assert len(heights) == 3 and min(heights) > 50
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        ink, paper = page.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        assert (ink, paper) == {
            "light": ("rgb(15, 23, 42)", "rgb(255, 255, 255)"),
            "dark": ("rgb(241, 245, 249)", "rgb(11, 18, 32)"),
        }[scheme]
    finally:
        context.close()
