"""Layerscope: see what a convolutional network has learned. Start with `streamlit run dashboard.py`."""

import streamlit as st

from pages.shared.router import route

st.set_page_config(page_title="Layerscope", page_icon=":material/layers:", layout="wide")
route().run()
