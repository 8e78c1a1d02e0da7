"""What the views of the Filter Visualizer share: names, and controls for how a picture is drawn."""

from __future__ import annotations

from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.messages import ModelInfo
from pages.shared import choices, drawings, links

PAGE = "visualizer"
METHODS = {"lucid": "Clear", "fast": "Fast", "textbook": "Textbook"}
STEPS = (None, 1, 2, 5, 10, 20, 30, 50, 100, 200)
SEEDS = range(2**31)


def key(name: str) -> str:
    return links.key(PAGE, name)


choose_one = partial(choices.choose_one, PAGE)
choose_number = partial(choices.choose_number, PAGE)


def on_show(place: str, wanted: drawings.Request | None) -> tuple[drawings.Request, drawings.Drawing] | None:
    """What stands at `place` of the session, with its drawing. Where what is `wanted` now is there already, or under
    way for somebody, that takes the place."""
    shown = st.session_state.get(place)
    if shown is not None and wanted is not None and wanted != shown[0]:
        drawing = drawings.known(wanted)
        if drawing is not None:
            shown = st.session_state[place] = wanted, drawing
    return shown


def is_of(request: drawings.Request, info: ModelInfo) -> bool:
    """Whether it is of the network that is chosen, whatever is said about that."""
    return (request.model.name, request.model.weights) == (info.ref.name, info.ref.weights)


def say_not_drawn(words: str) -> None:
    """In the place of a picture that belongs to another choice; as high as that, so that the page does not jump."""
    st.html("<style>.st-key-not_drawn { min-height: 74vh; }</style>")
    with st.container(key="not_drawn"):
        st.info(words, icon=":material/brush:")


def choose_neighbours(what: str, count: int, together: int) -> range:
    """A page of at most so many of a layer's `count` filters or units, as `what` calls them."""
    starts = range(0, count, together)
    widget = links.restore(PAGE, "first", 0, allowed=starts, parse=int)
    first = 0
    if len(starts) > 1:
        first = st.selectbox(
            f"{what} (of {count})",
            list(starts),
            format_func=lambda start: f"{start} to {min(start + together, count) - 1}",
            key=widget,
            persist_state="session",
            help=f"The layer's {what.lower()} are numbered from 0. {together} are shown at a time.",
        )
    links.publish(PAGE, first=first or None)
    return range(first, min(first + together, count))


def choose_steps(name: str) -> int | None:
    return choose_number(
        "Steps", name, STEPS, "How often the picture is changed. More steps: clearer patterns, longer waiting."
    )


def choose_seed() -> int:
    seed = st.number_input(
        "Seed",
        0,
        SEEDS[-1],
        key=links.restore(PAGE, "seed", 0, allowed=SEEDS, parse=int),
        persist_state="session",
        help="The number that the starting noise is made from. The same seed gives the same picture.",
    )
    links.publish(PAGE, seed=int(seed) or None)
    return int(seed)


def ask(place: DeltaGenerator, words: str, name: str, help_text: str, *, changed: bool, possible: bool = True) -> bool:
    """The button that begins the work, in the row of the title; it says so where the settings have changed."""
    with place:
        if changed:
            st.caption(f"The settings have changed: press **{words}**.", width="content")
        return st.button(
            words,
            type="primary" if changed else "secondary",
            icon=":material/brush:",
            key=name,
            disabled=not possible,
            help=help_text,
        )
