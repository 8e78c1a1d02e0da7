"""Welcome: what there is, and what to try first."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages.shared.choices import show_picture
from pages.shared.controls import device_sign
from pages.shared.router import EXPLORER, TRAINER, VISUALIZER, by_the_front_door

PICTURES = Path(__file__).parents[1] / "docs"
TOUR = (
    (
        EXPLORER,
        "Activation Explorer",
        "activation_explorer.webp",
        "Give the network a photo and see what every layer makes of it.",
        "Try first: look at the cat, then choose a later layer. What is left of the whiskers?",
    ),
    (
        VISUALIZER,
        "Filter Visualizer",
        "filter_visualizer.webp",
        "Let each filter draw the pattern that it looks for.",
        "Try first: watch 64 tiles of noise turn into spots, grids and swirls.",
    ),
    (
        TRAINER,
        "Transfer Learning Trainer",
        "transfer_trainer.webp",
        "Teach the network your own classes with a few photos.",
        "Try first: press Start and let it learn six chess pieces.",
    ),
)


def main() -> None:
    by_the_front_door()
    device_sign()
    st.title("See what a network has learned")
    st.markdown(
        "Layerscope opens a convolutional network and shows what is inside. "
        "A trained network, photos and chess pieces come with it: nothing needs the internet."
    )
    for column, (page, title, picture, what, first) in zip(st.columns(3, gap="medium"), TOUR, strict=True):
        with column.container(border=True, height="stretch"):
            show_picture((PICTURES / picture).read_bytes(), f"The page {title}")
            st.page_link(page, label=f"**{title}**", icon=":material/arrow_forward:")
            st.markdown(what)
            st.caption(first)


main()
