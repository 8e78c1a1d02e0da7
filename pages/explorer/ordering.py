"""Which channels come first, which are on show, and which one is chosen: for every kind of layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core import channels as orders
from core import plots, statistics
from core.messages import EffectsRequest, LayerInfo
from pages.explorer.common import PAGE, Scene, ask, choose_one, key
from pages.shared import links
from pages.shared.choices import show_figure, show_in_room
from pages.shared.figures import figure_of
from pages.shared.words import in_markdown, label

ORDERS = {
    "index": "by number",
    "mean": "mean, highest first",
    "peak": "peak, highest first",
    "variance": "variance, largest first",
    "sparsity": "sparsity, fewest places first",
    "effect": "effect on the prediction",
}
# As large as the window allows, be it of a laptop or of a projector: {ratio} is the grid's height over its width, which
# is that of the left column; the colour scale below it takes 54 pixels.
ROOM = """<style>.st-key-grid_room {{
flex: none; height: min(max(600px, 100vh - 260px), ({ratio:.3f} * (0.6 * (100vw - 382px) - 16px)) + 54px);
}}</style>"""
KINDS = {  # by the rank of a layer's answer: what it has, and where that may be silent
    1: ("units", ""),
    2: ("units", " at every step"),
    3: ("channels", " everywhere"),
    4: ("channels", " everywhere"),
}
UNIT_ORDERS = {"peak": "value, highest first", "index": "by number", "effect": "effect on the prediction"}


def choose_order(scene: Scene, name: str, orders: dict[str, str]) -> str:
    """How the channels are sorted; by their effect only where the network tells a class that they could act on."""
    options = {by: words for by, words in orders.items() if by != "effect" or scene.predictions}
    first = next(iter(options))
    by = st.selectbox(
        "Order",
        list(options),
        format_func=lambda by: f"Order: {options[by]}",
        key=links.restore(PAGE, name, first, allowed=options),
        on_change=to_page_one,
        persist_state="session",
        width=300,
        label_visibility="collapsed",
        help="Which channels come first. The effect is an estimate of how much the best guess depends on each channel: "
        "gradient × activation, summed over its map.",
    )
    links.publish(PAGE, **{name: by if by != first else None})
    return by


def to_page_one() -> None:
    st.session_state[key("page")] = 1


def ranked(scene: Scene, values: np.ndarray, by: str) -> Sequence[int]:
    """All channels in the chosen order."""
    if by != "effect":
        return orders.order(values, by)
    request = EffectsRequest(scene.model, scene.photo, scene.layer.name, scene.predictions[0].index, exact=0)
    effects = ask("core.interventions:effects", request, "Finding out what depends on the channels", kind="study")
    return orders.order(np.abs(effects.approximate), "peak")


def about_order(scene: Scene, by: str) -> list[str]:
    """What the order means, where its name does not say it all."""
    if by != "effect":
        return []
    guess = in_markdown(label(scene.predictions[0].name))
    return [f"First come those on which the answer “{guess}” depends most, by an estimate: gradient × activation."]


def choose_page(ranking: Sequence[int], most: int, by: str) -> list[int]:
    """The channels on show, `most` at a time, with the way to all the others."""
    count = len(ranking)
    pages = -(-count // most)
    wanted = st.session_state[links.restore(PAGE, "channel", None, allowed=set(ranking), parse=int)]
    first = 1 if wanted is None else list(ranking).index(wanted) // most + 1
    widget = links.restore(PAGE, "page", first, allowed=range(1, pages + 1), parse=int)
    if pages > 1:
        step("‹", -1, pages, "The channels before these")
        st.selectbox(
            "Shown",
            range(1, pages + 1),
            format_func=lambda page: page_words(page, most, count, from_one=by != "index"),
            key=widget,
            persist_state="session",
            width=190,
            label_visibility="collapsed",
            help="Which of all channels are on show. ‹ and › go on to their neighbours.",
        )
        step("›", 1, pages, "The channels after these")
    page = st.session_state[widget] if pages > 1 else 1
    links.publish(PAGE, page=page if page > 1 else None)
    return list(ranking[(page - 1) * most : page * most])


def page_words(page: int, most: int, count: int, from_one: bool) -> str:
    """`64–127 of 320`: numbers of channels, or (from one) places in the order."""
    first = (page - 1) * most
    return f"{first + from_one}–{min(first + most, count) - 1 + from_one} of {count}"


def step(sign: str, by: int, pages: int, words: str) -> None:
    def turn() -> None:
        st.session_state[key("page")] = min(max(st.session_state[key("page")] + by, 1), pages)

    at_the_end = not 1 <= st.session_state[key("page")] + by <= pages
    st.button(sign, key=f"page{by:+d}", on_click=turn, disabled=at_the_end, help=words)


def choose_channel(layer: LayerInfo, values: np.ndarray, shown: list[int], by: str) -> int:
    """The channel of the link or the last click; for a new layer or page, one that is worth a look."""
    widget = links.restore(PAGE, "channel", None, allowed=range(values.shape[-1]), parse=int)
    belongs_to = key("channel_of")
    changed = st.session_state.get(belongs_to, layer.name) != layer.name
    st.session_state[belongs_to] = layer.name
    if changed or st.session_state[widget] not in shown:
        # In the order of the numbers the first may well be silent: the liveliest of those on show.
        liveliest = values.ndim > 1 and by == "index"
        st.session_state[widget] = orders.order(values[..., shown], "variance")[0] if liveliest else 0
        st.session_state[widget] = shown[st.session_state[widget]]
    links.publish(PAGE, channel=st.session_state[widget])
    return st.session_state[widget]


def choose_scale() -> bool:
    """Whether each map has a colour scale of its own."""
    scale = choose_one(
        "Colours",
        "scale",
        {"one": "one colour scale", "each": "one per channel"},
        "One scale compares channels with each other. One per channel shows the pattern of faint channels too.",
        label_visibility="collapsed",
    )
    return scale == "each"


def show_grid(scene: Scene, grid: plots.Grid, channel: int, words: str, part: str = "") -> None:
    """Maps as large as the window allows; a click on the number of one chooses its channel.

    `part` says of what part of the layer's answer they are, where they are not of all of it.
    """
    width, height = plots.layout_of(grid).size
    st.html(ROOM.format(ratio=height / width))
    of = f"grid {scene.model} {scene.photo} {scene.layer.name} {part} {grid.channels} {grid.common} {channel}"
    with st.container(key="grid_room"):
        click_on("grid", figure_of(of, lambda: plots.channel_grid(grid, channel)), words, height="stretch")


def click_on(name: str, figure: go.Figure, words: str, *, room: str | None = None, **look: Any) -> None:
    """A figure in which a click chooses the channel that is the last piece of a point's `customdata`.

    `room` is that of `show_in_room`.
    """

    def choose() -> None:
        points = st.session_state[name].selection.points
        # A second click on the same number sends an empty selection: it means "keep".
        if points:
            data = points[0]["customdata"]
            st.session_state[key("channel")] = int(data[-1] if isinstance(data, (list, tuple)) else data)

    show = show_figure if room is None else partial(show_in_room, room=room)
    show(figure, name, words, on_select=choose, selection_mode="points", **look)


def words_below(grid: plots.Grid, values: np.ndarray) -> str:
    """What the colours mean, and what is odd about the layer's answer to this photo."""
    if grid.signed:
        sentences = ["White is zero, red above, blue below."]
    else:
        sentences = ["Dark is zero: the channel does not find its pattern there. Bright is a strong answer."]
    sentences.append(
        "One colour scale for all." if grid.common else "Each map has its own colour scale, written below."
    )
    sentences.append("Point at a map for its values; click its number to see it large.")
    sentences += oddities(values)
    if grid.reduced > 1:
        sentences.append(f"Each drawn cell is the mean of {grid.reduced} × {grid.reduced} cells.")
    return " ".join(sentences)


def oddities(values: np.ndarray, seen: str = "photo") -> list[str]:
    """A sentence for each thing that is wrong with some channels, and for values that are not numbers."""
    count = values.shape[-1]
    kind, everywhere = KINDS[values.ndim]
    states = Counter(statistics.states(values))
    say = {
        statistics.SILENT: ("is silent", "are silent", f"0{everywhere}"),
        statistics.CONSTANT: ("is constant", "are constant", f"the same value{everywhere}"),
        statistics.NO_NUMBERS: ("has", "have", "no finite number at all"),
    }
    sentences = []
    for state, (one, several, what) in say.items():
        if states[state]:
            verb = one if states[state] == 1 else several
            link = " " if state == statistics.NO_NUMBERS else f" on this {seen}: "
            sentences.append(f"**{states[state]} of {count} {kind}** {verb}{link}{what}.")
    missing = int(values.size - np.isfinite(values).sum())
    if missing:
        verb = "value is" if missing == 1 else "values are"
        sentences.append(f"**{missing:,}** {verb} not a number, or infinite, and left blank.")
    return sentences
