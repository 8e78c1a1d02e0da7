"""What a layer gives that has steps: the words of a text, the rows or tiles of a photo, whatever comes in a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from core.architecture import Tiling
from core.plots.maps import ColourRange, colour_range
from core.plots.style import BLUE, FONT, ORANGE, POWERS, SCALE_HEIGHT, near, plain, scale_below, shortened

UNITS = 128  # on one page
MOST_STEPS = 1024  # that are drawn; of more, neighbours' means
MOST_ROWS = 256  # of steps that are drawn as a map
MOST_NAMES = 40  # steps whose names have room
WIDTH, HEIGHT = 576, 520  # pixels that the heatmap has on a page of 1366 × 768, about


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
    chosen = np.where(np.isfinite(values), values, np.nan).astype(np.float32)[:, list(units)]
    together = max(1, -(-len(chosen) // MOST_STEPS))
    chosen = _means(chosen, together)
    kept = tuple(names) if len(names) == len(values) and together == 1 else ()
    return StepsGrid(chosen, tuple(units), colour_range(values), together, kept)


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
    """A column for each unit, a row for each step, the first on top; a click on a column reports its unit as
    `customdata`."""
    steps, count = grid.values.shape
    names = _unit_names(grid)
    heat = go.Heatmap(
        z=grid.values,
        x=names,
        y0=(grid.together - 1) / 2,
        dy=grid.together,
        zmin=grid.colours.low,
        zmax=grid.colours.high,
        colorscale=grid.colours.scale,
        colorbar={**scale_below("value"), "lenmode": "pixels", "len": WIDTH - 120, "x": 0, "xanchor": "left"},
        text=_step_words(grid) if grid.names else None,
        hovertemplate=_hover(grid),
    )
    figure = go.Figure([heat, _columns(grid)])
    if chosen in grid.units:
        place = grid.units.index(chosen)
        ends = {"x0": place - 0.5, "x1": place + 0.5, "y0": -0.5, "y1": steps * grid.together - 0.5}
        figure.add_shape(type="rect", **ends, line={"color": ORANGE, "width": 3})
    ticks = _even(count, 12)
    figure.update_xaxes(
        title=near("unit"),
        type="category",  # the name of the one below the pointer is shown
        tickvals=[names[place] for place in ticks],
        ticktext=[str(grid.units[place]) for place in ticks],
        range=[-0.5, count - 0.5],
        side="top",
        tickfont=FONT,
        fixedrange=True,
        showgrid=False,
        zeroline=False,
        tickangle=0,
    )
    figure.update_yaxes(
        title=None if grid.names else near("step"),
        range=[steps * grid.together - 0.5, -0.5],
        tickfont=FONT,
        fixedrange=True,
        showgrid=False,
        zeroline=False,
        automargin=True,
        **_step_ticks(grid.names, steps * grid.together),
    )
    figure.update_layout(
        height=min(HEIGHT, max(220, 24 * steps)) + SCALE_HEIGHT + 40,
        margin={"l": 8, "r": 8, "t": 48, "b": SCALE_HEIGHT},
        font=FONT,
        plot_bgcolor="rgba(0,0,0,0)",
        dragmode=False,
        clickmode="event+select",
        hovermode="x",
        showlegend=False,
    )
    return figure


def _hover(grid: StepsGrid) -> str:
    step = "%{text}" if grid.names else "step %{y}"
    mean = "" if grid.together == 1 else f" (mean of {grid.together})"
    return f"{step}{mean}<br>value %{{z:.4g}}<extra></extra>"


def _step_words(grid: StepsGrid) -> list[list[str]]:
    return [[f"step {step}: {plain(name)}"] * len(grid.units) for step, name in enumerate(grid.names)]


def _unit_names(grid: StepsGrid) -> list[str]:
    return [f"unit {unit}" for unit in grid.units]


def _columns(grid: StepsGrid) -> go.Scatter:
    """An unseen point for each unit: a click on a heatmap reports nothing to the page.

    Where the pointer is looked up by its `x` alone, the point of a unit is found anywhere in its column. It comes
    before the cell, so that it takes the click; the cell's value is shown all the same.
    """
    steps, count = grid.values.shape
    unseen = {"marker": {"opacity": 0}}
    return go.Scatter(
        x=_unit_names(grid),
        y=np.full(count, steps * grid.together / 2, np.float32),
        mode="markers",
        marker={"opacity": 0},
        selected=unseen,
        unselected=unseen,
        customdata=[int(unit) for unit in grid.units],
        hoverinfo="none",
    )


def _step_ticks(names: Sequence[str], steps: int) -> dict:
    if not names:
        return {"tickvals": _even(steps, 10)}
    places = _even(steps, MOST_NAMES)
    return {"tickvals": places, "ticktext": [plain(shortened(names[place], 18)) for place in places]}


def _even(count: int, most: int) -> list[int]:
    """At most `most` of the places 0 to `count` - 1, evenly spread, the first one with them."""
    return list(range(0, count, max(1, -(-count // most))))


def step_curve(values: np.ndarray, words: str, names: Sequence[str] = (), chosen: int | None = None) -> go.Figure:
    """One unit's value (`float32[T]`) from step to step; `words` is what it is called. Step `chosen` is marked."""
    named = len(names) == len(values)
    shown = [f"step {step}" + (f": {plain(names[step])}" if named else "") for step in range(len(values))]
    finite = np.where(np.isfinite(values), values, np.nan).astype(np.float32)
    figure = go.Figure(
        go.Scatter(
            x=np.arange(len(values), dtype=np.int32),
            y=finite,
            mode="lines+markers",  # a click needs a marker, be it unseen
            line={"color": BLUE, "width": 2},
            marker={"size": 7, "color": BLUE, "opacity": 1 if len(values) <= 64 else 0},
            selected={"marker": {"opacity": 1}},
            unselected={"marker": {"opacity": 1 if len(values) <= 64 else 0}},
            customdata=shown,
            hovertemplate="%{customdata}<br>value %{y:.4g}<extra></extra>",
        )
    )
    if chosen is not None:
        figure.add_vline(x=chosen, line={"color": ORANGE, "width": 3})
    figure.update_xaxes(
        title=None if named else near("step"),
        fixedrange=True,
        tickfont=FONT,
        automargin=True,
        **_step_ticks(names if named else (), len(values)),
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
