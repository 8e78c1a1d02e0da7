"""The chosen channel's pattern, and beside it what fired it in this photo."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import images, plots
from core.messages import Activations, CellRequest, LayerInfo, ModelInfo, Mosaic, RenderRequest
from pages.explorer.common import Scene, ask
from pages.shared import drawings, tiles
from pages.shared.choices import show_picture
from pages.shared.size import can_be_drawn, drawing_size
from pages.shared.trust import trust_badge, trust_of, trust_words

METHOD = "lucid"  # the Filter Visualizer calls it "Clear"
NAMES: tuple[str, ...] = ()
NOT_SQUARE = "Patterns are drawn as squares, and this layer takes only oblong pictures. Choose an earlier layer."
KEPT = "Stopped. What was drawn is kept."


def show(scene: Scene, channel: int, found: Activations) -> None:
    if not can_be_drawn(scene.info, scene.layer):
        st.info(NOT_SQUARE)
        return
    drawing = the_mosaic(scene, channel) or drawings.begun(
        tile_request(scene, channel), "Draw its pattern", "draw_pattern", at_once=True
    )
    if drawing is None:
        show_pair(scene, channel, found, None)
        return
    drawings.show(drawing, lambda mosaic: show_pair(scene, channel, found, mosaic), kept=KEPT)


# --- What to draw ----------------------------------------------------------------------------------------------------


def the_mosaic(scene: Scene, channel: int) -> drawings.Drawing | None:
    """The Filter Visualizer's mosaic of this channel's page, if somebody has drawn it already."""
    if is_class(scene.info, scene.layer):
        return None
    drawing = drawings.known(page_request(scene.info, scene.layer, channel))
    return drawing if drawing is not None and drawing.snapshot().state == "done" else None


def page_request(info: ModelInfo, layer: LayerInfo, channel: int) -> RenderRequest:
    """What the Filter Visualizer draws when it is opened on this channel and nothing is changed there."""
    first = channel // plots.PAGE * plots.PAGE
    filters = tuple(range(first, min(first + plots.PAGE, layer.channels or 1)))
    return RenderRequest(replace(info.ref, size=None), layer.name, filters, METHOD, drawing_size(info, layer, METHOD))


def tile_request(scene: Scene, channel: int) -> RenderRequest:
    objective = "class" if is_class(scene.info, scene.layer) else "channel"
    size = drawing_size(scene.info, scene.layer, METHOD)
    model = replace(scene.model, size=None)  # a picture has a size of its own
    return RenderRequest(model, scene.layer.name, (channel,), METHOD, size=size, objective=objective)


def is_class(info: ModelInfo, layer: LayerInfo) -> bool:
    """Whether the layer's units are the network's classes: those are drawn before their softmax."""
    return info.tells_classes and layer.name == info.answer


# --- The pair --------------------------------------------------------------------------------------------------------


def show_pair(scene: Scene, channel: int, found: Activations, mosaic: Mosaic | None) -> DeltaGenerator:
    """The pattern, and what fired it here; returns the place below."""
    left, right = st.columns(2, gap="small")
    with left:
        st.markdown("**What it looks for**")
        show_pattern(channel, mosaic)
    with right:
        st.markdown("**What fires it here**")
        show_what_fires(scene, channel, found)
    return st.container()


def show_pattern(channel: int, mosaic: Mosaic | None) -> None:
    if mosaic is None:
        st.caption("Its pattern is not drawn yet.")
        return
    tile = tiles.tile_of(mosaic, channel)
    show_picture(tiles.tile_picture(mosaic, tile), f"The pattern of channel {channel}")
    if channel in mosaic.silent:
        st.warning("This filter never fires: nothing that was tried makes it answer.", icon=":material/volume_off:")
        return
    trust = trust_of(mosaic, channel)
    if trust is not None:
        trust_badge(trust, trust_words(trust))


def show_what_fires(scene: Scene, channel: int, found: Activations) -> None:
    values = found.values[scene.layer.name][..., channel]
    if values.ndim != 2:
        show_picture(images.encode_webp(plots.crisp(found.seen)), "The photo as the network sees it")
        st.caption(whole_photo_words(values))
        return
    cell = plots.strongest_cell(values)
    if cell is None or values[cell] <= 0:
        st.caption("Nothing: this channel does not fire on this photo.")
        return
    request = CellRequest(scene.model, scene.photo, scene.layer.name, channel, *cell)
    region = ask("core.exciting:region", request, "Looking for what it saw")
    fired = plots.where_it_fires(values, cell, found.seen.shape[:2], region)
    piece = plots.piece_of_photo(found.seen, fired)
    show_picture(images.encode_webp(piece), f"The piece of the photo that excites channel {channel} most")
    framed = "all that this cell can see" if fired.frames_all else "where this cell is"
    st.caption(f"Row {cell[0]}, column {cell[1]}: **{fired.value:.3g}**. The frame is {framed}.")


def whole_photo_words(values: np.ndarray) -> str:
    """What a unit (a single number), or a channel with steps or a volume, answers, where no piece can be cut out."""
    if values.ndim == 0:
        return f"A unit looks at the whole photo. It answers **{float(values):.3g}**."
    finite = np.where(np.isfinite(values), values, -np.inf)
    if not np.isfinite(finite).any():
        return "It answers with no number at all."
    place = np.unravel_index(int(finite.argmax()), values.shape)
    where = f"at step {place[0]}" if values.ndim == 1 else f"in slice {place[0]}, row {place[1]}, column {place[2]}"
    return f"Each of its answers may come from all of the photo. The strongest is **{finite.max():.3g}**, {where}."
