"""One way in to all methods: snapshots of a map while it grows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core import activations
from core import images as pictures
from core.attribution import cams, hiding, slopes
from core.attribution.network import Network, maps_before_answer
from core.attribution_choices import METHODS
from core.backbones import loading
from core.backbones.backbone import Backbone
from core.errors import UserError
from core.messages import Why, WhyRequest


def explain(request: WhyRequest) -> Iterator[Why]:
    """Which places of the photo speak for the class; the last snapshot is the result.

    The score of a class is its logit. Raises `UserError` where the network tells no classes, has no such class, layer
    or method, or no layer that gives maps for a method that needs one.
    """
    backbone = loading.load(request.model)
    seen = pictures.fit(request.photo.pixels, backbone.input_size)
    return attribute(backbone, seen, request.method, request.target, layer=request.layer, seed=request.seed)


def attribute(
    backbone: Backbone, seen: np.ndarray, method: str, target: int, *, layer: str | None = None, seed: int = 0
) -> Iterator[Why]:
    """`explain` for a photo `uint8[H, W, 3]` at the backbone's input size."""
    if method not in METHODS:
        raise UserError(f"There is no method {method!r}. There are: {', '.join(METHODS)}.")
    network = Network(backbone)
    activations.check_class(backbone, target)
    image = backbone.preprocessing(seen[None])
    look = network.look(image, layer, target) if METHODS[method].of_layer else None
    logits = network.logits(image)[0] if look is None else look.logits
    score, probability = float(logits[target]), float(network.probabilities(logits)[target])

    def parts() -> Iterator[tuple[int, int, np.ndarray]]:
        if method == "scorecam":
            return cams.score_cam(network, image, look, target)
        if method == "occlusion":
            return hiding.occlusion(network, image, target, score)
        if method == "saliency":
            return slopes.saliency(network, image, target)
        if method == "smoothgrad":
            return slopes.smooth_grad(network, image, target, seed)
        if method == "integrated":
            mean = np.broadcast_to(image.mean(axis=(1, 2), keepdims=True), image.shape)
            return slopes.integrated_gradients(network, image, target, mean)
        return iter([(1, 1, cams.FORMULAS[method](look))])

    for step, steps, heat in parts():
        whole = heat if heat.shape == seen.shape[:2] else cams.enlarged(heat, seen.shape[:2])
        yield Why(
            method=method,
            target=target,
            layer=None if look is None else look.layer,
            heat=whole.astype(np.float32),
            signed=METHODS[method].signed,
            seen=backbone.taken_of(seen),
            score=score,
            probability=probability,
            step=step,
            steps=steps,
        )


def attribute_simply(backbone: Backbone, seen: np.ndarray, target: int) -> Why:
    """Grad-CAM on the last maps, whatever head stands on them; the gradient by the pixels where there are no maps."""
    method = "gradcam" if maps_before_answer(backbone) else "saliency"
    *_, why = attribute(backbone, seen, method, target)
    return why
