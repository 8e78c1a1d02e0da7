"""The recipe: every setting and its default, kept in the session and in the link whether it is on show or not."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.messages import ModelRef
from core.transfer.presets import PRESETS
from core.transfer.requests import Augmentation, TrainingConfig
from pages.shared import links
from pages.trainer.common import PAGE

RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
FEWER = (5, 10, 20, 40)  # photos of each class, for those who want to see how few are enough
SIZES = (96, 128, 150, 160, 192, 224)


@dataclass(frozen=True)
class Setting:
    """One widget of the recipe: its name in links is also its key's; values that are not `allowed` are dropped."""

    default: Any
    allowed: Collection
    parse: Callable[[str], Any] = str


SETTINGS = {
    "preset": Setting("quick", tuple(PRESETS)),
    "epochs": Setting(8, range(1, 51), int),
    "size": Setting(160, SIZES, int),
    "per_class": Setting(None, (*FEWER, None), int),
    "fine": Setting(0, range(21), int),
    "augment": Setting(True, (True, False), lambda text: text != "False"),
    "validation": Setting(20, range(10, 51), int),
    "rate": Setting(TrainingConfig.learning_rate, RATES, float),
    "dropout": Setting(20, range(81), int),
    "seed": Setting(0, range(2**31), int),
}


def key(name: str) -> str:
    """The key of the widget for setting `name`, with a valid value behind it."""
    setting = SETTINGS[name]
    return links.restore(PAGE, name, setting.default, allowed=setting.allowed, parse=setting.parse)


def value(name: str) -> Any:
    return st.session_state[key(name)]


def choose_preset() -> None:
    """In the sidebar, since it belongs to every view."""
    st.selectbox("Recipe", list(PRESETS), format_func=lambda name: PRESETS[name].title, key=key("preset"))
    st.caption(PRESETS[value("preset")].words)


def read(ref: ModelRef, data: str) -> TrainingConfig:
    """The run as one frozen value; `out` is filled in when it starts. All that differs from the defaults is put into
    the page's link."""
    for name, setting in SETTINGS.items():
        links.publish(PAGE, **{name: value(name) if value(name) != setting.default else None})
    return TrainingConfig(
        data=data,
        backbone=ref,
        out="",
        preset=value("preset"),
        epochs=value("epochs"),
        size=value("size"),
        per_class=value("per_class"),
        fine_tune_epochs=value("fine"),
        augmentation=Augmentation() if value("augment") else None,
        validation=value("validation") / 100,
        learning_rate=value("rate"),
        dropout=value("dropout") / 100,
        seed=value("seed"),
    )
