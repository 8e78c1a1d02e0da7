"""Numbers that are only taken from another place."""

from __future__ import annotations

import keras
import numpy as np

from core.arithmetic.task import Explained, How, NotInSteps, Place, Task, same
from core.messages import Formula


def _taken(task: Task, index: int, place: tuple[int, ...], words: str) -> Explained:
    return [same(float(task.inputs[index].values[place]), words)], {index: place}


def _concatenate(task: Task) -> Explained:
    axis = task.operation.axis
    axis = axis - 1 if axis > 0 else axis + len(task.shape)
    rest = task.place[axis]
    for operand in task.operands:
        if not isinstance(operand, Place):
            break
        size = task.inputs[operand.index].values.shape[axis]
        if rest < size:
            place = (*task.place[:axis], rest, *task.place[axis + 1 :])
            which = f"number {operand.index + 1} of its {len(task.inputs)} inputs"
            what = f"channel {rest}" if axis == len(task.shape) - 1 else "this cell"
            return _taken(task, operand.index, place, f"The inputs are put side by side: this is {what} of {which}.")
        rest -= size
    raise NotInSteps("its inputs are not put together as layers do")


def _zero_padding(task: Task) -> Explained:
    (top, _), (left, _) = task.operation.padding
    return _shifted(task, -top, -left)


def _cropping(task: Task) -> Explained:
    (top, _), (left, _) = task.operation.cropping
    return _shifted(task, top, left)


def _shifted(task: Task, down: int, across: int) -> Explained:
    y, x, channel = task.place[0] + down, task.place[1] + across, task.channel
    height, width = task.values.shape[:2]
    if 0 <= y < height and 0 <= x < width:
        return _taken(task, 0, (y, x, channel), f"Taken from row {y}, column {x} of the input.")
    return [Formula("0", (), 0.0, "This cell lies in the border of zeros that is put around the maps.")], {}


def _upsampling(task: Task) -> Explained:
    layer = task.operation
    if layer.interpolation != "nearest":
        raise NotInSteps(f"it mixes neighbouring cells ({layer.interpolation})")
    y, x = task.place[0] // layer.size[0], task.place[1] // layer.size[1]
    words = f"Each cell is repeated; this one is row {y}, column {x} of the input."
    return _taken(task, 0, (y, x, task.channel), words)


def _reshaped(task: Task) -> Explained:
    place = np.unravel_index(np.ravel_multi_index(task.place, task.shape), task.values.shape)
    words = "The same numbers in another order of rows and columns; nothing is computed."
    return _taken(task, 0, tuple(int(index) for index in place), words)


def _moved(task: Task) -> Explained:
    """Found by having the layer move the numbers of the places."""
    sides = task.values.shape
    numbered = np.arange(1, task.values.size + 1, dtype=np.int32).reshape(1, *sides)  # 0 is for what is filled in
    number = int(np.asarray(task.call(keras.ops.convert_to_tensor(numbered)))[0][task.place])
    if number == 0:
        return [Formula("0", (), 0.0, "This cell lies in the border of zeros that is put around.")], {}
    place = tuple(int(index) for index in np.unravel_index(number - 1, sides))
    return _taken(task, 0, place, f"Taken from {list(place)} of the input, counted from 0; nothing is computed.")


HOW: dict[str, How] = {
    **dict.fromkeys(
        (
            *("GetItem", "Permute", "Transpose", "Squeeze", "ExpandDims", "Flip", "Moveaxis", "RepeatVector"),
            *("Cropping1D", "UpSampling1D", "ZeroPadding1D"),
        ),
        _moved,
    ),
    "Concatenate": _concatenate,
    "ZeroPadding2D": _zero_padding,
    "Cropping2D": _cropping,
    "UpSampling2D": _upsampling,
    "Flatten": _reshaped,
    "Reshape": _reshaped,
}
