"""Example texts: words that the network knows, and that mean something to it."""

from __future__ import annotations

import keras
import pytest

from core import text_examples
from core.backbones import loading
from core.errors import UserError
from core.messages import ModelRef
from tests.core.tiny import tiny_model
from tests.text_model import VOCABULARY, number_model, text_model


def saved(model: keras.Model, folder) -> ModelRef:
    path = folder / f"{model.name}.keras"
    model.save(path)
    return ModelRef(str(path))


def test_the_first_mixes_the_classes_and_the_others_are_of_one_each(tmp_path):
    ref = saved(text_model(), tmp_path)
    mixed, sad, glad = text_examples.examples(ref)
    assert {"good", "bad"} <= set(mixed.split())
    assert sad.split()[0] == "bad" and glad.split()[0] == "good"
    assert set(f"{mixed} {sad} {glad}".split()) <= {*VOCABULARY} - {"=sum", "<b>bold</b>"}


def test_numbers_are_examples_where_no_words_are_known(tmp_path):
    ref = saved(number_model(), tmp_path)
    tokeniser = loading.load(ref).tokeniser
    for text in text_examples.examples(ref):
        assert all(token.known for token in tokeniser(text))


def test_letters_are_written_without_spaces(tmp_path):
    text = keras.Input((1,), dtype="string")
    split = keras.layers.TextVectorization(split="character", vocabulary=list("abcdefg"), output_sequence_length=9)
    mean = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(9, 4)(split(text)))
    ref = saved(keras.Model(text, keras.layers.Dense(2, activation="softmax")(mean), name="letters"), tmp_path)
    found = text_examples.examples(ref)
    assert found and not any(" " in each for each in found)


def test_a_network_that_reads_photos_has_none(tmp_path):
    with pytest.raises(UserError, match="photo"):
        text_examples.examples(saved(tiny_model(), tmp_path))
