"""What a layer gives that has steps: the words of a text, the rows or tiles of a photo, whatever comes in a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from core.architecture import Tiling
from core.plots.maps import ColourRange, colour_range
from core.plots.style import BLUE, FONT, FONT_SIZE, ORANGE, POWERS, near, plain, scale_below, shortened

UNITS = 128  # on one page
MOST_STEPS = 1024  # that are drawn; of more, neighbours' means
MOST_ROWS = 256  # of steps that are drawn as a map
MOST_UNITS = 20  # whose numbers all have room
MOST_POINTS = 40  # steps without names that can be pointed at
HEIGHT = 520  # pixels that the rows have on a page of 1366 × 768, about
ROW = 28  # pixels of a row with a name
LONGEST = 18  # letters of a name on an axis
HEAD, FOOT = 56, 62  # pixels above the rows for the units' numbers, below them for the colour scale


@dataclass(frozen=True)
class StepsGrid:
    """The chosen units of a layer side by side: `values` is `float32[T, n]`, NaN where there is no finite number.

    A drawn step is the mean of `together` true ones. `names` are the steps' own words, or empty.
    """

    values: np.ndarray
    units: tuple[int, ...]
    colours: ColourRange
    together: int
    names: tuple[str, ...]

    @property
    def signed(self) -> bool:
        return self.colours.signed


def steps_grid(values: np.ndarray, units: Sequence[int], names: Sequence[str] = ()) -> StepsGrid:
    """`units` of `float32[T, U]` in one colour scale, that of the whole layer; `names` has one word for each step."""
    chosen = finite(values)[:, list(units)]
    together = max(1, -(-len(chosen) // MOST_STEPS))
    chosen = _means(chosen, together)
    kept = tuple(names) if len(names) == len(values) and together == 1 else ()
    return StepsGrid(chosen, tuple(units), colour_range(values), together, kept)


def finite(values: np.ndarray) -> np.ndarray:
    """`float32`, NaN for what is no finite number."""
    return np.where(np.isfinite(values), values, np.nan).astype(np.float32)


def _means(values: np.ndarray, together: int) -> np.ndarray:
    """`float32[T, n]` -> the means of so many neighbouring steps each; what is not finite is left out."""
    if together == 1:
        return values
    padded = np.pad(values, ((0, -len(values) % together), (0, 0)), constant_values=np.nan)
    blocks = padded.reshape(-1, together, values.shape[1])
    known = np.isfinite(blocks)
    with np.errstate(invalid="ignore"):  # of blocks without a number
        return (np.where(known, blocks, 0).sum(axis=1) / known.sum(axis=1)).astype(np.float32)


def steps_heatmap(grid: StepsGrid, chosen: int | None = None) -> go.Figure:
    """A column for each unit, a row for each step, the first on top; a click reports the unit below it, the last piece
    of `customdata`. Where the steps have names each has room for its own; else the figure is no higher than a page."""
    steps, count = grid.values.shape
    end = steps * grid.together - 0.5
    gap = 1 if count * steps <= 64 * 64 or grid.names else 0
    heat = go.Heatmap(
        z=grid.values,
        y0=(grid.together - 1) / 2,
        dy=grid.together,
        zmin=grid.colours.low,
        zmax=grid.colours.high,
        colorscale=grid.colours.scale,
        colorbar=long_scale("value", 0.86),
        hoverinfo="skip",
        xgap=gap,
        ygap=gap,
    )
    figure = go.Figure([heat, _points(grid)])
    if chosen in grid.units:
        place = grid.units.index(chosen)
        ends = {"x0": place - 0.5, "x1": place + 0.5, "y0": -0.5, "y1": end}
        figure.add_shape(type="rect", **ends, line={"color": ORANGE, "width": 4})
    units_above(figure, grid.units)
    if grid.names:
        words_down(figure, grid.names)
    else:
        _rows_down(figure, end, tickvals=_even(steps * grid.together, 10), title=near("step"))
    rows = ROW * max(steps, 2) if grid.names else min(HEIGHT, max(220, 24 * steps))
    figure.update_layout(
        height=rows + HEAD + FOOT,
        margin={"l": 8, "r": 8, "t": HEAD, "b": FOOT},
        font=FONT,
        plot_bgcolor="rgba(0,0,0,0)",
        dragmode=False,
        clickmode="event+select",
        hovermode="closest",
        hoverdistance=-1,  # the nearest point, however far
        showlegend=False,
    )
    return figure


def long_scale(title: str, share: float) -> dict:
    """A colour scale below the picture, so much of its width."""
    return {**scale_below(title), "lenmode": "fraction", "len": share, "x": 0, "xanchor": "left", "ypad": 12}


def units_above(figure: go.Figure, units: Sequence[int], title: str = "unit", **where: int) -> None:
    """The units' numbers above their columns; of many units, some."""
    shown = _even(len(units), MOST_UNITS if len(units) <= MOST_UNITS else 12)
    figure.update_xaxes(
        side="top",
        tickvals=shown,
        ticktext=[str(units[place]) for place in shown],
        tickfont={"size": FONT_SIZE - 1},
        tickangle=-90 if len(shown) > 16 and max(units) > 99 else 0,
        title={"text": title, "standoff": 4},
        range=[-0.5, len(units) - 0.5],
        showgrid=False,
        zeroline=False,
        fixedrange=True,
        **where,
    )


def words_down(figure: go.Figure, words: Sequence[str], **where: int) -> None:
    """A word beside each row."""
    places = list(range(len(words)))  # words may repeat, places do not
    names = [plain(shortened(each, LONGEST)) for each in words]
    _rows_down(figure, len(words) - 0.5, tickvals=places, ticktext=names, **where)


def _rows_down(figure: go.Figure, end: float, **ticks: Any) -> None:
    look = {"showgrid": False, "zeroline": False, "fixedrange": True, "tickfont": FONT, "automargin": True}
    figure.update_yaxes(range=[end, -0.5], **look, **ticks)


def _points(grid: StepsGrid) -> go.Scatter:
    """An unseen point in each cell, or, of many steps without names, in every few: a click on a heatmap reports nothing
    to the page, and a point for a whole column would not know which step is pointed at."""
    unseen = {"marker": {"opacity": 0}}
    places = _even(len(grid.values), len(grid.names) or MOST_POINTS)
    rows, columns = (each.ravel() for each in np.meshgrid(places, range(len(grid.units)), indexing="ij"))
    words = [plain(name) for name in grid.names] or [str(row * grid.together) for row in range(len(grid.values))]
    step = "<b>%{customdata[0]}</b>" if grid.names else "step %{customdata[0]}"
    mean = "" if grid.together == 1 else f" (mean of {grid.together})"
    said = [f"{value:.4g}" if np.isfinite(value) else "not a number" for value in grid.values[rows, columns]]
    return go.Scatter(
        x=columns.astype(np.int16),
        y=(rows * grid.together + (grid.together - 1) / 2).astype(np.float32),
        mode="markers",
        marker={"symbol": "square", "opacity": 0},
        selected=unseen,
        unselected=unseen,
        customdata=[
            [words[row], value, int(grid.units[column])] for row, column, value in zip(rows, columns, said, strict=True)
        ],
        hovertemplate=f"{step}{mean}<br>unit %{{customdata[2]}}<br>value %{{customdata[1]}}<extra></extra>",
    )


def _even(count: int, most: int) -> list[int]:
    """At most `most` of the places 0 to `count` - 1, evenly spread, the first one with them."""
    return list(range(0, count, max(1, -(-count // most))))


def step_curve(values: np.ndarray, words: str, chosen: int | None = None) -> go.Figure:
    """One unit's value (`float32[T]`) from step to step; `words` is what it is called. Step `chosen` is marked."""
    figure = go.Figure(
        go.Scatter(
            x=np.arange(len(values), dtype=np.int32),
            y=finite(values),
            mode="lines+markers",  # a click needs a marker, be it unseen
            line={"color": BLUE, "width": 2},
            marker={"size": 7, "color": BLUE, "opacity": 1 if len(values) <= 64 else 0},
            selected={"marker": {"opacity": 1}},
            unselected={"marker": {"opacity": 1 if len(values) <= 64 else 0}},
            hovertemplate="step %{x}<br>value %{y:.4g}<extra></extra>",
        )
    )
    if chosen is not None:
        figure.add_vline(x=chosen, line={"color": ORANGE, "width": 3})
    figure.update_xaxes(
        title=near("step"),
        fixedrange=True,
        tickfont=FONT,
        automargin=True,
        tickvals=_even(len(values), 10),
    )
    figure.update_yaxes(title=near(f"value of {plain(words)}"), exponentformat=POWERS, fixedrange=True, tickfont=FONT)
    figure.update_layout(
        height=300, margin={"l": 8, "r": 8, "t": 8, "b": 8}, font=FONT, dragmode=False, clickmode="event+select"
    )
    return figure


def as_maps(values: np.ndarray, tiling: Tiling | None = None) -> np.ndarray:
    """`float32[..., C]` of any kind of layer -> maps `[H, W, C]`, for figures that show maps.

    Steps are tiles of the photo, where `tiling` says so, else rows from top to bottom, drawn as wide as they are high
    together (of many, neighbours' means); of a volume it is the mean over its depth; a unit of a vector is a map of
    one cell.
    """
    if values.ndim == 1:
        return values[None, None]
    if values.ndim == 2:
        if tiling is not None and fits(values, tiling):
            return folded(values, tiling)
        rows = _means(values, max(1, -(-len(values) // MOST_ROWS)))
        return np.repeat(rows[:, None], len(rows), axis=1)
    return values.mean(axis=0) if values.ndim == 4 else values


def fits(values: np.ndarray, tiling: Tiling) -> bool:
    """Whether there are as many steps as the tiles have."""
    return len(values) == tiling.first + tiling.rows * tiling.columns


def folded(values: np.ndarray, tiling: Tiling) -> np.ndarray:
    """`float32[T]` or `[T, U]` -> the tiles of the photo, `float32[rows, columns]` or `[rows, columns, U]`."""
    return values[tiling.first :].reshape(tiling.rows, tiling.columns, *values.shape[1:])
