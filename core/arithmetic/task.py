"""What is asked of the arithmetic: one cell of one call of a layer, and the numbers that the call computes with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from core.messages import Formula, Pooled, Products, Source

Step = Products | Pooled | Formula
# The steps; and, for each input that takes part (by its number), the place in it that matters most for the cell.
Explained = tuple[list[Step], dict[int, tuple[int, ...]]]


@dataclass(frozen=True)
class Input:
    """One thing that a layer computes with: what it is, and its numbers for the photo (`float32`, no batch axis)."""

    source: Source
    values: np.ndarray


@dataclass(frozen=True)
class Task:
    """One cell of one call of a layer. `place` is its index in the output, whose shape is `shape` (no batch axis).

    `operands` are what the call got, in order: indices into `inputs`, and the numbers and arrays in the model itself.
    `call` does the same to another array in the place of the first input, with a batch axis.
    """

    operation: Any
    inputs: tuple[Input, ...]
    operands: tuple[Any, ...]
    call: Callable[[Any], Any]
    shape: tuple[int, ...]
    place: tuple[int, ...]

    @property
    def values(self) -> np.ndarray:
        return self.inputs[0].values

    @property
    def channel(self) -> int:
        return self.place[-1]


@dataclass(frozen=True)
class Place:
    """An operand that is input number `index` of the layer."""

    index: int


def input_number(index: int) -> Place:
    """How `Task.operands` says "input number `index`"."""
    return Place(index)


class NotInSteps(Exception):
    """What this layer does is not said in steps here; the text says why, as the end of a sentence."""


How = Callable[[Task], Explained]  # raises `NotInSteps`


def numbers(array: Any) -> np.ndarray:
    """A weight of a layer, or a part of one, as `float32`."""
    return np.asarray(keras.ops.convert_to_numpy(array), dtype=np.float32)


def element(array: np.ndarray, place: tuple[int, ...]) -> float:
    """The number of `array` that meets the cell at `place`, by the rules of broadcasting."""
    return float(array[within(array.shape, place)])


def within(shape: tuple[int, ...], place: tuple[int, ...]) -> tuple[int, ...]:
    """Where in an array of `shape` that number is."""
    places = place[len(place) - len(shape) :]
    return tuple(0 if size == 1 else index for size, index in zip(shape, places, strict=True))


def same(x: float, words: str) -> Formula:
    """The number as it came."""
    return Formula("x", (("x", x),), x, words)
