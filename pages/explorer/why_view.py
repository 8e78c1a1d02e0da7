"""Which places of a photo speak for a class: two methods side by side."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import partial

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import images, plots
from core.architecture import map_size
from core.attribution_choices import METHODS, seconds
from core.engine import Job, Kind
from core.messages import Hiding, HidingRequest, JobSnapshot, LayerInfo, Progress, Why, WhyRequest
from pages.explorer.common import PAGE, Scene, ask, choose_strength, key
from pages.shared import job_panel, links
from pages.shared.choices import offer, show_in_room, show_picture
from pages.shared.resources import engine
from pages.shared.viewing import submit
from pages.shared.words import in_markdown, label, percent

NAMES = ("class", "method", "method2", "maps", "maps2", "cover", "hide")
SIDES = ("", "2")  # of the screen, as the links' names end
FIRST_METHODS = {"": "gradcam", "2": "occlusion"}
WITHOUT_MAPS = "integrated"  # takes the place of Grad-CAM
TASK = "core.attribution:explain"
SHORT, LONGER = 2.0, 10.0  # seconds; what takes even longer queues with the drawings
# What the window leaves for a map: below it should come the slider; and it is no wider than its column.
ROOM = "min(100vh - 480px, 38.9vw - 174px + 54px)"
PATIENCE = 0.4  # seconds that the page waits before it shows how far the work is


@dataclass(frozen=True)
class Side:
    """Half of the screen: what is asked for there, and the job that answers (`None`: it was stopped)."""

    name: str
    request: WhyRequest
    job: Job

    @property
    def snapshot(self) -> JobSnapshot:
        return self.job.snapshot()

    @property
    def latest(self) -> Why | None:
        found = self.snapshot.result or self.snapshot.latest
        return found if isinstance(found, Why) else None


def show(scene: Scene) -> None:
    if not scene.info.tells_classes:
        what = "its own photo size" if scene.info.own_size else "a network that tells classes"
        st.info(f"Choose {what}: then this page shows which places of the photo speak for a class.")
        return
    classes, maps = st.columns([2, 7], gap="medium")
    with classes:
        target = choose_class(scene)
    with maps:
        show_two(scene, target)


def show_two(scene: Scene, target: int) -> None:
    sides = []
    for name, column in zip(SIDES, st.columns(2, gap="medium"), strict=True):
        with column:
            sides.append(begin(scene, name, choose_request(scene, name, target)))
    wait_a_moment(sides)
    if any(not side.snapshot.over for side in sides):
        show_growing(scene, sides)
        return
    show_maps(scene, sides)
    show_words(scene, sides)
    if choose_hiding():
        show_hiding(scene, sides)


# --- What is asked for -----------------------------------------------------------------------------------------------


def choose_class(scene: Scene) -> int:
    """The class that is asked about: the best one of a new photo or network, until another is chosen."""
    count = count_classes(scene)
    chosen = links.restore(PAGE, "class", scene.predictions[0].index, allowed=range(count), parse=int)
    belongs, to = key("class_of"), (scene.model, scene.photo.digest)
    if st.session_state.setdefault(belongs, to) != to:
        st.session_state[belongs], st.session_state[chosen] = to, scene.predictions[0].index
    best = {each.index: each for each in scene.predictions}
    picked = key("class_of_the_best")
    st.session_state[picked] = st.session_state[chosen] if st.session_state[chosen] in best else None

    def take() -> None:
        st.session_state[chosen] = st.session_state[picked]

    st.radio(
        "What speaks for",
        list(best),
        format_func=lambda index: f"{in_markdown(label(best[index].name))} {percent(best[index].probability)}",
        key=picked,
        on_change=take,
        help="The classes that the network finds most probable.",
    )
    st.selectbox(
        "or any other class",
        range(count),
        format_func=lambda index: f"{class_name(scene, index)} ({index})",
        key=chosen,
        persist_state="session",
        help="Type to search.",
    )
    links.publish(PAGE, **{"class": st.session_state[chosen]})
    return st.session_state[chosen]


def count_classes(scene: Scene) -> int:
    units = next((layer.channels for layer in scene.info.layers if layer.name == scene.info.answer), None)
    return max(2, units or 0, len(scene.info.class_names or ()), 1 + max(each.index for each in scene.predictions))


def class_name(scene: Scene, index: int) -> str:
    best = {each.index: each.name for each in scene.predictions}
    names = scene.info.class_names or ()
    return label(best.get(index) or (names[index] if index < len(names) else f"class {index}"))


def choose_request(scene: Scene, name: str, target: int) -> WhyRequest:
    methods = methods_for(scene)
    first = FIRST_METHODS[name] if FIRST_METHODS[name] in methods else WITHOUT_MAPS
    with st.container(horizontal=True):
        method = st.selectbox(
            "Method" if not name else "Another method",
            methods,
            format_func=lambda method: METHODS[method].title,
            key=links.restore(PAGE, f"method{name}", first, allowed=methods),
            persist_state="session",
            label_visibility="collapsed",
        )
        layer = choose_maps(scene, name) if METHODS[method].of_layer else None
    links.publish(PAGE, **{f"method{name}": method if method != first else None})
    if layer is None:
        links.publish(PAGE, **{f"maps{name}": None})
    return WhyRequest(scene.model, scene.photo, target, method, layer)


def methods_for(scene: Scene) -> list[str]:
    """Those that weigh maps want a network that makes some; the others look at the pixels alone."""
    makes_maps = any(map_size(layer) is not None or is_open(layer) for layer in scene.info.layers)
    return [method for method, about in METHODS.items() if makes_maps or not about.of_layer]


def is_open(layer: LayerInfo) -> bool:
    """Maps of which the size is not fixed."""
    return layer.is_spatial and None in layer.output_shape


def choose_maps(scene: Scene, name: str) -> str | None:
    """The layer whose maps are weighed; `None` for the last ones."""
    options = {"last": "on the last maps"}
    if scene.layer.is_spatial:
        options["layer"] = f"on {label(scene.layer.name)}"
    chosen = st.selectbox(
        "Maps",
        list(options),
        format_func=options.get,
        key=links.restore(PAGE, f"maps{name}", "last", allowed=options),
        persist_state="session",
        label_visibility="collapsed",
    )
    links.publish(PAGE, **{f"maps{name}": chosen if chosen != "last" else None})
    return scene.layer.name if chosen == "layer" else None


def begin(scene: Scene, name: str, request: WhyRequest) -> Side:
    """The job that answers; one that was stopped or failed stays so until somebody asks again."""
    job = engine().find(TASK, request)
    ended = job is not None and job.snapshot().state in ("cancelled", "failed")
    if ended and st.button("Try again", key=f"again{name}", icon=":material/replay:"):
        ended = False
    if not ended:
        kind = kind_of(seconds(request.method, scene.info.layers))
        job = submit(TASK, request, kind=kind)
    return Side(name, request, job)


def kind_of(expected: float) -> Kind:
    return "interactive" if expected <= SHORT else "study" if expected <= LONGER else "render"


def wait_a_moment(sides: list[Side]) -> None:
    for side in sides:
        side.job.wait(PATIENCE)


# --- What is found ---------------------------------------------------------------------------------------------------


def show_growing(scene: Scene, sides: list[Side]) -> None:
    """The maps so far, while at least one is under way."""
    strength = st.session_state.get(key("cover"), 80) / 100
    for side, column in zip(sides, st.columns(2, gap="medium"), strict=True):
        with column:
            draw = partial(draw_growing, scene, side, strength)
            watched = side.name and side.job.id == sides[0].job.id  # by the left side already
            if side.snapshot.over or watched:
                draw(side.latest)
            else:
                job_panel.watch(side.job, draw, progress_of=progress_of, stop="Stop")


def draw_growing(scene: Scene, side: Side, strength: float, why: Why | None) -> DeltaGenerator:
    if why is None:
        seen = images.fit(scene.photo.pixels, scene.info.input_size)
        draw_heat(side, np.zeros(seen.shape[:2], np.float32), seen, strength, "The photo; its map is being made")
    else:
        draw_heat(side, why.heat, why.seen, strength, "A map that is not yet finished, over the photo")
    return st.container()


def draw_heat(side: Side, heat: np.ndarray, seen: np.ndarray, strength: float, words: str) -> None:
    look = plots.heat_look(heat, METHODS[side.request.method].signed)
    show_in_room(plots.heat_over_photo(look, seen, strength), f"why{side.name}", words, ROOM)


def progress_of(why: Why) -> Progress:
    return Progress(f"{METHODS[why.method].title}: {why.step} of {why.steps} steps", why.step / why.steps)


@st.fragment
def show_maps(scene: Scene, sides: list[Side]) -> None:
    """Both maps over the photo, and below them the one slider that changes how they look, and nothing else."""
    pictures = [column.empty() for column in st.columns(2, gap="medium")]
    help = "At 0 you see what the network saw: the photo, cut and resized. It turns grey under strong colours."
    strength = choose_strength("cover", 80, "How much of the maps", help)
    for side, picture in zip(sides, pictures, strict=True):
        with picture.container():
            if side.latest is not None:
                title = METHODS[side.request.method].title
                words = f"{title}: what speaks for {class_name(scene, side.request.target)}, over the photo"
                draw_heat(side, side.latest.heat, side.latest.seen, strength / 100, words)
            job_panel.tell_how_it_ended(side.snapshot, "Stopped. The map is kept as far as it came.")


def show_words(scene: Scene, sides: list[Side]) -> None:
    found = next((side.latest for side in sides if side.latest is not None), None)
    if found is not None:
        name = in_markdown(class_name(scene, found.target))
        share = in_tenths(found.probability)
        st.markdown(f"The network gives *{name}* {share}; its score (logit) is {found.score:.2f}.")
    for side, column in zip(sides, st.columns(2, gap="medium"), strict=True):
        with column:
            say(scene, side)
            if side.latest is not None:
                save(side)


def say(scene: Scene, side: Side) -> None:
    method, why = METHODS[side.request.method], side.latest
    name = in_markdown(class_name(scene, side.request.target))
    colours = f":red[**Red**] speaks for *{name}*"
    colours += ", :blue[**blue**] against it." if method.signed else "; without colour: says nothing."
    of = ""
    if why is not None and why.layer:
        of = f" Here: the maps of {in_markdown(label(why.layer))}."
    elif why is not None and (cell := plots.heat_look(why.heat, why.signed).side) > 1:
        of = f" Drawn are means of {cell} × {cell} pixels."
    st.markdown(colours)
    st.caption(f"{method.how}{of} *Beware:* {method.beware[0].lower()}{method.beware[1:]}")


def in_tenths(probability: float) -> str:
    return f"{100 * probability:.1f} %" if probability >= 0.001 else "less than 0.1 %"


def save(side: Side) -> None:
    why, stem = side.latest, f"why_{side.request.target}_{side.request.method}"
    strength = st.session_state[key("cover")] / 100
    with st.container(horizontal=True):
        words = "This map over the photo."
        offer("PNG", partial(as_png, why, strength), f"{stem}.png", "image/png", f"save_png{side.name}", words)
        words = "The map's numbers, one for each pixel that the network saw (NumPy)."
        offer("NPZ", partial(as_npz, why), f"{stem}.npz", "application/octet-stream", f"save_npz{side.name}", words)


def as_png(why: Why, strength: float) -> bytes:
    return images.encode_png(plots.heat_picture(plots.heat_look(why.heat, why.signed), why.seen, strength))


def as_npz(why: Why) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, heat=why.heat, seen=why.seen, target=why.target, score=why.score)
    return file.getvalue()


# --- How much does it matter? ----------------------------------------------------------------------------------------


def choose_hiding() -> bool:
    hiding = st.toggle(
        "How much does it matter? Hide what the maps call most important",
        key=links.restore(PAGE, "hide", False, parse=lambda text: text == "True"),
        persist_state="session",
        help="A map is a claim. Here it is put to the test: the fifth of the photo that it calls most important is "
        "hidden behind the mean colour; and, for comparison, as much of it elsewhere, in the same shape.",
    )
    links.publish(PAGE, hide=hiding or None)
    return hiding


def show_hiding(scene: Scene, sides: list[Side]) -> None:
    for side, column in zip(sides, st.columns(2, gap="medium"), strict=True):
        with column:
            if side.latest is not None:
                request = HidingRequest.of(scene.model, scene.photo, side.request.target, side.latest.heat)
                say_hiding(
                    scene, side, ask("core.attribution:hide", request, "Hiding parts of the photo", kind="study")
                )


def say_hiding(scene: Scene, side: Side, found: Hiding) -> None:
    whole, hidden, *elsewhere = found.probabilities
    important, random = st.columns(2)
    name = class_name(scene, side.request.target)
    share = f"{100 * found.share:.0f} %"
    important.metric(f"without its {share}", in_tenths(hidden), f"{100 * (hidden - whole):+.1f} points")
    with important:
        what = f"The photo without what the map calls important for {name}"
        show_picture(images.encode_webp(found.hidden), what)
    mean = float(np.mean(elsewhere))
    random.metric(f"without {share} elsewhere", in_tenths(mean), f"{100 * (mean - whole):+.1f} points")
    with random:
        show_picture(images.encode_webp(found.elsewhere), "The photo without as much elsewhere")
        st.caption(f"The mean of {len(elsewhere)} places; this is one.")
    st.markdown(verdict(in_markdown(name), found.scores[0], found.scores[1], float(np.mean(found.scores[2:]))))


def verdict(name: str, whole: float, hidden: float, elsewhere: float) -> str:
    """What becomes of the score without what the map calls important, beside as much elsewhere; and what that means."""
    if hidden >= whole:
        judged = "**The class does not need what this map calls most important: do not trust it here.**"
    elif hidden >= elsewhere:
        judged = "**Not better than chance here: do not trust this map.**"
    else:
        judged = "It found what matters."
    return f"The score of *{name}* {moves(hidden - whole)}; elsewhere it {moves(elsewhere - whole)}. {judged}"


def moves(by: float) -> str:
    return f"{'rises' if by > 0 else 'falls'} by {abs(by):.1f}"
