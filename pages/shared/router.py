"""Which pages there are, and the way to them."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core import storage
from pages.shared import mishaps, visitors
from pages.shared.resources import uploads
from pages.shared.words import in_markdown

ICON = str(Path(__file__).parents[2] / "docs" / "icon.png")
# A projector has 768 lines: Streamlit's empty space above the title and between the sidebar's edges costs a fifth. A
# picture that is drawn anew twice a second must not turn pale each time. In the light theme Streamlit writes figures'
# texts in a grey (this very one) that is too pale to be read from the back row: they get the colour of the page's text.
# On the first colour it always writes in white, which the dark theme's light blue does not bear.
LESS_AIR = """<style>
.stMainBlockContainer { padding: 4rem 2.5rem 3rem; }
.stMainBlockContainer h3 { font-size: 1.2rem; padding: 0; }
[data-testid="stSidebarContent"] [data-testid="stButtonGroup"] button { padding-left: 0.6rem; padding-right: 0.6rem; }
.stMainBlockContainer h1 { font-size: 2.1rem; padding: 0 0 0.25rem; }
.st-key-panel img, .st-key-class_picture img { max-height: 52vh; object-fit: contain; object-position: left; }
.stMainBlockContainer .st-key-steps img { max-height: 33vh; }
.st-key-before img, .st-key-after img { max-height: 66vh; object-fit: contain; object-position: left; }
[data-stale="true"] { opacity: 1 !important; }
.stApp [data-baseweb="tag"], .stApp [data-testid="stBaseButton-primary"]:not(:disabled) {
  color: light-dark(white, #0b1220) !important;
}
.js-plotly-plot text[style*="fill: rgb(128, 132, 149)"] { fill: currentColor !important; }
[data-testid="stSidebarHeader"] { height: 2.5rem; padding-top: 0; padding-bottom: 0; }
</style>"""

WELCOME = "pages/welcome.py"
EXPLORER = "pages/activation_explorer.py"
VISUALIZER = "pages/filter_visualizer.py"
TRAINER = "pages/transfer_trainer.py"

_routed = False


def route() -> st.Page:
    """Set up the window, declare the pages and return the one that was asked for."""
    global _routed
    _routed = True
    mishaps.tell_in_a_sentence()
    # The icon is a file of ours: Streamlit would fetch a page's own symbol for the browser's tab from the internet.
    st.set_page_config(page_title="Layerscope", page_icon=ICON, layout="wide")
    st.html(LESS_AIR)
    uploads()  # what earlier servers have left is looked through from now on
    tell_where_things_are()
    return st.navigation(
        [
            st.Page(WELCOME, title="Welcome", icon=":material/waving_hand:", default=True),
            st.Page(EXPLORER, title="Activation Explorer", icon=":material/grid_view:"),
            st.Page(VISUALIZER, title="Filter Visualizer", icon=":material/texture:"),
            st.Page(TRAINER, title="Transfer Learning Trainer", icon=":material/model_training:"),
        ],
        position="top",  # the sidebar's height is needed for the choices
    )


def tell_where_things_are() -> None:
    """Once in a session, where they are not where they should be; a class need not know this machine's folders."""
    moved = storage.moved()
    if moved is None or visitors.are_a_class() or st.session_state.setdefault("router.moved", False):
        return
    st.session_state["router.moved"] = True
    wanted, place = (in_markdown(str(each)) for each in moved)
    words = f"{wanted} may not be written to. What you make is kept in {place}, which the system may empty one day."
    st.toast(words, icon=":material/folder_off:", duration="infinite")


def by_the_front_door() -> None:
    """Every page's first line.

    A deep link that is the very first request to a fresh server runs the page's file without the router: Streamlit
    takes `pages/` for its old kind of app until `st.navigation` has run once in the process. Declaring the pages and
    running again puts that right for everyone.
    """
    if not _routed:
        route()
        st.rerun()
