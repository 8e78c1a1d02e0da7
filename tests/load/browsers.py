"""A few real browsers in the same lesson: what is seen there, from the choice of a layer to its painted maps."""

from __future__ import annotations

import asyncio
import random
import time

from tests.benchmarks.painted import PAINTED
from tests.browser.conftest import FLAGS
from tests.load.ledger import Ledger
from tests.load.tab import Trouble

KIND = "browser: layer to its painted maps"
LAYERS = (
    "block1_expand_activation",
    "block4_add",
    "block5_project_bn",
    "block6_add",
    "block9_add",
    "block12_project_bn",
)


async def browse(url: str, executable: str, count: int, minutes: float, thinking: float, ledger: Ledger) -> None:
    """So many tabs of one browser, each choosing layers for so many minutes."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=FLAGS)
        await asyncio.gather(*(_one(browser, url, number, minutes, thinking, ledger) for number in range(count)))
        await browser.close()


async def _one(browser, url: str, number: int, minutes: float, thinking: float, ledger: Ledger) -> None:
    from playwright.async_api import Error

    rng, end = random.Random(1000 + number), time.monotonic() + minutes * 60
    context = await browser.new_context(viewport={"width": 1366, "height": 768})
    page = await context.new_page()
    page.on("pageerror", lambda error: ledger.complaints.append(f"browser {number}: {error}"))
    await page.goto(f"{url}/activation_explorer?layer=stem_conv", wait_until="domcontentloaded")
    await page.wait_for_function(PAINTED, arg="stem_conv", timeout=180_000)
    last = "stem_conv"
    while time.monotonic() < end:
        await asyncio.sleep(rng.expovariate(1 / thinking))
        last = rng.choice([layer for layer in LAYERS if layer != last])
        try:
            ledger.times[KIND].append(await _choose(page, last))
        except (Error, Trouble) as error:
            ledger.complaints.append(f"browser {number}: {KIND}: {error}")
            break
        shown = await page.locator('[data-testid="stException"], [data-testid="stAlertContentError"]').all_inner_texts()
        ledger.complaints += [f"browser {number}: {words}" for words in shown]
    await context.close()


async def _choose(page, layer: str) -> float:
    await page.evaluate("window.seenCells = document.querySelector('.st-key-grid .js-plotly-plot').data[0].z")
    box = page.locator('[class*="explorer-layer"] input').first
    await box.click()
    await box.fill(layer)
    option = page.get_by_role("option", name=layer, exact=True).first
    await option.wait_for(timeout=60_000)
    start = time.perf_counter()
    await option.click()
    await page.wait_for_function(PAINTED, arg=layer, timeout=120_000, polling="raf")
    return time.perf_counter() - start
