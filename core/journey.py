"""From pixels to prediction: what becomes of one photo, layer after layer."""

from __future__ import annotations

import numpy as np

from core import activations
from core.channels import order
from core.messages import ActivationsRequest, Journey, JourneyRequest, JourneyRow


def travel(request: JourneyRequest) -> Journey:
    """The `request.top` first channels of each of `request.layers`, ordered by `request.by`.

    One truncated model for all of the layers is run once; only the maps of these channels come back. Raises `UserError`
    for a layer that is not there.
    """
    found = activations.infer(ActivationsRequest(request.model, request.photo, request.layers))
    rows = tuple(_row(layer, found.values[layer], request) for layer in request.layers)
    return Journey(rows, found.seen)


def _row(layer: str, values: np.ndarray, request: JourneyRequest) -> JourneyRow:
    channels = order(values, request.by)[: max(request.top, 0)]
    return JourneyRow(layer, channels, np.ascontiguousarray(np.moveaxis(values[..., list(channels)], -1, 0)))
