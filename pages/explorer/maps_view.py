"""All channels of one layer, a page of them at a time; the chosen one beside them."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import plots
from core.architecture import shape_words
from core.messages import Activations
from pages.explorer import channel_panel, taking_home, volume_view
from pages.explorer.common import Scene, activations, choose_one
from pages.explorer.ordering import (
    ORDERS,
    UNIT_ORDERS,
    about_order,
    choose_channel,
    choose_order,
    choose_page,
    choose_scale,
    click_on,
    oddities,
    ranked,
    show_grid,
    words_below,
)
from pages.explorer.steps_view import show_steps
from pages.explorer.volume_view import show_volume

NAMES = ("page", "channel", "order", "unit_order", "scale", "units", *volume_view.NAMES, *channel_panel.NAMES)
BARS = 20  # on one page: they need more room than maps


def show(scene: Scene) -> None:
    draw = DRAW.get(scene.layer.kind)
    if draw is None:
        st.info(
            f"This layer gives {shape_words(scene.layer)}, on more axes than can be drawn. Choose another layer to see "
            "its channels."
        )
        return
    found = activations(scene)
    controls = st.container(horizontal=True, vertical_alignment="center", gap="small")
    left, right = st.columns([3, 2], gap="medium")
    with left:
        channel = draw(scene, found, controls)
    with right:
        channel_panel.show(scene, channel, found)


# --- Maps ------------------------------------------------------------------------------------------------------------


def show_maps(scene: Scene, found: Activations, controls: DeltaGenerator) -> int:
    """The grid of channels; returns the one that is chosen."""
    values = found.values[scene.layer.name]
    with controls:
        by = choose_order(scene, "order", ORDERS)
        each = choose_scale()
        ranking = ranked(scene, values, by)
        shown = choose_page(ranking, plots.PAGE, by)
    channel = choose_channel(scene.layer, values, shown, by)
    grid = plots.grid_of(values, shown, each=each)
    show_grid(scene, grid, channel, f"The maps of {len(shown)} channels of {scene.layer.name}")
    st.caption(" ".join([words_below(grid, values), *about_order(scene, by)]))
    taking_home.offer_maps(scene, found, grid)
    return channel


# --- A list of numbers -----------------------------------------------------------------------------------------------


def show_units(scene: Scene, found: Activations, controls: DeltaGenerator) -> int:
    """The units of a vector as bars; returns the one that is chosen."""
    values = found.values[scene.layer.name]
    with controls:
        by = choose_order(scene, "unit_order", UNIT_ORDERS)
        ranking = ranked(scene, values, by)
        all_of_them = (
            len(ranking) > BARS
            and choose_one(
                "Units",
                "units",
                {"page": f"{BARS} a page", "all": "all"},
                "A few with their names, or all of them at once as thin bars.",
                label_visibility="collapsed",
            )
            == "all"
        )
        shown = list(ranking) if all_of_them else choose_page(ranking, BARS, by)
    unit = choose_channel(scene.layer, values, shown, by)
    names = channel_panel.class_names(scene)
    draw = plots.all_units if all_of_them else plots.unit_bars
    click_on("units", draw(values, names, shown, unit), f"The values of {len(shown)} units of {scene.layer.name}")
    st.caption(" ".join(["Click a bar to look at its unit.", *oddities(values), *about_order(scene, by)]))
    taking_home.offer_units(scene, found)
    return unit


DRAW = {"maps": show_maps, "vector": show_units, "steps": show_steps, "volume": show_volume}
