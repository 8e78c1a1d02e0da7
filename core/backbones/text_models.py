"""What makes a network one that reads text, and the part of it that computes with numbers.

Strings go into `TextVectorization` or `StringLookup`, or the numbers of words go into an `Embedding` right away. The
flat model that is made here begins behind the splitting and looking up, which a `Tokeniser` does beforehand: what comes
before it cannot be shown or differentiated, and what comes after takes `int32[B, T]`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from core.backbones import graph, steps, vocabulary
from core.backbones.answers import NONE, Answers
from core.backbones.tokens import LayersReader, ListReader, NumberReader, Reader, Tokeniser
from core.errors import UserError

_LOOKUPS = (keras.layers.TextVectorization, keras.layers.StringLookup)
_PASSING_ON = {"Cast", "Identity", "Dropout"}
_NO_WORD = -1  # what fills up a text of which only the words it has are counted


@dataclass(frozen=True)
class ReadsText:
    """`flat` computes what the model does for the numbers of tokens, `int32[B, T]`, which `tokeniser` makes of a text.

    `words` is how many different numbers it knows; `words_known` whether it is known which words they stand for.
    `inputs` are the names of all its inputs, where it has several.
    """

    flat: keras.Model
    tensors: dict[str, Any]
    tokeniser: Tokeniser
    words: int
    words_known: bool
    inputs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def understand_text(model: keras.Model, answers: Answers = NONE, *, rename: bool = False) -> ReadsText | None:
    """What there is to know of a network that reads text; `None` where `model` reads something else.

    Where it has a photo's input too, text is what it reads if `answers.source` says so. Its other inputs are set to
    zero. Raises `UserError` where it reads text in a way that cannot be followed.
    """
    functional = graph.functional_of(model)
    if functional is None:
        return None
    source = _source(functional, answers)
    if source is None:
        return None
    first = list(_first_layers(functional, source))
    lookups = [layer for layer in first if isinstance(layer, _LOOKUPS)]
    if lookups:
        found = _of_strings(source, lookups, answers)
    else:
        found = _of_numbers(source, [layer for layer in first if isinstance(layer, keras.layers.Embedding)], answers)
    flat, tensors = graph.flatten(
        model,
        rename=rename,
        entrance=lambda functional: _entrance(functional, source, found.length),
        stand_in=lambda operation: found.stand_ins.get(id(operation), operation),
    )
    others = tuple(_name(each) for each in functional.inputs if each is not source)
    notes = list(found.notes)
    if others:
        notes.append(f"The text goes into {_name(source)}; {', '.join(others)} {_is(others)} set to zero.")
    is_bag = found.padding == _NO_WORD
    return ReadsText(
        flat=flat,
        tensors={name: tensor for name, tensor in tensors.items() if "float" in tensor.dtype},
        tokeniser=Tokeniser(
            reader=found.reader,
            length=found.length,
            shortest=1 if found.length or is_bag else steps.shortest(flat),
            padding=found.padding,
            before=found.before,
        ),
        words=found.words,
        words_known=found.words_known,
        inputs=tuple(_name(each) for each in functional.inputs) if others else (),
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _Found:
    """How one input becomes numbers. `stand_ins` are called in the place of the layers with these `id`s."""

    reader: Reader
    length: int | None
    words: int
    words_known: bool
    stand_ins: dict[int, Any]
    padding: int = 0
    before: bool = False
    notes: tuple[str, ...] = ()


# --- Which input -----------------------------------------------------------------------------------------------------


def _source(functional: Any, answers: Answers) -> Any | None:
    """The input that text goes into, the longest of several."""
    textual = [source for source in functional.inputs if _is_textual(functional, source)]
    if answers.source is not None:
        return next((source for source in textual if _name(source) == answers.source), None)
    if not textual or any(len(source.shape) == 4 for source in functional.inputs):
        return None
    lengths = [_STRING if source.dtype == "string" else _length(source) or _STRING for source in textual]
    return textual[lengths.index(max(lengths))]


_STRING = 1 << 30  # longer than any number of steps


def _is_textual(functional: Any, source: Any) -> bool:
    layers = list(_first_layers(functional, source))
    is_read = any(isinstance(layer, (*_LOOKUPS, keras.layers.Embedding)) for layer in layers)
    if source.dtype == "string" and not is_read:
        kinds = ", ".join(dict.fromkeys(type(layer).__name__ for layer in layers))
        raise UserError(
            f"The network takes text into {kinds or 'nothing'}: only networks that begin with TextVectorization, with "
            "StringLookup, or with the numbers of words, can be looked into."
        )
    return is_read and len(source.shape) <= 2


def _first_layers(functional: Any, source: Any) -> Iterator[Any]:
    """What computes with the input `source` first, in nested models too."""
    for node in graph.in_order(functional):
        places = [place for place, tensor in enumerate(node.input_tensors) if tensor is source]
        nested = graph.functional_of(node.operation) if places else None
        if nested is not None:
            yield from (layer for place in places for layer in _first_layers(nested, nested.inputs[place]))
        elif places and type(node.operation).__name__ in _PASSING_ON:
            yield from (layer for output in node.outputs for layer in _first_layers(functional, output))
        elif places:
            yield node.operation


def _length(source: Any) -> int | None:
    return source.shape[1] if len(source.shape) == 2 else 1


def _name(source: Any) -> str:
    return source._keras_history.operation.name


def _is(names: tuple[str, ...]) -> str:
    return "is" if len(names) == 1 else "are"


class Zeros(keras.layers.Layer):
    """Zeros (or empty strings) of `shape`, as many as there are texts."""

    def __init__(self, shape: tuple[int, ...], dtype: str, name: str):
        super().__init__(name=name)
        self._zeros, self._kind = shape, dtype

    def call(self, texts: Any) -> Any:
        return tf.zeros((tf.shape(texts)[0], *self._zeros), self._kind)

    def compute_output_spec(self, texts: Any) -> Any:
        return keras.KerasTensor((texts.shape[0], *self._zeros), self._kind)


def _entrance(functional: Any, source: Any, length: int | None) -> tuple[Any, list[Any]]:
    tokens = keras.Input((length,), dtype="int32", name=_name(source))
    arguments = []
    for place, each in enumerate(functional.inputs):
        if each is source:
            arguments.append(tokens)
            continue
        shape = tuple(1 if size is None else size for size in each.shape[1:])
        arguments.append(Zeros(shape, keras.backend.standardize_dtype(each.dtype), f"zeros_{place}")(tokens))
    return tokens, arguments


# --- Strings ---------------------------------------------------------------------------------------------------------


class TokenVectors(keras.layers.Layer):
    """What `TextVectorization` makes of a text in its other output modes, from the numbers of its tokens: `int32[B, T]`
    -> `float32[B, V]`, which words it has ("multi_hot"), how often ("count"), and how much that says ("tf_idf"); or
    `float32[B, T, V]` ("one_hot"). Negative numbers count for nothing."""

    def __init__(self, mode: str, size: int, weights: Any, name: str):
        super().__init__(name=name)
        self.mode, self.size = mode, size
        self._weights = weights

    def call(self, numbers: Any) -> Any:
        if self.mode == "one_hot":
            return tf.one_hot(numbers, self.size)
        ones = tf.cast(numbers >= 0, tf.float32)
        rows = tf.broadcast_to(tf.range(tf.shape(numbers)[0])[:, None], tf.shape(numbers))
        places = tf.stack([rows, tf.maximum(numbers, 0)], axis=-1)
        counts = tf.scatter_nd(places, ones, (tf.shape(numbers)[0], self.size))
        if self.mode == "multi_hot":
            return tf.minimum(counts, 1.0)
        return counts if self.mode == "count" else counts * self._weights

    def compute_output_spec(self, numbers: Any) -> Any:
        steps = (numbers.shape[1],) if self.mode == "one_hot" else ()
        return keras.KerasTensor((numbers.shape[0], *steps, self.size), "float32")


def _of_strings(source: Any, layers: list[Any], answers: Answers) -> _Found:
    layer = layers[0]
    if any(_settings(other) != _settings(layer) for other in layers[1:]):
        raise UserError(
            "The network splits its text in several ways at once; only one with a single way can be looked into."
        )
    is_split = isinstance(layer, keras.layers.TextVectorization)
    lookup = layer._lookup_layer if is_split else layer
    words, start = _vocabulary(lookup, answers)
    reader = LayersReader(
        standardize=_plain_setting(layer, "_standardize") if is_split else None,
        split=_plain_setting(layer, "_split") if is_split else _split_of(source),
        ngrams=layer._ngrams if is_split else None,
        vocabulary=words,
        start=start,
        unknown=range(start - lookup.num_oov_indices, start),
        mask=lookup.mask_token,
        masked=0 if lookup.output_mode == "int" else None,
        hashed=_hashing(lookup) if lookup.num_oov_indices > 1 else None,
    )
    length = layer._output_sequence_length if is_split else _length(source)
    vectors = lookup.output_mode != "int"
    return _Found(
        reader=reader,
        length=None if vectors and lookup.output_mode != "one_hot" else length,
        words=start + len(words),
        words_known=bool(words),
        stand_ins={id(each): _vectors(each, lookup, start + len(words)) if vectors else None for each in layers},
        padding=_NO_WORD if vectors else 0,
        notes=tuple(_remarks(reader, vectors, bool(words))),
    )


def _settings(layer: Any) -> dict[str, Any]:
    return {name: value for name, value in layer.get_config().items() if name not in ("name", "trainable", "dtype")}


def _split_of(source: Any) -> str | None:
    """`StringLookup` takes words that are split already, or one piece of text."""
    return "whitespace" if _length(source) != 1 else None


def _plain_setting(layer: Any, name: str) -> str | None:
    setting = getattr(layer, name)
    if setting is not None and not isinstance(setting, str):
        raise UserError("The network splits its text by a function of its own, which is not run here.")
    return setting


def _vocabulary(lookup: Any, answers: Answers) -> tuple[tuple[str, ...], int]:
    """The words, and the number of the first; the person's, where the file has lost the network's own."""
    special = lookup.num_oov_indices + (lookup.mask_token is not None and lookup.output_mode == "int")
    try:
        words = tuple(str(word) for word in lookup.get_vocabulary(include_special_tokens=False))
    except (ValueError, RuntimeError, tf.errors.OpError):  # before it has been read from the file
        words = ()
    if words or not answers.vocabulary:
        return words, special
    given = answers.vocabulary
    is_special = {lookup.mask_token, lookup.oov_token}
    while given and given[0] in is_special:
        given = given[1:]
    return given, special


def _hashing(lookup: Any) -> Any:
    def hashed(pieces: Any) -> Any:
        if lookup.salt is not None:
            return tf.strings.to_hash_bucket_strong(pieces, lookup.num_oov_indices, key=lookup.salt).numpy()
        return tf.strings.to_hash_bucket_fast(pieces, lookup.num_oov_indices).numpy()

    return hashed


def _vectors(layer: Any, lookup: Any, size: int) -> TokenVectors:
    size = lookup.max_tokens if lookup.pad_to_max_tokens else max(size, lookup._frozen_vocab_size or 0)
    weights = getattr(lookup, "idf_weights_const", None)
    return TokenVectors(lookup.output_mode, size, None if weights is None else weights.numpy(), layer.name)


def _remarks(reader: LayersReader, vectors: bool, words_known: bool) -> Iterator[str]:
    if reader.ngrams is not None and reader.ngrams != (1,):
        yield "The network reads groups of neighbouring words; each group stands as one."
    if reader.split is None:
        yield "The network takes the whole text as one word."
    if vectors:
        yield "The network reads which words there are and how often, not in which order."
    if not words_known:
        yield "The file has no vocabulary, so that all words are unknown to it: give it its list of words."


# --- Numbers ---------------------------------------------------------------------------------------------------------


def _of_numbers(source: Any, embeddings: list[Any], answers: Answers) -> _Found:
    words = min(embedding.input_dim for embedding in embeddings)
    before = answers.padding != "after"
    notes: tuple[str, ...] = ()
    padding = 0
    if answers.vocabulary:
        known = vocabulary.of_list(answers.vocabulary, words)
        reader: Reader = ListReader(known, words)
        notes, padding = known.notes, known.padding
    else:
        reader = NumberReader(words)
    if answers.padding is None and _length(source) not in (None, 1):
        notes += ("A short text is filled up before its words, as Keras' pad_sequences does.",)
    return _Found(
        reader=reader,
        length=_length(source),
        words=words,
        words_known=bool(answers.vocabulary),
        stand_ins={},
        padding=padding,
        before=before,
        notes=notes,
    )
