"""Figures of texts: what they say is held against made-up answers whose rows, signs and differences are known."""

from __future__ import annotations

import numpy as np
import pytest

from core import plots
from core.messages import FavouriteWords, Token

RNG = np.random.default_rng(4)
TEXT = (
    Token("", 0, is_padding=True),
    Token("not", 5),
    Token("a", 6),
    Token("<b>zebra</b>", 1, known=False),
    Token("", 0, is_padding=True),
)
WORDS = ("not", "a", "<b>zebra</b> (?)")


def steps(*words: str) -> tuple[plots.Step, ...]:
    return tuple(plots.Step(place, word) for place, word in enumerate(words))


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


# --- Which words a step stands on ------------------------------------------------------------------------------------


def test_each_step_is_named_by_its_words_and_padding_is_left_out():
    found = plots.steps_of(TEXT, tuple((place, place + 1) for place in range(5)), 5)
    assert [step.words for step in found] == list(WORDS)
    assert [step.place for step in found] == [1, 2, 3]
    everything = plots.steps_of(TEXT, tuple((place, place + 1) for place in range(5)), 5, padding=True)
    assert [step.is_padding for step in everything] == [True, False, False, False, True]


def test_a_step_of_several_words_is_named_by_its_ends():
    spans = ((0, 2), (1, 3), (1, 4), (3, 5))
    assert [step.words for step in plots.steps_of(TEXT, spans, 4)] == [
        "not",
        "not a",
        "not … <b>zebra</b> (?)",
        "<b>zebra</b> (?)",
    ]


@pytest.mark.parametrize("spans", [None, ((0, 1), (1, 2))])
def test_steps_that_stand_on_nothing_known_are_counted(spans):
    assert [step.words for step in plots.steps_of(TEXT, spans, 3)] == ["step 1", "step 2", "step 3"]


# --- How much each word matters --------------------------------------------------------------------------------------


def test_colours_are_red_for_and_blue_against_and_their_letters_can_be_read():
    colours = plots.word_colours([*np.linspace(-2, 2, 81), np.nan])
    assert colours[0].background == "#2166ac" and colours[80].background == "#b2182b"
    assert colours[40].background == colours[81].background == "#f7f7f7"
    assert colours[20].share == -0.5
    for each in colours:
        dark, light = sorted((luminance(each.background), luminance(each.ink)))
        assert (light + 0.05) / (dark + 0.05) > 4


def test_no_word_that_matters_is_no_division_by_zero():
    assert {each.share for each in plots.word_colours([0.0, 0.0])} == {0.0}
    assert plots.word_colours([]) == ()


def test_bars_have_their_values_and_signs_and_safe_words():
    figure = plots.word_effects(WORDS, {"a <way>": np.array([2, -1, np.nan]), "other": np.array([0, 0, 5])})
    bars = [trace for trace in figure.data if trace.type == "bar"]
    np.testing.assert_array_equal(bars[0].x, np.array([2, -1, np.nan], np.float32))
    assert bars[0].marker.color[0] != bars[0].marker.color[1]
    assert bars[0].customdata[2] == "&lt;b&gt;zebra&lt;/b&gt; (?)"
    assert [note.text for note in figure.layout.annotations] == ["a &lt;way&gt;", "other"]
    numbers = [trace.text for trace in figure.data if trace.type == "scatter"]
    assert [each.strip() for each in numbers[0]] == ["+2", "−1", "not a number"]
    low, high = figure.layout.xaxis.range
    assert low < -1 and high > 2


@pytest.mark.parametrize(("value", "words"), [(0.0, "0"), (0.524, "+0.52"), (-1234.0, "−1.2e+03"), (np.inf, "not")])
def test_numbers_carry_their_sign(value, words):
    assert plots.with_sign(value).startswith(words)


def test_next_to_nothing_is_said_so():
    assert plots.with_sign(1e-6, 1.0) == "≈ 0" and plots.with_sign(0.0, 1.0) == "0"
    assert plots.with_sign(-0.01, 1.0) == "−0.01"


@pytest.mark.parametrize("without", [-3.0, 0.5, np.nan])
def test_favourites_are_in_order_with_the_answer_to_no_word(without):
    found = FavouriteWords((("good", 2.0), ("<i>", 1.0), ("c", -0.5)), (), 3, without)
    figure = plots.favourite_bars(found, 2)
    np.testing.assert_array_equal(figure.data[0].x, [2, 1])
    assert figure.layout.yaxis.ticktext == ("good", "&lt;i&gt;")
    lines = [shape.x0 for shape in figure.layout.shapes]
    assert lines == ([0] if np.isnan(without) else [0, without])
    assert np.isnan(without) or figure.layout.xaxis.range[0] < without < figure.layout.xaxis.range[1]


# --- Two texts -------------------------------------------------------------------------------------------------------


def test_equal_words_are_side_by_side_and_a_changed_one_is_named_twice():
    found = plots.pairs_of(steps("the", "film", "was", "good"), steps("the", "film", "was", "not", "bad"))
    assert [(pair.first, pair.second, pair.words) for pair in found] == [
        (0, 0, "the"),
        (1, 1, "film"),
        (2, 2, "was"),
        (3, 3, "good → not"),
        (None, 4, "– → bad"),
    ]
    assert [pair.same for pair in found] == [True] * 3 + [False] * 2


def test_rows_are_places_of_the_layer_not_of_the_list():
    first = (plots.Step(4, "a"), plots.Step(5, "b"))
    (one, other) = plots.pairs_of(first, steps("b"))
    assert (one.first, one.second) == (4, None)
    assert (other.first, other.second) == (5, 0)


def test_the_units_that_differ_most_come_first_with_their_difference():
    first, second = np.zeros((3, 20), np.float32), np.zeros((2, 20), np.float32)
    second[1, 4], second[0, 9] = -3, 2
    pairs = plots.pairs_of(steps("a", "b", "c"), steps("a", "c"))
    found = plots.two_texts(first, second, pairs, most=3)
    assert found.units[:2] == (4, 9)
    np.testing.assert_array_equal(found.difference[:, 0], [0, np.nan, -3])
    figure = plots.compared_words(found, pairs, ("one", "<two>"))
    assert [trace.zmax for trace in figure.data] == [3, 3, 3]
    assert len({figure.data[0].colorscale, figure.data[2].colorscale}) == 2
    assert figure.layout.yaxis.ticktext == ("a", "b → –", "c")
    assert figure.layout.xaxis2.title.text == "&lt;two&gt;"


def test_equal_texts_have_no_difference_to_draw():
    values = RNG.random((2, 4)).astype(np.float32)
    pairs = plots.pairs_of(steps("a", "b"), steps("a", "b"))
    found = plots.two_texts(values, values, pairs)
    assert not found.difference.any()
    assert plots.compared_words(found, pairs, ("one", "two")).data[2].zmax > 0


def test_units_of_a_vector_by_their_difference():
    assert plots.compared_units(np.array([0, 1, np.nan, 3.0]), np.array([0, -4, 1, 5.0]), most=2) == (1, 3)
