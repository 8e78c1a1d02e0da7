"""Photos of a finished run as its network sees them, and where it looks. A task for the pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core import attribution, images, runs, samples
from core.archives import Unreadable, entries
from core.attribution.network import Network
from core.backbones import loading
from core.backbones.backbone import Backbone
from core.errors import UserError
from core.messages import ModelRef
from core.plots import heat_look, heat_picture
from core.transfer.requests import PhotosRequest, RunPhoto

STRENGTH = 0.65  # of the heat over the photo


def photos(request: PhotosRequest) -> tuple[RunPhoto, ...]:
    """Only the wanted files are read. Raises `UserError` where one of them, or the network, is gone."""
    run = Path(request.run)
    config = runs.read_config(run)
    if config is None:
        raise UserError("The settings of this run cannot be read any more, nor where its photos are. Train it again.")
    seen = wanted_photos(config.data, request.files, config.size)
    size = (request.side, request.side)
    pictures = [images.encode_webp(images.resize(pixels, size)) for pixels in seen]
    heats: Sequence[bytes | None] = [None] * len(seen)
    if request.why and seen:
        network = network_of(run)
        targets = request.targets or _said(network, np.stack(seen))
        heats = [_heat(network, *each, request.side) for each in zip(seen, targets, strict=True)]
    return tuple(RunPhoto(*each) for each in zip(request.files, pictures, heats, strict=True))


def network_of(run: Path) -> Backbone:
    """The trained network in the folder `run`, which takes pixels 0..255; shared by everyone."""
    if not (run / runs.MODEL).is_file():
        raise UserError("This run has no trained network on this machine any more. Train it again to have it back.")
    return loading.load(ModelRef(str(run / runs.MODEL)))


def wanted_photos(data: str, files: Sequence[str], size: int) -> list[np.ndarray]:
    """The photos called `files` by `datasets.read`, each `uint8[size, size, 3]`, in the same order."""
    with entries(samples.chessman() if data == "chessman" else Path(data).expanduser()) as found:
        by_name = {entry.label: entry for entry in found}
        seen = []
        for file in files:
            try:
                entry = by_name[file]
                seen.append(images.fit(images.photo(entry.read(), entry.parts[-1]).pixels, (size, size)))
            except (KeyError, Unreadable, UserError) as error:
                raise UserError(
                    f"The photo {file} of this run is gone or has been changed. Train again with the photos as they "
                    "are now."
                ) from error
    return seen


def _said(network: Backbone, seen: np.ndarray) -> list[int]:
    """The likeliest class of each of `uint8[N, H, W, 3]`."""
    asked, said = Network(network), np.zeros(len(seen), np.int64)
    for batch in asked.batches(len(seen)):
        said[batch] = asked.logits(network.preprocessing(seen[batch])).argmax(axis=-1)
    return said.tolist()


def _heat(network: Backbone, pixels: np.ndarray, target: int, side: int) -> bytes:
    """Where the network looks, over the photo: a WebP picture."""
    why = attribution.attribute_simply(network, pixels, target)
    return images.encode_webp(heat_picture(heat_look(why.heat, why.signed), pixels, STRENGTH, side))
