"""Which channels a class depends on, as bars."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from core.messages import Effects
from core.plots.style import FONT, FONT_SIZE, POWERS

_MEASURED, _ESTIMATED = (37, 99, 235), (234, 138, 30)
_FADED = 0.3  # of a channel that is off already


@dataclass(frozen=True)
class EffectRow:
    """What the class loses without one channel: its score (logit), estimated and measured, and its probability."""

    channel: int
    estimate: float
    score: float | None
    probability: float | None

    @property
    def best(self) -> float:
        return self.estimate if self.score is None else self.score


def effect_rows(effects: Effects, most: int = 16) -> tuple[EffectRow, ...]:
    """The `most` channels with the largest effects (by the estimate) in size, for or against, and of those that do
    nothing none, if some do: first what the class needs most."""
    exact = {each.channel: each for each in effects.exact}
    strongest = np.argsort(-np.abs(effects.approximate), kind="stable")[:most]
    rows = [
        EffectRow(
            int(channel),
            float(effects.approximate[channel]),
            exact[channel].logit if channel in exact else None,
            exact[channel].probability if channel in exact else None,
        )
        for channel in strongest
    ]
    rows = [row for row in rows if row.estimate or row.score] or rows
    return tuple(sorted(rows, key=lambda row: (-row.best, row.channel)))


def effect_bars(rows: Sequence[EffectRow], off: Collection[int] = ()) -> go.Figure:
    """Two bars for each channel, measured and estimated; a click gives its number. Channels that are `off` are pale."""
    places = list(range(len(rows)))
    measured = [row.score for row in rows]
    estimated = [row.estimate for row in rows]
    changes = [[row.channel, -(row.score or 0.0), -100 * (row.probability or 0.0)] for row in rows]
    figure = go.Figure()
    if any(score is not None for score in measured):
        hover = (
            "channel %{customdata[0]}, switched off:<br>score %{customdata[1]:+.3g}, "
            "probability %{customdata[2]:+.1f} points"
        )
        figure.add_trace(_bars(places, measured, changes, _colours(_MEASURED, rows, off), hover))
        figure.add_trace(_sign("measured", _MEASURED))
    hover = "channel %{customdata[0]}<br>estimate %{y:.3g}"
    figure.add_trace(_bars(places, estimated, changes, _colours(_ESTIMATED, rows, off), hover))
    figure.add_trace(_sign("estimated", _ESTIMATED))
    figure.update_xaxes(
        tickvals=places,
        ticktext=[str(row.channel) for row in rows],
        tickangle=-60 if len(rows) > 12 else 0,
        tickfont={"size": FONT_SIZE - 2},
        title={"text": "channel", "standoff": 4},
        fixedrange=True,
    )
    figure.update_yaxes(
        title="the class loses",
        exponentformat=POWERS,
        fixedrange=True,
        zeroline=True,
        zerolinewidth=2,
        nticks=6,
        tickfont={"size": FONT_SIZE - 2},
    )
    figure.update_layout(
        height=300,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        font=FONT,
        bargap=0.2,
        bargroupgap=0.0,
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1, "yanchor": "top", "font": FONT},
        clickmode="event+select",
        dragmode=False,
    )
    return figure


def _bars(x: list[int], y: list, customdata: list, colours: list[str], hover: str) -> go.Bar:
    # A click fades what was not clicked; here colours mean something else.
    as_it_is = {"marker": {"opacity": 1}}
    return go.Bar(
        x=x,
        showlegend=False,
        y=[None if value is None else float(value) for value in y],
        customdata=customdata,
        marker_color=colours,
        hovertemplate=f"{hover}<extra></extra>",
        selected=as_it_is,
        unselected=as_it_is,
    )


def _sign(name: str, colour: tuple[int, int, int]) -> go.Scatter:
    """What stands in the legend, whether or not the first bar is pale."""
    look = {"symbol": "square", "size": 14, "color": "rgba({},{},{},1)".format(*colour)}
    return go.Scatter(name=name, x=[None], y=[None], mode="markers", marker=look)


def _colours(colour: tuple[int, int, int], rows: Sequence[EffectRow], off: Collection[int]) -> list[str]:
    red, green, blue = colour
    return [f"rgba({red},{green},{blue},{_FADED if row.channel in off else 1})" for row in rows]
