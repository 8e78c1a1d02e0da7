"""Words: which of a text's words speak for a class, found in two ways."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core import plots
from core.messages import WordSaliency, WordSaliencyRequest
from pages.explorer import text_box, text_home
from pages.explorer.common import PAGE, ask, key
from pages.explorer.text_common import TextScene, class_name, in_window, quoted, safe, show_coloured, words_of
from pages.shared import links
from pages.shared.choices import show_figure
from pages.shared.words import in_markdown

NAMES = ("class",)
BEST = "best"
GRADIENT, WITHOUT = "gradient × embedding", "without the word"


def show(scene: TextScene) -> None:
    if not scene.predictions:
        st.info("This network tells no classes that a word could speak for. Choose **Layers** to see its units.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        target = choose_class(scene)
        text_box.say_what_is_known(scene.answer)
    found = ask("core.text:saliency", WordSaliencyRequest(scene.model, scene.text, target), "Weighing the words")
    show_sentences(scene, found, target)
    show_bars(found)
    text_home.offer_saliency(scene, found, class_name(scene.info, target))


def choose_class(scene: TextScene) -> int:
    """The class that is asked about: the best guess of whatever is written, until another is chosen."""
    best = scene.predictions[0]
    names = scene.info.class_names or ()
    count = max(2, scene.info.layers[-1].channels or 2, len(names), best.index + 1)
    options = [BEST, *map(str, range(count))]

    def say(option: str) -> str:
        # The same whatever is written: a choice is known by its words.
        return f"What speaks for {'its best guess' if option == BEST else class_name(scene.info, int(option))}?"

    links.restore(PAGE, "class", BEST, allowed=options)
    chosen = st.selectbox(
        "Which words speak for",
        options,
        format_func=say,
        key=key("class"),
        persist_state="session",
        width=420,
        label_visibility="collapsed",
        help="The best guess changes with the text; a class that you choose stays.",
    )
    links.publish(PAGE, **{"class": chosen if chosen != BEST else None})
    return best.index if chosen == BEST else int(chosen)


def show_sentences(scene: TextScene, found: WordSaliency, target: int) -> None:
    name = f"**{in_markdown(class_name(scene.info, target))}**"
    st.markdown(f"**Gradient × embedding**: would {name} rise if this word counted a little more?")
    show_coloured(found.tokens, found.gradient)
    st.markdown(f"**Without the word**: by how much does {name} fall when this word is taken out?")
    show_coloured(found.tokens, found.without)
    st.caption(in_words(found, name))


def in_words(found: WordSaliency, name: str) -> str:
    """What both measures say of this text, for those who read them for the first time (Markdown)."""
    sentences = [f"Red words speak for {name}, blue ones against it; the numbers are in units of its score, the logit."]
    words = [place for place, token in enumerate(found.tokens) if not token.is_padding]
    strongest = {
        measure: max(words, key=lambda place: abs(np.nan_to_num(values[place])))
        for measure, values in (("gradient", found.gradient), ("without", found.without))
    }
    word = quoted(found.tokens[strongest["without"]].word)
    if not np.any(np.nan_to_num(found.without)):
        return " ".join([*sentences, "No single word changes anything here."])
    if strongest["gradient"] == strongest["without"]:
        sentences.append(f"Both ways find that {word} matters most.")
    else:
        other = quoted(found.tokens[strongest["gradient"]].word)
        sentences.append(
            f"Taking out {word} changes most, the gradient points at {other}: it asks about a tiny change only, and "
            "words can stand in for each other."
        )
    return " ".join(sentences)


def show_bars(found: WordSaliency) -> None:
    shown = [place for place, token in enumerate(found.tokens) if not token.is_padding]
    words = [plots.word_of(token) for token in safe(words_of(found.tokens))]
    figure = plots.word_effects(words, {GRADIENT: found.gradient[shown], WITHOUT: found.without[shown]})
    with in_window(figure.layout.height):
        show_figure(figure, "word_effects", "How much each word matters, by two measures")
