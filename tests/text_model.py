"""A network that reads text and whose every number is known: "good" makes it glad, unless "not" stands before it."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

VOCABULARY = ("the", "film", "was", "not", "good", "bad", "=sum", "<b>bold</b>")
CLASSES = ("sad", "glad")
LENGTH = 12


def text_model() -> keras.Model:
    """Words -> embedding (good, bad, not, and 21 units of noise) -> pairs of words -> strongest -> sad or glad."""
    text = keras.Input((1,), dtype="string", name="text")
    split = keras.layers.TextVectorization(
        standardize="lower", output_sequence_length=LENGTH, vocabulary=list(VOCABULARY), name="words"
    )
    vectors = np.random.default_rng(0).normal(0, 0.01, (len(VOCABULARY) + 2, 24)).astype(np.float32)
    vectors[:, :3] = 0
    for unit, word in enumerate(("good", "bad", "not")):
        vectors[2 + VOCABULARY.index(word), unit] = 1
    embedding = keras.layers.Embedding(*vectors.shape, name="embedding")
    pairs = keras.layers.Conv1D(3, 2, padding="causal", activation="relu", name="pairs")
    mood = keras.layers.Dense(2, activation="softmax", name="mood")
    outputs = mood(keras.layers.GlobalMaxPooling1D(name="strongest")(pairs(embedding(split(text)))))
    embedding.set_weights([vectors])
    kernel = np.zeros((2, 24, 3), np.float32)
    kernel[1, 0, 0], kernel[0, 2, 0] = 1, -1  # good, and no "not" before it
    kernel[1, 1, 1] = 1  # bad
    kernel[0, 2, 2], kernel[1, 0, 2] = 1, 1  # not good
    pairs.set_weights([kernel, np.array([0, 0, -1], np.float32)])
    mood.set_weights([np.array([[-2, 2], [2, -2], [2, -2]], np.float32), np.array([0, 0], np.float32)])
    return keras.Model(text, outputs, name="moods")


def number_model() -> keras.Model:
    """The numbers of tokens -> embedding -> mean -> three classes; nobody knows the words."""
    numbers = keras.Input((6,), dtype="int32", name="numbers")
    mean = keras.layers.GlobalAveragePooling1D(name="mean")(keras.layers.Embedding(20, 4, name="embedding")(numbers))
    return keras.Model(numbers, keras.layers.Dense(3, activation="softmax", name="answer")(mean), name="numbers_only")


def saved(model: keras.Model, folder: Path) -> bytes:
    path = folder / f"{model.name}.keras"
    model.save(path)
    return path.read_bytes()
