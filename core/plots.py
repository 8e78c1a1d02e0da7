"""Results -> Plotly figures. Each picture is two functions: one finds the facts, one draws them."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.images import encode_webp
from core.messages import EpochRow, Frame, Mosaic, Prediction, Trust

FONT_SIZE = 16  # readable from the back of a room when projected
FONT = {"size": FONT_SIZE, "family": "Source Sans, Source Sans Pro, sans-serif"}
SCALE_HEIGHT = 54  # pixels for the colour scale below a picture
BLUE, ORANGE, INK = "#2563eb", "#c2410c", "#0f172a"
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
            colorbar=_scale_below("value"),
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
    _bare(figure, (-0.5, columns - 0.5), (rows - 0.5, -0.5), below=True)
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
            colorbar=_scale_below("value"),
            # Each cell's own row and column, where the axes count the photo's pixels.
            customdata=np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.uint16),
            hovertemplate="row %{customdata[1]}, column %{customdata[0]}<br>value %{z:.4g}<extra></extra>",
        )
    )
    figure.add_layout_image(
        source=_data_uri(encode_webp(photo), "webp"),
        x=0,
        y=0,
        sizex=photo.shape[1],
        sizey=photo.shape[0],
        xref="x",
        yref="y",
        sizing="stretch",
        layer="below",
    )
    _bare(figure, (0, photo.shape[1]), (photo.shape[0], 0), below=True)
    figure.update_layout(height=int(min(400, 400 * photo.shape[0] / photo.shape[1])) + SCALE_HEIGHT)
    return figure


def unit_bars(values: np.ndarray, names: Sequence[str] | None, most: int = 20) -> go.Figure:
    """The `most` strongest units of a vector (float32[C]), strongest on top, with class names where there are some."""
    order = np.argsort(-values)[:most]
    labels = [plain(names[i]) if names and len(names) == len(values) else f"unit {i}" for i in order]
    return _bars(labels, values[order], "%{customdata}<br>value %{x:.4g}<extra></extra>")


def prediction_bars(predictions: Sequence[Prediction]) -> go.Figure:
    """The best guesses with their probabilities, best on top."""
    percent = np.array([100 * prediction.probability for prediction in predictions], np.float32)
    labels = [plain(prediction.name) for prediction in predictions]
    figure = _bars(labels, percent, "%{customdata}<br>%{x:.1f} %<extra></extra>")
    figure.update_traces(texttemplate="%{x:.1f} %")
    figure.update_xaxes(range=[0, 118])
    return figure


def _bars(labels: Sequence[str], values: np.ndarray, hover: str) -> go.Figure:
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
    figure = go.Figure(go.Image(source=_data_uri(mosaic.picture, "webp"), hoverinfo="skip"))
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
    _bare(figure, (-0.5, mosaic.width - 0.5), (mosaic.height - 0.5, -0.5))
    figure.update_layout(
        height=int(min(620, max(160, 620 * mosaic.height / mosaic.width))),
        clickmode="event+select",
        hovermode="closest",
        hoverlabel={"align": "left", "bgcolor": "white", "bordercolor": INK, "font": {"size": FONT_SIZE, "color": INK}},
    )
    return figure


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
    figure.update_xaxes(title="step", automargin=True, fixedrange=True, rangemode="tozero")
    figure.update_yaxes(title="score", automargin=True, fixedrange=True, nticks=5)
    figure.update_layout(height=180, margin={"l": 8, "r": 12, "t": 8, "b": 8}, font=FONT, dragmode=False)
    return figure


def trust_bars(trust: Trust) -> go.Figure:
    """How strongly a filter answers to its own picture, to noise, and to the best sample photo."""
    labels = ("its picture", "noise", plain(trust.photo_name))
    values = np.array([trust.tile, trust.noise, trust.photo], np.float32)
    figure = _bars(labels, values, "%{customdata}<br>answer %{x:.4g}<extra></extra>")
    figure.update_traces(marker_color=[ORANGE, "#94a3b8", BLUE])
    finite = values[np.isfinite(values)]
    low, high = (min(0.0, float(finite.min())), max(0.0, float(finite.max()))) if finite.size else (0.0, 1.0)
    reach = (high - low) or 1.0
    figure.update_xaxes(range=[low - (0.25 * reach if low < 0 else 0), high + 0.25 * reach])
    return figure


def training_curves(history: Sequence[EpochRow], batch_losses: Sequence[float], epochs: int) -> go.Figure:
    """Loss and accuracy by epoch, training and validation; before the first epoch has ended, the loss by batch."""
    figure = make_subplots(rows=1, cols=2, subplot_titles=("accuracy (higher is better)", "loss (lower is better)"))
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
    if not history and batch_losses:
        steps = np.linspace(0, 1, len(batch_losses))
        figure.add_trace(
            go.Scatter(
                x=steps, y=list(batch_losses), mode="lines", name="each batch", line={"color": BLUE, "width": 2}
            ),
            row=1,
            col=2,
        )
    for row in history:
        if row.phase != "head":
            figure.add_vline(x=row.epoch - 0.5, line_dash="dot", annotation_text="fine-tuning")
            break
    figure.update_xaxes(
        title="epoch", automargin=True, range=[0.5 if history else 0, max(epochs, 1) + 0.5], dtick=max(1, epochs // 10)
    )
    figure.update_yaxes(automargin=True)
    figure.update_yaxes(range=[0, 103], ticksuffix=" %", row=1, col=1)
    figure.update_yaxes(rangemode="tozero", row=1, col=2)
    figure.update_layout(
        height=400,
        font=FONT,
        margin={"l": 8, "r": 8, "t": 60, "b": 8},
        legend={"orientation": "h", "y": 1.22, "x": 0},
        hovermode="x unified",
    )
    figure.update_annotations(font=FONT)
    return figure


def confusion_matrix(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> go.Figure:
    """Rows: what it is; columns: what the network said. Numbers stand beside colours."""
    table = np.array(counts, np.int32)
    names = [shortened(plain(name)) for name in classes]
    places = list(range(len(names)))
    figure = go.Figure(
        go.Heatmap(
            z=table,
            text=table,
            texttemplate="%{text}" if len(names) <= 20 else None,
            colorscale="Blues",
            zmin=0,
            showscale=False,
            customdata=[[[was, said] for said in names] for was in names],
            hovertemplate="%{z} × %{customdata[0]}, taken for %{customdata[1]}<extra></extra>",
            xgap=2,
            ygap=2,
        )
    )
    for axes, title in ((figure.update_xaxes, "the network said"), (figure.update_yaxes, "it is")):
        axes(title=title, tickvals=places, ticktext=names, automargin=True, fixedrange=True)
        axes(showgrid=False, zeroline=False, ticks="")
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(height=max(320, 52 * len(names) + 110), font=FONT, margin={"l": 8, "r": 8, "t": 8, "b": 8})
    return figure


def plain(words: str) -> str:
    """Plotly draws `<b>` and links in its texts: make a person's words show as they were written."""
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def shortened(words: str, most: int = 28) -> str:
    return words if len(words) <= most else words[: most - 1].rstrip() + "…"


def _bare(figure: go.Figure, x: tuple[float, float], y: tuple[float, float], *, below: bool = False) -> None:
    """A picture and nothing else: no axes, no zoom by accident, square pixels."""
    # A fixed range with `scaleanchor` keeps pixels square whatever the page's width is.
    figure.update_xaxes(visible=False, range=list(x), constrain="domain", constraintoward="left", fixedrange=True)
    figure.update_yaxes(
        visible=False, range=list(y), scaleanchor="x", constrain="domain", constraintoward="top", fixedrange=True
    )
    figure.update_layout(
        margin={"l": 0, "r": 0, "t": 0, "b": 0}, font=FONT, plot_bgcolor="rgba(0,0,0,0)", dragmode=False
    )


def _scale_below(title: str) -> dict:
    return {
        "orientation": "h",
        "y": 0,
        "yanchor": "top",
        "thickness": 14,
        "title": {"text": title, "side": "right"},
    }


def _data_uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
