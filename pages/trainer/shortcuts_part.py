"""Does it look at the subject, or at what is around it?"""

from __future__ import annotations

import streamlit as st

from core import plots, runs
from core.messages import Progress
from core.runs import Run
from core.transfer import verdicts
from core.transfer.requests import Shortcut, ShortcutRequest
from pages.shared.choices import show_figure, show_picture
from pages.shared.words import in_markdown, label
from pages.trainer.long_work import grow

NAMES = ()
WARNING = ("background", "everywhere", "partly")


def show(run: Run) -> None:
    request = ShortcutRequest(str(run.folder), runs.ended(run.folder))
    found = grow("core.transfer.shortcuts:run", request, draw, progress_of, "shortcuts")
    if found is not None:
        st.caption(
            f"The border is a frame of {100 * request.border:.0f} % of the photo's side on each side. What is hidden "
            "gets the mean colour of all training photos, which tells nothing. For classes that are places or textures "
            "it is right to look everywhere; a subject that reaches the border counts as border here."
        )


def progress_of(found: Shortcut) -> Progress:
    return Progress(found.words, found.done / max(1, found.total))


def draw(found: Shortcut | None) -> None:
    if found is None or found.accuracy is None:
        return
    verdict = verdicts.shortcut(found)
    say = st.warning if verdict.kind in WARNING else st.success if verdict.kind == "subject" else st.info
    say(f"**{verdict.words}**")
    hidden, attention = st.columns(2, gap="large")
    with hidden:
        draw_hidden(found)
    with attention:
        draw_attention(found)


def draw_hidden(found: Shortcut) -> None:
    st.markdown(f"Of {found.tested} validation photos it recognises, when parts are hidden:")
    shares = (found.accuracy, found.without_border, found.without_middle)
    for column, name, share, picture in zip(st.columns(3), plots.HIDDEN_STATES, shares, found.example, strict=True):
        with column:
            show_picture(picture, f"A validation photo: {name}", caption=f"{name}: {verdicts.percent(share)}")
    show_figure(plots.hidden_table(found), "hidden", "How often each class is recognised whole, and with parts hidden")


def draw_attention(found: Shortcut) -> None:
    if not found.done:
        st.markdown("Where it looks comes next …")
        return
    st.markdown(verdicts.attention(found).words)
    if found.on_border:
        show_figure(plots.border_strip(found), "border", "The share of the attention on the border, photo by photo")
    if found.most:
        st.markdown("Most attention on the border (outside of the line):")
        shares = dict(zip(found.files, found.on_border, strict=True))
        columns = st.columns(3)
        for place, photo in enumerate(found.most[:6]):
            with columns[place % 3]:
                words = f"{in_markdown(label(photo.file, 24))}: {verdicts.percent(shares[photo.file])}"
                show_picture(photo.heat, f"Where it looked in {label(photo.file)}", caption=words)
        down, across = found.cells
        st.caption(f"Grad-CAM for what it said; its map has only {down} × {across} cells, so its edges are soft.")
