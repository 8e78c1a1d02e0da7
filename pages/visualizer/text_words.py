"""A network that reads text has no pictures to draw: the words that each unit answers to most take their place."""

from __future__ import annotations

import streamlit as st

from core import plots
from core.messages import FavouriteWords, FavouriteWordsRequest, LayerInfo, ModelInfo
from pages.shared import links
from pages.shared.choices import show_figure
from pages.shared.controls import choose_layer
from pages.shared.router import EXPLORER
from pages.shared.viewing import submit
from pages.shared.waiting import wait_for
from pages.shared.words import in_markdown, label
from pages.visualizer.common import PAGE, choose_neighbours

NAMES = ("layer", "first")
UNITS = 12  # on one page
COLUMNS = 4
WORDS = 6  # of a unit
WHY = (
    "A photo can be changed a little at every point, towards what a filter looks for. **A text cannot: between two "
    "words there is nothing.** So every word of the vocabulary is shown to the network alone, and for each unit those "
    "are found that it answers to most."
)


def show(info: ModelInfo) -> None:
    st.markdown(WHY)
    layers = [layer for layer in info.layers if layer.channels and layer.type != "InputLayer"]
    if not layers:
        st.info("This network has no layer with units.")
        return
    with st.sidebar:
        layer = choose_layer(info, PAGE, layers, first_layer(layers))
        units = choose_neighbours("Units", layer.channels or 1, UNITS)
    offer_the_explorer(info, layer)
    show_units(info, layer, units)


def first_layer(layers: list[LayerInfo]) -> str:
    """One that has learned something, and is not the words' own list of numbers."""
    learned = [layer for layer in layers if layer.parameters and layer.type != "Embedding"] or layers
    return learned[0].name


def show_units(info: ModelInfo, layer: LayerInfo, units: range) -> None:
    job = submit("core.text:favourites", FavouriteWordsRequest(info.ref, layer.name), kind="study")
    found = wait_for(job, "Trying all words")
    places = [
        column.container(border=True)
        for start in range(0, len(units), COLUMNS)
        for column in st.columns(COLUMNS, gap="small")[: len(units) - start]
    ]
    for unit, place in zip(units, places, strict=True):
        with place:
            show_unit(info, layer, unit, found[unit])
    st.caption(
        f"{found[0].tried:,} words were tried, each alone. The dotted line is the unit's answer to no word at all: "
        "what is on its right excites the unit."
    )


def show_unit(info: ModelInfo, layer: LayerInfo, unit: int, found: FavouriteWords) -> None:
    st.markdown(f"**{title(info, layer, unit)}**")
    if not found.highest:
        st.caption("No word to try.")
        return
    if len({value for _, value in (*found.highest, *found.lowest)}) == 1:
        st.caption("Answers to every word alike.")
        return
    named = tuple((label(word) or "·", value) for word, value in found.highest)
    figure = plots.favourite_bars(FavouriteWords(named, (), found.tried, found.without), WORDS, room=0.6)
    show_figure(figure, f"favourites_{unit}", f"The words that unit {unit} of {layer.name} answers to most")


def title(info: ModelInfo, layer: LayerInfo, unit: int) -> str:
    names = info.class_names
    if names is None or layer.name != info.layers[-1].name or len(names) != layer.channels:
        return f"Unit {unit}"
    return f"Unit {unit}: {in_markdown(label(names[unit], 24))}"


def offer_the_explorer(info: ModelInfo, layer: LayerInfo) -> None:
    if st.button(
        "Read a text with it",
        key="to_explorer",
        icon=":material/menu_book:",
        help="Opens the Activation Explorer with this network and layer: write a sentence, see every unit's answer.",
    ):
        links.go(EXPLORER, "explorer", model=info.ref.name, layer=layer.name, view="layers")
