"""A few people at once on one server, without browsers; `python -m tests.load` does the same with a class."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.load.ledger import Ledger, percentile, spread
from tests.load.person import Person
from tests.load.tab import Trouble
from tests.load.together import all_of

LAYERS = ("block4_add", "block7_expand_activation", "block12_project_bn")


def test_three_people_at_once_all_see_their_maps(server):
    before = len(server.complaints())
    ledger = Ledger()
    maps = in_a_thread(lesson([Person(number, server.url, ledger) for number in range(3)]))
    assert ledger.complaints == []
    assert len(set(maps)) == 3
    assert server.complaints()[before:] == []
    kinds = {"open the app": 3, "the same layer": 3, "each another": 3, "a click": 3, "again": 3, "bring a ZIP": 1}
    assert {kind: len(times) for kind, times in ledger.times.items()} == kinds


def in_a_thread(work: Coroutine) -> Any:
    """Its result; Playwright has a loop of its own in the tests' thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


async def lesson(people: list[Person]) -> list[str]:
    """Everybody looks at one layer, then each at another, clicks, and has the page run again; one brings photos.

    Returns the figures that they had at last.
    """
    await all_of([person.arrive("activation_explorer", "layer=stem_conv") for person in people])
    await all_of([person.look_at("block6_add", "the same layer") for person in people])
    await all_of([person.look_at(layer, "each another") for person, layer in zip(people, LAYERS, strict=True)])
    await all_of([person.click_channel("a click") for person in people])
    await all_of([person.rerun("again") for person in people])
    maps = [person.tab.figure(f" of {layer}").spec for person, layer in zip(people, LAYERS, strict=True)]
    await people[0].tab.go("transfer_trainer")
    await people[0].tab.settled(60)
    await people[0].bring()
    for person in people:
        await person.leave()
    return maps


def test_what_does_not_come_is_a_complaint(server):
    async def wait_in_vain() -> Ledger:
        ledger = Ledger()
        person = Person(1, server.url, ledger)
        await person.arrive("activation_explorer", "layer=stem_conv")
        await ledger.time("maps of no layer", lambda: person.tab.choose("explorer.nothing", "block6_add"))
        with pytest.raises(Trouble, match="Waited 0 s for what never comes"):
            await person.tab.until(lambda: False, "what never comes", 0.1)
        await person.leave()
        return ledger

    (complaint,) = in_a_thread(wait_in_vain()).complaints
    assert complaint.startswith("maps of no layer: There is no 'explorer.nothing' on the page.")


def test_times_are_told_by_percentile():
    times = [float(number) for number in range(1, 101)]
    assert percentile(times, 0.5) == pytest.approx(50, abs=1) and percentile(times, 0.95) == pytest.approx(95, abs=1)
    assert spread([0.5, 2.0]) == "p50 0.50 s, p95 2.00 s, max 2.00 s"


@pytest.mark.slow
def test_a_class_of_three_has_a_lesson_without_complaints():
    command = [sys.executable, "-m", "tests.load", "--people", "3", "--minutes", "1", "--thinking", "3"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout
