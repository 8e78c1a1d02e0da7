"""Which of a layer's filters are drawn: a page of 64, those with given numbers, or those that a photo excites most."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core import channels, plots
from core.errors import UserError
from core.messages import ActivationsRequest, LayerInfo, ModelInfo
from pages.shared import links
from pages.shared.controls import choose_photo, show_error, wait_for
from pages.shared.viewing import submit
from pages.visualizer.common import PAGE, choose_neighbours, choose_number, choose_one

WAYS = {"page": "Page", "range": "Numbers", "photo": "My photo"}
NUMBERS = (1, 4, 16, 64)
EXAMPLE = "0:16"


def choose_way() -> str:
    return choose_one(
        "Which filters",
        "choose",
        WAYS,
        "Page: 64 neighbours. Numbers: those that you name. My photo: those that answer most to one photo, "
        "the strongest first.",
    )


def choose_filters(info: ModelInfo, layer: LayerInfo, way: str, settings: DeltaGenerator) -> tuple[int, ...] | None:
    """The filters' numbers in the order of their tiles; `None` where what was written cannot be understood.

    What is seldom changed goes to `settings`.
    """
    if way == "page":
        return _by_page(layer, settings)
    return _by_number(layer) if way == "range" else _by_photo(info, layer)


def numbers_in(text: str, count: int) -> tuple[int, ...]:
    """The numbers that `text` names, such as "0:64" or "3, 5, 9" (a range leaves out its end, as Python's do).

    Each once, in the order given. Raises `UserError` for what is not understood or not below `count`.
    """
    numbers: list[int] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        ends = [end.strip() for end in part.split(":")]
        if not all(end.isdecimal() and len(end) < 7 for end in ends) or len(ends) > 2:
            raise UserError(f"The filters must be written like 0:64 or 3, 5, 9; {part!r} is neither.")
        numbers += range(int(ends[0]), int(ends[1])) if len(ends) == 2 else [int(ends[0])]
    if not numbers:
        raise UserError("No filter is named. Write their numbers, such as 0:64 or 3, 5, 9.")
    if max(numbers) >= count:
        raise UserError(f"There is no filter {max(numbers)}: this layer has {count}, numbered 0 to {count - 1}.")
    return tuple(dict.fromkeys(numbers))


def _by_page(layer: LayerInfo, settings: DeltaGenerator) -> tuple[int, ...]:
    page = choose_neighbours("Filters", layer.channels or 1, plots.PAGE)
    with settings:
        return tuple(page[: _how_many(len(page))])


def _by_number(layer: LayerInfo) -> tuple[int, ...] | None:
    count = layer.channels or 1
    text = st.text_input(
        f"Numbers (0 to {count - 1})",
        key=links.restore(PAGE, "filters", EXAMPLE),
        persist_state="session",
        max_chars=200,
        help="Such as 3, 5, 9 for these three, or 0:64 for the first sixty-four.",
    )
    links.publish(PAGE, filters=text)
    try:
        return numbers_in(text, count)
    except UserError as error:
        show_error(error)
        return None


def _by_photo(info: ModelInfo, layer: LayerInfo) -> tuple[int, ...]:
    number = _how_many(layer.channels or 1)
    photo, _ = choose_photo(PAGE)
    request = ActivationsRequest(info.ref, photo, (layer.name,))
    job = submit("core.activations:infer", request, kind="interactive")
    values = wait_for(job, "Looking at the photo").values[layer.name]
    return tuple(int(channel) for channel in channels.order(values, by="peak")[:number])


def _how_many(available: int) -> int:
    choices = tuple(sorted({min(number, available) for number in NUMBERS}))
    if len(choices) == 1:
        return choices[0]
    return choose_number(
        "How many filters",
        "count",
        choices,
        "Fewer filters are drawn sooner.",
        default=choices[-1],
    )
