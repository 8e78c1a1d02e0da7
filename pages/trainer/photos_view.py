"""What is learned from: the photos, where they come from, and what is wrong with them."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.transfer.requests import DataPreview, DataRequest, Finding
from pages.shared.choices import show_picture
from pages.shared.words import in_markdown, label
from pages.trainer import recipe, sources
from pages.trainer.common import Bench, ask, key

NAMES = ("way",)
A_ROW = 6  # classes beside each other
ROWS = 2  # of classes; the others are in the table
NAME = 30  # characters of a class's name below its photos; all of it is in the table
# An expander's title is made for less than a sentence; and the sentences of a list belong together.
BACK_ROW = """<style>
.st-key-doctor [data-testid="stExpander"] summary p { font-size: 1rem; }
.st-key-doctor > [data-testid="stLayoutWrapper"] > [data-testid="stVerticalBlock"] { padding: 0.4rem 0.75rem; }
</style>"""
SIGNS = {
    "attend": ":orange[:material/warning:]",
    "note": ":blue[:material/info:]",
    "good": ":green[:material/check_circle:]",
}


def chosen(*, shown: bool) -> str:
    """The photos that were chosen; "" while there are none.

    The widgets to choose them are drawn where the view is `shown`; in the other views the choice stays as it was.
    """
    if shown:
        sources.choose()
    return sources.chosen()


def show(bench: Bench) -> None:
    if bench.config.data:
        preview = ask("core.transfer.preview:run", DataRequest(bench.config.data), "Reading the photos", kind="study")
        show_counts(preview)
        show_classes(preview)
        show_findings(preview.findings)


def show_counts(preview: DataPreview) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        said = f"{sum(preview.counts):,} photos in {len(preview.classes)} classes"
        st.subheader(said, anchor=False, width="content")
        if preview.parts:
            choose_splits(preview.parts)


def choose_splits(parts: tuple[tuple[int, int, int], ...]) -> None:
    """Whether the folders for training, validation and test are used as they are, and what that means."""
    own = st.toggle(
        "Use the train, validation and test folders as they are",
        key=recipe.key("own_splits"),
        persist_state="session",
        help="Switched off, all photos are thrown together, and some are drawn for validation at random.",
    )
    if own:
        training, validation, test = (sum(column) for column in zip(*parts, strict=True))
        held_back = f"{validation:,} for validation" if validation else "some of them drawn for validation"
        st.caption(f"{training:,} to learn from, {held_back}" + f", {test:,} for the last test" * bool(test))
    else:
        st.caption("Some of all photos are drawn for validation.")


def show_classes(preview: DataPreview) -> None:
    shown = list(zip(preview.classes, preview.counts, preview.thumbnails, strict=False))[: ROWS * A_ROW]
    for row in range(0, len(shown), A_ROW):
        for column, (name, count, thumbnails) in zip(st.columns(A_ROW), shown[row : row + A_ROW], strict=False):
            with column:
                show_picture(thumbnails, f"Photos of {label(name)}")
                st.markdown(f"{in_markdown(label(name, NAME))} · {count:,}")
    if preview.parts or len(preview.classes) > len(shown) or any(len(label(name)) > NAME for name in preview.classes):
        more = len(preview.classes) - len(shown)
        with st.expander(f"All classes ({more:,} more)" if more else "The classes in numbers"):
            st.dataframe(table_of_classes(preview), hide_index=True, width="stretch", key=key("classes"))


def table_of_classes(preview: DataPreview) -> pd.DataFrame:
    table = pd.DataFrame({"class": [label(name) for name in preview.classes], "photos": preview.counts})
    if preview.parts:
        for place, name in enumerate(("training", "validation", "test")):
            table[name] = [part[place] for part in preview.parts]
    return table


def show_findings(findings: tuple[Finding, ...]) -> None:
    st.html(BACK_ROW)
    with st.container(key="doctor", gap="xsmall"):
        st.markdown("##### :material/stethoscope: What the data doctor says")
        for finding in findings:
            words = f"{SIGNS[finding.level]} {in_markdown(finding.words)}"
            if finding.rows:
                with st.expander(words):
                    show_files(finding)
            else:
                with st.container(border=True):
                    st.markdown(words)


def show_files(finding: Finding) -> None:
    if finding.picture is not None:
        show_picture(finding.picture, "Some of these photos", width="content")
    table = pd.DataFrame(finding.rows, columns=list(finding.columns)).map(label, longest=200)
    st.dataframe(table, hide_index=True, width="stretch", key=key(f"finding {finding.kind}"))
