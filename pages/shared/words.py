"""A person's words (names of files, classes, layers, models) made safe to show."""

from __future__ import annotations

import math
import re
import unicodedata

LONGEST = 80


def label(words: str, longest: int = LONGEST) -> str:
    """One printable line: no control characters, no text-direction tricks, and its middle left out where it has more
    than `longest` characters.

    Called once, where the words come in. What it gives is still to be shown literally: in `st.text`, `st.dataframe`, a
    selectbox, or through `in_markdown`.
    """
    words = unicodedata.normalize("NFC", words)
    printable = "".join(c if unicodedata.category(c)[0] not in "CZ" or c == " " else " " for c in words)
    line = " ".join(printable.split())
    if len(line) <= longest:
        return line
    tail = longest // 3  # what tells names of one kind apart is often at their end
    return f"{line[: longest - tail - 1].rstrip()}…{line[-tail:].lstrip()}"


def percent(share: float) -> str:
    """`0.384` -> `38 %`, `0.048` -> `4.8 %`; never `0 %`, and on one line."""
    if math.isnan(share):
        return "not a number"
    if share < 0.0005:
        return "less than 0.1\u00a0%"
    return f"{100 * share:.0f}\u00a0%" if share >= 0.0995 else f"{100 * share:.1f}\u00a0%"


def in_markdown(words: str) -> str:
    """`words` so that Markdown shows them letter for letter: nothing bold, no link, no picture fetched, no formula."""
    escaped = re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~$:&=^\"'/@])", r"\\\1", words)
    # A bare address would become a link although its punctuation is escaped.
    return re.sub(r"(?i)\b(https?|www|mailto|ftp)", lambda found: found[0][0] + "\u2060" + found[0][1:], escaped)
