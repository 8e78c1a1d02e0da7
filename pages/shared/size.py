"""At which photo size a network's layers are looked at: its own, or another one as far as they exist there."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from core.architecture import takes_any_size
from core.engine import EngineError
from core.errors import UserError
from core.messages import LayerInfo, ModelInfo, own_size
from pages.shared import links
from pages.shared.viewing import submit
from pages.shared.waiting import outcome_of, show_error
from pages.shared.words import in_markdown

Size = tuple[int, int]
LEAST, MOST = 8, 1024  # pixels a side that a link may name
USUAL = (56, 112, 224, 448)  # beside multiples of the network's own
LARGEST = 512  # of those that are offered: what is larger takes long


def choose_size(page: str, info: ModelInfo) -> ModelInfo:
    """The same network at the size that a person chooses in the sidebar; it stays as it is at its own."""
    if not can_be_resized(info):
        links.publish(page, size=None)
        return info
    own = info.input_size
    widget = links.restore(page, "size", own, parse=size_in)
    # A size that was chosen for another network need not be one of this network's.
    belongs, name = links.key(page, "size_of"), info.ref.name
    if st.session_state.setdefault(belongs, name) != name:
        st.session_state[belongs], st.session_state[widget] = name, own
    if not is_possible(st.session_state[widget]):
        st.session_state[widget] = own
    chosen = st.session_state[widget]
    with st.sidebar, st.popover(f"Photo size: {words_of(chosen)}", icon=":material/aspect_ratio:", width="stretch"):
        st.selectbox(
            "Photo size",
            sorted({*sizes_for(own), chosen}),
            format_func=lambda size: words_of(size) + (" (its own)" if size == own else ""),
            key=widget,
            persist_state="session",
            help="Convolutions can look at photos of any size: at a larger one their maps have more cells, and each "
            "still sees as many pixels. What comes behind a flattening was trained on one size, and knows no other.",
        )
        st.caption("The size to which the photo is cut and resized before the network sees it: height × width.")
    links.publish(page, size="x".join(map(str, chosen)) if chosen != own else None)
    return info if chosen == own else at_size(info, chosen)


def can_be_resized(info: ModelInfo) -> bool:
    """Whether any layer may exist at another size: one that makes maps of a photo."""
    return info.reads == "photo" and any(layer.is_spatial for layer in info.layers)


def at_size(info: ModelInfo, size: Size) -> ModelInfo:
    """The network at that size, with a sentence about what is lost; at its own size where nothing would be left."""
    job = submit("core.backbones.loading:describe", replace(info.ref, size=size), kind="study")
    with st.sidebar:
        try:
            found = outcome_of(job, "Fitting the network to that size")
        except (UserError, EngineError) as error:
            show_error(error)
            return info
        st.caption(in_markdown(what_is_there(info, found)))
    return found


def what_is_there(own: ModelInfo, other: ModelInfo) -> str:
    """What exists at the other size, and what does not."""
    here, there = words_of(other.input_size), words_of(own.input_size)
    kept = {layer.name for layer in other.layers}
    lost = [layer for layer in own.layers if layer.name not in kept]
    if not lost:
        return f"At {here} all of its layers can be seen, and its answer."
    first = next(place for place, layer in enumerate(own.layers) if layer.name not in kept)
    # Layers of other branches may come after the first one that is lost.
    whole = not kept & {layer.name for layer in own.layers[first:]}
    last = own.layers[first - 1].name
    seen = f"its layers up to “{last}” can be seen" if whole else f"{len(lost)} of its layers cannot be seen"
    answer = own.answer in {layer.name for layer in lost}
    return f"At {here} {seen}; its answer exists only at {there}." if answer else f"At {here} {seen}."


def only_size(info: ModelInfo, layer: LayerInfo) -> int | None:
    """The one side in pixels of pictures that `layer` can look at; `None` where any will do."""
    if not info.sizes_fixed or takes_any_size(info.layers, layer):
        return None
    return min(info.own_size or info.input_size)


def can_be_drawn(info: ModelInfo, layer: LayerInfo) -> bool:
    """Whether a filter of it can: pictures of filters are square."""
    height, width = info.own_size or info.input_size
    return only_size(info, layer) is None or height == width


def drawing_size(info: ModelInfo, layer: LayerInfo, method: str) -> int:
    """The side in pixels at which `method` draws the layer's filters where no other is asked for."""
    return only_size(info, layer) or own_size(method)


def sizes_for(own: Size) -> list[Size]:
    """Its own, twice and four times as much, half as much, and the usual squares, none of them huge or tiny."""
    height, width = own
    multiples = [(height * 2, width * 2), (height * 4, width * 4), (height // 2, width // 2)]
    squares = [(side, side) for side in USUAL]
    offered = [size for size in dict.fromkeys([*multiples, *squares]) if min(size) >= 16 and max(size) <= LARGEST]
    return [own, *(size for size in offered if size != own)]


def words_of(size: Size) -> str:
    return f"{size[0]} × {size[1]}"


def size_in(text: str) -> Size:
    """`"112x112"` -> (112, 112); raises `ValueError` for what is no size."""
    height, width = (int(part) for part in text.split("x"))
    if not is_possible((height, width)):
        raise ValueError(text)
    return height, width


def is_possible(size: Size) -> bool:
    return all(LEAST <= side <= MOST for side in size)
