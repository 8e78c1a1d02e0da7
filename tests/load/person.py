"""One of the class: what a person does on the pages, one thing at a time, each timed."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from core import samples
from tests.load.ledger import Ledger
from tests.load.tab import Tab, Trouble
from tests.zips import zip_of

PATIENCE = 240.0  # seconds that a person waits for short work before it counts as lost
ZIP = {"green": (40, 180, 40), "red": (200, 40, 40)}


@dataclass
class Person:
    """`number` is the seed of all that this person chooses."""

    number: int
    url: str
    ledger: Ledger
    tab: Tab | None = None
    rng: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.number)

    @property
    def name(self) -> str:
        return f"person {self.number}"

    async def timed(self, kind: str, action: Callable[[], Awaitable[object]]) -> float | None:
        return await self.ledger.time(kind, action, who=self.name)

    async def arrive(self, page: str = "", query: str = "") -> None:
        async def come() -> None:
            self.tab = await Tab.open(self.url, page, query)
            await self.tab.settled(PATIENCE)

        await self.timed("open the app", come)

    async def leave(self) -> None:
        if self.tab is not None:
            self.ledger.complaints += [f"{self.name}: {words}" for words in self.tab.complaints]
            await self.tab.close()
            self.tab = None

    # --- Any page ----------------------------------------------------------------------------------------------------

    async def go(self, page: str) -> None:
        async def there() -> None:
            await self.tab.go(page)
            await self.tab.settled(PATIENCE)

        await self.timed(f"open page {page or 'welcome'}", there)

    async def rerun(self, kind: str = "rerun of an idle page") -> float | None:
        async def again() -> None:
            await self.tab.rerun()
            await self.tab.settled(PATIENCE)

        return await self.timed(kind, again)

    # --- Activation Explorer -----------------------------------------------------------------------------------------

    def layers(self) -> list[str]:
        """All that the list of layers offers."""
        return list(self.tab.find("selectbox", key="explorer.layer").options)

    async def look_at(self, layer: str, kind: str = "layer to its maps") -> float | None:
        """Choose a layer; the time until its maps (or bars) are there."""

        async def chosen() -> None:
            await self.tab.choose("explorer.layer", layer)
            await self._see(layer)

        return await self.timed(kind, chosen)

    async def take_photo(self, name: str, kind: str = "photo to its maps") -> float | None:
        caption = next(sample.caption for sample in samples.PHOTOGRAPHS if sample.name == name)
        layer = _in(self.tab.query, "layer")

        async def taken() -> None:
            await self.tab.choose("explorer.photo", caption)
            await self.tab.until(lambda: _in(self.tab.query, "photo") == name, f"the photo {name}", PATIENCE)
            await self._see(layer)

        return await self.timed(kind, taken)

    async def click_channel(self, kind: str = "click on a channel") -> float | None:
        """One of those on show, another than the chosen one."""
        grid = self.tab.find("plotly_chart", key="grid")
        if grid is None:  # the units of a vector are bars
            return None
        chosen = _in(self.tab.query, "channel")
        wanted = next(number for number in self.rng.sample(range(8), 2) if str(number) != chosen)

        async def clicked() -> None:
            await self.tab.click(grid, wanted)
            await self.tab.settled(PATIENCE)
            if _in(self.tab.query, "channel") != str(wanted):
                raise Trouble(f"Channel {wanted} was clicked, but the address is {self.tab.query}.")

        return await self.timed(kind, clicked)

    async def turn_to(self, words: str, kind: str) -> float | None:
        """Another view of the Explorer."""

        async def turned() -> None:
            await self.tab.choose("explorer.view", words)
            await self.tab.settled(PATIENCE)

        return await self.timed(kind, turned)

    async def _see(self, layer: str) -> None:
        await self.tab.settled(PATIENCE)
        if self.tab.figure(f" of {layer}") is None:
            raise Trouble(f"The maps of {layer} did not come. The page says: {self.tab.words()}")

    # --- Filter Visualizer -------------------------------------------------------------------------------------------

    async def draw(self, layer: str, *, kind: str, few: bool, patience: float = 600) -> float | None:
        """Have the mosaic of a layer drawn; the time from the click to the finished drawing, and (as "…: a word") to
        the first sign of it. One who has no patience any more presses *Stop*."""
        tab = self.tab
        await tab.choose("visualizer.layer", layer)
        await tab.settled(PATIENCE)
        if few:
            await tab.choose("visualizer.method", "Fast")
            await tab.settled(PATIENCE)
            await tab.choose("visualizer.count", "16")
            await tab.settled(PATIENCE)

        async def drawn() -> None:
            await tab.wait_for_button(key="draw", seconds=PATIENCE)
            start = time.perf_counter()
            await tab.press(key="draw")
            await tab.settled(PATIENCE)  # what the page says until then is of the drawing before
            await tab.until(lambda: self._drawing(layer) or self._drawn(layer), "a word about the drawing", PATIENCE)
            self.ledger.times[f"{kind}: a word"].append(time.perf_counter() - start)
            try:
                await tab.until(lambda: self._drawn(layer), f"the mosaic of {layer}", patience)
            except Trouble:
                if patience >= 600 or self._drawn(layer):
                    raise
                self.ledger.times["lost patience with a drawing"].append(time.perf_counter() - start)
                await tab.press(words="Stop")
                await tab.settled(PATIENCE)

        return await self.timed(kind, drawn)

    def _drawing(self, layer: str) -> bool:
        return self.tab.find("button", words="Stop") is not None or bool(self.tab.words())

    def _drawn(self, layer: str) -> bool:
        done = self.tab.find("button", words="Stop") is None and self.tab.runs_ended == self.tab.runs_begun
        return done and self.tab.figure(f"filters of {layer} look for") is not None

    # --- Transfer Learning Trainer -----------------------------------------------------------------------------------

    async def bring(self) -> float | None:
        """Bring a small ZIP; the time until the page says what is in it."""
        tab = self.tab

        async def brought() -> None:
            await tab.choose("trainer.data", "My photos (ZIP)")
            await tab.settled(PATIENCE)
            await tab.upload("trainer.zip", f"photos{self.number}.zip", zip_of(ZIP, photos=12), "application/zip")
            await tab.settled(PATIENCE)
            if not any("24 photos in 2 classes" in each.body for each in tab.all("heading")):
                raise Trouble(f"The photos were not read. The page says: {tab.words()}")

        return await self.timed("bring a ZIP", brought)

    async def train(self, kind: str = "train on a small ZIP", patience: float = 600) -> float | None:
        """Bring a small ZIP and train on it, the recipe as it is; the time from *Start training* to its result."""
        tab = self.tab

        async def trained() -> None:
            await tab.press(key="trainer.start")
            ended = lambda: tab.find("button", words="See the results") is not None  # noqa: E731
            await tab.until(ended, "the end of the training", patience)

        return None if await self.bring() is None else await self.timed(kind, trained)


def _in(query: str, name: str) -> str:
    """The value of `name` in an address."""
    return dict(part.partition("=")[::2] for part in query.split("&")).get(name, "")
