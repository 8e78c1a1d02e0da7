"""What can be taken home of a text: tables, a picture, the link."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from core import explorer_code, plots, text_files
from core.messages import WordSaliency
from pages.explorer.taking_home import address
from pages.explorer.text_box import MOST_IN_LINK
from pages.explorer.text_common import TextScene
from pages.shared.choices import offer


def offer_saliency(scene: TextScene, found: WordSaliency, name: str) -> None:
    with st.container(horizontal=True, gap="small"):
        offer(
            "Numbers",
            lambda: text_files.saliency_csv(found, name),
            "words.csv",
            "text/csv",
            "save_saliency",
            "Every word with both numbers, for a spreadsheet (CSV).",
        )
        _offer_link(scene)


def offer_heatmap(
    scene: TextScene, layer: str, values: np.ndarray, steps: Sequence[plots.Step], units: Sequence[int]
) -> None:
    """`values` is `float32[T, U]`; the table has all units, the picture those that are on show."""
    stem = explorer_code.stem_of(layer)
    with st.container(horizontal=True, gap="small"):
        offer(
            "Numbers",
            lambda: text_files.heatmap_csv(values, steps),
            f"{stem}.csv",
            "text/csv",
            "save_words",
            "A line for each word, a column for each unit of the layer, for a spreadsheet (CSV).",
        )
        offer(
            "Picture",
            lambda: text_files.heatmap_png(values, steps, units),
            f"{stem}.png",
            "image/png",
            "save_heatmap",
            "The units that are on show, in the same order and colours, as one PNG.",
        )
        _offer_link(scene)


def offer_units(scene: TextScene, layer: str, values: np.ndarray, names: Sequence[str] | None) -> None:
    """`values` is `float32[U]`."""
    with st.container(horizontal=True, gap="small"):
        offer(
            "Numbers",
            lambda: text_files.units_csv(values, names),
            f"{explorer_code.stem_of(layer)}.csv",
            "text/csv",
            "save_words",
            "A line for each unit, for a spreadsheet (CSV).",
        )
        _offer_link(scene)


def _offer_link(scene: TextScene) -> None:
    with st.popover("Link", icon=":material/link:", help="The address of exactly this."):
        if len(scene.text) > MOST_IN_LINK:
            st.caption(f"A text of more than {MOST_IN_LINK} letters is too long for a link: it is not part of it.")
        else:
            st.caption(
                "Opens this page with the same network, text and layer. A network from a file is not part of it."
            )
        st.code(address(), language=None, wrap_lines=True)
