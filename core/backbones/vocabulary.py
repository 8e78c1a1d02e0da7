"""Lists of words and the conventions they follow: which numbers are no words but padding, unknown, or a beginning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

_PADDING = {"", "[pad]", "<pad>"}
_UNKNOWN = {"[unk]", "<unk>", "[oov]", "<oov>", "<unknown>"}
_BEGIN = {"<start>", "<sos>", "[start]"}
_SPECIAL = ("<pad>", "<start>", "<unk>", "<unused>")  # the numbers 0 to 3 of Keras' data sets
# The most frequent words of Keras' data sets of texts, which `get_word_index` numbers from 1.
_KERAS_DATA_SETS = {
    "IMDB reviews": ("the", "and", "a", "of", "to", "is", "br", "in"),
    "Reuters newswires": ("the", "of", "to", "in", "said", "and", "a", "mln"),
}


@dataclass(frozen=True)
class Vocabulary:
    """`words` has the word of each number. `padding`, `unknown` and `begin` (of every text) are the numbers of what is
    no word; `None` where there is none. `notes` say in sentences what was made of the list."""

    words: tuple[str, ...]
    padding: int = 0
    unknown: int | None = None
    begin: int | None = None
    notes: tuple[str, ...] = ()
    numbers: dict[str, int] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        for number, word in enumerate(self.words):
            if word:
                self.numbers.setdefault(word, number)


def of_list(words: Sequence[str], limit: int) -> Vocabulary:
    """What a list of words means for a network that knows `limit` numbers.

    The `word_index` of Keras' IMDB and Reuters data has "the" at 1, but `load_data` gives it the number 4, and 1 to the
    beginning of each text, 2 to unknown words: such a list is told by its first words. A list that begins with [UNK]
    and has one word less than the network knows has lost the empty word before it, which stands for padding.
    """
    words, notes = tuple(words), ()
    data_set = _data_set(words)
    if data_set is not None:
        words = (*_SPECIAL, *words[1:])
        notes = (
            f"The words are those of Keras' {data_set}, whose numbers its load_data moves by 3: 1 begins each text, 2 "
            "is any word that is not known.",
        )
    elif words and words[0].lower() in _UNKNOWN and len(words) < limit and not _PADDING & set(map(str.lower, words)):
        words = ("", *words)
        notes = ("The list of words begins with [UNK]: the empty word before it, number 0, was added.",)
    small = [word.lower() for word in words]
    return Vocabulary(
        words=words,
        padding=next((number for number, word in enumerate(small[:4]) if word in _PADDING), 0),
        unknown=next((number for number, word in enumerate(small) if word in _UNKNOWN), None),
        begin=next((number for number, word in enumerate(small[:4]) if word in _BEGIN), None),
        notes=notes,
    )


def _data_set(words: Sequence[str]) -> str | None:
    if not words or words[0]:
        return None
    return next((name for name, first in _KERAS_DATA_SETS.items() if tuple(words[1 : 1 + len(first)]) == first), None)
