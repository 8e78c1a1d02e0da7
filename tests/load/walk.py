"""A lesson: everybody does what they like, with time to think, until it is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from core import samples
from tests.load.person import Person
from tests.load.processes import Memory, Processes
from tests.load.tab import Trouble

LESSON = "block6_project_bn"  # the mosaic that the teacher told everybody to draw
MINUTE = 60.0


async def walk(people: list[Person], minutes: float, thinking: float) -> None:
    """Everybody for so many minutes; `thinking` is the mean of the seconds between two actions."""
    end = time.monotonic() + minutes * MINUTE
    await asyncio.gather(*(_one(person, end, thinking) for person in people))


async def _one(person: Person, end: float, thinking: float) -> None:
    while time.monotonic() < end:
        await asyncio.sleep(min(person.rng.expovariate(1 / thinking), max(0.0, end - time.monotonic())))
        if time.monotonic() >= end:
            return
        try:
            if person.tab is None:
                await person.arrive("activation_explorer")
            else:
                await _something(person)
        except Trouble as error:
            person.ledger.complaints.append(f"{person.name}: {error}")
            await person.leave()


async def _something(person: Person) -> None:
    """Mostly layers, often the same as others; now and then another page, a drawing, a training run."""
    what = person.rng.choices(
        ("layer", "channel", "photo", "why", "journey", "mosaic", "own mosaic", "train", "reload"),
        (40, 20, 10, 5, 5, 8, 4, 1.5, 3),
    )[0]
    if what == "reload":
        await person.leave()
        await person.arrive("activation_explorer", f"layer={person.rng.choice(('block2_add', 'block9_add'))}")
    elif what in ("mosaic", "own mosaic"):
        await person.go("filter_visualizer")
        layers = list(person.tab.find("selectbox", key="visualizer.layer").options)
        layer = LESSON if what == "mosaic" else person.rng.choice(layers[len(layers) // 4 :])
        await person.draw(
            layer, kind=f"draw: the {'lesson' if what == 'mosaic' else 'own'} mosaic", few=True, patience=60
        )
        await person.go("activation_explorer")
    elif what == "train":
        await person.go("transfer_trainer")
        await person.train(patience=180)
        await person.go("activation_explorer")
    elif what in ("why", "journey"):
        await person.turn_to({"why": "Why", "journey": "Journey"}[what], f"look at {what}")
        await person.turn_to("Maps", "back to the maps")
    elif what == "photo":
        await person.take_photo(person.rng.choice(samples.PHOTOGRAPHS).name)
    elif what == "channel":
        await person.click_channel()
    else:
        await person.look_at(person.rng.choice(person.layers()))


async def keep_weighing(processes: Processes, minutes: float, say: Callable[[str], None]) -> list[Memory]:
    """The memory of the processes at the beginning and after each minute."""
    found = [processes.memory()]
    for minute in range(1, max(1, round(minutes)) + 1):
        await asyncio.sleep(min(MINUTE, minutes * MINUTE))
        found.append(processes.memory())
        say(f"minute {minute}: {found[-1].words()}")
    return found


def growth(found: list[Memory]) -> str:
    """From the second minute, when everything has been used once, to the last."""
    first, last = found[min(2, len(found) - 1)], found[-1]

    def percent(before: float, after: float) -> str:
        return f"{100 * (after / before - 1):+.0f} %" if before else "–"

    return (
        f"serving {percent(first.serving, last.serving)}, quick worker {percent(first.quick, last.quick)}, "
        f"long work {percent(first.long, last.long)}"
    )
