"""Filter Visualizer: gradient ascent draws the pattern that each filter answers to."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import streamlit as st

from core import images, plots
from core.engine import Job
from core.messages import LayerInfo, ModelInfo, Mosaic, Progress, RenderRequest, digest_of
from pages.shared import job_panel, links
from pages.shared.controls import choose_layer, choose_model, device_sign
from pages.shared.resources import engine
from pages.shared.router import EXPLORER, by_the_front_door
from pages.shared.words import in_markdown

PAGE = "visualizer"
FIRST_LAYER = "block5_project_bn"
SHOWN = links.key(PAGE, "shown")  # the request on show, or being drawn, and its job
FILTER = links.key(PAGE, "filter")
METHODS = {"lucid": "Clear", "fast": "Fast", "textbook": "Textbook"}
SIZES = (None, 64, 100, 128, 150, 200, 256)
STEPS = (None, 1, 2, 5, 10, 20, 30, 50, 100, 200)
RATES = (None, 1, 2, 5, 10, 20, 50, 100)


def main() -> None:
    by_the_front_door()
    device_sign()
    st.title("Filter Visualizer")
    st.markdown(
        "Each tile began as grey noise. Step by step it is changed so that **one filter answers more strongly**: "
        "what appears is the pattern that the filter looks for."
    )
    info = choose_model(PAGE)
    request, pressed = choose_request(info)
    # The first visit finds a picture being drawn, not an empty page. A stopped mosaic stays until Draw is pressed.
    if pressed or SHOWN not in st.session_state:
        job = engine().submit("core.featurevis.mosaic:run", request, kind="render")
        st.session_state[SHOWN] = (request, job)
    shown, job = st.session_state[SHOWN]
    if shown != request:
        st.info("The settings have changed: press **Draw** for the new mosaic.", icon=":material/brush:")
    show(shown, job)


def choose_request(info: ModelInfo) -> tuple[RenderRequest, bool]:
    """What to draw, and whether Draw was pressed."""
    layers = [layer for layer in info.layers if layer.is_spatial or len(layer.output_shape) == 1]
    with st.sidebar:
        layer = choose_layer(info, PAGE, layers, first_layer(layers))
        filters = choose_filters(layer)
        method = st.segmented_control(
            "Method",
            list(METHODS),
            format_func=METHODS.get,
            key=links.restore(PAGE, "method", "lucid", allowed=METHODS),
            persist_state="session",
            required=True,
            help="Clear: smooth pictures in natural colours, shaken a little at every step so that only what the "
            "filter really looks for survives. Textbook: the bare recipe, pixel by pixel. Fast: the textbook's picture "
            "in fewer, larger steps.",
        )
        pressed = st.button("Draw", type="primary", icon=":material/brush:", width="stretch", key="draw")
        with st.expander("Settings"):
            request = choose_settings(info, layer, filters, method)
    links.publish(PAGE, method=method)
    return request, pressed


def choose_settings(info: ModelInfo, layer: LayerInfo, filters: tuple[int, ...], method: str) -> RenderRequest:
    size = _choice(
        "Picture size in pixels",
        "size",
        SIZES,
        "Of the picture that is changed. The textbook's pictures lose their border afterwards: 200 pixels give a tile "
        "of 150.",
    )
    steps = _choice(
        "Steps", "steps", STEPS, "How often the picture is changed. More steps: clearer patterns, longer waiting."
    )
    rate = None
    if method != "lucid":
        rate = _choice(
            "Learning rate",
            "rate",
            RATES,
            "How much one step changes the picture. Too small: nothing appears. Too large: it turns to noise.",
        )
    seed = st.number_input(
        "Seed",
        0,
        2**31 - 1,
        key=links.restore(PAGE, "seed", 0, allowed=range(2**31), parse=int),
        persist_state="session",
        help="The number that the starting noise is made from. The same seed gives the same picture.",
    )
    links.publish(PAGE, seed=int(seed) or None)
    size = size or (128 if method == "lucid" else 200)
    rate = None if rate is None else float(rate)
    return RenderRequest(info.ref, layer.name, filters, method, size, steps, rate, int(seed))


def _choice(words: str, name: str, options: tuple, help_text: str) -> int | None:
    """One of `options`; `None` leaves it to the method."""
    value = st.select_slider(
        words,
        options,
        format_func=lambda option: "the method's own" if option is None else str(option),
        key=links.restore(PAGE, name, None, allowed=options, parse=int),
        persist_state="session",
        help=help_text,
    )
    links.publish(PAGE, **{name: value})
    return value


def first_layer(layers: list[LayerInfo]) -> str:
    for layer in layers:
        if layer.name.endswith(FIRST_LAYER):
            return layer.name
    maps = [layer.name for layer in layers if layer.is_spatial] or [layers[-1].name]
    return maps[len(maps) // 3]


def choose_filters(layer: LayerInfo) -> tuple[int, ...]:
    """Sixty-four at a time, from a first one on."""
    count = layer.channels or 1
    most = max(0, count - 1)
    first = st.number_input(
        f"First filter (of {count})",
        0,
        most,
        step=plots.PAGE if most >= plots.PAGE else 1,
        key=links.restore(PAGE, "first", 0, allowed=range(count), parse=int),
        persist_state="session",
        help="The layer's filters are numbered from 0.",
    )
    available = count - int(first)
    choices = sorted({min(n, available) for n in (1, 4, 16, 64)})
    number = (
        st.select_slider(
            "How many filters",
            choices,
            key=links.restore(PAGE, "count", choices[-1], allowed=choices, parse=int),
            persist_state="session",
        )
        if len(choices) > 1
        else choices[0]
    )
    links.publish(PAGE, first=int(first) or None, count=number if number != choices[-1] else None)
    return tuple(range(int(first), int(first) + int(number)))


def show(request: RenderRequest, job: Job) -> None:
    snapshot = job.snapshot()
    if not snapshot.over:
        job_panel.watch(job, lambda mosaic: draw_mosaic(mosaic, request), progress_of=progress_of, stop="Stop")
        return
    job_panel.tell_how_it_ended(
        snapshot, "Stopped. The mosaic is kept as far as it came; press **Draw** to begin again."
    )
    mosaic = snapshot.result or snapshot.latest
    if isinstance(mosaic, Mosaic):
        draw_mosaic(mosaic, request)


def progress_of(mosaic: Mosaic) -> Progress:
    words = f"Step {mosaic.step} of {mosaic.steps}{job_panel.time_left(mosaic.seconds_left)}"
    return Progress(words, mosaic.step / mosaic.steps)


def draw_mosaic(mosaic: Mosaic | None, request: RenderRequest) -> None:
    """The mosaic so far, and beside it the chosen filter's tile, large."""
    if mosaic is None:
        st.caption("The first picture comes in a few seconds.")
        return
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.plotly_chart(
            plots.mosaic_figure(mosaic, chosen_filter(mosaic)),
            width="stretch",
            key="mosaic",
            on_select=choose_filter,
            selection_mode="points",
            theme=None,
            config={"displayModeBar": False},
            alt=f"What {len(mosaic.filters)} filters of {mosaic.layer} look for, one tile each",
        )
        st.caption("Point at a tile for its number and score; click it to see it large.")
    with right:
        show_filter(request, mosaic)


def choose_filter() -> None:
    points = st.session_state["mosaic"].selection.points
    # A second click on the same tile sends an empty selection: it means "keep".
    if points:
        st.session_state[FILTER] = int(points[0]["customdata"][0])


def chosen_filter(mosaic: Mosaic) -> int:
    links.restore(PAGE, "filter", mosaic.filters[0], allowed=mosaic.filters, parse=int)
    return st.session_state[FILTER]


def show_filter(request: RenderRequest, mosaic: Mosaic) -> None:
    """The chosen filter's tile large, what is known of it, and what can be taken home."""
    number = chosen_filter(mosaic)
    links.publish(PAGE, filter=number)
    tile = next(tile for tile in plots.mosaic_tiles(mosaic) if tile.filter == number)
    st.subheader(f"Filter {number}", anchor=False)
    st.image(tile_pixels(mosaic, tile), width="stretch", alt=f"The pattern of filter {number}")
    if number in mosaic.silent:
        st.warning("This filter never fires: nothing that was tried makes it answer.", icon=":material/volume_off:")
    elif mosaic.step:
        st.markdown(
            f"After {mosaic.step} of {mosaic.steps} steps the filter answers with a score of **{tile.score:.3g}**."
        )
    else:
        st.markdown("A first look: a small piece of the picture to come.")
    if not mosaic.png:
        return
    if st.button("Where does it fire on a photo?", icon=":material/grid_view:", width="stretch"):
        links.go(
            EXPLORER,
            "explorer",
            model=request.model.name,
            weights=links.weights_name(request.model.weights),
            layer=request.layer,
            channel=number,
            channel_of=request.layer,
            page=number // plots.PAGE + 1,
        )
    offer_files(mosaic, tile)


def offer_files(mosaic: Mosaic, tile: plots.Tile) -> None:
    """One tile, all of them, or the mosaic, to take home."""
    save_tile, save_tiles = st.columns(2)
    save_tile.download_button(
        "This tile",
        lambda: images.encode_png(tile_pixels(mosaic, tile, enlarged=False)),
        mosaic.file_name.replace("filters_for_layer", f"filter_{tile.filter}_of_layer"),
        "image/png",
        on_click="ignore",
        icon=":material/download:",
        width="stretch",
    )
    save_tiles.download_button(
        "All tiles (ZIP)",
        lambda: zip_of_tiles(mosaic),
        mosaic.file_name.replace(".png", ".zip"),
        "application/zip",
        on_click="ignore",
        icon=":material/download:",
        width="stretch",
    )
    st.download_button(
        "Save the mosaic",
        mosaic.png,
        mosaic.file_name,
        "image/png",
        on_click="ignore",
        icon=":material/download:",
        width="stretch",
    )
    st.caption(
        f"{len(mosaic.filters)} filters in {mosaic.seconds:.0f} s, first picture after "
        f"{mosaic.seconds_to_first_picture:.1f} s · {mosaic.precision}, {mosaic.batch} at a time · "
        f"{in_markdown(mosaic.origin)}"
    )


def tile_pixels(mosaic: Mosaic, tile: plots.Tile, *, enlarged: bool = True) -> np.ndarray:
    """One tile, uint8[side, side, 3]; enlarged in whole pixels, so that the browser does not blur small ones away."""
    picture = mosaic.png or mosaic.picture
    half = (mosaic.tile - 1) / 2
    left, top = round(tile.x - half), round(tile.y - half)
    pixels = _decoded(digest_of(picture), picture)[top : top + mosaic.tile, left : left + mosaic.tile]
    times = max(1, 450 // mosaic.tile) if enlarged else 1
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


@st.cache_resource(show_spinner=False, max_entries=8)
def _decoded(digest: str, _picture: bytes) -> np.ndarray:
    return images.decode(_picture, "the mosaic")


def zip_of_tiles(mosaic: Mosaic) -> bytes:
    """Each tile as a PNG of its own, named by its filter."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for tile in plots.mosaic_tiles(mosaic):
            archive.writestr(
                f"filter_{tile.filter:04}.png", images.encode_png(tile_pixels(mosaic, tile, enlarged=False))
            )
    return file.getvalue()


main()
