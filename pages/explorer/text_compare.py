"""Two texts side by side: change one word, and see what changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from core import plots
from core.architecture import is_drawable
from core.messages import LayerInfo, Prediction, TextAnswer, Token, WordSaliency, WordSaliencyRequest
from pages.explorer.common import PAGE, ask, key
from pages.explorer.text_box import MOST, MOST_IN_LINK, in_link
from pages.explorer.text_common import ALL_CLASSES, TextScene, class_name, in_window, read, show_words, words_of
from pages.explorer.text_layers import by_steps, names_of, steps_of
from pages.shared import links
from pages.shared.choices import show_figure
from pages.shared.controls import choose_layer
from pages.shared.words import in_markdown, label, percent

NAMES = ("text2", "layer")
CLASSES = 5
UNITS = 10
NAMES_OF_TEXTS = ("this text", "the other")


def show(scene: TextScene) -> None:
    show_words(scene.tokens)
    text = choose_text(scene)
    if not text:
        st.info("Write another text: this one with a word changed, for instance.", icon=":material/edit:")
        return
    other = TextScene(scene.info, text, read(scene.info, text))
    if not words_of(other.tokens):
        st.info("The network finds no word in the other text. Write another one.", icon=":material/edit:")
        return
    show_words(other.tokens, marked=changed_words(scene.tokens, other.tokens))
    if notes := dict.fromkeys([*scene.answer.notes, *other.answer.notes]):
        st.caption(" ".join(in_markdown(label(note, 300)) for note in notes))
    left, right = st.columns([2, 5], gap="medium")
    with left:
        show_answers(scene, other)
    with right:
        show_layer(scene, other)


def choose_text(scene: TextScene) -> str:
    """The other text; at first this one without the word that matters most."""
    before, belongs = st.session_state.get(key("suggested")), key("suggested")
    links.restore(PAGE, "text2", "", parse=in_link)
    if st.session_state[key("text2")] in ("", before):
        st.session_state[belongs] = st.session_state[key("text2")] = suggestion(scene)
    text = st.text_input(
        "Another text",
        key=key("text2"),
        max_chars=MOST,
        persist_state="session",
        placeholder="Another text",
        label_visibility="collapsed",
        icon=":material/compare_arrows:",
        help="At first the text above without the word that matters most. Change whatever you like, and press Enter.",
    )
    text = " ".join(text.split())
    links.publish(PAGE, text2=text if 0 < len(text) <= MOST_IN_LINK else None)
    return text


def suggestion(scene: TextScene) -> str:
    """The text without its most important word, where it can be found in what was written."""
    written = scene.text.split()
    if len(written) < 2:
        return scene.text
    important = ""
    if scene.predictions:
        request = WordSaliencyRequest(scene.model, scene.text, scene.predictions[0].index)
        important = most_important(ask("core.text:saliency", request, "Weighing the words"))
    places = [place for place, word in enumerate(written) if bare(word) == bare(important)] or [len(written) - 1]
    return " ".join(word for place, word in enumerate(written) if place != places[0])


def most_important(found: WordSaliency) -> str:
    words = [place for place, token in enumerate(found.tokens) if not token.is_padding]
    return found.tokens[max(words, key=lambda place: abs(np.nan_to_num(found.without[place])))].word


def bare(word: str) -> str:
    return "".join(sign for sign in word.lower() if sign.isalnum())


def changed_words(first: Sequence[Token], second: Sequence[Token]) -> list[int]:
    """Places in `second` of words that `first` does not have there."""
    rows = [
        [plots.Step(place, token.word) for place, token in enumerate(tokens) if not token.is_padding]
        for tokens in (first, second)
    ]
    return [pair.second for pair in plots.pairs_of(*rows) if not pair.same and pair.second is not None]


# --- What it says ----------------------------------------------------------------------------------------------------


def show_answers(scene: TextScene, other: TextScene) -> None:
    if not scene.predictions:
        st.caption("This network tells no classes; its layers can be compared.")
        return
    first, second = (read(each.info, each.text, top=ALL_CLASSES) for each in (scene, other))
    st.markdown(sentence(scene, first, second))
    classes = list(dict.fromkeys(each.index for found in (first, second) for each in found.predictions[:CLASSES]))
    shares = [{each.index: each.probability for each in found.predictions} for found in (first, second)]
    figure = plots.grouped_bars(
        [class_name(scene.info, index) for index in classes[: 2 * CLASSES]],
        {
            name: [found.get(index) for index in classes[: 2 * CLASSES]]
            for name, found in zip(NAMES_OF_TEXTS, shares, strict=True)
        },
        percent=True,
    )
    show_figure(figure, "two_answers", "What the network says of both texts")


def sentence(scene: TextScene, first: TextAnswer, second: TextAnswer) -> str:
    """`With the other text, glad falls from 93 % to 41 %; the network now says sad.`"""
    best = first.predictions[0]
    then = next((each.probability for each in second.predictions if each.index == best.index), 0.0)
    move = "stays at" if percent(then) == percent(best.probability) else None
    move = move or ("falls" if then < best.probability else "rises") + f" from {percent(best.probability)} to"
    still = "still says" if second.predictions[0].index == best.index else "now says"
    return (
        f"With the other text, {_name(scene, best)} {move} {percent(then)}; "
        f"the network {still} {_name(scene, second.predictions[0])}."
    )


def _name(scene: TextScene, prediction: Prediction) -> str:
    return f"**{in_markdown(class_name(scene.info, prediction.index))}**"


# --- A layer ---------------------------------------------------------------------------------------------------------


def show_layer(scene: TextScene, other: TextScene) -> None:
    layers = [layer for layer in scene.info.layers if is_drawable(layer)]
    layer = choose_layer(scene.info, PAGE, layers, layers[0].name)
    first, second = (read(each.info, each.text, layer) for each in (scene, other))
    values = first.values[layer.name]
    if values.ndim == 0 or values.size == 0:
        st.info("This layer gives nothing that could be compared. Choose another layer.")
        return
    if values.ndim == 1:
        show_units(scene, layer, values, second.values[layer.name])
        return
    here, there = (
        steps_of(answer, layer, padding=False) or steps_of(answer, layer, padding=True) for answer in (first, second)
    )
    pairs = plots.pairs_of(here, there)
    found = plots.two_texts(by_steps(first, layer), by_steps(second, layer), pairs, UNITS)
    figure = plots.compared_words(found, pairs, NAMES_OF_TEXTS)
    with in_window(figure.layout.height):
        show_figure(figure, "two_texts", f"The units of {layer.name} that differ most between the texts")
    many = "" if len(found.units) == layer.channels else f"The {len(found.units)} units that differ most. "
    st.caption(f"{many}A row for each word of both texts; blank where a text has no such word.")


def show_units(scene: TextScene, layer: LayerInfo, first: np.ndarray, second: np.ndarray) -> None:
    units = plots.compared_units(first, second, UNITS)
    names = names_of(scene, layer)
    figure = plots.grouped_bars(
        [names[unit] if names else f"unit {unit}" for unit in units],
        {
            name: [float(values[unit]) if np.isfinite(values[unit]) else None for unit in units]
            for name, values in zip(NAMES_OF_TEXTS, (first, second), strict=True)
        },
    )
    with in_window(figure.layout.height):
        show_figure(figure, "two_texts", f"The units of {layer.name} that differ most between the texts")
    st.caption("The units that differ most, those with the largest difference first.")
