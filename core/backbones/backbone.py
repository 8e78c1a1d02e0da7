"""A loaded network together with everything that is needed to use it rightly."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.backbones import classes
from core.backbones.preprocessing import Preprocessing
from core.errors import UserError
from core.messages import LayerInfo, ModelInfo, ModelRef, Openings

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601: how bright red, green and blue look


@dataclass(frozen=True)
class Backbone:
    """A Keras model with its input size, preprocessing and class names. Shared by everyone: never modify `model`.

    `model` is one flat functional graph (nested models are opened by `graph.flatten`), so each name in `layers` is a
    tensor of that graph: `tensor(name)`.
    """

    ref: ModelRef
    title: str
    model: Any  # keras.Model
    tensors: dict[str, Any]  # layer name -> symbolic output in `model`'s graph
    layers: tuple[LayerInfo, ...]
    input_size: tuple[int, int]
    preprocessing: Preprocessing
    class_names: tuple[str, ...] | None
    origin: str
    reads: str = "photo"
    notes: tuple[str, ...] = ()
    openings: Openings | None = None
    own_size: tuple[int, int] | None = None
    sizes_fixed: bool = False
    tokeniser: Any = None  # core.backbones.tokens.Tokeniser, where it reads text

    @property
    def name(self) -> str:
        return self.ref.name

    @property
    def answer(self) -> str:
        """The layer that gives the prediction, or "": of several outputs one is, and the others' layers may follow."""
        output = self.model.outputs[0]
        return next((name for name, tensor in reversed(self.tensors.items()) if tensor is output), "")

    def info(self) -> ModelInfo:
        return ModelInfo(
            ref=self.ref,
            title=self.title,
            origin=self.origin,
            input_size=self.input_size,
            parameters=int(self.model.count_params()),
            preprocessing=self.preprocessing.words,
            class_names=self.class_names,
            layers=self.layers,
            tells_classes=classes.activation_of(self.model) is not None,
            reads=self.reads,
            notes=self.notes,
            openings=self.openings,
            own_size=self.own_size,
            sizes_fixed=self.sizes_fixed,
            answer=self.answer,
        )

    def taken_of(self, seen: np.ndarray) -> np.ndarray:
        """What of a photo, `uint8[h, w, 3]` at the network's size, gets into the network, for the eye: grey where it
        takes one channel, without blue where it takes two."""
        channels = 3 if self.openings is None else self.openings.channels
        if channels == 1:
            return np.repeat(np.rint(seen @ np.array(LUMA, np.float32)).astype(np.uint8)[..., None], 3, axis=-1)
        return seen * np.array((1, 1, 0), np.uint8) if channels == 2 else seen

    def layer(self, name: str) -> LayerInfo:
        for layer in self.layers:
            if layer.name == name:
                return layer
        near = difflib.get_close_matches(name, [layer.name for layer in self.layers], n=3, cutoff=0.4)
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        raise UserError(f"{self.title} has no layer named {name!r}.{hint} `python -m core layers` lists them all.")

    def tensor(self, name: str) -> Any:
        """The symbolic output of layer `name`; raises `UserError` with near misses where there is none."""
        self.layer(name)
        return self.tensors[name]
