"""What a network makes of a text, as files: tables for spreadsheets, and a picture with the words beside the units."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core import images, plots
from core.messages import WordSaliency

CELL = 26  # pixels of a cell in the picture
_LEGIBLE = 16  # pixels of a cell that has words and numbers beside it
_LARGEST = 6_000  # pixels of a side of the picture
_LONGEST = 24  # letters of a word in the picture
_FORMULA = ("=", "+", "-", "@")


def heatmap_csv(values: np.ndarray, steps: Sequence[plots.Step]) -> bytes:
    """A line for each step of `values`, `float[T, U]`, a column for each unit."""
    units = [f"unit {unit}" for unit in range(values.shape[1])]
    return _table(["words", *units], ([step.words, *values[step.place].tolist()] for step in steps))


def units_csv(values: np.ndarray, names: Sequence[str] | None = None) -> bytes:
    """A line for each unit of `values`, `float[U]`."""
    rows = ([unit, names[unit] if names else "", value] for unit, value in enumerate(values.tolist()))
    return _table(["unit", "name", "value"], rows)


def saliency_csv(found: WordSaliency, name: str) -> bytes:
    """A line for each word; `name` is the class's or the unit's."""
    rows = (
        [token.word, token.number, "yes" if token.known else "no", float(gradient), float(without)]
        for token, gradient, without in zip(found.tokens, found.gradient, found.without, strict=True)
        if not token.is_padding
    )
    ways = ("gradient x embedding", "without the word")
    return _table(["word", "number", "known", *(f"{way}, for {name}" for way in ways)], rows)


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


def heatmap_png(values: np.ndarray, steps: Sequence[plots.Step], units: Sequence[int] | None = None) -> bytes:
    """`values`, `float[T, U]`, as PNG: the words of `steps` on the left, the numbers of `units` (all) above."""
    rows = [step.place for step in steps]
    units = range(values.shape[1]) if units is None else units
    colours = plots.colour_range(values[rows])
    look = "diverging" if colours.signed else "viridis"
    cells = images.colourise(values[np.ix_(rows, list(units))], colours.low, colours.high, look)
    cell = min(CELL, max(1, _LARGEST // max(cells.shape[:2])))
    cells = cells.repeat(cell, axis=0).repeat(cell, axis=1)
    font, small = ImageFont.load_default(min(16, cell)), ImageFont.load_default(12)
    words = [plots.shortened(step.words, _LONGEST) for step in steps] if cell >= _LEGIBLE else []
    below = f"colours: {plots.range_words(colours)}"
    left = round(max((font.getlength(word) for word in words), default=0)) + 16
    width = left + max(cells.shape[1], round(small.getlength(below))) + 8
    picture = Image.new("RGB", (width, CELL + cells.shape[0] + 8 + CELL), "white")
    picture.paste(Image.fromarray(cells), (left, CELL))
    draw = ImageDraw.Draw(picture)
    for row, word in enumerate(words):
        draw.text((left - 8, CELL + (row + 0.5) * cell), word, fill="black", font=font, anchor="rm")
    for column, unit in enumerate(units if cell >= _LEGIBLE else ()):
        draw.text((left + (column + 0.5) * cell, CELL / 2), str(unit), fill="black", font=small, anchor="mm")
    draw.text((left, picture.height - CELL / 2), below, fill="black", font=small, anchor="lm")
    return images.encode_png(np.asarray(picture))
