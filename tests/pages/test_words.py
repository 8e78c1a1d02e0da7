"""A person's words stay words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pages.shared.words import LONGEST, in_markdown, label

HOSTILE = [
    "![x](https://example.org/a.png)",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "$\\frac{a}{b}$",
    "**bold** _it_ `code`",
    ":red[text] :material/home:",
    "https://example.org",
    "# heading",
    "- list",
    "a | b",
]


@pytest.mark.parametrize("words", HOSTILE)
def test_markdown_shows_the_words_letter_for_letter(words):
    html = MarkdownIt("commonmark", {"linkify": False}).render(in_markdown(words))
    assert html.count("<") == 2, html  # the paragraph and its end, nothing else
    assert html.startswith("<p>")


@given(st.text(max_size=300))
def test_a_label_is_one_short_printable_line(words):
    safe = label(words)
    assert len(safe) <= LONGEST
    assert safe.isprintable()
    assert label(safe) == safe


def test_of_a_long_label_both_ends_are_kept():
    assert label("a very long name of a class, number 12", 24) == "a very long nam…umber 12"
