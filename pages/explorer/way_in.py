"""The way to a layer."""

from __future__ import annotations

from core.messages import LayerInfo, ModelInfo
from pages.explorer.common import PAGE
from pages.shared import controls

FIRST_LAYER = "block1_expand_activation"  # the embedded network's edges and colours: a good first look


def choose_layer(info: ModelInfo) -> LayerInfo:
    layers = [layer for layer in info.layers if layer.is_spatial or len(layer.output_shape) == 1]
    return controls.choose_layer(info, PAGE, layers, first_layer(layers))


def first_layer(layers: list[LayerInfo]) -> str:
    names = [layer.name for layer in layers]
    for layer in layers:
        if layer.name.endswith(FIRST_LAYER):
            return layer.name
    return names[min(3, len(names) - 1)]
