"""Choices that are part of a page's link, pictures that change, files to take home: for the views of all pages."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any, Literal

import plotly.graph_objects as go
import streamlit as st

from core.architecture import is_drawable
from core.messages import LayerInfo, ModelInfo
from pages.shared import links


def choose_one(
    page: str, words: str, name: str, options: Mapping[Any, str], help_text: str, *, default: Any = None, **look: Any
) -> Any:
    """One of a few, all in view, by their words; in the page's link unless it is the first."""
    first = next(iter(options)) if default is None else default
    value = st.segmented_control(
        words,
        list(options),
        format_func=options.get,
        key=links.restore(page, name, first, allowed=options),
        persist_state="session",
        required=True,
        help=help_text,
        **look,
    )
    links.publish(page, **{name: value if value != first else None})
    return value


def choose_number(page: str, words: str, name: str, options: tuple, help_text: str, *, default: Any = None) -> Any:
    """One of `options` on a slider; in the page's link unless it is `default`. `None` leaves it to the method."""
    if default not in options:
        options = tuple(sorted({*options, default}))
    value = st.select_slider(
        words,
        options,
        format_func=lambda option: "the method's own" if option is None else f"{option:g}",
        key=links.restore(page, name, default, allowed=options, parse=type(options[-1])),
        persist_state="session",
        help=help_text,
    )
    links.publish(page, **{name: value if value != default else None})
    return value


def show_picture(
    data: bytes, words: str, *, caption: str | None = None, width: int | Literal["stretch", "content"] = "stretch"
) -> None:
    """A PNG or WebP picture, with `words` for those who cannot see it.

    It travels with the page: a file of its own is gone from the server before a slow browser has asked for it.
    """
    kind = "png" if data.startswith(b"\x89PNG") else "webp"
    uri = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    st.image(uri, width=width, caption=caption, alt=words)


def drawable(info: ModelInfo) -> list[LayerInfo]:
    """The layers that have channels: maps, steps, volumes and vectors."""
    return [layer for layer in info.layers if is_drawable(layer)]


def offer(
    words: str, data: bytes | Callable[[], bytes], file_name: str, mime: str, key: str, help_text: str | None = None
) -> None:
    st.download_button(
        words,
        data,
        file_name,
        mime,
        key=key,
        help=help_text,
        on_click="ignore",
        icon=":material/download:",
    )


def show_figure(figure: go.Figure, key: str, words: str, **more: Any) -> Any:
    """A figure without a toolbar, in the colours of the browser's theme, with `words` for those who cannot see it."""
    return st.plotly_chart(
        figure, width="stretch", key=key, theme="streamlit", config={"displayModeBar": False}, alt=words, **more
    )


def show_in_room(figure: go.Figure, key: str, words: str, room: str, **more: Any) -> Any:
    """The same where there may be more room than on a small screen: at least as high as the figure says, and as high
    as `room`, a length of CSS, allows."""
    height = f"max({figure.layout.height}px, {room})"
    st.html(f"<style>.st-key-{key}_room {{ flex: none; height: {height}; }}</style>")
    with st.container(key=f"{key}_room"):
        return show_figure(figure, key, words, height="stretch", **more)
