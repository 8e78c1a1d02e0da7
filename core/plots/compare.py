"""The same channels in two scenes or more, and how they differ."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from core.plots.maps import ColourRange, colour_range
from core.plots.style import BLUE, FONT, FONT_SIZE, ORANGE, POWERS, bare, plain, shortened

COLUMNS = 8
_SERIES = (BLUE, ORANGE, "#0f766e")
_MOST_CELLS = 120_000  # seven letters each on the way to the browser: below a megabyte
_DIFFERENCES = "PuOr_r"  # not the maps' own red and blue
_ROUNDING = 1e-4  # of the largest value: what is less is no difference, but how computers calculate


@dataclass(frozen=True)
class Likeness:
    """How far one channel's map is from that of the first scene: the mean of |difference|, and the correlation, which
    is `None` where a map is the same everywhere."""

    distance: float
    correlation: float | None


@dataclass(frozen=True)
class Comparison:
    """The same `channels` in several scenes. `maps[s]` is `float32[n, h, w]`, `differences[s]` those of scene s + 1
    from the first; `likeness[s][i]` belongs to them. All maps have the one scale `colours`, all differences ± `reach`.

    `levels` are what 1 stands for in each scene: 1, unless maps are shown relative to the scene's largest among them.
    `resized` says that a scene's maps had another size and were brought to that of the first for the difference;
    `reduced` is the side of the block of true cells that one drawn cell is the mean of. `same` says that nothing
    differs by more than numbers are rounded on the way; `reach` is then that of the maps, so that nothing is seen.
    """

    channels: tuple[int, ...]
    maps: tuple[np.ndarray, ...]
    differences: tuple[np.ndarray, ...]
    likeness: tuple[tuple[Likeness, ...], ...]
    colours: ColourRange
    reach: float
    levels: tuple[float, ...]
    resized: bool
    reduced: int
    same: bool


def compare_maps(
    scenes: Sequence[np.ndarray], by: str = "strength", most: int = COLUMNS, *, relative: bool = False
) -> Comparison:
    """Compare `float32[H, W, C]` of two scenes or more; of the later ones height and width may be others.

    The channels are the `most` strongest of the first scene (by their mean), or, `by` "difference", those whose maps
    differ most (by the mean of |difference|). `relative` divides each scene's maps by the largest value in them: two
    networks may answer alike, one of them a thousand times as strongly.
    """
    values = [np.asarray(each, np.float32) for each in scenes]
    size = values[0].shape[:2]
    resized = any(each.shape[:2] != size for each in values)
    values = [_resized(each, size) for each in values]
    channels = _most([each / _level(each, relative) for each in values], by, most)
    chosen = [np.moveaxis(each[:, :, channels], -1, 0) for each in values]
    levels = tuple(_level(each, relative) for each in chosen)
    chosen = [each / level for each, level in zip(chosen, levels, strict=True)]
    reduced = math.ceil(math.sqrt(chosen[0].size * (2 * len(chosen) - 1) / _MOST_CELLS))
    maps = tuple(_means_of_blocks(each, max(1, reduced)) for each in chosen)
    differences = tuple(each - maps[0] for each in maps[1:])
    reach = max((float(np.abs(each).max()) for each in differences), default=0.0)
    largest = max(float(np.abs(each).max()) for each in maps)
    same = reach <= _ROUNDING * largest
    return Comparison(
        channels=tuple(int(channel) for channel in channels),
        maps=maps,
        differences=differences,
        likeness=tuple(
            tuple(_likeness(one, other) for one, other in zip(chosen[0], each, strict=True)) for each in chosen[1:]
        ),
        colours=colour_range(np.stack(maps)),
        reach=(largest if same else reach) or 1.0,
        levels=levels,
        resized=resized,
        reduced=max(1, reduced),
        same=same,
    )


def _level(values: np.ndarray, relative: bool) -> float:
    return float(np.abs(values).max()) or 1.0 if relative else 1.0


def _most(values: Sequence[np.ndarray], by: str, most: int) -> np.ndarray:
    """The channels (last axis) that are strongest in the first, or that differ most from it in any other."""
    first, *others = (each.reshape(-1, each.shape[-1]) for each in values)
    scores = first.mean(axis=0)
    if by == "difference":
        scores = np.max([np.abs(other - first).mean(axis=0) for other in others], axis=0)
    return np.argsort(-scores, kind="stable")[:most]


def _resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`float32[H, W, C]` at another height and width."""
    if values.shape[:2] == size:
        return values
    maps = [
        np.asarray(Image.fromarray(each).resize(size[::-1], Image.Resampling.BILINEAR))
        for each in np.moveaxis(values, -1, 0)
    ]
    return np.stack(maps, axis=-1)


def _means_of_blocks(maps: np.ndarray, side: int) -> np.ndarray:
    """`float32[n, H, W]` -> the means of blocks of `side` × `side`; those at the far edges may be smaller."""
    if side == 1:
        return maps
    starts = [np.arange(0, size, side) for size in maps.shape[1:]]
    sums = np.add.reduceat(np.add.reduceat(maps, starts[0], axis=1), starts[1], axis=2)
    counts = [np.diff([*start, size]) for start, size in zip(starts, maps.shape[1:], strict=True)]
    return (sums / np.outer(*counts)).astype(np.float32)


def _likeness(one: np.ndarray, other: np.ndarray) -> Likeness:
    constant = min(float(np.ptp(one)), float(np.ptp(other))) == 0
    correlation = None if constant else float(np.corrcoef(one.ravel(), other.ravel())[0, 1])
    return Likeness(float(np.abs(other - one).mean()), correlation)


def compared_grid(comparison: Comparison, names: Sequence[str]) -> go.Figure:
    """Eight channels side by side: below each other their maps in every scene, then the differences from the first.

    `names` are those of the scenes. Above each column is the channel's number, below it the correlations.
    """
    count, height, width = comparison.maps[0].shape
    columns, gap = min(COLUMNS, count), max(1.0, max(height, width) / 16)
    rows = [*comparison.maps, *comparison.differences]
    across, down = width + gap, height + gap
    words = 0.30 * height  # room for a line of text above and below, and for the names of the rows
    band = len(rows) * down - gap + 2 * words + gap
    scenes = [*names, *(f"{name} − {names[0]}" for name in names[1:])]
    figure = go.Figure()
    for place in range(count):
        x, top = (place % columns) * across, (place // columns) * band + words
        for row, values in enumerate(rows):
            is_map = row < len(comparison.maps)
            figure.add_trace(
                go.Heatmap(
                    z=values[place],
                    x0=x + 0.5,
                    dx=1,
                    y0=top + row * down + 0.5,
                    dy=1,
                    coloraxis="coloraxis" if is_map else "coloraxis2",
                    name=plain(scenes[row]),
                    hovertemplate=f"channel {comparison.channels[place]}, %{{fullData.name}}<br>"
                    "row %{pointNumber[0]}, column %{pointNumber[1]}<br>value %{z:.4g}<extra></extra>",
                    hoverongaps=False,
                )
            )
            if x == 0:
                row_name = scenes[row] if is_map else "difference"
                middle = top + row * down + height / 2
                _write(figure, -words / 2, middle, plain(shortened(row_name, 12)), textangle=-90)
        _write(figure, x + width / 2, top - words / 2, f"<b>{comparison.channels[place]}</b>")
        bottom = top + len(rows) * down - gap + words / 2
        _write(figure, x + width / 2, bottom, _correlation_words(comparison, place))
    bands = -(-count // columns)
    size = (columns * across - gap + words, bands * band - gap)
    bare(figure, (-words, size[0] - words), (size[1], 0))
    figure.update_layout(
        height=int(max(220, 660 * size[1] / size[0])) + 60,
        coloraxis=_scale(comparison.colours.low, comparison.colours.high, comparison.colours.scale, 0.0, "value"),
        coloraxis2=_scale(-comparison.reach, comparison.reach, _DIFFERENCES, 0.52, "difference"),
    )
    return figure


def _write(figure: go.Figure, x: float, y: float, text: str, **look: float) -> None:
    figure.add_annotation(x=x, y=y, text=text, showarrow=False, font={"size": FONT_SIZE - 2}, **look)


def _correlation_words(comparison: Comparison, place: int) -> str:
    found = [each[place].correlation for each in comparison.likeness]
    return " · ".join("none" if r is None else f"{r + 0.0:.2f}".replace("-", "−") for r in found)


def _scale(low: float, high: float, colours: str, x: float, title: str) -> dict:
    return {
        "cmin": low,
        "cmax": high,
        "colorscale": colours,
        "colorbar": {
            "orientation": "h",
            "x": x,
            "xanchor": "left",
            "len": 0.48,
            "y": 0,
            "yanchor": "top",
            "thickness": 14,
            "exponentformat": POWERS,
            "nticks": 5,
            "title": {"text": title, "side": "right"},
        },
    }


def compare_units(scenes: Sequence[np.ndarray], by: str = "strength", most: int = COLUMNS) -> tuple[int, ...]:
    """Which units of vectors (`float32[C]` each) to look at: the strongest of the first, or those that differ most."""
    return tuple(int(unit) for unit in _most(scenes, by, most))


def grouped_bars(
    labels: Sequence[str], series: Mapping[str, Sequence[float | None]], *, percent: bool = False
) -> go.Figure:
    """For each label one bar of each series, the first series on top; `percent` takes shares of 1."""
    places = list(range(len(labels)))  # names may repeat, places do not
    number, unit = (".1f", " %") if percent else (".3g", "")
    figure = go.Figure()
    for (name, values), colour in zip(series.items(), _SERIES, strict=False):
        shown = [None if value is None else float(value) * (100 if percent else 1) for value in values]
        figure.add_trace(
            go.Bar(
                name=plain(shortened(name, 24)),
                x=shown,
                y=places,
                orientation="h",
                marker_color=colour,
                texttemplate=f"%{{x:{number}}}{unit}",
                textposition="outside",
                textfont={"size": FONT_SIZE - 2},
                constraintext="none",
                cliponaxis=False,
                customdata=[plain(label) for label in labels],
                hovertemplate=f"%{{customdata}}<br>%{{fullData.name}}: %{{x:{number}}}{unit}<extra></extra>",
            )
        )
    figure.update_yaxes(
        tickvals=places,
        ticktext=[plain(shortened(label, 22)) for label in labels],
        autorange="reversed",
        tickfont={"size": FONT_SIZE - 1},
        automargin=True,
        fixedrange=True,
    )
    figure.update_xaxes(visible=False, fixedrange=True)
    if percent:
        figure.update_xaxes(range=[0, 128])  # stays, so that one sees the bars move
    figure.update_layout(
        height=(16 * len(series) + 10) * len(labels) + 40,
        margin={"l": 8, "r": 48, "t": 34, "b": 8},
        font=FONT,
        bargap=0.25,
        bargroupgap=0.05,
        showlegend=False,
        title={
            "text": _signs(series),
            "font": FONT,
            "x": 0,
            "xref": "container",
            "y": 1,
            "yanchor": "top",
            "pad": {"l": 8, "t": 8},
        },
        dragmode=False,
    )
    return figure


def _signs(names: Iterable[str]) -> str:
    """The legend as a line of text, which may begin further left than the bars do."""
    signs = zip(_SERIES, names, strict=False)
    return "   ".join(f'<span style="color:{colour}">■</span> {plain(shortened(name, 20))}' for colour, name in signs)
