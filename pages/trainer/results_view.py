"""How far the trained network can be trusted, and what to do with it: one part at a time."""

from __future__ import annotations

import streamlit as st

from core import runs
from pages.shared import links
from pages.trainer import accuracy_part, home_part, mistakes_part, photos_needed_part, shortcuts_part, try_part
from pages.trainer.common import PAGE, Bench, choose_one

PARTS = {
    "accuracy": "Accuracy",
    "mistakes": "Mistakes",
    "shortcuts": "Shortcuts",
    "needed": "How many photos",
    "try": "Try it",
    "home": "Take home",
}
ROOMS = {
    "accuracy": accuracy_part,
    "mistakes": mistakes_part,
    "shortcuts": shortcuts_part,
    "needed": photos_needed_part,
    "try": try_part,
    "home": home_part,
}
NAMES = ("part", *(name for room in ROOMS.values() for name in room.NAMES))


def show(bench: Bench) -> None:
    run = runs.find(bench.run) if bench.run else None
    if run is None:
        st.info("There is no trained network to show. Train one, or choose one under *Runs*.")
        return
    if run.report is None:
        st.info("This run has not ended yet. Its results come when it has.")
        return
    part = choose_one(
        "Part",
        "part",
        PARTS,
        "Accuracy: how often it is right, and how sure that is. Mistakes: which photos it gets wrong, and why. "
        "Shortcuts: does it look at the subject? How many photos it needs. Try it on a new photo. Take it home.",
        label_visibility="collapsed",
    )
    links.publish(
        PAGE, **dict.fromkeys({name for room in ROOMS.values() for name in room.NAMES} - {*ROOMS[part].NAMES})
    )
    ROOMS[part].show(run)
