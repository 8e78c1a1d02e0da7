"""What a person says about a network that its file does not say.

Answers are kept under their digest, so that a `ModelRef` carries them by a short name, and two references are equal
only where the answers are.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from core import storage
from core.archives import clean
from core.backbones.preprocessing import PREPROCESSING
from core.errors import UserError
from core.messages import digest_of

CLASS_FILES = ("class_names.txt", "class_names.json", "labels.txt", "class_names.csv")
VOCABULARY_FILES = ("vocabulary.txt", "vocab.txt", "word_index.json", "vocabulary.json")
MAX_TEXT_BYTES = 16 * 1024**2
MAX_NAMES = 200_000
MAX_NAME = 200  # characters
_FOLDER = "answers"


@dataclass(frozen=True)
class Answers:
    """All of it may be left open.

    `preprocessing` is a key of `PREPROCESSING`. `source` names the input that gets the photo (or the text), `output`
    the layer or output that is the prediction. `bands` are the channels of an input of more than three that get red,
    green and blue; the others are zero. `vocabulary` is the word of each token's number, from 0. `padding` says where a
    text that is too short is filled with zeros: "before" or "after". `title` is what the network is called, where its
    file has lost its name.
    """

    preprocessing: str | None = None
    source: str | None = None
    output: str | None = None
    bands: tuple[int, int, int] | None = None
    class_names: tuple[str, ...] | None = None
    vocabulary: tuple[str, ...] | None = None
    padding: str | None = None
    title: str | None = None

    def over(self, others: Answers) -> Answers:
        """These, and those of `others` where these say nothing."""
        own, theirs = vars(self), vars(others)
        return Answers(**{name: theirs[name] if own[name] is None else own[name] for name in own})


NONE = Answers()


@dataclass(frozen=True)
class Beside(Answers):
    """What files beside the model's say; `notes` are sentences about those that say nothing."""

    notes: tuple[str, ...] = ()


NOTHING_BESIDE = Beside()


def keep(answers: Answers) -> str | None:
    """Keep `answers` on disk and return their name for `ModelRef.answers`; `None` where nothing is answered."""
    if answers == NONE:
        return None
    data = json.dumps(asdict(answers), ensure_ascii=False).encode()
    name = digest_of(data)
    path = storage.folder(_FOLDER) / f"{name}.json"
    if not path.is_file() or path.stat().st_size != len(data):
        storage.write_bytes(path, data)
    return name


def read(name: str | None) -> Answers:
    """The answers that were kept under `name`. Raises `UserError` where they are gone."""
    if name is None:
        return NONE
    path = storage.folder(_FOLDER) / f"{name}.json"
    try:
        if not re.fullmatch(r"[0-9a-f]{24}", name):
            raise ValueError
        data = path.read_bytes()
        if digest_of(data) != name:  # damaged
            raise ValueError
        return checked(json.loads(data))
    except (OSError, ValueError) as error:
        raise UserError(
            "What was said about this network (its class names, its pixels) is no longer on this machine: say it again."
        ) from error


def checked(values: dict[str, Any]) -> Answers:
    """`Answers` of what JSON can say. Raises `UserError` for what is no answer."""
    lists = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    answers = Answers(**{field.name: lists.get(field.name) for field in fields(Answers)})
    if answers.preprocessing is not None and answers.preprocessing not in PREPROCESSING:
        raise UserError(
            f"There is no preprocessing named {answers.preprocessing!r}. There are: {', '.join(PREPROCESSING)}."
        )
    if answers.padding not in (None, "before", "after"):
        raise UserError("A short text is filled up either before or after its words.")
    return answers


def names_in(text: str, *, what: str = "class names") -> tuple[str, ...]:
    """The names in a pasted list or a file: one a line, a JSON list, or JSON that maps names to numbers or numbers to
    names; of a line `3,cat`, `3 cat` or `3: cat` with running numbers the name is taken.

    Raises `UserError` where there are none, too many, or a JSON that says something else.
    """
    text = text.removeprefix("\ufeff")
    text = text.rstrip() if what == "words" else text.strip()  # the first of Keras' words is empty
    if len(text) > MAX_TEXT_BYTES:
        raise UserError(f"The list of {what} is longer than {MAX_TEXT_BYTES // 1024**2} MB.")
    names = _from_json(text, what) if _is_json(text) else _from_lines(text)
    if not any(names):
        raise UserError(f"There are no {what} in the list: write one a line.")
    if len(names) > MAX_NAMES:
        raise UserError(f"The list has {len(names):,} {what}; up to {MAX_NAMES:,} can be used.")
    return tuple(_plain(name) for name in names)


def beside(path: Path) -> Beside:
    """Class names and a vocabulary in files beside the model's: `class_names.txt`, `labels.txt`, `vocabulary.txt`...

    Nobody has named these files: one that cannot be used is passed over, and said so.
    """
    names, unused = _first_list(path, CLASS_FILES, "class names")
    words, unused_too = _first_list(path, VOCABULARY_FILES, "words")
    return Beside(class_names=names, vocabulary=words, notes=(*unused, *unused_too))


def _first_list(path: Path, names: tuple[str, ...], what: str) -> tuple[tuple[str, ...] | None, list[str]]:
    notes: list[str] = []
    for candidate in (*(path.with_name(f"{path.stem}.{name}") for name in names), *map(path.with_name, names)):
        try:
            if os.path.isfile(candidate):  # noqa: PTH113 -- also where the name is longer than a file may have
                return _read_names(candidate, what), notes
        except UserError as error:
            notes.append(f"The list of {what} beside the file, “{_plain(candidate.name)}”, was passed over: {error}")
    return None, notes


def read_names(path: Path, what: str) -> tuple[str, ...]:
    """`names_in` the file at `path`. Raises `UserError` where it cannot be read, or is no text."""
    try:
        return _read_names(path, what)
    except UserError as error:
        raise UserError(f"{clean(path.name)} cannot be read as {what}: {error}") from error


def _read_names(path: Path, what: str) -> tuple[str, ...]:
    try:
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise UserError(f"it is larger than {MAX_TEXT_BYTES // 1024**2} MB.")
        return names_in(path.read_text("utf-8-sig"), what=what)
    except UnicodeDecodeError as error:
        raise UserError("it must be text in UTF-8.") from error
    except OSError as error:
        raise UserError(f"{error.strerror}.") from error


def _is_json(text: str) -> bool:
    """A list of words, one a line, may begin with [UNK]."""
    return re.match(r"\s*(\{|\[(?!\s*[A-Za-z]))", text) is not None


def _from_json(text: str, what: str) -> list[str]:
    try:
        parsed = json.loads(text)
        if isinstance(parsed, list) and all(isinstance(name, str) for name in parsed):
            return parsed
        if isinstance(parsed, dict) and all(isinstance(number, int) for number in parsed.values()):
            return _by_number({number: name for name, number in parsed.items()})
        if isinstance(parsed, dict) and all(isinstance(name, str) for name in parsed.values()):
            return _by_number({int(number): name for number, name in parsed.items()})
    except UserError:
        raise
    except (ValueError, RecursionError) as error:
        raise UserError(f"The list of {what} looks like JSON but cannot be read as such.") from error
    raise UserError(f"The list of {what} must be a JSON list of names, or map names to numbers.")


def _by_number(names: dict[int, str]) -> list[str]:
    if names and (min(names) < 0 or max(names) >= MAX_NAMES):
        raise UserError(f"The numbers of the names must lie between 0 and {MAX_NAMES:,}.")
    return [names.get(number, "") for number in range(max(names, default=-1) + 1)]


def _from_lines(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines()]
    numbered = [re.fullmatch(r"(\d{1,9})\s*[,;:\t ]\s*(.+)", line) for line in lines]
    if len(lines) > 1 and all(numbered):
        numbers = [int(found[1]) for found in numbered]
        if numbers == list(range(numbers[0], numbers[0] + len(numbers))) and numbers[0] in (0, 1):
            return [found[2] for found in numbered]
    return lines


def _plain(name: str) -> str:
    return "".join(sign for sign in name if sign.isprintable())[:MAX_NAME]
