"""How far a trained network can be trusted: luck, photos needed, shortcuts, and what is none of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from core.plots.style import BLUE, FONT, INK, ORANGE, near, plain, shortened
from core.transfer.requests import LearningCurve, Repeated, Shortcut, Unknown

GREY = "#94a3b8"
COLUMNS = 60  # a strip's width in dots
BAND = "rgba(37, 99, 235, 0.18)"
BEYOND = "rgba(194, 65, 12, 0.14)"


# --- Luck ------------------------------------------------------------------------------------------------------------


def stacked(values: Sequence[float], low: float, high: float, columns: int = COLUMNS) -> np.ndarray:
    """How high each dot lies, so that those that are nearly equal stand on one another: `int[N]`, from 0."""
    places = np.clip(((np.asarray(values) - low) / max(high - low, 1e-9) * columns).astype(int), 0, columns - 1)
    heights, filled = np.zeros(len(places), int), np.zeros(columns, int)
    for each, place in enumerate(places):
        heights[each] = filled[place]
        filled[place] += 1
    return heights


def luck_strip(found: Repeated, own: float, name: str = "your run") -> go.Figure:
    """Each other split a dot, their mean and standard deviation a band; below them the run itself. Always saying the
    same is far off as a rule, and then only named."""
    values, same = 100 * np.array(found.accuracies), 100 * float(np.mean(found.majority))
    low, high = max(0.0, min(*values, 100 * own) - 5), min(101.0, max(*values, 100 * own) + 5)
    heights = stacked(values, low, high, 24)
    top = max(3, int(heights.max()) + 1)
    figure = go.Figure()
    if len(values) > 1:
        mean, deviation = values.mean(), values.std(ddof=1)
        figure.add_vrect(x0=mean - deviation, x1=mean + deviation, fillcolor=BAND, line_width=0, layer="below")
        _add_line(figure, mean, (-0.5, top), f"mean {mean:.0f} %", BLUE, "solid")
    if same > low:
        _add_line(figure, same, (-0.5, top), "always the same", GREY, "dash")
    else:
        words = f"← always the same: {same:.0f} %"
        figure.add_annotation(x=0, xref="paper", y=top + 1.4, text=words, showarrow=False, xanchor="left", font=FONT)
    figure.add_trace(
        go.Scatter(
            x=values,
            y=heights,
            mode="markers",
            marker={"color": BLUE, "size": 15, "opacity": 0.8},
            hovertemplate="another split: %{x:.1f} %<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=[100 * own],
            y=[-1.2],
            mode="markers+text",
            text=[f"<b>{name}: {100 * own:.0f} %</b>"],
            textposition="middle left" if 100 * own > (low + high) / 2 else "middle right",
            textfont=FONT,
            marker={"color": ORANGE, "size": 17, "symbol": "diamond"},
            hovertemplate=f"{name}: %{{x:.1f}} %<extra></extra>",
        )
    )
    _strip_axes(figure, (low, high), (-2, top + 1.8), "validation accuracy")
    figure.update_xaxes(ticksuffix=" %", nticks=6)
    figure.update_layout(height=320)
    return figure


def _add_line(figure: go.Figure, x: float, ends: tuple[float, float], words: str, colour: str, dash: str) -> None:
    line = {"color": colour, "width": 3, "dash": dash}
    figure.add_shape(type="line", x0=x, x1=x, y0=ends[0], y1=ends[1], line=line)
    figure.add_annotation(x=x, y=ends[1], text=words, showarrow=False, yanchor="bottom", font=FONT)


def _strip_axes(figure: go.Figure, x: tuple[float, float], y: tuple[float, float], title: str) -> None:
    figure.update_xaxes(title=near(title), range=list(x), tickfont=FONT, automargin=True, fixedrange=True)
    figure.update_xaxes(zeroline=False)
    figure.update_yaxes(visible=False, range=list(y), fixedrange=True)
    figure.update_layout(font=FONT, margin={"l": 8, "r": 8, "t": 8, "b": 8}, showlegend=False, dragmode=False)


# --- How many photos -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CurveFacts:
    """In percent, for each number of photos that has been tried: `mean`, and `low` and `high` a standard deviation
    away."""

    photos: tuple[int, ...]
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def curve_facts(found: LearningCurve) -> CurveFacts:
    tried = [
        (number, 100 * np.array(each)) for number, each in zip(found.photos, found.accuracies, strict=True) if each
    ]
    mean = np.array([each.mean() for _, each in tried])
    deviation = np.array([each.std(ddof=1) if len(each) > 1 else 0.0 for _, each in tried])
    high, low = np.minimum(mean + deviation, 100), np.maximum(mean - deviation, 0)
    return CurveFacts(tuple(number for number, _ in tried), mean, low, high)


def learning_curve(found: LearningCurve) -> go.Figure:
    """Accuracy by photos per class, each doubling as wide as the one before."""
    facts = curve_facts(found)
    look = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
    figure = go.Figure(
        [
            go.Scatter(x=facts.photos, y=facts.high, **look),
            go.Scatter(x=facts.photos, y=facts.low, fill="tonexty", fillcolor=BAND, **look),
            go.Scatter(
                x=facts.photos,
                y=facts.mean,
                mode="lines+markers+text",
                text=[f"{mean:.0f} %" for mean in facts.mean],
                textposition="top center",
                textfont=FONT,
                cliponaxis=False,
                line={"color": BLUE, "width": 3},
                marker={"size": 11},
                customdata=facts.high - facts.mean,
                hovertemplate="%{x} photos per class: %{y:.1f} % ± %{customdata:.1f} %<extra></extra>",
            ),
        ]
    )
    if found.majority:
        figure.add_hline(y=100 * found.majority, line={"color": GREY, "width": 3, "dash": "dash"})
        figure.add_annotation(
            x=1, xref="paper", y=100 * found.majority, yanchor="bottom", xanchor="right", showarrow=False,
            text="always the same", font=FONT,
        )  # fmt: skip
    ends = np.log10([found.photos[0], found.photos[-1]]) if found.photos else (0, 1)
    room = 0.06 * (ends[1] - ends[0]) + 0.03
    figure.update_xaxes(
        type="log",
        title=near("photos of each class to learn from"),
        tickvals=list(found.photos),
        ticktext=[str(each) for each in found.photos],
        range=[ends[0] - room, ends[1] + room],
        tickfont=FONT,
        automargin=True,
        fixedrange=True,
    )
    marks = (0, 25, 50, 75, 100)
    figure.update_yaxes(range=[0, 108], tickvals=marks, ticktext=[f"{mark} %" for mark in marks], tickfont=FONT)
    figure.update_yaxes(automargin=True, fixedrange=True)
    figure.update_layout(
        height=320, font=FONT, margin={"l": 8, "r": 8, "t": 8, "b": 8}, showlegend=False, dragmode=False
    )
    return figure


# --- Shortcuts -------------------------------------------------------------------------------------------------------

HIDDEN_STATES = ("whole photo", "middle only", "border only")


def hidden_rows(found: Shortcut) -> tuple[list[str], np.ndarray]:
    """The classes and, first of all, all photos; for each the accuracy in the three states, `float[R, 3]`, NaN where a
    class has no photos."""
    overall = (found.accuracy, found.without_border, found.without_middle)
    rows = [overall, *(each or (np.nan,) * 3 for each in found.by_class)]
    return ["all photos", *found.classes], np.array(rows, np.float64)


def hidden_table(found: Shortcut) -> go.Figure:
    """How often each class is recognised whole, without the border and without the middle: numbers on colours."""
    names, shares = hidden_rows(found)
    places = list(range(len(names)))
    figure = go.Figure(
        go.Heatmap(
            z=100 * shares,
            x=list(HIDDEN_STATES),
            y=places,
            text=[["" if np.isnan(share) else f"{100 * share:.0f} %" for share in row] for row in shares],
            texttemplate="%{text}",
            textfont={**FONT, "color": INK},
            colorscale=[[0, "#f1f5f9"], [1, "#60a5fa"]],
            zmin=0,
            zmax=100,
            showscale=False,
            customdata=[[plain(name)] * 3 for name in names],
            hovertemplate="%{customdata}, %{x}: %{z:.0f} % recognised<extra></extra>",
            xgap=2,
            ygap=2,
        )
    )
    figure.update_xaxes(side="top", tickfont=FONT, automargin=True, fixedrange=True, showgrid=False, ticks="")
    figure.update_yaxes(
        tickvals=places,
        ticktext=[f"<b>{names[0]}</b>", *(plain(shortened(name, 18)) for name in names[1:])],
        autorange="reversed",
        tickfont=FONT,
        automargin=True,
        fixedrange=True,
        showgrid=False,
        zeroline=False,
        ticks="",
    )
    figure.update_layout(height=32 * len(names) + 40, font=FONT, margin={"l": 8, "r": 8, "t": 8, "b": 0})
    return figure


def border_strip(found: Shortcut) -> go.Figure:
    """Each photo a dot: the share of its attention on the border; a line at the border's share of the area."""
    values, area = 100 * np.array(found.on_border), 100 * found.area
    heights = stacked(values, 0, 100, 50)
    top = max(4, int(heights.max(initial=0)) + 1)
    figure = go.Figure(
        go.Scatter(
            x=values,
            y=heights,
            mode="markers",
            marker={"color": np.where(values > area, ORANGE, BLUE), "size": 11},
            customdata=[plain(shortened(file, 60)) for file in found.files],
            hovertemplate="%{customdata}<br>%{x:.0f} % on the border<extra></extra>",
        )
    )
    _add_line(figure, area, (-1, top), f"its share of the area: {area:.0f} %", GREY, "dash")
    _strip_axes(figure, (0, 100), (-1, top + 1.5), "share of the attention that lies on the border")
    figure.update_xaxes(ticksuffix=" %")
    figure.update_layout(height=190)
    return figure


# --- None of these ---------------------------------------------------------------------------------------------------


def distance_range(found: Unknown, this: float | None = None) -> tuple[float, float]:
    """From below the nearest to beyond the farthest, in whole hundredths."""
    values = [distance for _, distance in (*found.known, *found.others)] + ([] if this is None else [this])
    room = 0.03 * max(max(values) - min(values), 0.1)
    return max(0.0, np.floor(100 * (min(values) - room)) / 100), np.ceil(100 * (max(values) + room)) / 100


def distance_strip(found: Unknown, limit: float, captions: dict[str, str], this: float | None = None) -> go.Figure:
    """Validation photos above, other things below, each a dot at its distance; what is beyond `limit` is shaded.

    `captions` name the other things; `this` is the distance of the photo on show.
    """
    low, high = distance_range(found, this)
    figure = go.Figure()
    figure.add_vrect(x0=limit, x1=high, fillcolor=BEYOND, line_width=0, layer="below")
    base = 0.0
    rows = (
        ("other things", [(captions.get(name, name), far) for name, far in found.others], ORANGE, "square"),
        ("validation", found.known, BLUE, "circle"),
    )
    names, places = [], []
    for name, dots, colour, symbol in rows:
        values = [distance for _, distance in dots]
        heights = stacked(values, low, high)
        step = 1.0 / max(1, heights.max(initial=0))
        figure.add_trace(
            go.Scatter(
                x=values,
                y=base + heights * min(0.25, step),
                mode="markers",
                marker={"color": colour, "size": 12, "symbol": symbol, "opacity": 0.8},
                customdata=[plain(shortened(each, 60)) for each, _ in dots],
                hovertemplate="%{customdata}<br>distance %{x:.2f}<extra></extra>",
            )
        )
        names.append(name)
        places.append(base + 0.25)
        base += 1.5
    if this is not None:
        figure.add_trace(
            go.Scatter(
                x=[this],
                y=[base],
                mode="markers",
                marker={"color": ORANGE if this > limit else BLUE, "size": 20, "symbol": "star"},
                hovertemplate="this photo: distance %{x:.2f}<extra></extra>",
            )
        )
        names.append("<b>this photo</b>")
        places.append(base)
        base += 0.5
    figure.add_shape(type="line", x0=limit, x1=limit, y0=-0.4, y1=base, line={"color": ORANGE, "width": 3})
    figure.add_annotation(
        x=limit, y=base, yanchor="bottom", xanchor="left", showarrow=False, text="none of these →", font=FONT
    )
    _strip_axes(figure, (low, high), (-0.4, base + 0.6), "distance to the nearest training photos")
    figure.update_yaxes(visible=True, tickvals=places, ticktext=names, tickfont=FONT, automargin=True, showgrid=False)
    figure.update_yaxes(zeroline=False, ticks="")
    figure.update_xaxes(tickformat=".1f", nticks=7)
    figure.update_layout(height=250)
    return figure
