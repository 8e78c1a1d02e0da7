"""Drawings of filters: the mosaic that can be clicked, and how a score rose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from core.images import decode, encode_webp
from core.messages import Frame, Mosaic, Trust
from core.plots.style import BLUE, FONT, FONT_SIZE, ORANGE, bare, data_uri, near

SMALL = 64  # pixels a side, of tiles that a browser would blur


@dataclass(frozen=True)
class Tile:
    """Where one filter's tile is in the mosaic's picture: its centre, in pixels from the upper left corner."""

    filter: int
    score: float
    x: float
    y: float
    trust: Trust | None = None
    silent: bool = False

    @property
    def words(self) -> str:
        """What is known of it, for those who point at it."""
        if self.silent:
            return "never fires"
        if math.isnan(self.score):
            return "not begun yet"
        score = f"score {self.score:.4g}"
        return score if self.trust is None else f"{score}<br>{TRUST_WORDS[self.trust.level]}"


TRUST_WORDS = {
    "strong": "trust: strong<br>beats noise and every photo",
    "fair": "trust: fair<br>a photo excites it more",
    "weak": "trust: weak<br>noise does as well",
}


def mosaic_tiles(mosaic: Mosaic) -> tuple[Tile, ...]:
    """The tiles of a mosaic, row by row."""
    pitch = mosaic.tile + mosaic.margin
    centre = (mosaic.tile - 1) / 2
    trust = mosaic.trust or (None,) * len(mosaic.filters)
    return tuple(
        Tile(
            number,
            score,
            (i % mosaic.columns) * pitch + centre,
            (i // mosaic.columns) * pitch + centre,
            trusted,
            number in mosaic.silent,
        )
        for i, (number, score, trusted) in enumerate(zip(mosaic.filters, mosaic.scores, trust, strict=True))
    )


def mosaic_figure(mosaic: Mosaic, chosen: int | None = None) -> go.Figure:
    """The mosaic as one picture, with an unseen marker on each tile that answers to hover and click."""
    tiles = mosaic_tiles(mosaic)
    figure = go.Figure(go.Image(**_picture(mosaic), hoverinfo="skip"))
    figure.add_trace(
        go.Scatter(
            x=[tile.x for tile in tiles],
            y=[tile.y for tile in tiles],
            mode="markers",
            marker={"symbol": "square", "size": 70, "opacity": 0},
            selected={"marker": {"opacity": 0}},
            unselected={"marker": {"opacity": 0}},
            customdata=[[tile.filter, tile.words] for tile in tiles],
            hovertemplate="filter %{customdata[0]}<br>%{customdata[1]}<extra></extra>",
            showlegend=False,
        )
    )
    for tile in tiles:
        if tile.filter == chosen:
            half = mosaic.tile / 2
            figure.add_shape(
                type="rect",
                x0=tile.x - half,
                x1=tile.x + half,
                y0=tile.y - half,
                y1=tile.y + half,
                line={"color": ORANGE, "width": 5},
            )
    bare(figure, (-0.5, mosaic.width - 0.5), (mosaic.height - 0.5, -0.5))
    figure.update_layout(
        height=int(min(620, max(160, 620 * mosaic.height / mosaic.width))),
        clickmode="event+select",
        hovermode="closest",
        hoverlabel={"align": "left", "font": {"size": FONT_SIZE}},
    )
    return figure


def _picture(mosaic: Mosaic) -> dict:
    """The mosaic's picture; tiles of few pixels enlarged in whole ones, in the same place."""
    if mosaic.tile >= SMALL:
        return {"source": data_uri(mosaic.picture, "webp")}
    times = -(-SMALL // mosaic.tile)
    pixels = decode(mosaic.picture, "the mosaic").repeat(times, axis=0).repeat(times, axis=1)
    start = (1 / times - 1) / 2
    return {"source": data_uri(encode_webp(pixels), "webp"), "dx": 1 / times, "dy": 1 / times, "x0": start, "y0": start}


def score_curve(frames: Sequence[Frame], chosen: int | None = None) -> go.Figure:
    """How the score rose over the steps; the `chosen` step stands out."""
    figure = go.Figure(
        go.Scatter(
            x=[frame.step for frame in frames],
            y=[frame.score for frame in frames],
            mode="lines+markers",
            line={"color": BLUE, "width": 3},
            marker={"size": 7},
            hovertemplate="step %{x}<br>score %{y:.4g}<extra></extra>",
            showlegend=False,
        )
    )
    for frame in frames:
        if frame.step == chosen:
            figure.add_trace(
                go.Scatter(
                    x=[frame.step],
                    y=[frame.score],
                    mode="markers",
                    marker={"size": 16, "color": ORANGE},
                    hoverinfo="skip",
                    showlegend=False,
                )
            )
    figure.update_xaxes(title=near("step"), automargin=True, fixedrange=True, rangemode="tozero")
    figure.update_yaxes(title=near("score"), automargin=True, fixedrange=True, nticks=5)
    figure.update_layout(height=180, margin={"l": 8, "r": 12, "t": 8, "b": 8}, font=FONT, dragmode=False)
    return figure
