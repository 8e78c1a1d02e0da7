"""The chosen unit of a network that reads text: its curve over the words, its favourites, what it needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from core import plots
from core.messages import FavouriteWords, FavouriteWordsRequest, LayerInfo, ModelRef, WordSaliencyRequest
from pages.explorer.common import ask, choose_one
from pages.explorer.text_common import TextScene, class_name, in_window, quoted, show_coloured
from pages.shared import links
from pages.shared.choices import show_figure
from pages.shared.router import VISUALIZER
from pages.shared.viewing import submit
from pages.shared.waiting import wait_for
from pages.shared.words import in_markdown, label

NAMES = ("about",)
PARTS = {"curve": "Along the text", "favourites": "Favourite words", "why": "Why"}
SHOWN = 10
ON_A_PAGE = 12  # units in the Filter Visualizer


def show(scene: TextScene, layer: LayerInfo, unit: int, values: np.ndarray, steps: Sequence[plots.Step]) -> None:
    """`values` is `float32[T, U]` with a row for each of `steps`, or, without any, `float32[U]`."""
    st.subheader(title(scene, layer, unit), anchor=False)
    parts = {name: words for name, words in PARTS.items() if steps or name != "curve"}
    if len(layer.output_shape) > 2:  # its units are numbered through for this page only
        parts = {"curve": PARTS["curve"]}
    part = choose_one(
        "About this unit",
        "about",
        parts,
        "Along the text: its answer, word by word. Favourite words: which words of the whole vocabulary excite it "
        "most. Why: which words of this text it needs.",
        label_visibility="collapsed",
    )
    if part == "curve":
        show_curve(unit, values, steps)
    elif part == "favourites":
        show_favourites(scene.model, layer, unit)
    else:
        show_why(scene, layer, unit)


def title(scene: TextScene, layer: LayerInfo, unit: int) -> str:
    names = scene.info.class_names
    if names is None or layer.name != scene.info.layers[-1].name or len(names) != layer.channels:
        return f"Unit {unit}"
    return f"Unit {unit}: {in_markdown(class_name(scene.info, unit))}"


def show_curve(unit: int, values: np.ndarray, steps: Sequence[plots.Step]) -> None:
    own = values[[step.place for step in steps], unit]
    figure = plots.word_bars([step.words for step in steps], own)
    with in_window(figure.layout.height):
        show_figure(figure, "word_curve", f"The answer of unit {unit} along the text")
    finite = own[np.isfinite(own)]
    if finite.size and finite.max() > finite.min():
        most = int(np.argmax(np.where(np.isfinite(own), own, -np.inf)))
        st.caption(f"It answers most to {quoted(steps[most].words)}.")


def show_favourites(model: ModelRef, layer: LayerInfo, unit: int) -> None:
    found = favourites(model, layer.name, unit)
    if not found.highest:
        st.info("The network has no words to try.")
        return
    show_figure(
        plots.favourite_bars(with_labels(found), SHOWN, room=0.4),
        "favourites",
        f"The words that excite unit {unit} most, the strongest first",
    )
    least = ", ".join(quoted(word) for word, _ in found.lowest[:4])
    offer_the_visualizer(model, layer, unit)
    line = f" The dotted line is its answer to no word at all ({plots.number(found.without, 3)})."
    st.caption(
        f"Each of {found.tried:,} words of its vocabulary was shown to it alone."
        f"{line if np.isfinite(found.without) else ''} Least of all it answers to {least}."
    )


def offer_the_visualizer(model: ModelRef, layer: LayerInfo, unit: int) -> None:
    if st.button(
        "Those of the other units",
        key="to_visualizer",
        icon=":material/texture:",
        help="Opens the Filter Visualizer with the favourite words of this unit and its neighbours.",
    ):
        first = unit // ON_A_PAGE * ON_A_PAGE
        links.go(VISUALIZER, "visualizer", model=model.name, layer=layer.name, first=first)


def favourites(model: ModelRef, layer: str, unit: int) -> FavouriteWords:
    """Some seconds where the vocabulary is large, once for all units."""
    job = submit("core.text:favourites", FavouriteWordsRequest(model, layer), kind="study")
    return wait_for(job, "Trying all words")[unit]


def with_labels(found: FavouriteWords) -> FavouriteWords:
    highest, lowest = (
        tuple((label(word) or "·", value) for word, value in words) for words in (found.highest, found.lowest)
    )
    return FavouriteWords(highest, lowest, found.tried, found.without)


def show_why(scene: TextScene, layer: LayerInfo, unit: int) -> None:
    request = WordSaliencyRequest(scene.model, scene.text, layer=layer.name, unit=unit)
    found = ask("core.text:saliency", request, "Weighing the words")
    st.markdown("**Gradient × embedding**")
    show_coloured(found.tokens, found.gradient)
    st.markdown("**Without the word**")
    show_coloured(found.tokens, found.without)
    st.caption(
        f"Its greatest value is {plots.number(found.score, 3)}. Red words raise it, blue ones hold it down: the first "
        "by the slope at this text, the second by taking the word out and looking again."
    )
