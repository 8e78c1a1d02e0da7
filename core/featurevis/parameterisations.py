"""What is optimised, and how it becomes an image."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import tensorflow as tf

from core import images as pictures
from core import samples
from core.featurevis.recipes import COLOUR_CORRELATION_ROOT, FOURIER_CONTRAST, FOURIER_SPREAD

_COLOUR_CORRELATION_ROOT = np.array(COLOUR_CORRELATION_ROOT, np.float32)
_SEEDS_APART = 7919  # between the faces of one target; any number would do
_DARKEST = 0.02  # photographs are clipped to this distance from black and white, whose logits are infinite
_PHOTOGRAPHS = ("cat", "coffee", "daisy", "motorcycle", "temple", "rocket", "astronaut")


class Parameterisation(Protocol):
    """Hashable; two that are equal make the same images, so that compiled graphs can be shared."""

    @property
    def size(self) -> int:
        """The side of the square image, in pixels."""

    def initial(self, targets: Sequence[int], seed: int) -> tf.Tensor:
        """The start, `float32[len(targets), ...]`: each entry depends on its own target and on `seed` alone."""

    def to_image(self, params: tf.Tensor) -> tf.Tensor:
        """The images, `float32[B, size, size, 3]`."""


@dataclass(frozen=True)
class Pixels:
    """The pixels themselves, starting from grey noise, U(0.4, 0.6). They are not kept within [0, 1].

    Source: Chollet, *Deep Learning with Python*, 2nd ed., section 9.4.2.
    """

    size: int

    def initial(self, targets: Sequence[int], seed: int) -> tf.Tensor:
        shape = (self.size, self.size, 3)
        return tf.stack([tf.random.stateless_uniform(shape, (seed, target), 0.4, 0.6) for target in targets])

    def to_image(self, params: tf.Tensor) -> tf.Tensor:
        return params


@dataclass(frozen=True)
class Fourier:
    """The Fourier coefficients of the image in decorrelated colours, `float32[B, 2, 3, size, size // 2 + 1]`.

    The first axis after the batch holds real and imaginary parts. Each coefficient is scaled by 1 / frequency, as
    photographs are, so that all scales of the image are learned equally fast; a sigmoid keeps it within [0, 1].
    Source: Olah et al., *Feature Visualization*, Distill 2017, and its code, Lucid (`optvis/param/spatial.py`).
    """

    size: int

    def initial(self, targets: Sequence[int], seed: int) -> tf.Tensor:
        shape = (2, 3, self.size, self.size // 2 + 1)
        return tf.stack(
            [tf.random.stateless_normal(shape, (seed, target), stddev=FOURIER_SPREAD) for target in targets]
        )

    def to_image(self, params: tf.Tensor) -> tf.Tensor:
        frequency = np.maximum(frequencies(self.size), 1 / self.size)
        scaled = params * tf.constant(FOURIER_CONTRAST * self.size / frequency, tf.float32)
        return _image_of(tf.complex(*tf.unstack(scaled, axis=1)), self.size)


@dataclass(frozen=True)
class Phases:
    """The Fourier phases of the image, `float32[B, 3, size, size // 2 + 1]`; the magnitudes stay a photograph's.

    Nothing can be gained by raising some frequency, so that the image stays natural without further regularisation. The
    magnitudes are `photographic_spectrum`'s. Source: Fel et al., *Unlocking Feature Visualization for Deeper Networks
    with MAgnitude Constrained Optimization*, 2023.
    """

    size: int

    def initial(self, targets: Sequence[int], seed: int) -> tf.Tensor:
        shape = (3, self.size, self.size // 2 + 1)
        return tf.stack([tf.random.stateless_normal(shape, (seed, target)) for target in targets])

    def to_image(self, params: tf.Tensor) -> tf.Tensor:
        magnitude = tf.constant(photographic_spectrum(self.size))
        return _image_of(tf.complex(magnitude * tf.cos(params), magnitude * tf.sin(params)), self.size)


@dataclass(frozen=True)
class Faces:
    """`base`, but of a target that comes several times each image has a start of its own."""

    base: Parameterisation

    @property
    def size(self) -> int:
        return self.base.size

    def initial(self, targets: Sequence[int], seed: int) -> tf.Tensor:
        times: dict[int, int] = {}
        starts = []
        for target in targets:
            times[target] = time = times.get(target, -1) + 1
            starts.append(self.base.initial([target], (seed + _SEEDS_APART * time) % 2**31))
        return tf.concat(starts, axis=0)

    def to_image(self, params: tf.Tensor) -> tf.Tensor:
        return self.base.to_image(params)


def pixels(size: int) -> Parameterisation:
    """Optimise the pixels of `size` × `size` images."""
    return Pixels(size)


def fourier(size: int) -> Parameterisation:
    """Optimise the Fourier coefficients of `size` × `size` images, in decorrelated colours."""
    return Fourier(size)


def faces(base: Parameterisation) -> Parameterisation:
    """Several starts for one target: with `faces(fourier(128))` the targets 7, 7, 7 give three images."""
    return Faces(base)


def phases(size: int) -> Parameterisation:
    """Optimise the Fourier phases of `size` × `size` images whose magnitudes are those of photographs."""
    return Phases(size)


def colour_matrix() -> np.ndarray:
    """`float32[3, 3]`: the root of the correlation of ImageNet's colours, its longest column of length 1.

    Decorrelated colours become logits of red, green and blue by `colours @ colour_matrix().T`.
    """
    return _COLOUR_CORRELATION_ROOT / np.linalg.norm(_COLOUR_CORRELATION_ROOT, axis=0).max()


def frequencies(size: int) -> np.ndarray:
    """`float64[size, size // 2 + 1]`: the frequency of each coefficient of a real square image, in 1 / pixel."""
    return np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])


@functools.lru_cache(maxsize=8)
def photographic_spectrum(size: int) -> np.ndarray:
    """`float32[3, size, size // 2 + 1]`: how strong each frequency is in photographs, for each decorrelated colour.

    The mean over the colour photographs that come with the app, of the logits of their pixels, averaged over all
    directions: about 1 / frequency. Read-only. (The authors of MACO take ImageNet's mean spectrum instead.)
    """
    undo_colours = np.linalg.inv(colour_matrix()).T
    total = np.zeros((3, size, size // 2 + 1))
    for name in _PHOTOGRAPHS:
        photo = (pictures.fit(samples.photograph(name).pixels, (size, size)) / 255).clip(_DARKEST, 1 - _DARKEST)
        colours = np.log(photo / (1 - photo)) @ undo_colours
        total += np.abs(np.fft.rfft2(colours, axes=(0, 1))).transpose(2, 0, 1)
    rings = np.rint(frequencies(size) * size).astype(int)
    count = np.bincount(rings.ravel())
    spectrum = np.stack([(np.bincount(rings.ravel(), each.ravel()) / count)[rings] for each in total])
    spectrum = (spectrum / len(_PHOTOGRAPHS)).astype(np.float32)
    spectrum.setflags(write=False)
    return spectrum


def _image_of(spectrum: tf.Tensor, size: int) -> tf.Tensor:
    """`complex64[B, 3, size, size // 2 + 1]` in decorrelated colours -> `float32[B, size, size, 3]` in (0, 1)."""
    colours = tf.transpose(tf.signal.irfft2d(spectrum, [size, size]), [0, 2, 3, 1])
    return tf.sigmoid(tf.linalg.matmul(colours, tf.constant(colour_matrix()), transpose_b=True))
