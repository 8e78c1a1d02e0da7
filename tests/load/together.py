"""What all do at the same moment, against what one alone needs for it."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator

from tests.benchmarks.rows import Row
from tests.load.ledger import Ledger, spread
from tests.load.person import Person
from tests.load.processes import Processes
from tests.load.tab import Tab

IDLE, IDLE_ALL = "rerun of an idle page, alone", "rerun of an idle page, all at once"
CLICK, CLICK_ALL = "click on a channel, alone", "click on a channel, all at once"
FIRST, FIRST_ALL = "first look at a layer, alone", "first look at a layer, each another at once"
BESIDE, BESIDE_BUSY = "a layer of another photo, alone", "the same beside a mosaic and a training run"
KILLED = "a layer whose worker was killed"
ON_AGAIN = "from a killed worker to the next picture of its mosaic"
DRAWN_KILLED = "a mosaic whose worker was killed, all of it"
GOALS = {
    IDLE: "p95 ≤ 0.3 s",
    IDLE_ALL: "p95 ≤ 3 s (30)",
    KILLED: "≤ 20 s",
    ON_AGAIN: "≤ 20 s",
    "layer to its maps": "≤ 1.5 s (browser)",
}
# The second and the third are of one stage: they cost the same.
FIRST_MOSAIC, ONE_MOSAIC, SAME_MOSAIC, OTHER_MOSAIC = (f"block{n}_project_bn" for n in (5, 9, 10, 8))
ALONE = 8  # layers that one looks at alone
ROUNDS = 5


async def measure(
    url: str, people: list[Person], ledger: Ledger, processes: Processes, *, kill: bool
) -> AsyncIterator[Row]:
    """All rows. The people have not arrived yet when it begins; they all look at maps when it ends. With `kill`,
    workers are killed."""
    first, *others = people
    await first.arrive("activation_explorer", "layer=stem_conv")
    await first.tab.until(lambda: first.tab.figure(" of stem_conv") is not None, "the first maps", 180)
    layers = first.layers()
    own = spaced(layers, ALONE + 2 * len(people))
    alone, same, different = own[:ALONE], own[ALONE : ALONE + len(people)], own[ALONE + len(people) :]
    for layer in alone:
        await first.look_at(layer, FIRST)
    for _ in range(ROUNDS * 4):
        await first.rerun(IDLE)
        await first.click_channel(CLICK)
    for layer in same:
        await first.look_at(layer, "layer to its maps")
    before = processes.memory()
    for other in others:
        await other.arrive("activation_explorer", "layer=stem_conv")
    for layer in same:
        await all_of([person.look_at(layer, "layer to its maps, all the same") for person in people])
    after = processes.memory()
    yield Row(
        f"memory of the quick worker, {len(people)} people", "1 person", "≤ 1.1×", times(after.quick, before.quick)
    )
    yield Row("memory of the serving process", "1 person", "–", f"{after.serving:.0f} MB, {before.serving:.0f} MB")
    for _ in range(ROUNDS):
        await all_of([person.rerun(IDLE_ALL) for person in people])
    for _ in range(ROUNDS):
        await all_of([person.click_channel(CLICK_ALL) for person in people])
    yield await different_layers(people, different, ledger)
    async for row in same_mosaic(people, ledger, processes):
        yield row
    async for row in beside_long_work(people, ledger):
        yield row
    if kill:
        async for row in killed(people, layers, ledger, processes):
            yield row
    await all_of([person.go("activation_explorer") for person in people])


async def different_layers(people: list[Person], layers: list[str], ledger: Ledger) -> Row:
    start = time.perf_counter()
    await all_of([person.look_at(layer, FIRST_ALL) for person, layer in zip(people, layers, strict=True)])
    last, one = time.perf_counter() - start, statistics.mean(ledger.times[FIRST])
    words = f"{last / (one * len(people)):.2f}× ({last:.1f} s; one alone {one:.2f} s)"
    return Row(f"{len(people)} different layers at once, last answer", f"one × {len(people)}", "≤ 1.0×", words)


async def same_mosaic(people: list[Person], ledger: Ledger, processes: Processes) -> AsyncIterator[Row]:
    """One draws alone, then all draw one and the same other mosaic."""
    await all_of([person.go("filter_visualizer") for person in people])
    await people[0].draw(FIRST_MOSAIC, kind="the first mosaic", few=True)  # TensorFlow starts in the long worker
    before = processes.computed("long")
    await people[0].draw(ONE_MOSAIC, kind="a mosaic, alone", few=True)
    alone, before = processes.computed("long") - before, processes.computed("long")
    await all_of([person.draw(SAME_MOSAIC, kind="the same mosaic, all at once", few=True) for person in people])
    together = processes.computed("long") - before
    words = f"{together / alone:.2f}× ({together:.0f} s of the processor, {alone:.0f} s alone)"
    yield Row(f"{len(people)} people ask for the same mosaic", "one mosaic", "computed once", words)


async def beside_long_work(people: list[Person], ledger: Ledger) -> AsyncIterator[Row]:
    """One looks at layers of photos that nobody has looked at, alone and while others draw and train."""
    one, *others = people
    if len(others) < 2:
        return
    await one.go("activation_explorer")
    photos = ("rocket", "coffee", "astronaut")
    await one.look_at("block4_add", "layer to its maps")
    for name in photos:
        await one.take_photo(name, "photo to its maps")
    layers = spaced(one.layers(), 24)[1:13]
    await looks(one, layers[:6], BESIDE)
    long = [
        asyncio.create_task(others[0].draw("block11_project_bn", kind="a mosaic of 64 tiles", few=False)),
        asyncio.create_task(trains(others[1])),
    ]
    await asyncio.sleep(8)  # both are at work
    await looks(one, layers[6:], BESIDE_BUSY)
    busy = not all(task.done() for task in long)
    await asyncio.gather(*long)
    ratio = statistics.median(ledger.times[BESIDE_BUSY]) / statistics.median(ledger.times[BESIDE])
    words = f"{ratio:.2f}× ({spread(ledger.times[BESIDE_BUSY])})" + ("" if busy else "; the long work was over by then")
    yield Row("a layer beside a mosaic and a training run", "alone", "≤ 2.5×", words)


async def looks(person: Person, layers: list[str], kind: str) -> None:
    for layer in layers:
        await person.look_at(layer, kind)
        await asyncio.sleep(0.5)


async def trains(person: Person) -> None:
    await person.go("transfer_trainer")
    await person.train()


async def killed(people: list[Person], layers: list[str], ledger: Ledger, processes: Processes) -> AsyncIterator[Row]:
    """The worker ends in the middle of a look at a layer, and of a mosaic."""
    await people[0].go("activation_explorer")
    looking = asyncio.create_task(people[0].look_at(layers[-2], KILLED))
    await asyncio.sleep(0.05)
    gone = processes.kill("quick")
    await looking
    words = spread(ledger.times[KILLED]) if ledger.times[KILLED] else "no answer"
    yield Row(KILLED, "–", "≤ 20 s", words if gone else "there was no worker to kill")
    await people[0].go("filter_visualizer")
    drawing = asyncio.create_task(people[0].draw(OTHER_MOSAIC, kind=DRAWN_KILLED, few=True))
    await asyncio.sleep(2)
    gone = processes.kill("long")
    tab = people[0].tab
    before = drawn_so_far(tab)
    again = tab.until(lambda: drawn_so_far(tab) not in ("", before), "the drawing to go on", 120)
    await people[0].timed(ON_AGAIN, lambda: again)
    again_words = spread(ledger.times[ON_AGAIN]) if ledger.times[ON_AGAIN] else "it did not go on"
    yield Row(ON_AGAIN, "–", "≤ 20 s", again_words if gone else "there was no worker to kill")
    await drawing
    words = spread(ledger.times[DRAWN_KILLED]) if ledger.times[DRAWN_KILLED] else "no answer"
    yield Row(DRAWN_KILLED, "–", "–", words if gone else "there was no worker to kill")


def drawn_so_far(tab: Tab) -> str:
    figure = tab.figure(f"filters of {OTHER_MOSAIC} look for")
    return "" if figure is None else figure.spec


async def all_of(coroutines: list) -> None:
    await asyncio.gather(*coroutines)


def spaced(layers: list[str], count: int) -> list[str]:
    """So many different ones, from all depths of the network."""
    if count > len(layers):
        raise ValueError(f"The network has {len(layers)} layers, {count} are needed.")
    return [layers[place * len(layers) // count] for place in range(count)]


def times(after: float, before: float) -> str:
    return f"{after / before:.2f}× ({after:.0f} MB, {before:.0f} MB)"
