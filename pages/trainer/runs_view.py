"""All that was trained here: settings and results side by side."""

from __future__ import annotations

import streamlit as st

from core import runs
from pages.trainer.common import Bench

NAMES = ()


def show(bench: Bench) -> None:
    for run in runs.all_runs():
        st.text(f"{run.when:%d %b %H:%M} {run.name}")
