"""Which photos are nearly the same: the same picture saved again, enlarged, brightened a little or trimmed at the edge.

Two steps. A perceptual hash of 64 bits (Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions",
2010: signs of the low frequencies of a cosine transform) finds pairs that may be. Then the two small pictures are laid
over each other as well as a small shift, a small stretch and another brightness allow (one step of Lucas and Kanade,
"An Iterative Image Registration Technique", 1981), and hardly any difference may be left, nowhere: two photos of one
scene in which something has moved are different photos.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

SIDE = 32  # pixels of the small picture
LOW = 8  # so many frequencies in both directions make the hash
BITS_MAX = 12  # of 64 that may differ: trimming 2 % on all sides changes at most 10 in a photo, saving anew at most 4
LEFT_MAX = 0.12  # of the contrast that may be left over on the whole ...
LEFT_MAX_IN_PLACE = 0.32  # ... and in the worst of 64 places
CONTRAST_MIN = 4.0  # of 255; below it there is nothing in the picture to be recognised by
GAINS = (0.6, 1.6)  # contrast of one photo in terms of the other
SHIFTS_MAX = 2.0  # pixels of the small picture
BLOCK = 512  # rows of the table of differing bits at a time
CHUNK = 256  # pairs that are laid over each other at a time
PAIRS_MAX = 200_000  # so many in all, whatever comes

_LUMINANCE = np.float32([0.299, 0.587, 0.114])  # ITU-R BT.601
_AXIS = np.linspace(-1, 1, SIDE, dtype=np.float32)


def small(pixels: np.ndarray) -> np.ndarray:
    """`uint8[H, W, 3]` -> `uint8[32, 32, 3]`, antialiased, the aspect not kept."""
    image = Image.fromarray(pixels)
    return np.array(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=3.0))


def cosines() -> np.ndarray:
    """`float64[8, 32]`: the rows 1 to 8 of the cosine transform (DCT-II, not normalised); row 0 is the mean."""
    frequency, place = np.arange(1, LOW + 1)[:, None], np.arange(SIDE)[None]
    return np.cos(np.pi * frequency * (2 * place + 1) / (2 * SIDE))


def hashes(smalls: np.ndarray) -> np.ndarray:
    """`uint8[N, 32, 32, 3]` -> `uint64[N]`: for each low frequency, whether it is stronger than the median of them."""
    grey = smalls.astype(np.float32) @ _LUMINANCE
    strength = (cosines() @ grey @ cosines().T).reshape(len(smalls), LOW * LOW)
    bits = strength > np.median(strength, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(np.uint64)[:, 0]


def groups(smalls: np.ndarray) -> np.ndarray:
    """`uint8[N, 32, 32, 3]` -> `int64[N]`: photos with the same number are nearly the same, or linked by some that are.

    The number is the place of the group's first photo. Photos without any contrast are like no other.
    """
    root = np.arange(len(smalls))
    checked = 0
    for first, second in _candidates(hashes(smalls), _contrast(smalls) >= CONTRAST_MIN):
        while True:
            apart = root[first] != root[second]
            first, second = first[apart], second[apart]
            if not len(first) or checked > PAIRS_MAX:
                break
            one, two = first[:CHUNK], second[:CHUNK]
            first, second = first[CHUNK:], second[CHUNK:]
            checked += len(one)
            same = nearly_same(smalls[one], smalls[two])
            for a, b in zip(one[same], two[same], strict=True):
                low, high = sorted((root[a], root[b]))
                root[root == high] = low
    return root


def nearly_same(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """`bool[P]` for P pairs of small pictures, `uint8[P, 32, 32, 3]` each."""
    if not len(one):
        return np.zeros(0, bool)
    a, b = one.astype(np.float32), two.astype(np.float32)
    contrast = np.sqrt(np.mean(np.square(b - b.mean(axis=(1, 2), keepdims=True)), axis=(1, 2, 3)))
    contrast = np.maximum(contrast, CONTRAST_MIN)
    left, fit = _laid_over(_smooth(a), _smooth(b))
    squares = np.square(left)
    whole = np.sqrt(squares.mean(axis=(1, 2, 3)))
    cell = SIDE // 8
    place = np.sqrt(squares.reshape(-1, 8, cell, 8, cell, 3).mean(axis=(2, 4, 5)).max(axis=(1, 2)))
    gain, shifts = fit[:, 4], np.abs(fit[:, :4]).max(axis=1)
    return (
        (whole <= LEFT_MAX * contrast)
        & (place <= LEFT_MAX_IN_PLACE * contrast)
        & (gain >= GAINS[0])
        & (gain <= GAINS[1])
        & (shifts <= SHIFTS_MAX)
    )


def _candidates(codes: np.ndarray, usable: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of places (first < second) whose hashes differ in few bits, the fewest first, block by block."""
    for start in range(0, len(codes), BLOCK):
        differing = np.bitwise_count(codes[start : start + BLOCK, None] ^ codes[None, start:])
        first, second = np.nonzero(differing <= BITS_MAX)
        keep = (first < second) & usable[start + first] & usable[start + second]
        first, second = first[keep], second[keep]
        order = np.argsort(differing[first, second], kind="stable")
        yield start + first[order], start + second[order]


def _contrast(smalls: np.ndarray) -> np.ndarray:
    """`float[N]`: the standard deviation of the brightness, in 0..255."""
    return (smalls.astype(np.float32) @ _LUMINANCE).std(axis=(1, 2))


def _smooth(pictures: np.ndarray) -> np.ndarray:
    """Each pixel with its neighbours in the proportions 1 : 2 : 1, down and across; without it a pixel's shift counts
    too much."""
    for axis in (1, 2):
        width = [(0, 0)] * 4
        width[axis] = (1, 1)
        padded = np.moveaxis(np.pad(pictures, width, mode="edge"), axis, 0)
        pictures = np.moveaxis((padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4, 0, axis)
    return pictures


def _laid_over(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is left of `b` when `a` is laid over it, `float32[P, 32, 32, 3]`, and how, `float[P, 6]`: shift and stretch
    across, shift and stretch down, gain and offset.

    Least squares, linear in the slope; that of the mean of both makes it exact to the second order.
    """
    down, across = np.gradient((a + b) / 2, axis=(1, 2))
    y, x = _AXIS[:, None, None], _AXIS[None, :, None]
    terms = [across, across * x, down, down * y, a, np.ones_like(a)]
    design = np.stack([term.reshape(len(a), -1) for term in terms], axis=2)
    target = b.reshape(len(b), -1, 1)
    turned = design.transpose(0, 2, 1)
    normal = (turned @ design).astype(np.float64) + 1e-3 * np.eye(len(terms))  # solvable in a flat picture too
    fit = np.linalg.solve(normal, (turned @ target).astype(np.float64))
    left = target - design @ fit.astype(np.float32)
    return left.reshape(b.shape), fit[..., 0]
