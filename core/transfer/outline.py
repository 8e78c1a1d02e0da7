"""What a backbone makes of photos of some size, found without its weights: nothing is downloaded or computed for it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import keras

from core.backbones import loading
from core.backbones.catalogue import find
from core.errors import UserError
from core.messages import ModelRef
from core.transfer.requests import Outline, OutlineRequest


def run(request: OutlineRequest) -> Outline:
    """The outline of `request.backbone`; what cannot be built is said in its `problem`."""
    try:
        return _outline(request.backbone, request.size)
    except UserError as error:
        return Outline(problem=str(error))


@lru_cache(maxsize=64)
def _outline(ref: ModelRef, size: int) -> Outline:
    shape = (size, size, 3)
    if loading.is_model_file(ref.name):
        model = loading.headless(ref, shape)
    else:
        try:
            model = loading.skeleton(ref.name, shape)
        except ValueError as error:
            if isinstance(error, UserError):
                raise
            raise UserError(
                f"{find(ref.name).title} cannot look at photos of {size} × {size} pixels: they are too small for it. "
                "Choose a larger size."
            ) from error
    layers = [layer for layer in _leaves(model) if layer.weights]
    normal = keras.layers.BatchNormalization
    return Outline(
        maps=tuple(model.output_shape[1:]),
        layers=tuple((layer.name, layer.count_params(), isinstance(layer, normal)) for layer in layers),
    )


def _leaves(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        else:
            yield layer
