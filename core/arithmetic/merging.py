"""Several inputs become one, number by number."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from core.arithmetic.task import Explained, How, NotInSteps, Place, Task, element, within
from core.messages import Formula


def _operands(task: Task) -> tuple[list[tuple[str, float]], dict[int, tuple[int, ...]]]:
    """The operands at this cell, called a, b, c …, and the places of those that are inputs."""
    names = "abcdefghijklmnopqrstuvwxyz"
    if len(task.operands) > len(names):
        raise NotInSteps("it computes with too many inputs")
    given, matters = [], {}
    for name, operand in zip(names, task.operands, strict=False):
        if isinstance(operand, Place):
            values = task.inputs[operand.index].values
            matters.setdefault(operand.index, within(values.shape, task.place))
        else:
            values = np.asarray(operand, np.float32)
            if values.ndim > len(task.place):
                values = values.reshape(values.shape[values.ndim - len(task.place) :])
        given.append((name, element(values, task.place)))
    return given, matters


def _merge(sign: str, compute: Callable[[list[float]], float]) -> How:
    """`sign` goes between the operands; where it ends in "(" it goes before them."""

    def how(task: Task) -> Explained:
        given, matters = _operands(task)
        names = [name for name, _ in given]
        if len(names) < 2:
            raise NotInSteps("it has only one input")
        expression = f"{sign}{', '.join(names)})" if sign.endswith("(") else f" {sign} ".join(names)
        return [Formula(expression, tuple(given), compute([value for _, value in given]))], matters

    return how


def _custom_scale(task: Task) -> Explained:
    given, matters = _operands(task)
    (_, a), (_, b) = given
    scale = float(task.operation.scale)
    return [Formula("a + b × scale", (*given, ("scale", scale)), a + b * scale)], matters


def _product(values: list[float]) -> float:
    return math.prod(values)


HOW: dict[str, How] = {
    "CustomScaleLayer": _custom_scale,
    "Add": _merge("+", sum),
    "Subtract": _merge("−", lambda values: values[0] - values[1]),
    "Multiply": _merge("×", _product),
    "Divide": _merge("/", lambda values: values[0] / values[1] if values[1] else math.nan),
    "TrueDivide": _merge("/", lambda values: values[0] / values[1] if values[1] else math.nan),
    "Average": _merge("mean(", lambda values: sum(values) / len(values)),
    "Maximum": _merge("max(", max),
    "Minimum": _merge("min(", min),
}
