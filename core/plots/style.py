"""What all figures share: sizes, colours, safe words, pictures without axes."""

from __future__ import annotations

import base64
from functools import lru_cache

import numpy as np
import plotly.graph_objects as go

from core.images import encode_webp

FONT_SIZE = 16  # readable from the back of a room when projected
FONT = {"size": FONT_SIZE, "family": "Source Sans, Source Sans Pro, sans-serif"}
SCALE_HEIGHT = 54  # pixels for the colour scale below a picture
POWERS = "power"  # a small number's `exponentformat`: 5 × 10⁻⁷, where Plotly would write 500n
BLUE, ORANGE, INK = "#2563eb", "#c2410c", "#0f172a"


def plain(words: str) -> str:
    """Plotly draws `<b>` and links in its texts: make a person's words show as they were written."""
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def shortened(words: str, most: int = 28) -> str:
    """`words`, their middle left out where they are long: what tells names of one kind apart is often at their end."""
    if len(words) <= most:
        return words
    tail = most // 3
    return f"{words[: most - tail - 1].rstrip()}…{words[-tail:].lstrip()}"


def bare(figure: go.Figure, x: tuple[float, float], y: tuple[float, float], *, below: bool = False) -> None:
    """A picture and nothing else: no axes, no zoom by accident, square pixels."""
    figure.update_layout(bare_layout(x, y))


def bare_layout(x: tuple[float, float], y: tuple[float, float]) -> dict:
    # A fixed range with `scaleanchor` keeps pixels square whatever the page's width is.
    axis = {"visible": False, "constrain": "domain", "fixedrange": True}
    return {
        "xaxis": {**axis, "range": list(x), "constraintoward": "left"},
        "yaxis": {**axis, "range": list(y), "constraintoward": "top", "scaleanchor": "x"},
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "font": FONT,
        "plot_bgcolor": "rgba(0,0,0,0)",
        "dragmode": False,
    }


def scale_below(title: str) -> dict:
    return {
        "orientation": "h",
        "y": 0,
        "yanchor": "top",
        "thickness": 14,
        "exponentformat": POWERS,
        "title": {"text": title, "side": "right"},
    }


def near(title: str) -> dict:
    """An axis' title beside its numbers; Streamlit's theme would leave the room of two lines between them."""
    return {"text": title, "standoff": 6}


def crisp(picture: np.ndarray, least: int = 448) -> np.ndarray:
    """`uint8[h, w, ...]`, small ones enlarged in whole pixels to at least about `least`: a browser would blur them."""
    times = max(1, least // max(picture.shape[:2]))
    return picture if times == 1 else picture.repeat(times, axis=0).repeat(times, axis=1)


def data_uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def picture_uri(picture: np.ndarray, quality: int = 85) -> str:
    """`uint8[h, w, 3]` as a crisp WebP picture; the same one is encoded once, however often it is shown."""
    return _picture_uri(picture.shape, picture.tobytes(), quality)


@lru_cache(maxsize=32)
def _picture_uri(shape: tuple[int, int, int], pixels: bytes, quality: int) -> str:
    picture = np.frombuffer(pixels, np.uint8).reshape(shape)
    return data_uri(encode_webp(crisp(picture), quality=quality), "webp")
