"""The numbers of each way to draw a filter, where those find them who never load TensorFlow.

`methods.py` makes of them what computes, `keras_code.py` what a student reads.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """`methods.Method`, as numbers. `schedule`, `end`, `evenness` and `momentum` are those of `optimisers.Normalised`,
    `epsilon` is Adam's; `jitter` in pixels, `scale` as factors, `rotate` in degrees."""

    name: str
    steps: int
    learning_rate: float
    border: int | None
    schedule: str = "constant"
    end: float = 0.0
    evenness: float = 0.0
    momentum: float = 0.0
    steps_by_depth: float = 0.0
    epsilon: float = 0.0
    jitter: int = 0
    scale: tuple[float, float] = (1.0, 1.0)
    rotate: float = 0.0
    rescue_steps: int = 0
    preprocess: bool = False


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        # Chollet, *Deep Learning with Python*, 2nd ed., section 9.4.2: number for number.
        Recipe("textbook", 30, 10.0, border=2),
        # The same pixels and the same score, by fewer steps that shrink. On EfficientNet-Lite0's block3, 5 and 9 (11,
        # 13 and 17 steps) it reaches the textbook's scores; the textbook's own direction needs a third more steps.
        Recipe(
            "fast",
            7,
            70.0,
            border=2,
            schedule="cosine",
            end=0.1,
            evenness=1.0,
            momentum=0.3,
            steps_by_depth=0.5,
        ),
        # Olah et al., *Feature Visualization*, Distill 2017, in a twelfth of Lucid's 512 steps. Shifted by a quarter
        # of the side (of 128 pixels), no place of the image stays at the border, so that there is no frame.
        Recipe(
            "lucid",
            40,
            0.22,
            border=None,
            epsilon=3.0,
            jitter=32,
            scale=(0.92, 1.08),
            rotate=5.0,
            rescue_steps=16,
            preprocess=True,
        ),
        # Fel et al. 2023; the crops are those of `maco.render_one`, since they belong to one image. The authors' Nadam
        # moves every phase as fast as all others, which in so few steps leaves much noise.
        Recipe("maco", 96, 0.3, border=None, epsilon=1.0, rescue_steps=16, preprocess=True),
    )
}

# Of ImageNet's colours; from Lucid, `lucid/optvis/param/color.py`.
COLOUR_CORRELATION_ROOT = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
FOURIER_SPREAD = 0.01
FOURIER_CONTRAST = 0.25  # Lucid divides the image by 4 before colours and sigmoid
