"""Classes: what the network thinks that one of its classes looks like."""

from __future__ import annotations

import re

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.messages import LayerInfo, ModelInfo, Portrait, PortraitRequest
from pages.shared import drawings, links, tiles
from pages.shared.choices import show_picture
from pages.shared.size import can_be_drawn, only_size
from pages.shared.trust import trust_words
from pages.shared.words import in_markdown, label
from pages.visualizer import portrait_view
from pages.visualizer.common import (
    PAGE,
    ask,
    choose_number,
    choose_one,
    choose_seed,
    choose_steps,
    is_of,
    key,
    on_show,
    say_not_drawn,
)

SHOWN = key("class_shown")
CLASS = key("class")
SUGGESTED = key("suggested")
# Of ImageNet's classes those whose pictures one recognises.
GOOD_ONES = ("daisy", "peacock", "strawberry", "zebra", "volcano", "espresso")
SIZES = (64, 128, 256, 384)
NAMES = ("class", "class_method", "class_size", "class_steps", "seed", "step")


def show(info: ModelInfo, action: DeltaGenerator) -> None:
    if not has_classes(info):
        st.info(
            "This network has no list of classes to draw: its last layer is no classifier that Layerscope knows. "
            "Choose another network on the left.",
            icon=":material/category:",
        )
        return
    if not can_be_drawn(info, answer_of(info)):
        st.info("Classes are drawn as squares; this network takes only oblong pictures.", icon=":material/category:")
        return
    request, suggested = choose_request(info)
    shown = on_show(SHOWN, request)
    pressed = ask(
        action,
        "Draw",
        "draw_class",
        "Draws this class. What was drawn before, by anybody here, is there at once.",
        changed=shown is not None and request != shown[0] and not suggested,
    )
    if pressed or suggested or shown is None:
        shown = st.session_state[SHOWN] = request, drawings.start(request)
    chosen, drawing = shown
    if not is_of(chosen, info) or chosen.layer != info.answer:
        name = in_markdown(label(names_of(info)[request.filter]))
        say_not_drawn(f"Press **Draw** to see what this network thinks that a “{name}” looks like.")
        return
    drawings.show(
        drawing,
        lambda portrait: show_portrait(info, portrait, over=drawing.snapshot().over),
        kept="Stopped. The picture is kept as far as it came; press **Draw** to begin again.",
    )


def has_classes(info: ModelInfo) -> bool:
    answer = answer_of(info)
    return info.tells_classes and answer is not None and answer.output_shape == (len(names_of(info)),)


def names_of(info: ModelInfo) -> tuple[str, ...]:
    """What its classes are called; by their numbers where nobody has said it."""
    answer = answer_of(info)
    units = answer.channels if answer is not None and answer.kind == "vector" else 0
    return info.class_names or tuple(f"class {number}" for number in range(units or 0))


def answer_of(info: ModelInfo) -> LayerInfo | None:
    return next((layer for layer in info.layers if layer.name == info.answer), None)


def choose_request(info: ModelInfo) -> tuple[PortraitRequest, bool]:
    """What to draw, and whether a suggestion was clicked."""
    number, suggested = choose_class(info)
    fixed = only_size(info, answer_of(info))
    methods = {"lucid": "Clear", "maco": "Transparent (MACO)"}
    with st.sidebar:
        method = choose_one(
            "Method",
            "class_method",
            methods if fixed is None else {"lucid": "Clear"},
            "Clear: smooth, in natural colours. Transparent: clear where the network does not care, with the strengths "
            "of natural photos; takes longer.",
        )
        with st.expander("Settings"):
            size = fixed or choose_number(
                "Picture size in pixels", "class_size", SIZES, "Larger: more detail, longer waiting.", default=256
            )
            steps, seed = choose_steps("class_steps"), choose_seed()
    request = PortraitRequest(info.ref, info.answer, number, method, size, steps, seed=seed, objective="class")
    return request, suggested


def choose_class(info: ModelInfo) -> tuple[int, bool]:
    """A class by its name, and whether a suggestion was clicked: that draws at once."""
    names = names_of(info)
    suggestions = suggested_classes(names)
    widget = links.restore(PAGE, "class", suggestions[0], allowed=range(len(names)), parse=int)
    suggested = st.session_state.pop(SUGGESTED, False)
    left, right = st.columns([2, 3], gap="medium", vertical_alignment="bottom")
    number = left.selectbox(
        "Class",
        range(len(names)),
        format_func=lambda index: label(names[index]),
        key=widget,
        persist_state="session",
        help="One of the things that the network can tell apart. Type to search.",
    )
    with right.container(horizontal=True, gap="small"):
        for index in suggestions:
            st.button(
                in_markdown(label(names[index], 20)),
                key=f"class_{index}",
                on_click=_suggest,
                args=(index,),
                help="Draws this class.",
            )
    links.publish(PAGE, **{"class": number})
    return number, suggested


def _suggest(index: int) -> None:
    st.session_state[CLASS], st.session_state[SUGGESTED] = index, True
    portrait_view.follow_the_last_step()


def suggested_classes(names: tuple[str, ...]) -> list[int]:
    """Up to six classes to begin with."""
    found = [names.index(name) for name in GOOD_ONES if name in names]
    return found or list(range(min(6, len(names))))


def show_portrait(info: ModelInfo, portrait: Portrait | None, *, over: bool) -> DeltaGenerator | None:
    if portrait is None:
        st.caption("The first picture comes a few seconds after the drawing has begun.")
        return None
    name = in_markdown(label(names_of(info)[portrait.filter]))
    left, right = st.columns(2, gap="medium")
    with left, st.container(key="class_picture"):
        place, below = st.container(), st.container()
    with right:
        st.subheader(f"What the network thinks a “{name}” looks like", anchor=False)
        frame = show_history(portrait) if over else None
        if portrait.silent:
            st.warning("Nothing that was tried makes the network say this.", icon=":material/volume_off:")
        if portrait.trust is not None:
            st.markdown(trust_words(portrait.trust, "The network’s unit for this class"))
        if over:
            stem = re.sub(r"[^\w-]+", "_", names_of(info)[portrait.filter])[:40]
            portrait_view.offer_files(portrait, f"class_{portrait.filter}_{stem}")
    with place:
        if frame is None or frame is portrait.frames[-1]:
            portrait_view.show_latest(portrait, f"A picture of the class {name}")
        else:
            show_picture(tiles.crisp(frame.picture), f"The class {name} after {frame.step} steps")
    return below


def show_history(portrait: Portrait):
    frame = portrait_view.choose_frame(portrait)
    portrait_view.show_curve(portrait, frame)
    return frame
