"""How many photos can go through a network at once."""

from __future__ import annotations

import math

from core.backbones.backbone import Backbone

BATCH_BYTES = 32 * 1024**2  # of the largest array in a batch


def bytes_per_photo(backbone: Backbone, until: str | None = None) -> list[int]:
    """Of the photo and of each layer's output, in `float32`; of those up to the layer `until`, where one is named.

    A size that is not fixed counts as the most it can be for a photo of the backbone's input size.
    """
    height, width = backbone.input_size
    sizes = [height * width * 3]
    for layer in backbone.layers:
        limits = (height, width, 1) if layer.is_spatial else (height * width,) * len(layer.output_shape)
        sizes.append(math.prod(size or limit for size, limit in zip(layer.output_shape, limits, strict=True)))
        if layer.name == until:
            break
    return [4 * size for size in sizes]
