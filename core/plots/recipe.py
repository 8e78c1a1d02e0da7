"""What helps to choose a recipe: the learning-rate finder's curve, what a step costs with and without its graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from core.plots.bars import bars
from core.plots.style import BLUE, FONT, ORANGE, near, plain
from core.transfer.requests import Finder, GraphWorth

POWERS = range(-6, 2)  # of ten: the rates that are tried
FROZEN = "#94a3b8"


def finder_curve(found: Finder, chosen: float | None = None) -> go.Figure:
    """The smoothed loss at each learning rate; the suggestion is marked, and the rate that is `chosen` now."""
    figure = go.Figure(
        go.Scatter(
            x=np.array(found.rates, np.float32),
            y=np.array(found.losses, np.float32),
            mode="lines",
            line={"color": BLUE, "width": 3},
            hovertemplate="rate %{x:.2g}<br>loss %{y:.3f}<extra></extra>",
            showlegend=False,
        )
    )
    suggestion = found.suggestion
    if chosen is not None:
        figure.add_vline(x=chosen, line={"dash": "dot", "width": 2, "color": BLUE})
        side = "left" if suggestion is None or chosen < suggestion else "right"
        figure.add_annotation(**_words(chosen, "now", side, 0.98, BLUE))
    if suggestion is not None:
        figure.add_vline(x=suggestion, line={"width": 3, "color": ORANGE})
        side = "left" if suggestion > 0.1 else "right"
        figure.add_annotation(**_words(suggestion, f"suggested: {suggestion:.2g}", side, 0.04, ORANGE))
    figure.update_xaxes(
        type="log",
        title=near("learning rate"),
        range=[POWERS[0] - 0.05, POWERS[-1] + 0.05],
        tickvals=[10.0**power for power in POWERS],
        ticktext=[f"10<sup>{power}</sup>" if power < -2 else f"{10.0**power:g}" for power in POWERS],
        tickfont=FONT,
        automargin=True,
        fixedrange=True,
    )
    figure.update_yaxes(
        title=near("loss, smoothed"), rangemode="tozero", tickfont=FONT, automargin=True, fixedrange=True, nticks=6
    )
    figure.update_layout(height=300, font=FONT, margin={"l": 8, "r": 8, "t": 8, "b": 8}, dragmode=False)
    return figure


def _words(rate: float, words: str, side: str, height: float, colour: str) -> dict:
    return {
        "x": np.log10(rate),
        "y": height,
        "yref": "paper",
        "text": words,
        "showarrow": False,
        "xanchor": "right" if side == "left" else "left",
        "xshift": -6 if side == "left" else 6,
        "font": {**FONT, "color": colour},
    }


def step_milliseconds(worth: GraphWorth) -> tuple[float, float]:
    """Medians of one step, in milliseconds: eager, compiled."""
    return 1000 * float(np.median(worth.eager)), 1000 * float(np.median(worth.compiled))


def step_times(worth: GraphWorth) -> go.Figure:
    """One step's time, without the graph and with it."""
    eager, compiled = step_milliseconds(worth)
    figure = bars(
        ("eagerly", "as a graph"), np.array([eager, compiled], np.float32), "%{x:.3g} ms a step<extra></extra>", row=56
    )
    figure.update_traces(
        marker_color=[ORANGE, BLUE], text=[f"{eager:.3g} ms", f"{compiled:.3g} ms"], texttemplate="%{text}"
    )
    figure.update_xaxes(range=[0, 1.2 * max(eager, compiled)])
    return figure


def layer_numbers(layers: Sequence[tuple[str, int, bool]], first: str | None) -> go.Figure:
    """How many numbers each layer has, from the first to the last: (name, numbers, whether it is a BatchNorm, which
    are left out). Those from the layer `first` on learn; with `None` all are frozen."""
    shown = [(name, numbers) for name, numbers, is_norm in layers if not is_norm]
    names = [name for name, _ in shown]
    start = names.index(first) if first in names else len(names)
    states = ["frozen" if place < start else "learns" for place in range(len(names))]
    figure = go.Figure(
        go.Bar(
            x=list(range(len(names))),
            y=np.array([numbers for _, numbers in shown], np.int32),
            marker={"color": [FROZEN if state == "frozen" else ORANGE for state in states], "line": {"width": 0}},
            customdata=[[plain(name), state] for name, state in zip(names, states, strict=True)],
            hovertemplate="%{customdata[0]}<br>%{y:,} numbers, %{customdata[1]}<extra></extra>",
        )
    )
    figure.update_xaxes(
        title=near("layers, from the first to the last"), showticklabels=False, showgrid=False, fixedrange=True
    )
    figure.update_yaxes(title=near("numbers"), tickfont=FONT, automargin=True, fixedrange=True, nticks=5)
    figure.update_layout(height=220, font=FONT, margin={"l": 8, "r": 8, "t": 8, "b": 8}, bargap=0.1, dragmode=False)
    return figure
