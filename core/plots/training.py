"""How a training run goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.plots.style import BLUE, FONT, ORANGE, near
from core.transfer.requests import EpochRow

BATCHES = "rgba(128, 128, 128, 0.65)"  # seen on a light and on a dark page
HEIGHT = 330
NUMBERS = 10  # along the axis of epochs, at most


@dataclass(frozen=True)
class Curve:
    """Accuracies in percent."""

    name: str
    epochs: tuple[float, ...]
    values: tuple[float, ...]


def curves_of(history: Sequence[EpochRow]) -> tuple[tuple[Curve, Curve], tuple[Curve, Curve]]:
    """(training, validation) twice: accuracy, and loss. What was learned by the end of epoch 1 stands at 1."""
    epochs = tuple(float(row.epoch) for row in history)
    return (
        (
            Curve("training", epochs, tuple(100 * row.accuracy for row in history)),
            Curve("validation", epochs, tuple(100 * row.validation_accuracy for row in history)),
        ),
        (
            Curve("training", epochs, tuple(row.loss for row in history)),
            Curve("validation", epochs, tuple(row.validation_loss for row in history)),
        ),
    )


def training_curves(
    history: Sequence[EpochRow],
    batch_losses: Sequence[float],
    epochs: int,
    batch_epochs: Sequence[float] = (),
    *,
    height: int = HEIGHT,
) -> go.Figure:
    """Accuracy and loss by epoch, training and validation; behind the loss that of each batch, at `batch_epochs`."""
    figure = make_subplots(
        rows=1,
        cols=2,
        subplot_titles=("accuracy (higher is better)", "loss (lower is better)"),
        horizontal_spacing=0.09,
    )
    if batch_losses and len(batch_losses) == len(batch_epochs):
        _add_batches(figure, batch_losses, batch_epochs)
    for column, curves in enumerate(curves_of(history), start=1):
        for curve, (colour, symbol) in zip(curves, ((BLUE, "circle"), (ORANGE, "diamond")), strict=True):
            _add_curve(figure, curve, colour, symbol, column)
    _mark_fine_tuning(figure, history)
    _label_axes(figure, max(epochs, len(history), 1))
    figure.update_layout(
        height=height,
        font=FONT,
        margin={"l": 8, "r": 8, "t": 64, "b": 8},
        legend={"orientation": "h", "yref": "container", "y": 1, "yanchor": "top", "x": 0, "font": FONT},
        hovermode="x unified",
        hoverlabel={"font": FONT},
    )
    figure.update_annotations(font=FONT)
    return figure


def _add_curve(figure: go.Figure, curve: Curve, colour: str, symbol: str, column: int) -> None:
    value = "%{y:.1f} %" if column == 1 else "%{y:.4f}"
    figure.add_trace(
        go.Scatter(
            x=curve.epochs,
            y=curve.values,
            name=curve.name,
            mode="lines+markers",
            line={"color": colour, "width": 3},
            marker={"symbol": symbol, "size": 9},
            hovertemplate=f"{value}<extra>{curve.name}</extra>",
            legendgroup=curve.name,
            showlegend=column == 1,
        ),
        row=1,
        col=column,
    )


def _add_batches(figure: go.Figure, losses: Sequence[float], epochs: Sequence[float]) -> None:
    figure.add_trace(
        go.Scatter(
            x=list(epochs),
            y=list(losses),
            name="each batch",
            mode="lines",
            line={"color": BATCHES, "width": 1.5},
            hovertemplate="%{y:.4f}<extra>each batch</extra>",
        ),
        row=1,
        col=2,
    )


def _mark_fine_tuning(figure: go.Figure, history: Sequence[EpochRow]) -> None:
    first = next((row.epoch for row in history if row.phase == "fine-tuning"), None)
    if first is None:
        return
    for column, place in ((1, "bottom right"), (2, "top right")):  # where the curves are not
        figure.add_vline(
            x=first - 0.5,
            line_dash="dot",
            line_color=BATCHES,
            annotation_text="fine-tuning",
            annotation_position=place,
            row=1,
            col=column,
        )


def _label_axes(figure: go.Figure, epochs: int) -> None:
    figure.update_xaxes(
        title=near("epoch"),
        automargin=True,
        range=[0, epochs + 0.5],
        tick0=0,
        dtick=max(1, -(-epochs // NUMBERS)),
        tickfont=FONT,  # the page's theme has smaller ones
    )
    figure.update_yaxes(automargin=True, tickfont=FONT)
    figure.update_yaxes(range=[0, 104], ticksuffix=" %", dtick=25, row=1, col=1)
    figure.update_yaxes(rangemode="tozero", row=1, col=2)
