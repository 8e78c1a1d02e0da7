"""What a recipe will do, in plain words; and what in it cannot work, or hardly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from core.backbones.catalogue import CATALOGUE, availability
from core.transfer.requests import Outline, TrainingConfig
from pages.shared.words import in_markdown, label, percent

POOLINGS = {"average": "average pooling", "max": "max pooling", "flatten": "flattened"}
MANY_NUMBERS = 60_000_000  # in the head; with Adam's own three times that, about 1 GB
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Facts:
    """What is known so far of the photos and of the network; nobody waits for it."""

    counts: tuple[int, ...] = ()  # photos of each class
    parts: tuple[tuple[int, int, int], ...] = ()  # of each class, where folders keep some for validation and test
    outline: Outline | None = None


def title_of(config: TrainingConfig) -> str:
    name = config.backbone.name
    return CATALOGUE[name].title if name in CATALOGUE else "your network"


def untrained(config: TrainingConfig) -> bool:
    return config.backbone.weights is None


# --- Numbers ---------------------------------------------------------------------------------------------------------


def features(config: TrainingConfig, maps: Sequence[int]) -> int:
    """How many numbers the head gets for each photo."""
    return math.prod(maps) if config.pooling == "flatten" else maps[-1]


def head_layers(config: TrainingConfig, maps: Sequence[int], classes: int) -> list[tuple[str, int, int]]:
    """The head's dense layers: (name, units, numbers to learn), the classes last."""
    sizes = [features(config, maps), *config.dense, classes]
    names = [*("dense, ReLU" for _ in config.dense), "softmax: the classes"]
    pairs = pairwise(sizes)
    return [(name, units, (before + 1) * units) for name, (before, units) in zip(names, pairs, strict=True)]


def head_numbers(config: TrainingConfig, maps: Sequence[int], classes: int) -> int:
    return sum(numbers for *_, numbers in head_layers(config, maps, classes))


def fine_tuned(config: TrainingConfig, outline: Outline) -> tuple[str, int] | None:
    """The first layer that fine-tuning changes, and how many numbers learn from there on; BatchNorms do not.

    It counts as `core.transfer.classifier.unfreeze` does.
    """
    names = [name for name, *_ in outline.layers]
    if not names:
        return None
    if config.fine_tune_from is not None:
        if config.fine_tune_from not in names:
            return None
        first = names.index(config.fine_tune_from)
    else:
        first = len(names) - max(1, round(config.fine_tune_share * len(names)))
    learning = [(name, numbers) for name, numbers, is_norm in outline.layers[first:] if not is_norm]
    return (learning[0][0], sum(numbers for _, numbers in learning)) if learning else None


def training_photos(config: TrainingConfig, facts: Facts) -> int:
    """About how many there are to learn from."""
    if not (facts.parts and config.own_splits):
        return sum(_drawn(config, count) for count in facts.counts)
    held_back = any(validation for _, validation, _ in facts.parts)
    photos = [training for training, _, _ in facts.parts]
    return sum(min(count, config.per_class or count) if held_back else _drawn(config, count) for count in photos)


def _drawn(config: TrainingConfig, count: int) -> int:
    """Of `count` photos, those that are left when some are held back at random."""
    taken = min(count, config.per_class or count)
    return taken - max(1, round(taken * config.validation))


# --- Sentences -------------------------------------------------------------------------------------------------------


def summary(config: TrainingConfig, facts: Facts) -> str:
    """One paragraph of Markdown."""
    return " ".join([_what(config, facts), _how(config), *_afterwards(config, facts)])


def _what(config: TrainingConfig, facts: Facts) -> str:
    outline = facts.outline if facts.outline and facts.outline.maps else None
    photos = f"{training_photos(config, facts):,} photos" if facts.counts else "Your photos"
    classes = f"{len(facts.counts)} classes" if facts.counts else "its classes"
    state = "untrained" if untrained(config) else "frozen"
    if config.from_scratch:
        state = "untrained, all of it learns"
    parts = [
        f"{photos} of {config.size} × {config.size} pixels",
        f"**{in_markdown(label(title_of(config)))}**, {state}",
        POOLINGS[config.pooling] + (f" to {features(config, outline.maps):,} numbers" if outline else ""),
        *(f"{units} units" for units in config.dense),
        f"**{classes}**",
    ]
    return " → ".join(parts) + _numbers(config, outline, len(facts.counts)) + "."


def _numbers(config: TrainingConfig, outline: Outline | None, classes: int) -> str:
    if outline is None or not classes:
        return ""
    learned = head_numbers(config, outline.maps, classes)
    if config.from_scratch:
        learned += sum(numbers for _, numbers, _ in outline.layers)
    return f": **{learned:,} numbers** to learn"


def _how(config: TrainingConfig) -> str:
    times = f"{config.epochs} times" if config.epochs > 1 else "once"
    if config.augmentation is None:
        return f"Each photo is learned from {times}, always as it is."
    if config.from_scratch or not config.variants:
        return f"Each photo is learned from {times}, changed a little each time."
    return f"Each photo is looked at in {config.variants} variants, and all of them are learned from {times}."


def _afterwards(config: TrainingConfig, facts: Facts) -> list[str]:
    said = []
    if config.fine_tune_epochs:
        found = fine_tuned(config, facts.outline) if facts.outline else None
        where = (
            f"from the layer {in_markdown(label(config.fine_tune_from))} on"
            if config.fine_tune_from
            else f"the last {percent(config.fine_tune_share)} of its layers"
        )
        count = f" ({found[1]:,} numbers)" if found else ""
        epochs = "1 epoch" if config.fine_tune_epochs == 1 else f"{config.fine_tune_epochs} epochs"
        said.append(f"Then the network itself, {where}{count}, learns gently for {epochs} more.")
    if config.eager:
        said.append("It all runs eagerly, without a graph: slowly.")
    return said


def weights_missing(config: TrainingConfig) -> str | None:
    """Whether the network's weights are not here, and what that means."""
    entry = CATALOGUE.get(config.backbone.name)
    if entry is None or config.from_scratch or availability(entry) != "download":
        return None
    size = f"{entry.download_bytes / MEGABYTE:.0f} MB"
    if untrained(config):
        return (
            f"{entry.title}'s trained weights are not on this machine, so it is taken untrained here: its frozen "
            f"layers know nothing and little will be learned. With internet, choose *trained* in the sidebar; about "
            f"{size} are downloaded once."
        )
    return (
        f"{entry.title}'s weights are not on this machine: about {size} must be downloaded before the training can "
        "begin."
    )


def problems(config: TrainingConfig, facts: Facts) -> list[str]:
    """What cannot work, each in one sentence."""
    outline, said = facts.outline, []
    if outline is not None and outline.problem:
        said.append(outline.problem)
    elif outline is not None and config.fine_tune_epochs and config.fine_tune_from and not fine_tuned(config, outline):
        said.append(f"The network has no layer {config.fine_tune_from} with numbers to learn: choose another one.")
    return said


def cautions(config: TrainingConfig, facts: Facts) -> list[str]:
    """What will work, but hardly as it is meant; each in one sentence."""
    said = []
    photos = training_photos(config, facts)
    looked_at = photos * (config.variants if config.augmentation and not config.from_scratch else 1)
    if facts.counts and config.batch_size > max(1, looked_at):
        said.append(
            f"A batch of {config.batch_size} holds more than all {looked_at} pictures: each epoch is one single step. "
            "Choose a smaller batch."
        )
    if facts.outline and facts.outline.maps and facts.counts:
        numbers = head_numbers(config, facts.outline.maps, len(facts.counts))
        if numbers > MANY_NUMBERS:
            said.append(
                f"The head alone has {numbers / 1e6:,.0f} million numbers, which may not fit into memory: choose a "
                "smaller photo size, average pooling or fewer units."
            )
    if untrained(config) and not config.from_scratch and weights_missing(config) is None:
        said.append(
            "The network is untrained *and* frozen: its features are those of chance. Choose *trained* in the sidebar, "
            "or the recipe *From scratch*."
        )
    return said
