"""A layer that gives volumes: one slice of every channel at a time; and one channel as a strip of its slices."""

from __future__ import annotations

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import plots
from core.messages import Activations
from pages.explorer import taking_home
from pages.explorer.common import PAGE, Scene, choose_one, key
from pages.explorer.ordering import (
    ORDERS,
    about_order,
    choose_channel,
    choose_order,
    choose_page,
    choose_scale,
    ranked,
    show_grid,
    words_below,
)
from pages.shared import links
from pages.shared.choices import show_figure

THROUGH = {"slice": "One slice", "mean": "Mean", "max": "Highest"}
SCALE = 280  # pixels
NAMES = ("through", "depth")


def show_volume(scene: Scene, found: Activations, controls: DeltaGenerator) -> int:
    """One slice of each channel; returns the channel that is chosen."""
    values = found.values[scene.layer.name]
    with controls:
        by = choose_order(scene, "order", ORDERS)
        each = choose_scale()
        through = choose_one(
            "Slices",
            "through",
            THROUGH,
            "One slice of each channel, or the mean or the highest value over all slices.",
            label_visibility="collapsed",
        )
        shown = choose_page(ranked(scene, values, by), plots.PAGE, by)
    depth = choose_depth(values) if through == "slice" else 0
    channel = choose_channel(scene.layer, values, shown, by)
    maps = plots.slice_of(values, through, depth)
    grid = plots.grid_of(maps, shown, each=each, colours=None if each else plots.colour_range(values))
    what = f"slice {depth}" if through == "slice" else "all slices"
    words = f"The maps of {len(shown)} channels of {scene.layer.name}, {what}"
    show_grid(scene, grid, channel, words, f"{through} {depth}")
    st.caption(" ".join([words_below(grid, values), *about_order(scene, by)]))
    taking_home.offer_maps(scene, found, grid)
    return channel


def choose_depth(values: np.ndarray) -> int:
    """Which slice: at first the one in which most is to be seen."""
    count = len(values)
    first = plots.liveliest_slice(values)
    widget = links.restore(PAGE, "depth", first, allowed=range(count), parse=int)
    if count == 1:
        return 0
    depth = st.slider(
        "Slice",
        0,
        count - 1,
        key=widget,
        persist_state="session",
        help="How deep in the volume: 0 is its front. The colours stay the same from slice to slice.",
    )
    links.publish(PAGE, depth=depth if depth != first else None)
    return depth


# --- One channel -----------------------------------------------------------------------------------------------------


def show_slices(scene: Scene, channel: int, found: Activations) -> None:
    """The chosen channel's slices side by side; a click on the number of one shows that slice of every channel."""

    def choose() -> None:
        points = st.session_state["film"].selection.points
        if points:
            st.session_state[key("depth")] = int(points[0]["customdata"])
            st.session_state[key("through")] = "slice"

    strip = plots.film_strip(found.values[scene.layer.name][..., channel])
    chosen = st.session_state.get(key("depth"))
    figure = plots.channel_grid(strip, chosen, "slice")
    figure.data[0].colorbar.len = SCALE  # the column is narrower than that of the grid
    figure.update_layout(height=figure.layout.height * 2 // 3 + 18)
    show_figure(
        figure,
        "film",
        f"The slices of channel {channel} of {scene.layer.name}",
        on_select=choose,
        selection_mode="points",
    )
    st.caption("From the front to the back, in one colour scale. Click a number to see that slice of every channel.")
