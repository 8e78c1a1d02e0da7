"""How many photos does it need, and how much luck is in the split?"""

from __future__ import annotations

from functools import partial

import streamlit as st

from core import plots, runs
from core.messages import Progress
from core.runs import Run
from core.transfer import verdicts
from core.transfer.requests import LearningCurve, LearningCurveRequest, Repeated, RepeatedRequest, TrainingConfig
from pages.shared.choices import show_figure
from pages.trainer.long_work import grow

NAMES = ()
UNCHANGED = "on photos as they are: nothing is changed at random, so they may reach a little less than your run."


def show(run: Run) -> None:
    if run.config is None:
        st.info("The settings of this run cannot be read any more. Train again to know how many photos it needs.")
        return
    if not verdicts.is_head_alone(run.config):
        st.info(head_only(run.config), icon=":material/info:")
    luck, needed = st.columns([5, 6], gap="large")
    with luck:
        st.subheader("Was it luck?", anchor=False)
        show_luck(run)
    with needed:
        st.subheader("How many photos are enough?", anchor=False)
        show_needed(run)


def head_only(config: TrainingConfig) -> str:
    """What heads on the frozen network can tell of a run whose network has learned too."""
    if config.from_scratch:
        return (
            "This run trained all layers. To train them anew so often would take too long: what follows is a new head "
            "on the network as it was before, untrained. It says little about your run."
        )
    return (
        "In this run the network's last layers have learned too. What follows is the head alone, on the network as it "
        "was before: fine-tuned, it would already know the photos that are held back here."
    )


# --- Luck ------------------------------------------------------------------------------------------------------------


def show_luck(run: Run) -> None:
    request = RepeatedRequest(str(run.folder), runs.ended(run.folder))
    found = grow("core.transfer.repeating:run", request, partial(draw_luck, run), luck_progress, "luck")
    if found is not None:
        st.caption(
            f"Each dot: other photos are held back, and a new head is trained {UNCHANGED} "
            "The band is one standard deviation. Heads keep their best epoch, as your run did."
        )


def draw_luck(run: Run, found: Repeated | None) -> None:
    if found is None or not found.accuracies:
        return
    if len(found.accuracies) == found.splits:
        st.markdown(f"**{verdicts.luck(found, run.report, run.config).words}**")
    own, name = run.report.validation_accuracy, "your run"
    if not verdicts.is_head_alone(run.config) and found.own is not None:
        own, name = found.own, "your split"
    show_figure(plots.luck_strip(found, own, name), "luck", "The accuracy on other splits, and that of this run")


def luck_progress(found: Repeated) -> Progress:
    return Progress(found.words, len(found.accuracies) / max(1, found.splits))


# --- How many photos -------------------------------------------------------------------------------------------------


def show_needed(run: Run) -> None:
    request = LearningCurveRequest(str(run.folder), runs.ended(run.folder))
    found = grow("core.transfer.photos_needed:run", request, draw_needed, needed_progress, "needed")
    if found is not None:
        repeats = len(found.accuracies[0])
        st.caption(
            f"At each number {repeats} heads were trained for equally long, each on other photos, {UNCHANGED} "
            "All were tested on the same photos held back. The band is one standard deviation."
        )


def draw_needed(found: LearningCurve | None) -> None:
    if found is None or not any(found.accuracies):
        return
    if found.done == found.total:
        st.markdown(f"**{verdicts.needed(found).words}**")
    show_figure(
        plots.learning_curve(found), "needed", "The accuracy by how many photos of each class were learned from"
    )


def needed_progress(found: LearningCurve) -> Progress:
    return Progress(found.words, found.done / max(1, found.total))
