"""What a person's network is for: what it reads, what its pixels should be, what its classes are called.

A file says little of that. Some of it can be found in the network, some is noted in the file by us, and some only the
person knows: `answers`. The outcome is a network that takes RGB photos like any of the catalogue's, or text.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import keras

from core.backbones import classes, entrance, graph, pixel_range, text_models
from core.backbones.answers import MAX_NAME, NONE, NOTHING_BESIDE, Answers, Beside
from core.backbones.catalogue import imagenet_class_names
from core.backbones.channels_last import ChannelsLast, is_channels_first
from core.backbones.preprocessing import PREPROCESSING, Preprocessing
from core.errors import UserError
from core.messages import Openings

_DEFAULT_SIZE = 224
_GUESS = "unit"  # most people divide by 255


@dataclass(frozen=True)
class Understood:
    """`flat` takes `float32[B, h, w, 3]` in RGB, preprocessed, at `input_size` (height, width) or, where it `reads`
    "text", the numbers of tokens, `int32[B, T]`. `tensors` are its layers' symbolic outputs by name, also those of
    layers that lead to another output than the one that is the prediction. `notes` are sentences about what was made to
    fit."""

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
    model: keras.Model,
    facts: dict[str, Any],
    answers: Answers = NONE,
    *,
    beside: Beside = NOTHING_BESIDE,
    rename: bool = False,
) -> Understood:
    """What there is to know of `model`, from itself, the `facts` in its file, and a person's `answers`, which go first.

    What is said in files `beside` the model's counts where it fits. The flat graph shares the weights; with `rename`
    layers of `model` may get other names (`graph.flatten`). Raises `UserError` where there is no way to show it
    anything, and where an answer does not fit it.
    """
    said = answers.over(beside)
    text = text_models.understand_text(model, said, rename=rename)
    if text is not None:
        return _of_text(text, facts, answers, beside)
    functional = graph.functional_of(model)
    if functional is None:
        graph.flatten(model)  # says why not
    way, whole, tensors, start = _flattened(model, functional, answers, rename=rename, bgr=False)
    family = pixel_range.known_family(model, tensors)
    preprocessing, range_known = _preprocessing(functional.inputs[way.place], whole, start, family, facts, answers)
    if preprocessing.bgr and way.channels == 1:  # the order of colours counts in what is grey
        way, whole, tensors, start = _flattened(model, functional, answers, rename=rename, bgr=True)
    flat, outputs, notes = _with_one_output(whole, model, answers)
    names, naming = _class_names(flat, facts, answers, beside, known=family is not None)
    return Understood(
        flat=flat,
        tensors=tensors,
        input_size=_input_size(flat, facts),
        preprocessing=preprocessing,
        class_names=names,
        openings=Openings(
            inputs=way.names,
            outputs=outputs,
            channels=way.channels,
            range_known=range_known,
            names_known=names is not None or not classes.count(flat),
            as_it_is=not way.notes,
            channels_first=way.first,
        ),
        notes=(*way.notes, *notes, *naming, *beside.notes),
        sizes_fixed=not way.any_size or needs_its_size(flat),
    )


def _flattened(
    model: keras.Model, functional: Any, answers: Answers, *, rename: bool, bgr: bool
) -> tuple[entrance.Entrance, keras.Model, dict[str, Any], Any]:
    """The way in, the flat model with all of its outputs, its layers, and the tensor that the photo comes in by."""
    place = entrance.source_of(functional, answers)
    first = is_channels_first(functional, place)
    way = entrance.prepare(functional, answers, first=first, bgr=bgr)
    came_in: list[Any] = []

    def enter(functional: Any) -> tuple[Any, list[Any]]:
        photo, arguments = way(functional)
        came_in.append(arguments[place])
        return photo, arguments

    layout = ChannelsLast(place) if first else None
    whole, tensors = graph.flatten(model, rename=rename, entrance=enter, stand_in=graph.without_memory(), layout=layout)
    if first:
        note = "Its channels come before height and width; it is shown turned, height × width × channels."
        way = replace(way, notes=(*way.notes, note))
    return way, whole, tensors, came_in[0]


# --- Which output ----------------------------------------------------------------------------------------------------


def _with_one_output(
    whole: keras.Model, model: keras.Model, answers: Answers
) -> tuple[keras.Model, tuple[str, ...], list[str]]:
    """The flat model with the output that is the prediction: the person's choice, else the first that tells classes.

    Then the names of all, where there are several, and what to say of that.
    """
    names = _output_names(model, whole)
    place = _chosen_output(whole, names, answers)
    flat = keras.Model(whole.inputs[0], whole.outputs[place], name=whole.name)
    if len(names) == 1:
        return flat, (), []
    note = f"It has {len(names)} outputs; “{names[place]}” is taken for its prediction."
    return flat, names, [note]


def _output_names(model: keras.Model, whole: keras.Model) -> tuple[str, ...]:
    """Those of a dictionary of outputs, else of the layers that they come out of; each once."""
    struct = getattr(graph.functional_of(model), "_outputs_struct", None)
    if isinstance(struct, dict) and len(struct) == len(whole.outputs):
        return tuple(str(name) for name in sorted(struct))
    names: list[str] = []
    for place, tensor in enumerate(graph.functional_of(model).outputs):
        name = tensor._keras_history.operation.name
        names.append(name if name not in names else f"{name}:{place + 1}")
    return tuple(names)


def _chosen_output(whole: keras.Model, names: tuple[str, ...], answers: Answers) -> int:
    if answers.output is not None:
        if answers.output not in names:
            raise UserError(f"The network has no output named {answers.output!r}. It has: {', '.join(names)}.")
        return names.index(answers.output)
    each = [keras.Model(whole.inputs[0], output) for output in whole.outputs]
    telling = [place for place, one in enumerate(each) if classes.activation_of(one) in ("softmax", "sigmoid")]
    return telling[0] if telling else 0


# --- Text ------------------------------------------------------------------------------------------------------------


def _of_text(text: text_models.ReadsText, facts: dict[str, Any], answers: Answers, beside: Answers) -> Understood:
    """The `input_size` of text is (tokens, 1); 0 tokens where any number is taken."""
    flat, outputs, notes = _with_one_output(text.flat, text.flat, answers)
    names, naming = _class_names(flat, facts, answers, beside, known=False)
    return Understood(
        flat=flat,
        tensors=text.tensors,
        input_size=(text.tokeniser.length or 0, 1),
        preprocessing=PREPROCESSING["none"],
        class_names=names,
        reads="text",
        openings=Openings(
            inputs=text.inputs,
            outputs=outputs,
            words=text.words,
            names_known=names is not None or not classes.count(flat),
            words_known=text.words_known,
        ),
        notes=(*text.notes, *notes, *naming, *beside.notes),
        sizes_fixed=text.tokeniser.length is not None,
        tokeniser=text.tokeniser,
    )


# --- Sizes -----------------------------------------------------------------------------------------------------------


def _input_size(flat: keras.Model, facts: dict[str, Any]) -> tuple[int, int]:
    height, width = flat.inputs[0].shape[1:3]
    noted = facts.get("input_size")
    if not (isinstance(noted, list) and len(noted) == 2 and all(type(n) is int and 1 <= n <= 4096 for n in noted)):
        noted = [_DEFAULT_SIZE, _DEFAULT_SIZE]
    return height or noted[0], width or noted[1]


def needs_its_size(flat: keras.Model) -> bool:
    """Whether maps of one size are made into something of fixed length on the way to the output."""
    if None in flat.inputs[0].shape[1:3]:
        return False
    for node in graph.in_order(flat):
        operation = graph.operation_of(node.outputs[0])
        if type(operation).__name__ in ("Flatten", "Reshape") and not graph.is_ours(operation.name):
            sides = node.input_tensors[0].shape[1:-1]
            if any(side != 1 for side in sides):
                return True
    return False


# --- Class names -----------------------------------------------------------------------------------------------------


def _class_names(
    flat: keras.Model, facts: dict[str, Any], answers: Answers, beside: Answers, *, known: bool
) -> tuple[tuple[str, ...] | None, list[str]]:
    """The person's names, the file's, those beside it, or ImageNet's for a known network with 1000 outputs; and what is
    to be said of them. Raises `UserError` where the person's are not as many as there are classes."""
    count = classes.count(flat)
    if not count:
        return None, []
    if answers.class_names is not None:
        names = _fitting(answers.class_names, count)
        if names is None:
            raise UserError(f"The list has {_many(len(answers.class_names))}, but the network tells {count} classes.")
        return names, []
    noted = facts.get("class_names")
    if isinstance(noted, list) and all(isinstance(name, str) for name in noted) and _fitting(noted, count):
        return _fitting(noted, count), []
    notes = []
    if beside.class_names is not None:
        names = _fitting(beside.class_names, count)
        if names is not None:
            return names, []
        notes = [f"The list beside the file has {_many(len(beside.class_names))}, for {count} classes: it is not used."]
    return (imagenet_class_names() if known and count == 1000 else None), notes


def _many(names: int) -> str:
    return "1 name" if names == 1 else f"{names} names"


def _fitting(names: Any, count: int) -> tuple[str, ...] | None:
    """`names` for `count` classes; of two classes that one output tells apart, one name is enough."""
    names = tuple(name[:MAX_NAME] for name in names)
    if len(names) == 1 and count == 2:
        return f"not {names[0]}"[:MAX_NAME], names[0]
    return names if len(names) == count else None


# --- Pixels ----------------------------------------------------------------------------------------------------------


def _preprocessing(
    source: Any, flat: keras.Model, start: Any, family: str | None, facts: dict[str, Any], answers: Answers
) -> tuple[Preprocessing, bool]:
    """What is to be done to the pixels, and whether that is known or a guess."""
    if answers.preprocessing is not None:
        return PREPROCESSING[answers.preprocessing], True
    if facts:
        return PREPROCESSING["none"], True  # what we save has its preprocessing inside
    told = pixel_range.told_by_itself(flat, start)
    if told is not None and told[1]:
        return PREPROCESSING[told[0]], True
    if family is not None:
        return PREPROCESSING[family], True
    if "float" not in source.dtype:
        return PREPROCESSING["none"], True  # whole numbers are pixels as they are
    guess = PREPROCESSING[_GUESS if told is None else told[0]]
    return replace(guess, words=f"{guess.words} (a guess: the file does not say what its pixels should be)"), False
