"""DeepDream: a photo is changed so that chosen layers answer more to whatever they see in it already."""

from __future__ import annotations

from functools import partial

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.dream_choices import suggested_layers
from core.messages import Dream, DreamRequest, ModelInfo, Photo
from pages.shared import drawings, links
from pages.shared.choices import offer, show_picture
from pages.shared.controls import choose_photo
from pages.shared.resources import picture_of
from pages.shared.words import in_markdown
from pages.visualizer.common import PAGE, ask, choose_number, choose_seed, is_of, key, on_show

SHOWN = key("dream_shown")
MOST_LAYERS = 4
WEIGHTS = (0.25, 0.5, 1.0, 2.0, 4.0)
OCTAVES = (1, 2, 3, 4, 5)
STRENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0)
STEPS = (1, 2, 5, 10, 20, 40)
SIZES = (96, 224, 320, 448, 640)
NAMES = ("dream", "octaves", "strength", "dream_steps", "dream_size", "seed", "photo")
START = DreamRequest  # its fields' defaults are where the controls begin


def show(info: ModelInfo, action: DeltaGenerator) -> None:
    photo, caption = choose_photo(PAGE, picture=False)
    with st.sidebar:
        request = choose_request(info, photo)
    shown = on_show(SHOWN, request)
    pressed = ask(
        action,
        "Dream",
        "dream_button",
        "Begins with the photo and these settings. What was dreamt before, by anybody here, is there at once.",
        changed=shown is not None and request != shown[0],
        possible=request is not None,
    )
    if request is not None and (pressed or shown is None):
        shown = st.session_state[SHOWN] = request, drawings.start(request)
    if shown is None or not is_of(shown[0], info):
        show_pair(photo, caption, None)
        return
    dreamt, drawing = shown
    drawings.show(
        drawing,
        lambda dream: show_pair(dreamt.photo, caption if dreamt.photo == photo else "The photo", dream),
        kept="Stopped. The dream is kept as far as it came; press **Dream** to begin again.",
    )


def choose_request(info: ModelInfo, photo: Photo) -> DreamRequest | None:
    """What to dream; `None` where no layer is chosen."""
    suggested = dict(suggested_layers(info))
    names = choose_layers(info, suggested)
    octaves = choose_number(
        "Octaves",
        "octaves",
        OCTAVES,
        "The dream begins small and is enlarged so many times. More octaves: large shapes as well as small ones.",
        default=START.octaves,
    )
    strength = choose_number(
        "Strength",
        "strength",
        STRENGTHS,
        "How much one step changes the photo. Little: a hint. Much: the photo disappears in the dream.",
        default=START.learning_rate,
    )
    with st.expander("Weights of the layers"):
        layers = tuple((name, choose_weight(name, suggested.get(name, 1.0))) for name in names)
    with st.expander("Settings"):
        steps = choose_number(
            "Steps in each octave",
            "dream_steps",
            STEPS,
            "How often the photo is changed at each size. More steps: more dream, longer waiting.",
            default=START.steps,
        )
        size = choose_number(
            "Size in pixels",
            "dream_size",
            SIZES,
            "The longer side of the result. Larger: finer patterns, longer waiting.",
            default=START.size,
        )
        seed = choose_seed()
    request = DreamRequest(
        info.ref, photo, layers, size, octaves, START.octave_scale, steps=steps, learning_rate=strength, seed=seed
    )
    return request if layers else None


def choose_layers(info: ModelInfo, suggested: dict[str, float]) -> list[str]:
    """The layers that dream."""
    names = [layer.name for layer in info.layers if layer.is_spatial]
    widget = links.restore(PAGE, "dream", list(suggested), parse=partial(_layers_in_link, names=names))
    known = [name for name in st.session_state[widget] if name in names]
    st.session_state[widget] = known if known or not st.session_state[widget] else list(suggested)
    chosen = st.multiselect(
        "Layers that dream",
        names,
        key=widget,
        persist_state="session",
        max_selections=MOST_LAYERS,
        placeholder="Choose a layer",
        help="Early layers dream of lines and dots, middle ones of textures, late ones of eyes and animals.",
    )
    links.publish(PAGE, dream=",".join(chosen) if chosen != list(suggested) else None)
    if not chosen:
        st.caption("Choose at least one layer.")
    return chosen


def choose_weight(layer: str, suggested: float) -> float:
    options = tuple(sorted({*WEIGHTS, suggested}))
    return choose_number(
        f"Weight of {in_markdown(layer)}",
        f"weight.{layer}",
        options,
        "How much this layer's dream counts beside the others'.",
        default=suggested,
    )


def _layers_in_link(text: str, names: list[str]) -> list[str]:
    """ "a,b" -> ["a", "b"]; raises ValueError where one is none of `names`."""
    layers = text.split(",")
    if not set(layers) <= set(names):
        raise ValueError(text)
    return list(dict.fromkeys(layers))[:MOST_LAYERS]


def show_pair(photo: Photo, caption: str, dream: Dream | None) -> DeltaGenerator:
    """Before and after, side by side; returns the place below the dream."""
    before, after = st.columns(2, gap="medium")
    with before, st.container(key="before"):
        st.markdown("**Before**")
        show_picture(picture_of(photo), caption)
        st.caption(in_markdown(caption))
    with after, st.container(key="after"):
        st.markdown("**After**")
        if dream is None:
            show_picture(picture_of(photo), "The photo, not yet changed")
            return st.container()
        show_picture(dream.png or dream.picture, "The dream")
        below = st.container()
        if dream.step:
            st.caption(
                f"After {dream.step} of {dream.steps} steps, octave {dream.octave} of {dream.octaves}: "
                f"the layers answer {dream.score:.3g} times as much as to the photo."
            )
        if dream.png:
            offer("Save the dream", dream.png, "dream.png", "image/png", "save_dream", "A PNG picture.")
    return below
