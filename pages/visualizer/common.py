"""What the views of the Filter Visualizer share: names, and controls for how a picture is drawn."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.messages import LayerInfo, ModelInfo
from pages.shared import links

PAGE = "visualizer"
METHODS = {"lucid": "Clear", "fast": "Fast", "textbook": "Textbook"}
STEPS = (None, 1, 2, 5, 10, 20, 30, 50, 100, 200)
SEEDS = range(2**31)


def key(name: str) -> str:
    return links.key(PAGE, name)


def choose_one(
    words: str, name: str, options: Mapping[Any, str], help_text: str, *, default: Any = None, **look: Any
) -> Any:
    """One of a few, all in view, by their words; in the page's link unless it is the first."""
    first = next(iter(options)) if default is None else default
    value = st.segmented_control(
        words,
        list(options),
        format_func=options.get,
        key=links.restore(PAGE, name, first, allowed=options),
        persist_state="session",
        required=True,
        help=help_text,
        **look,
    )
    links.publish(PAGE, **{name: value if value != first else None})
    return value


def choose_number(words: str, name: str, options: tuple, help_text: str, *, default: Any = None) -> Any:
    """One of `options` on a slider; in the page's link unless it is `default`. `None` leaves it to the method."""
    if default not in options:
        options = tuple(sorted({*options, default}))
    value = st.select_slider(
        words,
        options,
        format_func=lambda option: "the method's own" if option is None else f"{option:g}",
        key=links.restore(PAGE, name, default, allowed=options, parse=type(options[-1])),
        persist_state="session",
        help=help_text,
    )
    links.publish(PAGE, **{name: value if value != default else None})
    return value


def choose_steps(name: str) -> int | None:
    return choose_number(
        "Steps", name, STEPS, "How often the picture is changed. More steps: clearer patterns, longer waiting."
    )


def choose_seed() -> int:
    seed = st.number_input(
        "Seed",
        0,
        SEEDS[-1],
        key=links.restore(PAGE, "seed", 0, allowed=SEEDS, parse=int),
        persist_state="session",
        help="The number that the starting noise is made from. The same seed gives the same picture.",
    )
    links.publish(PAGE, seed=int(seed) or None)
    return int(seed)


def show_picture(data: bytes, words: str, *, caption: str | None = None) -> None:
    """A PNG or WebP picture that may be replaced at any moment, with `words` for those who cannot see it.

    It travels with the page: a file of its own is gone from the server before a slow browser has asked for it.
    """
    kind = "png" if data.startswith(b"\x89PNG") else "webp"
    uri = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    st.image(uri, width="stretch", caption=caption, alt=words)


def drawable(info: ModelInfo) -> list[LayerInfo]:
    """The layers that have channels."""
    return [layer for layer in info.layers if layer.is_spatial or len(layer.output_shape) == 1]


def ask(place: DeltaGenerator, words: str, name: str, help_text: str, *, changed: bool, possible: bool = True) -> bool:
    """The button that begins the work, in the row of the title; it says so where the settings have changed."""
    with place:
        if changed:
            st.caption(f"The settings have changed: press **{words}**.", width="content")
        return st.button(
            words,
            type="primary" if changed else "secondary",
            icon=":material/brush:",
            key=name,
            disabled=not possible,
            help=help_text,
        )
