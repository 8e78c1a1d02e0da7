"""Ways to draw a filter, by name: what is optimised, what it must survive, and how fast it climbs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.featurevis.optimisers import Adam, Normalised, Optimiser
from core.featurevis.parameterisations import Parameterisation, fourier, phases, pixels
from core.featurevis.transforms import Transform, jitter, rotate, scale


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
        Method("fast", pixels, 10, 80.0, Normalised("cosine", end=0.1)),
        # Olah et al., *Feature Visualization*, Distill 2017, in a tenth of Lucid's 512 steps. Shifted by a quarter
        # of the side (of 128 pixels), no place of the image stays at the border, so that there is no frame.
        Method(
            "lucid",
            fourier,
            48,
            0.2,
            Adam(epsilon=3.0, relative=True),
            transforms=(jitter(32), scale(0.92, 1.08), rotate(5.0)),
            rescue_steps=16,
            preprocess=True,
            border=None,
        ),
        # Fel et al. 2023; the crops are those of `maco.render_one`, since they belong to one image. The authors' Nadam
        # moves every phase as fast as all others, which in so few steps leaves much noise.
        Method(
            "maco",
            phases,
            96,
            0.3,
            Adam(epsilon=1.0, relative=True),
            rescue_steps=16,
            preprocess=True,
            border=None,
        ),
    )
}
