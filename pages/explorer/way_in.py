"""The way to a layer: the network as a strip of blocks, its layers one by one, or all of them in a table."""

from __future__ import annotations

import math

import pandas as pd
import streamlit as st

from core import plots
from core.architecture import blocks, cost_words, first_look, is_drawable, number_words, sees_words, shape_words
from core.messages import LayerInfo, ModelInfo
from pages.explorer.common import PAGE, key
from pages.shared import links
from pages.shared.choices import show_figure
from pages.shared.figures import figure_of
from pages.shared.words import in_markdown

FIRST_LAYER = "block1_expand_activation"  # the embedded network's edges and colours: a good first look


def choose_layer(info: ModelInfo) -> LayerInfo:
    """One of the layers that have channels: by a click on the strip, step by step, by its name, or from the table."""
    layers = {layer.name: layer for layer in info.layers if is_drawable(layer)}
    if not layers:
        st.info("No layer of this network gives numbers that can be drawn. Choose another network on the left.")
        st.stop()
    links.restore(PAGE, "layer", first_layer(list(layers.values())), allowed=layers)
    show_strip(info, layers)
    with st.container(horizontal=True, gap="small"):
        step_button("Previous", "chevron_left", "P", list(layers), -1)
        name = st.selectbox(
            "Layer",
            list(layers),
            key=key("layer"),
            persist_state="session",
            label_visibility="collapsed",
            width="stretch",
        )
        step_button("Next", "chevron_right", "N", list(layers), +1)
        if st.button("All layers", icon=":material/table_rows:", key="all_layers", help="Search them in a table."):
            show_table(list(layers.values()))
    links.publish(PAGE, layer=name)
    st.markdown(in_markdown(in_words(layers[name], info.reads)))
    return layers[name]


def first_layer(layers: list[LayerInfo]) -> str:
    for layer in layers:
        if layer.name.endswith(FIRST_LAYER):
            return layer.name
    return first_look(layers)


def in_words(layer: LayerInfo, reads: str = "photo") -> str:
    sees = sees_words(layer) if reads == "photo" else ""
    return " · ".join(filter(None, [layer.type, shape_words(layer), sees, cost_words(layer)]))


def show_strip(info: ModelInfo, layers: dict[str, LayerInfo]) -> None:
    def choose() -> None:
        points = st.session_state["strip"].selection.points
        # A second click on the same block sends an empty selection: it means "keep".
        if points and points[0]["customdata"] in layers:
            st.session_state[key("layer")] = points[0]["customdata"]

    chosen = st.session_state[key("layer")]
    show_figure(
        figure_of(
            f"strip {info.ref} {chosen}",
            lambda: plots.architecture_strip(plots.strip_blocks(blocks(info.layers)), chosen),
        ),
        "strip",
        f"The layers of {info.title} as blocks, from the photo to the answer; {chosen} is outlined",
        on_select=choose,
        selection_mode="points",
    )


def step_button(words: str, icon: str, shortcut: str, names: list[str], step: int) -> None:
    place = names.index(st.session_state[key("layer")]) + step
    there = 0 <= place < len(names)

    def go() -> None:
        st.session_state[key("layer")] = names[place]

    st.button(
        "",
        icon=f":material/{icon}:",
        key=f"{words.lower()}_layer",
        help=f"{words} layer. The key {shortcut} does the same.",
        on_click=go,
        disabled=not there,
        shortcut=shortcut,
    )


@st.dialog("All layers", width="large", icon=":material/table_rows:")
def show_table(layers: list[LayerInfo]) -> None:
    wanted = st.text_input(
        "Search",
        key="layers_search",
        placeholder="part of a name or a type, for instance add or Conv2D",
        help="All words must be in the name or the type.",
    )
    shown = [layer for layer in layers if fits(layer, wanted)]
    if not shown:
        st.caption(f"None of the {len(layers)} layers has this in its name or type.")
        return

    def choose() -> None:
        rows = st.session_state["layers_table"].selection.rows
        if rows:
            st.session_state[key("layer")] = shown[rows[0]].name

    found = st.dataframe(
        table(shown),
        key="layers_table",
        hide_index=True,
        height=440,
        on_select=choose,
        selection_mode="single-row",
        column_config={"Layer": st.column_config.TextColumn(width="medium")},
    )
    st.caption(f"{len(shown)} of {len(layers)} layers. Tick one to open it; click a title to sort.")
    if found.selection.rows:
        st.rerun()


def fits(layer: LayerInfo, wanted: str) -> bool:
    text = f"{layer.name} {layer.type}".lower()
    return all(word in text for word in wanted.lower().split())


def table(layers: list[LayerInfo]):
    """The layers with their facts: numbers that sort as numbers and read as words."""
    fields = [_side(layer, layer.receptive_field) for layer in layers]
    strides = [_side(layer, layer.stride) for layer in layers]
    names = {
        **{side: _by(layer.receptive_field) for side, layer in zip(fields, layers, strict=True)},
        **{side: _by(layer.stride) for side, layer in zip(strides, layers, strict=True)},
    }
    frame = pd.DataFrame(
        {
            "Layer": [layer.name for layer in layers],
            "Type": [layer.type for layer in layers],
            "Output": [
                " × ".join("any" if side is None else str(side) for side in layer.output_shape) for layer in layers
            ],
            "Parameters": [layer.parameters for layer in layers],
            "Multiply-adds": [layer.multiply_adds for layer in layers],
            "Cell sees": fields,
            "Apart": strides,
        }
    )
    return frame.style.format(
        {"Parameters": number_words, "Multiply-adds": number_words, "Cell sees": names.get, "Apart": names.get},
        na_rep="",
    )


def _side(layer: LayerInfo, sides: tuple[float, float] | None) -> float:
    """Of a square with the same area; what sees the whole photo comes behind all others. Of steps it is not known."""
    if layer.kind not in ("maps", "vector"):
        return math.nan
    return math.inf if sides is None else math.sqrt(sides[0] * sides[1])


def _by(sides: tuple[float, float] | None) -> str:
    return "whole photo" if sides is None else f"{sides[0]:g} × {sides[1]:g}"
