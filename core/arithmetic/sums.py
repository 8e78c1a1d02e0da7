"""Weighted sums: convolutions of all kinds and dense layers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from core.arithmetic.functions import activation_steps
from core.arithmetic.task import Explained, How, Task, numbers
from core.arithmetic.windows import Window, patch_of, windows_of
from core.messages import Formula, Products


def _products(
    values: np.ndarray, kernel: np.ndarray, rows: Window, columns: Window, channels: np.ndarray, *, each: bool = False
) -> Products:
    """`kernel` is `float32[k, l, C]` for `channels` of `values` (some perhaps more than once)."""
    patch, inside = patch_of(values, rows, columns)
    return Products(patch[:, :, channels], kernel, rows.places, columns.places, channels, inside, each)


def _strongest(step: Products, number: int | None = None) -> dict[int, tuple[int, int, int]]:
    """Where in the input the largest product (in size) is found, (y, x, channel): of the step's channel number
    `number`, or of the one that adds most.

    Nowhere where the cell is made of padding alone, as between the windows of a transposed convolution.
    """
    if not step.inside.any():
        return {}
    best = int(np.argmax(np.abs(step.sums))) if number is None else number
    sizes = np.where(step.inside, np.abs(step.products[:, :, best]), -1.0)
    row, column = np.unravel_index(np.argmax(sizes), sizes.shape)
    return {0: (int(step.rows[row]), int(step.columns[column]), int(step.channels[best]))}


def _convolution(task: Task) -> Explained:
    layer = task.operation
    rows, columns = windows_of(task, layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding)
    kernel, groups = layer.kernel, layer.groups
    per_group = task.values.shape[-1] // groups
    first = task.channel // (task.shape[-1] // groups) * per_group
    channels = np.arange(first, first + per_group)
    step = _products(task.values, numbers(kernel[..., task.channel]), rows, columns, channels)

    def all_units() -> np.ndarray:
        patch, _ = patch_of(task.values, rows, columns)
        weights = numbers(kernel).astype(np.float64)
        window, count = weights.shape[:2], weights.shape[-1]
        patches = patch.astype(np.float64).reshape(*window, groups, per_group)
        weights = weights.reshape(*window, per_group, groups, count // groups)
        return np.einsum("klgc,klcgn->gn", patches, weights).reshape(-1)

    return [step, *_bias_and_activation(task, step.result, all_units)], _strongest(step)


def _dense(task: Task) -> Explained:
    values, kernel = task.values[task.place[:-1]], task.operation.kernel
    weights = numbers(kernel[:, task.channel])
    y, x = [*task.place[:-1], 0, 0][:2]
    here = (Window.at(np.array([y]), y + 1), Window.at(np.array([x]), x + 1))
    channels, inside = np.arange(len(values)), np.ones((1, 1), bool)
    step = Products(values[None, None], weights[None, None], here[0].places, here[1].places, channels, inside)

    def all_units() -> np.ndarray:
        return values.astype(np.float64) @ numbers(kernel)

    best = int(np.argmax(np.abs(step.sums)))
    return [step, *_bias_and_activation(task, step.result, all_units)], {0: (*task.place[:-1], best)}


def _depthwise(task: Task) -> Explained:
    layer = task.operation
    rows, columns = windows_of(task, layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding)
    multiplier = layer.kernel.shape[-1]
    channel = task.channel // multiplier
    kernel = numbers(layer.kernel[:, :, channel, task.channel % multiplier])[:, :, None]
    step = _products(task.values, kernel, rows, columns, np.array([channel]))

    def all_units() -> np.ndarray:
        patch, _ = patch_of(task.values, rows, columns)
        sums = np.einsum("klc,klcm->cm", patch.astype(np.float64), numbers(layer.kernel).astype(np.float64))
        return sums.reshape(-1)

    return [step, *_bias_and_activation(task, step.result, all_units)], _strongest(step)


def _separable(task: Task) -> Explained:
    layer = task.operation
    rows, columns = windows_of(task, layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding)
    depthwise, pointwise = numbers(layer.depthwise_kernel), layer.pointwise_kernel
    *window, count, multiplier = depthwise.shape
    channels = np.repeat(np.arange(count), multiplier)
    first = _products(task.values, depthwise.reshape(*window, -1), rows, columns, channels, each=True)
    y, x = np.array(task.place[:1]), np.array(task.place[1:2])
    sums = first.sums.astype(np.float32)
    weights = numbers(pointwise[0, 0, :, task.channel])
    second = Products(sums[None, None], weights[None, None], y, x, np.arange(len(sums)), np.ones((1, 1), bool))

    def all_units() -> np.ndarray:
        return first.sums @ numbers(pointwise[0, 0])

    matters = _strongest(first, int(np.argmax(np.abs(second.sums))))
    return [first, second, *_bias_and_activation(task, second.result, all_units)], matters


def _transposed(task: Task) -> Explained:
    """Each cell of the input spreads out over a window of the output; asked is which of them reach this cell.

    It is the transpose of the convolution that would lead from the output back to the input, so that it is padded as
    that one is.
    """
    layer = task.operation
    windows = []
    for axis in (0, 1):
        length, stride, dilation = layer.kernel_size[axis], layer.strides[axis], layer.dilation_rate[axis]
        reach, size, count = (length - 1) * dilation + 1, task.shape[axis], task.values.shape[axis]
        before = max((math.ceil(size / stride) - 1) * stride + reach - size, 0) // 2 if layer.padding == "same" else 0
        from_here = task.place[axis] + before - dilation * np.arange(length)
        places = np.where(from_here % stride == 0, from_here // stride, -1)
        windows.append(Window.at(places, count))
    kernel = numbers(layer.kernel[:, :, task.channel, :])
    step = _products(task.values, kernel, *windows, np.arange(task.values.shape[-1]))

    def all_units() -> np.ndarray:
        patch, _ = patch_of(task.values, *windows)
        return np.einsum("klc,kloc->o", patch.astype(np.float64), numbers(layer.kernel).astype(np.float64))

    return [step, *_bias_and_activation(task, step.result, all_units)], _strongest(step)


def _bias_and_activation(task: Task, total: float, all_units: Callable[[], np.ndarray]) -> list[Formula]:
    """`all_units` computes the sums of all channels of this cell: a softmax needs them."""
    layer = task.operation
    steps, bias = [], getattr(layer, "bias", None) if layer.use_bias else None
    if bias is not None:
        added = float(numbers(bias[task.channel]))
        steps.append(Formula("sum + bias", (("sum", total), ("bias", added)), total + added))
        total += added

    def before() -> np.ndarray:
        return all_units() + (0.0 if bias is None else numbers(bias))

    return [*steps, *activation_steps(layer.activation, total, task.channel, before)]


HOW: dict[str, How] = {
    "Conv2D": _convolution,
    "Dense": _dense,
    "DepthwiseConv2D": _depthwise,
    "SeparableConv2D": _separable,
    "Conv2DTranspose": _transposed,
}
