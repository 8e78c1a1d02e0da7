"""How often a trained network is right: against what, for which classes, and when it says that it is sure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.archives import shorten
from core.plots.style import BLUE, FONT, FONT_SIZE, INK, ORANGE, near, plain, shortened
from core.transfer.evaluation import Calibration, Share, share

GREY = "#94a3b8"
_RIGHT = ((0.0, "#eff6ff"), (0.5, "#7aa5ff"), (1.0, "#1d4ed8"))
_WRONG = ((0.0, "#fff7ed"), (0.5, "#f59e5b"), (1.0, "#c2410c"))
_DARK = 0.8  # the share from which on letters on a cell are white
FEW = 10  # photos in a bin: its height is then mostly chance
FEW_CLASSES = 8  # up to which there is room for zeros and longer names
HALF_PAGE = 12  # classes up to which the matrix is readable in half of a page
SIDE_BY_SIDE = 50  # letters of all names together for which there is room below such a matrix


# --- Accuracy ---------------------------------------------------------------------------------------------------------


def accuracy_bars(measured: Sequence[tuple[str, Share]], baseline: tuple[str, float]) -> go.Figure:
    """One bar for each measured accuracy, with its interval, above what the `baseline` reaches. Names may be anybody's
    words."""
    shares = [each for _, each in measured]
    ranges = [f"between {_percent(each.low)} and {_percent(each.high)}" for each in shares]
    bars = _lying_bars([each.value for each in shares], list(range(len(shares))), BLUE, ranges)
    bars.error_x = {
        "array": [100 * (each.high - each.value) for each in shares],
        "arrayminus": [100 * (each.value - each.low) for each in shares],
        "symmetric": False,
        "color": ORANGE,
        "thickness": 3,
        "width": 8,
    }
    figure = go.Figure([bars, _lying_bars([baseline[1]], [len(shares)], GREY, ["for comparison"])])
    names = [*(name for name, _ in measured), baseline[0]]
    figure.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=[plain(shortened(name, 36)) for name in names],
        autorange="reversed",
        tickfont=FONT,
        automargin=True,
        fixedrange=True,
        showgrid=False,
    )
    figure.update_xaxes(range=[0, 100.5], ticksuffix=" %", dtick=25, tickfont=FONT, automargin=True, fixedrange=True)
    figure.update_layout(
        height=34 * len(names) + 36,
        font=FONT,
        margin={"l": 8, "r": 24, "t": 0, "b": 8},
        bargap=0.2,
        barmode="overlay",
        showlegend=False,
        dragmode=False,
    )
    return figure


def _lying_bars(values: list[float], places: list[int], colour: str, words: list[str]) -> go.Bar:
    return go.Bar(
        x=[100 * value for value in values],
        y=places,
        orientation="h",
        marker={"color": colour, "line": {"width": 0}},
        text=[f"<b>{_percent(value)}</b>" for value in values],
        textposition=["inside" if value > 0.15 else "outside" for value in values],
        insidetextanchor="start",
        insidetextfont={**FONT, "color": "white"},
        outsidetextfont=FONT,
        textangle=0,
        customdata=words,
        hovertemplate="%{x:.1f} %<br>%{customdata}<extra></extra>",
    )


def _titled(title: str) -> dict:
    """An axis' title in the size of its numbers, which the page's theme would make smaller."""
    return {**near(title), "font": FONT}


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


# --- The confusion matrix ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Confusion:
    """What is drawn of a matrix: `shares` of each row's photos (`float32[C, C]`), `texts` in the cells (nothing for no
    photo where zeros would hide the rest), `names` safe to show, pixels of a `row`, and the size of all `letters`."""

    counts: np.ndarray
    shares: np.ndarray
    texts: tuple[tuple[str, ...], ...]
    names: tuple[str, ...]
    row: int
    letters: int


def confusion_look(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Confusion:
    table = np.array(counts, np.int32)
    many = len(classes)
    row = int(np.clip(300 / many, 18, 64))
    longest = 18 if many <= FEW_CLASSES else 14
    return Confusion(
        counts=table,
        shares=(table / np.maximum(table.sum(axis=1, keepdims=True), 1)).astype(np.float32),
        texts=tuple(
            tuple(str(count) if count or many <= FEW_CLASSES else "" for count in line) for line in table.tolist()
        ),
        names=tuple(plain(shorten(name, longest)) for name in classes),
        row=row,
        letters=min(FONT_SIZE, max(11, round(0.66 * row))),
    )


def confusion_matrix(
    counts: Sequence[Sequence[int]], classes: Sequence[str], chosen: tuple[int, int] | None = None
) -> go.Figure:
    """Rows: what it is; columns: what the network said. A cell's number counts photos, its colour is their share of
    the row: blue where it was right, orange where it was wrong. A click gives a cell's (row, column) as `customdata`;
    that of `chosen` is framed."""
    look = confusion_look(counts, classes)
    figure = go.Figure([*_cells(look), _numbers(look), _clickable(look, classes)])
    letters = {**FONT, "size": look.letters}
    places = list(range(len(look.names)))
    for axes, title in ((figure.update_xaxes, "the network said"), (figure.update_yaxes, "it is")):
        axes(title=_titled(title), tickvals=places, ticktext=look.names, tickfont=letters, automargin=True)
        axes(showgrid=False, zeroline=False, ticks="", fixedrange=True, range=[-0.5, len(places) - 0.5])
    figure.update_yaxes(range=[len(places) - 0.5, -0.5])
    # Slanting, as Plotly would have them, the last ones would be left out.
    upright = len(places) > HALF_PAGE or len(places) * max(map(len, look.names)) > SIDE_BY_SIDE
    if upright:
        figure.update_xaxes(tickangle=-90)
    if chosen is not None:
        _frame(figure, *chosen)
    figure.update_layout(
        height=look.row * len(places) + (190 if upright else 90),
        font=FONT,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        hovermode="closest",
        hoverdistance=200,  # of the nearest middle of a cell, which is that of the cell pointed at
        hoverlabel={"font": FONT},
        clickmode="event+select",
        dragmode=False,
        showlegend=False,
    )
    return figure


def _cells(look: Confusion) -> list[go.Heatmap]:
    diagonal = np.eye(len(look.names), dtype=bool)
    return [
        go.Heatmap(
            z=np.where(shown, look.shares, np.nan).astype(np.float32),
            zmin=0,
            zmax=1,
            colorscale=scale,
            showscale=False,
            hoverinfo="skip",
            xgap=2,
            ygap=2,
        )
        for shown, scale in ((diagonal, _RIGHT), (~diagonal, _WRONG))
    ]


def _numbers(look: Confusion) -> go.Scatter:
    """Plotly's own choice of colours for a heatmap's texts is unreadable on some cells."""
    rows, columns = np.indices(look.counts.shape).reshape(2, -1)
    return go.Scatter(
        x=columns,
        y=rows,
        mode="text",
        text=[text for line in look.texts for text in line],
        textfont={
            **FONT,
            "size": max(look.letters, min(22, round(0.42 * look.row))),
            "color": ["white" if share > _DARK else INK for share in look.shares.ravel()],
        },
        hoverinfo="skip",
        showlegend=False,
    )


def _clickable(look: Confusion, classes: Sequence[str]) -> go.Scatter:
    """A click on a heatmap reports nothing to the page: an unseen point in the middle of each cell does."""
    names = [plain(shortened(name)) for name in classes]
    cells = [(true, said) for true in range(len(names)) for said in range(len(names))]
    return go.Scatter(
        x=[said for _, said in cells],
        y=[true for true, _ in cells],
        mode="markers",
        marker={"symbol": "square", "size": 6, "opacity": 0},
        selected={"marker": {"opacity": 0}},
        unselected={"marker": {"opacity": 0}},
        customdata=[[true, said, _in_words(look, names, true, said)] for true, said in cells],
        hovertemplate="%{customdata[2]}<extra></extra>",
        showlegend=False,
    )


def _in_words(look: Confusion, names: Sequence[str], true: int, said: int) -> str:
    count, of = int(look.counts[true, said]), int(look.counts[true].sum())
    happened = "called so" if true == said else f"called <b>{names[said]}</b>"
    return f"<b>{names[true]}</b>: {count} of {of} {happened}" + ("<br>click to see them" if count else "")


def _frame(figure: go.Figure, true: int, said: int) -> None:
    for colour, width in (("white", 6), (INK, 3)):  # one of them stands out on any cell
        ends = {"x0": said - 0.5, "x1": said + 0.5, "y0": true - 0.5, "y1": true + 0.5}
        figure.add_shape(type="rect", **ends, line={"color": colour, "width": width})


# --- How sure, and how right ------------------------------------------------------------------------------------------


def reliability_diagram(found: Calibration) -> go.Figure:
    """How often it was right (with its 95 % interval) among photos of which it was equally sure, beside the line where
    both agree; below, how many photos that is. Bins of few photos are pale: their height is mostly chance."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.76, 0.24], vertical_spacing=0.04)
    middles = 50 * (found.edges[:-1] + found.edges[1:])
    width = 100 * float(found.edges[1] - found.edges[0])
    figure.add_trace(_right_bars(found, middles, width), row=1, col=1)
    figure.add_trace(_agreement(), row=1, col=1)
    figure.add_trace(_count_bars(found, middles, width), row=2, col=1)
    figure.update_xaxes(range=[0, 100.2], dtick=20, tickfont=FONT, fixedrange=True, showgrid=False)
    figure.update_xaxes(ticksuffix=" %", title=_titled("how sure it is of what it says"), automargin=True, row=2, col=1)
    figure.update_yaxes(tickfont=FONT, automargin=True, fixedrange=True)
    figure.update_yaxes(range=[0, 102], dtick=20, ticksuffix=" %", title=_titled("how often it is right"), row=1, col=1)
    most = max(1, int(found.counts.max(initial=0)))
    figure.update_yaxes(
        range=[0, 1.6 * most], showticklabels=False, showgrid=False, title=_titled("photos"), row=2, col=1
    )
    figure.update_layout(
        height=380,
        font=FONT,
        bargap=0,
        margin={"l": 8, "r": 28, "t": 8, "b": 8},  # room for half of "100 %"
        showlegend=False,
        dragmode=False,
    )
    return figure


def _right_bars(found: Calibration, middles: np.ndarray, width: float) -> go.Bar:
    intervals = [share(int(hits), int(count)) for hits, count in zip(found.hits, found.counts, strict=True)]
    there = found.counts > 0
    right = np.where(there, 100 * found.right, np.nan)
    words = [
        f"it was right in {each.right} of {each.total}<br>between {_percent(each.low)} and {_percent(each.high)}"
        for each in intervals
    ]
    return go.Bar(
        x=middles,
        y=right,
        width=0.92 * width,
        marker={"color": BLUE, "opacity": np.where(found.counts < FEW, 0.45, 1.0), "line": {"width": 0}},
        error_y={
            "array": np.where(there, [100 * each.high for each in intervals] - right, 0),
            "arrayminus": np.where(there, right - [100 * each.low for each in intervals], 0),
            "symmetric": False,
            "color": ORANGE,
            "thickness": 2,
            "width": 6,
        },
        customdata=[[_bin_words(found, place), words[place]] for place in range(len(middles))],
        hovertemplate="%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
    )


def _agreement() -> go.Scatter:
    return go.Scatter(
        x=[0, 100],
        y=[0, 100],
        mode="lines",
        line={"color": GREY, "width": 3, "dash": "dash"},
        hoverinfo="skip",
    )


def _count_bars(found: Calibration, middles: np.ndarray, width: float) -> go.Bar:
    return go.Bar(
        x=middles,
        y=found.counts,
        width=0.92 * width,
        marker={"color": GREY, "line": {"width": 0}},
        text=[str(count) if count else "" for count in found.counts],
        textposition="outside",
        textfont=FONT,
        textangle=0,
        cliponaxis=False,
        customdata=[_bin_words(found, place) for place in range(len(middles))],
        hovertemplate="%{customdata}: %{y} photos<extra></extra>",
    )


def _bin_words(found: Calibration, place: int) -> str:
    return f"sure to {100 * found.edges[place]:.0f}–{100 * found.edges[place + 1]:.0f} %"
