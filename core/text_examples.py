"""Example texts for a network that reads text, made of its own words: a person need not guess what it knows."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from core import text_network
from core.backbones import classes
from core.backbones.backbone import Backbone
from core.messages import ModelRef

MOST_WORDS = 512  # tried: the first of the vocabulary, which are the most frequent ones where it was counted
MOST_CLASSES = 4
WORDS = 5  # of an example
_BATCH = 64


@lru_cache(maxsize=32)
def examples(model: ModelRef) -> tuple[str, ...]:
    """A few short texts: one of words for different classes, and for each of the first classes its favourite words.

    Where the network tells no classes, or no word can be found for them, it is the first words of the vocabulary.
    Raises `UserError` for a network that reads no text.
    """
    backbone = text_network.load(model)
    words = _plain_words(backbone)
    if not words:
        return ()
    if classes.activation_of(backbone.model) is None:
        return tuple(_written(backbone, [word for word, _ in words[:WORDS]]))
    favourites = _favourites(backbone, words)
    mixed = list(
        dict.fromkeys(word for pair in zip(*(each[:2] for each in favourites[:2]), strict=True) for word in pair)
    )
    texts = [_written(backbone, each) for each in (mixed, *favourites)]
    return tuple(dict.fromkeys(found for each in texts for found in each))


def _plain_words(backbone: Backbone) -> list[tuple[str, int]]:
    """Words of letters or digits, without the pairs of words that some vocabularies have."""
    words = backbone.tokeniser.words()
    return [(word, number) for word, number in words if word.replace("'", "").isalnum()][:MOST_WORDS]


def _favourites(backbone: Backbone, words: list[tuple[str, int]]) -> list[list[str]]:
    """For each of the first classes the words that, each alone, make it most probable."""
    numbers = [number for _, number in words]
    outputs = [
        text_network.run(backbone, backbone.tokeniser.alone(numbers[start : start + _BATCH]))[0]
        for start in range(0, len(numbers), _BATCH)
    ]
    found = np.nan_to_num(text_network.probabilities(backbone, np.concatenate(outputs)))
    return [
        [words[place][0] for place in np.argsort(-found[:, index], kind="stable")[:WORDS]]
        for index in range(min(found.shape[1], MOST_CLASSES))
    ]


def _written(backbone: Backbone, words: list[str]) -> list[str]:
    """`words` as one text, as the network splits it: with spaces between them, or none where it reads letters."""
    for between in (" ", ""):
        written = between.join(words)
        read = [token for token in backbone.tokeniser(written) if not token.is_padding]
        if read and all(token.known for token in read):
            return [written]
    return []
