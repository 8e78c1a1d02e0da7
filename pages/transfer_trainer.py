"""Transfer Learning Trainer: a pretrained backbone, a new head, a person's own photos."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.messages import ModelRef
from pages.shared import links, opening
from pages.shared.controls import choose_ref, device_sign, look_into_own
from pages.shared.router import by_the_front_door
from pages.trainer import photos_view, recipe, recipe_view, results_view, runs_view, training_view
from pages.trainer.common import BUSY, PAGE, VIEWS, Bench, begin, busy, choose_one, chosen_run, key

ROOMS = {
    "photos": photos_view,
    "recipe": recipe_view,
    "training": training_view,
    "results": results_view,
    "runs": runs_view,
}
READS_TEXT = "This network reads text. What is trained here learns from photos: choose another network in the sidebar."


def main() -> None:
    by_the_front_door()
    device_sign()
    view, beside = choose_view()
    with st.sidebar:
        recipe.choose_preset()
        ref = choose_ref(PAGE)
    ref = look_into_own(PAGE, ref)
    bench = Bench(recipe.read(ref, photos_view.chosen(shown=view == "photos")), chosen_run())
    links.publish(PAGE, run=bench.run)
    if ref.weights is not None and bench.config.backbone.weights is None:
        st.sidebar.caption("This recipe takes the network untrained, whatever is chosen here.")
    if reads_text(ref):
        st.warning(READS_TEXT, icon=":material/menu_book:")
    with beside:
        offer_start(bench, ref)
    ROOMS[view].show(bench)


def choose_view() -> tuple[str, DeltaGenerator]:
    """The title, beside it the views (only the chosen one computes), and the place for the button that starts."""
    wanted = st.session_state.pop(key("turn to"), None)
    if wanted is not None:
        st.session_state[key("view")] = wanted
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title("Transfer Learning Trainer", anchor=False, width="content")
        view = choose_one(
            "View",
            "view",
            VIEWS,
            "Photos: what is learned from. Recipe: how. Training: the curves while it learns. Results: how far it can "
            "be trusted. Runs: all that was trained here.",
            label_visibility="collapsed",
        )
        beside = st.container(width="content")
    others = {name for room in ROOMS.values() for name in room.NAMES} - set(ROOMS[view].NAMES)
    links.publish(PAGE, **dict.fromkeys(others))
    return view, beside


def offer_start(bench: Bench, ref: ModelRef) -> None:
    refusal = READS_TEXT if reads_text(ref) else why_not(bench)
    if st.button(
        "Start training",
        type="primary",
        icon=":material/model_training:",
        disabled=refusal is not None,
        key=key("start"),
        help=refusal or "With the photos and the recipe chosen here.",
    ):
        begin(bench.config)


def reads_text(ref: ModelRef) -> bool:
    """Only a file's network may; it has been looked into, so nobody waits."""
    return opening.is_own(ref.name) and opening.described(ref).reads == "text"


def why_not(bench: Bench) -> str | None:
    if busy() is not None:
        return BUSY
    return None if bench.config.data else "Choose photos first."


main()
