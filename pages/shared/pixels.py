"""What should a network's pixels be? The question with a picture of the consequence for each possibility."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import streamlit as st

from core import images, samples
from core.backbones.preprocessing import PREPROCESSING
from core.engine import EngineError
from core.errors import UserError
from core.messages import ModelInfo, Photo, RangeSeen, RangesRequest
from core.opened import Opened
from pages.shared import links, opening
from pages.shared.choices import show_picture
from pages.shared.resources import sample_photo
from pages.shared.viewing import submit
from pages.shared.waiting import outcome_of, show_error
from pages.shared.words import in_markdown, label, percent


@dataclass(frozen=True)
class Pixels:
    """How a preprocessing is called, how a program writes it, and which networks want it so."""

    title: str
    code: str
    known_from: str


CHOICES = {
    "none": Pixels("0 … 255", "x", "as they are"),
    "unit": Pixels("0 … 1", "x / 255", "most tutorials"),
    "tf": Pixels("−1 … 1", "x / 127.5 - 1", "Xception, MobileNet"),
    "torch": Pixels("Mean and spread", "(x/255 - m) / s", "DenseNet, PyTorch"),
    "caffe": Pixels("Blue-green-red", "x[..., ::-1] - m", "VGG16, ResNet50"),
}
GUESS = "guess"  # the option that says nothing
PICTURE = 190  # pixels wide


def is_open(info: ModelInfo, model: Opened) -> bool:
    """Whether it is for a person to say: nobody else knows it, or somebody has said it."""
    asked = info.openings is not None and not info.openings.range_known
    return info.reads == "photo" and (asked or model.said.preprocessing is not None)


def asks(info: ModelInfo, model: Opened) -> bool:
    """Whether the banner is on show."""
    wanted = model.said.preprocessing is None
    return is_open(info, model) and st.session_state.get(_shown(model), wanted)


def choose(page: str, info: ModelInfo, model: Opened) -> None:
    """In one line, with the way to the pictures."""
    now = model.said.preprocessing
    widget = links.key(page, f"pixels of {model.id}")
    st.session_state[widget] = now or GUESS

    def take() -> None:
        _say(model, st.session_state[widget])

    st.selectbox(
        "Its pixels",
        [*([] if now else [GUESS]), *offered(info, now)],
        format_func=lambda name: f"{_guessed(info)} (a guess)" if name == GUESS else _title(name),
        key=widget,
        on_change=take,
        help="What the network got when it was trained.",
    )
    if not asks(info, model):
        st.button(
            "See what each does",
            icon=":material/compare:",
            key=links.key(page, f"pixels shown of {model.id}"),
            on_click=_show,
            args=(model, True),
        )


def offered(info: ModelInfo, now: str | None) -> list[str]:
    plain = info.openings is not None and info.openings.channels != 3
    names = ["none", "unit", "tf"] if plain else list(CHOICES)
    return names if now is None or now in names else [*names, now]


def show(page: str, info: ModelInfo, model: Opened) -> None:
    """The banner: each possibility in a column, with a button below."""
    with st.container(border=True, key="question"):
        words, beside = st.columns([6, 1])
        words.markdown(introduction(info, model))
        with beside:
            st.button(
                "Decide later" if model.said.preprocessing is None else "Close",
                key=links.key(page, f"pixels later of {model.id}"),
                on_click=_show,
                args=(model, False),
                width="stretch",
                help="You can say it at any time under *About this network*.",
            )
        seen = look(page, info)
        if seen:
            for column, each in zip(st.columns(len(seen)), seen, strict=True):
                with column:
                    show_one(page, model, each)


def introduction(info: ModelInfo, model: Opened) -> str:
    if model.said.preprocessing is None:
        now = f"The file does not say, so **{in_markdown(_guessed(info))}** is taken for now: a guess."
    else:
        now = f"You said: **{in_markdown(_title(model.said.preprocessing))}**."
    colourful = "torch" in offered(info, None)
    letters = "x is the photo, m and s are ImageNet's mean and spread" if colourful else "x is the photo"
    return (
        f"**What should its pixels be?** {now} Look it up in the program that trained it ({letters}), or compare: "
        "below are channels of its first layer, and what it says to the same photo. With wrong pixels a network is "
        "often sure of anything, or its channels stay silent."
    )


def look(page: str, info: ModelInfo) -> tuple[RangeSeen, ...]:
    """What becomes of the photo at hand; nothing, and a sentence, where that cannot be shown."""
    request = RangesRequest(replace(info.ref, preprocessing=None), photo_at_hand(page))
    try:
        return outcome_of(submit("core.ranges:compare", request, kind="study"), "Trying each of them")
    except (UserError, EngineError) as error:
        show_error(error)
        return ()


def show_one(page: str, model: Opened, seen: RangeSeen) -> None:
    choice = CHOICES[seen.preprocessing]
    st.markdown(f"**{in_markdown(choice.title)}**  \n`{choice.code}`  \n:small[{in_markdown(choice.known_from)}]")
    if seen.maps is not None:
        words = f"The liveliest channels of {label(seen.layer)} for pixels {choice.title}"
        show_picture(images.encode_png(seen.maps), words, width=PICTURE)
    st.markdown(consequence(seen))
    chosen = model.said.preprocessing == seen.preprocessing
    st.button(
        "Chosen" if chosen else "This one",
        key=links.key(page, f"{seen.preprocessing} for {model.id}"),
        type="primary" if chosen else "secondary",
        icon=":material/check:",
        width="stretch",
        on_click=_say,
        args=(model, seen.preprocessing),
    )


def consequence(seen: RangeSeen) -> str:
    """What the network says, and how much of its first layer is awake."""
    if math.isnan(seen.strongest):
        return "answers with no numbers at all"
    silent = "no channel silent" if not seen.silent else f"{percent(seen.silent)} of channels silent"
    lines = [silent, f"answers up to {seen.strongest:.3g}"]
    if seen.prediction is not None:
        name = in_markdown(label(seen.prediction.name, 24))
        lines.insert(0, f"says **{name}** ({percent(seen.prediction.probability)})")
    return "  \n".join(lines)


def photo_at_hand(page: str) -> Photo:
    """The photo that the page looks at, as far as it is known yet; else the first sample."""
    source, name, uploaded = (
        st.session_state.get(links.key(page, each), st.query_params.get(each))
        for each in ("source", "photo", "own_photo")
    )
    if source in ("upload", "webcam") and isinstance(uploaded, tuple):
        return uploaded[0]
    names = [sample.name for sample in samples.PHOTOGRAPHS]
    return sample_photo(name if name in names else names[0])


def _say(model: Opened, name: str) -> None:
    opening.say(model.path, preprocessing=name)
    _show(model, False)


def _show(model: Opened, shown: bool) -> None:
    st.session_state[_shown(model)] = shown


def _shown(model: Opened) -> str:
    return f"pixels shown {model.path}"


def _title(name: str) -> str:
    return CHOICES[name].title if name in CHOICES else PREPROCESSING[name].words


def _guessed(info: ModelInfo) -> str:
    """What is taken while nothing is said, from the words of the loaded network."""
    for name, choice in CHOICES.items():
        if info.preprocessing.startswith(PREPROCESSING[name].words):
            return choice.title
    return info.preprocessing
