"""What happens to the score when parts of the photo are hidden: a method of its own, and the test of all others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core import activations
from core import images as pictures
from core.attribution.network import Network
from core.attribution_choices import WINDOWS
from core.backbones import loading
from core.messages import Hiding, HidingRequest


def occlusion(
    network: Network, image: np.ndarray, target: int, score: float, windows: int = WINDOWS
) -> Iterator[tuple[int, int, np.ndarray]]:
    """At each pixel the mean of `score` − (score with a window hidden), over the windows that cover it.

    Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks". There are `windows` along each side,
    half overlapping (for 13: each a seventh of the photo wide), and a window is hidden by the photo's mean colour.
    `image` is `[1, H, W, 3]`, preprocessed. Yields (windows done, of how many, `float32[H, W]`) a batch at a time; 0
    where no window has been yet.
    """
    corners, (height, width) = _corners(image.shape[1:3], windows)
    mean = image[0].mean(axis=(0, 1))
    total, count = (np.zeros(image.shape[1:3], np.float64) for _ in range(2))
    done = 0
    for batch in network.batches(len(corners)):
        hidden = np.repeat(image, len(batch), axis=0)
        for each, (top, left) in zip(hidden, corners[batch], strict=True):
            each[top : top + height, left : left + width] = mean
        for fall, (top, left) in zip(score - network.logits(hidden)[:, target], corners[batch], strict=True):
            total[top : top + height, left : left + width] += fall
            count[top : top + height, left : left + width] += 1
        done += len(batch)
        yield done, len(corners), (total / np.maximum(count, 1)).astype(np.float32)


def _corners(size: tuple[int, int], windows: int) -> tuple[np.ndarray, tuple[int, int]]:
    """The upper left corners (y, x) of all windows, `int[N, 2]`, and a window's (height, width)."""
    window = tuple(max(1, round(2 * side / (windows + 1))) for side in size)
    along = [
        np.unique(np.linspace(0, side - one, windows).round().astype(int))
        for side, one in zip(size, window, strict=True)
    ]
    return np.stack(np.meshgrid(*along, indexing="ij"), axis=-1).reshape(-1, 2), window


def hide(request: HidingRequest) -> Hiding:
    """What the class loses when the places that a map calls most important are hidden, and when as many others are.

    The idea of the deletion test (Petsiuk et al. 2018, "RISE"; Samek et al. 2017, "Evaluating the visualization of what
    a Deep Neural Network has learned"). The others have the same shape: the hidden part, shifted to random places.
    """
    backbone = loading.load(request.model)
    network = Network(backbone)
    activations.check_class(backbone, request.target)
    seen = pictures.fit(request.photo.pixels, backbone.input_size)
    mask = most_important(request.heat, request.share)
    masks = np.stack([np.zeros_like(mask), mask, *shifted(mask, request.trials, request.seed)])
    mean = seen.mean(axis=(0, 1))
    hidden = np.where(masks[..., None], np.rint(mean).astype(np.uint8), seen)
    logits = np.empty((len(masks), network.classes), np.float32)
    for batch in network.batches(len(masks)):
        logits[batch] = network.logits(backbone.preprocessing(hidden[batch]))
    scores, probabilities = logits[:, request.target], network.probabilities(logits)[:, request.target]
    return Hiding(
        share=float(mask.mean()),
        scores=tuple(map(float, scores)),
        probabilities=tuple(map(float, probabilities)),
        hidden=hidden[1],
        elsewhere=hidden[2],
    )


def most_important(heat: np.ndarray, share: float) -> np.ndarray:
    """`bool[H, W]`: the `share` of the pixels with the highest values; of equal ones the first."""
    order = np.argsort(-heat, axis=None, kind="stable")[: round(share * heat.size)]
    mask = np.zeros(heat.size, bool)
    mask[order] = True
    return mask.reshape(heat.shape)


def shifted(mask: np.ndarray, count: int, seed: int) -> list[np.ndarray]:
    """`mask` at `count` random places; what leaves at one border comes in at the other."""
    rng = np.random.default_rng(seed)
    # A shift of a few pixels would hide the same.
    shifts = [[rng.integers(side // 4, side - side // 4) for side in mask.shape] for _ in range(count)]
    return [np.roll(mask, shift, axis=(0, 1)) for shift in shifts]
