"""From a layer's kind to its arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.arithmetic import functions, merging, moving, pooling, scaling, sums
from core.arithmetic.task import How, NotInSteps, Step, Task
from core.messages import Arithmetic, Pooled, Products, Source

_HOW: dict[str, How] = {
    kind: how for each in (sums, functions, pooling, scaling, merging, moving) for kind, how in each.HOW.items()
}


def explain(task: Task) -> Arithmetic:
    """The arithmetic of `task`; where it cannot be said in steps it has none, but a note."""
    operation = task.operation
    kind = type(operation).__name__
    how = _HOW.get(kind) if type(operation).__module__.startswith("keras.") else None
    sources = [each.source for each in task.inputs]
    if how is None or not task.inputs:
        note = f"A cell of this kind of layer ({kind}) is not computed in a few steps that could be shown here."
        return Arithmetic(kind, tuple(sources), (), note=note)
    try:
        if getattr(operation, "data_format", None) == "channels_first":
            raise NotInSteps("its channels come before its rows and columns")
        steps, matters = how(task)
    except NotInSteps as reason:
        note = f"The arithmetic of this layer ({kind}) is not shown: {reason}."
        return Arithmetic(kind, tuple(sources), (), note=note)
    for index, place in matters.items():
        sources[index] = _at(sources[index], place)
    return Arithmetic(kind, tuple(sources), tuple(steps), scale=max(_scale(step) for step in steps))


def _at(source: Source, place: Sequence[int]) -> Source:
    """`source` with the place that matters: (y, x, channel), or (y, channel), or (channel,)."""
    *cell, channel = (int(index) for index in place)
    y, x = [*cell, 0, 0][:2]
    return Source(source.name, source.shape, source.channels, y, x, channel)


def _scale(step: Step) -> float:
    if isinstance(step, Products):
        return float(np.abs(step.products).sum())
    if isinstance(step, Pooled):
        return float(np.abs(step.patch[step.inside]).max())
    return max((abs(value) for _, value in step.given), default=0.0)
