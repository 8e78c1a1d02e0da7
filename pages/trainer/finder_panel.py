"""A short run in which the learning rate rises until the loss explodes: which rate to take."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from core import plots
from core.messages import ModelRef, Progress
from core.transfer import settings
from core.transfer.requests import Finder, FinderRequest, TrainingConfig
from pages.shared.choices import show_figure
from pages.trainer import recipe
from pages.trainer.common import Bench, key
from pages.trainer.long_work import when_asked

TASK = "core.transfer.finder:run"
STEPS_FROM_SCRATCH = 40  # each of them goes through the whole network, and back
# What a rate is found without: a run that differs only in these has found it already.
UNASKED = (
    *("out", "preset", "epochs", "learning_rate", "schedule", "patience", "eager", "variants", "fine_tune_epochs"),
    *("fine_tune_share", "fine_tune_from", "fine_tune_learning_rate", "fine_tune_optimizer"),
)
PLAIN = TrainingConfig("", ModelRef(""), "")


def show(bench: Bench) -> None:
    if not bench.config.data:
        st.info("Choose photos first, under *Photos*.")
        return
    stopped = "Stopped before the rate was found."
    found = when_asked(TASK, request_of(bench.config), draw, progress_of, stopped=stopped, invite=invite)
    if found is not None:
        say(found)
        draw(found)


def invite() -> bool:
    st.markdown(
        "A short run for trying: at each step the rate is a little higher, from far too small to far too large. Where "
        "the loss falls most steeply is a good rate; where it explodes the steps are too large."
    )
    return st.button(
        "Look for a rate",
        key=key("find rate"),
        type="primary",
        icon=":material/troubleshoot:",
        help="Takes some seconds. What is learned in it is thrown away.",
    )


def request_of(config: TrainingConfig) -> FinderRequest:
    asked = replace(config, **{name: getattr(PLAIN, name) for name in UNASKED})
    if not config.from_scratch:
        return FinderRequest(replace(asked, augmentation=None))
    return FinderRequest(asked, steps=STEPS_FROM_SCRATCH)


def say(found: Finder) -> None:
    """The suggestion, and the button that takes it."""
    if found.suggestion is None:
        st.warning(
            "The loss did not fall at any rate: there is nothing to suggest. Look at the photos and the labels, or "
            "choose a trained network.",
            icon=":material/trending_flat:",
        )
        return
    rate = recipe.step_of_slider(found.suggestion)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            "The loss falls most steeply at a rate of about **" + f"{settings.rate_words(rate)}**.",
            width="content",
            help="Of the smoothed loss, and never more than a tenth of the rate with the lowest loss: the rules of "
            "fastai's finder (Smith 2015; Gugger 2018).",
        )
        chosen = recipe.value("rate") == rate
        st.button(
            "Taken" if chosen else f"Use {settings.rate_words(rate)}",
            key=key("use rate"),
            type="secondary" if chosen else "primary",
            icon=":material/check:",
            disabled=chosen,
            on_click=recipe.use_rate,
            args=(found.suggestion,),
            help="Puts the learning rate there.",
        )


def draw(found: Finder | None) -> None:
    if found is not None and found.losses:
        if found.suggestion is not None:  # as it is said above, and as the slider can take it
            found = replace(found, suggestion=recipe.step_of_slider(found.suggestion))
        show_figure(
            plots.finder_curve(found, recipe.value("rate")),
            "finder",
            "The loss at each rate, and the best one",
        )


def progress_of(found: Finder) -> Progress:
    return Progress(found.words, found.step / max(1, found.steps))
