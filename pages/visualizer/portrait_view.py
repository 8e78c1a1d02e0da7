"""One filter, or one class, drawn large: the picture, how it came about, and what can be taken home."""

from __future__ import annotations

import streamlit as st

from core import plots
from core.messages import Frame, Portrait, Trust
from pages.shared import links, tiles
from pages.shared.choices import offer, show_figure, show_picture
from pages.shared.trust import trust_words
from pages.visualizer import saving
from pages.visualizer.common import PAGE, key


def show_latest(portrait: Portrait, words: str) -> None:
    """The latest stage; a transparent one as it is."""
    show_picture(tiles.crisp(portrait.png or portrait.frames[-1].picture), words)


def show_steps(portrait: Portrait, words: str) -> None:
    """The picture after the step that the slider chooses, and how the score rose until then."""
    picture = st.container(key="steps")  # above the slider that it answers to: what one looks at must not jump
    frame = choose_frame(portrait)
    with picture:
        show_picture(tiles.crisp(frame.picture), f"{words} after {frame.step} steps")
    show_curve(portrait, frame)


def show_curve(portrait: Portrait, frame: Frame) -> None:
    """How the score rose."""
    show_figure(
        plots.score_curve(portrait.frames, frame.step),
        "scores",
        f"The score by step, up to {portrait.frames[-1].score:.3g}",
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


def show_trust(trust: Trust) -> None:
    show_figure(
        plots.trust_bars(trust),
        "trust",
        "How strongly the filter answers to its picture, to noise and to the best photo",
    )
    st.markdown(trust_words(trust))
