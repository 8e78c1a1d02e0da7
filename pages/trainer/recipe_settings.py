"""The widgets of the recipe, by group: what is asked for most comes first, the rest is folded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from core.transfer import settings
from core.transfer.requests import Outline
from pages.trainer import recipe
from pages.trainer.recipe import BATCHES, DENSE, FEWER, PATIENCE, RATES, SIZES
from pages.trainer.recipe_choices import FILLS, FLIPS, LOSSES, OPTIMIZERS, POOLINGS, SCHEDULES, VARIANTS

# --- What it looks at ------------------------------------------------------------------------------------------------


def photos() -> None:
    first, second = st.columns(2)
    with first:
        stops(
            "Photo size in pixels",
            "size",
            SIZES,
            "Every photo is cropped to a square and made this large. Smaller is faster; larger shows the network more "
            "detail. It knows its own size best: 224 for most networks.",
        )
    with second:
        stops(
            "Photos of each class",
            "per_class",
            FEWER,
            "Take only a few of each class: how many photos does it need?",
            none="all",
            say=str,
        )
    augmentation()
    with st.expander("More"):
        slider(
            "Held back for validation, in %",
            "validation",
            10,
            50,
            "The network never learns from these photos. They tell whether it has understood, or learned by heart.",
        )
        one_of(
            "Variants of each photo",
            "variants",
            VARIANTS,
            "4 or 8: so many variants of each photo go through the network once, and the head learns from what came "
            "out, which takes a moment. New at every step: all photos go through the network again at every step, "
            "never twice the same. Better, and many times as slow.",
            disabled=not recipe.value("augment"),
        )
        st.number_input(
            "Seed",
            0,
            2**31 - 1,
            key=recipe.key("seed"),
            persist_state="session",
            help="Where all random numbers come from: the same seed gives the same split and the same curves.",
        )


def augmentation() -> None:
    toggle(
        "Augmentation",
        "augment",
        "Every photo is also shown turned, zoomed and mirrored a little, so that the network does not learn the photos "
        "by heart. Change only what could happen to a real photo: a mirrored 3 is no 3.",
    )
    off = not recipe.value("augment")
    one_of("Mirrored", "flip", FLIPS, "Half of the variants are mirrored.", disabled=off)
    rows = (
        ("Turned, up to °", "rotation", 180, "Left or right, by any angle up to this one."),
        ("Zoomed, up to %", "zoom", 50, "In or out, by any share up to this one."),
        ("Shifted, up to %", "shift", 50, "Of the photo's side: left, right, up or down."),
        ("Sheared, up to %", "shear", 50, "The square becomes a slanted one, as when one looks from the side."),
        ("Lighter or darker, up to %", "brightness", 50, "As in other light."),
    )
    columns = st.columns(2)
    for place, (words, name, most, help_text) in enumerate(rows):
        with columns[place % 2]:
            slider(words, name, 0, most, help_text, disabled=off)
    with columns[1]:
        choice(
            "What fills the corners",
            "fill",
            FILLS,
            "Where a turned or shifted photo has nothing to show.",
            disabled=off,
        )


# --- The new head ----------------------------------------------------------------------------------------------------


def head() -> None:
    one_of(
        "What it keeps of the maps",
        "pooling",
        POOLINGS,
        "Average: how strongly each channel answers over the whole photo. Maximum: how strongly anywhere. Flatten: "
        "every cell of every channel, as in the textbook; many more numbers to learn.",
    )
    kept = recipe.value("dense")
    st.selectbox(
        "Dense layers before the answer",
        list(dict.fromkeys((*DENSE, kept))),
        key=recipe.key("dense"),
        persist_state="session",
        accept_new_options=True,
        help="Their units, with ReLU and dropout. Write your own with commas: 512, 256 are two layers. With few photos "
        "none is often best: each layer is more to learn.",
    )
    slider(
        "Dropout, in %",
        "dropout",
        0,
        80,
        "This share of the features is hidden at random in each step, so that no answer hangs on a single one.",
    )


# --- How it learns ---------------------------------------------------------------------------------------------------


def learning() -> None:
    slider("Epochs", "epochs", 1, 100, "How often every photo is learned from.")
    stops(
        "Learning rate",
        "rate",
        RATES,
        "How large one correction is. Too small: it learns for ever. Too large: it overshoots, and the loss explodes. "
        "Beside this is a way to find one.",
        say=settings.rate_words,
    )
    with st.expander("More"):
        first, second = st.columns(2)
        with first:
            each_correction()
        with second:
            over_time()


def each_correction() -> None:
    stops("Photos in a batch", "batch", BATCHES, "So many are looked at before each correction.")
    choice(
        "Optimiser",
        "optimizer",
        OPTIMIZERS,
        "How a slope becomes a correction. Adam gives every number a rate of its own; AdamW also lets large "
        "numbers shrink; SGD with momentum rolls on like a ball; RMSprop is the textbook's.",
    )
    choice(
        "Loss",
        "loss",
        LOSSES,
        "What is made small. Cross-entropy: the surprise at the right answer. Focal: what is recognised well "
        "already counts little. Huber: one wrongly labelled photo weighs less.",
    )
    toggle(
        "Weigh classes",
        "weights_by_class",
        "Classes of few photos count more. Else one of many photos wins: saying it always is often right.",
    )


def over_time() -> None:
    choice(
        "The rate over time",
        "schedule",
        SCHEDULES,
        "Large steps first, small ones at the end: cosine falls slowly at both ends, exponential by the same "
        "share at every step.",
    )
    stops(
        "Ends early after",
        "patience",
        PATIENCE,
        "So many epochs without improvement on the photos held back. The best epoch is kept in any case.",
        say=lambda epochs: f"{epochs} epochs" if epochs else "never",
    )
    slider(
        "Label smoothing, in %",
        "smoothing",
        0,
        30,
        "The right answer is asked for with less than full certainty, so that the network does not become too "
        "sure of itself. Of cross-entropy only.",
        disabled=recipe.value("loss") != "crossentropy",
    )
    toggle(
        "Run it eagerly",
        "eager",
        "Every operation one by one from Python, without tf.function: the same results, only slower. For "
        "seeing what the graph is worth over a whole run.",
    )


# --- Fine-tuning -----------------------------------------------------------------------------------------------------


def fine_tuning(outline: Outline | None) -> None:
    toggle(
        "From scratch, for comparison",
        "scratch",
        "Forget what the network learned before: random numbers, and all of them learn from the first epoch on.",
    )
    off = recipe.value("scratch")
    slider(
        "Fine-tuning epochs",
        "fine",
        0,
        50,
        "Afterwards the network's last layers learn too, very gently. Slow: all photos go through the network again.",
        disabled=off,
    )
    with st.expander("More"):
        first_layer(outline, off)
        slider(
            "How much of the network, in %",
            "fine_share",
            1,
            100,
            "So many of its layers, counted from the end. The more, the slower, and the more there is to forget.",
            disabled=off or recipe.value("fine_from") is not None,
        )
        stops(
            "Its learning rate",
            "fine_rate",
            RATES,
            "Much smaller than the head's: what it knows is to be refined, not replaced.",
            say=settings.rate_words,
            disabled=off,
        )
        choice(
            "Its optimiser",
            "fine_optimizer",
            OPTIMIZERS,
            "Of the network's layers; the head keeps its own.",
            disabled=off,
        )


def first_layer(outline: Outline | None, off: bool) -> None:
    kept = recipe.value("fine_from")
    names = [name for name, _, is_norm in (outline.layers if outline else ()) if not is_norm]
    st.selectbox(
        "From which layer on",
        list(dict.fromkeys((None, *names, *([kept] if kept else ())))),
        format_func=lambda name: "by share, below" if name is None else name,
        key=recipe.key("fine_from"),
        persist_state="session",
        disabled=off,
        placeholder="by share, below",  # `None` is no option to Streamlit
        help="This layer and all behind it learn. The Activation Explorer shows what each of them sees.",
    )


# --- Widgets by the name of their setting ----------------------------------------------------------------------------


def slider(words: str, name: str, low: int, high: int, help_text: str, **more: Any) -> None:
    st.slider(words, low, high, key=recipe.key(name), persist_state="session", help=help_text, **more)


def stops(
    words: str,
    name: str,
    options: tuple,
    help_text: str,
    *,
    none: str | None = None,
    say: Callable[[Any], str] = str,
    **more: Any,
) -> None:
    """A slider over these values, the one that is chosen among them; `none` says what `None` means, the last."""
    values = sorted({*options, recipe.value(name)} - {None})
    st.select_slider(
        words,
        (*values, None) if none else values,
        format_func=lambda value: none if value is None else say(value),
        key=recipe.key(name),
        persist_state="session",
        help=help_text,
        **more,
    )


def one_of(words: str, name: str, options: Mapping[Any, str], help_text: str, **more: Any) -> None:
    """A few, all in view."""
    st.segmented_control(
        words,
        list(options),
        format_func=options.get,
        key=recipe.key(name),
        persist_state="session",
        required=True,
        help=help_text,
        **more,
    )


def choice(words: str, name: str, options: Mapping[Any, str], help_text: str, **more: Any) -> None:
    st.selectbox(
        words,
        list(options),
        format_func=options.get,
        key=recipe.key(name),
        persist_state="session",
        help=help_text,
        **more,
    )


def toggle(words: str, name: str, help_text: str) -> None:
    st.toggle(words, key=recipe.key(name), persist_state="session", help=help_text)
