"""A person's own networks: the way in for a file, the list of what is open, and what was said about each.

A file is checked and opened in a worker before it enters the list: while that goes on, and where it is refused, the
network that is on show stays.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from core import opened, runs
from core.backbones import answers
from core.backbones.answers import Answers
from core.engine import OPENING_SECONDS, EngineError, Job
from core.errors import UserError
from core.messages import ModelInfo, ModelRef, PredictRequest
from core.opened import Opened
from pages.shared import links, visitors
from pages.shared.resources import keep_upload, sample_photo, uploads
from pages.shared.viewing import look_at, submit
from pages.shared.waiting import outcome_of, say_progress, show_error, wait_for
from pages.shared.words import in_markdown, label

REFRESH = 0.3  # seconds between two looks at a file that is being opened
NOT_ALLOWED = (
    "Opening one's own network is switched off on this server. Whoever started it can allow it with `--allow-models`."
)
LARGEST = 1000  # MB, on one's own machine: VGG16 has 554; a class has what the server allows for all uploads
HELP = (
    "A model that Keras saved. It is checked before it is opened: a file that could run code is refused. "
    "It stays on this machine."
)
_LIST, _UNDER_WAY, _BEFORE, _REFUSED, _FORM, _CHOSEN, _FOLLOWED = (
    f"opening.{name}" for name in ("list", "under way", "before", "refused", "form", "chosen", "followed")
)


# --- What is open ----------------------------------------------------------------------------------------------------


def own_models() -> dict[str, Opened]:
    """What this session has opened, by the paths of the copies that are kept; those that have gone are taken out."""
    models = st.session_state.setdefault(_LIST, {})
    for path, model in list(models.items()):
        if not model.is_here:
            del models[path]
            st.info(
                f"{in_markdown(model.name)} made room for newer files on this machine. Open it again to go on with it."
            )
    return models


def titles() -> dict[str, str]:
    """What each is called in the list: a choice is known by its words, so no two are alike."""
    found: dict[str, str] = {}
    for path, model in own_models().items():
        title, number = model.name, 1
        while title in found.values():
            number += 1
            title = f"{model.name} · {number}"
        found[path] = title
    return found


def is_own(path: str) -> bool:
    return path in st.session_state.get(_LIST, {})


def own(path: str) -> Opened:
    return st.session_state[_LIST][path]


def link_of(path: str) -> str:
    """How the address says it; among many people with what this one has said about it."""
    return own(path).link if visitors.are_a_class() else own(path).id


def take_chosen(page: str) -> None:
    """Put what was opened just now on show; before the widget that chooses."""
    chosen = st.session_state.pop(_CHOSEN, None)
    if chosen is not None:
        st.session_state[links.key(page, "model")] = chosen


def forget(path: str) -> None:
    """For a callback: take it out of the list. Its copy goes too, unless somebody else has it open."""
    st.session_state[_LIST].pop(path, None)
    st.session_state.get(_BEFORE, {}).pop(path, None)
    if uploads().leave(path, visitors.me()):
        opened.forget(path)


def reopen(ref: ModelRef) -> str:
    """For a callback: the network of a file that a run has kept, into the list where it is not there; the path by which
    it is chosen."""
    for path in own_models():
        if own(path).digest == ref.answers and runs.same_backbone(path, ref.name):
            return path
    with contextlib.suppress(UserError):
        model = Opened(ref.name, answers.read(ref.answers), ref.answers)
        if model.is_here:
            _enter(model)
    return ref.name


def _enter(model: Opened) -> None:
    st.session_state.setdefault(_LIST, {})[model.path] = model
    st.session_state.setdefault(_FOLLOWED, set()).add(model.id)
    uploads().take(model.path, visitors.me())
    with contextlib.suppress(UserError):  # no room: it is open all the same
        opened.remember(model)


def follow_link(link: str) -> None:
    """A link to a file that somebody opened, or this tab before it was loaded anew: into the list, while it is here."""
    followed = st.session_state.setdefault(_FOLLOWED, set())
    if opened.id_in(link) in followed or not visitors.may_open_models():
        return
    followed.add(opened.id_in(link))  # once: who takes it out of the list afterwards does not find it there again
    with contextlib.suppress(UserError):  # no room for what is said about it
        model = opened.find(link)
        if model is not None:
            _enter(model)


# --- The way in ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class UnderWay:
    """A file that is being checked and opened."""

    model: Opened
    job: Job


def offer(page: str) -> None:
    """The button that a person's own network comes in by, and how far the one is that is coming in."""
    with st.popover("Open a model file", icon=":material/folder_open:", width="stretch"):
        if visitors.may_open_models():
            file = st.file_uploader(
                "A Keras model (.keras, .h5 or .hdf5)",
                key=links.key(page, "model_file"),
                help=HELP,
                max_upload_size=None if visitors.are_a_class() else LARGEST,
            )
            st.caption("It stays here until an hour after you close this tab; a link to it works as long.")
        else:
            file = None
            st.markdown(NOT_ALLOWED)
    if file is not None and st.session_state.get("opening.file") != file.file_id:
        st.session_state["opening.file"] = file.file_id
        begin(file.getvalue(), label(file.name, 40))
    if _UNDER_WAY in st.session_state:
        watch()
    say_refusal(page)


def say_refusal(page: str, form: str = "") -> None:
    """Why the last file, or the last answer, was not taken: until the next one, or until another network is chosen.

    Said beside the `form` that the answer came from; without one, below the button for files.
    """
    refused = st.session_state.get(_REFUSED)
    if refused is None:
        return
    on_show = st.session_state.setdefault("opening.refused with", st.session_state.get(links.key(page, "model")))
    if st.session_state.get(links.key(page, "model")) != on_show:
        refuse(None)
    elif st.session_state.get(_FORM, "") == form:
        show_error(refused)


def refuse(error: Exception | None, form: str = "") -> None:
    """Say, from the next run on, why something was not taken, beside the `form` that it came from; `None` takes that
    back."""
    st.session_state[_REFUSED], st.session_state[_FORM] = error, form
    st.session_state.pop("opening.refused with", None)


def begin(data: bytes, name: str) -> None:
    """Keep a copy and have it opened. Its name is a label and nothing else."""
    cancel()
    refuse(None)
    try:
        path = keep_upload(data, opened.suffix_of(name))
        model = opened.opened(path, name, _said_before(path))
        st.session_state[_UNDER_WAY] = UnderWay(model, _open(model))
    except UserError as error:
        refuse(error)


def _said_before(path: Path) -> Answers | None:
    """What this session has said about the file; `None` for what anybody has, which in a class is not asked."""
    if is_own(str(path)):
        return own(str(path)).said
    return answers.NONE if visitors.are_a_class() else None


def _open(model: Opened) -> Job:
    if not model.path.endswith(opened.SUFFIXES):  # it will be refused, with a sentence for its kind
        return submit("core.backbones.imported:inspect", model.path, kind="study", seconds=OPENING_SECONDS)
    return submit("core.backbones.loading:describe", model.ref, kind="study", seconds=OPENING_SECONDS)


def cancel() -> None:
    """For a callback: give up what is coming in."""
    coming = st.session_state.pop(_UNDER_WAY, None)
    if coming is not None and not coming.job.snapshot().over:
        coming.job.cancel()


def watch() -> None:
    """How far the file is, with a way out; the rest of the page goes on meanwhile."""
    st.session_state[_UNDER_WAY].job.wait(0.3)  # most files are small: no flicker

    @st.fragment(run_every=REFRESH)
    def panel() -> None:
        coming = st.session_state.get(_UNDER_WAY)
        if coming is None:
            return
        snapshot = coming.job.snapshot()
        if snapshot.over:
            take_in(coming)
            st.rerun()
        look_at(coming.job)
        say_progress(st.empty(), snapshot, "Checking the file")
        st.button("Cancel", icon=":material/stop_circle:", key="cancel_opening", on_click=cancel, help="Not this one.")

    panel()


def take_in(coming: UnderWay) -> None:
    """Once it is over: into the list and on show, or a sentence."""
    del st.session_state[_UNDER_WAY]
    try:
        coming.job.result()
    except (UserError, EngineError) as error:
        if not is_own(coming.model.path) and uploads().leave(coming.model.path, visitors.me()):
            opened.forget(coming.model.path)
        refuse(UserError(_in_its_name(str(error), coming.model)))
        return
    _enter(coming.model)
    st.session_state[_CHOSEN] = coming.model.path


def _in_its_name(sentence: str, model: Opened) -> str:
    """The workers know the copy by its digest; a person knows the file by its name."""
    path = Path(model.path)
    return sentence.replace(str(path), model.name).replace(path.name, model.name)


# --- What is said about it -------------------------------------------------------------------------------------------


def say(path: str, form: str = "", **changes: object) -> None:
    """For a callback: change some answers about the network at `path`. `described` finds out whether they fit; if not,
    that is said beside the `form`."""
    before = own(path)
    refuse(None, form)
    try:
        told = opened.say(before, **changes)
    except UserError as error:
        refuse(error, form)
        return
    if told != before:
        st.session_state[_LIST][path] = told
        st.session_state.setdefault(_BEFORE, {}).setdefault(path, before)  # what was sure


def described(ref: ModelRef, words: str = "Loading the model") -> ModelInfo:
    """What there is to know of the network, loaded. Where answers do not fit, what was said before holds again, and
    one sentence says why."""
    job = _describe(ref)
    sure = st.session_state.get(_BEFORE, {})
    if ref.name not in sure or not is_own(ref.name):
        return wait_for(job, words)
    before, told = sure[ref.name], own(ref.name)
    try:
        info = outcome_of(job, words)
        check_names(info, told)
        opened.remember(told)
    except (UserError, EngineError) as error:
        st.session_state[_LIST][before.path] = before
        sure.pop(ref.name)
        refuse(UserError(_in_its_name(str(error), told)), st.session_state.get(_FORM, ""))
        st.rerun()
    sure.pop(ref.name)
    return info


def _describe(ref: ModelRef) -> Job:
    return submit("core.backbones.loading:describe", ref, kind="study", seconds=OPENING_SECONDS)


def check_names(info: ModelInfo, told: Opened) -> None:
    """Raises `UserError` where the names that were given are not one for each class."""
    names = told.said.class_names
    if names is None or info.class_names == names:
        return
    raise UserError(
        f"These are {len(names):,} names, and the network tells {count_classes(info.ref):,} classes: give one name for "
        "each, in the order in which the network was trained."
    )


def count_classes(ref: ModelRef) -> int:
    request = PredictRequest(ref, sample_photo("cat"), top=10**9)
    return len(outcome_of(submit("core.activations:predict", request, kind="interactive"), "Counting"))
