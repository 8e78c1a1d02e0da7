"""Text in a network: the words that a layer's steps stand on, how much each word matters, and two texts compared."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.messages import FavouriteWords, Token
from core.plots.maps import ColourRange, colour_range
from core.plots.steps import FOOT, HEAD, LONGEST, ROW, finite, long_scale, units_above, words_down
from core.plots.style import FONT, FONT_SIZE, INK, plain, shortened

RED, BLUE = (178, 24, 43), (33, 102, 172)  # the ends of RdBu: told apart with any kind of colour blindness
_WHITE = (247, 247, 247)
_NOTHING = 0.002  # of the largest value
_DIFFERENCES = "PuOr_r"  # not the values' own red and blue


@dataclass(frozen=True)
class Step:
    """One row: `place` among the layer's steps, and the `words` that it stands on."""

    place: int
    words: str
    is_padding: bool = False


def steps_of(
    tokens: Sequence[Token], spans: Sequence[tuple[int, int]] | None, count: int, *, padding: bool = False
) -> tuple[Step, ...]:
    """A layer's `count` steps in words; those that stand on nothing but padding only with `padding`.

    `spans` are `TextAnswer.steps` of the layer; where it is `None` the steps are counted from 1.
    """
    if spans is None or len(spans) != count:
        return tuple(Step(place, f"step {place + 1}") for place in range(count))
    rows = [_step(place, tokens[first:last]) for place, (first, last) in enumerate(spans)]
    return tuple(row for row in rows if padding or not row.is_padding)


def _step(place: int, tokens: Sequence[Token]) -> Step:
    words = [word_of(token) for token in tokens if not token.is_padding]
    if not words:
        return Step(place, "(padding)", is_padding=True)
    return Step(place, " ".join(words) if len(words) < 3 else f"{words[0]} … {words[-1]}")


def word_of(token: Token) -> str:
    """The word; what is not in the vocabulary is marked."""
    return token.word if token.known or token.is_padding else f"{token.word} (?)"


# --- How much each word matters --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WordColour:
    """`share` of the strongest, −1 to 1; the colour behind a word, and that of its letters, both for CSS."""

    share: float
    background: str
    ink: str


def word_colours(values: Sequence[float]) -> tuple[WordColour, ...]:
    """Red for what is above 0, blue below; the strongest of them, whatever its sign, has the full colour."""
    numbers = np.nan_to_num(np.asarray(values, np.float64), posinf=0.0, neginf=0.0)
    reach = float(np.abs(numbers).max(initial=0.0)) or 1.0
    return tuple(_colour(float(value) / reach) for value in numbers)


def _colour(share: float) -> WordColour:
    end = RED if share > 0 else BLUE
    part = abs(share)
    mixed = [round(white + part * (full - white)) for white, full in zip(_WHITE, end, strict=True)]
    # Dark letters stay readable on a middling colour for longer than white ones are.
    return WordColour(
        share, "#{:02x}{:02x}{:02x}".format(*mixed), "#ffffff" if part > (0.72 if share > 0 else 0.84) else INK
    )


def word_bars(words: Sequence[str], values: np.ndarray, room: float = 0.3) -> go.Figure:
    """One value for each word, from the first word down to the last: red above 0, blue below.

    `room` for the numbers is a share of the bars' own: more where the figure is narrow.
    """
    figure = go.Figure(_bars(words, values, ""))
    figure.update_xaxes(visible=False, fixedrange=True, range=_with_room(values, room))
    figure.add_vline(0, line={"color": "#94a3b8", "width": 1})
    words_down(figure, words)
    figure.update_layout(height=ROW * max(len(words), 2) + 16, margin={"l": 8, "r": 8, "t": 8, "b": 8}, **_BARS)
    return figure


_BARS = {"font": FONT, "bargap": 0.25, "showlegend": False, "dragmode": False}


def _bars(words: Sequence[str], values: np.ndarray, name: str) -> list[go.Bar | go.Scatter]:
    """The bars, and their numbers: on the right of a positive one, and of zero beside a negative one, so that none lies
    on the words."""
    places, safe = list(range(len(words))), [plain(each) for each in words]
    what = f"{name}: " if name else "value "
    numbers = np.asarray(values, np.float32)
    reach = float(np.abs(numbers[np.isfinite(numbers)]).max(initial=0.0))
    return [
        go.Bar(
            x=numbers,
            y=places,
            orientation="h",
            marker={"color": _by_sign(values), "line": {"width": 0}},
            customdata=safe,
            hovertemplate=f"%{{customdata}}<br>{what}%{{x:.4g}}<extra></extra>",
        ),
        go.Scatter(
            x=np.maximum(np.nan_to_num(numbers, posinf=0.0, neginf=0.0), 0),
            y=places,
            mode="text",
            text=[f" {with_sign(value, reach)}" for value in values],
            textposition="middle right",
            textfont={"size": FONT_SIZE - 1},
            cliponaxis=False,
            hoverinfo="skip",
        ),
    ]


def word_effects(words: Sequence[str], series: dict[str, np.ndarray]) -> go.Figure:
    """Several measures of the same words side by side, each with a scale of its own; their names stand above."""
    figure = make_subplots(
        cols=len(series), shared_yaxes=True, horizontal_spacing=0.04, column_titles=[plain(name) for name in series]
    )
    for column, (name, values) in enumerate(series.items(), start=1):
        for trace in _bars(words, values, plain(name)):
            figure.add_trace(trace, row=1, col=column)
        figure.update_xaxes(visible=False, fixedrange=True, range=_with_room(values, 0.3), row=1, col=column)
        figure.add_vline(0, line={"color": "#94a3b8", "width": 1}, row=1, col=column)
    words_down(figure, words)
    figure.update_annotations(font=FONT)
    figure.update_layout(
        height=ROW * max(len(words), 2) + 48,
        margin={"l": 8, "r": 8, "t": 40, "b": 8},
        **_BARS,
    )
    return figure


def _by_sign(values: Sequence[float]) -> list[str]:
    red, blue = ("#{:02x}{:02x}{:02x}".format(*each) for each in ((214, 66, 66), (67, 133, 209)))
    return [blue if value < 0 else red for value in values]  # a little lighter: seen on dark pages too


def with_sign(value: float, reach: float = 0.0) -> str:
    """`+0.52`, `−1.3`, `0`; `≈ 0` for what is next to nothing beside the largest of all, `reach`."""
    if 0 < abs(value) < _NOTHING * reach:
        return "≈ 0"
    if not np.isfinite(value):
        return "not a number"
    return f"{value:+.2g}".replace("-", "−") if value else "0"


def _with_room(values: Sequence[float], room: float) -> list[float]:
    """An axis for bars whose numbers stand on their right."""
    numbers = np.asarray(values, np.float64)
    numbers = numbers[np.isfinite(numbers)]
    low, high = min(0.0, numbers.min(initial=0.0)), max(0.0, numbers.max(initial=0.0))
    reach = (high - low) or 1.0
    return [low - 0.02 * reach, high + room * reach]


# --- What a unit answers to ------------------------------------------------------------------------------------------


def favourite_bars(found: FavouriteWords, most: int = 12, room: float = 0.3) -> go.Figure:
    """The words that a unit answers to most, each alone; the line is its answer to no word at all."""
    words, values = zip(*found.highest[:most], strict=True)
    figure = word_bars(words, np.array(values, np.float32), room)
    low, high = figure.layout.xaxis.range
    reach = high - low
    if np.isfinite(found.without):  # a network may have no answer to no word at all
        figure.update_xaxes(range=[min(low, found.without - 0.02 * reach), max(high, found.without + 0.02 * reach)])
        figure.add_vline(found.without, line={"color": "#94a3b8", "width": 2, "dash": "dot"})
    return figure


# --- Two texts -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """A row of two texts: places among the steps of the one and the other; `None` where one has nothing there."""

    first: int | None
    second: int | None
    words: str
    same: bool


def pairs_of(first: Sequence[Step], second: Sequence[Step]) -> tuple[Pair, ...]:
    """Which rows of two texts belong together: equal words, and between them what took another's place."""
    here, there = ([step.words for step in steps] for steps in (first, second))
    pairs = []
    for _, a, b, c, d in difflib.SequenceMatcher(None, here, there, autojunk=False).get_opcodes():
        for row in range(max(b - a, d - c)):
            one = a + row if a + row < b else None
            other = c + row if c + row < d else None
            pairs.append(_pair(first, second, one, other))
    return tuple(pairs)


def _pair(first: Sequence[Step], second: Sequence[Step], one: int | None, other: int | None) -> Pair:
    words = ["–" if place is None else steps[place].words for steps, place in ((first, one), (second, other))]
    same = words[0] == words[1]
    places = [None if place is None else steps[place].place for steps, place in ((first, one), (second, other))]
    return Pair(*places, words[0] if same else f"{words[0]} → {words[1]}", same)


@dataclass(frozen=True)
class TwoTexts:
    """The same units under two texts: `float32[R, u]` each, NaN where one has no such row, and second − first."""

    first: np.ndarray
    second: np.ndarray
    units: tuple[int, ...]

    @property
    def difference(self) -> np.ndarray:
        return self.second - self.first


def two_texts(first: np.ndarray, second: np.ndarray, pairs: Sequence[Pair], most: int = 12) -> TwoTexts:
    """The `most` units that differ most (`float32[T, U]`, T may differ), those with the largest difference first."""

    def rows(values: np.ndarray, places: Sequence[int | None]) -> np.ndarray:
        picked = np.full((len(places), values.shape[1]), np.nan, np.float32)
        for row, place in enumerate(places):
            if place is not None:
                picked[row] = values[place]
        return finite(picked)

    one, other = rows(first, [pair.first for pair in pairs]), rows(second, [pair.second for pair in pairs])
    distance = np.nansum(np.abs(other - one), axis=0)
    units = np.argsort(-distance, kind="stable")[:most]
    return TwoTexts(one[:, units], other[:, units], tuple(int(unit) for unit in units))


def compared_words(found: TwoTexts, pairs: Sequence[Pair], names: tuple[str, str]) -> go.Figure:
    """Three heatmaps with the same rows and columns: the one text, the other, and the difference in other colours."""
    figure = make_subplots(cols=3, shared_yaxes=True, horizontal_spacing=0.03)
    both = colour_range(np.concatenate([found.first, found.second]))
    reach = float(np.nanmax(np.abs(found.difference), initial=0.0)) or both.high
    apart = ColourRange(-reach, reach, signed=True)
    panels = ((names[0], found.first, both), (names[1], found.second, both), ("difference", found.difference, apart))
    for column, (name, cells, colours) in enumerate(panels, start=1):
        is_difference = cells is panels[2][1]
        scale = long_scale("value", 0.56) | {"nticks": 6}
        if is_difference:
            scale = long_scale("difference", 0.26) | {"x": 0.687, "nticks": 3}
        figure.add_trace(
            go.Heatmap(
                z=cells,
                zmin=colours.low,
                zmax=colours.high,
                colorscale=_DIFFERENCES if is_difference else colours.scale,
                showscale=column != 2,
                colorbar=scale,
                customdata=[[[plain(pair.words), unit] for unit in found.units] for pair in pairs],
                hovertemplate="<b>%{customdata[0]}</b><br>unit %{customdata[1]}<br>"
                + ("difference" if is_difference else "value")
                + " %{z:.4g}<extra></extra>",
                hoverongaps=False,
                xgap=1,
                ygap=1,
            ),
            row=1,
            col=column,
        )
        units_above(figure, found.units, plain(shortened(name, 26)), row=1, col=column)
    figure.update_xaxes(tickangle=-90, tickfont={"size": FONT_SIZE - 3})
    words_down(figure, [pair.words for pair in pairs])
    figure.update_yaxes(ticktext=[plain(shortened(pair.words, LONGEST + 8)) for pair in pairs])
    figure.update_layout(
        height=ROW * max(len(pairs), 2) + HEAD + 12 + FOOT,
        margin={"l": 8, "r": 8, "t": HEAD + 12, "b": FOOT},
        font=FONT,
        dragmode=False,
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure


def compared_units(first: np.ndarray, second: np.ndarray, most: int = 12) -> tuple[int, ...]:
    """The units of a vector (`float32[U]`) that differ most."""
    return tuple(int(unit) for unit in np.argsort(-np.abs(finite(second) - finite(first)), kind="stable")[:most])
