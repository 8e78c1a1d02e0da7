"""What an augmentation does to a few of a person's own photos, by the very layers that training uses."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from core.errors import UserError
from core.messages import Progress
from core.transfer import datasets
from core.transfer.classifier import augment
from core.transfer.requests import Augmented, AugmentRequest

READ = 4  # photos of each class that are looked for; among them the shown ones are found
KEPT = 8  # photos that are remembered
MARGIN, GAP = 4, 12  # pixels between variants, and between the photo and its variants


def run(request: AugmentRequest) -> Iterator[Progress | Augmented]:
    """The photos beside their variants; the same for the same request. Raises `UserError` for unusable data."""
    yield Progress("Taking a few photos")
    photos = few(request.data, request.size)[: request.photos]
    changed = vary(photos, request)
    yield Augmented(tuple(_row(photo, variants) for photo, variants in zip(photos, changed, strict=True)))


def few(data: str, size: int) -> np.ndarray:
    """`uint8[up to 8, size, size, 3]`: the first of each class, then the second; the same every time."""
    path = Path(data).expanduser()
    return _few(data, size, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=8)
def _few(data: str, size: int, changed: int) -> np.ndarray:
    try:
        found = datasets.read(data, size, READ)
    except UserError:  # the few may all be alike, or broken
        found = datasets.read(data, size)
    rounds = [int(np.sum(found.labels[:place] == label)) for place, label in enumerate(found.labels)]
    photos = found.photos[np.argsort(rounds, kind="stable")[:KEPT]].copy()
    photos.setflags(write=False)
    return photos


def vary(photos: np.ndarray, request: AugmentRequest) -> np.ndarray:
    """`uint8[N, variants, size, size, 3]`: each of the photos changed at random, as training changes them."""
    shape = (len(photos), request.variants, *photos.shape[1:])
    copies = np.repeat(photos, request.variants, axis=0)
    layers = augment(request.augmentation, request.seed)
    if layers is not None:
        pixels = layers(tf.constant(copies, tf.float32), training=True).numpy()
        copies = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return copies.reshape(shape)


def _row(photo: np.ndarray, variants: np.ndarray) -> bytes:
    """Transparent between the tiles, so that the page's own colour shows."""
    side, count = len(photo), len(variants)
    row = np.zeros((side, side * (1 + count) + GAP + MARGIN * (count - 1), 4), np.uint8)
    for place, tile in enumerate((photo, *variants)):
        left = place * side + (GAP + MARGIN * (place - 1) if place else 0)
        row[:, left : left + side] = np.dstack([tile, np.full((side, side), 255, np.uint8)])
    file = io.BytesIO()
    Image.fromarray(row).save(file, "WEBP", quality=85)
    return file.getvalue()
