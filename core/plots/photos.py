"""Photos that excite a channel, side by side; and the piece of a photo that excites it most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from core.messages import Exciting, Region
from core.plots.style import BLUE, FONT, ORANGE, bare, data_uri, plain, shortened

COLUMNS = 3
# In sides of a tile: between tiles, and below each for its bar and its name.
GAP, WORDS = 0.06, 0.42
# A cell of a large map would be a dot: nobody finds a mark that is smaller than this share of the photo.
SMALLEST_MARK = 0.12
# A piece of fewer pixels says nothing to a person; what the cell sees of it is then framed.
SMALLEST_PIECE = 48
PIECE_SIDE = 450  # pixels that it is enlarged to, in whole multiples


@dataclass(frozen=True)
class PhotoTile:
    """One of the photos: its place in `Exciting.names`, its value, and where it excites the channel: left, top, right
    and bottom as shares of the photo; `None` for a vector, which has no places."""

    index: int
    name: str
    value: float
    cell: tuple[int, int]
    mark: tuple[float, float, float, float] | None


def exciting_tiles(found: Exciting, channel: int, most: int = 6) -> tuple[PhotoTile, ...]:
    """The photos that excite `channel` most, strongest first; equal ones in the order of their names."""
    peaks = found.peaks[:, channel]
    order = np.argsort(-peaks, kind="stable")[:most]
    tiles = []
    for index in order.tolist():
        y, x = found.places[index, channel].tolist()
        mark = None if found.map_size == (1, 1) else mark_of((y, x), found.map_size)
        tiles.append(PhotoTile(index, found.names[index], float(peaks[index]), (y, x), mark))
    return tuple(tiles)


def mark_of(cell: tuple[int, int], map_size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The part of the photo at `cell` (y, x): left, top, right, bottom as shares, so large that one can see it."""
    (top, bottom), (left, right) = (
        _span((place + 0.5) / cells, max(1 / cells, SMALLEST_MARK)) for place, cells in zip(cell, map_size, strict=True)
    )
    return left, top, right, bottom


def _span(centre: float, length: float) -> tuple[float, float]:
    return max(0.0, centre - length / 2), min(1.0, centre + length / 2)


def exciting_photos(tiles: tuple[PhotoTile, ...], found: Exciting, captions: Mapping[str, str]) -> go.Figure:
    """The photos with their values as bars, and an unseen marker on each that answers to hover and click.

    `captions` are the names to show, where they are others than those of the files. `customdata` holds the photo's
    place in `found.names`.
    """
    figure = go.Figure()
    strongest = max((tile.value for tile in tiles), default=0.0)
    places = [((place % COLUMNS) * (1 + GAP), (place // COLUMNS) * (1 + WORDS)) for place in range(len(tiles))]
    words = [captions.get(tile.name, tile.name.rpartition("/")[2]) for tile in tiles]
    for tile, (x, y), name in zip(tiles, places, words, strict=True):
        figure.add_layout_image(
            source=data_uri(found.thumbnails[tile.index], "webp"),
            x=x,
            y=y,
            sizex=1,
            sizey=1,
            xref="x",
            yref="y",
            sizing="stretch",
            layer="below",
        )
        if tile.mark is not None:
            _frame(figure, x, y, tile.mark)
        share = max(0.0, tile.value) / strongest if strongest > 0 else 0.0
        figure.add_shape(
            type="rect", x0=x, x1=x + 0.66 * share, y0=y + 1.06, y1=y + 1.14, fillcolor=BLUE, line={"width": 0}
        )
        _write(figure, x + 0.66 * share + 0.02, y + 1.1, f"<b>{tile.value:.3g}</b>", "middle")
        _write(figure, x, y + 1.15, plain(shortened(name, 17)), "top")
    figure.add_trace(
        go.Scatter(
            x=[x + 0.5 for x, _ in places],
            y=[y + 0.5 for _, y in places],
            mode="markers",
            marker={"symbol": "square", "size": 120, "opacity": 0},
            selected={"marker": {"opacity": 0}},
            unselected={"marker": {"opacity": 0}},
            customdata=[
                [tile.index, plain(name), f"{tile.value:.4g}" + _cell_words(tile)]
                for tile, name in zip(tiles, words, strict=True)
            ],
            hovertemplate="%{customdata[1]}<br>value %{customdata[2]}<br>click to look at it<extra></extra>",
            showlegend=False,
        )
    )
    width, height = exciting_size(len(tiles))
    bare(figure, (0, width), (height, 0))
    figure.update_layout(hovermode="closest", hoverdistance=60, clickmode="event+select")
    return figure


def exciting_size(count: int) -> tuple[float, float]:
    """Width and height of `exciting_photos` for so many photos, in sides of a tile."""
    return COLUMNS * (1 + GAP) - GAP, max(1, -(-count // COLUMNS)) * (1 + WORDS)


def _cell_words(tile: PhotoTile) -> str:
    return "" if tile.mark is None else f" at row {tile.cell[0]}, column {tile.cell[1]}"


def _frame(figure: go.Figure, x: float, y: float, mark: tuple[float, float, float, float]) -> None:
    left, top, right, bottom = mark
    for colour, width in (("white", 5), (ORANGE, 3)):  # one of them stands out on any photo
        figure.add_shape(
            type="rect",
            x0=x + left,
            x1=x + right,
            y0=y + top,
            y1=y + bottom,
            line={"color": colour, "width": width},
        )


def _write(figure: go.Figure, x: float, y: float, words: str, anchor: str) -> None:
    figure.add_annotation(
        x=x, y=y, text=words, showarrow=False, xanchor="left", yanchor=anchor, font={**FONT, "size": 14}, borderpad=0
    )


# --- The piece of the photo that excites a channel most ---------------------------------------------------------------


@dataclass(frozen=True)
class Fired:
    """Where a channel fires: its cell (y, x), its value, the piece of the photo that is shown, and what is framed in
    it: all that the cell can see or, where that is most of the piece, only where the cell is."""

    cell: tuple[int, int]
    value: float
    piece: Region
    frame: Region
    frames_all: bool


def strongest_cell(values: np.ndarray) -> tuple[int, int] | None:
    """The (y, x) of the greatest of `values` (float32[H, W]); `None` where nothing is finite."""
    if not np.isfinite(values).any():
        return None
    best = int(np.argmax(np.where(np.isfinite(values), values, -np.inf)))
    return divmod(best, values.shape[1])


def where_it_fires(
    values: np.ndarray, cell: tuple[int, int], photo_size: tuple[int, int], region: Region | None
) -> Fired:
    """What to show of a photo (height, width) for `cell` of the map `values`, which can see `region` of it.

    The piece is as large as that region, or 48 pixels a side where it is smaller, and moved to lie within the photo;
    `region` of `None` is the whole photo.
    """
    height, width = photo_size
    region = region or Region(0, 0, height, width)
    spans = ((region.top, region.bottom, height), (region.left, region.right, width))
    seen = [(min(max(0, low), pixels - 1), max(1, min(high, pixels))) for low, high, pixels in spans]
    piece = [_within((low + high) / 2, max(high - low, SMALLEST_PIECE), pixels) for low, high, pixels in spans]
    frames_all = all(2 * (high - low) <= end - start for (low, high), (start, end) in zip(seen, piece, strict=True))
    frame = seen
    if not frames_all:
        frame = [
            (round(place / cells * pixels), max(round((place + 1) / cells * pixels), round(place / cells * pixels) + 1))
            for place, cells, pixels in zip(cell, values.shape, photo_size, strict=True)
        ]
    return Fired(cell, float(values[cell]), _region(piece), _region(frame), frames_all)


def _within(centre: float, length: float, pixels: int) -> tuple[int, int]:
    """So many pixels about `centre`, moved to lie within the photo."""
    length = min(round(length), pixels)
    start = min(max(0, round(centre - length / 2)), pixels - length)
    return start, start + length


def _region(spans: list[tuple[int, int]]) -> Region:
    (top, bottom), (left, right) = spans
    return Region(top, left, bottom, right)


def piece_of_photo(photo: np.ndarray, fired: Fired) -> np.ndarray:
    """The piece of `photo` (uint8[h, w, 3]), enlarged in whole pixels, with the frame drawn around what it frames."""
    piece, frame = fired.piece, fired.frame
    pixels = photo[piece.top : piece.bottom, piece.left : piece.right]
    times = max(1, PIECE_SIDE // max(pixels.shape[:2]))
    large = pixels.repeat(times, axis=0).repeat(times, axis=1)
    top, bottom = ((at - piece.top) * times for at in (frame.top, frame.bottom))
    left, right = ((at - piece.left) * times for at in (frame.left, frame.right))
    for outside, colour in ((6, (255, 255, 255)), (3, tuple(bytes.fromhex(ORANGE[1:])))):
        _outline(large, top - outside, left - outside, bottom + outside, right + outside, 3, colour)
    return large


def _outline(pixels: np.ndarray, top: int, left: int, bottom: int, right: int, width: int, colour: tuple) -> None:
    """Draw a rectangle's border, in place; what lies outside the picture is drawn at its edge."""
    height, across = pixels.shape[:2]
    top, left, bottom, right = max(0, top), max(0, left), min(height, bottom), min(across, right)
    for part in (
        (slice(top, top + width), slice(left, right)),
        (slice(max(0, bottom - width), bottom), slice(left, right)),
        (slice(top, bottom), slice(left, left + width)),
        (slice(top, bottom), slice(max(0, right - width), right)),
    ):
        pixels[part] = colour
