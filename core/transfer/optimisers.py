"""Optimisers by name, with a learning rate that stays or falls over all steps of a phase."""

from __future__ import annotations

import keras

from core.errors import UserError

MOMENTUM = 0.9
LOWEST = 0.01  # what an exponential schedule leaves of the learning rate at its last step

OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "sgd": lambda rate: keras.optimizers.SGD(rate, momentum=MOMENTUM),
    "rmsprop": keras.optimizers.RMSprop,
}
SCHEDULES = {
    "constant": lambda rate, steps: rate,
    "cosine": keras.optimizers.schedules.CosineDecay,
    "exponential": lambda rate, steps: keras.optimizers.schedules.ExponentialDecay(rate, steps, LOWEST),
}


def named(name: str, rate: float, schedule: str = "constant", steps: int = 1) -> keras.optimizers.Optimizer:
    """A new optimiser by its name in `OPTIMIZERS`, whose learning rate begins at `rate` and follows `schedule`.

    "cosine" falls to 0 over `steps`, slowly at both ends (Loshchilov & Hutter, *SGDR*, 2017), "exponential" by the same
    share at each step, to a hundredth. Raises `UserError` for an unknown name.
    """
    return _found(OPTIMIZERS, "optimiser", name)(_found(SCHEDULES, "schedule", schedule)(rate, max(1, steps)))


def _found(among: dict, kind: str, name: str):
    if name not in among:
        raise UserError(f"There is no {kind} named {name!r}. Choose one of {', '.join(among)}.")
    return among[name]
