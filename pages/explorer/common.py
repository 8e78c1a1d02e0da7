"""What the views of the Activation Explorer share: what is being looked at, and short work for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import streamlit as st

from core.engine import Kind
from core.messages import Activations, ActivationsRequest, LayerInfo, ModelInfo, ModelRef, Photo, Prediction
from pages.shared import choices, links
from pages.shared.controls import wait_for
from pages.shared.viewing import submit

PAGE = "explorer"

choose_one = partial(choices.choose_one, PAGE)
choose_number = partial(choices.choose_number, PAGE)


@dataclass(frozen=True)
class Scene:
    """A network that looks at a photo: what the page stands on, whatever the view. `layer` is the chosen one."""

    info: ModelInfo
    photo: Photo
    caption: str
    predictions: tuple[Prediction, ...]
    layer: LayerInfo

    @property
    def model(self) -> ModelRef:
        return self.info.ref

    def at(self, layer: LayerInfo) -> Scene:
        return replace(self, layer=layer)


def key(name: str) -> str:
    return links.key(PAGE, name)


def choose_strength(
    name: str = "blend",
    default: int = 60,
    words: str = "How much of the map",
    help: str = "0 shows the photo as the network saw it, 100 the map alone.",
) -> int:
    """How much of a map lies over its photo, in percent; `name` is what links call it."""
    strength = st.slider(
        words,
        0,
        100,
        key=links.restore(PAGE, name, default, allowed=range(101), parse=int),
        step=5,
        format="%d %%",
        persist_state="session",
        help=help,
    )
    links.publish(PAGE, **{name: strength if strength != default else None})
    return strength


def ask(task: str, request: Any, words: str, kind: Kind = "interactive"):
    """The result of short work; equal requests are computed once, for everybody. `kind="study"` may take longer."""
    return wait_for(submit(task, request, kind=kind), words)


def activations(scene: Scene) -> Activations:
    """The chosen layer's answer to the photo: `.values[scene.layer.name]`."""
    request = ActivationsRequest(scene.model, scene.photo, (scene.layer.name,))
    return ask("core.activations:infer", request, "Looking at the photo")
