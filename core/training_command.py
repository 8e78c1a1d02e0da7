"""The options of `python -m core train`: the recipe's fields, and on how many devices it is trained."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from core.errors import UserError
from core.messages import ModelRef
from core.transfer import presets
from core.transfer.presets import PRESETS
from core.transfer.requests import (
    FILL_MODES,
    FLIPS,
    LOSSES,
    OPTIMIZERS,
    POOLINGS,
    SCHEDULES,
    Augmentation,
    TrainingConfig,
)

if TYPE_CHECKING:
    import tensorflow as tf

EMBEDDED = "efficientnet_lite0"
STRATEGIES = ("one", "mirrored", "multi-worker")
MOST_DEVICES = 16


@dataclass(frozen=True)
class Devices:
    """Where the steps are computed. `strategy` is `None` for one device; `is_chief` where this process writes the
    results: of several that train one network together, one."""

    strategy: tf.distribute.Strategy | None = None
    is_chief: bool = True


def add_options(parser: argparse.ArgumentParser) -> None:
    """All but `--out` and `--weights`. What is not given is the preset's, and else `TrainingConfig`'s own."""
    add = parser.add_argument
    add("--data", required=True, metavar="FOLDER|ZIP|chessman", help="class folders, or the data set that comes along")
    words = f"a name from `models`, or a .keras or .h5 file (default: the preset's, or {EMBEDDED})"
    add("--backbone", metavar="M", help=words)
    add("--preset", choices=tuple(PRESETS), help="a recipe to begin with; the other options change it")
    for group, words, options in _GROUPS:
        title = parser.add_argument_group(group, words)
        for name, kind, help_text in options:
            _add(title, name, kind, help_text)
    devices = parser.add_argument_group(
        "devices", "several of them share each batch; results are those of one device, within rounding"
    )
    devices.add_argument("--strategy", choices=STRATEGIES, default="one", help="multi-worker reads TF_CONFIG")
    words = "for mirrored: how many (default: all GPUs); without GPUs, logical devices of the processor"
    devices.add_argument("--devices", type=int, metavar="N", help=words)


def backbone_of(args: argparse.Namespace) -> str:
    """The name that was given, or the preset's, or that of the network which comes along."""
    return args.backbone or (args.preset and PRESETS[args.preset].backbone) or EMBEDDED


def config_of(args: argparse.Namespace, backbone: ModelRef, out: str) -> TrainingConfig:
    """The run that the arguments ask for. Raises `UserError` for values that contradict each other."""
    config = TrainingConfig(args.data, backbone, out)
    if args.preset:
        config = presets.apply(args.preset, config)
    given = {name: getattr(args, name) for name in _FIELDS if getattr(args, name) is not None}
    config = replace(config, **given)
    changes = {name: getattr(args, name) for name in _CHANGES if getattr(args, name) is not None}
    if args.no_augmentation:
        if changes:
            option = next(iter(changes)).replace("_", "-")
            raise UserError(f"--no-augmentation and --{option} contradict each other. Leave one of them out.")
        return replace(config, augmentation=None)
    if changes:
        return replace(config, augmentation=replace(config.augmentation or Augmentation(), **changes))
    return config


def devices_of(args: argparse.Namespace) -> Devices:
    """The devices, made ready. Before TensorFlow has computed anything, since their number is settled then.

    Raises `UserError` where there are none such, or where `TF_CONFIG` does not say who is who.
    """
    if args.strategy != "mirrored" and args.devices is not None:
        raise UserError("--devices goes with --strategy mirrored. Add that, or leave --devices out.")
    if args.strategy == "one":
        return Devices()
    if args.strategy == "mirrored":
        return Devices(_mirrored(args.devices))
    is_chief = _reads_as_chief(os.environ.get("TF_CONFIG", ""))
    tf = _tensorflow()
    return Devices(tf.distribute.MultiWorkerMirroredStrategy(), is_chief)


def _mirrored(wanted: int | None) -> tf.distribute.Strategy:
    if wanted is not None and not 1 <= wanted <= MOST_DEVICES:
        raise UserError(f"--devices must lie between 1 and {MOST_DEVICES}, got {wanted}.")
    tf = _tensorflow()
    graphics = tf.config.list_physical_devices("GPU")
    if graphics:
        if wanted is not None and wanted > len(graphics):
            raise UserError(f"There are {len(graphics)} GPUs, not {wanted}. Give a smaller number with --devices.")
        return tf.distribute.MirroredStrategy([f"GPU:{place}" for place in range(wanted or len(graphics))])
    processor = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * (wanted or 1)
    tf.config.set_logical_device_configuration(processor, parts)
    return tf.distribute.MirroredStrategy([f"CPU:{place}" for place in range(len(parts))])


def _tensorflow() -> Any:
    from core import device

    device.prepare()
    return device.tf


def _reads_as_chief(text: str) -> bool:
    """Whether `TF_CONFIG` calls this process the chief; where it names none, the first worker is."""
    example = '{"cluster": {"worker": ["first:12345", "second:12345"]}, "task": {"type": "worker", "index": 0}}'
    try:
        facts = json.loads(text)
        kind, index = facts["task"]["type"], int(facts["task"]["index"])
        if not facts["cluster"][kind][index]:
            raise ValueError("no address")
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise UserError(
            f"--strategy multi-worker needs TF_CONFIG to say which machines there are and which this one is: {example}."
        ) from error
    return kind == "chief" or ("chief" not in facts["cluster"] and kind == "worker" and index == 0)


def _add(group: Any, name: str, kind: Any, help_text: str) -> None:
    option = f"--{name.replace('_', '-')}"
    if name == "own_splits":
        group.add_argument(option, action=argparse.BooleanOptionalAction, default=None, help=help_text)
    elif kind is bool:
        group.add_argument(option, action="store_true", default=None, help=help_text)
    elif isinstance(kind, tuple):
        group.add_argument(option, choices=kind, help=help_text)
    else:
        group.add_argument(option, type=kind, metavar="X" if kind is float else "N", help=help_text)


def whole(least: int) -> Callable[[str], int]:
    """A parser of whole numbers from `least` on."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = None
        if number is None or number < least:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least}, not {text!r}")
        return number

    return parse


def _sizes(text: str) -> tuple[int, ...]:
    """ "512,256"; "none" is none."""
    if text == "none":
        return ()
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = (0,)
    if min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"must be sizes such as 512,256 or none, not {text!r}")
    return sizes


_GROUPS = (
    (
        "photos",
        None,
        (
            ("size", whole(1), "side of the photos in pixels"),
            ("per_class", whole(2), "at most so many photos of each class"),
            ("validation", float, "share held back"),
            ("own_splits", bool, "use train, valid and test folders as they are, where there are such (default: yes)"),
            ("seed", whole(0), "of the split and the training"),
        ),
    ),
    (
        "augmentation",
        "random changes to each training photo",
        (
            ("no_augmentation", bool, "none at all"),
            ("flip", FLIPS, "mirrored"),
            ("rotation", float, "in turns"),
            ("zoom", float, "share of the side"),
            ("shear", float, "share of the side"),
            ("shift", float, "share of the side"),
            ("brightness", float, "share of the range"),
            ("fill_mode", FILL_MODES, "what is put where the photo ends"),
            ("variants", whole(0), "cached ones of each photo; 0 changes it anew at every step, which is slow"),
        ),
    ),
    (
        "head",
        None,
        (
            ("pooling", POOLINGS, "what becomes of the maps"),
            ("dense", _sizes, "units of the layers before the last: 512,256"),
            ("dropout", float, "share of the features hidden in each step"),
        ),
    ),
    (
        "learning",
        None,
        (
            ("epochs", whole(0), "with the backbone frozen"),
            ("batch_size", whole(1), "photos in each step"),
            ("loss", LOSSES, "what is made small"),
            ("label_smoothing", float, "of cross-entropy"),
            ("class_weights", bool, "rare classes weigh as much as frequent ones"),
            ("optimizer", OPTIMIZERS, "of the head"),
            ("learning_rate", float, "of the head"),
            ("schedule", SCHEDULES, "of the learning rate"),
            ("patience", whole(1), "epochs without improvement after which a phase ends"),
            ("from_scratch", bool, "everything learns from the first epoch on; with --weights none"),
            ("eager", bool, "without tf.function, to see what the graph is worth"),
        ),
    ),
    (
        "fine-tuning",
        "after that",
        (
            ("fine_tune_epochs", whole(0), "in which the backbone's last layers learn too"),
            ("fine_tune_share", float, "of the backbone's layers, counted from its end"),
            ("fine_tune_from", str, "or from this layer on, by its name"),
            ("fine_tune_learning_rate", float, "of the backbone"),
            ("fine_tune_optimizer", OPTIMIZERS, "of the backbone"),
        ),
    ),
)
_CHANGES = ("flip", "rotation", "zoom", "shear", "shift", "brightness", "fill_mode")
_FIELDS = tuple(
    name for _, _, options in _GROUPS for name, _, _ in options if name not in (*_CHANGES, "no_augmentation")
)
