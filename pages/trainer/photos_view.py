"""What is learned from: the photos, where they come from, and what is wrong with them."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core import storage
from core.errors import UserError
from core.transfer.requests import DataPreview, DataRequest
from pages.shared import links
from pages.shared.controls import show_error
from pages.shared.words import in_markdown, label
from pages.trainer.common import PAGE, Bench, ask, key

NAMES = ()
A_ROW = 6  # classes beside each other


def chosen(*, shown: bool) -> str:
    """The photos that were chosen; "" while there are none.

    The widgets to choose them are drawn where the view is `shown`; in the other views the choice stays as it was.
    """
    if shown:
        st.session_state[key("chosen data")] = choose_data()
    return st.session_state.get(key("chosen data"), "chessman")


def show(bench: Bench) -> None:
    if bench.config.data:
        show_preview(ask("core.transfer.preview:run", DataRequest(bench.config.data), "Reading the photos"))


def choose_data() -> str:
    """`chessman`, or the path of a ZIP that a person brought; "" while there is none."""
    sources = {"chessman": "Chess pieces (comes with the app)", "zip": "My photos (ZIP)"}
    source = st.segmented_control(
        "Photos",
        list(sources),
        format_func=sources.get,
        key=links.restore(PAGE, "data", "chessman", allowed=sources),
        persist_state="session",
        required=True,
    )
    links.publish(PAGE, data=source)
    if source == "chessman":
        return "chessman"
    file = st.file_uploader(
        "A ZIP with one folder for each class",
        type=["zip"],
        key=links.key(PAGE, "zip"),
        help="For example cats/ and dogs/, each with at least ten photos. The photos stay on this machine.",
    )
    if file is None:
        st.info(
            "Put the photos of each class into a folder of its own, and all the folders into one ZIP. "
            "The name of the folder becomes the name of the class.",
            icon=":material/folder_zip:",
        )
        return ""
    try:
        return str(storage.keep_upload(file.getvalue(), ".zip"))
    except UserError as error:
        show_error(error)
        return ""


def show_preview(preview: DataPreview) -> None:
    total = sum(preview.counts)
    st.markdown(f"**{total} photos in {len(preview.classes)} classes**")
    shown = list(zip(preview.classes, preview.counts, preview.thumbnails, strict=True))[: 2 * A_ROW]
    for row in range(0, len(shown), A_ROW):
        for column, (name, count, thumbnails) in zip(st.columns(A_ROW), shown[row : row + A_ROW], strict=False):
            column.image(thumbnails, width="stretch", alt=f"Photos of {label(name)}")
            column.markdown(f"{in_markdown(label(name, 30))} · {count}")
    if len(preview.classes) > len(shown):
        st.caption(f"… and {len(preview.classes) - len(shown)} more classes")
    if preview.left_out:
        with st.expander(f"{len(preview.left_out)} files are left out", icon=":material/report:"):
            st.dataframe(
                pd.DataFrame(preview.left_out, columns=["file", "why"]).map(label), hide_index=True, width="stretch"
            )
