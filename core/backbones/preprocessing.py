"""What a network expects its pixels to look like, as data.

Every family of Keras Applications is `(x − mean) / scale` for pixels x in 0..255, some with the colours in BGR order;
the numbers are those of `keras.applications.imagenet_utils.preprocess_input`, held against it by a test.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Preprocessing:
    """`(x − mean) / scale` per colour, for RGB pixels x in 0..255; with `bgr` the colours are reversed first."""

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    bgr: bool = False
    words: str = "pixels as they are (0 to 255); the model scales them itself"

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """`[..., H, W, 3]` in 0..255 -> `float32[..., H, W, 3]`, a new array (Keras' functions write into theirs)."""
        images = np.array(images, dtype=np.float32)
        if self.bgr:
            images = images[..., ::-1]
        return (images - np.float32(self.mean)) / np.float32(self.scale)

    def undo(self, values: np.ndarray) -> np.ndarray:
        """The pixels that would have given `values` (`[..., H, W, 3]`): `uint8`, clipped to what a picture can hold.

        Of values made by another preprocessing it is what a network that expects this one takes them for.
        """
        pixels = np.asarray(values, np.float32) * np.float32(self.scale) + np.float32(self.mean)
        if self.bgr:
            pixels = pixels[..., ::-1]
        return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _imagenet(values: tuple[float, float, float]) -> tuple[float, float, float]:
    return tuple(255.0 * value for value in values)


PREPROCESSING = {
    "none": Preprocessing(),
    "unit": Preprocessing(scale=(255.0,) * 3, words="scaled to 0 … 1"),
    "tf": Preprocessing((127.5,) * 3, (127.5,) * 3, words="scaled to −1 … 1"),
    "torch": Preprocessing(
        _imagenet((0.485, 0.456, 0.406)), _imagenet((0.229, 0.224, 0.225)), words="ImageNet's mean and spread taken out"
    ),
    "caffe": Preprocessing((103.939, 116.779, 123.68), bgr=True, words="blue-green-red, ImageNet's mean taken out"),
    "lite": Preprocessing((127.0,) * 3, (128.0,) * 3, words="(x − 127) / 128"),
}
