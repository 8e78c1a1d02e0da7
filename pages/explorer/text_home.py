"""What can be taken home of a text: tables, a picture, the link."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image, ImageDraw, ImageFont

from core import explorer_code, images, plots
from core.messages import WordSaliency
from pages.explorer.taking_home import address
from pages.explorer.text_box import MOST_IN_LINK
from pages.explorer.text_common import TextScene
from pages.shared.choices import offer
from pages.shared.words import label

CELL = 26  # pixels of a cell in the picture
_FORMULA = ("=", "+", "-", "@")


def offer_saliency(scene: TextScene, found: WordSaliency, name: str) -> None:
    with st.container(horizontal=True, gap="small"):
        offer(
            "Numbers",
            lambda: saliency_csv(found, name),
            "words.csv",
            "text/csv",
            "save_saliency",
            "Every word with both numbers, for a spreadsheet (CSV).",
        )
        _offer_link(scene)


def offer_heatmap(
    scene: TextScene, layer: str, values: np.ndarray, steps: Sequence[plots.Step], units: Sequence[int]
) -> None:
    """`values` is `float32[T, U]`; the table has all units, the picture those that are on show."""
    stem = explorer_code.stem_of(layer)
    with st.container(horizontal=True, gap="small"):
        offer(
            "Numbers",
            lambda: heatmap_csv(values, steps),
            f"{stem}.csv",
            "text/csv",
            "save_words",
            "A line for each word, a column for each unit of the layer, for a spreadsheet (CSV).",
        )
        offer(
            "Picture",
            lambda: picture_of(values, steps, units),
            f"{stem}.png",
            "image/png",
            "save_heatmap",
            "The units that are on show, in the same order and colours, as one PNG.",
        )
        _offer_link(scene)


def offer_units(scene: TextScene, layer: str, values: np.ndarray, names: Sequence[str] | None) -> None:
    """`values` is `float32[U]`."""
    with st.container(horizontal=True, gap="small"):
        offer(
            "Numbers",
            lambda: units_csv(values, names),
            f"{explorer_code.stem_of(layer)}.csv",
            "text/csv",
            "save_words",
            "A line for each unit, for a spreadsheet (CSV).",
        )
        _offer_link(scene)


def _offer_link(scene: TextScene) -> None:
    with st.popover("Link", icon=":material/link:", help="The address of exactly this."):
        if len(scene.text) > MOST_IN_LINK:
            st.caption(f"A text of more than {MOST_IN_LINK} letters is too long for a link: it is not part of it.")
        else:
            st.caption(
                "Opens this page with the same network, text and layer. A network from a file is not part of it."
            )
        st.code(address(), language=None, wrap_lines=True)


# --- Tables ----------------------------------------------------------------------------------------------------------


def heatmap_csv(values: np.ndarray, steps: Sequence[plots.Step]) -> bytes:
    units = [f"unit {unit}" for unit in range(values.shape[1])]
    return _table(["words", *units], ([step.words, *values[step.place].tolist()] for step in steps))


def saliency_csv(found: WordSaliency, name: str) -> bytes:
    """`name` is the class; padding is left out."""
    rows = (
        [token.word, token.number, "yes" if token.known else "no", float(gradient), float(without)]
        for token, gradient, without in zip(found.tokens, found.gradient, found.without, strict=True)
        if not token.is_padding
    )
    ways = ("gradient x embedding", "without the word")
    return _table(["word", "number", "known", *(f"{way}, for {name}" for way in ways)], rows)


def units_csv(values: np.ndarray, names: Sequence[str] | None) -> bytes:
    rows = ([unit, names[unit] if names else "", value] for unit, value in enumerate(values.tolist()))
    return _table(["unit", "name", "value"], rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    file = io.StringIO(newline="")
    table = csv.writer(file)
    table.writerow([_cell(each) for each in head])
    table.writerows([_cell(each) for each in row] for row in rows)
    return file.getvalue().encode("utf-8-sig")  # so that spreadsheets see that it is UTF-8


def _cell(value: Any) -> Any:
    """Words that no spreadsheet takes for a formula; numbers that every spreadsheet reads."""
    if isinstance(value, float):
        return f"{value:.7g}" if np.isfinite(value) else ""
    if isinstance(value, str):
        word = "".join(sign for sign in value if sign.isprintable())
        return f"'{word}" if word.lstrip().startswith(_FORMULA) else word
    return value


# --- A picture -------------------------------------------------------------------------------------------------------


def picture_of(values: np.ndarray, steps: Sequence[plots.Step], units: Sequence[int]) -> bytes:
    """The heatmap as PNG: the words on the left, the units' numbers above."""
    rows = [step.place for step in steps]
    colours = plots.colour_range(values[rows])
    cells = images.colourise(
        values[np.ix_(rows, list(units))],
        colours.low,
        colours.high,
        "diverging" if colours.signed else "viridis",
    )
    cells = cells.repeat(CELL, axis=0).repeat(CELL, axis=1)
    font = ImageFont.load_default(16)
    words = [label(step.words, 24) for step in steps]
    left = round(max((font.getlength(word) for word in words), default=0)) + 16
    picture = Image.new("RGB", (left + cells.shape[1] + 8, CELL + cells.shape[0] + 8 + CELL), "white")
    picture.paste(Image.fromarray(cells), (left, CELL))
    draw = ImageDraw.Draw(picture)
    for row, word in enumerate(words):
        draw.text((left - 8, CELL + (row + 0.5) * CELL), word, fill="black", font=font, anchor="rm")
    small = ImageFont.load_default(12)
    for column, unit in enumerate(units):
        draw.text((left + (column + 0.5) * CELL, CELL / 2), str(unit), fill="black", font=small, anchor="mm")
    draw.text(
        (left, picture.height - CELL / 2),
        f"colours: {plots.range_words(colours)}",
        fill="black",
        font=small,
        anchor="lm",
    )
    return images.encode_png(np.asarray(picture))
