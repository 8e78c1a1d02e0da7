"""Ways to draw a filter, by name: what is optimised, what it must survive, and how fast it climbs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.featurevis.optimisers import Adam, Normalised, Optimiser
from core.featurevis.parameterisations import Parameterisation, fourier, phases, pixels
from core.featurevis.transforms import Transform, crop, jitter, pad, rotate, scale


@dataclass(frozen=True)
class Method:
    """Everything about a render but the network, the layer and the size.

    `rescue_steps` is the number of steps at the start during which gradients pass ReLUs that would block all of them.
    With `preprocess` the images are in [0, 1], to be shown as they are, and the network gets what it was trained on:
    × 255, then its own preprocessing. Without it the network gets the images as they are, and their range is open.
    `border` is that of `objectives.channel`.
    """

    name: str
    parameterisation: Callable[[int], Parameterisation]  # from a size in pixels
    steps: int
    learning_rate: float
    optimiser: Optimiser
    transforms: tuple[Transform, ...] = ()
    rescue_steps: int = 0
    preprocess: bool = False
    border: int | None = 2


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        # Chollet, *Deep Learning with Python*, 2nd ed., section 9.4.2: number for number.
        Method("textbook", pixels, 30, 10.0, Normalised()),
        # The same pixels and the same score, by fewer steps that shrink.
        Method("fast", pixels, 10, 60.0, Normalised("cosine")),
        # Olah et al., *Feature Visualization*, Distill 2017; fewer steps than Lucid's 512, a higher rate to make up.
        Method(
            "lucid",
            fourier,
            64,
            0.05,
            Adam(),
            transforms=(pad(8), jitter(8), scale(0.92, 1.08), rotate(5.0), jitter(4), crop(8)),
            rescue_steps=16,
            preprocess=True,
            border=None,
        ),
        # Fel et al. 2023; the crops are those of `maco.render_one`, since they belong to one image.
        Method("maco", phases, 128, 1.0, Adam(nesterov=True), rescue_steps=16, preprocess=True, border=0),
    )
}
