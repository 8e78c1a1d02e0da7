"""A photo, changed: turned, blurred, darkened ... Does the network still see the same?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

_LUMINANCE = np.float32([0.299, 0.587, 0.114])  # ITU-R BT.601, as Pillow's "L"


@dataclass(frozen=True)
class Perturbation:
    """What is done to a photo, in this order; as it is made, nothing.

    `flip` is left for right. `crop` takes so many per cent (0 to below 100) off each side's length and enlarges the
    middle. `rotate` is in degrees, anticlockwise; the corners are filled with the photo's mirror image, so that no edge
    appears that was not there. `blur` is the Gaussian's standard deviation in pixels. `grey` takes the colours out.
    `contrast` and `brightness` are in per cent, from −100 (plain grey; black) to 100 (twice as much). `noise` is the
    standard deviation of each value in 0..255; another `seed` is other noise.
    """

    rotate: float = 0
    blur: float = 0
    noise: float = 0
    brightness: float = 0
    contrast: float = 0
    crop: float = 0
    grey: bool = False
    flip: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.crop < 100:
            raise ValueError(f"`crop` must be at least 0 and below 100 per cent, got {self.crop!r}.")
        for name in ("blur", "noise"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must be at least 0, got {getattr(self, name)!r}.")
        for name in ("brightness", "contrast"):
            if not -100 <= getattr(self, name) <= 100:
                raise ValueError(f"`{name}` must be from -100 to 100 per cent, got {getattr(self, name)!r}.")


def apply(pixels: np.ndarray, perturbation: Perturbation) -> np.ndarray:
    """`uint8[H, W, 3]` -> a new `uint8[H, W, 3]`; the same every time."""
    changed = pixels[:, ::-1] if perturbation.flip else pixels
    if perturbation.crop:
        changed = _middle(changed, 1 - perturbation.crop / 100)
    if perturbation.rotate % 360:
        changed = _turned(changed, perturbation.rotate)
    if perturbation.blur:
        image = Image.fromarray(np.ascontiguousarray(changed))
        changed = np.asarray(image.filter(ImageFilter.GaussianBlur(perturbation.blur)))
    return _recoloured(changed, perturbation)


def _middle(pixels: np.ndarray, share: float) -> np.ndarray:
    height, width = pixels.shape[:2]
    across, down = share * width, share * height
    box = ((width - across) / 2, (height - down) / 2, (width + across) / 2, (height + down) / 2)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC, box=box))


def _turned(pixels: np.ndarray, degrees: float) -> np.ndarray:
    height, width = pixels.shape[:2]
    diagonal = math.hypot(height, width)
    down, across = (math.ceil((diagonal - side) / 2) + 1 for side in (height, width))
    wide = np.pad(pixels, ((down, down), (across, across), (0, 0)), mode="symmetric")
    turned = np.asarray(Image.fromarray(wide).rotate(degrees, Image.Resampling.BICUBIC))
    return turned[down : down + height, across : across + width]


def _recoloured(pixels: np.ndarray, perturbation: Perturbation) -> np.ndarray:
    values = pixels.astype(np.float32)
    if perturbation.grey:
        values = np.repeat(values @ _LUMINANCE[:, None], 3, axis=-1)
    if perturbation.contrast:
        middle = values.mean()
        values = middle + (values - middle) * (1 + perturbation.contrast / 100)
    values = values * (1 + perturbation.brightness / 100)
    if perturbation.noise:
        values = values + np.random.default_rng(perturbation.seed).normal(0, perturbation.noise, values.shape)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
