"""The way in: from a photo to whatever a network takes.

A photo is `float32[B, h, w, 3]` in RGB, preprocessed. A network may take grey pictures, more channels than three, its
pixels in a row, the rows of a picture one after the other, or many pictures at once, and it may have other inputs
beside. What makes that of the photo is put in front of the network as part of the graph: Keras' own operations, so that
it can be differentiated, compiled, saved and opened again. They are no layers of the network's and are not listed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from core.backbones.answers import NONE, Answers
from core.backbones.backbone import LUMA
from core.backbones.graph import PREFIX
from core.backbones.text_models import Zeros
from core.errors import UserError

ops = keras.ops

_DEFAULT_SIZE = 224
_DEFAULT_STEPS = (64, 28)  # steps and the numbers of each, where the network takes any
_DEFAULT_FRAME = 64
_DEFAULT_FRAMES = 8
_PAN = 4  # over all frames together the view moves by one part of so many of its width
_MOST_NUMBERS = 4_000_000


@dataclass(frozen=True)
class Entrance:
    """What to give `graph.flatten`: called with the functional model it returns the photo's input and a tensor for each
    of the model's own inputs.

    `size` (height, width) is what the photo must be; `None` where any will do. `place` is which of the inputs gets the
    photo. With `first` its channels come first in the network as it is in the file. `notes` say what is done, in
    sentences. `any_size` says whether nothing in here needs the size.
    """

    size: tuple[int | None, int | None]
    place: int
    channels: int
    names: tuple[str, ...]
    notes: tuple[str, ...]
    make: Callable[[Any], Any]
    first: bool = False
    any_size: bool = True

    def __call__(self, functional: Any) -> tuple[Any, list[Any]]:
        sources = functional.inputs
        photo = keras.Input((*self.size, 3), name=name_of(sources[self.place]))
        made = [None] * len(sources)
        made[self.place] = self.make(photo)
        for place, source in enumerate(sources):
            if place != self.place:
                alike = not self.first and source.shape[1:3] == sources[self.place].shape[1:3]
                made[place] = _zeros(photo, source, alike=alike)
        _name_everything(photo, made)
        return photo, made


def name_of(source: Any) -> str:
    """The name of the layer behind an input."""
    return source._keras_history.operation.name


def prepare(functional: Any, answers: Answers = NONE, *, first: bool = False, bgr: bool = False) -> Entrance:
    """The way from a photo into the functional model.

    With `first` its photos have their channels before height and width; with `bgr` its colours come in the order blue,
    green, red. Raises `UserError` where there is no way in, or the answers name what is not there.
    """
    place = source_of(functional, answers)
    source = functional.inputs[place]
    sides, channels = _axes(source, first=first)
    if len(sides) == 2 and channels:
        size, make, notes = sides, *_colours(channels, answers, bgr=bgr)
    elif len(sides) == 3:
        size, make, notes = _volume(sides, channels, answers, bgr=bgr)
    elif len(sides) == 2:
        size, make, notes = _steps(sides, bgr=bgr, in_steps=_works_in_steps(functional))
    else:
        size, make, notes = _numbers(sides[0], bgr=bgr)
        channels = sides[0] // math.prod(size)
    others = [name_of(each) for each in functional.inputs if each is not source]
    if others:
        notes = [*notes, _other_inputs(others)]
    return Entrance(
        size=size,
        place=place,
        channels=channels or 1,
        names=tuple(name_of(each) for each in functional.inputs) if others else (),
        notes=tuple(notes),
        make=make,
        first=first,
        any_size=bool(channels) and len(sides) == 2,
    )


# --- Which input, and what it is -------------------------------------------------------------------------------------


def source_of(functional: Any, answers: Answers) -> int:
    """Which input gets the photo: the person's choice, else the first that looks most like photos, which is maps before
    volumes, steps, and numbers. Raises `UserError` where none can."""
    names = [name_of(source) for source in functional.inputs]
    if answers.source is not None:
        if answers.source not in names:
            raise UserError(f"The network has no input named {answers.source!r}. It has: {', '.join(names)}.")
        place = names.index(answers.source)
        return _checked(functional.inputs[place], place)
    order = {4: 0, 5: 1, 3: 2, 2: 3}
    usable = [place for place, source in enumerate(functional.inputs) if _looks_usable(source)]
    if not usable:
        return _checked(functional.inputs[0], 0)
    return min(usable, key=lambda place: order[len(functional.inputs[place].shape)])


def _looks_usable(source: Any) -> bool:
    return 2 <= len(source.shape) <= 5 and source.dtype != "string"


def _checked(source: Any, place: int) -> int:
    if not _looks_usable(source):
        shape = " × ".join("any" if side is None else str(side) for side in source.shape[1:])
        kind = "text" if source.dtype == "string" else f"numbers of the shape {shape or '()'}"
        raise UserError(f"The network's input {name_of(source)!r} takes {kind}: a photo cannot be made into that.")
    return place


def _axes(source: Any, *, first: bool) -> tuple[tuple[int | None, ...], int | None]:
    """The input's sides, and how many channels it has; `None` where it has no axis of channels."""
    sides = tuple(source.shape[1:])
    if len(sides) <= 2:
        return sides[::-1] if first else sides, None
    channels = sides[0] if first else sides[-1]
    return (sides[1:] if first else sides[:-1]), 3 if channels is None else channels


# --- What is made of the photo ---------------------------------------------------------------------------------------

Make = Callable[[Any], Any]


def grey(photo: Any, *, bgr: bool = False) -> Any:
    """`[B, h, w, 3]` -> `[B, h, w, 1]`."""
    weights = LUMA[::-1] if bgr else LUMA
    red, green, blue = (photo[..., place : place + 1] * weights[place] for place in range(3))
    return red + green + blue


def _colours(channels: int, answers: Answers, *, bgr: bool) -> tuple[Make, list[str]]:
    if channels == 3 and answers.bands in (None, (0, 1, 2)):
        return (lambda photo: photo), []
    if channels == 1:
        return (lambda photo: grey(photo, bgr=bgr)), ["The photo is turned grey: this network takes one channel."]
    if channels == 2:
        return (lambda photo: photo[..., :2]), [
            "This network takes two channels: they get the photo's red and green, and blue is left out."
        ]
    bands = _bands(channels, answers)
    words = ", ".join(str(band + 1) for band in bands[:2]) + f" and {bands[2] + 1}"
    note = f"Of the {channels} channels that this network takes, numbers {words} get the photo's red, green and blue"
    return (lambda photo: _into_bands(photo, bands, channels)), [
        f"{note}; the others are zero." if channels > 3 else f"{note}."
    ]


def _bands(channels: int, answers: Answers) -> tuple[int, int, int]:
    bands = (0, 1, 2) if answers.bands is None else tuple(answers.bands)
    whole = len(bands) == 3 and len(set(bands)) == 3 and all(type(band) is int for band in bands)
    if not whole or not all(0 <= band < channels for band in bands):
        shown = ", ".join(str(band) for band in bands)
        raise UserError(
            f"Red, green and blue go into three different of the network's {channels} channels, counted from 0 to "
            f"{channels - 1}; {shown} cannot be."
        )
    return bands


def _into_bands(photo: Any, bands: tuple[int, int, int], channels: int) -> Any:
    colours = [photo[..., place : place + 1] for place in range(3)]
    nothing = colours[0] * 0.0
    return ops.concatenate([colours[bands.index(b)] if b in bands else nothing for b in range(channels)], axis=-1)


Made = tuple[tuple[int | None, int | None], Make, list[str]]


def _steps(sides: tuple[int | None, ...], *, bgr: bool, in_steps: bool) -> Made:
    """`[B, T, F]`: the rows of the grey photo, one after the other."""
    size = (sides[0] or _DEFAULT_STEPS[0], sides[1] or _DEFAULT_STEPS[1])
    note = f"The photo is turned grey, {size[0]} × {size[1]} pixels"
    note = f"{note}: each of its rows is one step for this network." if in_steps else f"{note}."
    return size, (lambda photo: grey(photo, bgr=bgr)[..., 0]), [note]


_IN_STEPS = {"LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "TimeDistributed", "MultiHeadAttention", "Attention"}


def _works_in_steps(functional: Any) -> bool:
    kinds = {type(layer).__name__ for layer in functional._flatten_layers()}
    return bool(kinds & _IN_STEPS) or any(kind.endswith("1D") for kind in kinds)


def _numbers(count: int | None, *, bgr: bool) -> Made:
    """`[B, N]`: the pixels one after the other."""
    if count is None or count > _MOST_NUMBERS:
        raise UserError("The network takes a list of numbers of any length: a photo cannot be made into that.")
    side = math.isqrt(count // 3)
    if count == 3 * side * side and side > 1:
        note = f"The network takes {count} numbers: the colours of the photo's {side} × {side} pixels, row by row."
        return (side, side), (lambda photo: keras.layers.Flatten()(photo)), [note]
    height, width = _nearly_square(count)
    note = f"The network takes {count} numbers: the brightness of the photo's {height} × {width} pixels, row by row."
    return (height, width), (lambda photo: keras.layers.Flatten()(grey(photo, bgr=bgr))), [note]


def _nearly_square(count: int) -> tuple[int, int]:
    """Height and width whose product is `count`, as near to each other as can be."""
    height = next(side for side in range(math.isqrt(count), 0, -1) if count % side == 0)
    return height, count // height


def _volume(sides: tuple[int | None, ...], channels: int, answers: Answers, *, bgr: bool) -> Made:
    """`[B, D, H, W, C]`: the photo in every frame, each a little further to the left, what goes out coming in again."""
    depth, height, width = sides[0] or _DEFAULT_FRAMES, sides[1] or _DEFAULT_FRAME, sides[2] or _DEFAULT_FRAME
    coloured, notes = _colours(channels, answers, bgr=bgr)
    step = pan_step(depth, width)

    def make(photo: Any) -> Any:
        picture = coloured(photo)
        frames = [picture]
        for frame in range(1, depth):
            shift = (frame * step) % width
            moved = [picture[:, :, shift:], picture[:, :, :shift]]
            frames.append(ops.concatenate(moved, axis=2) if shift else picture)
        return ops.stack(frames, axis=1)

    note = f"The photo fills all {depth} frames that this network takes, and moves by {step} px from one to the next."
    return (height, width), make, [note, *notes]


def pan_step(depth: int, width: int) -> int:
    """By how many pixels the photo moves from frame to frame."""
    return max(1, width // (_PAN * depth))


# --- The other inputs ------------------------------------------------------------------------------------------------


def _zeros(photo: Any, source: Any, *, alike: bool) -> Any:
    """Zeros of the shape and dtype of the input `source`, as many as there are photos; `alike`: of the photo's size."""
    sides = source.shape[1:]
    if source.dtype == "string":
        sides = tuple(1 if side is None else side for side in sides)
        return Zeros(sides, "string", name=f"{PREFIX}{name_of(source)}")(photo)
    nothing = photo[..., 0:1] * 0.0
    if len(sides) == 3 and (alike or None in sides[:2]) and sides[2] is not None:
        zeros = ops.repeat(nothing, sides[2], axis=-1) if sides[2] > 1 else nothing
    else:
        sides = tuple(_DEFAULT_STEPS[1] if side is None else side for side in sides)
        one = nothing[:, 0, 0]
        count = math.prod(sides)
        zeros = keras.layers.Reshape(sides)(ops.repeat(one, count, axis=-1) if count > 1 else one)
    return zeros if source.dtype == zeros.dtype else ops.cast(zeros, source.dtype)


def _other_inputs(names: list[str]) -> str:
    quoted = ", ".join(f"“{name}”" for name in names)
    return f"Its other input {quoted} gets zeros." if len(names) == 1 else f"Its other inputs {quoted} get zeros."


# --- Names -----------------------------------------------------------------------------------------------------------


def _name_everything(photo: Any, made: list[Any]) -> None:
    """Give all that is between `photo` and `made` names of its own: the network may use Keras' usual ones."""
    waiting, seen = [tensor for tensor in made if tensor is not None], set()
    while waiting:
        tensor = waiting.pop()
        if tensor is photo or id(tensor) in seen:
            continue
        seen.add(id(tensor))
        history = tensor._keras_history
        if not history.operation.name.startswith(PREFIX):
            history.operation.name = f"{PREFIX}{len(seen)}"
        waiting += history.operation._inbound_nodes[history.node_index].input_tensors
