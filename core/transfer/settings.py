"""The settings of a training run in plain words, to be read and compared. Free of TensorFlow."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from core.backbones import answers
from core.backbones.catalogue import CATALOGUE
from core.errors import UserError
from core.messages import ModelRef
from core.scripts import file_name
from core.transfer.presets import PRESETS
from core.transfer.requests import Augmentation, TrainingConfig

LOSSES = {"crossentropy": "cross-entropy", "focal": "focal loss", "huber": "Huber's loss"}
OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD with momentum", "rmsprop": "RMSprop"}
SCHEDULES = {
    "constant": "the same all the time",
    "cosine": "falls along a cosine",
    "exponential": "falls by the same factor at every step",
}
POOLINGS = {"average": "average pooling", "max": "max pooling", "flatten": "flattened maps"}
FLIPS = {"horizontal": "mirrored", "vertical": "turned upside down", "both": "mirrored and turned upside down"}
FILLS = {
    "reflect": "edges mirrored",
    "nearest": "edges drawn out",
    "wrap": "the other edge goes on",
    "constant": "black outside",
}


def told(config: TrainingConfig) -> dict[str, str]:
    """Setting -> value, in the order in which one asks; what has no say in this run is left out."""
    return {**_material(config), **_learning(config), **_network(config)}


def differing(one: TrainingConfig, other: TrainingConfig) -> dict[str, tuple[str, str]]:
    """The settings in which two runs differ: setting -> its value in each; "–" where it has no say."""
    left, right = told(one), told(other)
    names = [*left, *(name for name in right if name not in left)]
    pairs = {name: (left.get(name, "–"), right.get(name, "–")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def network_words(config: TrainingConfig) -> str:
    """The backbone and what its weights were learned from."""
    name = config.backbone.name
    if name not in CATALOGUE:
        return _title_of(config.backbone)
    weights = {"imagenet": "trained on ImageNet", None: "untrained"}.get(config.backbone.weights, "own weights")
    return f"{CATALOGUE[name].title}, {weights}"


def network_name(config: TrainingConfig) -> str:
    """The backbone in few words, for tables."""
    name = config.backbone.name
    title = CATALOGUE[name].title if name in CATALOGUE else _title_of(config.backbone)
    return title if config.backbone.weights is not None else f"{title} (untrained)"


def _title_of(ref: ModelRef) -> str:
    """What its person called a file: its copy is kept under its digest."""
    try:
        title = answers.read(ref.answers).title
    except UserError:
        title = None
    return title or Path(ref.name).name


def network_file(config: TrainingConfig) -> str:
    """The name under which the file of the backbone is handed out, and the code asks for it."""
    title, suffix = file_name(_title_of(config.backbone)), Path(config.backbone.name).suffix
    return title if title.endswith(suffix) else f"network{suffix}"


def rate_words(rate: float) -> str:
    """`1e-05` -> `0.00001`."""
    return format(Decimal(f"{rate:g}"), "f")


def recipe_name(config: TrainingConfig) -> str:
    return PRESETS[config.preset].title if config.preset in PRESETS else "own"


def augmentation_words(settings: Augmentation | None) -> str:
    """What is changed at random in each photo: "mirrored, turned up to 18°, zoomed up to 10 %"."""
    if settings is None:
        return "none"
    parts = [FLIPS[settings.flip]] if settings.flip in FLIPS else []
    if settings.rotation:
        parts.append(f"turned up to {360 * settings.rotation:.0f}°")
    for words, share in (
        ("zoomed", settings.zoom),
        ("sheared", settings.shear),
        ("shifted", settings.shift),
        ("lightened or darkened", settings.brightness),
    ):
        parts += [f"{words} up to {_percent(share)}"] if share else []
    moves = settings.rotation or settings.zoom or settings.shear or settings.shift
    return ", ".join(parts + [FILLS.get(settings.fill_mode, settings.fill_mode)] * bool(moves)) or "none"


def _material(config: TrainingConfig) -> dict[str, str]:
    words = {
        "Recipe": recipe_name(config),
        "Network": network_words(config),
        "Photo size": f"{config.size} × {config.size} pixels",
        "Photos of each class": "all" if config.per_class is None else f"at most {config.per_class}",
        "Kept for validation": _percent(config.validation),
        "Augmentation": augmentation_words(config.augmentation),
    }
    if config.augmentation is not None and not config.from_scratch:
        count = config.variants
        words["Variants of each photo"] = f"{count}, kept" if count else "new ones at every step"
    return words


def _learning(config: TrainingConfig) -> dict[str, str]:
    words = {
        "Epochs": f"{config.epochs}, everything from the first one on" if config.from_scratch else str(config.epochs),
        "Learning rate": rate_words(config.learning_rate),
        "The rate": SCHEDULES.get(config.schedule, config.schedule),
        "Optimiser": OPTIMIZERS.get(config.optimizer, config.optimizer),
        "Fine-tuning epochs": str(config.fine_tune_epochs) if config.fine_tune_epochs else "none",
    }
    if config.fine_tune_epochs:
        words["Fine-tuned layers"] = (
            f"from {config.fine_tune_from} on"
            if config.fine_tune_from
            else f"the last {_percent(config.fine_tune_share)}"
        )
        words["Fine-tuning rate"] = rate_words(config.fine_tune_learning_rate)
        words["Fine-tuning optimiser"] = OPTIMIZERS.get(config.fine_tune_optimizer, config.fine_tune_optimizer)
    words["Loss"] = LOSSES.get(config.loss, config.loss)
    if config.label_smoothing:
        words["Label smoothing"] = f"{config.label_smoothing:g}"
    words["Rare classes"] = "weigh as much as frequent ones" if config.class_weights else "weigh less"
    words["Photos in a batch"] = str(config.batch_size)
    if config.patience is not None:
        words["Stops early"] = f"after {config.patience} epochs without improvement"
    words["Seed"] = str(config.seed)
    if config.eager:
        words["Compiled"] = "no, step by step"
    return words


def _network(config: TrainingConfig) -> dict[str, str]:
    dense = "".join(f", {units} units" for units in config.dense)
    return {
        "Head": f"{POOLINGS.get(config.pooling, config.pooling)}{dense}, softmax",
        "Dropout": _percent(config.dropout) if config.dropout else "none",
    }


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
