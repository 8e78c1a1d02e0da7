"""What the views of a network that reads text share: what is being looked at, and its words made safe to show."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np
import streamlit as st

from core import plots
from core.messages import LayerInfo, ModelInfo, ModelRef, Prediction, TextAnswer, TextRequest, Token
from pages.explorer.common import ask
from pages.shared.words import in_markdown, label

ALL_CLASSES = 100_000
WINDOW = 560  # pixels: what is higher scrolls in its own frame, and the page does not


@dataclass(frozen=True)
class TextScene:
    """A network that reads a text: what the page stands on, whatever the view. `answer` has no layers in it."""

    info: ModelInfo
    text: str
    answer: TextAnswer

    @property
    def model(self) -> ModelRef:
        return self.info.ref

    @property
    def tokens(self) -> tuple[Token, ...]:
        return self.answer.tokens

    @property
    def predictions(self) -> tuple[Prediction, ...]:
        return self.answer.predictions


def read(info: ModelInfo, text: str, layer: LayerInfo | None = None, *, top: int = 5) -> TextAnswer:
    """What the network makes of `text`, and what `layer` does."""
    layers = () if layer is None else (layer.name,)
    return ask("core.text:answer", TextRequest(info.ref, text, layers, top), "Reading the text")


def class_name(info: ModelInfo, index: int) -> str:
    """One line, still to be shown literally."""
    names = info.class_names or ()
    return label(names[index]) if index < len(names) else f"class {index}"


def words_of(tokens: Sequence[Token]) -> list[Token]:
    """The tokens without what only fills the text up."""
    return [token for token in tokens if not token.is_padding]


def safe(tokens: Sequence[Token]) -> tuple[Token, ...]:
    """The same with printable words, each one line."""
    return tuple(Token(label(token.word) or "·", token.number, token.known, token.is_padding) for token in tokens)


def quoted(word: str) -> str:
    """A word in a sentence of Markdown."""
    return f"“{in_markdown(label(word, 40))}”"


def address_of(words: str) -> str:
    return quote(words, safe="")


# --- Words on the page -----------------------------------------------------------------------------------------------

_CHIP = (
    "display:inline-block;text-align:center;margin:2px 3px;padding:1px 9px 2px;border-radius:7px;font-size:1.15rem;"
    "line-height:1.35;vertical-align:top;"
)
_PLAIN = "background:rgba(128,128,128,.17);"
_UNKNOWN = "border:2px dashed #64748b;padding:0 7px 0;"
_MARKED = "outline:3px solid #c2410c;"


def show_words(tokens: Sequence[Token], *, padding: bool = False, marked: Sequence[int] = ()) -> None:
    """The sentence, each word on a ground of its own; unknown ones in a dashed frame; `marked` places outlined."""
    chips = [
        _chip(token, _PLAIN, "", _unknown(token) + (_MARKED if place in marked else ""))
        for place, token in enumerate(tokens)
        if padding or not token.is_padding
    ]
    _show("words", chips)


def show_coloured(tokens: Sequence[Token], values: Sequence[float]) -> None:
    """The sentence, each word coloured by its value (red above 0, blue below), which stands below it."""
    shown = [(token, float(value)) for token, value in zip(tokens, values, strict=True) if not token.is_padding]
    colours = plots.word_colours([value for _, value in shown])
    reach = max((abs(value) for _, value in shown if np.isfinite(value)), default=0.0)
    chips = [
        _chip(
            token, f"background:{colour.background};color:{colour.ink};", plots.with_sign(value, reach), _unknown(token)
        )
        for (token, value), colour in zip(shown, colours, strict=True)
    ]
    _show("coloured words", chips)


def _unknown(token: Token) -> str:
    return "" if token.known or token.is_padding else _UNKNOWN


def _chip(token: Token, look: str, below: str, more: str = "") -> str:
    word = html.escape(label(token.word, 40) or "·") if not token.is_padding else "padding"
    title = f"number {token.number}" if token.known else "not in its vocabulary"
    mark = "" if token.known or token.is_padding else '<sup style="line-height:0">?</sup>'
    small = f'<br><span style="font-size:0.95rem;font-variant-numeric:tabular-nums">{below}</span>' if below else ""
    faint = "opacity:.55;" if token.is_padding else ""
    return f'<span style="{_CHIP}{look}{more}{faint}" title="{title}">{word}{mark}{small}</span>'


def _show(words: str, chips: Sequence[str]) -> None:
    st.html(f'<div aria-label="{words}" style="max-height:11rem;overflow-y:auto;padding:2px 0">{"".join(chips)}</div>')


@contextmanager
def in_window(height: int) -> Iterator[None]:
    """A frame that scrolls where what is in it has more than `WINDOW` pixels."""
    with st.container(height=WINDOW, border=False) if height > WINDOW else st.container():
        yield
