"""Which layers to dream with, for those who have not chosen yet: names alone, no TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Sequence

from core.messages import LayerInfo, ModelInfo

# Chosen by eye. Those of InceptionV3 are the textbook's (Chollet, *Deep Learning with Python*, 2nd ed., section 12.2).
_BY_EYE: tuple[tuple[tuple[str, float], ...], ...] = (
    (("block9_expand_activation", 0.5), ("block10_add", 1.0), ("block11_expand_activation", 1.0)),
    (("mixed4", 1.0), ("mixed5", 1.5), ("mixed6", 2.0), ("mixed7", 2.5)),
)
_STRIDE = 16  # pixels of the image to a cell of the map, where eyes, fur and heads are found
_KINDS = (
    {"Add", "Concatenate", "Average", "Maximum"},  # what blocks end with
    {"ReLU", "Activation", "LeakyReLU", "PReLU", "ELU"},
    {"Conv2D", "SeparableConv2D", "DepthwiseConv2D"},
)


def suggested_layers(info: ModelInfo) -> tuple[tuple[str, float], ...]:
    """(name, weight) of layers that a dream with this model can begin with; empty where no layer gives maps.

    Of networks without a recipe of their own: the middle and the end of the stage where a cell of the map stands for
    about 16 pixels of the image.
    """
    for recipe in _BY_EYE:
        found = [(_find(info.layers, name), weight) for name, weight in recipe]
        if all(name is not None for name, _ in found):
            return tuple(found)
    stage = _stage([layer for layer in info.layers if layer.is_spatial], info.input_size[0])
    candidates = next((chosen for kinds in _KINDS if (chosen := [each for each in stage if each.type in kinds])), stage)
    if not candidates:
        return ()
    middle, last = candidates[len(candidates) // 2].name, candidates[-1].name
    return ((last, 1.0),) if middle == last else ((middle, 0.5), (last, 1.0))


def _find(layers: Sequence[LayerInfo], name: str) -> str | None:
    """The layer of that name, also within a nested model."""
    return next((layer.name for layer in layers if f"/{layer.name}".endswith(f"/{name}")), None)


def _stage(layers: Sequence[LayerInfo], height: int) -> list[LayerInfo]:
    """The layers of the one map size that is nearest to a sixteenth of the image's; the later half of a network whose
    map sizes are open."""
    heights = {layer.output_shape[0] for layer in layers} - {None, 0, 1}
    if not heights:
        open_ = [layer for layer in layers if layer.output_shape[0] is None]
        return list(open_[len(open_) // 2 :])
    nearest = min(heights, key=lambda each: abs(math.log(height / each / _STRIDE)))
    return [layer for layer in layers if layer.output_shape[0] == nearest]
