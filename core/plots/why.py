"""Attributions over the photo: red speaks for the class, blue against it; where nothing speaks one sees the photo."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from core.images import encode_webp, resize
from core.plots.cell import number
from core.plots.style import SCALE_HEIGHT, bare, crisp, data_uri, scale_below

CELLS = 56  # along the longer side: pixels one by one are dust to the eye
_STRONGEST = 99.5  # the percentile that gets the full colour: a few pixels may be far above all others
# Share of the reach -> red, green, blue and how much they cover. Between them it is linear.
_FOR = (
    (0.0, (255, 205, 90, 0.0)),
    (0.25, (255, 190, 75, 0.15)),
    (0.5, (245, 120, 45, 0.6)),
    (0.75, (215, 45, 30, 0.85)),
    (1.0, (150, 0, 30, 1.0)),
)
_AGAINST = (
    (0.0, (140, 200, 255, 0.0)),
    (0.25, (120, 180, 255, 0.15)),
    (0.5, (60, 130, 235, 0.6)),
    (0.75, (25, 80, 200, 0.85)),
    (1.0, (0, 30, 120, 1.0)),
)
HEIGHT = 310  # of a map on the page: two and their controls fit on a projector's 768 lines
PICTURE_SIDE, SHOWN_SIDE = 672, 448


@dataclass(frozen=True)
class HeatLook:
    """What is drawn of an attribution: `cells`, each the mean of `side` × `side` pixels, and the value `reach` that
    gets the full colour (what is beyond it gets that too)."""

    cells: np.ndarray
    side: int
    reach: float
    signed: bool


def heat_look(heat: np.ndarray, signed: bool, most: int = CELLS) -> HeatLook:
    """`heat` is `float32[H, W]`."""
    heat = np.nan_to_num(heat, posinf=0.0, neginf=0.0).astype(np.float32)
    side = -(-max(heat.shape) // most)
    height, width = (-(-size // side) * side for size in heat.shape)
    padded = np.pad(heat, ((0, height - heat.shape[0]), (0, width - heat.shape[1])), mode="edge")
    cells = padded.reshape(height // side, side, width // side, side).mean(axis=(1, 3))
    reach = float(np.percentile(np.abs(cells), _STRONGEST))
    return HeatLook(cells, side, reach if reach > 0 else float(np.abs(cells).max()) or 1.0, signed)


def heat_over_photo(look: HeatLook, photo: np.ndarray, strength: float) -> go.Figure:
    """The heat over the photo (`uint8[h, w, 3]`) that the network saw; `strength` from 0, the photo alone, to 1.

    What is seen is `heat_picture`, the same that is taken home; above it lie an invisible heatmap for the values, and a
    point without a place for the colour scale.
    """
    height, width = photo.shape[:2]
    values = go.Heatmap(
        z=look.cells,
        x0=look.side / 2,
        dx=look.side,
        y0=look.side / 2,
        dy=look.side,
        colorscale=_scale(look.signed),
        showscale=False,
        opacity=0,
        hovertemplate="%{z:.3g}<extra></extra>",
    )
    colours = {"colorscale": _scale(look.signed), "cmin": -look.reach if look.signed else 0, "cmax": look.reach}
    point = {**colours, "color": [0.0], "showscale": True, "colorbar": _meaning(look)}
    figure = go.Figure([values, go.Scatter(x=[None], y=[None], mode="markers", marker=point, hoverinfo="skip")])
    figure.add_layout_image(
        source=data_uri(encode_webp(heat_picture(look, photo, strength, SHOWN_SIDE)), "webp"),
        x=0,
        y=0,
        sizex=width,
        sizey=height,
        xref="x",
        yref="y",
        sizing="stretch",
        layer="below",
    )
    bare(figure, (0, width), (height, 0), below=True)
    figure.update_layout(height=int(min(HEIGHT, HEIGHT * height / width)) + SCALE_HEIGHT, showlegend=False)
    return figure


def heat_picture(look: HeatLook, photo: np.ndarray, strength: float, longest: int = PICTURE_SIDE) -> np.ndarray:
    """The same as a picture to keep: `uint8[h, w, 3]`, the longer side `longest` pixels."""
    scale = longest / max(photo.shape[:2])
    height, width = (round(side * scale) for side in photo.shape[:2])
    base = resize(crisp(_faded(photo, strength), longest), (height, width)).astype(np.float32)
    shares = _enlarged(look.cells / look.reach, look.side * scale, (height, width))
    colours = np.where((shares < 0)[..., None], _colours(-shares, _AGAINST), _colours(shares, _FOR))
    cover = strength * colours[..., 3:]
    return np.rint(base * (1 - cover) + colours[..., :3] * cover).astype(np.uint8)


def _faded(photo: np.ndarray, strength: float) -> np.ndarray:
    """The stronger the heat, the greyer the photo: so its colours are not taken for heat."""
    grey = photo.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.rint(photo * (1 - strength) + grey[..., None] * strength).astype(np.uint8)


def _scale(signed: bool) -> list[tuple[float, str]]:
    def written(red: int, green: int, blue: int, cover: float) -> str:
        return f"rgba({red},{green},{blue},{cover})"

    if not signed:
        return [(share, written(*colour)) for share, colour in _FOR]
    below = [(0.5 - share / 2, written(*colour)) for share, colour in reversed(_AGAINST)]
    return below[:-1] + [(0.5 + share / 2, written(*colour)) for share, colour in _FOR]


def _meaning(look: HeatLook) -> dict:
    """The colour scale with its ends in words."""
    most, end = (
        number(look.reach, 2 if 0.001 <= look.reach < 1000 else 1),
        0.999 * look.reach,
    )  # rounded, the very end may lie outside
    places = {0: "0", end: f"for it {most}"}
    if look.signed:
        places = {-end: f"against −{most}", **places}
    ticks = {"tickvals": list(places), "ticktext": list(places.values())}
    return {
        **scale_below(""),
        **ticks,
        "lenmode": "pixels",
        "len": 320,
        "x": 0,
        "xanchor": "left",
        "xpad": 62,
        "tickangle": 0,
    }


def _enlarged(cells: np.ndarray, side: float, size: tuple[int, int]) -> np.ndarray:
    """Bilinear between the middles of the cells, each `side` pixels long."""

    def along(values: np.ndarray, length: int) -> np.ndarray:
        """Along the first axis."""
        places = np.clip((np.arange(length) + 0.5) / side - 0.5, 0, len(values) - 1)
        low = np.minimum(places.astype(int), max(len(values) - 2, 0))
        high, part = np.minimum(low + 1, len(values) - 1), (places - low)[:, None]
        return values[low] * (1 - part) + values[high] * part

    return along(along(cells, size[0]).T, size[1]).T


def _colours(shares: np.ndarray, scale: tuple) -> np.ndarray:
    """`[h, w]` of 0..1 (what is outside is clipped) -> `[h, w, 4]`: red, green, blue and how much they cover."""
    places, colours = zip(*scale, strict=True)
    return np.stack([np.interp(shares, places, values) for values in zip(*colours, strict=True)], axis=-1)
