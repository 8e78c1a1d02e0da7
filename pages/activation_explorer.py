"""Activation Explorer: a photo (or a text) goes in; what every layer sees, where, and what depends on it comes out."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.messages import ModelInfo, Photo, Prediction, PredictRequest
from pages.explorer import compare_view, journey_view, maps_view, text_box, text_view, way_in, what_if_view, why_view
from pages.explorer.common import PAGE, Scene, ask, choose_one
from pages.shared import links
from pages.shared.controls import choose_model, choose_photo, device_sign
from pages.shared.router import by_the_front_door
from pages.shared.size import choose_size
from pages.shared.words import in_markdown, label, percent

VIEWS = {"maps": "Maps", "journey": "Journey", "why": "Why", "what_if": "What if", "compare": "Compare"}
ROOMS = {
    "maps": maps_view,
    "journey": journey_view,
    "why": why_view,
    "what_if": what_if_view,
    "compare": compare_view,
}


def main() -> None:
    by_the_front_door()
    device_sign()
    views, beside = title()
    info = choose_model(PAGE)
    if info.reads == "text":
        text_view.show(info, views, beside)
        return
    with views:
        view = choose_view()
    info = choose_size(PAGE, info)
    photo, caption = choose_photo(PAGE)
    with beside:
        predictions = predict(info, photo)
    layer = way_in.choose_layer(info)
    ROOMS[view].show(Scene(info, photo, caption, predictions, layer))


def title() -> tuple[DeltaGenerator, DeltaGenerator]:
    """The title, beside it the place for the views, and that for what the network says."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title("Activation Explorer", anchor=False, width="content")
        return st.container(width="content"), st.container(width="stretch")


def choose_view() -> str:
    """One of the views, of which only the chosen one computes."""
    view = choose_one(
        "View",
        "view",
        VIEWS,
        "Maps: every channel of one layer. Journey: from pixels to prediction. Why: which places speak for a "
        "class. What if: switch channels off. Compare: another photo, changed pixels, other weights.",
        label_visibility="collapsed",
    )
    text_box.keep_the_links_text()
    known = {*text_view.NAMES, *(name for room in ROOMS.values() for name in room.NAMES)}
    links.publish(PAGE, **dict.fromkeys(known - {"layer", *ROOMS[view].NAMES}))  # every view has the layer
    return view


def predict(info: ModelInfo, photo: Photo) -> tuple[Prediction, ...]:
    """What the network says, also in words; nothing where it tells no classes."""
    if not info.tells_classes:
        who = "At this photo size the network" if info.own_size else "This network"
        st.markdown(f"{who} does not tell classes, so it makes no prediction. Its layers can be seen.")
        return ()
    predictions = ask("core.activations:predict", PredictRequest(info.ref, photo), "Asking the network")
    say_predictions(info, predictions)
    return predictions


def say_predictions(info: ModelInfo, predictions: tuple[Prediction, ...]) -> None:
    first, *others = [f"{in_markdown(label(p.name))} ({percent(p.probability)})" for p in predictions]
    more = f", perhaps {', '.join(others[:2])}." if others else "."
    if "untrained" in info.origin:
        more = ". It is untrained: a guess made of random numbers."
    st.markdown(f"The network says **{first}**{more}")


main()
