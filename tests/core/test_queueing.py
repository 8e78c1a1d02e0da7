"""The line: properties of every line that there can be, and some that one can check by hand."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.queueing import FIRST_GUESS, PATIENCE, Durations, Line, kinds_of

OWNERS = st.sampled_from("abcdefgh")
SECONDS = st.floats(0.01, 100)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.integers(0, 20), OWNERS, SECONDS),
        st.tuples(st.just("leave"), st.integers(0, 20), st.one_of(st.none(), OWNERS)),
        st.tuples(st.just("next")),
    ),
    max_size=80,
)


def line_of(*jobs: tuple[int, str, float]) -> Line:
    line = Line()
    for job in jobs:
        line.join(*job)
    return line


def played(steps) -> tuple[Line, dict[int, set[str]], list[int]]:
    """The line after `steps`, what should be in it by a plain book, and what was begun."""
    line, book, begun = Line(), {}, []
    for what, *arguments in steps:
        if what == "join":
            line.join(*arguments)
            book.setdefault(arguments[0], set()).add(arguments[1])
        elif what == "leave":
            number, owner = arguments
            line.leave(number, owner)
            if owner is None:
                book.pop(number, None)
            elif book.get(number, set()) - {owner}:
                book[number].discard(owner)
        elif (number := line.next()) is not None:
            del book[number]
            begun.append(number)
    return line, book, begun


@given(STEPS)
def test_nothing_is_lost_and_nothing_is_begun_twice(steps):
    line, book, _ = played(steps)
    assert len(line) == len(book)
    assert all(number in line for number in book)
    assert sorted(line.order()) == sorted(book)


@given(STEPS)
def test_the_order_that_is_told_is_the_order_that_comes(steps):
    line, _, _ = played(steps)
    told = line.order()
    assert line.peek() == (told[0] if told else None)
    assert tuple(iter(line.next, None)) == told
    assert line.next() is None
    assert line.order() == ()


@given(
    st.dictionaries(OWNERS, st.lists(SECONDS, min_size=1, max_size=6), min_size=2, max_size=5)
)  # within their patience
def test_owners_take_turns(wanted):
    """Whoever waits has as many turns as anybody else, give or take one, as long as nobody loses patience."""
    line, owner_of, numbers = Line(), {}, iter(range(1000))
    for owner, jobs in wanted.items():
        for seconds in jobs:
            number = next(numbers)
            owner_of[number] = owner
            line.join(number, owner, seconds)
    turns = dict.fromkeys(wanted, 0)
    while (number := line.next()) is not None:
        turns[owner_of[number]] += 1
        still = [turns[owner] for owner, jobs in wanted.items() if turns[owner] < len(jobs)]
        assert not still or max(turns.values()) - min(still) <= 1


@given(st.lists(SECONDS, min_size=1, max_size=30))
def test_in_one_round_short_jobs_go_first(seconds):
    line = line_of(*((number, f"session {number}", each) for number, each in enumerate(seconds)))
    begun = list(iter(line.next, None))
    assert begun == sorted(range(len(seconds)), key=lambda number: (seconds[number], number))


@settings(max_examples=20, deadline=None)
@given(others=st.integers(0, 20), own=st.integers(0, 3), who=st.sampled_from(["new", "old", "own", "all"]))
def test_no_job_is_starved_whoever_else_comes(others, own, who):
    """A long job, while at each turn shorter ones come: of new owners, of the old ones, of its own, or of all."""
    line, numbers = Line(), iter(range(10**6))
    for owner in (*(f"old {each}" for each in range(others)), *["me"] * own):
        line.join(next(numbers), owner, 50.0)
    mine = next(numbers)
    line.join(mine, "me", 1000.0)
    coming = {
        "new": lambda turn: [f"new {turn}"],
        "old": lambda turn: [f"old {turn % (others + 1)}"],
        "own": lambda turn: ["me"],
        "all": lambda turn: [f"new {turn}", f"old {turn % (others + 1)}", "me"],
    }[who]
    bound = PATIENCE * (1 + own) + others + own
    for turn in range(bound + 1):
        for owner in coming(turn):
            line.join(next(numbers), owner, 0.1)
        if line.next() == mine:
            return
    raise AssertionError(f"not begun after {bound} others")


def test_who_has_had_a_turn_waits_for_those_who_have_not():
    line = line_of((1, "a", 1), (2, "a", 1), (3, "a", 1))
    assert line.next() == 1
    line.join(4, "b", 60)
    assert [line.next() for _ in range(3)] == [4, 2, 3]


def test_coming_back_gives_no_new_turn():
    line = line_of((1, "a", 1), (2, "b", 9), (3, "c", 10))
    assert line.next() == 1
    line.join(4, "a", 1)
    assert line.order() == (2, 3, 4)


def test_a_newcomer_has_not_saved_up_turns():
    line = line_of(*((number, "a", 1) for number in range(10)))
    for _ in range(5):
        line.next()
    for number in range(20, 24):
        line.join(number, "b", 1)
    assert line.order() == (20, 5, 21, 6, 22, 7, 23, 8, 9)


def test_what_several_wait_for_comes_when_the_first_of_them_has_a_turn():
    line = line_of((1, "a", 1), (2, "a", 1), (3, "a", 5), (4, "b", 9))
    line.join(3, "b", 5)
    assert line.order()[:2] == (1, 3)
    line.leave(3, "b")
    assert line.order() == (1, 4, 2, 3)
    line.leave(3, "a")  # the last one cannot leave it alone
    assert 3 in line


def test_a_job_that_has_gone_is_in_nobodys_way():
    line = line_of((1, "a", 1), (2, "b", 1))
    line.leave(1)
    assert line.order() == (2,)
    line.leave(1)
    line.leave(2)
    assert line.next() is None


# --- How long --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Model:
    name: str


@dataclass(frozen=True)
class Draw:
    model: Model
    filters: tuple[int, ...]
    steps: int = 30
    size: int | None = 128


def test_before_anything_was_seen_the_kind_of_work_says():
    assert Durations().expected(kinds_of("core.a:b", None), "render") == FIRST_GUESS["render"]
    assert FIRST_GUESS["interactive"] < FIRST_GUESS["study"] < FIRST_GUESS["render"] < FIRST_GUESS["training"]


def test_what_was_seen_is_expected_again_and_most_where_it_is_alike():
    durations = Durations()
    few, many = (Draw(Model("vgg16"), tuple(range(count))) for count in (4, 64))
    durations.saw(kinds_of("draw", few), 2.0)
    durations.saw(kinds_of("draw", many), 30.0)
    expect = lambda request: durations.expected(kinds_of("draw", request), "render")  # noqa: E731
    assert expect(few) == 2
    assert expect(many) == 30
    assert expect(Draw(Model("xception"), tuple(range(64)))) == 30  # by its size
    assert expect(Draw(Model("xception"), tuple(range(1000)))) == 16  # by the task alone
    assert durations.expected(kinds_of("other", few), "render") == FIRST_GUESS["render"]


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=50))
def test_the_mean_stays_within_what_was_seen_and_follows_it(seen):
    durations = Durations()
    for seconds in seen:
        durations.saw(["it"], seconds)
    assert min(seen) - 1e-9 <= durations.expected(["it"], "render") <= max(seen) + 1e-9
    for _ in range(40):
        durations.saw(["it"], 5.0)
    assert durations.expected(["it"], "render") == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize(
    "request_", [None, "a path", 7, ("a", 2), Draw(Model("x"), ()), Draw(Model("x"), (1,), 1, None)]
)
def test_any_request_has_a_size(request_):
    assert kinds_of("task", request_)[-1] == ("task",)
