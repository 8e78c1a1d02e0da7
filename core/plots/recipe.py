"""What helps to choose a recipe: the learning-rate finder's curve, what a step costs with and without its graph."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from core.plots.bars import bars
from core.plots.style import BLUE, FONT, ORANGE, near
from core.transfer.requests import Finder, GraphWorth


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
    if chosen is not None and found.rates and found.rates[0] <= chosen <= found.rates[-1]:
        figure.add_vline(x=chosen, line={"dash": "dot", "width": 2, "color": BLUE})
        figure.add_annotation(**_words(chosen, "chosen now", "top", BLUE))
    if found.suggestion is not None:
        figure.add_vline(x=found.suggestion, line={"width": 3, "color": ORANGE})
        figure.add_annotation(**_words(found.suggestion, f"suggested: {found.suggestion:.2g}", "bottom", ORANGE))
    figure.update_xaxes(
        type="log",
        title=near("learning rate"),
        range=[-6.05, 1.05],
        dtick=1,
        exponentformat="power",
        tickfont=FONT,
        automargin=True,
        fixedrange=True,
    )
    figure.update_yaxes(
        title=near("loss, smoothed"), rangemode="tozero", tickfont=FONT, automargin=True, fixedrange=True, nticks=6
    )
    figure.update_layout(height=300, font=FONT, margin={"l": 8, "r": 8, "t": 8, "b": 8}, dragmode=False)
    return figure


def _words(rate: float, words: str, place: str, colour: str) -> dict:
    high = rate > 1e-2  # else the words would leave the figure
    return {
        "x": np.log10(rate),
        "y": 0.98 if place == "top" else 0.04,
        "yref": "paper",
        "text": words,
        "showarrow": False,
        "xanchor": "right" if high else "left",
        "xshift": -6 if high else 6,
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
