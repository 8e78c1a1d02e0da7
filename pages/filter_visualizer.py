"""Filter Visualizer: gradient ascent draws what filters look for, what photos turn into, and what classes look like."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.shared import links
from pages.shared.controls import choose_model, device_sign
from pages.shared.router import by_the_front_door
from pages.visualizer import class_view, dream_view, filter_panel, mosaic_view, text_words
from pages.visualizer.common import PAGE, choose_one

VIEWS = {"filters": "Filters", "dream": "DeepDream", "classes": "Classes"}
SHOW = {"filters": mosaic_view.show, "dream": dream_view.show, "classes": class_view.show}
NAMES = {
    "filters": {*mosaic_view.NAMES, *filter_panel.NAMES},
    "dream": set(dream_view.NAMES),
    "classes": set(class_view.NAMES),
}
WORDS = {
    "filters": "Each tile began as grey noise. Step by step it is changed so that **one filter answers more "
    "strongly**: what appears is the pattern that the filter looks for.",
    "dream": "The photo is changed so that some layers **answer more to what they see in it already**: a cloud that "
    "looks a little like a bird becomes a bird.",
    "classes": "From noise, step by step, a picture is made that the network would **most surely call by one name**.",
}


def main() -> None:
    by_the_front_door()
    device_sign()
    views, action = title()
    info = choose_model(PAGE)
    if info.reads == "text":
        text_words.show(info)
        return
    with views:
        view = choose_view()
    st.markdown(WORDS[view])
    SHOW[view](info, action)


def title() -> tuple[DeltaGenerator, DeltaGenerator]:
    """The title, beside it the place for the views, and that for the button of the chosen one."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title("Filter Visualizer", anchor=False, width="content")
        return (
            st.container(width="content"),
            st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"),
        )


def choose_view() -> str:
    """One of the three views, of which only the chosen one computes."""
    view = choose_one(
        "View",
        "view",
        VIEWS,
        "Filters: what each filter looks for. DeepDream: what layers see in a photo. Classes: what the network "
        "thinks that things look like.",
        label_visibility="collapsed",
    )
    others = set().union(*NAMES.values()) - NAMES[view]
    links.publish(PAGE, **dict.fromkeys(others))
    return view


main()
