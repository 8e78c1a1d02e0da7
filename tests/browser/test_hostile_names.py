"""Names that are HTML, Markdown, LaTeX, icons, links or formulas, wherever names appear: all of it stays text, and no
request leaves this machine."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import numpy as np
import pytest

from tests.hostile import names
from tests.pages.trained_badly import with_answers
from tests.zips import png, zip_of

pytestmark = pytest.mark.timeout(420)

COLOURS = ((200, 40, 40), (40, 180, 40), (40, 40, 200))
MADE_OF_NAMES = """evil => [
    ...[...document.querySelectorAll('img, script, a, iframe, image, use, link')]
        .filter(each => [...each.attributes].some(it => /href|src|^on/.test(it.name) && it.value.includes(evil))),
    ...[...document.querySelectorAll('.katex, [data-testid="stIconMaterial"]')]
        .filter(each => each.matches('.katex') || each.textContent === 'skull'),
    ...[...document.querySelectorAll('b, strong, i, em, h1, code, tspan[style*="bold"]')]
        .filter(each => /^(bold|line|head|red)$/.test(each.textContent.trim()))
].map(each => each.outerHTML.slice(0, 300))"""


class Watch:
    """What a page asks for while it shows these names."""

    def __init__(self, visit):
        self.visit, self.left, self.ran, self.seen = visit, [], [], ""
        visit.page.on("request", self.note)
        visit.page.on("websocket", lambda socket: self.note(socket))
        visit.page.on("dialog", lambda dialog: (self.ran.append(dialog.message), dialog.dismiss()))

    def note(self, request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob") and address.hostname not in ("127.0.0.1", "localhost"):
            self.left.append(request.url)

    def look(self) -> None:
        """The page as it is now: nothing in it is made of a name."""
        self.visit.settled(120)
        page = self.visit.page
        assert page.evaluate(MADE_OF_NAMES, names.EVIL) == []
        self.seen += page.evaluate("document.body.textContent").replace("\u2060", "")
        assert page.locator('[data-testid="stException"]').count() == 0

    def done(self, server) -> None:
        assert self.left == [] and self.ran == []
        assert server.complaints() == []


@pytest.fixture
def watch(visit) -> Watch:
    return Watch(visit)


def turn_to(visit, name: str) -> None:
    visit.page.get_by_role("radio", name=name, exact=True).first.click()
    visit.settled(120)


def give(visit, field: str, *files: tuple[str, bytes]) -> None:
    box = visit.page.locator(f"{field} input[type=file]").first
    box.wait_for(state="attached", timeout=60_000)
    box.set_input_files([{"name": name, "mimeType": "", "buffer": data} for name, data in files])


@pytest.mark.parametrize(
    "views", [("Why",), pytest.param(("Journey", "What if", "Compare", "Filter Visualizer"), marks=pytest.mark.slow)]
)
def test_a_network_a_photo_and_their_names_on_the_explorer(server, visit, watch, tmp_path, views):
    path = tmp_path / "x.keras"
    names.network(path, names.NAMES)
    page = visit.page
    visit.open(f"{server.url}/activation_explorer?photo=cat")
    page.get_by_role("button", name="Open a model file").click(timeout=120_000)
    give(visit, ".st-key-explorer-model_file", (f"{names.NAMES[1]}.keras", path.read_bytes()))
    visit.see("The network says", 120)
    page.get_by_text(re.compile("from the file")).first.wait_for(timeout=120_000)
    page.keyboard.press("Escape")
    watch.look()
    page.locator(".st-key-all_layers button").first.click()
    watch.look()
    page.keyboard.press("Escape")
    turn_to(visit, "Upload")
    photo = png(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    give(visit, '[data-testid="stSidebar"] [data-testid="stFileUploader"]', (f"{names.NAMES[0]}.png", photo))
    visit.settled()
    watch.look()
    for view in views:
        if view == "Filter Visualizer":
            page.get_by_role("link", name=view).click()
            visit.figure("mosaic", 240)
        else:
            turn_to(visit, view)
        watch.look()
    for name in names.NAMES[:3]:
        assert name in watch.seen, name  # it was there, letter for letter
    watch.done(server)


def test_the_watch_sees(server, visit, watch):
    visit.open(server.url)
    visit.settled()
    for html in (f'<img src="https://{names.EVIL}/x">', f"<a href=\"javascript:'{names.EVIL}'\">a</a>", "<b>bold</b>"):
        visit.page.evaluate("html => document.body.insertAdjacentHTML('beforeend', html)", html)
    assert len(visit.page.evaluate(MADE_OF_NAMES, names.EVIL)) == 3
    assert watch.left == [f"https://{names.EVIL}/x"]


def test_photos_and_a_run_with_such_classes_on_the_trainer(server, visit, watch):
    classes = [names.as_part(name) for name in names.NAMES]
    colours = dict(zip(classes, [COLOURS[place % 3] for place in range(len(classes))], strict=True))
    bad = {f"{classes[place]}/{classes[place][:200]}.jpg": b"no photo" for place in range(len(classes))}
    data = zip_of(colours, photos=4, **bad)
    visit.open(f"{server.url}/transfer_trainer?data=zip")
    give(visit, '[data-testid="stFileUploader"]', (f"{classes[0]}.zip", data))
    visit.see(f"photos in {len(classes)} classes", 120)
    watch.look()
    for each in visit.page.locator('[data-testid="stExpander"] summary').all():
        each.click()
    watch.look()

    places = np.arange(24)
    two = {classes[0]: COLOURS[0], classes[4]: COLOURS[1]}
    run = with_answers(places % 2, np.where(places % 3, 1 - places % 2, 0.8) * 0.8 + 0.1, network=True, classes=two)
    for more in ("", "&part=mistakes", "&part=home", "&part=try"):
        visit.open(f"{server.url}/transfer_trainer?view=results&run={run.name}{more}")
        visit.see("Transfer Learning Trainer")
        watch.look()
    visit.open(f"{server.url}/transfer_trainer?view=runs")
    visit.see("Transfer Learning Trainer")
    watch.look()
    assert classes[0] in watch.seen
    watch.done(server)
