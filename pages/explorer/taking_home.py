"""What can be taken home of a layer: a picture, numbers, a link, the code. Files are made when they are asked for."""

from __future__ import annotations

import io
import json
from urllib.parse import quote

import numpy as np
import streamlit as st
from PIL import Image, ImageDraw, ImageFont

from core import explorer_code, images, plots, statistics
from core.errors import UserError
from core.messages import Activations
from pages.explorer.common import Scene
from pages.shared.choices import offer

TILE = 96  # pixels that a map is enlarged to at least, in whole multiples
MARGIN = 4
STEPS_SIDE = 1024  # pixels, about, of the longer side of a heatmap of steps


def offer_maps(scene: Scene, found: Activations, grid: plots.Grid) -> None:
    """The maps on show as a picture, and what is said of the whole layer."""
    with st.container(horizontal=True, gap="small"):
        offer(
            "Picture",
            lambda: picture_of(grid),
            f"{stem(scene)}.png",
            "image/png",
            "save_maps",
            "The maps that are on show, in the same order and colours, as one PNG.",
        )
        _offer_the_rest(scene, found)


def offer_steps(scene: Scene, found: Activations, grid: plots.StepsGrid) -> None:
    """The heatmap on show as a picture, and what is said of the whole layer."""
    with st.container(horizontal=True, gap="small"):
        offer(
            "Picture",
            lambda: picture_of_steps(grid),
            f"{stem(scene)}.png",
            "image/png",
            "save_steps",
            "The heatmap that is on show, a row for each step and a column for each unit, as a PNG.",
        )
        _offer_the_rest(scene, found)


def offer_units(scene: Scene, found: Activations) -> None:
    with st.container(horizontal=True, gap="small"):
        _offer_the_rest(scene, found)


def _offer_the_rest(scene: Scene, found: Activations) -> None:
    offer(
        "Numbers",
        lambda: numbers_of(scene, found),
        f"{stem(scene)}.npz",
        "application/octet-stream",
        "save_numbers",
        "All values of the layer and the photo as the network saw it, for NumPy (NPZ).",
    )
    offer(
        "Statistics",
        lambda: statistics_of(found.values[scene.layer.name]),
        f"{stem(scene)}.csv",
        "text/csv",
        "save_statistics",
        "Mean, spread, lowest, highest, share of zeros and peak of every channel, for a spreadsheet (CSV).",
    )
    offer(
        "Keras code",
        lambda: code_of(scene),
        f"{stem(scene)}.py",
        "text/x-python",
        "save_code",
        "A Python program that does this with TensorFlow and Keras, without Layerscope.",
    )
    with st.popover("Link", icon=":material/link:", help="The address of exactly this."):
        st.caption("Opens this page with the same network, photo, layer and channel. Your own photo is not part of it.")
        st.code(address(), language=None, wrap_lines=True)


def statistics_of(values: np.ndarray) -> bytes:
    return statistics.to_csv(statistics.of_channels(values), values.ndim - 1)


def stem(scene: Scene) -> str:
    return explorer_code.stem_of(scene.layer.name)


def address() -> str:
    """The page's own address with all that is chosen on it."""
    chosen = "&".join(f"{_in_address(name)}={_in_address(value)}" for name, value in st.query_params.items())
    page = (st.context.url or "").partition("?")[0]
    return f"{page}?{chosen}" if chosen else page


def _in_address(words: str) -> str:
    return quote(str(words), safe="")


def picture_of(grid: plots.Grid) -> bytes:
    """The grid as PNG: true maps, enlarged in whole pixels, each with its number."""
    times = max(1, -(-TILE // max(grid.maps.shape[1:])))
    tiles = [
        images.colourise(each, colours.low, colours.high, "diverging" if colours.signed else "viridis")
        .repeat(times, axis=0)
        .repeat(times, axis=1)
        for each, colours in zip(grid.maps, grid.ranges, strict=True)
    ]
    tiles = [_numbered(tile, channel) for tile, channel in zip(tiles, grid.channels, strict=True)]
    return images.encode_png(images.stitch(np.stack(tiles), min(8, len(tiles)), MARGIN, background=255))


def picture_of_steps(grid: plots.StepsGrid) -> bytes:
    """The heatmap as PNG, each cell enlarged in whole pixels."""
    colours = grid.colours
    picture = images.colourise(grid.values, colours.low, colours.high, "diverging" if colours.signed else "viridis")
    times = max(1, STEPS_SIDE // max(picture.shape[:2]))
    return images.encode_png(picture.repeat(times, axis=0).repeat(times, axis=1))


def _numbered(tile: np.ndarray, channel: int) -> np.ndarray:
    picture = Image.fromarray(tile)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    _, _, right, bottom = draw.textbbox((4, 2), str(channel), font=font)
    draw.rectangle((0, 0, right + 3, bottom + 3), fill=(15, 23, 42))
    draw.text((4, 2), str(channel), fill="white", font=font)
    return np.asarray(picture)


def numbers_of(scene: Scene, found: Activations) -> bytes:
    """`values` (float32, as the layer gave them), `seen` (uint8), and `about`: what they are of, as JSON."""
    about = {
        "model": scene.info.title,
        "weights": scene.info.origin,
        "layer": scene.layer.name,
        "type": scene.layer.type,
        "photo": scene.caption,
        "preprocessing": scene.info.preprocessing,
    }
    file = io.BytesIO()
    values = np.asarray(found.values[scene.layer.name], np.float32)
    np.savez_compressed(file, values=values, seen=found.seen, about=np.array(json.dumps(about, ensure_ascii=False)))
    return file.getvalue()


def code_of(scene: Scene) -> bytes:
    """The program, or the sentence that says why there is none."""
    if scene.info.own_size:
        return b"# There is a program for the network's own photo size only: choose that size on the page.\n"
    try:
        return explorer_code.activations_code(scene.model, scene.layer.name, scene.info).encode()
    except UserError as error:
        return f"# {error}\n".encode()
