"""A language with a known grammar, and small networks that learn to read it within seconds.

A sentence says how somebody feels: one word of a mood among words that say nothing, or none at all. The word "nu" right
before it turns it into its opposite: so a network must look at two neighbouring words to be right.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers as L

CLASSES = ("sad", "neither", "glad")
GLAD = ("solu", "mirati", "beleno", "harila", "jubo", "viva")
SAD = ("gruma", "dolori", "noctu", "plava", "krest", "wehe")
NOTHING = ("la", "te", "kor", "min", "sava", "pelu", "dotri", "ansa", "bri", "zem", "oka", "fil", "tur", "wen", "yos")
NOT = "nu"
LENGTH = 10  # tokens


def sentence(rng: random.Random) -> tuple[str, int]:
    """A sentence and its class."""
    words = [rng.choice(NOTHING) for _ in range(rng.randint(2, 6))]
    mood = rng.choice((None, GLAD, SAD))
    if rng.random() < 0.2:
        words.insert(rng.randint(0, len(words)), NOT)  # before a word that says nothing it changes nothing
    if mood is None:
        return " ".join(words), 1
    turned = rng.random() < 0.4
    place = rng.randint(0, len(words))
    if place and words[place - 1] == NOT:
        turned, place = True, place - 1
        words.pop(place)
    words[place:place] = [NOT] * turned + [rng.choice(mood)]
    return " ".join(words), 2 if (mood is GLAD) != turned else 0


def sentences(count: int, seed: int) -> tuple[list[str], np.ndarray]:
    rng = random.Random(seed)
    found = [sentence(rng) for _ in range(count)]
    return [text for text, _ in found], np.array([label for _, label in found])


def _seeded(layer: type, *arguments: object, seed: int, **settings: object) -> L.Layer:
    if layer is L.Embedding:
        return layer(*arguments, embeddings_initializer=keras.initializers.RandomUniform(seed=seed), **settings)
    kernel = keras.initializers.GlorotUniform(seed=seed)
    if layer is L.GRU:
        settings["recurrent_initializer"] = keras.initializers.Orthogonal(seed=seed)
    return layer(*arguments, kernel_initializer=kernel, **settings)


def _vectoriser() -> L.TextVectorization:
    layer = L.TextVectorization(output_sequence_length=LENGTH, name="words")
    layer.adapt(sentences(500, seed=1)[0])
    return layer


def convolutional() -> keras.Model:
    """Words -> embedding -> a convolution over three words -> pooling -> classes."""
    return keras.Sequential(
        [
            keras.Input((1,), dtype="string", name="text"),
            _vectoriser(),
            _seeded(L.Embedding, 40, 8, seed=1, name="embedding"),
            _seeded(L.Conv1D, 24, 3, padding="same", activation="relu", seed=2, name="windows"),
            L.GlobalMaxPooling1D(name="pool"),
            _seeded(L.Dense, 3, activation="softmax", seed=3, name="moods"),
        ],
        name="convolutional",
    )


def recurrent() -> keras.Model:
    """Words -> embedding that masks the padding -> GRU -> classes, nested as people nest it."""
    numbers = keras.Input((LENGTH,), dtype="int64")
    x = _seeded(L.Embedding, 40, 8, seed=1, mask_zero=True, name="embedding")(numbers)
    x = _seeded(L.GRU, 16, seed=2, name="memory")(x)
    outputs = _seeded(L.Dense, 3, activation="softmax", seed=3, name="moods")(x)
    reader = keras.Model(numbers, outputs, name="reader")
    text = keras.Input((1,), dtype="string", name="text")
    return keras.Model(text, reader(_vectoriser()(text)), name="recurrent")


def of_numbers() -> keras.Model:
    """The numbers of words, padded before them -> embedding -> convolution -> classes as logits."""
    numbers = keras.Input((LENGTH,), dtype="int32", name="numbers")
    x = _seeded(L.Embedding, 40, 8, seed=1, name="embedding")(numbers)
    x = _seeded(L.Conv1D, 24, 3, padding="same", activation="relu", seed=2, name="windows")(x)
    outputs = _seeded(L.Dense, 3, seed=3, name="moods")(L.GlobalMaxPooling1D(name="pool")(x))
    return keras.Model(numbers, outputs, name="of_numbers")


def word_index() -> dict[str, int]:
    """As the older `Tokenizer` makes it, with a word for what is not known."""
    return {"<OOV>": 1, **{word: number for number, word in enumerate((NOT, *NOTHING, *GLAD, *SAD), start=2)}}


def numbered(texts: Sequence[str]) -> np.ndarray:
    index = word_index()
    return keras.utils.pad_sequences([[index.get(word, 1) for word in text.split()] for text in texts], LENGTH)


def given(model: keras.Model, texts: Sequence[str]) -> tf.Tensor:
    """`texts` as `model` takes them, by Keras' own means."""
    return tf.constant(numbered(texts)) if model.name == "of_numbers" else tf.constant([[text] for text in texts])


def trained(model: keras.Model) -> keras.Model:
    """`model` after a few seconds of lessons."""
    texts, labels = sentences(1500, seed=2)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=model.name == "of_numbers")
    model.compile(keras.optimizers.Adam(0.01), loss)
    model.fit(given(model, texts), labels, batch_size=50, epochs=10, shuffle=False, verbose=0)
    return model


def accuracy(model: keras.Model) -> float:
    texts, labels = sentences(300, seed=3)
    return float((np.array(model(given(model, texts))).argmax(axis=1) == labels).mean())


def saved(model: keras.Model, folder: Path) -> Path:
    """The model as a file, with the names of its classes (and the words of its numbers) beside it."""
    path = folder / f"{model.name}.keras"
    model.save(path)
    (folder / f"{model.name}.class_names.txt").write_text("\n".join(CLASSES))
    if model.name == "of_numbers":
        (folder / f"{model.name}.word_index.json").write_text(json.dumps(word_index()))
    return path
