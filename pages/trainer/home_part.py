"""The network to take home, and the way to the other two pages."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.runs import Run
from core.transfer.requests import TrainingReport
from pages.shared import links
from pages.shared.router import EXPLORER, VISUALIZER
from pages.shared.words import in_markdown

NAMES = ()


def show(run: Run) -> None:
    offer_model(run.report)


def offer_model(report: TrainingReport) -> None:
    path = Path(report.model_path)
    st.markdown(
        f"{report.training_images} photos learned from, {report.validation_images} kept for validation, "
        f"{report.seconds:.0f} s. The backbone {in_markdown(report.backbone)} is {in_markdown(report.origin)}."
    )
    if not path.exists():
        st.info("The file of this network is no longer on this machine. Train it again to have it back.")
        return
    st.download_button(
        "Save the network (.keras)",
        path.read_bytes,
        "model.keras",
        "application/octet-stream",
        on_click="ignore",
        icon=":material/download:",
        width="stretch",
    )
    if st.button("See what it sees", icon=":material/grid_view:", width="stretch"):
        links.go(EXPLORER, "explorer", model=str(path))
    if st.button("See what its filters look for", icon=":material/texture:", width="stretch"):
        links.go(VISUALIZER, "visualizer", model=str(path))
