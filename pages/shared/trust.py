"""How far the picture of a filter can be trusted, in a badge and in a sentence."""

from __future__ import annotations

import math

import streamlit as st

from core import samples
from core.messages import Mosaic, Trust
from pages.shared.words import in_markdown

BADGES = {"strong": ("trust: strong", "green"), "fair": ("trust: fair", "orange"), "weak": ("trust: weak", "red")}


def trust_of(mosaic: Mosaic, number: int) -> Trust | None:
    """What a finished mosaic knows of the trust in one of its tiles."""
    return mosaic.trust[mosaic.filters.index(number)] if mosaic.trust else None


def trust_badge(
    trust: Trust, help_text: str = "How far the picture tells what the filter looks for: see Trust."
) -> None:
    words, colour = BADGES[trust.level]
    st.badge(words, color=colour, help=help_text)


def trust_words(trust: Trust, who: str = "The filter") -> str:
    """What the network said to the picture, as a sentence; `who` answers."""
    captions = {sample.name: sample.caption for sample in samples.PHOTOGRAPHS}
    photo = in_markdown(captions.get(trust.photo_name, trust.photo_name))
    answers = (
        f"{who} answers **{_short(trust.tile)}** to its own picture, **{_short(trust.noise)}** to noise and "
        f"**{_short(trust.photo)}** to the best sample photo ({photo})."
    )
    meaning = {
        "strong": "Nothing that was tried excites it more: this is what it looks for.",
        "fair": "The photo excites it more than the picture does: there is more to it than the picture shows.",
        "weak": "Noise excites it as much: do not trust this picture.",
    }
    return f"{answers} {meaning[trust.level]}"


def _short(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "nothing"
