"""Weights that cannot be right: not numbers, or nothing but zeros."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from core.backbones import graph

_KERNELS = ("kernel", "embeddings")  # what a layer's weights are called that must not be zero everywhere


def report(tensors: dict[str, Any]) -> tuple[str, ...]:
    """Sentences about the layers in `tensors` (by name, a flat model's) whose weights are faulty; none if all is well.

    Every weight is read once.
    """
    broken, empty, seen = [], [], set()
    for name, tensor in tensors.items():
        layer = graph.operation_of(tensor)
        if not isinstance(layer, keras.layers.Layer) or id(layer) in seen:
            continue
        seen.add(id(layer))
        weights = [(each.name, np.asarray(each)) for each in layer.weights if "float" in each.dtype]
        if not all(np.isfinite(values).all() for _, values in weights):
            broken.append(name)
        elif any(kind.endswith(_KERNELS) and values.size and not values.any() for kind, values in weights):
            empty.append(name)
    return tuple(_sentences(broken, empty))


def _sentences(broken: Sequence[str], empty: Sequence[str]) -> list[str]:
    sentences = []
    if broken:
        hold = "1 layer holds" if len(broken) == 1 else f"{len(broken)} layers hold"
        first = "" if len(broken) == 1 else "first "
        sentences.append(
            f"{hold} weights that are not numbers, {first}“{broken[0]}”: everything behind "
            f"{'it' if len(broken) == 1 else 'them'} is empty."
        )
    if empty:
        hold = "1 layer has" if len(empty) == 1 else f"{len(empty)} layers have"
        first = "" if len(empty) == 1 else "first "
        sentences.append(f"{hold} no weights but zeros, {first}“{empty[0]}”: the photo does not get through.")
    return sentences
