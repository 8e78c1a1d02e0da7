"""The line in which jobs of one kind wait: whose turn is next, and how long each will take.

Pure data: no threads, no clock, nothing of what is computed. A job is known here by its number.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

PATIENCE = 32  # turns, for each job of an owner's; a class of thirty has its round within them
FIRST_GUESS = {"interactive": 0.3, "study": 3.0, "render": 20.0, "training": 120.0}  # seconds, until one has been seen
REMEMBERED = 8  # about so many of the latest make the mean


@dataclass
class Waiting:
    """A job in the line. From turn `due` on it goes before all that came after it."""

    seconds: float
    due: int
    owners: dict[str, None]  # in the order in which they came


@dataclass
class Line:
    """Owners take turns, one job a turn; within a round short jobs go before long ones.

    An owner is a session, or whoever else asks. A job that several wait for is begun in the turn of the one who is
    first. No job is starved, whoever else comes: it is begun after at most `PATIENCE` others for itself and for each
    job that its owner was waiting for already, and those that were in the line before it.
    """

    _jobs: dict[int, Waiting] = field(default_factory=dict)
    _rounds: dict[str, int] = field(default_factory=dict)  # how often each owner has been served, newcomers put level
    _turn: int = 0
    _round: int = 0  # of the latest turn
    _order: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, number: int) -> bool:
        return number in self._jobs

    def join(self, number: int, owner: str, seconds: float) -> None:
        """`owner` waits for the job `number`, which will take about `seconds`; others may wait for it already."""
        own = sum(owner in job.owners for job in self._jobs.values())
        self._rounds[owner] = max(self._level(), self._rounds.get(owner, 0))
        due = self._turn + PATIENCE * (1 + own)
        job = self._jobs.setdefault(number, Waiting(seconds, due, {}))
        if owner not in job.owners:
            job.due = min(job.due, due)
            job.owners[owner] = None
        self._order = None

    def leave(self, number: int, owner: str | None = None) -> None:
        """The job is no longer to be begun; or only `owner` waits for it no longer, which leaves it to the others."""
        job = self._jobs.get(number)
        if job is None or (owner is not None and set(job.owners) <= {owner}):
            return
        if owner is None:
            del self._jobs[number]
        else:
            job.owners.pop(owner, None)
        self._forget()
        self._order = None

    def peek(self) -> int | None:
        """The job that is next."""
        return min(self._jobs, key=self._rank, default=None)

    def next(self) -> int | None:
        """Take out the job that is next, and count the turn; `None` where nobody waits."""
        if not self._jobs:
            return None
        number = min(self._jobs, key=self._rank)
        owner = min(self._jobs.pop(number).owners, key=self._rounds.get)
        self._turn += 1
        self._round = self._rounds[owner]
        self._rounds[owner] += 1
        self._forget()
        self._order = self._order[1:] if self._order and self._order[0] == number else None
        return number

    def order(self) -> tuple[int, ...]:
        """All jobs in the order in which they will be begun if nobody comes or goes."""
        if self._order is None:
            jobs = {number: replace(job, owners=dict(job.owners)) for number, job in self._jobs.items()}
            ahead = Line(jobs, dict(self._rounds), self._turn, self._round)
            self._order = tuple(iter(ahead.next, None))
        return self._order

    def ahead_of(self, number: int) -> tuple[int, float]:
        """How many jobs will be begun before this one, and how many seconds they will take together."""
        order = self.order()
        ahead = order[: order.index(number)]
        return len(ahead), sum(self._jobs[each].seconds for each in ahead)

    def _rank(self, number: int) -> tuple[int, float, int]:
        job = self._jobs[number]
        if self._turn >= job.due:
            return -1, 0.0, number
        return min(map(self._rounds.get, job.owners)), job.seconds, number

    def _waiting(self) -> set[str]:
        return {owner for job in self._jobs.values() for owner in job.owners}

    def _level(self) -> int:
        """The round in which newcomers begin: that of the latest turn, or of whoever is further behind."""
        return min([self._round, *map(self._rounds.get, self._waiting())])

    def _forget(self) -> None:
        """The round of those who wait for nothing counts until the others have caught up."""
        waiting, level = self._waiting(), self._level()
        self._rounds = {owner: count for owner, count in self._rounds.items() if owner in waiting or count > level}


class Durations:
    """How long tasks take: a running mean of what was seen, for each task, network and size of the request."""

    def __init__(self) -> None:
        self._means: dict[Hashable, tuple[float, int]] = {}

    def expected(self, kinds: Iterable[Hashable], kind: str) -> float:
        """Seconds, by the first of `kinds` (from `kinds_of`) of which any was seen; else a guess for the engine's
        `kind` of work."""
        for each in kinds:
            if each in self._means:
                return self._means[each][0]
        return FIRST_GUESS[kind]

    def saw(self, kinds: Iterable[Hashable], seconds: float) -> None:
        for each in kinds:
            mean, count = self._means.get(each, (0.0, 0))
            count = min(count + 1, REMEMBERED)
            self._means[each] = mean + (seconds - mean) / count, count


def kinds_of(task: str, request: Any) -> tuple[Hashable, ...]:
    """What requests like this one have in common, from all (task, network, size) to little (the task)."""
    model = getattr(request, "model", None) or getattr(request, "backbone", None) or request
    size = round(math.log2(_amount(request)))
    return (task, getattr(model, "name", None), size), (task, size), (task,)


def _amount(request: Any) -> float:
    """How much there is to be done, in no unit: twice as much for twice as many filters, steps, epochs or pixels."""
    amount = 1.0
    for name in ("filters", "steps", "epochs", "size", "size"):
        value = getattr(request, name, None)
        value = len(value) if isinstance(value, tuple) and name == "filters" else value
        if isinstance(value, int | float) and value > 0:
            amount *= value
    return amount
