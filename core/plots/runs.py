"""Several training runs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.plots.style import BLUE, FONT, ORANGE, near, plain, shortened
from core.plots.training import curves_of
from core.transfer.requests import EpochRow

COLOURS = (BLUE, ORANGE)


def compared_curves(histories: Mapping[str, Sequence[EpochRow]]) -> go.Figure:
    """Accuracy and loss by epoch of up to two runs, by their names: validation drawn through, training dotted."""
    figure = make_subplots(
        rows=1,
        cols=2,
        subplot_titles=("accuracy (higher is better)", "loss (lower is better)"),
        horizontal_spacing=0.09,
    )
    for place, (name, rows) in enumerate(histories.items()):
        for column, (training, validation) in enumerate(curves_of(rows), start=1):
            for curve, dash in ((validation, "solid"), (training, "dot")):
                words = f"{plain(shortened(name))}, {curve.name}"
                unit = "%{y:.1f} %" if column == 1 else "%{y:.4f}"
                trace = go.Scatter(
                    x=curve.epochs,
                    y=curve.values,
                    name=words,
                    mode="lines+markers" if dash == "solid" else "lines",
                    line={"color": COLOURS[place % 2], "width": 3 if dash == "solid" else 2, "dash": dash},
                    marker={"symbol": ("circle", "diamond")[place % 2], "size": 9},
                    legendgroup=words,
                    showlegend=column == 1,
                    hovertemplate=f"{unit}<extra>{words}</extra>",
                )
                figure.add_trace(trace, row=1, col=column)
    last = max((row.epoch for rows in histories.values() for row in rows), default=1)
    figure.update_xaxes(
        title=near("epoch"), automargin=True, range=[0.5, last + 0.5], dtick=max(1, last // 10), tickfont=FONT
    )
    figure.update_yaxes(automargin=True, tickfont=FONT)
    figure.update_yaxes(range=[0, 103], ticksuffix=" %", row=1, col=1)
    figure.update_yaxes(rangemode="tozero", row=1, col=2)
    figure.update_layout(
        height=380,
        font=FONT,
        margin={"l": 8, "r": 8, "t": 76, "b": 8},
        legend={"orientation": "h", "y": 1.28, "x": 0, "font": FONT},
        dragmode=False,
    )
    figure.update_annotations(font=FONT)
    return figure
