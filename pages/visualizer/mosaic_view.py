"""Filters: one tile for each, sharpening in place; a click on a tile opens it beside the mosaic."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import plots
from core.architecture import first_look
from core.messages import LayerInfo, ModelInfo, Mosaic, RenderRequest, digest_of, own_size
from pages.shared import choices, drawings, links
from pages.shared.choices import drawable
from pages.shared.controls import choose_layer
from pages.shared.figures import passing_figure_of
from pages.shared.size import can_be_drawn, only_size
from pages.shared.words import in_markdown
from pages.visualizer import filter_panel, lesson_queue, saving, which_filters
from pages.visualizer.common import (
    METHODS,
    PAGE,
    ask,
    choose_number,
    choose_one,
    choose_seed,
    choose_steps,
    is_of,
    key,
    on_show,
    say_not_drawn,
)

FEW = 10  # layers
FIRST_LAYER = "block5_project_bn"
SHOWN = key("shown")  # the request on show, or being drawn, and its drawing
FILTER = key("filter")
SIZES = (None, 64, 100, 128, 150, 200, 256)
RATES = (None, 1, 2, 5, 10, 20, 50, 100)
NAMES = ("layer", "choose", "first", "count", "filters", "photo", "method", "size", "steps", "rate", "seed", "filter")


def show(info: ModelInfo, action: DeltaGenerator) -> None:
    if not layers_of(info):
        st.info("None of this network's layers can be drawn: they take only oblong pictures, or give no channels.")
        return
    layer, request = choose_request(info)
    shown = on_show(SHOWN, request)
    pressed = ask(
        action,
        "Draw",
        "draw",
        "Draws these filters. What was drawn before, by anybody here, is there at once.",
        changed=shown is not None and request != shown[0],
        possible=request is not None,
    )
    # The first visit finds a picture being drawn, not an empty page. A stopped mosaic stays until Draw is pressed.
    if request is not None and (pressed or shown is None):
        shown = st.session_state[SHOWN] = request, drawings.start(request)
    if shown is None:
        st.info("Write the numbers of the filters on the left, then press **Draw**.", icon=":material/texture:")
    elif is_of(shown[0], info) and shown[0].layer == layer.name:
        show_drawing(*shown, info)
    else:
        say_not_drawn(f"Press **Draw** to see what the filters of {in_markdown(layer.name)} look for.")
    lesson_queue.show(info, request)


def show_drawing(request: RenderRequest, drawing: drawings.Drawing, info: ModelInfo) -> None:
    drawings.show(
        drawing,
        lambda mosaic: draw_mosaic(mosaic, request, info, over=drawing.snapshot().over),
        kept="Stopped. The mosaic is kept as far as it came; press **Draw** to begin again.",
    )


# --- What to draw ----------------------------------------------------------------------------------------------------


def choose_request(info: ModelInfo) -> tuple[LayerInfo, RenderRequest | None]:
    """The layer, and what to draw; `None` where the filters are not named as they should be."""
    layers = layers_of(info)
    with st.sidebar:
        layer = choose_layer(info, PAGE, layers, first_layer(layers))
        way = which_filters.choose_way()
        # Reserved, for a photo is to come below all of it.
        filters_here, how_here = st.container(), st.container()
        settings = st.expander("Settings")
        with filters_here:
            filters = which_filters.choose_filters(info, layer, way, settings)
        with how_here:
            method = choose_one(
                "Method",
                "method",
                METHODS,
                "Clear: smooth pictures in natural colours, shaken a little at every step so that only what the "
                "filter really looks for survives. Textbook: the bare recipe, pixel by pixel. Fast: the textbook's "
                "picture in fewer, larger steps.",
            )
        with settings:
            request = choose_settings(info, layer, filters or (), method)
    return layer, None if filters is None else request


def choose_settings(info: ModelInfo, layer: LayerInfo, filters: tuple[int, ...], method: str) -> RenderRequest:
    size = only_size(info, layer)
    if size is not None:
        st.caption(f"This layer takes only pictures of {size} × {size} pixels.")
        links.publish(PAGE, size=None)
    else:
        size = choose_number(
            "Picture size in pixels",
            "size",
            SIZES,
            "Of the picture that is changed. The textbook's pictures lose their border afterwards: 200 pixels give a "
            "tile of 150.",
        )
    steps = choose_steps("steps")
    rate = None
    if method != "lucid":
        rate = choose_number(
            "Learning rate",
            "rate",
            RATES,
            "How much one step changes the picture. Too small: nothing appears. Too large: it turns to noise.",
        )
    rate = None if rate is None else float(rate)
    return RenderRequest(
        info.ref, layer.name, filters, method, size or own_size(method), steps, rate, seed=choose_seed()
    )


def layers_of(info: ModelInfo) -> list[LayerInfo]:
    """Those with filters that can be drawn."""
    return [layer for layer in drawable(info) if can_be_drawn(info, layer)]


def first_layer(layers: list[LayerInfo]) -> str:
    for layer in layers:
        if layer.name.endswith(FIRST_LAYER):
            return layer.name
    # What comes before the first weights is the photo itself, scaled or laid out.
    learned = next((place for place, layer in enumerate(layers) if layer.parameters), 0)
    for kind in ("maps", "volume", "steps"):
        found = [layer for layer in layers[learned:] if layer.kind == kind]
        # Among a few layers it is a convolution, else a pooling would come first, which has no filters of its own.
        own = [layer for layer in found if "Conv" in layer.type] if len(found) < FEW else []
        if own:
            return own[len(own) // 2].name
        if found:
            return found[len(found) // 3].name
    return first_look(layers)


# --- What is drawn ---------------------------------------------------------------------------------------------------


def draw_mosaic(mosaic: Mosaic | None, request: RenderRequest, info: ModelInfo, *, over: bool) -> DeltaGenerator | None:
    """The mosaic so far, and beside it the chosen filter; returns the place below the mosaic."""
    if mosaic is None:
        st.caption("The first picture comes a few seconds after the drawing has begun.")
        return None
    number = chosen_filter(mosaic)
    left, right = st.columns(2, gap="medium")
    with left:
        show_figure(mosaic, number)
        below = st.container()
        if over:
            saving.offer_mosaic(mosaic, request, info)
    with right:
        filter_panel.show(request, mosaic, number, over=over, fixed=is_fixed(info, request))
    return below


def is_fixed(info: ModelInfo, request: RenderRequest) -> bool:
    """Whether the layer takes no other pictures than those of the mosaic's size."""
    return any(layer.name == request.layer and only_size(info, layer) is not None for layer in info.layers)


def show_figure(mosaic: Mosaic, number: int) -> None:
    # As wide as the window allows and no higher than the screen, whatever the number of rows.
    st.html(
        f"<style>.st-key-mosaic_frame {{ aspect-ratio: {mosaic.width} / {mosaic.height}; max-height: 74vh; "
        "min-height: 9rem; }</style>"
    )
    of = f"mosaic {mosaic.filters} {mosaic.scores} {mosaic.silent} {mosaic.trust} {digest_of(mosaic.picture)} {number}"
    with st.container(key="mosaic_frame"):
        choices.show_figure(
            passing_figure_of(of, lambda: plots.mosaic_figure(mosaic, number)),
            "mosaic",
            f"What {len(mosaic.filters)} filters of {mosaic.layer} look for, one tile each",
            height="stretch",
            on_select=choose_filter,
            selection_mode="points",
        )


def choose_filter() -> None:
    points = st.session_state["mosaic"].selection.points
    # A second click on the same tile sends an empty selection: it means "keep".
    if points:
        st.session_state[FILTER] = int(points[0]["customdata"][0])
        filter_panel.opened_by_click()


def chosen_filter(mosaic: Mosaic) -> int:
    links.restore(PAGE, "filter", mosaic.filters[0], allowed=mosaic.filters, parse=int)
    links.publish(PAGE, filter=st.session_state[FILTER])
    return st.session_state[FILTER]
