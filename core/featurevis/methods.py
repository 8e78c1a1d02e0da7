"""Ways to draw a filter, by name: what is optimised, what it must survive, and how fast it climbs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
