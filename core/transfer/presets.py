"""Recipes to begin with. What they leave out is `TrainingConfig`'s own. Free of TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from core.errors import UserError
from core.transfer.requests import Augmentation, TrainingConfig

# Of BatchNorm's statistics. Keras' 0.99 is for thousands of steps: after the 72 of a lesson half of the first,
# meaningless ones would still be there, and a network that has learned would recognise nothing. This is PyTorch's.
MOMENTUM_FROM_SCRATCH = 0.9


@dataclass(frozen=True)
class Preset:
    """`changes` are fields of `TrainingConfig`; `backbone` is a catalogue name where the recipe asks for one."""

    title: str
    words: str
    changes: dict[str, Any] = field(default_factory=dict)
    backbone: str | None = None


# Angles are whole degrees and shares whole per cents, so that the sliders of a page can stand on them.
PRESETS = {
    "quick": Preset(
        "Quick",
        "One new last layer on the frozen network; photos are looked at four times, slightly changed. Under a minute.",
        {"epochs": 8},
    ),
    "accurate": Preset(
        "Accurate",
        "Larger photos, more epochs with a falling learning rate, then the network's last layers learn too. Minutes.",
        {
            "size": 224,
            "epochs": 20,
            "schedule": "cosine",
            "label_smoothing": 0.1,
            "fine_tune_epochs": 5,
            "patience": 6,
            "augmentation": Augmentation(rotation=30 / 360, zoom=0.15, shift=0.05),
        },
    ),
    "scratch": Preset(
        "From scratch",
        "For comparison: the same network, but untrained. Everything has to be learned from these photos alone. Slow.",
        {"from_scratch": True, "epochs": 8, "learning_rate": 1e-3},
    ),
    # Chollet, Deep Learning with Python, 2nd ed., 8.3: flatten, dense, dropout 0.5, RMSprop 1e-3.
    "textbook": Preset(
        "Textbook",
        "ResNet152V2 at 150 × 150, flattened, two dense layers of 512 and 256 units, then softmax. A large network: "
        "minutes.",
        {
            "size": 150,
            "pooling": "flatten",
            "dense": (512, 256),
            "dropout": 0.5,
            "learning_rate": 1e-3,
            "optimizer": "rmsprop",
            "augmentation": Augmentation(rotation=36 / 360, zoom=0.2, shear=0.2, shift=0.2, fill_mode="nearest"),
        },
        backbone="resnet152v2",
    ),
}


def apply(name: str, config: TrainingConfig) -> TrainingConfig:
    """`config` with the recipe `name`; what says which photos, which network and where to stays.

    A recipe from scratch takes the network's random weights. Raises `UserError` for an unknown name.
    """
    preset = named(name)
    config = replace(config, preset=name, **preset.changes)
    return replace(config, backbone=replace(config.backbone, weights=None)) if config.from_scratch else config


def named(name: str) -> Preset:
    """Raises `UserError` for an unknown name."""
    if name not in PRESETS:
        raise UserError(f"There is no preset named {name!r}. Choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]
