"""Takes README's pictures from the running app: `python -m tests.browser.take_pictures`."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.conftest import FLAGS, ROOT, find_browser, start_server, stop_server

PICTURES = {
    "activation_explorer": ("activation_explorer?photo=cat", "Channel", None),
    "filter_visualizer": ("filter_visualizer?filter=11", "Save the mosaic", None),
    "transfer_trainer": ("transfer_trainer", "photos in 6 classes", "Start training"),
}


def take(page, url: str, wait_for: str, press: str | None) -> bytes:
    page.goto(url)
    page.get_by_text(wait_for).first.wait_for(timeout=240_000)
    if press:
        page.get_by_role("button", name=press).click()
        page.get_by_text("What it has learned").first.wait_for(timeout=240_000)
        # What there is to see begins where the photos end.
        page.locator(".st-key-curves").evaluate("element => element.scrollIntoView()")
        page.locator('[data-testid="stMain"]').evaluate("element => element.scrollBy(0, -70)")  # from under the header
    page.wait_for_timeout(3000)
    return page.screenshot()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = start_server(Path(folder) / "log.txt")
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        try:
            page = browser.new_page(viewport={"width": 1366, "height": 768})
            for name, (address, wait_for, press) in PICTURES.items():
                shot = take(page, f"{server.url}/{address}", wait_for, press)
                picture = Image.open(io.BytesIO(shot)).convert("RGB")
                picture.save(ROOT / "docs" / f"{name}.webp", quality=88, method=6)
        finally:
            browser.close()
            stop_server(server)


if __name__ == "__main__":
    main()
