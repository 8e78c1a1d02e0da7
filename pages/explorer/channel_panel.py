"""The chosen channel: what it answers, where, and to what else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import streamlit as st

from core import channels as orders
from core import plots, statistics
from core.messages import Activations
from pages.explorer import cell_panel, pattern_panel, photos_panel, steps_view, volume_view
from pages.explorer.common import PAGE, Scene, choose_one, choose_strength
from pages.shared import links
from pages.shared.choices import show_figure
from pages.shared.controls import photo_to_carry
from pages.shared.figures import figure_of
from pages.shared.router import VISUALIZER
from pages.shared.words import in_markdown, label


def show(scene: Scene, channel: int, found: Activations) -> None:
    """Parts about one channel, of which only the chosen one computes."""
    parts = {name: part for name, part in PARTS.items() if part.kind in ("", scene.layer.kind)}
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(title(scene, channel), anchor=False, width="content")
        offer_the_visualizer(scene, channel)
    part = choose_one(
        "About this channel",
        "part",
        {name: part.words for name, part in parts.items()},
        f"{HELP.get(scene.layer.kind, '')}Values: how strongly. Pattern: what it looks for. Photos: which ones excite "
        "it. "
        "Cell: how one value comes about.",
        label_visibility="collapsed",
    )
    others = {name for other in PARTS.values() for name in other.names} - set(parts[part].names)
    links.publish(PAGE, **dict.fromkeys(others))
    parts[part].show(scene, channel, found)


def title(scene: Scene, channel: int) -> str:
    """`Channel 41`, or `Unit 285: Egyptian cat`, as Markdown."""
    if scene.layer.kind in ("maps", "volume"):
        return f"Channel {channel}"
    names = class_names(scene)
    return f"Unit {channel}" if names is None else f"Unit {channel}: {in_markdown(names[channel])}"


def class_names(scene: Scene) -> list[str] | None:
    """What the units of a vector stand for: classes, where the layer is the network's last."""
    names = scene.info.class_names
    if names is None or scene.layer.name != scene.info.answer or len(names) != scene.layer.channels:
        return None
    return [label(name) for name in names]


def offer_the_visualizer(scene: Scene, channel: int) -> None:
    if st.button(
        "What is this filter looking for?",
        key="to_visualizer",
        icon=":material/texture:",
        help="Opens the Filter Visualizer with this filter's pattern drawn large.",
    ):
        links.go(
            VISUALIZER,
            "visualizer",
            model=scene.model.name,
            weights=links.weights_name(scene.model.weights),
            layer=scene.layer.name,
            view="filters",
            choose="page",
            first=channel // plots.PAGE * plots.PAGE,
            count=plots.PAGE,
            filter=channel,
            **photo_to_carry(PAGE),
        )


# --- On the photo ----------------------------------------------------------------------------------------------------


@st.fragment
def show_on_the_photo(scene: Scene, channel: int, found: Activations) -> None:
    """The channel's map over the photo. A fragment: the slider changes looks only, and nothing else runs."""
    # Drawn above the slider that it answers to: what one looks at must not jump when one moves the other.
    picture = st.empty()
    strength = choose_strength()
    values = found.values[scene.layer.name][:, :, channel]
    with picture:
        show_figure(
            figure_of(
                f"over {scene.model} {scene.photo} {scene.layer.name} {channel} {strength}",
                lambda: plots.channel_over_photo(values, found.seen, strength / 100),
            ),
            "large",
            f"Channel {channel} of {scene.layer.name} over the photo",
        )


# --- Values ----------------------------------------------------------------------------------------------------------


def show_values(scene: Scene, channel: int, found: Activations) -> None:
    """How often the channel gives which value, and how that compares with the layer's others."""
    values = found.values[scene.layer.name]
    numbers = statistics.of_channels(values)
    if values.ndim > 1:
        counted = plots.histogram(values[..., channel])
        show_figure(plots.histogram_bars(counted), "histogram", f"How often channel {channel} gives which value")
        if counted.missing:
            share, cells = 100 * counted.missing, CELLS[values.ndim]
            st.caption(f"{share:.0f} % of its {cells} are not numbers, or infinite, and not counted.")
    lines = [f"{what}: **{how_much}**" for what, how_much in facts(values, numbers, channel)]
    st.markdown("  \n".join(lines))


def facts(values: np.ndarray, numbers: statistics.Statistics, channel: int) -> list[tuple[str, str]]:
    """What is known about the channel, in words: (what, how much)."""
    if numbers.states[channel] == statistics.NO_NUMBERS:
        return [("value", "not a number")]
    count = values.shape[-1]
    place = {by: orders.order(values, by).index(channel) + 1 for by in ("mean", "peak")}
    if values.ndim == 1:
        return [
            ("value", f"{numbers.mean[channel]:.4g}"),
            ("place in the layer", f"{ordinal(place['peak'])} of {count}"),
        ]
    what = "units" if values.ndim == 2 else "channels"
    return [
        ("mean", f"{numbers.mean[channel]:.4g}, {ordinal(place['mean'])} of {count} {what}"),
        (
            "highest",
            f"{numbers.high[channel]:.4g}, {ordinal(place['peak'])} of {count} {what}, "
            f"at {place_words(numbers.peak[channel])}",
        ),
        ("lowest", f"{numbers.low[channel]:.4g}"),
        ("spread (standard deviation)", f"{numbers.std[channel]:.4g}"),
        ("exactly 0", f"{100 * numbers.zeros[channel]:.1f} % of its {values[..., 0].size:,} {CELLS[values.ndim]}"),
    ]


AXES = {1: ("step",), 2: ("row", "column"), 3: ("slice", "row", "column")}
CELLS = {2: "steps", 3: "cells", 4: "cells"}  # by the rank of the layer's answer


def place_words(place: Sequence[int]) -> str:
    """`row 3, column 5`; `step 7`; `slice 0, row 3, column 5`."""
    return ", ".join(f"{axis} {index}" for axis, index in zip(AXES[len(place)], place, strict=True))


def ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


# --- The parts -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """`names` are its query parameters; `kind` is that of the layers that it is for, "" for all."""

    words: str
    show: Callable[[Scene, int, Activations], None]
    names: tuple[str, ...] = ()
    kind: str = ""


HELP = {
    "maps": "Map: where it answers. ",
    "steps": "Steps: when it answers. ",
    "volume": "Slices: where it answers. ",
}
PARTS = {
    "photo": Part("Map", show_on_the_photo, ("blend",), "maps"),
    "steps": Part("Steps", steps_view.show_unit, ("blend",), "steps"),
    "slices": Part("Slices", volume_view.show_slices, (), "volume"),
    "values": Part("Values", show_values),
    "pattern": Part("Pattern", pattern_panel.show, pattern_panel.NAMES),
    "photos": Part("Photos", photos_panel.show, photos_panel.NAMES),
    "cell": Part("Cell", cell_panel.show, cell_panel.NAMES),
}
NAMES = ("part", *(name for part in PARTS.values() for name in part.names))
