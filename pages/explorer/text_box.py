"""Where a person writes: the text, examples made of the network's own words, and what it knows of them."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.messages import ModelInfo, TextAnswer
from pages.explorer.common import PAGE, ask, key
from pages.explorer.text_common import words_of
from pages.shared import links
from pages.shared.words import in_markdown, label

MOST = 4000  # letters of a text
MOST_IN_LINK = 500
NUMBERS = "3 17 250"


def choose_text(info: ModelInfo) -> str:
    """The text of the link, or what was written before, or the first example; empty where there is none."""
    examples = examples_of(info)
    links.restore(PAGE, "text", examples[0] if examples else "", parse=in_link)
    forget_another_networks_example(info, examples)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        text = st.text_input(
            "Text",
            key=key("text"),
            max_chars=MOST,
            persist_state="session",
            placeholder=placeholder(info),
            width="stretch",
            label_visibility="collapsed",
            icon=":material/edit:",
            help="Press Enter, and the network reads it. It stays on this machine.",
        )
        if examples:
            choose_example(examples)
    text = " ".join(text.split())
    links.publish(PAGE, text=text if 0 < len(text) <= MOST_IN_LINK else None)
    return text


def keep_the_links_text() -> None:
    """For the network that reads it, while one that reads photos is on show: a file's is opened after the page is."""
    for name in ("text", "text2"):
        links.restore(PAGE, name, "", parse=in_link)


def in_link(text: str) -> str:
    """What a link says, on one line and no longer than the page would write it."""
    return label(text, MOST_IN_LINK)


def placeholder(info: ModelInfo) -> str:
    if info.openings is not None and not info.openings.words_known:
        return (
            f"The network knows numbers only, up to {max(info.openings.words - 1, 0):,}: write {NUMBERS}, for instance"
        )
    return "Write a sentence"


def examples_of(info: ModelInfo) -> tuple[str, ...]:
    """Sentences of the network's own words, each the answer to "what would it call …?"."""
    return tuple(ask("core.text_examples:examples", info.ref, "Reading the vocabulary", kind="study"))


def choose_example(examples: Sequence[str]) -> None:
    """A list that forgets at once what was chosen: the text is what counts, and it may be changed."""

    def take() -> None:
        if st.session_state[key("example")] is not None:
            st.session_state[key("text")] = st.session_state[key("example")]
            st.session_state[key("example")] = None

    st.selectbox(
        "Examples",
        list(examples),
        index=None,
        key=key("example"),
        format_func=lambda text: label(text, 60),
        placeholder="Examples",
        on_change=take,
        width=200,
        label_visibility="collapsed",
        help="Made of words that the network knows.",
    )


def forget_another_networks_example(info: ModelInfo, examples: Sequence[str]) -> None:
    """What a person wrote stays when another network is chosen; an example of the other one's words does not."""
    belongs, before = key("examples_of"), st.session_state.get(key("examples_of"))
    st.session_state[belongs] = info.ref, tuple(examples)
    theirs = () if before is None else before[1]
    if (before is None or before[0] != info.ref) and st.session_state[key("text")] in ("", *theirs):
        st.session_state[key("text")] = examples[0] if examples else ""


# --- What it knows of them -------------------------------------------------------------------------------------------


def say_what_is_known(answer: TextAnswer) -> None:
    st.caption(" ".join(known_words(answer)))


def known_words(answer: TextAnswer) -> list[str]:
    """How many of the words are in the vocabulary, and what becomes of a text that is too long or too short."""
    words = words_of(answer.tokens)
    known = sum(token.known for token in words)
    sentences = []
    if known == len(words):
        sentences.append(f"All {len(words)} words are in its vocabulary." if len(words) > 1 else "It knows this word.")
    else:
        others = "The one" if len(words) - known == 1 else "Those"
        sentences.append(
            f"**{known} of {len(words)} words** are in its vocabulary. {others} marked with a question mark it never "
            "learned."
        )
    return [*sentences, *(in_markdown(label(note, 300)) for note in answer.notes)]
