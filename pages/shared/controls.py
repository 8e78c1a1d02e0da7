"""Widgets used by more than one page. Each returns a plain value, or says what is wrong and stops the page."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core import runs, samples
from core.architecture import shape_words
from core.backbones.catalogue import CATALOGUE, availability
from core.errors import UserError
from core.messages import LayerInfo, ModelInfo, ModelRef, Photo
from core.opened import id_in, id_of
from pages.shared import about_network, links, opening, visitors
from pages.shared.choices import show_picture
from pages.shared.resources import engine, picture_of, sample_photo, uploaded_photo
from pages.shared.waiting import show_error as show_error
from pages.shared.waiting import wait_for as wait_for
from pages.shared.words import in_markdown, label

DEFAULT_MODEL = "efficientnet_lite0"
NOT_HERE = "The link names a model that is not on this machine; the built-in one is shown."
NOT_OPEN = (
    "The link is for a network that somebody opened from a file, which is kept until an hour after they close their "
    "tab. Open it here to see the same; the built-in network is shown."
)


def device_sign() -> None:
    """At the top of the sidebar: what computes, or that it is still starting."""
    with st.sidebar:
        if engine().ready():
            _device_words()
        else:
            st.fragment(_starting, run_every=1.0)()


def _starting() -> None:
    if engine().ready():
        _device_words()
    else:
        st.caption(":material/hourglass_top: TensorFlow is starting …")


def _device_words() -> None:
    device = engine().device()
    if device is not None:
        st.caption(f":material/memory: computing on {in_markdown(device.words)}")


# --- Which model -----------------------------------------------------------------------------------------------------


def choose_model(page: str) -> ModelInfo:
    """A model from the catalogue, one that was trained here, or a file; loaded, and described in one line. What a file
    does not say is asked at the top of the page."""
    with st.sidebar:
        ref = choose_ref(page)
    return look_into(page, ref)


def look_into(page: str, ref: ModelRef, *, names: bool = True) -> ModelInfo:
    """The model loaded, in one line of the sidebar, with what is odd in it and what a person may say about it; the
    `names` of its classes are asked for only where they are shown."""
    info = opening.described(ref)
    with st.sidebar:
        weights = "untrained" if ref.weights is None and not _is_file(ref.name) else None
        say = st.warning if weights else st.caption
        say(f"{in_markdown(info.origin)} · {size_words(info.parameters)}")
        about_network.offer(page, info)
    about_network.ask(page, info, names=names)
    return info


def look_into_own(page: str, ref: ModelRef) -> ModelRef:
    """The same for a page that needs no loaded model: only a file that a person has opened is looked into."""
    return look_into(page, ref, names=False).ref if opening.is_own(ref.name) else ref


def size_words(parameters: int) -> str:
    return f"{parameters / 1e6:.1f} M parameters" if parameters >= 100_000 else f"{parameters:,} parameters"


def choose_ref(page: str) -> ModelRef:
    """Which model, without loading it."""
    wanted = st.query_params.get("model", "")
    visitors.follow_link(wanted)
    opening.follow_link(wanted)
    trained = {str(run.path): run for run in visitors.finished_models()}
    opened = opening.titles()
    own = [*trained, *opened]
    opening.take_chosen(page)
    widget = links.restore(page, "model", DEFAULT_MODEL, allowed=[*CATALOGUE, *own], parse=_from_link(own))

    def say(name: str) -> str:
        if name in trained:
            run = trained[name]
            # A choice is known by its words: to the second, so that no two are alike.
            return f"★ {label(', '.join(run.classes), 24)} · {run.validation_accuracy:.0%} · {run.when:%d %b %H:%M:%S}"
        if name in opened:
            return f"★ {opened[name]}"
        return CATALOGUE[name].title + ("" if availability(CATALOGUE[name]) == "download" else " ✓")

    if wanted and wanted not in CATALOGUE and not _from_link(own)(wanted):
        st.info(NOT_OPEN if wanted.startswith("file-") else NOT_HERE)
    name = st.selectbox(
        "Network",
        [*own, *CATALOGUE],
        format_func=say,
        key=widget,
        persist_state="session",
        help="✓ works here without internet. The others download their weights once, or can be shown untrained. "
        "★ are networks that were trained here or opened from a file.",
    )
    opening.offer(page)
    if _is_file(name):
        links.publish(page, model=_link_of(name, trained), weights=None)
        return opening.own(name).ref if opening.is_own(name) else ModelRef(name)
    return ModelRef(name, _choose_weights(page, name))


def _link_of(path: str, trained: dict[str, runs.FinishedRun]) -> str:
    """A trained run's id, or a name for a file that this session knows; never a path."""
    if path in trained:
        return trained[path].id
    return opening.link_of(path) if opening.is_own(path) else id_of(path)


def _from_link(own: list[str]):
    by_id = {_id_in_link(path): path for path in own}
    return lambda text: by_id.get(id_in(text), text if text in CATALOGUE else None)


def _id_in_link(path: str) -> str:
    return id_of(path) if opening.is_own(path) else Path(path).parent.name


def _choose_weights(page: str, name: str) -> str | None:
    downloadable = availability(CATALOGUE[name]) == "download"
    widget = links.restore(page, "weights", "imagenet", allowed=("imagenet", "random"))
    weights = st.segmented_control(
        "Weights",
        ("imagenet", "random"),
        format_func={"imagenet": "trained", "random": "random (untrained)"}.get,
        key=widget,
        persist_state="session",
        help="Trained on 1.2 million photos of ImageNet, or with random numbers as every network is born. "
        "Compare the two to see what training does.",
    )
    links.publish(page, model=name, weights="random" if weights == "random" else None)
    if downloadable and weights != "random":
        size = CATALOGUE[name].download_bytes / 1e6
        st.caption(f"Not on this machine yet: about {size:.0f} MB are downloaded the first time.")
    return None if weights == "random" else "imagenet"


def _is_file(name: str) -> bool:
    return name not in CATALOGUE


# --- Which layer -----------------------------------------------------------------------------------------------------


def choose_layer(info: ModelInfo, page: str, layers: list[LayerInfo], default: str) -> LayerInfo:
    """One of `layers`, with its shape beside its name."""
    by_name = {layer.name: layer for layer in layers}
    widget = links.restore(page, "layer", default, allowed=by_name)
    name = st.selectbox(
        "Layer",
        list(by_name),
        key=widget,
        persist_state="session",
        help="From the first layer, near the pixels, to the last, near the answer. Type to search.",
    )
    links.publish(page, layer=name)
    layer = by_name[name]
    st.caption(shape_words(layer), help=f"{in_markdown(layer.type)}, {layer.parameters:,} parameters")
    return layer


# --- Which photo -----------------------------------------------------------------------------------------------------


def choose_photo(page: str, *, picture: bool = True) -> tuple[Photo, str]:
    """A sample, an upload or a webcam picture, with its caption; shown in the sidebar unless the page does it."""
    with st.sidebar:
        return choose_photo_here(page, picture=picture)


def choose_photo_here(page: str, *, picture: bool = True) -> tuple[Photo, str]:
    """`choose_photo` wherever one is on the page."""
    sources = {"sample": "Sample", "upload": "Upload", "webcam": "Webcam"}
    source = st.segmented_control(
        "Photo",
        list(sources),
        format_func=sources.get,
        key=links.restore(page, "source", "sample", allowed=sources),
        persist_state="session",
        help="One that comes with the app, one of your own, or what the camera sees now.",
    )
    return {"upload": _uploaded, "webcam": _from_webcam}.get(source, _sample)(page, picture)


def _sample(page: str, picture: bool) -> tuple[Photo, str]:
    captions = {sample.name: sample for sample in samples.PHOTOGRAPHS}
    widget = links.restore(page, "photo", next(iter(captions)), allowed=captions)
    name = st.selectbox(
        "Sample photo",
        list(captions),
        format_func=lambda name: captions[name].caption,
        key=widget,
        persist_state="session",
        help="Photos that come with the app.",
    )
    links.publish(page, photo=name)
    photo = sample_photo(name)
    if picture:
        show_picture(picture_of(photo), captions[name].caption)
    st.caption("Photo: " + in_markdown(captions[name].source))
    return photo, captions[name].caption


def _uploaded(page: str, picture: bool) -> tuple[Photo, str]:
    file = st.file_uploader(
        "A photo",
        type=["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"],
        key=links.key(page, "photo_file"),
        help="It stays on this machine.",
        on_change=_forget_photo,
        args=(page,),
    )
    return _checked(page, file, "Choose a photo; until then the sample is shown.", picture)


def _from_webcam(page: str, picture: bool) -> tuple[Photo, str]:
    shot = st.camera_input(
        "Take a picture",
        key=links.key(page, "webcam"),
        help="It stays on this machine.",
        on_change=_forget_photo,
        args=(page,),
    )
    return _checked(page, shot, "Take a picture; until then the sample is shown.", picture)


def photo_to_carry(page: str) -> dict[str, object]:
    """The photo that `page` uses, as values for `links.go`; none where it uses none: the other page keeps its own."""
    source, photo = (st.session_state.get(links.key(page, name)) for name in ("source", "photo"))
    own = st.session_state.get(links.key(page, "own_photo"))
    if source in ("upload", "webcam") and own is not None:
        return {"source": "upload", "own_photo": own}  # its widget has gone with the page; the picture is kept
    return {} if photo is None else {"source": "sample", "photo": photo}


def _forget_photo(page: str) -> None:
    st.session_state.pop(links.key(page, "own_photo"), None)


def _checked(page: str, file, invitation: str, picture: bool) -> tuple[Photo, str]:
    kept, taken = links.key(page, "own_photo"), links.key(page, "own_photo_file")
    # Once only: the page may have taken another photo since, while the widget still holds its file.
    if file is not None and st.session_state.get(taken) != file.file_id:
        name = label(file.name)
        try:
            st.session_state[kept] = uploaded_photo(file.getvalue(), name), name
            st.session_state[taken] = file.file_id
        except UserError as error:
            st.session_state.pop(kept, None)
            show_error(error)
            return _sample(page, picture)
    if kept not in st.session_state:
        st.caption(invitation)
        return _sample(page, picture)
    photo, name = st.session_state[kept]
    links.publish(page, photo=None)
    if picture:
        show_picture(picture_of(photo), name)
    return photo, name


def seconds_words(seconds: float | None) -> str:
    """`about 40 s`, `about 3 min`; empty where nobody knows."""
    if seconds is None:
        return ""
    return f"about {max(1, round(seconds))} s" if seconds < 90 else f"about {round(seconds / 60)} min"
