"""Which photos it gets wrong, and where it looked."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.runs import Run
from core.transfer import evaluation
from pages.shared import links
from pages.shared.words import label
from pages.trainer import answers
from pages.trainer.answers import Answers
from pages.trainer.common import PAGE, choose_one, key

ALL = -1  # of the classes
PER_SHEET, COLUMNS = 12, 6
NAMES = ("answers", "only", "heat", "sheet", answers.CLOSER)


def show(run: Run) -> None:
    """Which photos it gets wrong, and where it looked."""
    found = answers.answers_of(run)
    if found is None:
        st.info("What the network said to each photo was not kept with this run. Train again to see its mistakes.")
        return
    st.fragment(show_live)(found)


def show_live(found: Answers) -> None:
    """All of the part; a choice here runs this again, and not the rest of the page."""
    wrong, right = by_kind(found)
    with st.container(horizontal=True, vertical_alignment="center"):
        only = choose_class(found)
        kind = choose_kind(found, chosen(found, wrong, only), chosen(found, right, only), len(wrong))
        heat = choose_heat()
        beside = st.container(width="content")
    places = chosen(found, wrong if kind == "wrong" else right, only)
    with beside:
        sheet = answers.choose_sheet("sheet", len(places), PER_SHEET)
    say(found, len(wrong), kind, only, len(places))
    if len(places):
        answers.show_tiles(found, places[sheet].tolist(), COLUMNS, heat=heat)
        explain(kind, heat)
    answers.show_chosen(found)


def by_kind(found: Answers) -> tuple[np.ndarray, np.ndarray]:
    """The wrong answers, the surest first, and the right ones, the least sure first."""
    probabilities, labels = found.held.probabilities, found.held.labels
    return (
        evaluation.most_confident_wrong(probabilities, labels),
        evaluation.least_sure_right(probabilities, labels),
    )


def chosen(found: Answers, places: np.ndarray, only: int) -> np.ndarray:
    """Those that are of class `only`, or that were called so."""
    if only == ALL:
        return places
    return places[(found.held.labels[places] == only) | (found.said[places] == only)]


def choose_class(found: Answers) -> int:
    options = [ALL, *range(len(found.held.classes))]
    only = st.selectbox(
        "Class",
        options,
        format_func=lambda index: "All classes" if index == ALL else label(found.held.classes[index]),
        key=links.restore(PAGE, "only", ALL, allowed=options, parse=int),
        persist_state="session",
        on_change=first_sheet,
        label_visibility="collapsed",
        help="Photos of this class, and photos that were called so.",
        width=220,
    )
    links.publish(PAGE, only=only if only != ALL else None)
    return only


def choose_kind(found: Answers, wrong: np.ndarray, right: np.ndarray, mistakes: int) -> str:
    """Wrong answers first, where there are any."""
    return choose_one(
        "Answers",
        "answers",
        {"wrong": f"Wrong ({len(wrong)})", "right": f"Right ({len(right)})"},
        "Wrong answers: those it was surest of come first. Right answers: those it was least sure of come first.",
        default="wrong" if mistakes else "right",
        label_visibility="collapsed",
        on_change=first_sheet,
    )


def choose_heat() -> bool:
    heat = st.toggle(
        "Where it looked",
        key=links.restore(PAGE, "heat", True, parse=lambda text: text != "False"),
        persist_state="session",
        help="Grad-CAM on the last maps: red speaks for the class that the network said.",
    )
    links.publish(PAGE, heat=None if heat else False)
    return heat


def first_sheet() -> None:
    st.session_state[key("sheet")] = 1


def say(found: Answers, mistakes: int, kind: str, only: int, many: int) -> None:
    total = len(found.held.files)
    if mistakes == 0:
        st.markdown(f":material/verified: **None of the {total} validation photos was answered wrongly.**")
    if many == 0:
        what = "wrong" if kind == "wrong" else "right"
        about = "" if only == ALL else f" about *{found.name(only)}*"
        st.info(f"There is no {what} answer{about}.")


def explain(kind: str, heat: bool) -> None:
    order = "The surest first. " if kind == "wrong" else "The least sure first. "
    red = ":red[**Red**] speaks for the class that it said (Grad-CAM). " if heat else ""
    st.caption(f"{order}{red}A click on a photo shows it large, also with what speaks for its true class.")
