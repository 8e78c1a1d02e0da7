"""The command line's options of a network: which one it is, and what is to be said of a person's own file."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from core import text_command
from core.backbones import answers
from core.backbones.answers import Answers
from core.backbones.catalogue import find
from core.backbones.preprocessing import PREPROCESSING
from core.errors import UserError
from core.messages import ModelRef

if TYPE_CHECKING:
    from core.backbones.backbone import Backbone

SUFFIXES = (".keras", ".h5", ".hdf5")
FILES_ONLY = ("class_names", "bands", "source", "output", "vocabulary", "padding")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="M", help="a name from `models`, or a .keras or .h5 file")
    add_weights_option(parser)
    words = "look at its layers with photos of this size, not its own"
    parser.add_argument("--photo-size", type=_size, metavar="N|HxW", help=words)
    group = add_answers(parser)
    words = "its classes' names, one a line; also taken from class_names.txt beside it"
    group.add_argument("--class-names", metavar="FILE", help=words)
    group.add_argument("--output", metavar="OUTPUT", help="which of several outputs is the prediction")
    text_command.add_answers(group)


def add_answers(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """What a person says of the photos for a network in a file that does not say it itself."""
    group = parser.add_argument_group("what a file does not say of its network")
    words = "what its pixels should be: none (0 to 255), unit (0 to 1), tf (-1 to 1), or as the families of networks "
    words += "torch, caffe and lite have them"
    group.add_argument("--preprocessing", metavar="P", help=words)
    words = "which channels get red, green and blue, where it has more than three: 3,2,1"
    group.add_argument("--bands", type=_bands, metavar="R,G,B", help=words)
    group.add_argument("--source", metavar="INPUT", help="which of several inputs gets the photo; the others are zero")
    return group


def add_weights_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights", default="imagenet", metavar="none|imagenet|FILE", help="trained weights, random ones, or a file's"
    )


def is_file(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES


def ref_of(name: str, weights: str) -> ModelRef:
    """The network of that name; a slip of the pen is told before TensorFlow has started."""
    if not is_file(name):
        find(name)
    return ModelRef(name, None if weights == "none" else weights)


def chosen(args: argparse.Namespace) -> ModelRef:
    """The network that `add_options` names, with what is said of it. Raises `UserError` where that does not go."""
    return replace(with_answers(ref_of(args.model, args.weights), args), size=args.photo_size)


def with_answers(ref: ModelRef, args: argparse.Namespace) -> ModelRef:
    """`ref` with the answers of `add_answers`."""
    if args.preprocessing is not None and args.preprocessing not in PREPROCESSING:
        raise UserError(f"--preprocessing must be one of {', '.join(PREPROCESSING)}, not {args.preprocessing}.")
    if not is_file(ref.name):
        given = [name for name in FILES_ONLY if getattr(args, name, None) is not None]
        if given:
            raise UserError(f"--{given[0].replace('_', '-')} is for a model file; {ref.name} says it itself.")
        return replace(ref, preprocessing=args.preprocessing)
    names = getattr(args, "class_names", None)
    said = Answers(
        preprocessing=args.preprocessing,
        source=args.source,
        output=getattr(args, "output", None),
        bands=args.bands,
        class_names=None if names is None else answers.read_names(Path(names), "class names"),
        vocabulary=text_command.vocabulary_of(args),
        padding=getattr(args, "padding", None),
    )
    return replace(ref, answers=answers.keep(said))


def guesses(backbone: Backbone, *, names: bool) -> Iterator[str]:
    """What the network's file does not say and nobody has said, and how to say it; of the `names` of classes only where
    they would be printed."""
    openings = backbone.openings
    if openings is None or backbone.ref.weights is None:
        return
    if backbone.reads != "text" and not openings.range_known:
        yield (
            f"Its pixels are {backbone.preprocessing.words}. Where that is wrong, so is what follows: say it with "
            "--preprocessing."
        )
    if names and not openings.names_known:
        yield "Its classes have no names in the file, only numbers: give them with --class-names."


def _size(text: str) -> tuple[int, int]:
    try:
        sides = [int(side) for side in text.lower().replace("×", "x").split("x")]
    except ValueError:
        sides = []
    if len(sides) not in (1, 2) or not all(1 <= side <= 4096 for side in sides):
        raise argparse.ArgumentTypeError(f"must be like 128 or 96x128, not {text!r}")
    return sides[0], sides[-1]


def _bands(text: str) -> tuple[int, int, int]:
    try:
        red, green, blue = (int(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be three numbers of channels such as 3,2,1, not {text!r}") from error
    return red, green, blue
