"""What a run's report is made of: numbers from its folder, photos from its data, and where the network looked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np

from core import runs, storage
from core.errors import UserError
from core.messages import Progress
from core.runs import HeldBack
from core.transfer import evaluation, forms, history, looking, report_page
from core.transfer.report_page import Content, Mistake
from core.transfer.requests import PhotosRequest, RunPhoto

EACH_CLASS = 4  # photos
SAMPLES_MOST = 100  # photos; with more classes there are fewer of each, or none
MISTAKES_MOST = 12
SMALL, LARGE = 96, 240  # pixels


def make(folder: Path) -> Iterator[Progress]:
    """Write `report.html` into the run's folder; returns what it holds, in words."""
    yield Progress("Reading the results", 0.05)
    content = gathered(folder)
    held_back = runs.read_held_back(folder)
    if held_back is None:
        content = replace(content, notes=("The answers to single photos were not kept, so no photos are shown.",))
    else:
        try:
            yield Progress("Looking for photos of each class", 0.1)
            content = replace(content, samples=_samples(folder, held_back))
            yield Progress("Looking where the network looked in its worst mistakes", 0.3)
            content = replace(content, mistakes=_mistakes(folder, held_back))
        except UserError as error:
            content = replace(content, notes=(f"Some photos are missing here. {error}",))
    yield Progress("Writing the page", 0.95)
    data = report_page.page(content).encode()
    storage.write_bytes(folder / forms.FORMS["report"].file_name, data)
    photos = sum(map(len, content.samples)) + len(content.mistakes)
    return f"One file of {len(data) / 1e6:.1f} MB with {photos} photos inside; it fetches nothing."


def gathered(folder: Path) -> Content:
    """The numbers of a run, without photos. Raises `UserError` where they cannot be read any more."""
    config, report = runs.read_config(folder), runs.read_report(folder)
    if config is None or report is None:
        raise UserError("The results of this run cannot be read any more. Train it again to have a report.")
    when = datetime.fromtimestamp((folder / runs.CONFIG).stat().st_mtime).astimezone()
    return Content(when, config, report, history.read(folder))


def _samples(folder: Path, held_back: HeldBack) -> tuple[tuple[bytes, ...], ...]:
    """A few photos of each class, from those that were held back."""
    classes = len(held_back.classes)
    each = min(EACH_CLASS, SAMPLES_MOST // classes)
    places = [np.flatnonzero(held_back.labels == label)[:each] for label in range(classes)]
    wanted = [held_back.files[place] for line in places for place in line]
    found = iter(_photos(folder, wanted, SMALL))
    return tuple(tuple(next(found).picture for _ in line) for line in places)


def _mistakes(folder: Path, held_back: HeldBack) -> tuple[Mistake, ...]:
    """The wrong answers that the network was surest of, with Grad-CAM for what it said."""
    places = evaluation.most_confident_wrong(held_back.probabilities, held_back.labels)[:MISTAKES_MOST]
    found = _photos(folder, [held_back.files[place] for place in places], LARGE, why=True)
    return tuple(_mistake(held_back, int(place), photo) for place, photo in zip(places, found, strict=True))


def _mistake(held_back: HeldBack, place: int, photo: RunPhoto) -> Mistake:
    true, said = int(held_back.labels[place]), int(held_back.said[place])
    names, probability = held_back.classes, float(held_back.probabilities[place, said])
    return Mistake(held_back.files[place], names[true], names[said], probability, photo.picture, photo.heat)


def _photos(folder: Path, files: Sequence[str], side: int, *, why: bool = False) -> tuple[RunPhoto, ...]:
    return looking.photos(PhotosRequest(str(folder), tuple(files), why=why, side=side)) if files else ()
