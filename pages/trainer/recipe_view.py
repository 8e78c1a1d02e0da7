"""How the network learns: every setting of the recipe."""

from __future__ import annotations

import streamlit as st

from pages.trainer import recipe
from pages.trainer.common import Bench
from pages.trainer.recipe import FEWER, RATES, SIZES

NAMES = ()


def show(bench: Bench) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        _slider("Epochs", "epochs", 1, 50, "How often every photo is learned from.")
        _slider(
            "Fine-tuning epochs",
            "fine",
            0,
            20,
            "Afterwards the backbone's last layers learn too, very gently. Slow.",
        )
        st.select_slider(
            "Photo size in pixels",
            SIZES,
            key=recipe.key("size"),
            persist_state="session",
            help="Smaller is faster; larger shows the network more detail.",
        )
        st.select_slider(
            "Photos of each class",
            (*FEWER, None),
            format_func=lambda number: "all" if number is None else str(number),
            key=recipe.key("per_class"),
            persist_state="session",
            help="Take only a few of each class: how many photos does it need?",
        )
        st.toggle(
            "Augmentation",
            key=recipe.key("augment"),
            persist_state="session",
            help="Every photo is also shown turned, zoomed and mirrored a little, so that the network does not "
            "learn the photos by heart.",
        )
    with right:
        _slider("Photos kept for validation, in %", "validation", 10, 50, "The network never learns from these.")
        st.select_slider(
            "Learning rate",
            RATES,
            key=recipe.key("rate"),
            persist_state="session",
            help="How large one correction is.",
        )
        _slider("Dropout, in %", "dropout", 0, 80, "This share of the features is hidden at random in each step.")
        st.number_input(
            "Seed",
            0,
            2**31 - 1,
            key=recipe.key("seed"),
            persist_state="session",
            help="The same seed gives the same split and the same curves.",
        )


def _slider(words: str, name: str, low: int, high: int, help_text: str) -> None:
    st.slider(words, low, high, key=recipe.key(name), persist_state="session", help=help_text)
