"""From a text to the numbers that a network reads, as the network's own first layer (or its vocabulary) has it.

The splitting and looking up of Keras' `TextVectorization` and `StringLookup` is done here once more, in plain Python:
so the words are known that the numbers stand for. The numbers are exactly the layer's own.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

import numpy as np

from core.backbones.vocabulary import Vocabulary
from core.errors import UserError
from core.messages import Token

MAX_CHARACTERS = 5_000
MAX_TOKENS = 1_000  # where the network itself has no limit
_MAX_WORD = 60  # characters of a word that are shown
_NAMED = 5  # words that a sentence names
_JOINERS = "\u200c\u200d"  # not printable for Python, but parts of Persian words and of emoji


@dataclass(frozen=True)
class Reading:
    """A text as the network gets it, and what had to be changed for that, in sentences."""

    tokens: tuple[Token, ...]
    notes: tuple[str, ...] = ()

    @property
    def numbers(self) -> np.ndarray:
        """`int32[1, T]`"""
        return np.array([[token.number for token in self.tokens]], np.int32)


class Reader(Protocol):
    """Splits a text and looks its pieces up."""

    def __call__(self, text: str) -> tuple[list[Token], list[str]]:
        """The tokens, and the words for which there is no number at all."""

    def words(self) -> Iterator[tuple[str, int]]:
        """Every word there is with its number, special ones left out, in the order of the numbers."""


@dataclass(frozen=True)
class Tokeniser:
    """What stands before a network that reads text. `length` is how many tokens it takes, `None` for any number from
    `shortest` on; `padding` is the number that fills a text up, `before` or after its words. A text that is too long is
    cut at the same end."""

    reader: Reader
    length: int | None = None
    shortest: int = 1
    padding: int = 0
    before: bool = False

    def __call__(self, text: str) -> tuple[Token, ...]:
        return self.read(text).tokens

    def ids(self, text: str) -> np.ndarray:
        """`int32[1, T]`"""
        return self.read(text).numbers

    def read(self, text: str) -> Reading:
        """`text` split, looked up, and cut or filled up to what the network takes; at least one token."""
        notes = []
        if len(text) > MAX_CHARACTERS:
            notes.append(f"Only the first {MAX_CHARACTERS:,} of the text's {len(text):,} characters are read.")
        tokens, without = self.reader(text[:MAX_CHARACTERS].encode("utf-8", "replace").decode())
        if without:
            notes.append(_left_out(without))
        most = self.length or MAX_TOKENS
        if len(tokens) > most:
            end, taken = ("first", tokens[-most:]) if self.before else ("last", tokens[:most])
            whose = "The network takes" if self.length else "At most this many are shown:"
            notes.append(f"{whose} {most:,} tokens; the {end} {len(tokens) - most:,} of the text are left out.")
            tokens = taken
        missing = max(self.length or self.shortest, 1) - len(tokens)
        filling = [Token("", self.padding, is_padding=True)] * missing
        return Reading(tuple(filling + tokens if self.before else tokens + filling), tuple(notes))

    def words(self, most: int | None = None) -> list[tuple[str, int]]:
        """Every word there is with its number, special ones left out; the `most` with the lowest numbers."""
        return list(islice(self.reader.words(), most))

    def alone(self, numbers: Sequence[int]) -> np.ndarray:
        """`int32[n, T]`: texts of one token each, filled up."""
        texts = np.full((len(numbers), max(self.length or self.shortest, 1)), self.padding, np.int32)
        texts[:, -1 if self.before else 0] = numbers
        return texts


@dataclass(frozen=True)
class LayersReader:
    """As `TextVectorization` and `StringLookup` do it, with their settings of the same names.

    `vocabulary` are the words from number `start` on; what is not among them gets one of the `unknown` numbers. The
    word `mask` is number 0, or nothing at all where a bag of words is made of the tokens (`masked` is `None`).
    `hashed` chooses among several unknown numbers.
    """

    standardize: str | None
    split: str | None
    ngrams: tuple[int, ...] | None
    vocabulary: tuple[str, ...]
    start: int
    unknown: range
    mask: str | None = ""
    masked: int | None = 0
    hashed: Callable[[Sequence[bytes]], Sequence[int]] | None = None
    _numbers: dict[bytes, int] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._numbers.update((word.encode(), self.start + place) for place, word in enumerate(self.vocabulary))

    def __call__(self, text: str) -> tuple[list[Token], list[str]]:
        tokens, without = [], []
        for piece in self.pieces(text.encode()):
            word, number = shown(piece.decode("utf-8", "replace")), self._numbers.get(piece)
            if self.mask is not None and piece == self.mask.encode():
                if self.masked is not None:
                    tokens.append(Token(word, self.masked, is_padding=True))
            elif number is not None:
                tokens.append(Token(word, number))
            elif self.unknown:
                tokens.append(Token(word, self._unknown(piece), known=False))
            else:
                without.append(word)
        return tokens, without

    def pieces(self, text: bytes) -> list[bytes]:
        """The layer's own tokens. Its lower case and its white space are ASCII's: TensorFlow works on bytes."""
        if self.standardize in ("lower", "lower_and_strip_punctuation"):
            text = text.lower()
        if self.standardize in ("strip_punctuation", "lower_and_strip_punctuation"):
            text = text.translate(None, string.punctuation.encode())
        pieces = [text]
        if self.split == "whitespace":
            pieces = text.split()
        elif self.split == "character":
            pieces = [sign.encode() for sign in text.decode("utf-8", "replace")]
        if self.ngrams is None:
            return pieces
        return [
            b" ".join(pieces[first : first + width])
            for width in self.ngrams
            for first in range(len(pieces) - width + 1)
        ]

    def words(self) -> Iterator[tuple[str, int]]:
        return ((shown(word), self.start + place) for place, word in enumerate(self.vocabulary))

    def _unknown(self, piece: bytes) -> int:
        return self.unknown[0] if self.hashed is None else self.unknown[0] + int(self.hashed([piece])[0])


@dataclass(frozen=True)
class ListReader:
    """By a list of words beside the network, whose own way of splitting nobody has noted.

    Each word between white space is looked up as it is written, then in small letters, then without punctuation (as
    `TextVectorization` strips it), then in the pieces between punctuation (as the older `Tokenizer` splits). What is
    not there gets the list's unknown word, or is left out where there is none, as `Tokenizer` does.
    """

    vocabulary: Vocabulary
    limit: int  # numbers from here on the network does not have

    def __call__(self, text: str) -> tuple[list[Token], list[str]]:
        begin = self.vocabulary.begin
        tokens = [] if begin is None else [Token(self.vocabulary.words[begin], begin)]
        without = []
        for word in text.split():
            for piece, number in self._look_up(word):
                if number is not None:
                    tokens.append(Token(shown(piece), number))
                elif self.vocabulary.unknown is not None:
                    tokens.append(Token(shown(piece), self.vocabulary.unknown, known=False))
                else:
                    without.append(shown(piece))
        return tokens, without

    def _look_up(self, word: str) -> list[tuple[str, int | None]]:
        small = word.lower()
        bare = small.translate(_NO_PUNCTUATION)
        for candidate in (word, small, bare):
            if self._number(candidate) is not None:
                return [(candidate, self._number(candidate))]
        pieces = [piece.strip("'") for piece in re.split(_BETWEEN, small) if piece.strip("'")]
        return [(piece, self._number(piece)) for piece in pieces]

    def _number(self, word: str) -> int | None:
        number = self.vocabulary.numbers.get(word)
        return number if number is not None and number < self.limit else None

    def words(self) -> Iterator[tuple[str, int]]:
        special = {self.vocabulary.padding, self.vocabulary.unknown, self.vocabulary.begin}
        return (
            (shown(word), number)
            for number, word in enumerate(self.vocabulary.words[: self.limit])
            if word and number not in special
        )


@dataclass(frozen=True)
class NumberReader:
    """Without any words: the person writes the numbers themselves."""

    limit: int

    def __call__(self, text: str) -> tuple[list[Token], list[str]]:
        tokens, without = [], []
        for piece in filter(None, re.split(r"[\s,;\[\]()]+", text)):
            if not re.fullmatch(r"[0-9]+", piece):  # int() takes other scripts' digits, too
                raise UserError(
                    f"This network reads numbers, and which word each stands for is not known: write numbers such as "
                    f"12 7 3 instead of {shown(piece)}, or give it its list of words."
                )
            digits = piece.lstrip("0") or "0"
            if len(digits) <= len(str(self.limit)) and int(digits) < self.limit:
                tokens.append(Token(digits, int(digits)))
            else:
                without.append(shown(piece))
        return tokens, without

    def words(self) -> Iterator[tuple[str, int]]:
        return ((str(number), number) for number in range(1, self.limit))


_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_BETWEEN = f"[{re.escape(string.punctuation.replace(chr(39), ''))}]+"


def shown(word: str) -> str:
    """`word` for people's eyes: what cannot be printed, or would turn the writing round, is a sign of its own."""
    plain = "".join(sign if sign.isprintable() or sign in _JOINERS else "\ufffd" for sign in word)
    return plain if len(plain) <= _MAX_WORD else f"{plain[: _MAX_WORD - 1]}…"


def _left_out(words: Sequence[str]) -> str:
    different = list(dict.fromkeys(words))
    named = ", ".join(different[:_NAMED]) + (" …" if len(different) > _NAMED else "")
    return f"The network has no number for {named}: left out."
