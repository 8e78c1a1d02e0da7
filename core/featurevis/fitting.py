"""A layer for tiles of any size, also where the network takes photos of one size only."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import keras

from core.backbones import graph
from core.backbones.backbone import Backbone
from core.errors import UserError


def at_tile(backbone: Backbone, layers: str | Sequence[str], size: int) -> keras.Model:
    """`[B, size, size, 3]` -> the output of a layer, or a list of several: `graph.at_size`.

    Where a layer can only be computed at the network's own size (behind a flattening, for instance), the tile is
    resized to that first: a network of 28 × 28 numbers, or of 64 steps of 20, is drawn as well. Where only some sizes
    will do (maps that were halved and doubled again are laid beside the first ones), it is resized to the next larger
    one. Raises `UserError` where the tile is too small.
    """
    try:
        return graph.at_size(backbone, layers, size)
    except UserError:
        fitting = _fitting(backbone, layers, size)
        if fitting is None:
            raise
    model = graph.at_size(backbone, layers, fitting)
    inputs = keras.Input((size, size, 3), dtype=model.inputs[0].dtype, name=f"tile_{size}")
    photo = keras.layers.Resizing(*fitting, antialias=True, dtype="float32", name="tile_to_photo")(inputs)
    return keras.Model(inputs, graph.rerun(model, photo))


def _fitting(backbone: Backbone, layers: str | Sequence[str], size: int) -> tuple[int, int] | None:
    """The size to bring a tile to, if there is one."""
    if _needs_own_size(backbone, layers):
        return backbone.input_size
    for side in range(size + 1, size + max(8, size // 8) + 1):
        with contextlib.suppress(UserError):
            graph.at_size(backbone, layers, side)
            return side, side
    return None


def _needs_own_size(backbone: Backbone, layers: str | Sequence[str]) -> bool:
    """Whether photos of twice the size are too large for these layers: they are not too small, whatever a tile is."""
    height, width = backbone.input_size
    try:
        graph.at_size(backbone, layers, (2 * height, 2 * width))
    except UserError:
        return True
    return False
