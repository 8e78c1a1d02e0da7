"""Maps of channels as heatmaps: many in one grid, or one over the photo."""

from __future__ import annotations

import base64
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from core import statistics
from core.plots.style import INK, ORANGE, SCALE_HEIGHT, bare, bare_layout, picture_uri, scale_below

PAGE = 64
MOST_BYTES = 900_000  # for the cells of a grid, so that all of it stays below a megabyte
WIDTH, HEIGHT = 576, 576  # pixels that a grid has on a page of 1366 × 768, about
_WHERE = " %{fullData.name}<br>row %{pointNumber[0]}, column %{pointNumber[1]}<br>value "
_STATE_WORDS = {statistics.SILENT: "silent", statistics.CONSTANT: "constant", statistics.NO_NUMBERS: "no number"}


@dataclass(frozen=True)
class ColourRange:
    """The values that the ends of the colour scale stand for. Signed values get a diverging scale, white at zero."""

    low: float
    high: float
    signed: bool

    @property
    def scale(self) -> str:
        return "RdBu_r" if self.signed else "Viridis"

    def position(self, value: float) -> float:
        """Where `value` is on the scale, 0 to 1."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)


def colour_range(values: np.ndarray, signed: bool | None = None) -> ColourRange:
    """One scale for all of `values`: about zero where there are negative ones (or `signed` says so), else from zero."""
    low, high = _extremes(values)
    if signed is None:
        signed = low < 0
    if signed:
        reach = max(-low, high) or 1.0
        return ColourRange(-reach, reach, signed=True)
    return ColourRange(0.0, high if high > 0 else 1.0, signed=False)


def _extremes(values: np.ndarray) -> tuple[float, float]:
    """The least and the greatest finite number; 0 and 0 where there is none."""
    if values.size == 0:
        return 0.0, 0.0
    low, high = float(values.min()), float(values.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        finite = values[np.isfinite(values)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    return low, high


@dataclass(frozen=True)
class Grid:
    """Channels of one layer side by side: `maps` is `float32[n, h, w]`, NaN where there is no finite number.

    `cells` is what the browser gets of them: float32, or (where `power` is a number) whole thousandths of 10 ** power.
    `ranges` are the colours of each map, one object for all of them where they have one scale in `common`. `reduced`
    is the side of the block of true cells that one drawn cell is the mean of. `states` are those of `statistics`.
    """

    maps: np.ndarray
    cells: np.ndarray
    power: int | None
    channels: tuple[int, ...]
    ranges: tuple[ColourRange, ...]
    common: bool
    states: tuple[str, ...]
    reduced: int

    @property
    def signed(self) -> bool:
        return self.ranges[0].signed


def grid_of(
    values: np.ndarray, channels: Sequence[int], *, each: bool = False, colours: ColourRange | None = None
) -> Grid:
    """The maps `values[:, :, channels]` (`float32[H, W, C]`), small enough for a page.

    They share one scale, that of all of `values` unless `colours` is given; with `each` every map has its own, all of
    them about zero if any value of the layer is negative.
    """
    chosen = np.moveaxis(values[:, :, list(channels)], -1, 0).astype(np.float32)
    chosen = np.where(np.isfinite(chosen), chosen, np.nan)
    common = colours or colour_range(values)
    ranges = tuple(colour_range(one, common.signed) for one in chosen) if each else (common,) * len(chosen)
    maps, cells, power, reduced = _light_enough(chosen, ranges)
    return Grid(
        maps=maps,
        cells=cells,
        power=power,
        channels=tuple(channels),
        ranges=ranges,
        common=not each,
        states=statistics.states(np.moveaxis(chosen, 0, -1)),
        reduced=reduced,
    )


def _light_enough(chosen: np.ndarray, ranges: Sequence[ColourRange]) -> tuple[np.ndarray, np.ndarray, int | None, int]:
    """`Grid`'s maps, cells, power and reduction: the least that has to be done for the browser's sake."""
    powers = _powers(max(max(-colours.low, colours.high) for colours in ranges))
    side = 1
    while True:
        maps = chosen if side == 1 else _means_of_blocks(chosen, side)
        # Two bytes a cell at the least, and base64 makes four letters of three bytes.
        if maps.size * 8 / 3 <= MOST_BYTES:
            if _weight(maps) <= MOST_BYTES:
                return maps, maps, None, side
            for power in powers:
                short = _in_thousandths(maps, 10.0 ** (power - 3))
                if _weight(short) <= MOST_BYTES:
                    return maps, short, power, side
        side += 1


def _weight(cells: np.ndarray) -> int:
    """Bytes of `cells` in a figure's JSON: base64, each "/" of which Plotly writes in six letters."""
    letters = base64.b64encode(np.ascontiguousarray(cells))
    return len(letters) + 5 * letters.count(b"/")


def _means_of_blocks(maps: np.ndarray, side: int) -> np.ndarray:
    """`float32[n, H, W]` -> the means of blocks of `side` × `side`; those at the far edges may be smaller."""
    if side == 1:
        return maps
    count, height, width = maps.shape
    rows, columns = -(-height // side), -(-width // side)
    padding = ((0, 0), (0, rows * side - height), (0, columns * side - width))
    padded = np.pad(maps, padding, constant_values=np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of blocks without a number
        return np.nanmean(padded.reshape(count, rows, side, columns, side), axis=(2, 4), dtype=np.float64).astype(
            np.float32
        )


@dataclass(frozen=True)
class Layout:
    """Where the maps of a grid are, in cells: `corners` are the (x, y) of the upper left ends, `size` is (width,
    height) of it all, `pixel` so many cells, about, as one pixel of the screen."""

    corners: tuple[tuple[float, float], ...]
    size: tuple[float, float]
    pixel: float


def layout_of(grid: Grid) -> Layout:
    """Row by row, in the number of columns that makes the maps largest, at most eight; room for ranges below them."""
    count, height, width = grid.maps.shape
    gap = max(1, round(max(height, width) / 20))
    across = width + gap

    def largest(columns: int) -> float:
        return min(WIDTH / (columns * across), HEIGHT / (-(-count // columns) * (height + gap)))

    columns = max(range(1, min(8, count) + 1), key=largest)
    rows = -(-count // columns)
    pixel = 1 / largest(columns)
    down = height + gap + (0 if grid.common else 17 * pixel)
    corners = tuple(((place % columns) * across, (place // columns) * down) for place in range(count))
    return Layout(corners, (columns * across - gap, rows * down - gap), pixel)


def channel_grid(grid: Grid, chosen: int | None = None, what: str = "channel") -> go.Figure:
    """All of the grid's channels as heatmaps with values on hover; a click on a map's number chooses it.

    `what` is what the maps are called.
    """
    layout = layout_of(grid)
    width, height = layout.size
    drawn = min(height / layout.pixel, max(200, WIDTH * height / width))
    traces = [*_heatmaps(grid, layout, what), _state_words(grid, layout), _number_badges(grid, layout, what)]
    if not grid.common:
        traces.append(_range_words(grid, layout))
    outlines = [_outline(grid, layout, grid.channels.index(chosen))] if chosen in grid.channels else []
    # As one: Plotly looks through all of a figure at each addition.
    return go.Figure(
        traces,
        {
            **bare_layout((-0.5, width - 0.5), (height - 0.5, -0.5)),
            "shapes": outlines,
            "height": int(drawn) + SCALE_HEIGHT,
            "clickmode": "event+select",
            # Decimal points where the thousands are told apart: see `_in_thousandths`.
            "separators": None if grid.power is None else "..",
        },
    )


def _heatmaps(grid: Grid, layout: Layout, what: str) -> list[dict]:
    # One trace a map, in one plot: each can say its channel and count its own rows, and no cell costs more than its
    # value. Painting them takes 0.1 s. Plotly would look through the colours of each `go.Heatmap` once more when it
    # becomes part of a figure, which costs more than all the rest.
    traces = []
    for place, (channel, cells, colours) in enumerate(zip(grid.channels, grid.cells, grid.ranges, strict=True)):
        x, y = layout.corners[place]
        unit = 1.0 if grid.power is None else 10.0 ** (grid.power - 3)
        traces.append(
            {
                "type": "heatmap",
                "z": cells,
                "x0": x,
                "dx": 1,
                "y0": y,
                "dy": 1,
                "zmin": colours.low / unit,
                "zmax": colours.high / unit,
                "colorscale": colours.scale,
                "name": str(channel),
                "showscale": place == 0,
                "colorbar": _scale(grid, colours.low / unit, colours.high / unit) if place == 0 else None,
                "hovertemplate": f"{what}{_hover(grid, colours)}",
            }
        )
    return traces


def _hover(grid: Grid, colours: ColourRange) -> str:
    value = "%{z:.4g}" if grid.power is None else "%{z:05,d}"
    times = f" × 10{str(grid.power).translate(_RAISED)}" if grid.power else ""
    own = "" if grid.common else f"<br>colours {range_words(colours)}"
    return f"{_WHERE}{value}{times}{own}<extra></extra>"


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _powers(largest: float) -> list[int]:
    """The powers of ten in whose thousandths `largest` fits int16, the better to read first.

    That is 0 where three decimals are good enough. The other one fills int16: then fewer bytes are 255, which stands
    for many a "/".
    """
    if largest == 0:
        return [0]
    full = math.ceil(math.log10(largest / 32.767))
    return [0, full] if 0.3 <= largest <= 32.767 else [full]


def _in_thousandths(cells: np.ndarray, unit: float) -> np.ndarray:
    """`float32[n, h, w]` as whole numbers of `unit`, in half the bytes (float32 where some are missing).

    The page shows them as the decimals that they stand for: the format "05,d" puts a sign between the thousands and the
    rest, and the figure says that this sign is a point.
    """
    whole = np.rint(cells.astype(np.float64) / unit)
    return whole.astype(np.float32) if np.isnan(whole).any() else np.clip(whole, -32768, 32767).astype(np.int16)


def _scale(grid: Grid, low: float, high: float) -> dict:
    """The colour scale below the grid, with true values; where each map has its own, with what its ends mean."""
    if not grid.common:
        ends = ["− its largest", "0", "+ its largest"] if grid.signed else ["0", "its highest"]
        return {**_scale_below(WIDTH), "tickvals": np.linspace(low, high, len(ends)).tolist(), "ticktext": ends}
    true = grid.ranges[0]
    ticks = np.linspace(0, 1, 5)
    return {
        **_scale_below(WIDTH),
        "tickvals": (low + ticks * (high - low)).tolist(),
        "ticktext": [_short(true.low + share * (true.high - true.low)) for share in ticks],
    }


def _scale_below(width: int) -> dict:
    """Below a picture of `width` pixels at the left of its figure, with room for the words at the scale's ends."""
    return {**scale_below("value"), "lenmode": "pixels", "len": width - 76, "x": 0, "xanchor": "left"}


def _short(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def range_words(colours: ColourRange) -> str:
    """`−2.1 to 2.1`"""
    return f"{_short(colours.low)} to {_short(colours.high)}"


def _outline(grid: Grid, layout: Layout, place: int) -> dict:
    x, y = layout.corners[place]
    _, height, width = grid.maps.shape
    ends = {"x0": x - 0.5, "y0": y - 0.5, "x1": x + width - 0.5, "y1": y + height - 0.5}
    return {"type": "rect", **ends, "line": {"color": ORANGE, "width": 4}}


def _state_words(grid: Grid, layout: Layout) -> go.Scatter:
    """In the middle of each map that shows nothing, why."""
    _, height, width = grid.maps.shape
    marked = [place for place, state in enumerate(grid.states) if state]
    return go.Scatter(
        x=[layout.corners[place][0] + (width - 1) / 2 for place in marked],
        y=[layout.corners[place][1] + (height - 1) * 0.62 for place in marked],
        mode="text",
        text=[_STATE_WORDS[grid.states[place]] for place in marked],
        textfont={"size": 13, "color": [_readable_on(grid, place) for place in marked]},
        hoverinfo="skip",
        showlegend=False,
    )


def _readable_on(grid: Grid, place: int) -> str:
    if grid.states[place] == statistics.NO_NUMBERS:
        return "#94a3b8"  # on the page's own ground, light or dark
    colours = grid.ranges[place]
    position = colours.position(float(np.nanmean(grid.maps[place], dtype=np.float64)))
    dark = abs(position - 0.5) > 0.3 if colours.signed else position < 0.6
    return "white" if dark else INK


def _range_words(grid: Grid, layout: Layout) -> go.Scatter:
    """Below each map, what its colours stand for."""
    _, height, width = grid.maps.shape
    return go.Scatter(
        x=[x + (width - 1) / 2 for x, _ in layout.corners],
        y=[y + height - 0.5 + 8 * layout.pixel for _, y in layout.corners],
        mode="text",
        text=[f"± {_short(each.high)}" if each.signed else f"0 to {_short(each.high)}" for each in grid.ranges],
        textfont={"size": 12},
        hoverinfo="skip",
        showlegend=False,
    )


def _number_badges(grid: Grid, layout: Layout, what: str) -> go.Scatter:
    # A click on a heatmap reports nothing to the page, so each map carries a small clickable number.
    inset = 11 * layout.pixel - 0.5
    side = 20 if max(grid.channels) < 1000 else 26
    return go.Scatter(
        x=[x + inset for x, _ in layout.corners],
        y=[y + inset for _, y in layout.corners],
        mode="markers+text",
        text=[str(channel) for channel in grid.channels],
        textfont={"size": 11, "color": "white"},
        marker={"symbol": "square", "size": side, "color": "rgba(15,23,42,0.72)"},
        selected={"marker": {"opacity": 1}, "textfont": {"color": "white"}},
        unselected={"marker": {"opacity": 1}, "textfont": {"color": "white"}},
        customdata=list(grid.channels),
        hovertemplate=f"{what} %{{customdata}}<br>click to see it large<extra></extra>",
        showlegend=False,
    )


def channel_over_photo(values: np.ndarray, photo: np.ndarray, strength: float, height: int = 400) -> go.Figure:
    """One channel (float32[H, W]) over the photo (uint8[h, w, 3]) that the network saw, blended by `strength` 0..1.

    It is `height` pixels high, or less where the photo is wide.
    """
    rows, columns = values.shape
    across, down = photo.shape[1] / columns, photo.shape[0] / rows
    colours = colour_range(values)
    figure = go.Figure(
        go.Heatmap(
            z=np.where(np.isfinite(values), values, np.nan).astype(np.float32),
            x0=across / 2,
            dx=across,
            y0=down / 2,
            dy=down,
            zmin=colours.low,
            zmax=colours.high,
            colorscale=colours.scale,
            opacity=strength,
            colorbar=_scale_below(height - 24),
            hovertemplate="row %{pointNumber[0]}, column %{pointNumber[1]}<br>value %{z:.4g}<extra></extra>",
        )
    )
    figure.add_layout_image(
        source=picture_uri(photo),
        x=0,
        y=0,
        sizex=photo.shape[1],
        sizey=photo.shape[0],
        xref="x",
        yref="y",
        sizing="stretch",
        layer="below",
    )
    bare(figure, (0, photo.shape[1]), (photo.shape[0], 0), below=True)
    figure.update_layout(height=int(min(height, height * photo.shape[0] / photo.shape[1])) + SCALE_HEIGHT)
    return figure
