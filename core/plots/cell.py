"""One cell: where it is on its map, what of the photo it sees, and its arithmetic as pictures with numbers in them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from core.messages import Formula, Pooled, Products, Region
from core.plots.maps import colour_range
from core.plots.style import FONT, ORANGE, bare, picture_uri, plain, scale_below

MOST_MARKERS = 56  # a side; a click between two of them finds the nearest
MOST_NUMBERS = 7  # a side of what has a number in each cell
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_GREY = "rgba(128,128,128,0.35)"


def number(value: float, digits: int = 4) -> str:
    """`value` as one writes it on paper: 0.01235, −12.3, 2.96 × 10⁻⁵."""
    if not np.isfinite(value):
        return "not a number" if np.isnan(value) else "infinite" if value > 0 else "−infinite"
    text = f"{value:.{digits}g}"
    if "e" in text:
        size = int(text.split("e")[1])
        if 0 <= size <= 6:
            text = f"{value:,.0f}".replace(",", " ")
        else:
            text = f"{text.split('e')[0]} × 10{str(size).translate(_RAISED)}"
    return text.replace("-", "−")


def with_numbers(formula: Formula) -> str:
    """The expression with numbers for names: `(1.742 − 0.53) × 2`."""
    given = dict(formula.given)

    def fill(found: re.Match) -> str:
        if found[0] not in given:
            return found[0]
        text = number(given[found[0]])
        alone = formula.expression in (found[0], f"max(0, {found[0]})", f"min(max(0, {found[0]}), 6)")
        return text if alone or not re.search("[− ]", text) else f"({text})"

    return re.sub(r"[A-Za-z]+", fill, formula.expression)


# --- Where it is -----------------------------------------------------------------------------------------------------


def cell_map(values: np.ndarray, cell: tuple[int, int]) -> go.Figure:
    """One channel's map (`float32[H, W]`) with an outline around `cell` (y, x); a click on it reports [y, x].

    Where there are too many cells to give each a marker, one stands for the strongest (in size) of a small block.
    """
    height, width = values.shape
    colours = colour_range(values)
    places = clickable(values)
    figure = go.Figure(
        [
            go.Heatmap(
                z=np.where(np.isfinite(values), values, np.nan).astype(np.float32),
                zmin=colours.low,
                zmax=colours.high,
                colorscale=colours.scale,
                colorbar=scale_below("") | {"thickness": 10},
                hoverinfo="skip",
            ),
            go.Scatter(
                x=places[:, 1],
                y=places[:, 0],
                mode="markers",
                marker={"symbol": "square", "size": max(4, 220 // max(height, width)), "opacity": 0},
                selected={"marker": {"opacity": 0}},
                unselected={"marker": {"opacity": 0}},
                customdata=[[int(y), int(x), float(values[y, x])] for y, x in places],
                hovertemplate="row %{y}, column %{x}<br>value %{customdata[2]:.4g}<br>click for its arithmetic"
                "<extra></extra>",
                showlegend=False,
            ),
        ]
    )
    y, x = cell
    around = 0.5 + max(height, width) / 80  # a single cell of a large map would not be seen
    for colour, thick in (("white", 6), (ORANGE, 3)):
        figure.add_shape(
            type="rect",
            x0=x - around,
            x1=x + around,
            y0=y - around,
            y1=y + around,
            line={"color": colour, "width": thick},
        )
    bare(figure, (-0.5, width - 0.5), (height - 0.5, -0.5))
    figure.update_layout(clickmode="event+select", hovermode="closest", hoverdistance=40)
    return figure


def clickable(values: np.ndarray) -> np.ndarray:
    """Which cells (y, x) of the map `values` get a marker: `int[N, 2]`, all or the strongest of each block."""
    height, width = values.shape
    side = -(-max(height, width) // MOST_MARKERS)
    sizes = np.where(np.isfinite(values), np.abs(values), -1.0)
    places = []
    for top in range(0, height, side):
        for left in range(0, width, side):
            block = sizes[top : top + side, left : left + side]
            y, x = np.unravel_index(np.argmax(block), block.shape)
            places.append((top + y, left + x))
    return np.array(places)


# --- What it sees ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sight:
    """What a cell sees of the photo, with numbers: `can` pixels of `total`; 9/10 of what changes it lie in `most`."""

    can: int
    total: int
    does: int
    most: int


def sight(region: Region | None, influence: np.ndarray) -> Sight:
    """`influence` is `float32[h, w]`; `region` of `None` is all of the photo."""
    top, left, bottom, right = _within(region, influence.shape)
    falling = np.sort(influence.ravel().astype(np.float64))[::-1]
    total = falling.sum()
    most = int(np.searchsorted(np.cumsum(falling), 0.9 * total)) + 1 if total > 0 else 0
    return Sight((bottom - top) * (right - left), influence.size, int(np.count_nonzero(influence)), most)


def _within(region: Region | None, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Top, left, bottom, right of what lies on the photo."""
    height, width = size
    if region is None:
        return 0, 0, height, width
    bottom, right = min(max(region.bottom, 0), height), min(max(region.right, 0), width)
    return min(max(region.top, 0), bottom), min(max(region.left, 0), right), bottom, right


def cell_on_photo(seen: np.ndarray, region: Region | None, influence: np.ndarray) -> go.Figure:
    """The photo (`uint8[h, w, 3]`), dark where the cell cannot see, orange where it does see.

    A small region is shown enlarged as well, in the corner that is farthest from it.
    """
    picture = sight_on(seen, region, influence)
    height, width = influence.shape
    box = _within(region, influence.shape)
    top, left, bottom, right = box
    figure = go.Figure(go.Scatter(x=[0], y=[0], mode="markers", marker={"opacity": 0}, hoverinfo="skip"))
    _put(figure, picture, (0, 0, height, width))
    if region is not None:
        _frame(figure, (region.top, region.left, region.bottom, region.right))
    if max(bottom - top, right - left) * 5 <= max(height, width) and bottom > top and right > left:
        _magnify(figure, picture, box)
    bare(figure, (0, width), (height, 0))
    return figure


def sight_on(seen: np.ndarray, region: Region | None, influence: np.ndarray) -> np.ndarray:
    """The picture of `cell_on_photo` without frames: `uint8[h, w, 3]`."""
    top, left, bottom, right = _within(region, influence.shape)
    light = np.full(influence.shape, 0.4, np.float32)
    light[top:bottom, left:right] = 1.0
    picture = seen * light[:, :, None]
    most = float(np.percentile(influence[influence > 0], 99)) if (influence > 0).any() else 1.0
    # The power keeps what is weak in sight.
    alpha = 0.7 * np.clip(influence / most, 0.0, 1.0)[:, :, None] ** 0.7
    return np.clip(picture * (1 - alpha) + alpha * np.float32((255, 112, 0)), 0, 255).astype(np.uint8)


def _put(figure: go.Figure, picture: np.ndarray, box: tuple[float, float, float, float]) -> None:
    top, left, bottom, right = box
    figure.add_layout_image(
        source=picture_uri(picture, quality=90),
        x=left,
        y=top,
        sizex=right - left,
        sizey=bottom - top,
        xref="x",
        yref="y",
        sizing="stretch",
        layer="below",
    )


def _frame(figure: go.Figure, box: tuple[float, float, float, float], colour: str = "white") -> None:
    top, left, bottom, right = box
    for line in ({"color": "black", "width": 4}, {"color": colour, "width": 2}):
        figure.add_shape(type="rect", x0=left, x1=right, y0=top, y1=bottom, line=line)


def _magnify(figure: go.Figure, picture: np.ndarray, box: tuple[int, int, int, int]) -> None:
    """What lies around `box`, enlarged, in the farthest corner, with the box drawn into it."""
    height, width = picture.shape[:2]
    top, left, bottom, right = box
    around = max(bottom - top, right - left, 3) / 2 * 1.6
    middle_y, middle_x = (top + bottom) / 2, (left + right) / 2
    low_y, low_x = (int(max(0, np.floor(middle - around))) for middle in (middle_y, middle_x))
    high_y, high_x = (int(min(size, np.ceil(m + around))) for m, size in ((middle_y, height), (middle_x, width)))
    piece = picture[low_y:high_y, low_x:high_x]
    times = max(1, 240 // max(piece.shape[:2]))
    side = 0.46 * min(height, width)
    scale = side / max(piece.shape[:2])
    tall, wide = piece.shape[0] * scale, piece.shape[1] * scale
    y0 = 0.0 if middle_y > height / 2 else height - tall
    x0 = 0.0 if middle_x > width / 2 else width - wide
    _put(figure, piece.repeat(times, 0).repeat(times, 1), (y0, x0, y0 + tall, x0 + wide))
    corner = (x0 + (wide if x0 == 0 else 0), y0 + (tall if y0 == 0 else 0))
    figure.add_shape(
        type="line", x0=middle_x, y0=middle_y, x1=corner[0], y1=corner[1], line={"color": "white", "width": 1.5}
    )
    _frame(figure, (y0, x0, y0 + tall, x0 + wide))
    inner = [(top - low_y) * scale + y0, (left - low_x) * scale + x0]
    figure.add_shape(
        type="rect",
        x0=inner[1],
        y0=inner[0],
        x1=inner[1] + (right - left) * scale,
        y1=inner[0] + (bottom - top) * scale,
        line={"color": "white", "width": 2, "dash": "dot"},
    )


# --- Its arithmetic --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """What one input channel adds to the sum (or several together: then `channel` is `None`).

    `index` is the channel's place in `Products`; `count` so many channels are meant.
    """

    index: int | None
    channel: int | None
    count: int
    sum: float


def parts(step: Products, most: int = 5) -> list[Part]:
    """The channels that add most (in size), largest first, and the rest together; the sums add up to the result."""
    sums = step.sums
    order = np.argsort(-np.abs(sums), kind="stable")
    most = most + 1 if len(sums) == most + 1 else most
    shown = [Part(int(i), int(step.channels[i]), 1, float(sums[i])) for i in order[:most]]
    rest = order[most:]
    return [*shown, Part(None, None, len(rest), float(sums[rest].sum()))] if len(rest) else shown


def strongest(values: np.ndarray) -> tuple[int, int]:
    """The cell (y, x) of the map `values` that is farthest from 0; the first where nothing is finite."""
    sizes = np.where(np.isfinite(values), np.abs(values), -1.0)
    y, x = np.unravel_index(np.argmax(sizes), sizes.shape)
    return int(y), int(x)


def part_bars(
    step: Products, found: Sequence[Part], names: Sequence[str], *, times: bool, scale: float = 1.0
) -> go.Figure:
    """What each of the parts adds, as bars to the right and left; with `times`, as a product of two numbers.

    `names` are those of the parts. `scale` enlarges texts and rows.
    """
    words = []
    for part in found:
        if times and part.index is not None:
            a, b = float(step.patch[0, 0, part.index]), float(step.kernel[0, 0, part.index])
            words.append(f"{number(a, 3)} × {_bracketed(b)} = {number(part.sum, 3)}")
        else:
            words.append(number(part.sum, 3))
    sums = [part.sum for part in found]
    reach = max(map(abs, sums)) or 1.0
    figure = go.Figure(
        go.Bar(
            x=sums,
            y=list(range(len(found))),
            orientation="h",
            marker={"color": ["#b2182b" if value >= 0 else "#2166ac" for value in sums], "opacity": 0.85},
            hovertext=[f"{plain(name)}: {text}" for name, text in zip(names, words, strict=True)],
            hoverinfo="text",
        )
    )
    for row, (name, text) in enumerate(zip(names, words, strict=True)):
        for x, anchor, what in ((0.0, "left", plain(name)), (1.0, "right", text)):
            figure.add_annotation(
                x=x,
                xref="paper",
                xanchor=anchor,
                y=row,
                yshift=15 * scale,
                text=what,
                showarrow=False,
                font={"size": 15 * scale},
            )
    figure.update_xaxes(visible=False, range=[-reach, reach], fixedrange=True)
    figure.update_yaxes(visible=False, range=[len(found) - 0.5, -0.85], fixedrange=True)
    figure.add_vline(x=0, line={"color": "#94a3b8", "width": 1})
    figure.update_layout(
        height=int(42 * scale * len(found)) + 8,
        bargap=0.72,
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        font=FONT,
        dragmode=False,
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure


def _bracketed(value: float) -> str:
    text = number(value, 3)
    return f"({text})" if re.search("[− ]", text) else text


def product_tables(step: Products, index: int, width: int = 385) -> go.Figure:
    """For one input channel: patch × kernel = products, three little maps with the numbers written in their cells.

    Cells outside the input's map are empty: padding. Up to 7 × 7; larger ones show colours, the numbers on pointing.
    `width` is about how many pixels there are for it on the page.
    """
    rows, columns = step.inside.shape
    patch = np.where(step.inside, step.patch[:, :, index], np.nan)
    kernel = step.kernel[:, :, index].astype(np.float64)
    products = np.where(step.inside, step.products[:, :, index], np.nan)
    gap = 0.24 * columns
    figure = go.Figure()
    for place, (words, table) in enumerate((("input", patch), ("weights", kernel), ("products", products))):
        left = place * (columns + gap)
        unit = _unit(table)
        figure.add_trace(_table(table, left, step, words, width / 385, unit))
        figure.add_annotation(
            x=left + columns / 2 - 0.5,
            y=-0.5,
            yanchor="bottom",
            text=words if unit == 1 else f"{words}, in {number(unit)}",
            showarrow=False,
            font={"size": 15 * width / 385},
        )
        for y, x in zip(*np.nonzero(np.isnan(table)), strict=True):
            figure.add_shape(
                type="rect",
                x0=left + x - 0.48,
                x1=left + x + 0.48,
                y0=y - 0.48,
                y1=y + 0.48,
                line={"color": _GREY, "dash": "dot"},
            )
        if place < 2:
            figure.add_annotation(
                x=left + columns + gap / 2 - 0.5,
                y=(rows - 1) / 2,
                text="×="[place],
                showarrow=False,
                font={"size": 20 * width / 385},
            )
    bare(figure, (-0.5, 3 * columns + 2 * gap - 0.5), (rows - 0.5, -0.5 - 0.16 * rows - 0.1))
    figure.update_layout(height=int(width * (1.16 * rows + 0.1) / (3 * columns + 2 * gap)) + 6)
    return figure


def _unit(table: np.ndarray) -> float:
    """What the numbers of a table are written in: 1, or in narrow cells such a power of ten that one decimal tells."""
    reach = float(np.nanmax(np.abs(table), initial=0.0))
    if table.shape[1] <= 3 or max(table.shape) > MOST_NUMBERS or reach == 0 or 0.5 <= reach < 100:
        return 1.0
    return 10.0 ** math.floor(math.log10(reach))


def _table(table: np.ndarray, left: float, step: Products, words: str, scale: float, unit: float) -> go.Heatmap:
    reach = float(np.nanmax(np.abs(table))) if np.isfinite(table).any() else 1.0
    rows, columns = table.shape
    where = [
        [f"row {row}, column {column}" if step.inside[i, j] else "padding: counts as 0" for j, column in _listed(step)]
        for i, row in enumerate(step.rows)
    ]
    numbers = max(rows, columns) <= MOST_NUMBERS

    def write(value: float) -> str:
        return _short(value) if columns <= 3 else _shortest(value / unit, columns)

    return go.Heatmap(
        z=table.astype(np.float32),
        x0=left,
        dx=1,
        y0=0,
        dy=1,
        zmin=-(reach or 1.0),
        zmax=reach or 1.0,
        colorscale="RdBu_r",
        showscale=False,
        xgap=1.5,
        ygap=1.5,
        text=[["" if np.isnan(each) else write(each) for each in row] for row in table] if numbers else None,
        texttemplate="%{text}" if numbers else None,
        textfont={"size": scale * (14 if columns <= 3 else 11 if columns <= 5 else 8)},
        customdata=where,
        hovertemplate=f"{words}<br>%{{customdata}}<br>%{{z:.5g}}<extra></extra>",
        hoverongaps=False,
    )


def _listed(step: Products) -> list[tuple[int, int]]:
    return list(enumerate(step.columns))


def _short(value: float) -> str:
    """A number for a small cell: never more than five or six letters."""
    size = abs(value)
    if value == 0:
        return "0"
    if size >= 100:
        text = f"{value:.0f}"
    elif size < 0.01:
        return (
            f"{value:.0e}".replace("e-0", "e-").replace("-", "−") if size < 0.001 else f"{value:.3f}".replace("-", "−")
        )
    else:
        text = f"{value:.3g}" if size >= 1 else f"{value:.2f}"
    return text.replace("-", "−")


def _shortest(value: float, columns: int) -> str:
    """A number below 100 for a cell so narrow that one decimal has to do: 12, −0.3, 0.0 for what is hardly more than
    nothing, 0 for nothing. Of more than five `columns` each is so narrow that the 0 before the point goes as well.
    """
    if value == 0:
        return "0"
    text = f"{value:.1f}" if abs(value) < 9.95 else f"{value:.0f}"
    text = text.replace("-0.0", "0.0").replace("-", "−")
    return text.replace("0.", ".") if columns > 5 else text


def pooled_table(step: Pooled) -> go.Figure:
    """The cells that are pooled, with their numbers (up to 7 × 7); the winner of a maximum is outlined."""
    rows, columns = step.patch.shape
    table = np.where(step.inside, step.patch, np.nan)
    colours = colour_range(table)
    numbers = max(rows, columns) <= MOST_NUMBERS
    figure = go.Figure(
        go.Heatmap(
            z=table.astype(np.float32),
            x=step.columns.tolist(),
            y=step.rows.tolist(),
            zmin=colours.low,
            zmax=colours.high,
            colorscale=colours.scale,
            showscale=False,
            xgap=1,
            ygap=1,
            text=[["" if np.isnan(each) else _short(each) for each in row] for row in table] if numbers else None,
            texttemplate="%{text}" if numbers else None,
            textfont={"size": 15 if columns <= 5 else 13},
            hovertemplate="row %{y}, column %{x}<br>value %{z:.5g}<extra></extra>",
            hoverongaps=False,
        )
    )
    if step.kind == "max":
        row, column = step.winner
        y, x = int(step.rows[row]), int(step.columns[column])
        figure.add_shape(
            type="rect", x0=x - 0.5, x1=x + 0.5, y0=y - 0.5, y1=y + 0.5, line={"color": ORANGE, "width": 5}
        )
    bare(
        figure,
        (step.columns[0] - 0.6, step.columns[-1] + 0.6),
        (step.rows[-1] + 0.6, step.rows[0] - 0.6),
    )
    figure.update_layout(height=min(320, 80 * rows))
    return figure
