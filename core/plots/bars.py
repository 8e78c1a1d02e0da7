"""Bars: units, guesses, how far to trust a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from core.messages import Prediction, Trust
from core.plots.style import BLUE, FONT, ORANGE, plain, shortened


def unit_bars(values: np.ndarray, names: Sequence[str] | None, most: int = 20) -> go.Figure:
    """The `most` strongest units of a vector (float32[C]), strongest on top, with class names where there are some."""
    order = np.argsort(-values)[:most]
    labels = [plain(names[i]) if names and len(names) == len(values) else f"unit {i}" for i in order]
    return bars(labels, values[order], "%{customdata}<br>value %{x:.4g}<extra></extra>")


def prediction_bars(predictions: Sequence[Prediction]) -> go.Figure:
    """The best guesses with their probabilities, best on top."""
    percent = np.array([100 * prediction.probability for prediction in predictions], np.float32)
    labels = [plain(prediction.name) for prediction in predictions]
    figure = bars(labels, percent, "%{customdata}<br>%{x:.1f} %<extra></extra>")
    figure.update_traces(texttemplate="%{x:.1f} %")
    figure.update_xaxes(range=[0, 118])
    return figure


def bars(labels: Sequence[str], values: np.ndarray, hover: str) -> go.Figure:
    places = list(range(len(labels)))  # names may repeat, places do not
    figure = go.Figure(
        go.Bar(
            x=np.asarray(values, np.float32),
            y=places,
            orientation="h",
            marker_color=BLUE,
            texttemplate="%{x:.3g}",
            textposition="outside",
            cliponaxis=False,
            customdata=list(labels),
            hovertemplate=hover,
        )
    )
    figure.update_yaxes(
        tickvals=places,
        ticktext=[shortened(label) for label in labels],
        autorange="reversed",
        automargin=True,
        fixedrange=True,
    )
    figure.update_xaxes(visible=False, fixedrange=True)
    figure.update_layout(
        height=34 * len(labels) + 20,
        margin={"l": 8, "r": 48, "t": 8, "b": 8},
        font=FONT,
        bargap=0.25,
    )
    return figure


def trust_bars(trust: Trust) -> go.Figure:
    """How strongly a filter answers to its own picture, to noise, and to the best sample photo."""
    labels = ("its picture", "noise", plain(trust.photo_name))
    values = np.array([trust.tile, trust.noise, trust.photo], np.float32)
    figure = bars(labels, values, "%{customdata}<br>answer %{x:.4g}<extra></extra>")
    figure.update_traces(marker_color=[ORANGE, "#94a3b8", BLUE])
    finite = values[np.isfinite(values)]
    low, high = (min(0.0, float(finite.min())), max(0.0, float(finite.max()))) if finite.size else (0.0, 1.0)
    reach = (high - low) or 1.0
    figure.update_xaxes(range=[low - (0.25 * reach if low < 0 else 0), high + 0.25 * reach])
    return figure
