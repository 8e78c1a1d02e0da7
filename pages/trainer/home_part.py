"""The network to take home, the code that goes with it, and the way to the other two pages."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core import archives, runs, samples
from core.backbones.catalogue import CATALOGUE
from core.errors import UserError
from core.messages import ModelRef, Progress
from core.runs import Run
from core.transfer import forms, keras_code, settings
from core.transfer.forms import FORMS
from pages.shared import job_panel, links
from pages.shared.choices import offer
from pages.shared.resources import engine
from pages.shared.router import EXPLORER, VISUALIZER
from pages.shared.viewing import submit
from pages.shared.words import in_markdown
from pages.trainer.common import ask, choose_one, key

WAYS = {"keras": "Keras", "savedmodel": "SavedModel", "tflite": "LiteRT", "again": "Train it again"}
NAMES = ("code",)
A_ROW = 3
TASK = "core.transfer.exporting:run"


def show(run: Run) -> None:
    if not (run.folder / runs.MODEL).is_file():
        st.info("The file of this network is no longer on this machine. Train it again to have it back.")
        return
    open_elsewhere(run)
    offer_files(run)
    st.subheader("Code", anchor=False)
    show_code(run)


# --- The other pages -------------------------------------------------------------------------------------------------


def open_elsewhere(run: Run) -> None:
    path = str(run.folder / runs.MODEL)
    left, middle, right = st.columns(3, gap="medium")
    with left:
        if st.button("See what it sees", icon=":material/grid_view:", width="stretch", key=key("to explorer")):
            links.go(EXPLORER, "explorer", model=path, view="maps")
        st.caption("Every channel of every layer, for any photo.")
    with middle:
        if st.button(
            "See what its filters look for", icon=":material/texture:", width="stretch", key=key("to visualizer")
        ):
            links.go(VISUALIZER, "visualizer", model=path)
        st.caption("Pictures that excite its filters and its classes most.")
    with right:
        if st.button(
            "What fine-tuning changed",
            icon=":material/compare:",
            width="stretch",
            key=key("to weights"),
            disabled=run.config is None,
        ):
            layer = {} if (name := changed_layer(run)) is None else {"layer": name}
            links.go(
                EXPLORER, "explorer", model=path, view="compare", against="weights", others=others_of(run), **layer
            )
        st.caption(say_changed(run))


def changed_layer(run: Run) -> str | None:
    """The end of the first block that fine-tuning has changed as a whole: of all such, its maps are the largest."""
    config = run.config
    if not config.fine_tune_epochs:
        return None
    info = ask(
        "core.backbones.loading:describe", ModelRef(str(run.folder / runs.MODEL)), "Opening the network", kind="study"
    )
    maps = [layer for layer in info.layers if layer.is_spatial and "/" in layer.name]
    names = [layer.name.rpartition("/")[2] for layer in maps]
    first = config.fine_tune_from
    start = names.index(first) if first in names else round((1 - config.fine_tune_share) * len(maps))
    return next((layer.name for layer in maps[start:] if layer.type == "Add"), maps[-1].name if maps else None)


def others_of(run: Run) -> list[str]:
    """What the layer is shown beside: as ImageNet's photos left it, and untrained."""
    return ["imagenet", "random"] if run.config and run.config.backbone.name in CATALOGUE else ["random"]


def say_changed(run: Run) -> str:
    """What there is to be seen when its layers stand beside the same ones with other weights."""
    if run.config is None:
        return "The settings of this run cannot be read any more."
    if not (run.config.fine_tune_epochs or run.config.from_scratch):
        return "It was not fine-tuned: only its head is new."
    return "Its layers beside ImageNet's, and untrained ones."


# --- Files -----------------------------------------------------------------------------------------------------------


def offer_files(run: Run) -> None:
    """A card for each form, in rows."""
    names = list(FORMS)
    for start in range(0, len(names), A_ROW):
        for column, name in zip(st.columns(A_ROW, gap="medium"), names[start : start + A_ROW], strict=False):
            with column.container(border=True, height="stretch"):
                offer_form(run, name)


def offer_form(run: Run, name: str) -> None:
    form = FORMS[name]
    st.markdown(f"**{form.title}**  \n{form.words}")
    if name in forms.MADE:
        offer_made(run, name)
    elif name == "labels":
        save(name, "".join(f"{line}\n" for line in run.report.classes))
    elif (run.folder / form.file_name).is_file():
        save(name, (run.folder / form.file_name).read_bytes)
    else:
        st.caption("This file is no longer there.")


def save(name: str, data, words: str = "") -> None:
    form = FORMS[name]
    title = "Save the network (.keras)" if name == "keras" else f"Save {form.file_name}"
    offer(title, data, form.file_name, form.mime, key(f"save {name}"), words or None)


def offer_made(run: Run, name: str) -> None:
    """What lies ready; or its progress; or the button that has it made."""
    made = forms.made(run.folder, name)
    if made is not None:
        save(name, Path(made.path).read_bytes)
        st.caption(made.words)
        return
    request = forms.wanted(run.folder, name)
    job = engine().find(TASK, request)
    snapshot = job.snapshot() if job else None
    if snapshot is not None and not snapshot.over:
        job_panel.watch(job, lambda latest: None, progress_of=lambda latest: Progress("Ready"), stop="Stop")
        return
    if snapshot is not None:
        job_panel.tell_how_it_ended(snapshot, "Stopped.")
    if st.button("Make it", icon=":material/build:", key=key(f"make {name}"), help=f"Takes {FORMS[name].takes}."):
        submit(TASK, request, kind="render", keep=True)
        st.rerun()
    st.caption(f"Takes {FORMS[name].takes}, once.")


def offer_photos(run: Run) -> None:
    """As they were given, since the program that trains again needs them."""
    data = run.config.data if run.config else ""
    if data == "chessman":
        offer("Save photos.zip", chess_photos, "photos.zip", "application/zip", key("save photos"))
    elif Path(data).is_file():
        offer("Save photos.zip", Path(data).read_bytes, "photos.zip", "application/zip", key("save photos"))
    elif data and Path(data).is_dir():
        st.caption("The photos lie in a folder of yours on this machine; the program takes a folder, too.")
    else:
        st.caption("The photos are no longer on this machine.")


def offer_backbone(run: Run) -> None:
    """The person's file that it was trained on, which the program reads too."""
    file = Path(run.config.backbone.name)
    if run.config.backbone.name not in CATALOGUE and file.is_file():
        name = settings.network_file(run.config)
        offer("Save the network it began as", file.read_bytes, name, "application/octet-stream", key("save backbone"))


def chess_photos() -> bytes:
    place = samples.chessman()
    files = sorted(place.rglob("*.jpg"))
    return archives.pack((path.relative_to(place).as_posix(), path.read_bytes()) for path in files)


# --- Code ------------------------------------------------------------------------------------------------------------


def show_code(run: Run) -> None:
    st.fragment(show_code_live)(run)


def show_code_live(run: Run) -> None:
    way = choose_one(
        "Code for",
        "code",
        WAYS,
        "The first three ask the saved network about a photo, in each of its forms. The last one trains it again with "
        "plain Keras, as it was trained here.",
        label_visibility="collapsed",
    )
    if way != "again":
        st.code(keras_code.usage_code(way, run.config.size if run.config else 160), language="python")
        return
    try:
        code = code_of(run)
    except UserError as error:
        st.info(in_markdown(str(error)))
        return
    files = "*photos.zip*"
    if run.config.backbone.name not in CATALOGUE:
        files += f" and {in_markdown(settings.network_file(run.config))}"
    st.markdown(
        f"This program trains the network again with TensorFlow and Keras alone. Put {files} beside it. It comes "
        "to about the same accuracy; chance draws the new layers anew."
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        offer("Save train_again.py", code, "train_again.py", "text/x-python", key("save code"))
        offer_photos(run)
        offer_backbone(run)
    st.code(code, language="python", height=420)


def code_of(run: Run) -> str:
    """Raises `UserError` where there is none for this run."""
    if run.config is None:
        raise UserError("The settings of this run cannot be read any more, so its code cannot be written.")
    held_back = runs.read_held_back(run.folder)
    info = None
    if run.config.backbone.name not in CATALOGUE:
        info = ask("core.backbones.loading:describe", run.config.backbone, "Looking at the network", kind="study")
    return keras_code.training_code(run.config, run.report, held_back.files if held_back else (), info)
