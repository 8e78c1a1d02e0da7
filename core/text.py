"""Networks that read text: what they answer, layer by layer, and which words matter for that."""

from __future__ import annotations

from collections.abc import Iterator

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


def favourites(request: FavouriteWordsRequest) -> Iterator[Progress | FavouriteWords]:
    """Which words, each alone, a unit answers to most and least; the last item is the `FavouriteWords`.

    Of a layer with steps those count that stand on the word. The words with the lowest numbers, the most frequent ones
    as a rule, are tried first.
    """
    backbone = load(request.model)
    scores, tokeniser = _scores(backbone, request.layer, request.unit), backbone.tokeniser
    words = tokeniser.words(request.most)
    if not words:
        raise UserError(f"Which words {backbone.title} knows is not known: give it its list of words.")
    numbers = np.array([tokeniser.padding, *(number for _, number in words)], np.int32)
    length = tokeniser.alone([0]).shape[1]
    counted = scores.counted(length, (tokeniser.alone([1]) == 1)[0].tolist())
    values = np.zeros(len(numbers), np.float32)
    for rows in scores.batches(len(numbers), length):
        yield Progress(f"Trying {len(words):,} words", rows.start / len(numbers))
        values[rows] = scores.values(tokeniser.alone(numbers[rows]), counted)[:, request.unit]
    without, values = float(values[0]), values[1:]

    def first(order: np.ndarray) -> tuple[tuple[str, float], ...]:
        return tuple((words[place][0], float(values[place])) for place in order[: max(request.top, 0)])

    yield FavouriteWords(
        highest=first(np.argsort(-values, kind="stable")),
        lowest=first(np.argsort(values, kind="stable")),
        tried=len(words),
        without=without,
    )


def _scores(backbone: Backbone, layer: str | None, unit: int) -> Scores:
    if layer is None:
        activations.class_activation(backbone)
        return Scores(backbone)
    units = backbone.layer(layer).channels or 0
    if not 0 <= unit < units:
        raise UserError(f"Layer {layer} has {units} units, numbered from 0: there is no unit {unit}.")
    return Scores(backbone, layer)
