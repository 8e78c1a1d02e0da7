"""Class activation maps: one layer's maps, weighted by what they mean for the class, added up and enlarged."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from core.attribution.network import Look, Network
from core.attribution_choices import CHANNELS

_TINY = 1e-7


def grad_cam(look: Look) -> np.ndarray:
    """ReLU(Σ_k w_k A^k), where w_k is the mean over the map of ∂score/∂A^k: `float[h, w]`.

    Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization".
    """
    return _relu(look.maps @ look.slopes.mean(axis=(0, 1)))


def grad_cam_plus_plus(look: Look) -> np.ndarray:
    """ReLU(Σ_k w_k A^k) with w_k = Σ_ij α_ij ReLU(g_ij), g = ∂score/∂A^k and α = g² / (2 g² + g³ Σ_ab A^k_ab).

    Chattopadhay et al. 2018, "Grad-CAM++: Generalized Gradient-based Visual Explanations for Deep Convolutional
    Networks". As in the authors' code the α of a map are divided by their sum. The exponential of the score, by which
    the paper multiplies all of g, is left out: it changes no ratio, and would overflow.
    """
    maps, slopes = look.maps.astype(np.float64), look.slopes.astype(np.float64)
    second = slopes**2
    below = 2 * second + slopes**3 * maps.sum(axis=(0, 1))
    alphas = second / np.where(below == 0, 1, below)
    total = alphas.sum(axis=(0, 1))
    weights = (alphas / np.where(total == 0, 1, total) * _relu(slopes)).sum(axis=(0, 1))
    return _relu(maps @ weights)


def layer_cam(look: Look) -> np.ndarray:
    """ReLU(Σ_k ReLU(g^k) ⊙ A^k), g^k = ∂score/∂A^k: each cell has its own weight.

    Jiang et al. 2021, "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization".
    """
    return _relu((_relu(look.slopes) * look.maps).sum(axis=-1))


FORMULAS = {"gradcam": grad_cam, "gradcampp": grad_cam_plus_plus, "layercam": layer_cam}


def score_cam(
    network: Network, image: np.ndarray, look: Look, target: int, most: int = CHANNELS
) -> Iterator[tuple[int, int, np.ndarray]]:
    """ReLU(Σ_k w_k A^k), where w_k is the class's probability for the photo seen through A^k.

    Wang et al. 2020, "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks"; the weights
    are those of the authors' code. The mask is A^k, enlarged and stretched to 0..1; it multiplies what the network is
    given. Of the maps, the `most` with the largest standard deviation are used (the idea of Faster-Score-CAM by
    tabayashi0117, which tf-keras-vis has too). Yields (maps done, of how many, `float32[h, w]`), one batch after the
    other; `image` is `[1, H, W, 3]`, preprocessed.
    """
    liveliest = np.argsort(-look.maps.std(axis=(0, 1)), kind="stable")[:most]
    maps, done, heat = look.maps[:, :, liveliest], 0, np.zeros(look.maps.shape[:2], np.float32)
    for batch in network.batches(len(liveliest)):
        masks = enlarged(maps[:, :, batch], image.shape[1:3])
        low, high = masks.min(axis=(0, 1)), masks.max(axis=(0, 1))
        masks = np.moveaxis((masks - low) / (high - low + _TINY), -1, 0)
        weights = network.probabilities(network.logits(image * masks[..., None]))[:, target]
        heat, done = heat + maps[:, :, batch] @ weights, done + len(batch)
        yield done, len(liveliest), _relu(heat)


def enlarged(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`[h, w]` or `[h, w, C]` to `size`, bilinearly; a cell's value is that of the middle of what it covers."""
    channels = maps if maps.ndim == 3 else maps[..., None]
    found = tf.image.resize(channels.astype(np.float32), size).numpy()
    return found if maps.ndim == 3 else found[..., 0]


def _relu(values: np.ndarray) -> np.ndarray:
    return np.maximum(values, 0)
