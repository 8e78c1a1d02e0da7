"""What a person's network is for: what it reads, what its pixels should be, what its classes are called.

A file says little of that. Some of it can be found in the network, some is noted in the file by us, and some only the
person knows: `answers`. The outcome is a network that takes RGB photos like any of the catalogue's, or text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import keras

from core.backbones import graph, text_models
from core.backbones.answers import MAX_NAME, NONE, Answers
from core.backbones.catalogue import find, imagenet_class_names
from core.backbones.preprocessing import PREPROCESSING, Preprocessing
from core.errors import UserError
from core.messages import Openings

_DEFAULT_SIZE = 224


@dataclass(frozen=True)
class Understood:
    """`flat` takes `float32[B, h, w, 3]` in RGB, preprocessed, at `input_size` (height, width) or, where it `reads`
    "text", the numbers of tokens, `int32[B, T]`. `tensors` are its layers' symbolic outputs by name. `notes` are
    sentences about what was made to fit."""

    flat: keras.Model
    tensors: dict[str, Any]
    input_size: tuple[int, int]
    preprocessing: Preprocessing
    class_names: tuple[str, ...] | None
    reads: str = "photo"
    openings: Openings | None = None
    notes: tuple[str, ...] = ()
    sizes_fixed: bool = False
    tokeniser: Any = None  # core.backbones.tokens.Tokeniser, where it reads text


def understand(
    model: keras.Model, facts: dict[str, Any], answers: Answers = NONE, *, rename: bool = False
) -> Understood:
    """What there is to know of `model`, from itself, the `facts` in its file, and a person's `answers`, which go first.

    The flat graph shares the weights; with `rename` layers of `model` may get other names (`graph.flatten`). Raises
    `UserError` where there is no way to show it anything.
    """
    text = text_models.understand_text(model, answers, rename=rename)
    if text is not None:
        return _of_text(text, facts, answers)
    flat, tensors = graph.flatten(model, rename=rename)
    shape = tuple(flat.inputs[0].shape)
    if len(shape) != 4 or shape[3] != 3:
        raise UserError(
            f"The model {model.name!r} takes {shape[1:]}: only models for colour images, (height, width, 3), can be "
            "looked into."
        )
    if len(flat.outputs) != 1:
        raise UserError(f"The model {model.name!r} has {len(flat.outputs)} outputs; only models with one can be used.")
    family = _family(model, tensors)
    names = _class_names(flat, facts, known=family is not None)
    return Understood(
        flat=flat,
        tensors=tensors,
        input_size=_input_size(flat, facts),
        preprocessing=PREPROCESSING["none"] if facts or _scales_itself(tensors) else _preprocessing(family),
        class_names=names,
        openings=Openings(names_known=names is not None),
    )


def _of_text(text: text_models.ReadsText, facts: dict[str, Any], answers: Answers) -> Understood:
    """The `input_size` of text is (tokens, 1); 0 tokens where any number is taken."""
    names = answers.class_names or _class_names(text.flat, facts, known=False)
    return Understood(
        flat=text.flat,
        tensors=text.tensors,
        input_size=(text.tokeniser.length or 0, 1),
        preprocessing=PREPROCESSING["none"],
        class_names=names,
        reads="text",
        openings=Openings(
            inputs=text.inputs,
            words=text.words,
            names_known=names is not None,
            words_known=text.words_known,
        ),
        notes=text.notes,
        sizes_fixed=text.tokeniser.length is not None,
        tokeniser=text.tokeniser,
    )


def _input_size(flat: keras.Model, facts: dict[str, Any]) -> tuple[int, int]:
    height, width = flat.inputs[0].shape[1:3]
    noted = facts.get("input_size")
    if not (isinstance(noted, list) and len(noted) == 2 and all(type(n) is int and 1 <= n <= 4096 for n in noted)):
        noted = [_DEFAULT_SIZE, _DEFAULT_SIZE]
    return height or noted[0], width or noted[1]


def _class_names(flat: keras.Model, facts: dict[str, Any], *, known: bool) -> tuple[str, ...] | None:
    """The file's own names where there is one for each output; ImageNet's for a known network with 1000 outputs."""
    shape, names = flat.outputs[0].shape, facts.get("class_names")
    if len(shape) != 2:
        return None
    if isinstance(names, list) and len(names) == shape[1] and all(isinstance(n, str) for n in names):
        return tuple(name[:MAX_NAME] for name in names)
    return imagenet_class_names() if known and shape[1] == 1000 else None


_SCALING = {
    "Rescaling",
    "Normalization",
    "BatchNormalization",
    "TrueDivide",
    "Divide",
    "Subtract",
    "Multiply",
    "GetItem",
}


def _scales_itself(tensors: dict[str, Any]) -> bool:
    """Whether something scales the pixels before the first layer that looks at them."""
    for tensor in tensors.values():
        operation = graph.operation_of(tensor)
        if type(operation).__name__ in _SCALING:
            return True
        if isinstance(operation, keras.layers.Layer) and operation.weights:
            return False
    return False


def _family(model: keras.Model, tensors: dict[str, Any]) -> str | None:
    """The preprocessing of the known network that the model is, or that is nested in it, told by its name."""
    for name in (model.name, *dict.fromkeys(name.split("/")[0] for name in tensors if "/" in name)):
        try:
            return find(name).preprocessing
        except UserError:
            continue
    return None


def _preprocessing(family: str | None) -> Preprocessing:
    if family is not None:
        return PREPROCESSING[family]
    guess = PREPROCESSING["tf"]
    return replace(guess, words=f"{guess.words} (a guess: the file does not say what its pixels should be)")
