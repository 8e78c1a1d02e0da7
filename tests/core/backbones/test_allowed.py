"""What may be in a person's model: every layer of Keras that only computes, built from its checked configuration."""

from __future__ import annotations

import importlib
import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as L
from keras import ops

from core.backbones import allowed, imported
from core.errors import UserError

VECTOR, STEPS, MAPS, VOLUME, FILM = (8,), (12, 6), (10, 10, 3), (6, 6, 6, 2), (3, 8, 8, 2)
LINES, VOLUMES = (3, 8, 2), (2, 4, 4, 4, 1)


def by_shape():
    return {
        VECTOR: [
            *(L.Dense(3), L.EinsumDense("ab,bc->ac", 4), L.RepeatVector(3), L.Reshape((2, 4)), L.Activation("mish")),
            *(L.LayerNormalization(), L.UnitNormalization(), L.RMSNormalization(), L.ActivityRegularization(0.1)),
            *(L.GaussianNoise(0.1), L.GaussianDropout(0.1), L.AlphaDropout(0.1), L.Discretization([-0.5, 0.0, 0.5])),
            *(L.SpectralNormalization(L.Dense(3)), L.PReLU(), L.ELU(), L.Softmax(), L.Identity(), L.Masking()),
        ],
        STEPS: [
            *(L.Conv1D(4, 3), L.Conv1DTranspose(4, 3), L.SeparableConv1D(4, 3), L.DepthwiseConv1D(3)),
            *(L.MaxPooling1D(2), L.AveragePooling1D(2), L.GlobalMaxPooling1D(), L.GlobalAveragePooling1D()),
            *(
                L.AdaptiveAveragePooling1D(2),
                L.AdaptiveMaxPooling1D(2),
                L.UpSampling1D(),
                L.ZeroPadding1D(),
                L.Cropping1D(),
            ),
            *(L.LSTM(4), L.GRU(4, return_sequences=True), L.SimpleRNN(4, unroll=True), L.Bidirectional(L.LSTM(3))),
            *(
                L.RNN(L.GRUCell(3)),
                L.RNN([L.LSTMCell(3), L.LSTMCell(2)]),
                L.TimeDistributed(L.Dense(2)),
                L.Permute((2, 1)),
            ),
            *(
                L.RNN(L.StackedRNNCells([L.SimpleRNNCell(3)])),
                L.SpatialDropout1D(0.2),
                L.Bidirectional(L.GRU(2), "sum"),
            ),
        ],
        MAPS: [
            *(L.Conv2D(4, 3), L.Conv2DTranspose(4, 3), L.SeparableConv2D(4, 3), L.DepthwiseConv2D(3), L.Flatten()),
            *(L.MaxPooling2D(2), L.AveragePooling2D(2), L.GlobalMaxPooling2D(), L.GlobalAveragePooling2D()),
            *(L.UpSampling2D(interpolation="bilinear"), L.ZeroPadding2D(), L.Cropping2D(), L.SpatialDropout2D(0.2)),
            *(L.BatchNormalization(), L.GroupNormalization(1), L.Rescaling(0.5), L.Resizing(5, 5), L.CenterCrop(4, 4)),
            *(L.Normalization(mean=[1, 2, 3], variance=[1, 1, 2]), L.AdaptiveMaxPooling2D(2), L.RandomZoom(0.1)),
            *(L.AdaptiveAveragePooling2D(3), L.LeakyReLU(0.1), L.ReLU(6.0), L.Dropout(0.1), L.RandomElasticTransform()),
        ],
        VOLUME: [
            *(
                L.Conv3D(3, 3),
                L.Conv3DTranspose(3, 3),
                L.MaxPooling3D(2),
                L.AveragePooling3D(2),
                L.GlobalMaxPooling3D(),
            ),
            *(L.GlobalAveragePooling3D(), L.UpSampling3D(), L.ZeroPadding3D(), L.Cropping3D(), L.SpatialDropout3D(0.1)),
            *(L.AdaptiveAveragePooling3D(2), L.AdaptiveMaxPooling3D(2)),
        ],
        FILM: [L.ConvLSTM2D(3, 3), L.TimeDistributed(L.Conv2D(2, 3)), L.Bidirectional(L.ConvLSTM2D(2, 3))],
        LINES: [L.ConvLSTM1D(3, 3)],
        VOLUMES: [L.ConvLSTM3D(2, 3)],
    }


def for_numbers():
    return [
        *(L.Embedding(10, 4), L.Embedding(10, 4, mask_zero=True), L.CategoryEncoding(10, output_mode="multi_hot")),
        *(L.IntegerLookup(vocabulary=[3, 5, 7]), L.Hashing(4), L.ReversibleEmbedding(10, 3)),
    ]


def for_text():
    return [
        *(L.StringLookup(vocabulary=["a", "b"]), L.TextVectorization(vocabulary=["a", "b"], output_sequence_length=3)),
        L.TextVectorization(vocabulary=["a", "b"], output_mode="multi_hot", ngrams=2, standardize=None),
    ]


def for_two():
    return [
        *(L.Add(), L.Subtract(), L.Multiply(), L.Average(), L.Maximum(), L.Minimum(), L.Concatenate(), L.Dot(axes=2)),
        *(L.Attention(), L.AdditiveAttention(), L.MultiHeadAttention(2, 3), L.GroupQueryAttention(4, 4, 2)),
    ]


OPERATIONS = {
    "comparisons": lambda x: ops.where(ops.not_equal(x, 0.0), ops.equal(x, x), ops.greater(x, 0.5)),
    "einsum": lambda x: ops.einsum("bti,btj->bij", x, x),
    "matmul": lambda x: x @ ops.transpose(x, (0, 2, 1)),
    "norms": lambda x: ops.norm(x, axis=-1, keepdims=True) + ops.normalize(x),
    "pad, tile, repeat": lambda x: ops.repeat(ops.tile(ops.pad(x, [[0, 0], [1, 1], [0, 0]]), [1, 2, 1]), 2, axis=1),
    "split, stack": lambda x: ops.stack(ops.split(x, 2, axis=1)),
    "slices": lambda x: x[:, 1:-1:2, None, ..., 0],
    "sums": lambda x: (
        ops.cumsum(x, axis=1) + ops.logsumexp(x, axis=1, keepdims=True) + ops.std(x, axis=1, keepdims=True)
    ),
    "functions": lambda x: ops.erf(x) + ops.rsqrt(ops.abs(x) + 1.0) + ops.log1p(ops.abs(x)) + ops.sin(x) + ops.gelu(x),
    "choices": lambda x: ops.one_hot(ops.argmax(x, axis=-1), 6) * ops.take(x, [0], axis=1) + ops.zeros_like(x),
    "shapes": lambda x: ops.swapaxes(ops.squeeze(ops.expand_dims(x, 1), 1), 1, 2),
    "python's own": lambda x: (2.0 - x) / 3.0 + (-x) ** 2 - abs(x),
}


def reopened(model):
    """The model built from its checked configuration, with its weights."""
    config = json.loads(model.to_json())
    allowed.rewrite(config)
    found = keras.saving.deserialize_keras_object(config, safe_mode=True)
    found.set_weights(model.get_weights())
    return found


def assert_same(model, given):
    found, expected = reopened(model)(given, training=False), model(given, training=False)
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), atol=1e-6)


def numbers(shape):
    return np.random.default_rng(0).uniform(-1, 1, (2, *shape)).astype(np.float32)


@pytest.mark.parametrize("shape", [VECTOR, STEPS, MAPS, VOLUME, FILM, LINES, VOLUMES], ids=str)
def test_layers_compute_what_they_did(shape):
    for layer in by_shape()[shape]:
        inputs = keras.Input(shape)
        assert_same(keras.Model(inputs, layer(inputs)), numbers(shape))


def test_layers_for_numbers_of_words_compute_what_they_did():
    for layer in for_numbers():
        inputs = keras.Input((5,), dtype="int32")
        assert_same(keras.Model(inputs, layer(inputs)), np.array([[1, 3, 5, 0, 7]], np.int32))


def test_layers_for_text_compute_what_they_did():
    for layer in for_text():
        inputs = keras.Input((1,), dtype="string")
        assert_same(keras.Model(inputs, layer(inputs)), tf.constant([["a b c"], ["b"]]))


def test_layers_that_take_two_compute_what_they_did():
    for layer in for_two():
        inputs = keras.Input(STEPS)
        two = inputs + 1.0
        apart = isinstance(layer, (L.MultiHeadAttention, L.GroupQueryAttention))
        together = layer(inputs, two) if apart else layer([inputs, two])
        assert_same(keras.Model(inputs, together), numbers(STEPS))


@pytest.mark.parametrize("which", OPERATIONS)
def test_operations_on_tensors_compute_what_they_did(which):
    inputs = keras.Input(STEPS)
    assert_same(keras.Model(inputs, OPERATIONS[which](inputs)), numbers(STEPS))


def test_everything_on_the_lists_is_in_keras_and_every_layer_of_keras_is_on_one():
    for name in allowed._LAYERS:
        assert hasattr(L, name), name
    for module, names in allowed._OPERATIONS.items():
        for name in names:
            assert issubclass(getattr(importlib.import_module(module), name), keras.Operation), name
    refused = {
        *("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"),  # code
        *("Layer", "Wrapper", "Input", "InputSpec"),  # none of their own
        *("Pipeline", "RandAugment", "AugMix", "MixUp", "CutMix", "MaxNumBoundingBoxes"),  # for whole data sets
        *("MelSpectrogram", "STFTSpectrogram", "ContrastLimitedAdaptiveHistogramEqualization"),  # large by a setting
    }
    assert {name for name in dir(L) if name[0].isupper()} - allowed._LAYERS == refused


def test_a_long_recurrence_is_not_unrolled():
    inputs = keras.Input((10**5, 2))
    model = keras.Model(inputs, L.LSTM(2)(inputs))
    config = json.loads(model.to_json())
    config["config"]["layers"][1]["config"]["unroll"] = True
    allowed.rewrite(config)
    keras.saving.deserialize_keras_object(config)


def test_words_in_an_archive_are_given_to_the_layers(tmp_path, monkeypatch):
    understood = SimpleNamespace(
        flat=SimpleNamespace(inputs=[]), tensors={}
    )  # nobody can look into one with three ways
    monkeypatch.setattr(imported, "_understood", lambda *_: understood)
    outer, weighing, looking = L.TextVectorization(), L.TextVectorization(output_mode="tf_idf"), L.StringLookup()
    for layer in (outer, weighing):
        layer.adapt(["the cat sat", "the dog ran é", "a b c"])
    looking.adapt(["x", "y"])
    inner_text = keras.Input((1,), dtype="string")
    inner = keras.Model(inner_text, weighing(inner_text), name="inner")
    text = keras.Input((1,), dtype="string")
    made = keras.Model(text, [L.Embedding(14, 3)(outer(text)), inner(text), looking(text)])
    path = tmp_path / "words.keras"
    made.save(path)
    opened = imported.open_model(path)
    given = tf.constant([["The cat, é!"], ["dog dog x"], ["x"]])
    for found, expected in zip(opened.model(given), made(given), strict=True):
        np.testing.assert_allclose(np.asarray(found), np.asarray(expected), atol=1e-6)
    assert opened.vocabularies[outer.name] == tuple(outer.get_vocabulary())
    assert opened.vocabularies[f"inner/{weighing.name}"] == tuple(weighing.get_vocabulary())
    assert opened.vocabularies[looking.name] == ("[UNK]", "y", "x")
    untrained = imported.open_model(path, trained=False)
    assert untrained.vocabularies == opened.vocabularies
    np.testing.assert_array_equal(untrained.model(given)[2], made(given)[2])


def test_an_h5_file_has_no_words_and_says_so(tmp_path):
    words = L.TextVectorization(output_sequence_length=3)
    words.adapt(["a b c"])
    text = keras.Input((1,), dtype="string")
    path = tmp_path / "words.h5"
    keras.Model(text, L.Flatten()(L.Embedding(9, 2)(words(text)))).save(path)
    with pytest.raises(UserError, match=r"save the model as \.keras"):
        imported.inspect(path)


def test_attention_over_too_many_steps_is_refused(tmp_path):
    inputs = keras.Input((30_000, 4))
    path = tmp_path / "long.keras"
    keras.Model(inputs, L.GlobalMaxPooling1D()(L.MultiHeadAttention(4, 2)(inputs, inputs))).save(path)
    with pytest.raises(UserError, match="13 GB"):
        imported.inspect(path)
