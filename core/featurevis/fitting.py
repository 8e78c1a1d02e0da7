"""A layer for tiles of any size, also where the network takes photos of one size only."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from core.backbones import graph
from core.backbones.backbone import Backbone
from core.errors import UserError


def at_tile(backbone: Backbone, layers: str | Sequence[str], size: int) -> keras.Model:
    """`[B, size, size, 3]` -> the output of a layer, or a list of several: `graph.at_size`.

    Where a layer can only be computed at the network's own size (behind a flattening, for instance), the tile is
    resized to that first: a network of 28 × 28 numbers, or of 64 steps of 20, is drawn as well. Raises `UserError`
    where the tile is too small.
    """
    try:
        return graph.at_size(backbone, layers, size)
    except UserError:
        if not _needs_own_size(backbone, layers):
            raise
    height, width = backbone.input_size
    own = graph.at_size(backbone, layers, (height, width))
    inputs = keras.Input((size, size, 3), dtype=own.inputs[0].dtype, name=f"tile_{size}")
    photo = keras.layers.Resizing(height, width, antialias=True, dtype="float32", name="tile_to_photo")(inputs)
    return keras.Model(inputs, graph.rerun(own, photo))


def _needs_own_size(backbone: Backbone, layers: str | Sequence[str]) -> bool:
    """Whether photos of twice the size are too large for these layers: they are not too small, whatever a tile is."""
    height, width = backbone.input_size
    try:
        graph.at_size(backbone, layers, (2 * height, 2 * width))
    except UserError:
        return True
    return False
