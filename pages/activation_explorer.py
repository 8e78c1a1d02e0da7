"""Activation Explorer: a photo goes in; what every layer sees, where, and what depends on it comes out."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.messages import ModelInfo, Photo, Prediction, PredictRequest
from pages.explorer import compare_view, journey_view, maps_view, way_in, what_if_view, why_view
from pages.explorer.common import PAGE, Scene, ask, choose_one
from pages.shared import links
from pages.shared.controls import choose_model, choose_photo, device_sign
from pages.shared.router import by_the_front_door
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
    view, beside = choose_view()
    info = choose_model(PAGE)
    photo, caption = choose_photo(PAGE)
    with beside:
        predictions = predict(info, photo)
    layer = way_in.choose_layer(info)
    ROOMS[view].show(Scene(info, photo, caption, predictions, layer))


def choose_view() -> tuple[str, DeltaGenerator]:
    """The title, beside it the views (only the chosen one computes), and the place for what the network says."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title("Activation Explorer", anchor=False, width="content")
        view = choose_one(
            "View",
            "view",
            VIEWS,
            "Maps: every channel of one layer. Journey: from pixels to prediction. Why: which places speak for a "
            "class. What if: switch channels off. Compare: another photo, changed pixels, other weights.",
            label_visibility="collapsed",
        )
        beside = st.container(width="stretch")
    others = {name for room in ROOMS.values() for name in room.NAMES} - set(ROOMS[view].NAMES)
    links.publish(PAGE, **dict.fromkeys(others))
    return view, beside


def predict(info: ModelInfo, photo: Photo) -> tuple[Prediction, ...]:
    """What the network says, also in words; nothing where it tells no classes."""
    if not info.tells_classes:
        st.markdown("This network does not tell classes, so it makes no prediction. Its layers can be seen.")
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
