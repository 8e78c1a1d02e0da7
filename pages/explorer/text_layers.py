"""Layers: what the units of one layer answer to each word of a text; the chosen unit beside them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import streamlit as st

from core import channels as orders
from core import plots
from core.messages import LayerInfo, TextAnswer
from pages.explorer import ordering, text_box, text_home, text_unit, way_in
from pages.explorer.common import PAGE
from pages.explorer.text_common import TextScene, class_name, in_window, read, safe, show_words
from pages.shared import links

NAMES = ("layer", "page", "channel", "unit_order", "padding", *text_unit.NAMES)
UNITS = 20  # on one page: their numbers have to be read
BARS = 16
ORDERS = {
    "variance": "those that differ most between words",
    "index": "by number",
    "peak": "peak, highest first",
    "mean": "mean, highest first",
}
REMEMBERS = {  # a layer's type -> what its rows know besides their own words
    "LSTM|GRU|RNN": "Each row also carries what was read before it.",
    "Bidirectional": "Each row also carries what stands before and after it.",
    "Attention": "Each row has looked at all the others.",
}
VECTOR_ORDERS = {"index": "by number", "peak": "value, highest first"}


def show(scene: TextScene) -> None:
    text_box.say_what_is_known(scene.answer)
    layer = way_in.choose_layer(scene.info)
    answer = read(scene.info, scene.text, layer)
    values = answer.values[layer.name]
    if values.ndim == 0 or values.size == 0:
        st.info("This layer gives nothing that could be shown for words. Choose another layer.")
        return
    (show_vector if values.ndim == 1 else show_steps)(scene, layer, answer)


# --- A row for each word ---------------------------------------------------------------------------------------------


def show_steps(scene: TextScene, layer: LayerInfo, answer: TextAnswer) -> None:
    values = by_steps(answer, layer)
    controls = st.container(horizontal=True, vertical_alignment="center", gap="small")
    left, right = st.columns([3, 2], gap="medium")
    with controls:
        by = choose_order("variance", ORDERS)
        padding = choose_padding(answer)
    steps = steps_of(answer, layer, padding=padding) or steps_of(answer, layer, padding=True)
    with controls:
        shown = ordering.choose_page(orders.order(values[[step.place for step in steps]], by), UNITS, by)
    unit = ordering.choose_channel(layer, values, shown, by)
    with left:
        drawn = [step.place for step in steps]
        figure = plots.steps_heatmap(plots.steps_grid(values[drawn], shown, [step.words for step in steps]), unit)
        words = f"What {len(shown)} units of {layer.name} answer to each word"
        with in_window(figure.layout.height):
            ordering.click_on("word_heatmap", figure, words)
        st.caption(" ".join(words_below(answer, layer, values, steps)))
        text_home.offer_heatmap(scene, layer.name, values, steps, shown)
    with right:
        text_unit.show(scene, layer, unit, values, steps)


def by_steps(answer: TextAnswer, layer: LayerInfo) -> np.ndarray:
    """`float32[T, U]`: whatever a layer gives for each step as one line of units."""
    values = answer.values[layer.name]
    return values.reshape(values.shape[0], -1)


def steps_of(answer: TextAnswer, layer: LayerInfo, *, padding: bool) -> tuple[plots.Step, ...]:
    count = answer.values[layer.name].shape[0]
    return plots.steps_of(safe(answer.tokens), answer.steps.get(layer.name), count, padding=padding)


def choose_order(first: str, options: dict[str, str]) -> str:
    by = st.selectbox(
        "Order",
        list(options),
        format_func=lambda by: f"Order: {options[by]}",
        key=links.restore(PAGE, "unit_order", first, allowed=options),
        on_change=ordering.to_page_one,
        persist_state="session",
        width=330,
        label_visibility="collapsed",
        help="Which units come first.",
    )
    links.publish(PAGE, unit_order=by if by != first else None)
    return by


def choose_padding(answer: TextAnswer) -> bool:
    """Whether steps are shown that stand on no word; asked only where there are some."""
    if not any(token.is_padding for token in answer.tokens):
        return False
    padding = st.toggle(
        "Padding",
        key=links.restore(PAGE, "padding", False, parse=lambda text: text == "yes"),
        persist_state="session",
        help="The network wants texts of one length: shorter ones are filled up. Shows what it makes of the filling.",
    )
    links.publish(PAGE, padding="yes" if padding else None)
    return padding


def words_below(answer: TextAnswer, layer: LayerInfo, values: np.ndarray, steps: Sequence[plots.Step]) -> list[str]:
    signed = np.nanmin(values[[step.place for step in steps]], initial=0.0) < 0
    sentences = ["White is zero, red above, blue below." if signed else "Dark is zero, bright a strong answer."]
    sentences.append("Point at a cell for its value; a click chooses its unit.")
    spans = answer.steps.get(layer.name)
    if spans is None:
        sentences.append("Its steps cannot be told to stand on certain words.")
    elif any(last - first > 1 for first, last in spans):
        width = max(last - first for first, last in spans)
        sentences.append(f"Each step stands on {width} words: it sees them together.")
    sentences += [words for types, words in REMEMBERS.items() if re.search(types, layer.type)]
    return [*sentences, *ordering.oddities(values, "text")]


# --- A list of units -------------------------------------------------------------------------------------------------


def show_vector(scene: TextScene, layer: LayerInfo, answer: TextAnswer) -> None:
    """A layer that has made one list of units of the whole text."""
    values = answer.values[layer.name]
    names = names_of(scene, layer)
    show_words(answer.tokens)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        by = choose_order("index", VECTOR_ORDERS)
        shown = ordering.choose_page(orders.order(values, by), BARS, by)
    unit = ordering.choose_channel(layer, values, shown, by)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        figure = plots.unit_bars(values, names, shown, unit)
        ordering.click_on("word_units", figure, f"The values of {len(shown)} units of {layer.name}")
        below = ["The whole text in one list of units: no word has a row of its own.", "Click a bar for its unit."]
        st.caption(" ".join([*below, *ordering.oddities(values, "text")]))
        text_home.offer_units(scene, layer.name, values, names)
    with right:
        text_unit.show(scene, layer, unit, values, ())


def names_of(scene: TextScene, layer: LayerInfo) -> list[str] | None:
    """The classes, where the layer is the network's last."""
    if scene.info.class_names is None or layer.name != scene.info.layers[-1].name:
        return None
    if layer.channels != len(scene.info.class_names):
        return None
    return [class_name(scene.info, index) for index in range(len(scene.info.class_names))]
