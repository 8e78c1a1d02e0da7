"""The methods that say why: what a person reads of each, and how much work it is. No TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.messages import LayerInfo

CHANNELS = 64  # that Score-CAM tries, those whose maps vary most
WINDOWS = 13  # along each side of the photo; each is a seventh of it wide, and half of it lies under the next
NOISY_COPIES = 32
PATH_STEPS = 64

_THERE_AND_BACK = 3  # passes forward that one forward and back is worth
_USUAL_MULTIPLY_ADDS = 1e9  # of a network of which nobody has counted them
_MULTIPLY_ADDS_A_SECOND = 2e10  # of the slowest computer that we think of


@dataclass(frozen=True)
class Method:
    """`how` it works and what to `beware` of are sentences for a person. `passes` counts passes forward through the
    network. A `signed` map also says what speaks against the class; an `of_layer` one looks at one layer's maps."""

    title: str
    how: str
    beware: str
    passes: int
    signed: bool = False
    of_layer: bool = False


METHODS: dict[str, Method] = {
    "gradcam": Method(
        "Grad-CAM",
        "Adds up a layer's maps, each weighted by how much the class's score grows with it.",
        "It is as coarse as the maps are, and it shows nothing that speaks against the class.",
        passes=_THERE_AND_BACK,
        of_layer=True,
    ),
    "gradcampp": Method(
        "Grad-CAM++",
        "Like Grad-CAM, but within each map the places that raise the score count more: better for several objects.",
        "Its formula was derived for maps that are never negative; elsewhere trust it less.",
        passes=_THERE_AND_BACK,
        of_layer=True,
    ),
    "layercam": Method(
        "LayerCAM",
        "Weighs every cell of every map by its own slope, so that early, fine maps can be used as well.",
        "On early layers it shows edges and textures: where the network looks, not yet what it recognises.",
        passes=_THERE_AND_BACK,
        of_layer=True,
    ),
    "scorecam": Method(
        "Score-CAM",
        f"Shows the network the photo through each of the {CHANNELS} liveliest maps of a layer, and weighs the map by "
        "the class's probability then. It needs no slopes.",
        "The masked photos look like none that the network was trained on.",
        passes=CHANNELS + _THERE_AND_BACK,
        of_layer=True,
    ),
    "occlusion": Method(
        "Occlusion",
        "Hides one square of the photo after the other behind its mean colour: red where the score then falls.",
        "It finds nothing smaller than the square, nor what is there twice: hiding one of two eyes changes little.",
        passes=WINDOWS**2,
        signed=True,
    ),
    "saliency": Method(
        "Gradient",
        "How strongly the score answers to the least change of each pixel.",
        "It is noisy, and shows what the score is sensitive to, not what it was built from: tested by hiding, it is "
        "often no better than chance.",
        passes=_THERE_AND_BACK,
    ),
    "smoothgrad": Method(
        "SmoothGrad",
        f"The mean gradient of {NOISY_COPIES} copies of the photo, each with other noise: what is chance cancels out.",
        "How much noise to add is a matter of taste, and the map changes with it.",
        passes=NOISY_COPIES * _THERE_AND_BACK,
    ),
    "integrated": Method(
        "Integrated Gradients",
        "Goes from the photo's mean colour to the photo in small steps and adds up what each pixel contributes: "
        "together it is what the score has gained.",
        "What has the mean colour gets nothing, for it does not change on the way.",
        passes=PATH_STEPS * _THERE_AND_BACK,
        signed=True,
    ),
}


def seconds(method: str, layers: Iterable[LayerInfo]) -> float:
    """About how long `method` takes at most with the network of these layers, once all is compiled."""
    multiply_adds = sum(layer.multiply_adds for layer in layers) or _USUAL_MULTIPLY_ADDS
    return METHODS[method].passes * multiply_adds / _MULTIPLY_ADDS_A_SECOND
