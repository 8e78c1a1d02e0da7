"""All channels of one layer, 64 on a page; the chosen one beside them."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core import plots
from core.messages import LayerInfo
from pages.explorer import channel_panel
from pages.explorer.common import PAGE, Scene, activations
from pages.shared import links

NAMES = ("page", "channel", *channel_panel.NAMES)


def show(scene: Scene) -> None:
    found = activations(scene)
    values = found.values[scene.layer.name]
    left, right = st.columns([3, 2], gap="medium")
    with left:
        if not scene.layer.is_spatial:
            show_units(scene, values)
            return
        channel = show_maps(scene.layer, values)
    with right:
        channel_panel.show(scene, channel, found)


def show_maps(layer: LayerInfo, values: np.ndarray) -> int:
    """The grid of channels; returns the one that is chosen."""
    channels = choose_page(values.shape[-1])
    channel = choose_channel(layer, values, channels)
    show_grid(plots.stitch_channels(values, channels), channel, layer)
    return channel


def choose_page(count: int) -> list[int]:
    """The channels on show: 64 at a time."""
    pages = -(-count // plots.PAGE)
    widget = links.restore(PAGE, "page", 1, allowed=range(1, pages + 1), parse=int)
    if pages > 1:
        page = st.segmented_control(
            "Channels",
            range(1, pages + 1),
            format_func=lambda page: f"{(page - 1) * plots.PAGE}–{min(page * plots.PAGE, count) - 1}",
            key=widget,
            persist_state="session",
            required=True,
        )
    else:
        page = 1
    links.publish(PAGE, page=page if page > 1 else None)
    return list(range((page - 1) * plots.PAGE, min(page * plots.PAGE, count)))


def choose_channel(layer: LayerInfo, values: np.ndarray, shown: list[int]) -> int:
    """The channel of the link or the last click; for a new layer or page, the liveliest of those on show."""
    key = links.restore(PAGE, "channel", None, allowed=range(values.shape[-1]), parse=int)
    belongs_to = links.key(PAGE, "channel_of")
    changed = st.session_state.get(belongs_to, layer.name) != layer.name
    st.session_state[belongs_to] = layer.name
    if changed or st.session_state[key] not in shown:
        st.session_state[key] = shown[int(np.argmax(values[:, :, shown].std(axis=(0, 1))))]
    links.publish(PAGE, channel=st.session_state[key])
    return st.session_state[key]


def show_grid(grid: plots.Grid, channel: int, layer: LayerInfo) -> None:
    def choose() -> None:
        points = st.session_state["grid"].selection.points
        # A second click on the same number sends an empty selection: it means "keep".
        if points:
            st.session_state[links.key(PAGE, "channel")] = int(points[0]["customdata"])

    st.plotly_chart(
        plots.channel_grid(grid, channel),
        width="stretch",
        key="grid",
        on_select=choose,
        selection_mode="points",
        theme=None,
        config={"displayModeBar": False},
        alt=f"The maps of {len(grid.channels)} channels of {layer.name} as coloured tiles",
    )
    cells = "" if grid.reduced == 1 else f" Each drawn cell is the mean of {grid.reduced} × {grid.reduced} cells."
    meaning = (
        "White is zero, red above, blue below."
        if grid.range.signed
        else "Dark is zero: the channel does not find its pattern there. Bright is a strong answer."
    )
    st.caption(
        f"{meaning} One colour scale for all. Point at a map for its values; click its number to see it large.{cells}"
    )


def show_units(scene: Scene, values: np.ndarray) -> None:
    links.publish(PAGE, channel=None, page=None)
    names = scene.info.class_names if scene.layer.name == scene.info.layers[-1].name else None
    shown = min(20, len(values))
    st.subheader(f"The {shown} strongest of {len(values)} units", anchor=False)
    st.plotly_chart(
        plots.unit_bars(values, names, shown),
        width="stretch",
        key="units",
        theme=None,
        config={"displayModeBar": False},
        alt=f"The strongest units of {scene.layer.name}",
    )
