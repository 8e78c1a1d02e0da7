"""Bars: units, guesses, how far to trust a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from core.messages import Prediction, Trust
from core.plots.style import BLUE, FONT, FONT_SIZE, ORANGE, POWERS, plain, shortened


def unit_bars(
    values: np.ndarray, names: Sequence[str] | None, units: Sequence[int], chosen: int | None = None
) -> go.Figure:
    """The given units of a vector (float32[C]), the first on top, with class names where there are some.

    A bar's last piece of `customdata` is its unit's number, for clicks.
    """
    labels = [unit_name(unit, names, len(values)) for unit in units]
    shown = values[list(units)]
    figure = bars(labels, shown, "%{customdata[0]}<br>value %{x:.4g}<extra></extra>", row=26)
    figure.update_traces(
        customdata=[[label, int(unit)] for label, unit in zip(labels, units, strict=True)],
        marker_color=[ORANGE if unit == chosen else BLUE for unit in units],
        text=[f"{value:.3g}" if np.isfinite(value) else "not a number" for value in shown],
        texttemplate="%{text}",
        **_PALE_NO_MORE,
    )
    # Its words stand outside of a bar, on the left of a negative one.
    low, high = _reach(shown)
    room = 0.16 * ((high - low) or 1.0)
    figure.update_xaxes(range=[low - (room if low < 0 else 0), high + room])
    figure.update_layout(clickmode="event+select", dragmode=False)
    return figure


def all_units(
    values: np.ndarray, names: Sequence[str] | None, units: Sequence[int], chosen: int | None = None
) -> go.Figure:
    """All units of a vector as thin bars from left to right in the given order."""
    labels = [unit_name(unit, names, len(values)) for unit in units]
    places = np.arange(len(labels), dtype=np.int32)
    figure = go.Figure(
        go.Bar(
            x=places,
            y=np.asarray(values[list(units)], np.float32),
            customdata=[[label, int(unit)] for label, unit in zip(labels, units, strict=True)],
            marker={"color": [ORANGE if unit == chosen else BLUE for unit in units], "line": {"width": 0}},
            hovertemplate="%{customdata[0]}<br>place %{x}<br>value %{y:.4g}<extra></extra>",
            **_PALE_NO_MORE,
        )
    )
    figure.update_xaxes(
        title=f"all {len(labels)} units, one beside the other",
        showticklabels=False,
        showgrid=False,
        zeroline=False,
        fixedrange=True,
        range=[-0.5, len(labels) - 0.5],
    )
    figure.update_yaxes(title="value", exponentformat=POWERS, fixedrange=True)
    figure.update_layout(
        height=420,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        font=FONT,
        bargap=0.05 if len(labels) > 200 else 0.2,
        clickmode="event+select",
        dragmode=False,
    )
    return figure


# A click chooses a bar; the others need not fade for that.
_PALE_NO_MORE = {"selected": {"marker": {"opacity": 1}}, "unselected": {"marker": {"opacity": 1}}}


def unit_name(unit: int, names: Sequence[str] | None, count: int) -> str:
    """A unit's class, where each of the `count` units stands for one, safe to show in a figure."""
    return plain(names[unit]) if names and len(names) == count else f"unit {unit}"


def _reach(values: np.ndarray) -> tuple[float, float]:
    """From the least to the greatest finite value, 0 included."""
    finite = values[np.isfinite(values)]
    return (min(0.0, float(finite.min())), max(0.0, float(finite.max()))) if finite.size else (0.0, 1.0)


def prediction_bars(predictions: Sequence[Prediction]) -> go.Figure:
    """The best guesses with their probabilities, best on top."""
    percent = np.array([100 * prediction.probability for prediction in predictions], np.float32)
    labels = [plain(prediction.name) for prediction in predictions]
    figure = bars(labels, percent, "%{customdata}<br>%{x:.1f} %<extra></extra>")
    figure.update_traces(texttemplate="%{x:.1f} %")
    figure.update_xaxes(range=[0, 118])
    return figure


def bars(labels: Sequence[str], values: np.ndarray, hover: str, row: int = 34) -> go.Figure:
    """Horizontal bars, each `row` pixels high, with their values written beside them."""
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
        tickfont={"size": FONT_SIZE},
        automargin=True,
        fixedrange=True,
    )
    figure.update_xaxes(visible=False, fixedrange=True)
    figure.update_layout(
        height=row * len(labels) + 20,
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
    low, high = _reach(values)
    reach = (high - low) or 1.0
    figure.update_xaxes(range=[low - (0.25 * reach if low < 0 else 0), high + 0.25 * reach])
    return figure
