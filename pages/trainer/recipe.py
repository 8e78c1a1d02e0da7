"""The recipe: every setting of a run, kept in the session and in the link whether it is on show or not.

A preset sets all of them. What a link says beside its preset wins over the preset; only that is put into the link.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from core.backbones.catalogue import CATALOGUE, availability
from core.messages import ModelRef
from core.transfer import presets, settings
from core.transfer.presets import PRESETS
from core.transfer.requests import Augmentation, TrainingConfig
from pages.shared import links
from pages.trainer.common import PAGE
from pages.trainer.common import key as own_key
from pages.trainer.recipe_choices import FILLS, FLIPS, LOSSES, OPTIMIZERS, POOLINGS, SCHEDULES, VARIANTS

RATES = tuple(float(f"{digit}e{power}") for power in range(-7, 0) for digit in (1, 1.5, 2, 3, 5, 7))
FEWER = (5, 10, 20, 40)  # photos of each class, for those who want to see how few are enough
SIZES = (32, 48, 64, 80, 96, 112, 128, 150, 160, 192, 224, 256, 299, 331, 384, 448, 512)
BATCHES = (4, 8, 16, 32, 64, 128)
PATIENCE = (0, 2, 3, 4, 6, 8, 10, 15)  # 0: all epochs whatever happens
DENSE = ("none", "128", "256", "512", "512, 256")
DENSE_MOST, UNITS_MOST = 4, 4096
BACKBONE = own_key("preset's network")  # what a preset chose, and what it took the place of


@dataclass(frozen=True)
class Setting:
    """One widget of the recipe. Its name in links is also its key's; values that are not `allowed` are dropped.

    `of` is its value in a configuration, in the widget's own unit; `say` puts a value into words.
    """

    words: str
    of: Callable[[TrainingConfig], Any]
    allowed: Collection | None
    parse: Callable[[str], Any] = str
    say: Callable[[Any], str] = str


def dense_of(text: str) -> tuple[int, ...]:
    """`"512, 256"` -> (512, 256), `"none"` -> (); raises `ValueError` for what is no list of layers' sizes."""
    parts = [part.strip() for part in text.replace("+", ",").split(",")]
    if parts in ([""], ["none"]):
        return ()
    sizes = tuple(int(part) for part in parts)
    if len(sizes) > DENSE_MOST or not all(1 <= size <= UNITS_MOST for size in sizes):
        raise ValueError
    return sizes


def dense_words(sizes: tuple[int, ...]) -> str:
    return ", ".join(map(str, sizes)) or "none"


def percent(share: float) -> int:
    return round(100 * share)


def changes_of(config: TrainingConfig) -> Augmentation:
    return config.augmentation or Augmentation()


def truth(text: str) -> bool:
    if text not in ("True", "False"):
        raise ValueError
    return text == "True"


def per_cent(value: int) -> str:
    return f"{value} %"


def on_or_off(value: bool) -> str:
    return "on" if value else "off"


def all_or(value: int | None) -> str:
    return "all" if value is None else str(value)


def never_or(value: int) -> str:
    return f"after {value} epochs" if value else "never"


def variants_words(value: int) -> str:
    return f"{value}, computed once" if value else "new ones at every step"


BOTH = (True, False)
SETTINGS = {
    "preset": Setting("recipe", lambda c: c.preset, tuple(PRESETS)),
    # What it looks at
    "size": Setting("photo size", lambda c: c.size, range(32, 513), int),
    "per_class": Setting("photos of each class", lambda c: c.per_class, (None, *range(2, 10_001)), int, all_or),
    "validation": Setting("held back", lambda c: percent(c.validation), range(10, 51), int, per_cent),
    "own_splits": Setting("folders as they are", lambda c: c.own_splits, BOTH, truth, on_or_off),
    "seed": Setting("seed", lambda c: c.seed, range(2**31), int),
    "augment": Setting("augmentation", lambda c: c.augmentation is not None, BOTH, truth, on_or_off),
    "flip": Setting("mirrored", lambda c: changes_of(c).flip, FLIPS, say=FLIPS.get),
    "rotation": Setting("turned", lambda c: round(360 * changes_of(c).rotation), range(181), int, lambda v: f"{v}°"),
    "zoom": Setting("zoom", lambda c: percent(changes_of(c).zoom), range(51), int, per_cent),
    "shear": Setting("shear", lambda c: percent(changes_of(c).shear), range(51), int, per_cent),
    "shift": Setting("shift", lambda c: percent(changes_of(c).shift), range(51), int, per_cent),
    "brightness": Setting("brightness", lambda c: percent(changes_of(c).brightness), range(51), int, per_cent),
    "fill": Setting("corners", lambda c: changes_of(c).fill_mode, FILLS, say=FILLS.get),
    "variants": Setting("variants", lambda c: c.variants, VARIANTS, int, variants_words),
    # The new head
    "pooling": Setting("pooling", lambda c: c.pooling, POOLINGS, say=POOLINGS.get),
    "dense": Setting("dense layers", lambda c: dense_words(c.dense), None, lambda t: dense_words(dense_of(t))),
    "dropout": Setting("dropout", lambda c: percent(c.dropout), range(81), int, per_cent),
    # How it learns
    "epochs": Setting("epochs", lambda c: c.epochs, range(1, 101), int),
    "rate": Setting("learning rate", lambda c: c.learning_rate, RATES, float, settings.rate_words),
    "batch": Setting("batch size", lambda c: c.batch_size, BATCHES, int),
    "optimizer": Setting("optimiser", lambda c: c.optimizer, OPTIMIZERS, say=OPTIMIZERS.get),
    "schedule": Setting("schedule", lambda c: c.schedule, SCHEDULES, say=SCHEDULES.get),
    "loss": Setting("loss", lambda c: c.loss, LOSSES, say=LOSSES.get),
    "smoothing": Setting("label smoothing", lambda c: percent(c.label_smoothing), range(31), int, per_cent),
    "weights_by_class": Setting("class weights", lambda c: c.class_weights, BOTH, truth, on_or_off),
    "patience": Setting("ends early", lambda c: c.patience or 0, PATIENCE, int, never_or),
    "eager": Setting("eagerly", lambda c: c.eager, BOTH, truth, on_or_off),
    # Fine-tuning
    "scratch": Setting("from scratch", lambda c: c.from_scratch, BOTH, truth, on_or_off),
    "fine": Setting("fine-tuning epochs", lambda c: c.fine_tune_epochs, range(51), int),
    "fine_share": Setting("layers fine-tuned", lambda c: percent(c.fine_tune_share), range(1, 101), int, per_cent),
    "fine_from": Setting("fine-tuned from", lambda c: c.fine_tune_from, None, str, lambda v: v or "the share"),
    "fine_rate": Setting("fine-tuning rate", lambda c: c.fine_tune_learning_rate, RATES, float, settings.rate_words),
    "fine_optimizer": Setting("fine-tuning optimiser", lambda c: c.fine_tune_optimizer, OPTIMIZERS, say=OPTIMIZERS.get),
}


# --- One setting -----------------------------------------------------------------------------------------------------


def key(name: str) -> str:
    """The key of the widget for setting `name`, with a valid value behind it."""
    setting = SETTINGS[name]
    return links.restore(PAGE, name, default(name), allowed=setting.allowed, parse=setting.parse)


def value(name: str) -> Any:
    return st.session_state[key(name)]


def default(name: str) -> Any:
    """What the chosen preset says."""
    if name == "preset":
        return next(iter(PRESETS))
    return SETTINGS[name].of(presets.apply(value("preset"), TrainingConfig("", ModelRef(""), "")))


def changes() -> dict[str, tuple[Any, Any]]:
    """What differs from the preset: name -> (the preset's value, the one that is chosen)."""
    pairs = {name: (default(name), value(name)) for name in SETTINGS if name != "preset"}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


# --- The preset ------------------------------------------------------------------------------------------------------


def choose_preset() -> None:
    """In the sidebar, since it belongs to every view; before the network, which a preset may choose."""
    follow_link()
    st.selectbox(
        "Recipe",
        list(PRESETS),
        format_func=lambda name: PRESETS[name].title,
        key=key("preset"),
        persist_state="session",
        on_change=take_preset,
        help="A set of settings to begin with. Each of them can be changed under *Recipe*.",
    )
    st.caption(PRESETS[value("preset")].words)


def take_preset() -> None:
    """Put every setting where the chosen preset has it; also the network, where it names one."""
    st.session_state[own_key("dense error")] = None
    for name in SETTINGS:
        if name != "preset":
            st.session_state[key(name)] = default(name)
    choose_network(PRESETS[value("preset")].backbone)


def follow_link() -> None:
    """A link that names a preset, but no network, means the preset's."""
    first = not st.session_state.setdefault(own_key("preset followed"), False)
    st.session_state[own_key("preset followed")] = True
    wanted = PRESETS[value("preset")].backbone
    if first and wanted and "model" not in st.query_params and links.key(PAGE, "model") not in st.session_state:
        choose_network(wanted)


def choose_network(wanted: str | None) -> None:
    """Choose the network that a preset asks for, untrained where its weights are not on this machine; and give back
    the one that was chosen before when the preset has gone."""
    model, weights = links.key(PAGE, "model"), links.key(PAGE, "weights")
    now = {name: st.session_state.get(name) for name in (model, weights)}
    preset_s, before = st.session_state.get(BACKBONE) or (None, None)
    if wanted is not None:
        if now[model] == wanted and preset_s == wanted:
            return
        here = availability(CATALOGUE[wanted]) != "download"
        st.session_state[BACKBONE] = wanted, now
        st.session_state[model], st.session_state[weights] = wanted, "imagenet" if here else "random"
    elif preset_s is not None:
        st.session_state[BACKBONE] = None
        if now[model] == preset_s:
            for name, chosen in before.items():
                if chosen is None:
                    st.session_state.pop(name, None)
                else:
                    st.session_state[name] = chosen


# --- All of it -------------------------------------------------------------------------------------------------------


def read(ref: ModelRef, data: str) -> TrainingConfig:
    """The run as one frozen value; `out` is filled in when it starts. All that differs from the preset is put into the
    page's link."""
    forget_layer_of_another(ref)
    check_dense()
    changed = changes()
    for name in SETTINGS:
        links.publish(PAGE, **{name: changed[name][1] if name in changed else None})
    links.publish(PAGE, preset=value("preset") if value("preset") != default("preset") else None)
    scratch = value("scratch")
    return TrainingConfig(
        data=data,
        backbone=replace(ref, weights=None) if scratch else ref,
        out="",
        preset=value("preset"),
        size=value("size"),
        per_class=value("per_class"),
        validation=value("validation") / 100,
        own_splits=value("own_splits"),
        seed=value("seed"),
        augmentation=augmentation() if value("augment") else None,
        variants=value("variants"),
        pooling=value("pooling"),
        dense=dense_of(value("dense")),
        dropout=value("dropout") / 100,
        epochs=value("epochs"),
        learning_rate=value("rate"),
        batch_size=value("batch"),
        optimizer=value("optimizer"),
        schedule=value("schedule"),
        loss=value("loss"),
        label_smoothing=value("smoothing") / 100 if value("loss") == "crossentropy" else 0.0,
        class_weights=value("weights_by_class"),
        patience=value("patience") or None,
        eager=value("eager"),
        from_scratch=scratch,
        fine_tune_epochs=0 if scratch else value("fine"),
        fine_tune_share=value("fine_share") / 100,
        fine_tune_from=value("fine_from"),
        fine_tune_learning_rate=value("fine_rate"),
        fine_tune_optimizer=value("fine_optimizer"),
    )


def augmentation() -> Augmentation:
    """As the sliders say, whether it is switched on or not."""
    return Augmentation(
        flip=value("flip"),
        rotation=value("rotation") / 360,
        zoom=value("zoom") / 100,
        shear=value("shear") / 100,
        shift=value("shift") / 100,
        brightness=value("brightness") / 100,
        fill_mode=value("fill"),
    )


def check_dense() -> None:
    """Sizes that a person wrote are put in order; what cannot be understood is said once, and the last ones stay."""
    widget, kept = key("dense"), own_key("dense kept")
    if st.session_state[widget] == st.session_state.get(kept):
        return
    st.session_state[own_key("dense error")] = None
    try:
        st.session_state[widget] = dense_words(dense_of(st.session_state[widget] or ""))
    except ValueError:
        st.session_state[own_key("dense error")] = (
            f"“{st.session_state[widget]}” is no list of layers: write up to {DENSE_MOST} whole numbers from 1 to "
            f"{UNITS_MOST:,} with commas between, such as 512, 256. The layers stay as they were."
        )
        st.session_state[widget] = st.session_state.get(kept, default("dense"))
    st.session_state[kept] = st.session_state[widget]


def dense_error() -> str | None:
    return st.session_state.get(own_key("dense error"))


def forget_layer_of_another(ref: ModelRef) -> None:
    """A layer's name means nothing in another network."""
    if st.session_state.setdefault(own_key("layer of"), ref.name) != ref.name:
        st.session_state[own_key("layer of")] = ref.name
        st.session_state[key("fine_from")] = None


def use_rate(rate: float) -> None:
    """For a callback: the learning rate as near to `rate` as its slider has it."""
    st.session_state[key("rate")] = step_of_slider(rate)


def step_of_slider(rate: float) -> float:
    """The last step up to `rate`: a little too small only takes longer."""
    return max((each for each in RATES if each <= 1.001 * rate), default=RATES[0])
