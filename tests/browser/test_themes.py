"""Light and dark, as the browser asks for: everything that is written can be read, in figures too."""

from __future__ import annotations

import re

import pytest

READABLE = 4.5  # WCAG 2.1, contrast (minimum), level AA
# What a figure writes on the page's background; what it writes on marks of its own (badges, cells) brings its colour.
FIGURE_TEXTS = ", ".join(
    f".js-plotly-plot {each}"
    for each in (
        ".xtick text",
        ".ytick text",
        ".xtitle",
        ".ytitle",
        ".gtitle",
        ".legendtext",
        ".cbaxis text",
        ".cbtitle text",
        ".bartext-outside",
        ".annotation-text",
    )
)
PAGE_TEXTS = (
    ".stMainBlockContainer h1, .stMainBlockContainer h3, [data-testid='stMarkdownContainer'] p, "
    "[data-testid='stSidebar'] p, [data-baseweb='tag'] span, [data-testid='stMetricValue'] div"
)
# Of each text: what it says, its colour, and the colours behind it, the nearest first. A parent's opacity counts. What
# cannot be pressed may be pale, also by WCAG; a slider's number belongs to its thumb, but is written above it.
EXEMPT = '[disabled], [aria-disabled="true"], [data-testid="stSliderThumbValue"]'
LOOK = (
    f"""selector => [...document.querySelectorAll(selector)]
  .filter(e => e.textContent.trim() && e.checkVisibility() && !e.closest('{EXEMPT}'))"""
    + """
  .map(element => {
    const style = getComputedStyle(element), svg = element instanceof SVGElement, behind = [];
    let opacity = svg ? parseFloat(style.fillOpacity) : 1;
    for (let e = element; e; e = e.parentElement) {
      opacity *= parseFloat(getComputedStyle(e).opacity);
      if (!(e instanceof SVGElement)) behind.push(getComputedStyle(e).backgroundColor);
    }
    return [element.textContent.trim().slice(0, 40), svg ? style.fill : style.color, opacity, behind];
  })"""
)


def colour(words: str) -> tuple[tuple[float, float, float], float]:
    """ "rgba(1, 2, 3, 0.5)" or "color(srgb 0.1 0.2 0.3 / 0.5)" -> red, green and blue from 0 to 1, and the opacity."""
    numbers = [float(each) for each in re.findall(r"\d*\.?\d+(?:e-?\d+)?", words.removeprefix("color(srgb"))]
    scale = 1 if words.startswith("color(") else 255
    red, green, blue = (number / scale for number in numbers[:3])
    return (red, green, blue), numbers[3] if len(numbers) > 3 else 1.0


def over(top: tuple, opacity: float, below: tuple) -> tuple:
    return tuple(opacity * a + (1 - opacity) * b for a, b in zip(top, below, strict=True))


def background(behind: list[str]) -> tuple:
    """The colour of several layers, the nearest first, on white paper."""
    result = (1.0, 1.0, 1.0)
    for words in reversed(behind):
        if words != "transparent":
            result = over(*colour(words), result)
    return result


def contrast(one: tuple, other: tuple) -> float:
    def luminance(rgb: tuple) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def pale(page, selector: str, least: float = READABLE) -> tuple[list, int]:
    """The texts of the page with less contrast than `least`, and how many there are in all."""
    found = page.evaluate(LOOK, selector)
    ratios = []
    for words, written, opacity, behind in found:
        ground = background(behind)
        rgb, alpha = colour(written)
        if not alpha * opacity:
            continue  # a slider's ends are only there while one points at it
        ratios.append((words, round(contrast(over(rgb, alpha * opacity, ground), ground), 2)))
    return [each for each in ratios if each[1] < least], len(ratios)


def test_the_measure_of_contrast():
    white, black, grey = (1, 1, 1), (0, 0, 0), colour("rgb(118, 118, 118)")[0]
    assert contrast(white, black) == pytest.approx(21)
    assert contrast(white, grey) == pytest.approx(4.54, abs=0.01)  # the palest grey on white that passes
    assert over(black, 0.5, white) == (0.5, 0.5, 0.5)
    assert colour("color(srgb 0.5 0 1 / 0.25)") == ((0.5, 0, 1), 0.25)
    assert background(["rgba(0, 0, 0, 0)", "rgb(0, 0, 255)", "rgb(255, 0, 0)"]) == (0, 0, 1)


ADDRESSES = {
    "welcome": ("", "See what a network has learned", None),
    "explorer, maps": ("activation_explorer?layer=block6_add", "The network says", "large"),
    "explorer, units": ("activation_explorer?layer=predictions", "The network says", "units"),
    "explorer, photos": ("activation_explorer?layer=block6_add&part=photos", "photos looked at", "exciting"),
    "dream": ("filter_visualizer?view=dream&dream_size=96&dream_steps=1&octaves=1", "Layers that dream", None),
    "visualizer": ("filter_visualizer?size=64&steps=2&count=4&panel=trust", "Save the mosaic", "trust"),
}


QUICK = {"welcome", "explorer, maps"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ADDRESSES]
)
def test_what_is_written_can_be_read(server, visit, name, scheme):
    address, words, figure = ADDRESSES[name]
    visit.page.emulate_media(color_scheme=scheme)
    visit.open(f"{server.url}/{address}")
    visit.see(words, 120)
    if figure:
        visit.figure(figure)
    visit.settled()
    check(visit, scheme, figures=figure is not None)


def check(visit, scheme: str, *, figures: bool) -> None:
    behind = background([visit.page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")])
    assert (sum(behind) < 1) == (scheme == "dark")
    too_pale, count = pale(visit.page, PAGE_TEXTS)
    assert count and too_pale == []
    too_pale, count = pale(visit.page, FIGURE_TEXTS)
    assert too_pale == [] and (count > 0) == figures
    visit.check()


@pytest.mark.timeout(420)
@pytest.mark.slow
def test_a_trainings_figures_can_be_read(server, visit):
    visit.open(f"{server.url}/transfer_trainer?epochs=2&size=96&per_class=5&seed=11")
    visit.see("360 photos in 6 classes", 300)
    visit.settled()
    visit.page.get_by_role("button", name="Start training").click()
    visit.see("What it has learned", 240)
    for scheme in ("light", "dark"):
        visit.page.emulate_media(color_scheme=scheme)
        visit.open(visit.page.url)
        visit.see("What it has learned", 60)
        visit.figure("confusion")
        visit.settled()
        check(visit, scheme, figures=True)


def test_pointing_at_a_tile_tells_about_it_in_the_dark_too(server, visit):
    visit.page.emulate_media(color_scheme="dark")
    visit.open(f"{server.url}/filter_visualizer?size=64&steps=2&count=4&panel=trust")
    visit.see("Save the mosaic", 120)
    visit.settled()
    visit.figure("mosaic").locator(".scatterlayer .point").nth(2).hover(force=True)
    visit.page.locator(".hoverlayer .hovertext").wait_for(timeout=10_000)
    words, paper = (
        visit.page.evaluate(f"getComputedStyle(document.querySelector('.hovertext {part}')).fill")
        for part in ("text", "path")
    )
    assert contrast(colour(words)[0], colour(paper)[0]) >= READABLE


def test_a_click_on_an_exciting_photo_takes_it(server, visit):
    visit.open(f"{server.url}/activation_explorer?layer=block6_add&part=photos&channel=3")
    figure = visit.figure("exciting")
    visit.settled()
    figure.locator(".scatterlayer .point").nth(1).hover(force=True)
    visit.page.locator(".hoverlayer .hovertext").wait_for(timeout=10_000)
    name = visit.page.locator(".hoverlayer .hovertext").text_content().partition("value")[0]
    figure.locator(".scatterlayer .point").nth(1).click(force=True)
    visit.page.wait_for_url(re.compile(r"photo=(?!cat)\w+"), timeout=30_000)
    visit.settled()
    visit.page.locator(f'[data-testid="stSidebar"] img[alt="{name}"]').wait_for(timeout=10_000)
    visit.check()
