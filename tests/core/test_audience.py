"""Who waits for a job, by a clock that the test turns."""

from __future__ import annotations

from core.audience import GONE, LEFT, Audience


def deserted(audience: Audience, now: float, here: str = "", back: str = "") -> bool:
    return audience.deserted(now, lambda viewer: viewer in here, lambda viewer: viewer in back)


def test_who_turns_away_is_missed_after_a_moment_and_may_come_back_before():
    audience = Audience()
    audience.join("a")
    assert not deserted(audience, 100, here="a")
    audience.leave("a", 100)
    assert not deserted(audience, 100 + LEFT / 2, here="a")
    audience.join("a")
    assert not deserted(audience, 200, here="a")
    audience.leave("a", 200)
    audience.leave("a", 200.5)  # has left already
    assert deserted(audience, 200.1 + LEFT, here="a")


def test_a_closed_tab_is_given_the_time_to_load_again():
    audience = Audience()
    audience.join("a")
    audience.leave("a", 0)  # its script was stopped
    assert not deserted(audience, LEFT)
    assert not deserted(audience, GONE - 0.1)
    assert deserted(audience, GONE)
    audience.join("a again")
    assert not deserted(audience, GONE, here="a again")


def test_that_a_tab_was_closed_is_noticed_though_nobody_says_so():
    audience = Audience()
    audience.join("a")
    assert not deserted(audience, 0)
    assert not deserted(audience, GONE - 0.1)
    assert deserted(audience, GONE)


def test_one_who_looks_is_enough():
    audience = Audience()
    for viewer in "abc":
        audience.join(viewer)
    audience.leave("a", 0)
    assert audience.looking() == {"b", "c"}
    assert not deserted(audience, 100, here="ac")
    assert not deserted(audience, 200, here="ac")
    audience.leave("c", 200)
    assert deserted(audience, 300, here="ac")


def test_who_comes_back_for_it_is_waited_for_while_there():
    audience = Audience()
    audience.join("a")
    audience.leave("a", 0)
    assert not deserted(audience, 1000, here="a", back="a")
    assert deserted(audience, 1000, here="a")
    assert deserted(audience, 1000, back="a")


def test_the_command_line_stays_and_nobody_is_no_audience():
    audience = Audience()
    assert not deserted(audience, 100)
    audience.join(None)
    audience.join("a")
    audience.leave("a", 0)
    audience.leave(None, 0)
    assert not deserted(audience, 1000)
    assert "a" in audience
    assert "b" not in audience
