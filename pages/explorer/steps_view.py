"""A layer that gives steps: all of its units side by side, step by step; and one unit from step to step."""

from __future__ import annotations

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import plots
from core.architecture import Tiling, tiling
from core.messages import Activations
from pages.explorer import taking_home
from pages.explorer.common import Scene, choose_strength
from pages.explorer.ordering import (
    ORDERS,
    about_order,
    choose_channel,
    choose_order,
    choose_page,
    click_on,
    oddities,
    ranked,
)
from pages.shared.choices import show_figure

# What the window leaves; no picture on this page is higher than it is wide.
ROOM = "min(100vh - 330px, 0.6 * (100vw - 382px))"


def show_steps(scene: Scene, found: Activations, controls: DeltaGenerator) -> int:
    """The heatmap of steps and units; returns the unit that is chosen."""
    values = found.values[scene.layer.name]
    with controls:
        by = choose_order(scene, "order", ORDERS)
        shown = choose_page(ranked(scene, values, by), plots.UNITS, by)
    unit = choose_channel(scene.layer, values, shown, by)
    grid = plots.steps_grid(values, shown)
    click_on(
        "steps",
        plots.steps_heatmap(grid, unit),
        f"The values of {len(shown)} units of {scene.layer.name} at each of its {len(values)} steps",
        room=ROOM,
    )
    st.caption(" ".join([words_below(grid), *oddities(values), *about_order(scene, by)]))
    taking_home.offer_steps(scene, found, grid)
    return unit


def words_below(grid: plots.StepsGrid) -> str:
    colours = "White is zero, red above, blue below." if grid.signed else "Dark is zero, bright is a strong answer."
    sentences = [colours, "Each column is a unit, each row a step. Click a column to see its unit beside."]
    if grid.together > 1:
        sentences.append(f"Each drawn step is the mean of {grid.together}.")
    return " ".join(sentences)


# --- One unit --------------------------------------------------------------------------------------------------------


@st.fragment
def show_unit(scene: Scene, unit: int, found: Activations) -> None:
    """The chosen unit: its map over the photo, where its steps are tiles of that; and its value from step to step."""
    values = found.values[scene.layer.name][:, unit]
    tiles = tiling(scene.info.layers, scene.layer)
    if tiles is not None and plots.fits(values, tiles):
        show_as_map(scene, unit, values, tiles, found.seen)
    show_figure(plots.step_curve(values, f"unit {unit}"), "curve", f"Unit {unit} of {scene.layer.name}, step by step")


def show_as_map(scene: Scene, unit: int, values: np.ndarray, tiles: Tiling, seen: np.ndarray) -> None:
    picture = st.empty()  # above the slider that it answers to
    strength = choose_strength()
    with picture:
        show_figure(
            plots.channel_over_photo(plots.folded(values, tiles), seen, strength / 100, height=300),
            "large",
            f"Unit {unit} of {scene.layer.name} over the photo, its steps put back as tiles",
        )
    first = " The first step is none of them." if tiles.first else ""
    st.caption(f"Its steps are the tiles of the photo, row by row: {tiles.rows} × {tiles.columns}.{first}")
