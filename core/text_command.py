"""The command line's part on networks that read text: a text takes the photo's place."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core import images, storage
from core.backbones import answers
from core.errors import UserError
from core.messages import TextRequest, WordSaliencyRequest

if TYPE_CHECKING:
    from core.backbones.backbone import Backbone
    from core.messages import TextAnswer

Note = Callable[[str], None]


def add_input(parser: argparse.ArgumentParser) -> None:
    """The photo or, in its place, the text."""
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--image", metavar="FILE", help="a photo, or the name of a sample such as cat")
    group.add_argument("--text", metavar="WORDS", help="a text, for a network that reads text")


def add_answers(group: argparse._ArgumentGroup) -> None:
    """What a person says of a network that reads the numbers of words."""
    words = (
        "the word of each number, one a line or as JSON; also taken from vocabulary.txt or word_index.json beside it"
    )
    group.add_argument("--vocabulary", metavar="FILE", help=words)
    words = "where a short text is filled up (default: before its words)"
    group.add_argument("--padding", choices=("before", "after"), help=words)


def vocabulary_of(args: argparse.Namespace) -> tuple[str, ...] | None:
    """Raises `UserError` where the file is no list of words."""
    file = getattr(args, "vocabulary", None)
    return None if file is None else answers.read_names(Path(file), "words")


def check(backbone: Backbone, args: argparse.Namespace) -> None:
    """Raises `UserError` where the network does not read what it is given."""
    text = getattr(args, "text", None)
    if backbone.reads != "text" and text is not None:
        raise UserError(f"{backbone.title} reads photos, not text: give it a photo with --image instead of --text.")
    if backbone.reads == "text" and text is None:
        other = (
            "give it a text with --text instead of --image"
            if hasattr(args, "text")
            else "this command is for networks that read photos"
        )
        raise UserError(f"{backbone.title} reads text, not photos: {other}.")


def predict(backbone: Backbone, args: argparse.Namespace, note: Note) -> tuple[tuple[str, ...], Any]:
    """The most probable classes, in lines and as data."""
    found = _answer(backbone, TextRequest(backbone.ref, args.text, top=args.top), note)
    if not found.predictions:
        raise UserError(f"{backbone.title} does not end in a list of classes, so it makes no predictions.")
    rows = [asdict(each) for each in found.predictions]
    return tuple(f"{each.probability:7.2%}  {each.name} ({each.index})" for each in found.predictions), rows


def save_activations(
    backbone: Backbone, args: argparse.Namespace, out: Path, note: Note, picture: Callable[[np.ndarray], np.ndarray]
) -> tuple[str, ...]:
    """A layer's answer as .npz, .csv and .png; `picture` draws what has no steps."""
    from core import plots, text_files

    layer = args.layer
    found = _answer(backbone, TextRequest(backbone.ref, args.text, (layer,)), note)
    values, spans = found.values[layer], found.steps.get(layer)
    facts: dict[str, Any] = {"activations": values, "words": np.array([token.word for token in found.tokens], str)}
    facts["numbers"] = np.array([token.number for token in found.tokens], np.int32)
    if spans is not None:
        facts["steps"] = np.array(spans, np.int32)
    table = drawn = None
    if values.ndim == 2:
        steps = plots.steps_of(found.tokens, spans, len(values))
        steps = steps or plots.steps_of(found.tokens, spans, len(values), padding=True)
        table, drawn = text_files.heatmap_csv(values, steps), text_files.heatmap_png(values, steps)
    else:
        drawn = images.encode_png(picture(values))
        table = text_files.units_csv(values) if values.ndim == 1 else None
    stem = layer.replace("/", ".")
    numbers = out / f"{stem}.npz"
    storage.write_atomically(numbers, lambda path: np.savez(path, **facts), needs=values.nbytes)
    files = [numbers]
    for suffix, data in ((".csv", table), (".png", drawn)):
        if data is not None:
            files.append(out / f"{stem}{suffix}")
            storage.write_bytes(files[-1], data)
    return tuple(str(file) for file in files)


def save_why(backbone: Backbone, args: argparse.Namespace, out: Path | None, note: Note) -> tuple[str, ...]:
    """Each word with both of its numbers, also as .csv where there is a folder for it."""
    from core import activations, text, text_files

    if args.layer is not None:
        raise UserError("--layer is for photos: which words matter is asked of the whole network.")
    found = text.saliency(WordSaliencyRequest(backbone.ref, args.text, args.target))
    target = args.target
    reading = _answer(backbone, TextRequest(backbone.ref, args.text, top=1), note)
    if target is None:
        target = reading.predictions[0].index
    name = activations.class_name(backbone, target)
    words = [
        (token.word if token.known else f"{token.word} (not known)", float(gradient), float(without))
        for token, gradient, without in zip(found.tokens, found.gradient, found.without, strict=True)
        if not token.is_padding
    ]
    width = max([4, *(len(word) for word, _, _ in words)])
    lines = [
        f"{name} ({target}): {found.probability:.2%}, score {found.score:.3f}",
        f"{'word':{width}}  adds to the score  gradient × embedding",
        *(f"{word:{width}}  {without:+17.3f}  {gradient:+20.3f}" for word, gradient, without in words),
    ]
    if out is not None:
        file = out / f"why_text_{target}.csv"
        storage.write_bytes(file, text_files.saliency_csv(found, name))
        lines.append(str(file))
    return tuple(lines)


def _answer(backbone: Backbone, request: TextRequest, note: Note) -> TextAnswer:
    from core import text

    found = text.answer(request)
    for words in found.notes:
        note(words)
    return found
