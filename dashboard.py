"""Layerscope: see what a convolutional network has learned. Start with `streamlit run dashboard.py`."""

from pages.shared.router import route
from pages.shared.viewing import one_run

with one_run():
    route().run()
