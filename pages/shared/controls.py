"""Widgets used by more than one page. Each returns a plain value, or says what is wrong and stops the page."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core import runs, samples, storage
from core.backbones.catalogue import CATALOGUE, availability
from core.engine import EngineError, Job
from core.errors import UserError
from core.messages import LayerInfo, ModelInfo, ModelRef, Photo, Progress
from pages.shared import links
from pages.shared.choices import show_picture
from pages.shared.resources import engine, picture_of, sample_photo, uploaded_photo
from pages.shared.words import in_markdown, label

DEFAULT_MODEL = "efficientnet_lite0"
FIRST_LOOK = 0.15  # seconds before anything is said about waiting: what is quicker would only flicker
POLL = 0.1


def show_error(error: Exception) -> None:
    """The sentence of an error, letter for letter (it may quote a person's words)."""
    st.error(in_markdown(str(error)), icon=":material/error:")


def wait_for(job: Job, words: str):
    """The result of a short job, with its progress in view meanwhile; stops the page with a sentence if it fails."""
    # There even if nobody has to wait: else what follows would change places from one run to the next, and in a
    # fragment the last of it would stay behind, twice.
    place = st.empty()
    snapshot = job.wait(FIRST_LOOK)
    if not snapshot.over:
        while not (snapshot := job.wait(POLL)).over:
            _say_progress(place, snapshot, words)
        place.empty()
    try:
        return job.result()
    except (UserError, EngineError) as error:
        show_error(error)
        st.stop()


def _say_progress(place, snapshot, words: str) -> None:
    if not engine().ready():
        place.info("TensorFlow is starting. The first picture comes in a few seconds.", icon=":material/hourglass_top:")
        return
    if snapshot.state == "queued" and snapshot.place and snapshot.place > 1:
        place.info(f"{words}. You are number {snapshot.place} in the queue.", icon=":material/hourglass_top:")
        return
    progress = snapshot.latest if isinstance(snapshot.latest, Progress) else Progress(words)
    place.progress(progress.fraction or 0.0, text=in_markdown(progress.words) + " …")


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
    """A model from the catalogue, one that was trained here, or a file; loaded, and described in one line."""
    with st.sidebar:
        ref = choose_ref(page)
    info = wait_for(engine().submit("core.backbones.loading:describe", ref, kind="interactive"), "Loading the model")
    with st.sidebar:
        weights = "untrained" if ref.weights is None and not _is_file(ref.name) else None
        say = st.warning if weights else st.caption
        say(f"{in_markdown(info.origin)} · {info.parameters / 1e6:.1f} M parameters")
    return info


def choose_ref(page: str) -> ModelRef:
    """Which model, without loading it."""
    trained = {str(run.path): run for run in runs.finished_models()}
    opened = st.session_state.setdefault("opened_models", {})
    own = [*trained, *opened]
    wanted = st.query_params.get("model", "")
    just_opened = st.session_state.pop("just_opened", None)
    if just_opened is not None:
        st.session_state[links.key(page, "model")] = just_opened
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
        st.info("The link names a model that is not on this machine; the built-in one is shown.")
    name = st.selectbox(
        "Network",
        [*own, *CATALOGUE],
        format_func=say,
        key=widget,
        persist_state="session",
        help="✓ works here without internet. The others download their weights once, or can be shown untrained. "
        "★ are networks that were trained here or opened from a file.",
    )
    _open_file(page)
    if _is_file(name):
        links.publish(page, model=trained[name].id if name in trained else None, weights=None)
        return ModelRef(name)
    return ModelRef(name, _choose_weights(page, name))


def _from_link(own: list[str]):
    """A link names a trained run by its id, never by a path."""
    by_id = {Path(path).parent.name: path for path in own}
    return lambda text: by_id.get(text, text if text in CATALOGUE else None)


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


def _open_file(page: str) -> None:
    with st.popover("Open a model file", icon=":material/folder_open:", width="stretch"):
        file = st.file_uploader(
            "A Keras model (.keras or .h5)",
            type=["keras", "h5"],
            key=links.key(page, "model_file"),
            help="It is checked before it is opened: a file that could run code is refused.",
        )
    if file is None or st.session_state.get("last_model_file") == file.file_id:
        return
    st.session_state["last_model_file"] = file.file_id
    name = label(file.name, 40)
    suffix = ".h5" if name.lower().endswith(".h5") else ".keras"
    try:
        path = str(storage.keep_upload(file.getvalue(), suffix))
        # Opened now, so that a file that is refused never enters the list.
        with st.spinner("Checking the file"):
            engine().submit("core.backbones.loading:describe", ModelRef(path), kind="interactive").result()
    except (UserError, EngineError) as error:
        show_error(error)
        return
    st.session_state["opened_models"][path] = name
    st.session_state["just_opened"] = path
    st.rerun()


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


def shape_words(layer: LayerInfo) -> str:
    """`64 channels of 28 × 28`, as a person says it."""
    if layer.is_spatial:
        height, width, channels = ("any" if size is None else size for size in layer.output_shape)
        return f"{channels} channels of {height} × {width}"
    return f"{layer.channels} units" if len(layer.output_shape) == 1 else " × ".join(map(str, layer.output_shape))


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
