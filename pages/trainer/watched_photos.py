"""A few validation photos, and what the network says to them after every epoch."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.transfer.requests import Watched
from pages.shared.choices import show_picture
from pages.shared.words import in_markdown, label, percent

SIDE = 96  # pixels
MARKS = 12  # epochs told by a sign each, the latest ones
RIGHT, WRONG = "✓", "✗"


def show(watched: Sequence[Watched], classes: Sequence[str]) -> None:
    if not any(photo.said for photo in watched):
        return
    st.markdown(
        "**Six photos that it does not learn from**" if len(watched) == 6 else "**Photos it does not learn from**"
    )
    for column, photo in zip(st.columns(len(watched)), watched, strict=True):
        with column:
            show_picture(photo.thumbnail, f"A photo of {label(classes[photo.true])}", width=SIDE)
            st.markdown(f"{verdict(photo, classes)}  \n{story(photo)}")


def verdict(photo: Watched, classes: Sequence[str]) -> str:
    """What the network says now, and how sure it is of the true class."""
    said, true = (in_markdown(label(classes[place], 16)) for place in (photo.said[-1], photo.true))
    if photo.said[-1] == photo.true:
        return f":green[{RIGHT} **{said}**] {percent(photo.probability[-1])}"
    return f":red[{WRONG} **{said}**]  \nit is {true}: {percent(photo.probability[-1])}"


def story(photo: Watched) -> str:
    """A sign for each of the latest epochs."""
    signs = [RIGHT if said == photo.true else WRONG for said in photo.said[-MARKS:]]
    return "".join(f":green[{sign}]" if sign == RIGHT else f":red[{sign}]" for sign in signs)
