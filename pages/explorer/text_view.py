"""A network that reads text: a sentence takes the photo's place, and every layer answers to its words."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.messages import ModelInfo
from pages.explorer import text_box, text_compare, text_layers, text_why
from pages.explorer.common import PAGE, choose_one
from pages.explorer.text_common import TextScene, class_name, read, words_of
from pages.shared import links
from pages.shared.words import in_markdown, percent

VIEWS = {"words": "Words", "layers": "Layers", "compare": "Compare"}
ROOMS = {"words": text_why, "layers": text_layers, "compare": text_compare}
NAMES = tuple(dict.fromkeys(["text", *text_why.NAMES, *text_layers.NAMES, *text_compare.NAMES]))
PHOTO_NAMES = ("source", "photo", "part", "blend")  # of a page that looks at a photo


def show(info: ModelInfo, views: DeltaGenerator, beside: DeltaGenerator) -> None:
    """The page below its title; `views` and `beside` are places in the title's row."""
    with views:
        view = choose_view()
    text = text_box.choose_text(info)
    if not text:
        st.info("Write a sentence above, or choose an example.", icon=":material/edit:")
        return
    scene = TextScene(info, text, read(info, text))
    with beside:
        say_predictions(scene)
    if not words_of(scene.tokens):
        st.info("The network finds no word in this text. Write another one.", icon=":material/edit:")
        return
    ROOMS[view].show(scene)


def choose_view() -> str:
    view = choose_one(
        "View",
        "view",
        VIEWS,
        "Words: which of them speak for a class. Layers: what every unit of a layer answers to each word. "
        "Compare: another text beside this one.",
        label_visibility="collapsed",
    )
    links.publish(PAGE, **dict.fromkeys({*NAMES, *PHOTO_NAMES} - {"text", *ROOMS[view].NAMES}))
    return view


def say_predictions(scene: TextScene) -> None:
    """What the network says of the text, in a sentence."""
    if not scene.predictions:
        st.markdown("This network does not tell classes. Its layers can be seen.")
        return
    first, *others = [
        f"{in_markdown(class_name(scene.info, each.index))} ({percent(each.probability)})" for each in scene.predictions
    ]
    likely = [words for words, each in zip(others, scene.predictions[1:], strict=True) if each.probability >= 0.01]
    more = f", perhaps {', '.join(likely[:2])}." if likely else "."
    if "untrained" in scene.info.origin:
        more = ". It is untrained: a guess made of random numbers."
    st.markdown(f"The network says **{first}**{more}")
