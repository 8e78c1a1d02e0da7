"""The same step of training with `tf.function` and without, side by side."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from core import plots
from core.messages import Progress
from core.transfer.requests import GraphWorth, GraphWorthRequest, TrainingConfig
from pages.shared.choices import show_figure
from pages.trainer.common import Bench, choose_one, key
from pages.trainer.long_work import when_asked

TASK = "core.transfer.graph_worth:run"
PHASES = {"head": "The head's step", "network": "The whole network's step"}
STEPS = {"head": 30, "network": 5}
NAMES = ("worth",)


def show(bench: Bench) -> None:
    if not bench.config.data:
        st.info("Choose photos first, under *Photos*.")
        return
    phase = choose_one(
        "Of which step",
        "worth",
        PHASES,
        "The head on features that are computed already: little work in many small operations. The whole network, as "
        "in fine-tuning: much work in each operation.",
        label_visibility="collapsed",
    )
    request = request_of(bench.config, phase)
    worth = when_asked(TASK, request, draw, progress_of, stopped="Stopped.", invite=invite)
    if worth is not None:
        say(worth)
        draw(worth)


def invite() -> bool:
    st.markdown(
        "Eagerly, Python starts every operation by itself and waits for it. `tf.function` runs the step's Python once, "
        "notes the operations as a graph, and from then on runs that: without Python, several at a time."
    )
    return st.button(
        "Measure it",
        key=key("measure graph"),
        type="primary",
        icon=":material/speed:",
        help="Runs the step both ways, by turns. Takes some seconds, for the whole network longer.",
    )


def request_of(config: TrainingConfig, phase: str) -> GraphWorthRequest:
    """Without what changes no step."""
    asked = replace(config, out="", preset="", epochs=1, schedule="constant", patience=None, eager=False, variants=4)
    if phase == "head":
        asked = replace(asked, augmentation=None, from_scratch=False)
    return GraphWorthRequest(asked, phase, STEPS[phase])


def say(worth: GraphWorth) -> None:
    """What was measured, in sentences."""
    eager, compiled = plots.step_milliseconds(worth)
    tracing, saved = 1000 * worth.tracing, eager - compiled
    words = f"A step takes **{number(eager)} ms** eagerly and **{number(compiled)} ms** as a graph: "
    if saved <= 0:
        st.markdown(words + "here the graph is worth nothing; the time goes into the operations themselves.")
        return
    steps = max(1, round((tracing - compiled) / saved))
    st.markdown(
        words + f"**{eager / compiled:.1f} times as fast**. Tracing it took {number(tracing)} ms, once, which is won "
        f"back after {steps:,} steps."
    )


def number(milliseconds: float) -> str:
    return f"{milliseconds:,.0f}" if milliseconds >= 10 else f"{milliseconds:.1f}"


def draw(worth: GraphWorth | None) -> None:
    if worth is not None and worth.eager:
        show_figure(plots.step_times(worth), "step times", "Milliseconds of one step, eagerly and as a graph")


def progress_of(worth: GraphWorth) -> Progress:
    return Progress(worth.words, len(worth.eager) / max(1, worth.steps))
