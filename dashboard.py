"""Layerscope: see what a convolutional network has learned. Start with `streamlit run dashboard.py`."""

from pages.shared.router import route

route().run()
