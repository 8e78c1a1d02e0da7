"""What a run's network answered to the photos that it had not learned from: tiles of them, and one large."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from core import plots, runs
from core.messages import Prediction
from core.runs import HeldBack, Run
from core.transfer.requests import PhotosRequest, RunPhoto
from pages.shared import links
from pages.shared.choices import show_figure, show_picture
from pages.shared.words import in_markdown, label, percent
from pages.trainer.common import PAGE, ask, key

TASK = "core.transfer.looking:photos"
CLOSER = "closer"  # the query parameter of the photo that is large
LARGE = 448  # pixels
BEST = 5  # classes whose probabilities are shown

# The whole tile answers to a click, by an unseen button over it.
_LOOK = """<style>
[class*="st-key-answer_"] { position: relative; border-radius: 0.4rem; gap: 0.25rem; }
[class*="st-key-answer_"]:hover, [class*="st-key-answer_"]:focus-within { outline: 3px solid var(--st-primary-color); }
[class*="st-key-closer_"] { position: absolute; inset: 0; z-index: 2; width: 100% !important; height: 100%; }
[class*="st-key-closer_"] * { width: 100% !important; height: 100%; opacity: 0; }
[class*="st-key-answer_"] p { line-height: 1.3; overflow-wrap: anywhere; }
</style>"""


@dataclass(frozen=True)
class Answers:
    """A run's answers: `said` is the likeliest class of each photo, `sure` its probability."""

    run: Run
    held: HeldBack
    said: np.ndarray
    sure: np.ndarray

    def name(self, index: int, longest: int = 24) -> str:
        """A class in Markdown."""
        return in_markdown(label(self.held.classes[index], longest))

    def is_right(self, place: int) -> bool:
        return bool(self.said[place] == self.held.labels[place])


def answers_of(run: Run) -> Answers | None:
    """`None` where they were not kept, or are of no use."""
    held = runs.read_held_back(run.folder)
    if held is None or len(held.labels) == 0:
        return None
    return Answers(run, held, held.said, held.probabilities.max(axis=-1))


def photos_of(answers: Answers, places: Sequence[int], **wanted: Any) -> tuple[RunPhoto, ...]:
    folder = answers.run.folder
    files = tuple(answers.held.files[place] for place in places)
    return ask(
        TASK,
        PhotosRequest(str(folder), files, version=runs.ended(folder), **wanted),
        "Looking at the photos",
        kind="study",
    )


def show_tiles(answers: Answers, places: Sequence[int], columns: int, *, heat: bool) -> None:
    """Photos with what they are and what was said; a click shows one large. With `heat`, where the network looked."""
    targets = tuple(int(answers.said[place]) for place in places)
    found = photos_of(answers, places, why=True, targets=targets) if heat else photos_of(answers, places)
    st.html(_LOOK)
    for first in range(0, len(places), columns):
        for column, place, photo in zip(
            st.columns(columns), places[first : first + columns], found[first : first + columns], strict=False
        ):
            with column:
                show_tile(answers, place, photo)


def show_tile(answers: Answers, place: int, photo: RunPhoto) -> None:
    said, true = answers.name(answers.said[place]), answers.name(answers.held.labels[place])
    file = label(photo.file.rpartition("/")[2], 24)
    verdict = "and it is" if answers.is_right(place) else f"is **{true}**"
    with st.container(key=f"answer_{place}"):
        show_picture(photo.heat or photo.picture, f"{photo.file}: said {said}, is {true}")
        st.markdown(f"said **{said}** {percent(float(answers.sure[place]))}  \n{verdict}")
        st.caption(in_markdown(file))
        st.button(
            f"See {in_markdown(file)} large", key=f"closer_{place}", on_click=take, args=(place,), type="tertiary"
        )


def take(place: int | None) -> None:
    """Show this photo large (`None`: no more)."""
    st.session_state[key(CLOSER)] = place


def let_go() -> None:
    take(None)


def show_chosen(answers: Answers) -> None:
    """The photo that was clicked on, or that the link names, large, over the page."""
    place = st.session_state[links.restore(PAGE, CLOSER, None, allowed=range(len(answers.held.files)), parse=int)]
    links.publish(PAGE, **{CLOSER: place})
    if place is not None:
        title = in_markdown(label(answers.held.files[place]))
        st.dialog(title, width="large", on_dismiss=let_go)(show_large)(answers, place)


def show_large(answers: Answers, place: int) -> None:
    """The photo, what speaks for the class that was said, what for the true one, and the likeliest classes."""
    said, true = int(answers.said[place]), int(answers.held.labels[place])
    asked_for = (said,) if said == true else (said, true)
    columns = st.columns(len(asked_for) + 2, gap="small")
    probabilities = answers.held.probabilities[place]
    photos = [photos_of(answers, [place], why=True, targets=(each,), side=LARGE)[0] for each in asked_for]
    with columns[0]:
        st.markdown(f"It is **{answers.name(true)}**")
        show_picture(photos[0].picture, f"{photos[0].file} as the network sees it")
    for column, target, photo in zip(columns[1:-1], asked_for, photos, strict=True):
        with column:
            st.markdown(f"For **{answers.name(target)}**, {percent(float(probabilities[target]))}")
            show_picture(photo.heat, f"What speaks for {answers.name(target)} in {photo.file}")
    with columns[-1]:
        st.markdown("What it said")
        show_figure(
            plots.prediction_bars(likeliest(answers.held.classes, probabilities)),
            "likeliest",
            "The likeliest classes with their probabilities",
        )
    other = "" if said == true else " What is red in both speaks for both."
    st.caption(f":red[**Red**] speaks for the class above it (Grad-CAM on the last maps).{other}")


def likeliest(classes: Sequence[str], probabilities: np.ndarray) -> list[Prediction]:
    best = np.argsort(-probabilities, kind="stable")[:BEST]
    return [Prediction(int(each), label(classes[each], 24), float(probabilities[each])) for each in best]


def choose_sheet(name: str, count: int, per_sheet: int) -> slice:
    """Which of `count` photos are on show, by turning sheets."""
    sheets = max(1, -(-count // per_sheet))
    widget = links.restore(PAGE, name, 1, allowed=range(1, sheets + 1), parse=int)
    sheet = st.session_state[widget]
    links.publish(PAGE, **{name: sheet if sheet > 1 else None})
    first, last = (sheet - 1) * per_sheet, min(sheet * per_sheet, count)
    if sheets > 1:
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            _turn(widget, sheet - 1, "Back", ":material/chevron_left:", sheet == 1)
            st.markdown(f"{first + 1}–{last} of {count}", width="content")
            _turn(widget, sheet + 1, "Further", ":material/chevron_right:", sheet == sheets)
    return slice(first, last)


def _turn(widget: str, sheet: int, words: str, icon: str, disabled: bool) -> None:
    def turn() -> None:
        st.session_state[widget] = sheet

    st.button(icon, key=f"{widget}.{words}", help=words, on_click=turn, disabled=disabled, type="tertiary")
