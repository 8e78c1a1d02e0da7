"""Does the network look at the subject, or at what is around it? A task for the pages.

Two looks at the photos held back. Where Grad-CAM (Selvaraju et al. 2017) lies: on the frame around the middle, or
within. And what becomes of the answers when only the middle is left, or only the frame: the idea of "Only-FG" and
"No-FG" in Xiao et al. 2021, "Noise or Signal: The Role of Image Backgrounds in Object Recognition", with a frame in the
place of masks, which a person would have to draw.

What is hidden gets the mean colour of all training photos: unlike a blur, or the photo's own mean, it tells nothing of
what was there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from core import attribution, images
from core.attribution.network import Network, maps_before_answer
from core.messages import Progress
from core.plots import heat_look, heat_picture
from core.transfer import report
from core.transfer.finished import Finished, finished
from core.transfer.requests import RunPhoto, Shortcut, ShortcutRequest

TESTED = 500  # photos at most, each in three states
SHOWN = 6  # photos with the most attention on the frame
PICTURE_SIDE = 256  # pixels
STRENGTH = 0.8  # of the heat over a photo


def run(request: ShortcutRequest) -> Iterator[Progress | Shortcut]:
    """First the answers to the photos in their three states, then where the network looks, photo by photo."""
    yield Progress("Opening this run")
    yield from look(finished(request.run), request.photos, request.border)


def look(found: Finished, photos: int, border: float) -> Iterator[Progress | Shortcut]:
    """`photos` is how many get a Grad-CAM, `border` the frame's width in shares of the side."""
    dataset, validation = found.splits.dataset, found.splits.validation
    rows = spread(validation, TESTED)
    frame = frame_of(dataset.photos.shape[1:3], border)
    known = None
    for known in _test(found, rows, frame):
        if isinstance(known, Progress):
            yield known
    result, said = known
    yield result
    maps = maps_before_answer(found.network)
    cells = frame.shape if maps is None else found.network.layer(maps).output_shape[:2]
    yield from _attend(found, spread(np.arange(len(rows)), photos), rows, said, frame, replace(result, cells=cells))


def frame_of(size: tuple[int, int], border: float) -> np.ndarray:
    """`bool[H, W]`: what lies within `border` (a share of each side) of the edge."""
    height, width = size
    down, across = max(1, round(border * height)), max(1, round(border * width))
    frame = np.ones(size, bool)
    frame[down : height - down, across : width - across] = False
    return frame


def spread(rows: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of `rows`, evenly spread: of rows in the order of their classes, as many of each."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).round().astype(int)]


def on_frame(heat: np.ndarray, frame: np.ndarray) -> float:
    """The share of `heat` (`float[H, W]`, not negative) that lies on the frame; NaN where there is none at all."""
    total = float(heat.sum())
    return float(heat[frame].sum()) / total if total > 0 else float("nan")


def _test(found: Finished, rows: np.ndarray, frame: np.ndarray) -> Iterator[Progress | tuple[Shortcut, np.ndarray]]:
    """At the end what the three states came to, and what the network said to the whole photos, `int[N]`."""
    dataset = found.splits.dataset
    labels = dataset.labels[rows]
    colour = _mean_colour(dataset.photos, found.splits.training)
    hidden = (np.zeros_like(frame), frame, ~frame)
    network = Network(found.network)
    said = np.zeros((3, len(rows)), np.int64)
    done = 0
    for batch in network.batches(len(rows)):
        for state, mask in enumerate(hidden):
            seen = hide(dataset.photos[rows[batch]], mask, colour)
            said[state, batch] = network.logits(found.network.preprocessing(seen)).argmax(axis=-1)
        done += len(batch)
        yield Progress(f"Hiding the border, then the middle: {done} of {len(rows)} photos", done / len(rows))
    right = said == labels
    whole, middle, border = (float(share) for share in right.mean(axis=1))
    example = rows[_telling(right)]
    result = Shortcut(
        words="The border and the middle were hidden",
        classes=dataset.classes,
        area=float(frame.mean()),
        tested=len(rows),
        accuracy=whole,
        without_border=middle,
        without_middle=border,
        majority=report.majority_accuracy(dataset.labels[found.splits.training], labels),
        by_class=tuple(_of_class(right, labels == label) for label in range(len(dataset.classes))),
        example=tuple(_picture(hide(dataset.photos[[example]], mask, colour)[0]) for mask in hidden),
    )
    yield result, said[0]


def hide(photos: np.ndarray, mask: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """`uint8[B, H, W, 3]` with `colour` (`uint8[3]`) where `mask` (`bool[H, W]`) is true."""
    return np.where(mask[None, :, :, None], colour, photos)


def _mean_colour(photos: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`uint8[3]`, of at most 500 photos: more would not change it."""
    means = [photos[row].mean(axis=(0, 1)) for row in spread(rows, 500)]
    return np.rint(np.mean(means, axis=0)).astype(np.uint8)


def _telling(right: np.ndarray) -> int:
    """Which photo to show: one that is recognised, and best of all one that is not when a part is hidden."""
    return int(np.argmax(right[0] * (3 - right[1:].sum(axis=0))))


def _of_class(right: np.ndarray, own: np.ndarray) -> tuple[float, float, float] | None:
    return tuple(float(share) for share in right[:, own].mean(axis=1)) if own.any() else None


def _attend(
    found: Finished, places: np.ndarray, rows: np.ndarray, said: np.ndarray, frame: np.ndarray, result: Shortcut
) -> Iterator[Shortcut]:
    """Grad-CAM for what the network said to each of the photos `rows[places]`."""
    dataset = found.splits.dataset
    shares: list[tuple[float, int]] = []  # and the row
    most: list[tuple[float, RunPhoto]] = []
    for done, place in enumerate(places, start=1):
        row, pixels = int(rows[place]), dataset.photos[rows[place]]
        why = attribution.attribute_simply(found.network, pixels, int(said[place]))
        share = on_frame(why.heat, frame)
        if np.isfinite(share):  # else nothing in the photo speaks for what it said
            shares.append((share, row))
            if len(most) < SHOWN or share > most[-1][0]:
                photo = RunPhoto(dataset.files[row], _picture(pixels), _heat(pixels, why.heat, frame))
                most = sorted([*most, (share, photo)], key=lambda each: -each[0])[:SHOWN]
        shares.sort(key=lambda each: (-each[0], each[1]))
        yield replace(
            result,
            words=f"Finding out where it looks: {done} of {len(places)} photos",
            files=tuple(dataset.files[row] for _, row in shares),
            on_border=tuple(share for share, _ in shares),
            most=tuple(photo for _, photo in most) if done == len(places) else (),
            done=done,
            total=len(places),
        )


def _heat(pixels: np.ndarray, heat: np.ndarray, frame: np.ndarray) -> bytes:
    """The heat over the photo, with a white line between the frame and the middle."""
    picture = heat_picture(heat_look(heat, signed=False), pixels, STRENGTH, PICTURE_SIDE)
    inside = ~frame
    down, across = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    scale = picture.shape[0] / frame.shape[0], picture.shape[1] / frame.shape[1]
    top, bottom = round(down[0] * scale[0]), round((down[-1] + 1) * scale[0])
    left, right = round(across[0] * scale[1]), round((across[-1] + 1) * scale[1])
    for thick, shade in ((3, 0), (1, 255)):
        picture[top - 1 : top - 1 + thick, left:right] = picture[bottom - 1 : bottom - 1 + thick, left:right] = shade
        picture[top:bottom, left - 1 : left - 1 + thick] = picture[top:bottom, right - 1 : right - 1 + thick] = shade
    return images.encode_webp(picture)


def _picture(pixels: np.ndarray) -> bytes:
    return images.encode_webp(images.resize(pixels, (PICTURE_SIDE, PICTURE_SIDE)))
