"""Networks that read text: what they answer, layer by layer, and which words matter for that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from core import activations
from core.backbones import classes
from core.backbones.backbone import Backbone
from core.errors import UserError
from core.messages import (
    FavouriteWords,
    FavouriteWordsRequest,
    Prediction,
    Progress,
    TextAnswer,
    TextRequest,
    WordSaliency,
    WordSaliencyRequest,
)
from core.text_network import Scores, load, probabilities, run, spans


def answer(request: TextRequest) -> TextAnswer:
    """The most probable classes for the text, and the answers of the layers asked for.

    Raises `UserError` for a network that reads no text and for a layer that is not there.
    """
    backbone = load(request.model)
    reading = backbone.tokeniser.read(request.text)
    layers = tuple(dict.fromkeys(request.layers))
    output, *found = run(backbone, reading.numbers, layers)
    values = {layer: value[0] for layer, value in zip(layers, found, strict=True)}
    stands_on = spans(backbone, layers, len(reading.tokens))
    return TextAnswer(
        tokens=reading.tokens,
        predictions=_predictions(backbone, output, request.top),
        values=values,
        steps={
            layer: pairs if pairs is not None and len(pairs) == len(values[layer]) else None
            for layer, pairs in stands_on.items()
        },
        origin=backbone.origin,
        notes=reading.notes,
    )


def _predictions(backbone: Backbone, output: np.ndarray, top: int) -> tuple[Prediction, ...]:
    if classes.activation_of(backbone.model) is None:
        return ()
    found = probabilities(backbone, output)[0]
    best = np.argsort(-found, kind="stable")[: max(top, 0)]
    return tuple(
        Prediction(int(index), activations.class_name(backbone, int(index)), float(found[index])) for index in best
    )


def saliency(request: WordSaliencyRequest) -> WordSaliency:
    """How much each word matters for a class's logit (by default the most probable class's), or for a unit.

    Gradient × input at the embedding (Denil et al., *Extraction of Salient Sentences from Labelled Documents*, 2014),
    which is exact for what is linear in the word; and leaving each word out in turn (Li, Monroe and Jurafsky,
    *Understanding Neural Networks through Representation Erasure*, 2016), which always tells what really happens. Of a
    layer with steps those count that stand on some word, not on padding alone.
    """
    backbone = load(request.model)
    scores = _scores(backbone, request.layer, request.unit)
    tokens = backbone.tokeniser.read(request.text).tokens
    words = np.array([not token.is_padding for token in tokens])
    text = np.array([token.number for token in tokens], np.int32)
    counted = scores.counted(len(tokens), words.tolist())
    texts = np.repeat(text[None], 1 + words.sum(), axis=0)
    texts[1 + np.arange(words.sum()), np.flatnonzero(words)] = backbone.tokeniser.padding
    values = np.concatenate([scores.values(texts[rows], counted) for rows in scores.batches(*texts.shape)])
    index, probability = request.unit, None
    if request.layer is None:
        index = int(values[0].argmax()) if request.target is None else request.target
        activations.check_class(backbone, index)
        probability = float(activations.probabilities_of(backbone, values[:1])[0, index])
    without = np.zeros(len(tokens), np.float32)
    without[words] = values[0, index] - values[1:, index]
    return WordSaliency(
        tokens=tokens,
        score=float(values[0, index]),
        gradient=scores.slopes(text[None], counted, index),
        without=without,
        probability=probability,
    )


def favourites(request: FavouriteWordsRequest) -> Iterator[Progress | tuple[FavouriteWords, ...]]:
    """Which words, each alone, each unit answers to most and least; the last item has a `FavouriteWords` for each.

    Of a layer with steps those count that stand on the word. The words with the lowest numbers, the most frequent ones
    as a rule, are tried first. Of all that is computed only the best so far are kept.
    """
    backbone = load(request.model)
    scores, tokeniser = _scores(backbone, request.layer, 0), backbone.tokeniser
    words = tokeniser.words(request.most)
    if not words:
        raise UserError(f"Which words {backbone.title} knows is not known: give it its list of words.")
    numbers = np.array([number for _, number in words], np.int32)
    length = tokeniser.alone([0]).shape[1]
    counted = scores.counted(length, (tokeniser.alone([1]) == 1)[0].tolist())
    (without,) = scores.values(tokeniser.alone([tokeniser.padding]), counted)
    highest = lowest = Extremes.none(len(without))
    for rows in scores.batches(len(words), length):
        yield Progress(f"Trying {len(words):,} words", rows.start / len(words))
        values = scores.values(tokeniser.alone(numbers[rows]), counted)
        highest = highest.among(values, rows.start, request.top)
        lowest = lowest.among(-values, rows.start, request.top)
    names = [word for word, _ in words]
    yield tuple(
        FavouriteWords(highest.of(unit, names), lowest.of(unit, names, sign=-1), len(words), float(without[unit]))
        for unit in range(len(without))
    )


@dataclass(frozen=True)
class Extremes:
    """The greatest values of each unit so far, the greatest first, `float32[U, k]`, and which words gave them."""

    values: np.ndarray
    places: np.ndarray

    @classmethod
    def none(cls, units: int) -> Extremes:
        return cls(np.zeros((units, 0), np.float32), np.zeros((units, 0), np.int32))

    def among(self, values: np.ndarray, first: int, top: int) -> Extremes:
        """With those of further words, `float32[n, U]`, counted from `first`; of equal ones the first word's counts."""
        values = np.concatenate([self.values, values.T], axis=1)
        new = np.arange(first, first + values.shape[1] - self.places.shape[1], dtype=np.int32)
        places = np.concatenate([self.places, np.broadcast_to(new, (len(values), len(new)))], axis=1)
        order = np.argsort(-values, axis=1, kind="stable")[:, : max(top, 0)]
        return Extremes(np.take_along_axis(values, order, 1), np.take_along_axis(places, order, 1))

    def of(self, unit: int, names: Sequence[str], sign: int = 1) -> tuple[tuple[str, float], ...]:
        pairs = zip(self.places[unit].tolist(), self.values[unit].tolist(), strict=True)
        return tuple((names[place], sign * value) for place, value in pairs)


def _scores(backbone: Backbone, layer: str | None, unit: int) -> Scores:
    if layer is None:
        activations.class_activation(backbone)
        return Scores(backbone)
    units = backbone.layer(layer).channels or 0
    if not 0 <= unit < units:
        raise UserError(f"Layer {layer} has {units} units, numbered from 0: there is no unit {unit}.")
    return Scores(backbone, layer)
