"""Which pages there are, and the way to them."""

from __future__ import annotations

import streamlit as st

WELCOME = "pages/welcome.py"
EXPLORER = "pages/activation_explorer.py"
VISUALIZER = "pages/filter_visualizer.py"
TRAINER = "pages/transfer_trainer.py"

_routed = False


def route() -> st.Page:
    """Declare the pages and return the one that was asked for."""
    global _routed
    _routed = True
    return st.navigation(
        {
            "": [st.Page(WELCOME, title="Welcome", icon=":material/waving_hand:", default=True)],
            "Look inside": [
                st.Page(EXPLORER, title="Activation Explorer", icon=":material/grid_view:"),
                st.Page(VISUALIZER, title="Filter Visualizer", icon=":material/texture:"),
            ],
            "Teach it something": [
                st.Page(TRAINER, title="Transfer Learning Trainer", icon=":material/model_training:")
            ],
        }
    )


def by_the_front_door() -> None:
    """Every page's first line.

    A deep link that is the very first request to a fresh server runs the page's file without the router: Streamlit
    takes `pages/` for its old kind of app until `st.navigation` has run once in the process. Declaring the pages and
    running again puts that right for everyone.
    """
    if not _routed:
        route()
        st.rerun()
