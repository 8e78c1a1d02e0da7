"""Tokens against Keras' own layers, and lists of words and their conventions."""

import json
import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as L

from core.backbones import text_models, tokens, vocabulary
from core.backbones.answers import Answers, names_in
from core.errors import UserError

SENTENCES = ["The cat sat on the mat.", "A dog, a dog! Don't bark", "naïve ÉCLAIR 日本 cat cat", "it's 3.5 o'clock"]
AWKWARD = [
    "",
    " \t\n ",
    "cat",
    "CAT  sat\u00a0on\u3000the\u2003mat",
    "d-o-g 'dog' don't DON\u2019T",
    "\x00cat\x0bdog\x0csat\x1cmat\x85on",
    "👩\u200d👩\u200d👧 cat 🇩🇪 naïve nai\u0308ve ÉCLAIR éclair İstanbul ẞ",
    "\u202ecat\u202c \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "[UNK] [unk] cat",
    "\ud800cat \udfff",
    "\ufeffthe \ufffe \uffff \U0010ffff",
    "a" * 3000 + " cat",
]


def random_texts(count=150):
    rng = random.Random(0)
    words = ["the", "cat", "sat", "on", "dog", "bark", "DOG", "Cat", "é", "É", "日本", "👩‍👧", "\0"]
    pieces = [*words, *" \t\n\x0b\x0c\r\x1f!'#.,-_{}~"]
    return ["".join(rng.choice(pieces) for _ in range(rng.randrange(12))) for _ in range(count)]


def tokeniser_of(layer, shape=(1,)):
    """The tokeniser that is found for a network beginning with `layer`."""
    size = 60
    model = keras.Sequential([keras.Input(shape, dtype="string"), layer])
    model.add(L.Embedding(size, 2) if len(model.output_shape) == 2 and layer_mode(layer) == "int" else L.Dense(2))
    return text_models.understand_text(model).tokeniser


def layer_mode(layer):
    return getattr(layer, "_output_mode", None) or layer.output_mode


SETTINGS = [
    {},
    {"standardize": None},
    {"standardize": "lower"},
    {"standardize": "strip_punctuation", "output_sequence_length": 3},
    {"split": "character"},
    {"split": "character", "standardize": None, "output_sequence_length": 9},
    {"split": None},
    {"split": None, "output_sequence_length": 4},
    {"ngrams": 2},
    {"ngrams": (1, 3), "output_sequence_length": 6},
    {"ngrams": 2, "split": None},
    {"max_tokens": 6, "output_sequence_length": 5},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_numbers_are_those_of_the_layer(settings):
    layer = L.TextVectorization(**settings)
    layer.adapt(SENTENCES)
    tokeniser = tokeniser_of(layer)
    for text in [*SENTENCES, *AWKWARD, *random_texts()]:
        given = text.encode("utf-8", "replace")
        wanted = np.array(layer(tf.constant([[given]])))
        if wanted.shape[1] == 0:  # a network has to get something
            wanted = np.zeros((1, 1), int)
        found = tokeniser.ids(text)
        assert found.dtype == np.int32
        np.testing.assert_array_equal(found, wanted[:, : tokens.MAX_TOKENS], err_msg=repr(text))


def test_the_words_are_those_that_the_numbers_stand_for():
    layer = L.TextVectorization(output_sequence_length=6)
    layer.adapt(SENTENCES)
    names = layer.get_vocabulary()
    found = tokeniser_of(layer)("The CAT, barked: don't\u202e!")
    assert [token.word for token in found] == ["the", "cat", "barked", "dont\ufffd", "", ""]
    assert [token.known for token in found] == [True, True, False, False, True, True]
    assert [token.is_padding for token in found] == [False] * 4 + [True] * 2
    assert [names[token.number] for token in found] == ["the", "cat", "[UNK]", "[UNK]", "", ""]
    assert ("cat", names.index("cat")) in tokeniser_of(layer).words()


@pytest.mark.parametrize(
    "settings", [{}, {"mask_token": ""}, {"num_oov_indices": 3}, {"num_oov_indices": 3, "salt": 7}]
)
def test_words_that_are_split_already(settings):
    layer = L.StringLookup(vocabulary=["cat", "dog", "Cat", "日本"], **settings)
    tokeniser = tokeniser_of(layer, (5,))
    for text in ["cat dog", "Cat 日本 x y cat z", "  cat\tdog!  ", "u v w x y"]:
        words = text.split()[:5]
        length = len(words)
        np.testing.assert_array_equal(tokeniser.ids(text)[0, :length], np.array(layer(tf.constant(words))))
        assert tokeniser.ids(text).shape == (1, 5)


def test_a_network_without_a_number_for_unknown_words_leaves_them_out():
    tokeniser = tokeniser_of(L.StringLookup(vocabulary=["cat", "dog"], num_oov_indices=0), (3,))
    reading = tokeniser.read("dog fox cat")
    assert [token.word for token in reading.tokens] == ["dog", "cat", ""]
    assert reading.notes == ("The network has no number for fox: left out.",)


@pytest.mark.parametrize("mode", ["multi_hot", "count", "tf_idf"])
@pytest.mark.parametrize("more", [{}, {"ngrams": 2}, {"max_tokens": 40, "pad_to_max_tokens": True}])
def test_bags_of_words_are_those_of_the_layer(mode, more):
    layer = L.TextVectorization(output_mode=mode, **more)
    layer.adapt(SENTENCES)
    model = keras.Sequential([keras.Input((1,), dtype="string"), layer, L.Dense(3)])
    found = text_models.understand_text(model)
    bag = keras.Model(found.flat.inputs[0], found.tensors[layer.name])
    for text in [*SENTENCES, "cat the the fox cat", "", "é"]:
        wanted = layer(tf.constant([[text]]))
        np.testing.assert_allclose(bag(found.tokeniser.ids(text)), wanted, atol=1e-6)
        np.testing.assert_allclose(found.flat(found.tokeniser.ids(text)), model(tf.constant([[text]])), atol=1e-5)
    assert any("not in which order" in note for note in found.notes)


def test_long_texts_are_cut_and_it_is_said():
    layer = L.TextVectorization(vocabulary=["cat"], output_sequence_length=4)
    reading = tokeniser_of(layer).read("cat " * 100_000)
    assert len(reading.tokens) == 4
    assert reading.notes[0] == "Only the first 5,000 of the text's 400,000 characters are read."
    assert reading.notes[1] == "The network takes 4 tokens; the last 1,246 of the text are left out."
    flexible = tokeniser_of(L.TextVectorization(vocabulary=["cat"])).read("cat " * 2000)
    assert len(flexible.tokens) == tokens.MAX_TOKENS and len(flexible.notes) == 2


# --- Numbers and lists of words --------------------------------------------------------------------------------------


def of_numbers(words=None, *, length=6, limit=20, padding=None, dtype="int32"):
    model = keras.Sequential([keras.Input((length,), dtype=dtype), L.Embedding(limit, 2), L.LSTM(2)])
    return text_models.understand_text(model, Answers(vocabulary=words, padding=padding))


@pytest.mark.parametrize("padding", [None, "before", "after"])
def test_texts_are_padded_and_cut_as_pad_sequences_does(padding):
    tokeniser = of_numbers(padding=padding).tokeniser
    where = "post" if padding == "after" else "pre"
    for numbers in ([], [5], [3, 4, 5], list(range(1, 10))):
        wanted = keras.utils.pad_sequences([numbers], 6, padding=where, truncating=where)
        np.testing.assert_array_equal(tokeniser.ids(" ".join(map(str, numbers))), wanted)


@pytest.mark.parametrize("dtype", ["int32", "float32", "int64"])
def test_without_a_vocabulary_the_numbers_are_the_words(dtype):
    found = of_numbers(dtype=dtype)
    reading = found.tokeniser.read("[12, 7;3] 20 99")
    assert [token.word for token in reading.tokens] == ["", "", "", "12", "7", "3"]
    assert reading.notes == ("The network has no number for 20, 99: left out.",)
    assert not found.words_known and found.words == 20
    with pytest.raises(UserError, match="write numbers such as 12 7 3 instead of cat"):
        found.tokeniser("12 cat")
    with pytest.raises(UserError, match="instead of"):
        found.tokeniser("٣")
    assert [token.number for token in found.tokeniser("9" * 4000)] == [0] * 6


def test_words_are_looked_up_as_written_then_small_then_without_punctuation():
    tokeniser = of_numbers(("", "[UNK]", "cat", "dont", "it's", "Rome", "rome"), length=None).tokeniser
    reading = tokeniser.read("Cat don't it's, ROME Rome (cat)-cat?! fox ...")
    assert [(token.word, token.number) for token in reading.tokens] == [
        ("cat", 2),
        ("dont", 3),
        ("it's", 4),
        ("rome", 6),
        ("Rome", 5),
        ("cat", 2),
        ("cat", 2),
        ("fox", 1),
    ]
    assert not reading.tokens[-1].known


def test_a_word_index_without_an_unknown_word_leaves_out_as_the_tokenizer_does():
    tokeniser = of_numbers(("", "cat", "dog", *(f"w{n}" for n in range(30))), length=None, limit=5).tokeniser
    reading = tokeniser.read("cat fox dog w0 w9")  # w9 is in the list, but not among the numbers of the network
    assert [token.number for token in reading.tokens] == [1, 2, 3]
    assert reading.notes == ("The network has no number for fox, w9: left out.",)


def test_the_word_index_of_kerass_reviews_is_moved_by_three():
    words = ("", "the", "and", "a", "of", "to", "is", "br", "in", "it", "i")
    known = vocabulary.of_list(words, 20)
    assert known.words[4] == "the" and known.numbers["i"] == 13
    assert (known.padding, known.begin, known.unknown) == (0, 1, 2)
    assert "moves by 3" in known.notes[0]
    reading = of_numbers(words, limit=12, length=8).tokeniser.read("The fox and I")
    assert [token.number for token in reading.tokens] == [0, 0, 0, 1, 4, 2, 5, 2]  # "i" is beyond the network's 12
    already = vocabulary.of_list(("<PAD>", "<START>", "<UNK>", "<UNUSED>", "the", "and"), 20)
    assert already.words[4] == "the" and already.unknown == 2 and not already.notes


def test_the_empty_first_word_that_a_file_loses_is_put_back():
    assert vocabulary.of_list(("[UNK]", "cat"), 3).words == ("", "[UNK]", "cat")
    assert vocabulary.of_list(("[UNK]", "cat"), 2).words == ("[UNK]", "cat")
    assert vocabulary.of_list(("<pad>", "<unk>", "cat"), 9).unknown == 1


# --- Which networks --------------------------------------------------------------------------------------------------


def vectoriser(**settings):
    layer = L.TextVectorization(**settings)
    layer.adapt(SENTENCES)
    return layer


def plain_sequential():
    return keras.Sequential(
        [keras.Input((1,), dtype="string"), vectoriser(), L.Embedding(40, 3, mask_zero=True), L.GRU(4), L.Dense(2)]
    )


def scalar_input():
    inputs = keras.Input((), dtype="string")
    x = L.Embedding(40, 3)(vectoriser(output_sequence_length=7)(inputs))
    return keras.Model(inputs, L.Dense(2)(L.Flatten()(x)))


def nested_preprocessing():
    before = keras.Sequential([keras.Input((1,), dtype="string"), vectoriser(output_sequence_length=8)], name="before")
    numbers = keras.Input((8,), dtype="int64")
    x = L.Bidirectional(L.LSTM(3, return_sequences=True))(L.Embedding(40, 3, mask_zero=True)(numbers))
    after = keras.Model(numbers, L.Dense(2)(L.GlobalAveragePooling1D()(x)), name="after")
    inputs = keras.Input((1,), dtype="string")
    return keras.Model(inputs, after(before(inputs)))


def same_names_and_masks():
    def part(name):
        numbers = keras.Input((8,), dtype="int64")
        x = L.Embedding(40, 3, mask_zero=True, name="embedding")(numbers)
        return keras.Model(numbers, L.LSTM(3, name="lstm")(x), name=name)

    inputs = keras.Input((1,), dtype="string")
    x = vectoriser(output_sequence_length=8)(inputs)
    return keras.Model(inputs, L.Dense(2)(L.Concatenate()([part("left")(x), part("right")(x)])))


def attention():
    inputs = keras.Input((1,), dtype="string")
    x = L.Embedding(40, 4, mask_zero=True)(vectoriser(output_sequence_length=8)(inputs))
    x = L.LayerNormalization()(x + L.MultiHeadAttention(2, 2)(x, x))
    return keras.Model(inputs, L.Dense(2, activation="softmax")(L.GlobalAveragePooling1D()(x)))


@pytest.mark.parametrize(
    "make", [plain_sequential, scalar_input, nested_preprocessing, same_names_and_masks, attention]
)
def test_the_part_behind_the_text_computes_what_the_network_does(make):
    model = make()
    found = text_models.understand_text(model)
    assert found.words_known and not any("text_vectorization" in name for name in found.tensors)
    assert all("float" in tensor.dtype for tensor in found.tensors.values())
    for text in [*SENTENCES, "fox", "the the the the the the the the the the"]:
        given = tf.constant([text]) if model.inputs[0].shape == (None,) else tf.constant([[text]])
        ids = found.tokeniser.ids(text)
        np.testing.assert_allclose(found.flat(ids), model(given), atol=1e-5)


def test_other_inputs_are_zero():
    words, age = keras.Input((5,), dtype="int32", name="words"), keras.Input((2,), name="age")
    x = L.Concatenate()([L.Flatten()(L.Embedding(9, 3)(words)), age])
    model = keras.Model([age, words], L.Dense(2)(x))
    found = text_models.understand_text(model)
    ids = np.array([[1, 2, 3, 4, 5]], np.int32)
    np.testing.assert_allclose(found.flat(ids), model([np.zeros((1, 2)), ids]), atol=1e-6)
    assert found.inputs == ("age", "words")
    assert "The text goes into words; age is set to zero." in found.notes


def test_a_photo_goes_before_a_text_unless_the_person_says_so():
    photo, words = keras.Input((8, 8, 3), name="photo"), keras.Input((5,), dtype="int32", name="words")
    x = L.Concatenate()([L.Flatten()(L.Embedding(9, 3)(words)), L.Flatten()(photo)])
    model = keras.Model([photo, words], L.Dense(2)(x))
    assert text_models.understand_text(model) is None
    assert text_models.understand_text(model, Answers(source="photo")) is None
    assert text_models.understand_text(model, Answers(source="words")).tokeniser.length == 5


def test_networks_for_photos_and_tables_read_no_text():
    photo = keras.Sequential([keras.Input((8, 8, 3)), L.Flatten(), L.Dense(2)])
    table = keras.Sequential([keras.Input((8,)), L.Dense(2)])
    assert text_models.understand_text(photo) is None and text_models.understand_text(table) is None


def test_a_text_that_is_too_short_for_the_windows_is_filled_up():
    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            L.Embedding(9, 3),
            L.Conv1D(4, 5),
            L.MaxPooling1D(3),
            L.Conv1D(4, 2, dilation_rate=2),
            L.GlobalMaxPooling1D(),
        ]
    )
    tokeniser = text_models.understand_text(model).tokeniser
    lengths = []
    for length in range(1, 20):
        try:
            lengths += [length] if model.compute_output_shape((1, length)) and layers_fit(model, length) else []
        except ValueError:
            continue
    assert tokeniser.ids("3").shape == (1, lengths[0])


def layers_fit(model, length):
    shape = (1, length)
    for layer in model.layers:
        shape = layer.compute_output_shape(shape)
        if 0 in shape:
            return False
    return True


def test_what_splits_by_a_function_or_reads_strings_otherwise_is_refused():
    odd = keras.Sequential(
        [keras.Input((1,), dtype="string"), L.TextVectorization(split=tf.strings.split), L.Embedding(9, 2)]
    )
    with pytest.raises(UserError, match="by a function of its own"):
        text_models.understand_text(odd)
    hashed = keras.Sequential([keras.Input((1,), dtype="string"), L.Hashing(9), L.Embedding(9, 2)])
    with pytest.raises(UserError, match="takes text into Hashing"):
        text_models.understand_text(hashed)


def test_a_list_of_words_is_read_from_json_as_it_is_from_lines():
    words = ("", "[UNK]", "cat", "dog")
    index = json.dumps({"cat": 2, "dog": 3, "[UNK]": 1, "": 0})
    assert vocabulary.of_list(names_in(index, what="words"), 4).words == words
    assert vocabulary.of_list(names_in(json.dumps(words), what="words"), 4).words == words
    assert vocabulary.of_list(names_in("\n".join(words), what="words"), 4).words == words
