"""Maps of channels as heatmaps: many in one grid, or one over the photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from core.images import encode_webp
from core.plots.style import ORANGE, SCALE_HEIGHT, bare, data_uri, scale_below

# Maps larger than this are averaged for the grid: 64 of them stay near a megabyte in the browser.
LARGEST_GRID_MAP = 56
# Up to here the figure can also afford each cell's channel number for the hover.
LARGEST_LABELLED_MAP = 40
PAGE = 64


@dataclass(frozen=True)
class ColourRange:
    """The values that the ends of the colour scale stand for. Signed values get a diverging scale, white at zero."""

    low: float
    high: float
    signed: bool

    @property
    def scale(self) -> str:
        return "RdBu_r" if self.signed else "Viridis"


def colour_range(values: np.ndarray) -> ColourRange:
    """One scale for all of `values`: about zero where there are negative ones, else from zero (or the least) up."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return ColourRange(0.0, 1.0, signed=False)
    low, high = float(finite.min()), float(finite.max())
    if low < 0:
        reach = max(-low, high)
        return ColourRange(-reach, reach, signed=True)
    return ColourRange(0.0, high if high > 0 else 1.0, signed=False)


@dataclass(frozen=True)
class Grid:
    """Channels of one layer, stitched: `cells` float32[rows, columns] with NaN between the maps.

    `reduced` is the side of the block of true cells that one drawn cell is the mean of; `corners` are the (x, y) of
    each map's upper left cell.
    """

    cells: np.ndarray
    labels: np.ndarray | None
    channels: tuple[int, ...]
    corners: tuple[tuple[int, int], ...]
    map_size: tuple[int, int]
    reduced: int
    range: ColourRange


def stitch_channels(values: np.ndarray, channels: Sequence[int], columns: int = 8) -> Grid:
    """Stitch the maps `values[:, :, channels]` (float32[H, W, C]) into one array, row by row."""
    reduced = -(-max(values.shape[:2]) // LARGEST_GRID_MAP)
    maps = [_mean_of_blocks(values[:, :, channel], reduced) for channel in channels]
    height, width = maps[0].shape
    columns = min(columns, len(maps))
    rows = -(-len(maps) // columns)
    gap = max(1, round(max(height, width) / 20))
    cells = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan, np.float32)
    labels = np.zeros(cells.shape, np.uint16) if max(height, width) <= LARGEST_LABELLED_MAP else None
    corners = []
    for place, (channel, each) in enumerate(zip(channels, maps, strict=True)):
        y, x = (place // columns) * (height + gap), (place % columns) * (width + gap)
        cells[y : y + height, x : x + width] = each
        if labels is not None:
            labels[y : y + height, x : x + width] = channel
        corners.append((x, y))
    return Grid(cells, labels, tuple(channels), tuple(corners), (height, width), reduced, colour_range(values))


def _mean_of_blocks(values: np.ndarray, side: int) -> np.ndarray:
    if side == 1:
        return values
    height, width = (-(-size // side) * side for size in values.shape)
    padded = np.pad(values, ((0, height - values.shape[0]), (0, width - values.shape[1])), constant_values=np.nan)
    blocks = padded.reshape(height // side, side, width // side, side)
    return np.nanmean(blocks, axis=(1, 3)).astype(np.float32)


def channel_grid(grid: Grid, chosen: int | None = None) -> go.Figure:
    """All of the grid's channels as one heatmap with values on hover; a click on a map's number chooses it."""
    hover = "value %{z:.4g}" if grid.labels is None else "channel %{customdata}<br>value %{z:.4g}"
    figure = go.Figure(
        go.Heatmap(
            z=grid.cells,
            customdata=grid.labels,
            zmin=grid.range.low,
            zmax=grid.range.high,
            colorscale=grid.range.scale,
            colorbar=scale_below("value"),
            hovertemplate=hover + "<extra></extra>",
            hoverongaps=False,
        )
    )
    figure.add_trace(_number_badges(grid))
    if chosen in grid.channels:
        x, y = grid.corners[grid.channels.index(chosen)]
        height, width = grid.map_size
        figure.add_shape(
            type="rect",
            x0=x - 0.5,
            y0=y - 0.5,
            x1=x + width - 0.5,
            y1=y + height - 0.5,
            line={"color": ORANGE, "width": 4},
        )
    rows, columns = grid.cells.shape
    bare(figure, (-0.5, columns - 0.5), (rows - 0.5, -0.5), below=True)
    figure.update_layout(height=int(min(600, max(200, 600 * rows / columns))) + SCALE_HEIGHT, clickmode="event+select")
    return figure


def _number_badges(grid: Grid) -> go.Scatter:
    # A click on a heatmap reports nothing to the page, so each map carries a small clickable number.
    inset = max(grid.map_size) * 0.14
    look = {"symbol": "square", "size": 20, "color": "rgba(15,23,42,0.72)"}
    return go.Scatter(
        x=[x + inset - 0.5 for x, _ in grid.corners],
        y=[y + inset - 0.5 for _, y in grid.corners],
        mode="markers+text",
        text=[str(channel) for channel in grid.channels],
        textfont={"size": 11, "color": "white"},
        marker=look,
        selected={"marker": {"opacity": 1}, "textfont": {"color": "white"}},
        unselected={"marker": {"opacity": 1}, "textfont": {"color": "white"}},
        customdata=list(grid.channels),
        hovertemplate="channel %{customdata}<br>click to see it large<extra></extra>",
        showlegend=False,
    )


def channel_over_photo(values: np.ndarray, photo: np.ndarray, strength: float) -> go.Figure:
    """One channel (float32[H, W]) over the photo (uint8[h, w, 3]) that the network saw, blended by `strength` 0..1."""
    height, width = values.shape
    across, down = photo.shape[1] / width, photo.shape[0] / height
    colours = colour_range(values)
    figure = go.Figure(
        go.Heatmap(
            z=values.astype(np.float32),
            x0=across / 2,
            dx=across,
            y0=down / 2,
            dy=down,
            zmin=colours.low,
            zmax=colours.high,
            colorscale=colours.scale,
            opacity=strength,
            colorbar=scale_below("value"),
            # Each cell's own row and column, where the axes count the photo's pixels.
            customdata=np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.uint16),
            hovertemplate="row %{customdata[1]}, column %{customdata[0]}<br>value %{z:.4g}<extra></extra>",
        )
    )
    figure.add_layout_image(
        source=data_uri(encode_webp(photo), "webp"),
        x=0,
        y=0,
        sizex=photo.shape[1],
        sizey=photo.shape[0],
        xref="x",
        yref="y",
        sizing="stretch",
        layer="below",
    )
    bare(figure, (0, photo.shape[1]), (photo.shape[0], 0), below=True)
    figure.update_layout(height=int(min(400, 400 * photo.shape[0] / photo.shape[1])) + SCALE_HEIGHT)
    return figure
