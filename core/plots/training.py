"""How a training run goes, and what it came to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.plots.style import BLUE, FONT, ORANGE, near
from core.transfer.requests import EpochRow


def training_curves(history: Sequence[EpochRow], batch_losses: Sequence[float], epochs: int) -> go.Figure:
    """Loss and accuracy by epoch, training and validation; before the first epoch has ended, the loss by batch."""
    figure = make_subplots(rows=1, cols=2, subplot_titles=("accuracy (higher is better)", "loss (lower is better)"))
    _add_epochs(figure, history)
    if not history and batch_losses:
        _add_batches(figure, batch_losses)
    for row in history:
        if row.phase != "head":
            figure.add_vline(x=row.epoch - 0.5, line_dash="dot", annotation_text="fine-tuning")
            break
    _label_axes(figure, bool(history), epochs)
    figure.update_layout(
        height=400,
        font=FONT,
        margin={"l": 8, "r": 8, "t": 60, "b": 8},
        legend={"orientation": "h", "y": 1.22, "x": 0, "font": FONT},
        hovermode="x unified",
    )
    figure.update_annotations(font=FONT)
    return figure


def _add_epochs(figure: go.Figure, history: Sequence[EpochRow]) -> None:
    numbers = [row.epoch for row in history]
    curves = (
        ("training", BLUE, "circle", [r.accuracy * 100 for r in history], [r.loss for r in history]),
        (
            "validation",
            ORANGE,
            "diamond",
            [r.validation_accuracy * 100 for r in history],
            [r.validation_loss for r in history],
        ),
    )
    for name, colour, symbol, accuracy, loss in curves:
        look = {
            "mode": "lines+markers",
            "name": name,
            "line": {"color": colour, "width": 3},
            "marker": {"symbol": symbol, "size": 9},
        }
        unit = "%{y:.1f} %<extra>" + name + "</extra>"
        figure.add_trace(go.Scatter(x=numbers, y=accuracy, hovertemplate=unit, legendgroup=name, **look), row=1, col=1)
        figure.add_trace(
            go.Scatter(
                x=numbers, y=loss, hovertemplate="%{y:.4f}<extra>" + name + "</extra>", showlegend=False, **look
            ),
            row=1,
            col=2,
        )


def _add_batches(figure: go.Figure, losses: Sequence[float]) -> None:
    steps = np.linspace(0, 1, len(losses))
    figure.add_trace(
        go.Scatter(x=steps, y=list(losses), mode="lines", name="each batch", line={"color": BLUE, "width": 2}),
        row=1,
        col=2,
    )


def _label_axes(figure: go.Figure, begun: bool, epochs: int) -> None:
    figure.update_xaxes(
        title=near("epoch"),
        automargin=True,
        range=[0.5 if begun else 0, max(epochs, 1) + 0.5],
        dtick=max(1, epochs // 10),
    )
    figure.update_xaxes(tickfont=FONT)  # the page's theme has smaller ones
    figure.update_yaxes(automargin=True, tickfont=FONT)
    figure.update_yaxes(range=[0, 103], ticksuffix=" %", row=1, col=1)
    figure.update_yaxes(rangemode="tozero", row=1, col=2)
