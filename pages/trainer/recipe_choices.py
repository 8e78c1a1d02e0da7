"""What can be chosen of a few, and how it is called on the page."""

from __future__ import annotations

FLIPS = {"none": "no", "horizontal": "left ↔ right", "vertical": "up ↔ down", "both": "both"}
FILLS = {"reflect": "a mirror image", "nearest": "the last pixel", "wrap": "the other side", "constant": "black"}
VARIANTS = {4: "4", 8: "8", 0: "new at every step"}
POOLINGS = {"average": "average", "max": "maximum", "flatten": "flatten"}
LOSSES = {"crossentropy": "Cross-entropy", "focal": "Focal", "huber": "Huber"}
OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD with momentum", "rmsprop": "RMSprop"}
SCHEDULES = {"constant": "constant", "cosine": "cosine", "exponential": "exponential"}
