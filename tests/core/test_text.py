"""Networks that read text: a made-up language, and answers that can be worked out by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as L

from core import text, text_network
from core.backbones import loading, receptive, steps, understanding
from core.backbones.answers import Answers
from core.backbones.backbone import Backbone
from core.errors import UserError
from core.messages import FavouriteWordsRequest, ModelRef, Progress, TextRequest, WordSaliencyRequest
from tests.core import made_up_language as language
from tests.core.tiny import tiny_model

TURNED = "la te nu solu kor"  # glad, but for the "nu"
PLAIN = "min gruma sava"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("text")


@pytest.fixture(scope="module", params=[language.convolutional, language.recurrent, language.of_numbers])
def learned(request, folder):
    """A network that was trained here, and a reference to its file."""
    model = language.trained(request.param())
    return model, ModelRef(str(language.saved(model, folder)))


@pytest.fixture(scope="module")
def windows(folder):
    """The file of an untrained convolutional network."""
    model = language.convolutional()
    return model, ModelRef(str(language.saved(model, folder)))


@pytest.fixture
def loaded(monkeypatch):
    """Makes a reference to a model that is in no file."""

    def ref_of(model, **said):
        found = understanding.understand(model, {}, Answers(**said))
        infos = receptive.describe_layers(found.flat, found.tensors, found.input_size)
        ref = ModelRef("test")
        backbone = Backbone(
            ref, "Test", found.flat, found.tensors, infos, found.input_size, found.preprocessing, found.class_names, "",
            reads=found.reads, notes=found.notes, openings=found.openings, tokeniser=found.tokeniser,
        )  # fmt: skip
        monkeypatch.setattr(loading, "load", lambda _: backbone)
        return ref

    return ref_of


def last(steps):
    *_, result = steps
    return result


def test_a_network_learns_the_language_and_opens_with_the_same_answers(learned):
    model, ref = learned
    assert language.accuracy(model) > 0.9
    texts = [*language.sentences(20, seed=5)[0], TURNED, "fox solu"]
    wanted = np.array(model(language.given(model, texts)))
    if model.name == "of_numbers":
        wanted = np.array(keras.ops.softmax(wanted))
    for words, row in zip(texts, wanted, strict=True):
        found = text.answer(TextRequest(ref, words))
        assert {each.name: each.probability for each in found.predictions} == pytest.approx(
            dict(zip(language.CLASSES, row, strict=True)), abs=1e-5
        )
        assert [token.word for token in found.tokens if not token.is_padding] == words.split()
        assert [token.known for token in found.tokens if not token.is_padding] == [w != "fox" for w in words.split()]


def test_the_words_that_matter_are_the_mood_and_what_turns_it(learned):
    model, ref = learned
    found = text.saliency(WordSaliencyRequest(ref, TURNED, language.CLASSES.index("sad")))
    words = [token.word for token in found.tokens]
    assert {words[place] for place in np.argsort(-found.without)[:2]} == {"nu", "solu"}
    assert found.probability > 0.9
    if model.name != "recurrent":  # whose gates are saturated: its gradients are next to nothing
        assert words[int(np.argmax(found.gradient))] in ("nu", "solu")
    plain = text.saliency(WordSaliencyRequest(ref, PLAIN))
    assert plain.tokens[int(np.argmax(plain.without))].word == "gruma"


def test_units_have_favourite_words_and_these_are_of_a_mood(learned):
    model, ref = learned
    layer = "reader/moods" if model.name == "recurrent" else "moods"
    unit = language.CLASSES.index("glad")
    found = last(text.favourites(FavouriteWordsRequest(ref, layer, top=4)))[unit]
    assert {word for word, _ in found.highest} <= set(language.GLAD)
    assert found.tried == len((language.NOT, *language.NOTHING, *language.GLAD, *language.SAD))
    values = [value for _, value in found.highest]
    assert values == sorted(values, reverse=True) and found.lowest[0][1] <= values[-1]


def test_a_layers_values_are_those_of_the_network(windows):
    model, ref = windows
    found = text.answer(TextRequest(ref, TURNED, ("embedding", "windows", "pool", "moods")))
    assert {name: value.shape for name, value in found.values.items()} == {
        "embedding": (10, 8),
        "windows": (10, 24),
        "pool": (24,),
        "moods": (3,),
    }
    until = keras.Sequential(model.layers[:3])
    np.testing.assert_allclose(found.values["windows"], until(tf.constant([[TURNED]]))[0], atol=1e-6)
    assert found.steps["embedding"] == tuple((place, place + 1) for place in range(10))
    assert found.steps["windows"] == ((0, 2), *((place - 1, place + 2) for place in range(1, 9)), (8, 10))
    assert set(found.steps) == {"embedding", "windows"}


# --- What steps stand on, against what really changes them -----------------------------------------------------------


def convolutions(padding, **more):
    return [
        L.Conv1D(3, 3, padding=padding, **more),
        L.MaxPooling1D(2),
        L.SeparableConv1D(3, 2, strides=2, padding="same"),
        L.UpSampling1D(2),
    ]


CHAINS = {
    "same": lambda: convolutions("same"),
    "valid": lambda: convolutions("valid"),
    "dilated": lambda: convolutions("valid", dilation_rate=2),
    "causal": lambda: convolutions("causal"),
    "strided": lambda: [L.Conv1D(3, 4, strides=3, padding="same"), L.AveragePooling1D(3, 1, padding="same")],
    "cropped": lambda: [L.ZeroPadding1D((2, 1)), L.Cropping1D((1, 3)), L.Dense(3), L.LayerNormalization()],
    "backwards": lambda: [L.Conv1D(3, 2), L.TimeDistributed(L.Dense(2)), L.Activation("tanh")],
}


@pytest.mark.parametrize("name", CHAINS)
def test_steps_stand_on_the_tokens_that_change_them(name):
    length = 13
    model = keras.Sequential([keras.Input((length, 4)), *CHAINS[name]()])
    for weight in model.weights:
        weight.assign(np.random.default_rng(0).uniform(0.2, 1, weight.shape))
    flat = keras.Model(model.inputs[0], model.outputs[0])
    found = steps.spans(flat, {"last": flat.outputs[0]}, length)["last"]
    text = np.random.default_rng(1).uniform(0.5, 1, (1, length, 4)).astype(np.float32)
    changes = np.zeros((length, model.output_shape[1]), bool)
    for token, way in ((token, way) for token in range(length) for way in (5.0, -5.0)):
        other = text.copy()
        other[0, token] *= way
        changes[token] |= np.any(np.abs(np.array(model(other) - model(text)))[0] > 1e-7, axis=1)
    for step, (first, end) in enumerate(found):
        changing = np.flatnonzero(changes[:, step])
        assert (changing.min(), changing.max() + 1) == (first, end) if len(changing) else first == end


def test_branches_that_meet_stand_on_both_and_what_nobody_can_tell_is_none():
    inputs = keras.Input((6, 2))
    both = L.Add()([L.Conv1D(2, 3, padding="same")(inputs), inputs])
    joined = L.Concatenate(axis=1)([inputs, both])
    turned = L.Permute((2, 1))(inputs)
    back = L.LSTM(2, return_sequences=True, go_backwards=True)(inputs)
    tensors = {"both": both, "joined": joined, "turned": turned, "back": back}
    found = steps.spans(keras.Model(inputs, list(tensors.values())), tensors, 6)
    assert found["both"][2] == (1, 4) and found["joined"][6:] == found["both"]
    assert found["turned"] is None and found["back"][0] == (5, 6)


# --- Saliency that can be worked out ---------------------------------------------------------------------------------


def linear_network():
    """The logit of class k is the mean over six tokens of table[number, k], and a bias."""
    model = keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            L.Embedding(9, 3, name="embedding"),
            L.GlobalAveragePooling1D(),
            L.Dense(3, activation="softmax", name="classes"),
        ]
    )
    table = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    model.get_layer("embedding").set_weights([table])
    model.get_layer("classes").set_weights([np.eye(3, dtype=np.float32), np.array([0.1, 0.2, 0.3], np.float32)])
    return model, table


def test_gradient_times_embedding_is_exact_for_what_is_linear(loaded):
    model, table = linear_network()
    ref = loaded(model, padding="after")
    found = text.saliency(WordSaliencyRequest(ref, "5 2 5 7", 1))
    numbers = [5, 2, 5, 7, 0, 0]
    np.testing.assert_allclose(found.gradient, table[numbers, 1] / 6, atol=1e-6)
    np.testing.assert_allclose(found.without, (table[numbers, 1] - table[0, 1]) / 6, atol=1e-6)
    assert found.score == pytest.approx(table[numbers, 1].mean() + 0.2, abs=1e-5)
    assert found.probability == pytest.approx(float(model(np.array([numbers]))[0, 1]), abs=1e-5)
    best = text.saliency(WordSaliencyRequest(ref, "5 2 5 7"))
    logits = table[numbers].mean(axis=0) + np.array([0.1, 0.2, 0.3])
    assert best.score == pytest.approx(logits.max(), abs=1e-5)


def test_a_unit_is_judged_by_its_greatest_value_where_there_are_words(loaded):
    model, table = linear_network()
    ref = loaded(model)
    found = text.saliency(WordSaliencyRequest(ref, "5 2", layer="embedding", unit=2))
    assert found.score == pytest.approx(table[[5, 2], 2].max())  # whatever padding gives
    assert found.probability is None
    winner = 4 + int(np.argmax(table[[5, 2], 2]))
    np.testing.assert_allclose(found.gradient, np.where(np.arange(6) == winner, found.score, 0), atol=1e-6)


def test_favourite_words_are_those_with_the_greatest_values(loaded, monkeypatch):
    model, table = linear_network()
    ref = loaded(model)
    monkeypatch.setattr(text_network, "BATCH_BYTES", 4 * 6 * 3 * 3)  # three texts at once
    *said, (_, found, _) = text.favourites(FavouriteWordsRequest(ref, "embedding", top=3))
    assert all(isinstance(step, Progress) for step in said) and len(said) == 3
    order = 1 + np.argsort(-table[1:, 1])
    assert [word for word, _ in found.highest] == [str(number) for number in order[:3]]
    assert [word for word, _ in found.lowest] == [str(number) for number in order[:-4:-1]]
    assert found.highest[0][1] == pytest.approx(table[order[0], 1])
    assert found.without == pytest.approx(table[0, 1]) and found.tried == 8
    few = last(text.favourites(FavouriteWordsRequest(ref, "embedding", most=2)))[1]
    assert {word for word, _ in few.highest} == {"1", "2"}


def test_one_pass_over_the_words_finds_what_sorting_all_of_them_does():
    rng = np.random.default_rng(0)
    values = rng.integers(-4, 4, (50, 7)).astype(np.float32)  # many of them equal
    values[rng.random(values.shape) < 0.1] = np.nan
    values[:, 6] = np.nan
    words = [f"w{place}" for place in range(len(values))]
    highest = lowest = text.Extremes.none(7)
    for first in range(0, 50, 8):
        highest = highest.among(values[first : first + 8], first, 12)
        lowest = lowest.among(-values[first : first + 8], first, 12)
    for unit, column in enumerate(values.T):
        for found, sign in ((highest.of(unit, words), -1), (lowest.of(unit, words, sign=-1), 1)):
            order = np.argsort(sign * column, kind="stable")[:12]
            assert [word for word, _ in found] == [words[place] for place in order]
            np.testing.assert_array_equal([value for _, value in found], column[order])


@pytest.mark.parametrize("mode", ["multi_hot", "count"])
def test_words_in_a_bag_share_what_they_count_together(loaded, mode):
    layer = L.TextVectorization(vocabulary=["cat", "dog", "fox"], output_mode=mode)
    model = keras.Sequential([keras.Input((1,), dtype="string"), layer, L.Dense(2, name="classes")])
    kernel = np.array([[0.5, 1], [1, 2], [3, 4], [5, 6]], np.float32)  # unknown, cat, dog, fox
    model.get_layer("classes").set_weights([kernel, np.zeros(2, np.float32)])
    ref = loaded(model)
    found = text.saliency(WordSaliencyRequest(ref, "cat dog cat hen", 1))
    each = 2.0 if mode == "count" else 1.0
    np.testing.assert_allclose(found.gradient, [each, 4, each, 1])
    np.testing.assert_allclose(found.without, [2 if mode == "count" else 0, 4, 2 if mode == "count" else 0, 1])
    answered = text.answer(TextRequest(ref, "cat dog cat hen", (layer.name, "classes")))
    np.testing.assert_allclose(answered.values[layer.name], [1, 2 if mode == "count" else 1, 1, 0])
    assert answered.steps == {} and answered.values["classes"].shape == (2,)
    nothing = text.saliency(WordSaliencyRequest(ref, "", 1))
    assert [token.is_padding for token in nothing.tokens] == [True] and nothing.score == 0


def test_one_sigmoid_unit_is_two_classes(loaded):
    model = keras.Sequential(
        [keras.Input((4,), dtype="int32"), L.Embedding(5, 2), L.Flatten(), L.Dense(1, activation="sigmoid")]
    )
    ref = loaded(model)
    found = text.answer(TextRequest(ref, "1 2 3"))
    assert sum(each.probability for each in found.predictions) == pytest.approx(1)
    yes, no = (text.saliency(WordSaliencyRequest(ref, "1 2 3", target)) for target in (1, 0))
    assert yes.probability == pytest.approx(float(model(np.array([[0, 1, 2, 3]]))[0, 0]), abs=1e-6)
    np.testing.assert_allclose(yes.without, -no.without, atol=1e-6)


def test_masks_are_kept_where_words_are_left_out(loaded):
    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            L.Embedding(9, 3, mask_zero=True),
            L.Bidirectional(L.LSTM(4)),
            L.Dense(2),
        ]
    )
    ref = loaded(model, padding="after")
    found = text.saliency(WordSaliencyRequest(ref, "5 2 7", 0))
    for place in range(3):
        rest = [[number for at, number in enumerate([5, 2, 7]) if at != place]]  # really taken out
        assert found.score - found.without[place] == pytest.approx(float(model(np.array(rest))[0, 0]), abs=1e-5)


# --- What cannot be -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["", "\u202e\x00\x07", "☃" * 100_000, "nu " * 50_000, "<script>alert(1)</script>"])
def test_any_text_is_answered(windows, words):
    _, ref = windows
    found = text.answer(TextRequest(ref, words, ("windows",)))
    assert len(found.tokens) == language.LENGTH and len(found.predictions) == 3
    assert all(len(token.word) <= 60 and token.word.isprintable() for token in found.tokens)
    assert bool(found.notes) == (len(words) > 5_000)
    assert np.isfinite(text.saliency(WordSaliencyRequest(ref, words)).without).all()


def test_what_there_is_not_is_said(windows, folder):
    _, ref = windows
    with pytest.raises(UserError, match="no layer named 'nothing'"):
        text.answer(TextRequest(ref, TURNED, ("nothing",)))
    with pytest.raises(UserError, match="no class 3"):
        text.saliency(WordSaliencyRequest(ref, TURNED, 3))
    with pytest.raises(UserError, match="has 24 units, numbered from 0: there is no unit 24"):
        text.saliency(WordSaliencyRequest(ref, TURNED, layer="windows", unit=24))
    with pytest.raises(UserError, match="no layer named 'nothing'"):
        last(text.favourites(FavouriteWordsRequest(ref, "nothing")))
    tiny_model().save(folder / "tiny.keras")
    with pytest.raises(UserError, match="reads photos, not text"):
        text.answer(TextRequest(ModelRef(str(folder / "tiny.keras")), TURNED))


def test_a_network_that_tells_no_classes_is_still_looked_into(loaded):
    model = keras.Sequential([keras.Input((4,), dtype="int32"), L.Embedding(5, 2, name="embedding"), L.LSTM(3)])
    ref = loaded(model)
    found = text.answer(TextRequest(ref, "1 2", ("embedding",)))
    assert found.predictions == () and found.values["embedding"].shape == (4, 2)
    with pytest.raises(UserError, match="does not end in a list of classes"):
        text.saliency(WordSaliencyRequest(ref, "1 2"))


def test_a_word_that_the_network_has_no_room_for_is_said(loaded):
    layer = L.TextVectorization(vocabulary=["cat", "dog"])
    ref = loaded(keras.Sequential([keras.Input((1,), dtype="string"), layer, L.Embedding(3, 2), L.LSTM(2)]))
    assert len(text.answer(TextRequest(ref, "cat hen")).tokens) == 2
    with pytest.raises(UserError, match="cannot compute with this text"):
        text.answer(TextRequest(ref, "cat dog"))


# --- Saved and opened again ------------------------------------------------------------------------------------------


def vectoriser(**settings):
    layer = L.TextVectorization(**settings)
    layer.adapt(language.sentences(50, seed=7)[0])
    return layer


def weighted_bag():
    return keras.Sequential(
        [keras.Input((1,), dtype="string"), vectoriser(output_mode="tf_idf"), L.Dense(3, activation="softmax")]
    )


def letters():
    layer = vectoriser(split="character", output_sequence_length=20)
    return keras.Sequential(
        [keras.Input((), dtype="string"), layer, L.Embedding(40, 3, mask_zero=True), L.SimpleRNN(4), L.Dense(3)]
    )


def branches_and_two_outputs():
    inputs = keras.Input((1,), dtype="string")
    words = L.Embedding(900, 3)(vectoriser(ngrams=2, output_sequence_length=12)(inputs))
    pooled = [L.GlobalMaxPooling1D()(L.Conv1D(3, width, activation="relu")(words)) for width in (2, 3)]
    both = L.Concatenate()(pooled)
    return keras.Model(inputs, [L.Dense(1, name="stars")(both), L.Dense(3, activation="softmax", name="mood")(both)])


@pytest.mark.parametrize("make", [weighted_bag, letters, branches_and_two_outputs])
def test_networks_of_text_answer_alike_when_they_are_opened_again(make, tmp_path):
    model = make()
    model.save(tmp_path / "model.keras")
    backbone = text_network.load(ModelRef(str(tmp_path / "model.keras")))
    for words in [*language.sentences(5, seed=8)[0], "fox"]:
        given = tf.constant([words]) if model.input_shape == (None,) else tf.constant([[words]])
        wanted = np.array(model(given)[1] if len(model.outputs) == 2 else model(given))
        found = text_network.run(backbone, backbone.tokeniser.ids(words))[0]
        assert np.isfinite(wanted).all()
        np.testing.assert_allclose(found, wanted, atol=1e-5)
