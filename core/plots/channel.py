"""One channel's answers, counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from core.plots.style import BLUE, FONT, ORANGE, POWERS

BINS = 30


@dataclass(frozen=True)
class Histogram:
    """Shares of all cells (0..1): of those in each bin between `edges` that are not 0, and of exact `zeros`.

    `missing` cells are not numbers, and are in no bin.
    """

    edges: np.ndarray
    shares: np.ndarray
    zeros: float
    missing: float


def histogram(values: np.ndarray, bins: int = BINS) -> Histogram:
    """How often each value occurs in a map `float32[H, W]`; zeros are told apart, for a ReLU makes so many."""
    cells = values.ravel().astype(np.float64)
    finite = cells[np.isfinite(cells)]
    others = finite[finite != 0]
    low, high = (others.min(), others.max()) if others.size else (0.0, 1.0)
    if not high - low > 1e-12 * max(abs(low), abs(high)):  # one value only: a bin around it
        low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
    counts, edges = np.histogram(others, bins=bins, range=(low, high))
    count = max(1, cells.size)
    return Histogram(edges, counts / count, (finite.size - others.size) / count, (cells.size - finite.size) / count)


def histogram_bars(found: Histogram) -> go.Figure:
    """The shares in per cent. The bar of the zeros may be cut off so that the others can be seen; its share is said."""
    width = found.edges[1] - found.edges[0]
    tallest = 100 * float(found.shares.max(initial=0.0))
    top = 1.25 * tallest if tallest > 0 else 110.0
    zeros = 100 * found.zeros
    figure = go.Figure(
        go.Bar(
            x=(found.edges[:-1] + found.edges[1:]) / 2,
            y=100 * found.shares,
            width=[width] * len(found.shares),
            marker={"color": BLUE, "line": {"width": 0}},
            customdata=np.stack([found.edges[:-1], found.edges[1:]], axis=1),
            hovertemplate="%{customdata[0]:.4g} to %{customdata[1]:.4g}<br>%{y:.1f} % of the cells<extra></extra>",
            name="other values",
        )
    )
    if zeros:
        figure.add_trace(
            go.Bar(
                x=[0.0],
                y=[min(zeros, top)],
                width=[width],
                marker={"color": ORANGE, "line": {"width": 0}},
                customdata=[zeros],
                hovertemplate="exactly 0<br>%{customdata:.1f} % of the cells<extra></extra>",
                name=f"exactly 0 ({zeros:.0f} %{', cut off' if zeros > top else ''})",
            )
        )
    figure.update_layout(
        height=260,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        font=FONT,
        barmode="overlay",
        bargap=0,
        showlegend=bool(zeros),
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        dragmode=False,
    )
    figure.update_xaxes(title="value", exponentformat=POWERS, fixedrange=True)
    figure.update_yaxes(title="% of the cells", range=[0, top], fixedrange=True)
    return figure
