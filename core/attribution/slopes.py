"""Maps of pixels, from the gradient of the class's score by the photo."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core.attribution.network import Network
from core.attribution_choices import NOISY_COPIES, PATH_STEPS

Steps = Iterator[tuple[int, int, np.ndarray]]  # done, of how many, the map so far: float32[H, W]

NOISE = 0.15  # of the range of the photo's values; the paper finds 0.1 to 0.2 best


def saliency(network: Network, image: np.ndarray, target: int) -> Steps:
    """max over the colours of |∂score/∂x|, for the preprocessed `image[1, H, W, 3]`.

    Simonyan et al. 2014, "Deep Inside Convolutional Networks: Visualising Image Classification Models and Saliency
    Maps".
    """
    _, slopes = network.slopes(image, target)
    yield 1, 1, _strongest(slopes[0])


def smooth_grad(network: Network, image: np.ndarray, target: int, seed: int, copies: int = NOISY_COPIES) -> Steps:
    """As `saliency`, of the mean of ∂score/∂x at x + noise, noise ~ N(0, σ²), σ = 15 % of the range of x.

    Smilkov et al. 2017, "SmoothGrad: removing noise by adding noise".
    """
    rng = np.random.default_rng(seed)
    spread = NOISE * float(image.max() - image.min())
    total, done = np.zeros(image.shape[1:], np.float64), 0
    for batch in network.batches(copies, of_slopes=True):
        noise = rng.standard_normal((len(batch), *image.shape[1:]), np.float32)
        _, slopes = network.slopes(image + spread * noise, target)
        total, done = total + slopes.sum(axis=0), done + len(batch)
        yield done, copies, _strongest(total / done)


def integrated_gradients(
    network: Network, image: np.ndarray, target: int, baseline: np.ndarray, steps: int = PATH_STEPS
) -> Steps:
    """Σ over the colours of (x − x') ⊙ ∫ ∂score/∂x at x' + a (x − x') da, a from 0 to 1; x' is `baseline[1, H, W, 3]`.

    Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks". The sum over all pixels is score(x) −
    score(x'), save for what `steps` slopes cannot tell of the integral. They are taken at a = u², u in the middle of
    equal parts: the slopes change most near the baseline, and of 64 equal steps the sum would be off by a sixth.
    """
    roots = (np.arange(steps, dtype=np.float32) + 0.5) / steps
    places, parts = roots**2, 2 * roots / steps
    way, total = image - baseline, np.zeros(image.shape[1:], np.float64)
    done, covered = 0, 0.0
    for batch in network.batches(steps, of_slopes=True):
        _, slopes = network.slopes(baseline + places[batch, None, None, None] * way, target)
        total += np.tensordot(parts[batch], slopes, axes=1)
        done, covered = done + len(batch), covered + parts[batch].sum()
        yield done, steps, (way[0] * total / covered).sum(axis=-1).astype(np.float32)


def _strongest(slopes: np.ndarray) -> np.ndarray:
    return np.abs(slopes).max(axis=-1).astype(np.float32)
