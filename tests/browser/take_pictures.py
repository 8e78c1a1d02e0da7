"""Takes README's pictures from the running app: `python -m tests.browser.take_pictures`, or some of them by name."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.conftest import FLAGS, ROOT, find_browser, start_server, stop_server

# Where, what is waited for, and then one after the other: which button is pressed, and what is waited for after that.
PICTURES = {
    "activation_explorer": ("activation_explorer?photo=cat", "Channel"),
    "filter_visualizer": (
        "filter_visualizer?filter=11",
        "Save the mosaic",
        ("Draw it large", "to its own picture"),
    ),
    "transfer_trainer": (
        "transfer_trainer",
        "photos in 6 classes",
        ("Start training", "photos held back are recognised;"),
        ("See the results", "The surest first"),
    ),
}


def take(page, url: str, wait_for: str, *steps: tuple[str, str]) -> bytes:
    page.goto(url)
    page.get_by_text(wait_for).first.wait_for(timeout=240_000)
    for press, then in steps:
        page.get_by_role("button", name=press).click()
        page.get_by_text(then).first.wait_for(timeout=240_000)
    page.wait_for_timeout(3000)
    return page.screenshot()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = start_server(Path(folder) / "log.txt")
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        try:
            page = browser.new_page(viewport={"width": 1366, "height": 768})
            for name in sys.argv[1:] or PICTURES:
                address, *what = PICTURES[name]
                shot = take(page, f"{server.url}/{address}", *what)
                picture = Image.open(io.BytesIO(shot)).convert("RGB")
                picture.save(ROOT / "docs" / f"{name}.webp", quality=88, method=6)
        finally:
            browser.close()
            stop_server(server)


if __name__ == "__main__":
    main()
