"""Tiles cut out of a mosaic's picture."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core import images, plots
from core.messages import Mosaic, digest_of
from pages.shared.resources import SMALL

LARGE = 450  # pixels that a tile is enlarged to, in whole multiples


def tile_of(mosaic: Mosaic, number: int) -> plots.Tile:
    return next(tile for tile in plots.mosaic_tiles(mosaic) if tile.filter == number)


def tile_pixels(mosaic: Mosaic, tile: plots.Tile, *, enlarged: bool = True) -> np.ndarray:
    """One tile, uint8[side, side, 3]; enlarged in whole pixels, so that the browser does not blur small ones away."""
    half = (mosaic.tile - 1) / 2
    left, top = round(tile.x - half), round(tile.y - half)
    pixels = pixels_of(mosaic.png or mosaic.picture)[top : top + mosaic.tile, left : left + mosaic.tile]
    times = max(1, LARGE // mosaic.tile) if enlarged else 1
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def tile_picture(mosaic: Mosaic, tile: plots.Tile) -> bytes:
    """One tile enlarged, as a WebP picture; encoded once for all who watch the mosaic grow."""
    return _encoded(digest_of(mosaic.png or mosaic.picture), (tile.x, tile.y), mosaic, tile)


@st.cache_resource(show_spinner=False, max_entries=64)
def _encoded(digest: str, place: tuple[float, float], _mosaic: Mosaic, _tile: plots.Tile) -> bytes:
    return images.encode_webp(tile_pixels(_mosaic, _tile))


def crisp(picture: bytes) -> bytes:
    """A small picture (PNG or WebP) enlarged in whole pixels, which a browser would blur; a large one as it is."""
    if max(pixels_of(picture).shape[:2]) >= SMALL:
        return picture
    return images.encode_webp(plots.crisp(pixels_of(picture), LARGE))


def pixels_of(picture: bytes) -> np.ndarray:
    return _decoded(digest_of(picture), picture)


@st.cache_resource(show_spinner=False, max_entries=64)
def _decoded(digest: str, _picture: bytes) -> np.ndarray:
    return images.decode(_picture, "the picture")
