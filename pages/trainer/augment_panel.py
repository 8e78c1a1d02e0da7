"""What the augmentation does to a few of one's own photos, drawn anew when a slider moves."""

from __future__ import annotations

import streamlit as st

from core.transfer.requests import Augmented, AugmentRequest
from pages.shared import links
from pages.shared.choices import show_picture
from pages.trainer import recipe
from pages.trainer.common import PAGE, Bench, ask, key

NAMES = ("shake",)


def show(bench: Bench) -> None:
    if not bench.config.data:
        st.info("Choose photos first, under *Photos*: then it is shown here what happens to them.")
        return
    shake = st.session_state[links.restore(PAGE, "shake", 0, allowed=range(10_000), parse=int)]
    links.publish(PAGE, shake=shake or None)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        if recipe.value("augment"):
            st.markdown("**The photo, and what the network is shown of it**", width="content")
        else:
            st.markdown("**Switched off: only the photo itself is shown to it**", width="content")
        st.button(
            "Other random changes",
            key=key("shake again"),
            icon=":material/casino:",
            on_click=shake_again,
            help="The same settings, drawn anew.",
        )
    request = AugmentRequest(bench.config.data, recipe.augmentation(), bench.config.size, seed=shake)
    found: Augmented = ask("core.transfer.augmenting:run", request, "Changing a few photos at random", kind="study")
    for place, row in enumerate(found.rows, start=1):
        show_picture(row, f"Photo {place}, and four random variants of it")


def shake_again() -> None:
    st.session_state[key("shake")] += 1
