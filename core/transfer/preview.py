"""A first look at a data set: its classes, how many photos each has, what they look like, what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core import images
from core.messages import Progress
from core.transfer import datasets, doctor
from core.transfer.requests import DataPreview, DataRequest

SIDE = 96  # pixels of one thumbnail
SHOWN = 4  # photos of each class, two by two
CLASSES_SHOWN = 24  # for a thousand classes the pictures would weigh ten megabytes


def run(request: DataRequest) -> Iterator[Progress | DataPreview]:
    """Read all of `request.data`; the last item is the preview. Raises `UserError` for data that cannot be used."""
    dataset = None
    for item in datasets.reading(request.data, SIDE):
        if isinstance(item, Progress):
            yield item
        else:
            dataset = item
    yield DataPreview(
        classes=dataset.classes,
        counts=tuple(int(count) for count in doctor.counts(dataset)),
        left_out=dataset.left_out,
        thumbnails=tuple(_thumbnails(dataset, label) for label in range(min(len(dataset.classes), CLASSES_SHOWN))),
        parts=doctor.part_counts(dataset),
        findings=doctor.findings(dataset),
    )


def _thumbnails(dataset: datasets.Dataset, label: int) -> bytes:
    own = np.flatnonzero(dataset.labels == label)
    spread = own[np.linspace(0, len(own) - 1, min(SHOWN, len(own))).astype(int)]
    return images.encode_webp(images.stitch(dataset.photos[spread], columns=2, margin=2, background=255))
