"""One stage of the way from pixels to prediction: its strongest channels side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from core.architecture import Tiling
from core.images import colourise, encode_webp, resize
from core.messages import JourneyRow
from core.plots.maps import colour_range
from core.plots.steps import as_maps
from core.plots.style import bare, data_uri

TILE = 144  # pixels of the higher side of a tile: small maps are enlarged so that their cells are seen
ROW_HEIGHT = 104


@dataclass(frozen=True)
class JourneyTiles:
    """WebP pictures of one `size` (height, width) in pixels; `words` say of each what it is.

    `channels` are their numbers, empty where they cannot be chosen. `signed`: white is zero.
    """

    pictures: tuple[bytes, ...]
    size: tuple[int, int]
    channels: tuple[int, ...]
    words: tuple[str, ...]
    signed: bool


def journey_tiles(row: JourneyRow, tiling: Tiling | None = None) -> JourneyTiles:
    """The maps (float32[k, H, W]) in colours, all on one scale: from zero up, or about zero where there is less.

    What other kinds of layers give is drawn as `as_maps` says, steps by their `tiling`.

    The strongest half per cent of the cells have the scale's last colour, or a single one would pale all others.
    """
    what = "channel" if row.maps.ndim > 2 else "unit"
    maps = np.moveaxis(as_maps(np.moveaxis(row.maps, 0, -1), tiling), -1, 0)
    finite = maps[np.isfinite(maps)]
    reach = float(np.percentile(np.abs(finite), 99.5)) if finite.size else 0.0
    colours = colour_range(np.clip(maps, -reach, reach) if reach > 0 else maps)
    scale = "diverging" if colours.signed else "viridis"
    tiles = [_enlarged(colourise(each, colours.low, colours.high, scale)) for each in maps]
    words = tuple(
        f"{what} {channel}<br>mean {np.mean(each):.3g}, highest {np.max(each):.3g}"
        for channel, each in zip(row.channels, row.maps, strict=True)
    )
    return _tiles(tiles, row.channels, words, signed=colours.signed)


def photo_tiles(seen: np.ndarray, colours: int = 3) -> JourneyTiles:
    """The photo as the network sees it (uint8[h, w, 3]), and each of the `colours` that it takes; none where it is
    grey."""
    tiles = [seen]
    taken = range(colours) if colours > 1 else ()
    for colour in taken:
        one = np.zeros_like(seen)
        one[:, :, colour] = seen[:, :, colour]
        tiles.append(one)
    words = ("the photo as the network sees it", *(f"its {('red', 'green', 'blue')[colour]}" for colour in taken))
    return _tiles([_enlarged(tile) for tile in tiles], (), words, signed=False)


def _enlarged(picture: np.ndarray) -> np.ndarray:
    """Cells as squares of whole pixels; what is larger than a tile is shrunk."""
    times = TILE // max(picture.shape[:2])
    if times >= 1:
        return np.repeat(np.repeat(picture, times, axis=0), times, axis=1)
    shrink = TILE / max(picture.shape[:2])
    height, width = (max(1, round(side * shrink)) for side in picture.shape[:2])
    return resize(picture, (height, width))


def _tiles(
    pictures: list[np.ndarray], channels: tuple[int, ...], words: tuple[str, ...], *, signed: bool
) -> JourneyTiles:
    size = pictures[0].shape[:2] if pictures else (TILE, TILE)
    return JourneyTiles(tuple(encode_webp(each) for each in pictures), size, channels, words, signed)


def journey_row(tiles: JourneyTiles, most: int) -> go.Figure:
    """The tiles side by side, where `most` have room; a click on one reports its channel as `customdata`."""
    height, width = tiles.size
    gap = width / 18
    lefts = [place * (width + gap) for place in range(len(tiles.pictures))]
    figure = go.Figure(
        go.Bar(  # a frame: a click on a picture reports nothing
            x=lefts,
            offset=0,
            width=[width] * len(lefts),
            y=[height] * len(lefts),
            marker={"color": "rgba(0,0,0,0)", "line": {"color": "#94a3b8", "width": 1}},
            customdata=list(tiles.channels) if tiles.channels else None,
            hovertext=list(tiles.words),
            hovertemplate="%{hovertext}<extra></extra>",
            selected={"marker": {"opacity": 1}},
            unselected={"marker": {"opacity": 1}},
        )
    )
    for left, picture in zip(lefts, tiles.pictures, strict=True):
        figure.add_layout_image(
            source=data_uri(picture, "webp"),
            x=left,
            y=0,
            sizex=width,
            sizey=height,
            xref="x",
            yref="y",
            sizing="stretch",
            layer="below",
        )
    rim = width / 100  # for the frames' own width; in tiles' widths, so that rows stand exactly below each other
    right = max(most, len(lefts)) * (width + gap) - gap
    bare(figure, (-rim, right + rim), (height + rim, -rim), below=True)
    figure.update_layout(height=ROW_HEIGHT, showlegend=False, clickmode="event+select")
    return figure
