"""The chosen filter, beside the mosaic: large, by steps, its other faces, drawn naively, and how far to trust it."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import images
from core.messages import Faces, FacesRequest, Mosaic, Portrait, PortraitRequest, RenderRequest, Trust
from pages.shared import drawings, links, tiles
from pages.shared.choices import offer, show_picture
from pages.shared.controls import photo_to_carry
from pages.shared.router import EXPLORER
from pages.shared.trust import trust_badge, trust_of, trust_words
from pages.visualizer import portrait_view
from pages.visualizer.common import METHODS, PAGE, choose_number, choose_one, key

CLICKED = key("clicked")  # a tile has just been clicked
PARTS = {"large": "Large", "steps": "Steps", "faces": "Faces", "compare": "Compare", "trust": "Trust"}
FACES = (2, 4, 6)
DIVERSITIES = (0.0, 0.5, 1.0, 2.0, 4.0)
NAMES = ("panel", "step", "large", "faces", "diversity")
KEPT = "Stopped. What was drawn is kept."


def show(request: RenderRequest, mosaic: Mosaic, number: int, *, over: bool, fixed: bool = False) -> None:
    """`fixed` says that the layer takes no other pictures than those of the mosaic's size."""
    with st.container(key="panel"):
        if over:
            st.fragment(panel)(request, mosaic, number, fixed)
        else:
            head(mosaic, number)
            show_tile(mosaic, number)


def opened_by_click() -> None:
    st.session_state[CLICKED] = True
    portrait_view.follow_the_last_step()


def panel(request: RenderRequest, mosaic: Mosaic, number: int, fixed: bool) -> None:
    head(mosaic, number)
    part = choose_one(
        "What to show",
        "panel",
        PARTS,
        "Large: drawn again with more pixels. Steps: how it grew. Faces: other pictures that excite the same filter. "
        "Compare: the bare recipe beside the careful one. Trust: does the filter really look for this?",
        label_visibility="collapsed",
    )
    {"large": show_large, "steps": show_steps, "faces": show_faces, "compare": show_compare, "trust": show_trust}[part](
        request, mosaic, number, fixed
    )
    if st.button(
        "Where does it fire on a photo?",
        icon=":material/grid_view:",
        width="stretch",
        help="Opens the Activation Explorer on this filter, with your photo.",
    ):
        go_to_the_explorer(request, number)


def head(mosaic: Mosaic, number: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader(f"Filter {number}", anchor=False, width="content")
        trust = trust_of(mosaic, number)
        if trust is not None and number not in mosaic.silent:
            trust_badge(trust)


def show_tile(mosaic: Mosaic, number: int) -> None:
    """The tile as it is in the mosaic, enlarged, and what is known of it."""
    tile = tiles.tile_of(mosaic, number)
    show_picture(tiles.tile_picture(mosaic, tile), f"The pattern of filter {number}")
    if number in mosaic.silent:
        st.warning("This filter never fires: nothing that was tried makes it answer.", icon=":material/volume_off:")
    elif mosaic.step:
        st.markdown(
            f"After {mosaic.step} of {mosaic.steps} steps the filter answers with a score of **{tile.score:.3g}**."
        )
    else:
        st.markdown("A first look: a small piece of the picture to come.")


# --- Large, and its steps --------------------------------------------------------------------------------------------


def portrait_request(request: RenderRequest, number: int, method: str, fixed: bool = False) -> PortraitRequest:
    """The same filter with twice as many pixels a side, unless its size is `fixed`; the mosaic's own numbers, where
    they belong to the method."""
    same = method == request.method
    return PortraitRequest(
        request.model,
        request.layer,
        number,
        method,
        request.size if fixed else min(512, 2 * request.size),
        request.steps,
        request.learning_rate if same else None,
        request.seed,
    )


def choose_how(request: RenderRequest) -> str:
    return choose_one(
        "How",
        "large",
        {"same": METHODS[request.method], "maco": "Transparent (MACO)"},
        "As in the mosaic; or only the pattern, clear where the filter does not care, with the strengths of "
        "natural photos (MACO). That takes longer.",
        label_visibility="collapsed",
    )


def show_large(request: RenderRequest, mosaic: Mosaic, number: int, fixed: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        method = "same" if fixed else choose_how(request)
        wanted = portrait_request(request, number, request.method if method == "same" else "maco", fixed)
        drawing = drawings.begun(wanted, "Draw it large", "draw_large", at_once=st.session_state.pop(CLICKED, False))
    stem = f"filter_{number}_of_layer_{request.layer.replace('/', '.')}"

    def draw(portrait: Portrait | None) -> DeltaGenerator | None:
        if portrait is None:
            show_tile(mosaic, number)
        else:
            portrait_view.show_latest(portrait, f"The pattern of filter {number}, large")
        return st.container()

    if drawing is None:
        show_tile(mosaic, number)
    else:
        drawings.show(drawing, draw, kept=KEPT)
        say_score(drawing)
    tile = tiles.tile_of(mosaic, number)
    with st.container(horizontal=True, gap="small"):
        if drawing is not None and drawing.snapshot().state == "done":
            png = drawing.snapshot().result.png
            offer("Save it large", png, f"{stem}.png", "image/png", "save_portrait", "A PNG file.")
        offer(
            "This tile",
            lambda: images.encode_png(tiles.tile_pixels(mosaic, tile, enlarged=False)),
            f"{stem}_tile.png",
            "image/png",
            "save_tile",
            "The tile as it is in the mosaic, a PNG file.",
        )


def say_score(drawing: drawings.Drawing) -> None:
    portrait = drawing.snapshot().latest
    if not isinstance(portrait, Portrait) or not drawing.snapshot().over:
        return
    if portrait.silent:
        st.warning("This filter never fires: nothing that was tried makes it answer.", icon=":material/volume_off:")
    elif portrait.trust is not None:
        st.markdown(trust_words(portrait.trust))
    else:
        score = portrait.frames[-1].score
        st.markdown(
            f"After {portrait.step} of {portrait.steps} steps the filter answers with a score of **{score:.3g}**."
        )


def show_steps(request: RenderRequest, mosaic: Mosaic, number: int, fixed: bool) -> None:
    wanted = portrait_request(request, number, request.method, fixed)
    drawing = drawings.begun(wanted, "Draw its steps", "draw_steps")
    if drawing is None:
        show_tile(mosaic, number)
        return
    words = f"The pattern of filter {number}"

    def draw(portrait: Portrait | None) -> DeltaGenerator | None:
        if portrait is None:
            return None
        if not drawing.snapshot().over:
            portrait_view.show_latest(portrait, words)
            return st.container()
        portrait_view.show_steps(portrait, words)
        portrait_view.offer_files(portrait, f"filter_{number}_of_layer_{request.layer.replace('/', '.')}")
        return None

    drawings.show(drawing, draw, kept=KEPT)


# --- Faces, compare, trust -------------------------------------------------------------------------------------------


def show_faces(request: RenderRequest, mosaic: Mosaic, number: int, fixed: bool) -> None:
    left, right = st.columns(2, gap="medium")
    with left:
        faces = choose_number("How many faces", "faces", FACES, "How many pictures are drawn together.", default=4)
    with right:
        diversity = choose_number(
            "How different",
            "diversity",
            DIVERSITIES,
            "0: each goes its own way. More: they are pushed apart, even where the filter then answers less.",
            default=1.0,
        )
    wanted = FacesRequest(
        request.model,
        request.layer,
        number,
        faces,
        request.size if fixed or request.method == "lucid" else 128,
        request.steps if request.method == "lucid" else None,
        request.seed,
        diversity,
    )
    drawing = drawings.begun(wanted, "Draw its faces", "draw_faces")
    st.caption("Very different pictures that all excite it: the filter looks for more than one thing.")
    if drawing is not None:
        drawings.show(drawing, draw_faces, kept=KEPT)


def draw_faces(faces: Faces | None) -> DeltaGenerator | None:
    if faces is None:
        return None
    columns = st.columns(2)
    for place, (picture, score) in enumerate(zip(faces.pictures, faces.scores, strict=True)):
        with columns[place % 2]:
            words = f"Face {place + 1} of filter {faces.filter}"
            show_picture(tiles.crisp(picture), words, caption=f"score {score:.3g}")
    if faces.png:
        stem = f"faces_of_filter_{faces.filter}_of_layer_{faces.layer.replace('/', '.')}"
        offer("Save the faces", faces.png, f"{stem}.png", "image/png", "save_faces", "A PNG file.")
    return st.container()


def show_compare(request: RenderRequest, mosaic: Mosaic, number: int, fixed: bool) -> None:
    """The bare recipe and the careful one, from the same seed."""
    wanted = [portrait_request(request, number, method, fixed) for method in ("textbook", "lucid")]
    found = [drawings.known(each) for each in wanted]
    missing = [each is None or each.snapshot().state in ("cancelled", "failed") for each in found]
    if any(missing) and st.button(
        "Draw both", key="draw_both", icon=":material/brush:", type="primary", help="Two pictures from the same seed."
    ):
        found = [drawings.start(each) for each in wanted]
    for column, words, drawing in zip(
        st.columns(2), ("**Naive**: pixel by pixel", "**Careful**: shaken, smooth"), found, strict=True
    ):
        with column:
            st.markdown(words)
            if drawing is not None:
                drawings.show(drawing, draw_half(number), kept=KEPT)
    st.caption(
        "The same filter from the same seed. Pixel by pixel, the picture fills with fine noise that excites the "
        "network but means nothing to us; shaken a little at each step, only the pattern survives."
    )


def draw_half(number: int) -> Callable[[Portrait | None], DeltaGenerator | None]:
    def draw(portrait: Portrait | None) -> DeltaGenerator | None:
        if portrait is None:
            return None
        portrait_view.show_latest(portrait, f"Filter {number}")
        below = st.container()
        with below:
            st.caption(f"score {portrait.frames[-1].score:.3g} after {portrait.step} steps")
        return below

    return draw


def show_trust(request: RenderRequest, mosaic: Mosaic, number: int, fixed: bool) -> None:
    if number in mosaic.silent:
        st.warning("This filter never fires: nothing that was tried makes it answer.", icon=":material/volume_off:")
        return
    trust = trust_of(mosaic, number)
    if trust is None:
        trust = trust_of_portrait(portrait_request(request, number, request.method, fixed))
    if trust is not None:
        portrait_view.show_trust(trust)
    show_tile(mosaic, number)


def trust_of_portrait(wanted: PortraitRequest) -> Trust | None:
    """A mosaic that was stopped knows no trust: then that of the large picture, once it is there."""
    st.caption("Trust is measured on a finished picture.")
    drawing = drawings.begun(wanted, "Draw it large", "draw_trust")
    if drawing is None:
        return None
    drawings.show(drawing, lambda portrait: None, kept=KEPT)
    portrait = drawing.snapshot().result
    return portrait.trust if isinstance(portrait, Portrait) else None


def go_to_the_explorer(request: RenderRequest, number: int) -> None:
    links.go(
        EXPLORER,
        "explorer",
        model=request.model.name,
        weights=links.weights_name(request.model.weights),
        layer=request.layer,
        channel=number,
        channel_of=request.layer,
        page=None,  # the one that the channel is on
        **photo_to_carry(PAGE),
    )
