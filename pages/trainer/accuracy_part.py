"""How often it is right, against what, and how sure one can be."""

from __future__ import annotations

import streamlit as st

from core import plots
from core.runs import Run
from pages.shared.choices import show_figure

NAMES = ()


def show(run: Run) -> None:
    report = run.report
    right = round(report.validation_accuracy * report.validation_images)
    left, middle, far = st.columns(3)
    left.metric("Validation accuracy", f"{100 * report.validation_accuracy:.0f} %")
    middle.metric("Right answers", f"{right} of {report.validation_images}")
    far.metric(
        "By always saying the same",
        f"{100 * report.majority_accuracy:.0f} %",
        help="What one reaches by always answering the most frequent class. Only what is above it was learned.",
    )
    show_figure(
        plots.confusion_matrix(report.confusion, report.classes),
        "confusion",
        "Confusion matrix: rows are the true classes, columns what the network said",
    )
