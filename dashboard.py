"""Layerscope: see what a convolutional network has learned. Start with `streamlit run dashboard.py`."""

import streamlit as st

from pages.shared.router import ICON, LESS_AIR, route

# The icon is a file of ours: Streamlit fetches its own symbols for the browser's tab from the internet.
st.set_page_config(page_title="Layerscope", page_icon=ICON, layout="wide")
page = route()
st.html(LESS_AIR)
page.run()
