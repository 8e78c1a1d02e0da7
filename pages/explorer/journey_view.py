"""From pixels to prediction, one row a stage."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import plots
from core.architecture import Block, milestones, sees_words, shape_words, tiling
from core.messages import Journey, JourneyRequest, JourneyRow, LayerInfo
from pages.explorer.common import Scene, ask, choose_one, key
from pages.shared.choices import show_figure
from pages.shared.words import in_markdown

NAMES = ("strongest",)
TOP = 8
WORDS_WIDTH = 250  # pixels
TAKEN = {1: "in grey", 2: "in red and green"}  # of the photo, by how many channels the network takes
OTHER_KINDS = {  # what a tile is, where it is no map
    "steps": "step by step, from top to bottom",
    "tiled": "as tiles of the photo",
    "volume": "the mean over their depth",
    "vector": "a number each",
}


def show(scene: Scene) -> None:
    stages = milestones(scene.info.layers)
    if not stages:
        st.info("This network goes from the photo to its answer in one step: there is no journey to show.")
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        by = choose_order()
        st.caption("Bright is a strong answer; in rows of red and blue, white is zero. Click a stage or a tile.")
    journey = travel(scene, stages, by)
    with st.container(gap="xsmall"):
        show_photo(scene, journey)
        for stage, row in zip(stages, journey.rows, strict=True):
            show_stage(scene, stage, row)
        show_end(scene)


def choose_order() -> str:
    return choose_one(
        "Channels",
        "strongest",
        {"mean": f"the {TOP} strongest", "variance": f"the {TOP} most varied"},
        "Which channels of each stage: those that answer most on the whole photo, or those whose maps show most.",
        label_visibility="collapsed",
    )


def travel(scene: Scene, stages: tuple[Block, ...], by: str) -> Journey:
    request = JourneyRequest(scene.model, scene.photo, tuple(stage.clearest.name for stage in stages), TOP, by)
    return ask("core.journey:travel", request, "Following the photo through the network", kind="study")


def row_of_the_page() -> tuple[DeltaGenerator, DeltaGenerator]:
    """For words, and for what they are about."""
    row = st.container(horizontal=True, vertical_alignment="center", gap="small")
    return row.container(width=WORDS_WIDTH, gap="xxsmall"), row.container(width="stretch")


def show_photo(scene: Scene, journey: Journey) -> None:
    words, picture = row_of_the_page()
    height, width = journey.seen.shape[:2]
    channels = 3 if scene.info.openings is None else scene.info.openings.channels
    colours = TAKEN.get(channels, "in three colours")
    with words:
        st.markdown(f"**The photo**  \n{height} × {width} pixels {colours}")
    with picture:
        figure = plots.journey_row(plots.photo_tiles(journey.seen, min(channels, 3)), TOP)
        show_figure(figure, "journey_photo", f"{scene.caption}, as the network sees it: {colours}")


def show_stage(scene: Scene, stage: Block, row: JourneyRow) -> None:
    words, picture = row_of_the_page()
    name = f"journey_{row.layer}".replace("/", ".")
    with words:
        st.button(
            in_markdown(stage.name),
            key=f"open_{name}",
            help=f"See all channels of {in_markdown(row.layer)}.",
            on_click=open_maps,
            args=(stage.clearest,),
            width="stretch",
        )
        st.caption(stage_words(stage.clearest, tiled=tiling(scene.info.layers, stage.clearest) is not None))
    with picture:

        def choose() -> None:
            points = st.session_state[name].selection.points
            if points:
                open_maps(stage.clearest, int(points[0]["customdata"]))

        show_figure(
            plots.journey_row(plots.journey_tiles(row, tiling(scene.info.layers, stage.clearest)), TOP),
            name,
            f"The answers of the first {len(row.channels)} channels or units of {row.layer}",
            on_select=choose,
            selection_mode="points",
        )


def stage_words(layer: LayerInfo, *, tiled: bool = False) -> str:
    about = "tiled" if tiled else layer.kind
    return f"{shape_words(layer)}  \n{OTHER_KINDS.get(about) or sees_words(layer).partition(' of the photo')[0]}"


def open_maps(layer: LayerInfo, channel: int | None = None) -> None:
    """Go to the maps of `layer`, with `channel` large."""
    st.session_state[key("view")] = "maps"
    st.session_state[key("layer")] = layer.name
    if channel is not None:
        st.session_state[key("unit_order" if layer.kind == "vector" else "order")] = "index"
        st.session_state.pop(key("page"), None)  # the one that it is on
        st.session_state[key("channel")] = channel
        st.session_state[key("channel_of")] = layer.name


def show_end(scene: Scene) -> None:
    if not scene.predictions:
        return
    words, picture = row_of_the_page()
    with words:
        st.markdown("**The prediction**  \nfrom all of the last together")
    with picture:
        show_figure(
            plots.prediction_bars(scene.predictions), "journey_end", "The best guesses with their probabilities"
        )
