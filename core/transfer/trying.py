"""A new photo for the network of a finished run: what it says, where it looks, and what it knows that is like it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core import attribution, images
from core.messages import Progress
from core.plots import heat_look, heat_picture
from core.transfer.finished import finished
from core.transfer.requests import Neighbour, Tried, TryRequest
from core.transfer.unknown import answers, banked

NEAREST = 6
THUMBNAIL, PICTURE_SIDE = 128, 448  # pixels
STRENGTH = 0.8  # of the heat over the photo


def run(request: TryRequest) -> Iterator[Progress | Tried]:
    """The photo is cut to the middle as all photos of the run were; the last thing that comes is the answer."""
    yield Progress("Opening this run")
    found = finished(request.run)
    bank = None
    for bank in banked(found):
        if isinstance(bank, Progress):
            yield bank
    dataset, network = found.splits.dataset, found.network
    seen = images.fit(request.photo.pixels, network.input_size)
    features, outputs = answers(network, seen[None])
    why = attribution.attribute_simply(network, seen, int(np.argmax(outputs[0])))
    distances = bank.distances(features)[0]
    heat = heat_picture(heat_look(why.heat, why.signed), seen, STRENGTH, PICTURE_SIDE)
    yield Tried(
        probabilities=tuple(float(share) for share in outputs[0]),
        distance=float(bank.distance(features)[0]),
        picture=_picture(seen, PICTURE_SIDE),
        heat=images.encode_webp(heat),
        nearest=tuple(
            Neighbour(
                dataset.files[row], int(dataset.labels[row]), float(distance), _picture(dataset.photos[row], THUMBNAIL)
            )
            for row, distance in ((int(bank.rows[place]), distances[place]) for place in _nearest(distances))
        ),
    )


def _nearest(distances: np.ndarray) -> np.ndarray:
    return np.argsort(distances, kind="stable")[:NEAREST]


def _picture(pixels: np.ndarray, side: int) -> bytes:
    return images.encode_webp(images.resize(pixels, (side, side)))
