"""Before class: whole layers are queued, drawn one after the other and kept, and then there at once for everybody."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from core import plots
from core.engine import Job
from core.messages import ModelInfo, Mosaic, RenderRequest, own_size
from pages.shared import drawings
from pages.shared.choices import drawable
from pages.shared.controls import seconds_words
from pages.shared.resources import lesson
from pages.shared.size import can_be_drawn, only_size
from pages.visualizer.common import key

LAYERS = key("lesson_layers")
REFRESH = 2.0  # seconds between two looks at the jobs
MOST = 64  # mosaics in the list


def show(info: ModelInfo, request: RenderRequest | None) -> None:
    """`request` is what the page would draw now: its method, size, steps and seed hold for all layers."""
    with st.expander("Render these layers before class", icon=":material/event_note:"):
        st.markdown(
            "Choose layers and let them be drawn ahead, by the method and the settings on the left. They are kept on "
            "this machine: in class they are there at once, for everybody."
        )
        choose_and_queue(info, request)
        prepared = [each for each in lesson().values() if each.model == info.ref]
        if prepared:
            waiting = any(not _over(each) for each in prepared)
            st.fragment(_list, run_every=REFRESH if waiting else None)(prepared)


def choose_and_queue(info: ModelInfo, request: RenderRequest | None) -> None:
    names = [layer.name for layer in drawable(info) if can_be_drawn(info, layer)]
    chosen = st.session_state.get(LAYERS, [])
    st.session_state[LAYERS] = [name for name in chosen if name in names]
    layers = st.multiselect(
        "Layers",
        names,
        key=LAYERS,
        persist_state="session",
        placeholder="Choose layers",
        help="Each becomes a mosaic of its own. Type to search.",
    )
    every = st.toggle(
        "All filters of each layer, not only the first 64",
        key=key("lesson_all"),
        persist_state="session",
        help="A layer with 320 filters then gives five mosaics of 64.",
    )
    wanted = requests_for(info, layers, request, every=every) if request else []
    words = f"Draw {len(wanted)} mosaic{'s' * (len(wanted) != 1)}" if wanted else "Draw them"
    pressed = st.button(
        words,
        key="queue_layers",
        icon=":material/playlist_add:",
        disabled=not wanted,
        help="They wait behind what others here have asked for.",
    )
    if pressed:
        for each in wanted[:MOST]:
            remember(each, drawings.start(each, keep=True))
        st.toast(
            f"{len(wanted[:MOST])} in the queue." if len(wanted) <= MOST else f"The first {MOST} are in the queue."
        )


def requests_for(info: ModelInfo, layers: list[str], like: RenderRequest, *, every: bool) -> list[RenderRequest]:
    """One request for each page of 64 filters of each layer; without `every`, for the first page only."""
    known = {layer.name: layer for layer in drawable(info)}
    own = next((only_size(info, layer) for layer in info.layers if layer.name == like.layer), None)
    usual = own_size(like.method) if own else like.size
    found = []
    for name in layers:
        layer = known[name]
        count, size = layer.channels or 1, only_size(info, layer) or usual
        starts = range(0, count, plots.PAGE) if every else (0,)
        for start in starts:
            filters = tuple(range(start, min(start + plots.PAGE, count)))
            found.append(replace(like, layer=name, filters=filters, size=size))
    return found


def remember(request: RenderRequest, drawing: drawings.Drawing) -> None:
    """In the list, which everybody sees; the oldest leave it."""
    requests = lesson()
    requests.pop(drawing.id, None)
    requests[drawing.id] = request
    for id in list(requests)[:-MOST]:
        del requests[id]


def _over(request: RenderRequest) -> bool:
    drawing = drawings.known(request)
    return drawing is None or drawing.snapshot().over


def _list(prepared: list[RenderRequest]) -> None:
    for request in prepared:
        drawing = drawings.known(request)
        name, state, open_ = st.columns([4, 4, 2], vertical_alignment="center")
        name.text(f"{request.layer}, {request.filters[0]} to {request.filters[-1]}")
        state.text(state_words(drawing))
        open_.button(
            "Open",
            key=f"open {request!r}",
            on_click=_open,
            args=(request, drawing),
            disabled=drawing is None,
            width="stretch",
            help="Shows it above. The page's address is then the link to it.",
        )
    if all(_over(request) for request in prepared) and st.session_state.pop(key("lesson_busy"), False):
        st.rerun()  # nothing moves any more: the list need not be looked at again
    st.session_state[key("lesson_busy")] = any(not _over(request) for request in prepared)


def state_words(drawing: drawings.Drawing | None) -> str:
    """How far one of them is, in a few words."""
    if drawing is None:
        return "not drawn"
    snapshot = drawing.snapshot()
    if snapshot.state == "queued":
        left = seconds_words(snapshot.wait_seconds)
        return (f"waiting, number {snapshot.place}" if snapshot.place else "waiting") + (f", {left}" if left else "")
    if snapshot.state == "running":
        latest = snapshot.latest
        if not isinstance(latest, Mosaic):
            return "getting ready"
        left = seconds_words(latest.seconds_left)
        return f"step {latest.step} of {latest.steps}" + (f", {left} left" if left else "")
    if snapshot.state == "done":
        return "ready"
    return "stopped" if snapshot.state == "cancelled" else snapshot.error or "failed"


def _open(request: RenderRequest, drawing: drawings.Drawing | Job) -> None:
    """Choose what was asked for, as if by hand."""
    state = {
        "layer": request.layer,
        "choose": "page",
        "first": request.filters[0],
        "count": len(request.filters),
        "method": request.method,
        "size": None if request.size == own_size(request.method) else request.size,
        "steps": request.steps,
        "rate": None if request.learning_rate is None else int(request.learning_rate),
        "seed": request.seed,
        "shown": (request, drawing),
    }
    for name, value in state.items():
        st.session_state[key(name)] = value
