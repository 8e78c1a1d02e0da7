"""Ways to draw a filter, by name: what is optimised, what it must survive, and how fast it climbs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from core.architecture import takes_any_size
from core.backbones.backbone import Backbone
from core.featurevis.optimisers import Adam, Normalised, Optimiser
from core.featurevis.parameterisations import Parameterisation, fourier, phases, pixels
from core.featurevis.recipes import RECIPES, Recipe
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
    steps_by_depth: float = 0.0

    def steps_at(self, depth: int) -> int:
        """How many steps suffice for a layer behind `depth` nonlinearities (`graph.depth`)."""
        return self.steps + round(self.steps_by_depth * depth)


def gentle(method: Method, backbone: Backbone, layer: str, size: int) -> Method:
    """`method` for a layer that knows where in the picture things are, since it takes photos of one size only.

    What is shifted by a quarter of the side is another thing to it: it is shifted, scaled and turned only a little.
    """
    if not method.transforms or not backbone.sizes_fixed or takes_any_size(backbone.layers, backbone.layer(layer)):
        return method
    return replace(method, transforms=(jitter(max(1, size // 16)), scale(0.95, 1.05), rotate(3.0)))


def _method(recipe: Recipe, parameterisation: Callable[[int], Parameterisation]) -> Method:
    optimiser = (
        Adam(epsilon=recipe.epsilon, relative=True)
        if recipe.epsilon
        else Normalised(recipe.schedule, recipe.end, recipe.evenness, recipe.momentum)
    )
    return Method(
        recipe.name,
        parameterisation,
        recipe.steps,
        recipe.learning_rate,
        optimiser,
        (jitter(recipe.jitter), scale(*recipe.scale), rotate(recipe.rotate)) if recipe.jitter else (),
        recipe.rescue_steps,
        recipe.preprocess,
        recipe.border,
        recipe.steps_by_depth,
    )


_PARAMETERISATIONS = {"textbook": pixels, "fast": pixels, "lucid": fourier, "maco": phases}
METHODS: dict[str, Method] = {name: _method(RECIPES[name], what) for name, what in _PARAMETERISATIONS.items()}
