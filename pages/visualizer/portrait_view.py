"""One filter, or one class, drawn large: the picture, how it came about, and what can be taken home."""

from __future__ import annotations

import math

import streamlit as st

from core import plots, samples
from core.messages import Frame, Portrait, Trust
from pages.shared import links
from pages.shared.choices import offer, show_picture
from pages.shared.words import in_markdown
from pages.visualizer import saving
from pages.visualizer.common import PAGE, key

BADGES = {"strong": ("trust: strong", "green"), "fair": ("trust: fair", "orange"), "weak": ("trust: weak", "red")}


def show_latest(portrait: Portrait, words: str) -> None:
    """The latest stage; a transparent one as it is."""
    show_picture(portrait.png or portrait.frames[-1].picture, words)


def show_steps(portrait: Portrait, words: str) -> None:
    """The picture after the step that the slider chooses, and how the score rose until then."""
    picture = st.container(key="steps")  # above the slider that it answers to: what one looks at must not jump
    frame = choose_frame(portrait)
    with picture:
        show_picture(frame.picture, f"{words} after {frame.step} steps")
    show_curve(portrait, frame)


def show_curve(portrait: Portrait, frame: Frame) -> None:
    """How the score rose."""
    st.plotly_chart(
        plots.score_curve(portrait.frames, frame.step),
        width="stretch",
        key="scores",
        theme=None,
        config={"displayModeBar": False},
        alt=f"The score by step, up to {portrait.frames[-1].score:.3g}",
    )


def choose_frame(portrait: Portrait) -> Frame:
    frames = {frame.step: frame for frame in portrait.frames}
    last = portrait.frames[-1].step
    if len(frames) == 1:
        return frames[last]
    step = st.select_slider(
        "Step",
        list(frames),
        key=links.restore(PAGE, "step", last, allowed=frames, parse=int),
        persist_state="session",
        help="Go back to the noise at the start and watch the pattern grow out of it.",
    )
    links.publish(PAGE, step=step if step != last else None)
    return frames[step]


def follow_the_last_step() -> None:
    """Another picture begins: its slider is to stand at its end."""
    st.session_state.pop(key("step"), None)


def offer_files(portrait: Portrait, stem: str) -> None:
    with st.container(horizontal=True, gap="small"):
        if portrait.png:
            offer("Save the picture", portrait.png, f"{stem}.png", "image/png", "save_portrait", "A PNG file.")
        if len(portrait.frames) > 1:
            saving.offer_animation(portrait.frames, stem)


def badge(trust: Trust) -> None:
    words, colour = BADGES[trust.level]
    st.badge(words, color=colour, help="How far the picture tells what the filter looks for: see Trust.")


def trust_words(trust: Trust, who: str = "The filter") -> str:
    """What the network said to the picture, as a sentence; `who` answers."""
    captions = {sample.name: sample.caption for sample in samples.PHOTOGRAPHS}
    photo = in_markdown(captions.get(trust.photo_name, trust.photo_name))
    answers = (
        f"{who} answers **{_short(trust.tile)}** to its own picture, **{_short(trust.noise)}** to noise and "
        f"**{_short(trust.photo)}** to the best sample photo ({photo})."
    )
    meaning = {
        "strong": "Nothing that was tried excites it more: this is what it looks for.",
        "fair": "The photo excites it more than the picture does: there is more to it than the picture shows.",
        "weak": "Noise excites it as much: do not trust this picture.",
    }
    return f"{answers} {meaning[trust.level]}"


def show_trust(trust: Trust) -> None:
    st.plotly_chart(
        plots.trust_bars(trust),
        width="stretch",
        key="trust",
        theme=None,
        config={"displayModeBar": False},
        alt="How strongly the filter answers to its picture, to noise and to the best photo",
    )
    st.markdown(trust_words(trust))


def _short(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "nothing"
