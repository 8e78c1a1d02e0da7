"""What cannot be trained, told before anything is read or computed. Free of TensorFlow."""

from __future__ import annotations

from core.errors import UserError
from core.transfer.requests import (
    FILL_MODES,
    FLIPS,
    LOSSES,
    OPTIMIZERS,
    POOLINGS,
    SCHEDULES,
    TrainingConfig,
)

LIMITS = {
    "size": (32, 512),  # pixels
    "per_class": (2, 1_000_000),
    "validation": (0.01, 0.99),
    "seed": (0, 2**31 - 1),
    "variants": (0, 100),
    "dropout": (0.0, 0.95),
    "epochs": (1, 10_000),
    "batch_size": (1, 1024),
    "learning_rate": (1e-9, 10.0),
    "label_smoothing": (0.0, 0.99),
    "patience": (1, 10_000),
    "fine_tune_epochs": (0, 10_000),
    "fine_tune_share": (0.0, 1.0),
    "fine_tune_learning_rate": (1e-9, 10.0),
}
CHANGES = ("rotation", "zoom", "shear", "shift", "brightness")  # Keras takes shares
NAMES = {
    "loss": LOSSES,
    "pooling": POOLINGS,
    "optimizer": OPTIMIZERS,
    "fine_tune_optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
}
DENSE_MOST, UNITS_MOST = 8, 16_384


def check(config: TrainingConfig) -> None:
    """Raises `UserError` for the first setting of `config` that has a value beyond its limits."""
    for name, (low, high) in LIMITS.items():
        value = getattr(config, name)
        if value is not None:
            _within(name, value, low, high)
    for name, known in NAMES.items():
        _among(name, getattr(config, name), known)
    if len(config.dense) > DENSE_MOST:
        raise UserError(f"`dense` takes at most {DENSE_MOST} layers, got {len(config.dense)}.")
    for units in config.dense:
        _within("dense", units, 1, UNITS_MOST)
    if config.augmentation is not None:
        for name in CHANGES:
            _within(name, getattr(config.augmentation, name), 0.0, 1.0)
        _among("flip", config.augmentation.flip, FLIPS)
        _among("fill_mode", config.augmentation.fill_mode, FILL_MODES)


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # not a number is neither
        raise UserError(f"`{name}` must lie between {low:,} and {high:,}, got {value!r}.")


def _among(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UserError(f"There is no {name.replace('_', ' ')} named {value!r}. Choose one of {', '.join(known)}.")
