"""Figures that are built once for everybody: Plotly takes longer to build one than a page takes for all the rest."""

from __future__ import annotations

from collections.abc import Callable

import plotly.graph_objects as go
import streamlit as st


@st.cache_resource(show_spinner=False, max_entries=96)  # three for each of a class, of a third of a megabyte at most
def figure_of(what: str, _build: Callable[[], go.Figure]) -> go.Figure:
    """The figure that `_build` gives; `what` names all that it depends on. It is shared: nothing in it is changed."""
    return _build()


@st.cache_resource(show_spinner=False, max_entries=16)
def passing_figure_of(what: str, _build: Callable[[], go.Figure]) -> go.Figure:
    """The same for one that the next will soon take the place of: it pushes none of the others out."""
    return _build()
