"""What a person may say about a network from a file: asked where nobody else knows it, and changed in one place.

The question of the pixels has its own banner with pictures: `pages.shared.pixels`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from core.backbones import answers
from core.errors import UserError
from core.messages import ModelInfo, Openings
from core.opened import Opened
from pages.shared import links, opening, pixels
from pages.shared.words import in_markdown, label

COLOURS = ("red", "green", "blue")
PADDINGS = {"before": "before its words", "after": "after its words"}
SHOWN_NAMES = 5
MOST_MEGABYTES = answers.MAX_TEXT_BYTES // 1024**2
_TEXT_FILES = ("txt", "json", "csv")


def offer(page: str, info: ModelInfo) -> None:
    """In the sidebar, below the choice: what is odd in the network, and where to say more about a file's."""
    for note in info.notes:
        (st.warning if is_grave(note) else st.caption)(in_markdown(note))
    if not opening.is_own(info.ref.name):
        return
    model = opening.own(info.ref.name)
    with st.popover("About this network", icon=":material/tune:", width="stretch"):
        st.caption("What the file does not say, you can. It is remembered with the file.")
        show_all(page, info, model)
        st.button(
            "Forget this network",
            icon=":material/delete:",
            key=_key(page, model, "forget"),
            on_click=opening.forget,
            args=(model.path,),
            help="Takes it out of the list, with all that was said about it. Your own file stays as it is.",
        )


def is_grave(note: str) -> bool:
    """Whether what it says makes all that is shown worthless, or nearly: weights that cannot be right."""
    return "weights that are not numbers" in note or "no weights but zeros" in note


def ask(page: str, info: ModelInfo, *, names: bool = True) -> None:
    """At the top of the page: what nobody has said yet, and without which the pictures may mislead; not the `names` of
    the classes where the page shows none."""
    if not opening.is_own(info.ref.name):
        return
    model = opening.own(info.ref.name)
    if pixels.asks(info, model):
        pixels.show(page, info, model)
    elif names and names_are_missing(info, model) and not _is_put_off(model):
        ask_for_names(page, info, model)


def show_all(page: str, info: ModelInfo, model: Opened) -> None:
    """Every question that this file leaves open, with its answer so far."""
    openings = info.openings or Openings()
    if pixels.is_open(info, model):
        pixels.choose(page, info, model)
    if openings.channels > 3:
        choose_bands(page, openings, model)
    if openings.inputs:
        where = "The input that gets the text" if info.reads == "text" else "The input that gets the photo"
        choose(page, model, where, "source", {name: name for name in openings.inputs}, "The others get zeros.")
    if openings.outputs:
        outputs = {name: name for name in openings.outputs}
        choose(page, model, "The output that is the prediction", "output", outputs, "Each of them can be looked at.")
    if info.reads == "text":
        choose_words(page, info, openings, model)
    if info.tells_classes:
        edit_names(page, info, model, "about")


# --- One of a few ----------------------------------------------------------------------------------------------------


def choose(
    page: str, model: Opened, words: str, name: str, options: Mapping[str, str], help_text: str, now: str | None = None
) -> None:
    """The answer `name`, one of `options`; `now` is what holds while nothing is said."""
    said = getattr(model.said, name)
    widget = _key(page, model, name)
    st.session_state[widget] = said if said in options else now if now in options else next(iter(options))

    def take() -> None:
        others = {"class_names": None} if name == "output" else {}  # names are those of one output
        opening.say(model.path, **{name: st.session_state[widget]}, **others)

    st.selectbox(words, list(options), format_func=options.get, key=widget, on_change=take, help=help_text)


def choose_bands(page: str, openings: Openings, model: Opened) -> None:
    """Which of more than three channels get the photo's colours; all three at once, for each alone may be none."""
    now = model.said.bands or (0, 1, 2)
    st.markdown(f"**Its photos have {openings.channels} channels.** Which get the colours? The others are zero.")
    form = _key(page, model, "bands form")
    with st.form(form, border=False):
        widgets = [_key(page, model, colour) for colour in COLOURS]
        for place, (column, colour) in enumerate(zip(st.columns(3), COLOURS, strict=True)):
            with column:
                st.selectbox(
                    colour.capitalize(),
                    range(openings.channels),
                    index=min(now[place], openings.channels - 1),
                    format_func=lambda number: f"channel {number + 1}",
                    key=widgets[place],
                )
        pressed = st.form_submit_button("Use these channels", key=_key(page, model, "bands"))
    if pressed:
        bands = tuple(st.session_state[widget] for widget in widgets)
        if len(set(bands)) < len(COLOURS):
            opening.refuse(UserError("Each colour needs a channel of its own."), form)
        else:
            opening.say(model.path, form, bands=bands)
        st.rerun()
    opening.say_refusal(page, form)


# --- Names -----------------------------------------------------------------------------------------------------------


def names_are_missing(info: ModelInfo, model: Opened) -> bool:
    known = info.openings is None or info.openings.names_known or info.class_names or model.said.class_names
    return info.tells_classes and not known


def ask_for_names(page: str, info: ModelInfo, model: Opened) -> None:
    """One slim line, so that the page stays in view."""
    st.html("<style>.st-key-question button { min-height: 0; padding-block: 0; vertical-align: top; }</style>")
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="question"):
        st.caption("**What are its classes called?** The file does not say: *class 0*, *class 1* …", width="content")
        with st.popover("Give names", icon=":material/label:", type="tertiary"):
            edit_names(page, info, model, "asked")
        st.button(
            "Leave the numbers",
            key=_key(page, model, "names later"),
            type="tertiary",
            on_click=_put_off,
            args=(model.path,),
        )


def edit_names(page: str, info: ModelInfo, model: Opened, where: str) -> None:
    """The classes' names, pasted or from a file."""
    now = info.class_names
    if now:
        more = f" … {len(now):,} in all" if len(now) > SHOWN_NAMES else ""
        shown = ", ".join(label(name, 24) for name in now[:SHOWN_NAMES])
        st.caption("Its classes: " + in_markdown(shown) + more)
    form = _key(page, model, f"names form {where}")
    with st.form(form, border=False):
        text = st.text_area(
            "Names of the classes",
            key=_key(page, model, f"names {where}"),
            height=130,
            placeholder="cat\ndog\nowl",
            help="One a line, in the order in which the network was trained; or a list as JSON.",
        )
        file = st.file_uploader(
            "or a file with them",
            type=_TEXT_FILES,
            key=_key(page, model, f"names file {where}"),
            max_upload_size=MOST_MEGABYTES,
            help="One a line, or a list as JSON.",
        )
        pressed = st.form_submit_button(
            "Use these names", key=_key(page, model, f"use names {where}"), icon=":material/check:"
        )
    if pressed:
        _take_list(model, form, "class_names", text, file, "class names")
    opening.say_refusal(page, form)


def choose_words(page: str, info: ModelInfo, openings: Openings, model: Opened) -> None:
    """What the numbers of a text's words mean, and where a short text is filled up."""
    if not openings.words_known or model.said.vocabulary is not None:
        said = model.said.vocabulary
        st.markdown(
            f"Its vocabulary: {len(said):,} words."
            if said
            else "**It reads numbers of words.** Which word has which number? Give its vocabulary."
        )
        form = _key(page, model, "vocabulary form")
        with st.form(form, border=False):
            file = st.file_uploader(
                "Vocabulary (.txt, .json or .csv)",
                type=_TEXT_FILES,
                key=_key(page, model, "vocabulary file"),
                max_upload_size=MOST_MEGABYTES,
                help="One word a line, the first for number 0; or JSON that maps each word to its number.",
            )
            pressed = st.form_submit_button("Use this vocabulary", key=_key(page, model, "use vocabulary"))
        if pressed:
            _take_list(model, form, "vocabulary", "", file, "words")
        opening.say_refusal(page, form)
    if not info.sizes_fixed and model.said.padding is None:
        return
    choose(
        page, model, "A short text is filled up", "padding", PADDINGS, "With zeros, as when the network was trained."
    )


def _take_list(model: Opened, form: str, name: str, text: str, file: Any, what: str) -> None:
    """A list from a form, which is checked before the network is asked."""
    try:
        opening.say(model.path, form, **{name: _names_in(text, file, what)})
    except UserError as error:
        opening.refuse(error, form)
    st.rerun()


def _names_in(text: str, file: Any, what: str) -> tuple[str, ...]:
    if file is None:
        return answers.names_in(text or "", what=what)
    try:
        return answers.names_in(file.getvalue().decode("utf-8-sig"), what=what)
    except UnicodeDecodeError as error:
        raise UserError(f"{label(file.name, 40)} cannot be read as {what}: it must be text in UTF-8.") from error


# --- Later -----------------------------------------------------------------------------------------------------------


def _put_off(path: str) -> None:
    st.session_state[f"names later {path}"] = True


def _is_put_off(model: Opened) -> bool:
    return st.session_state.get(f"names later {model.path}", False)


def _key(page: str, model: Opened, name: str) -> str:
    return links.key(page, f"{name} of {model.id}")
