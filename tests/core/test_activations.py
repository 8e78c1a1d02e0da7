import keras
import numpy as np
import pytest

from core import activations
from core.backbones import loading
from core.errors import UserError
from core.messages import ActivationsRequest, ModelRef, Photo, PredictRequest
from tests.core.tiny import TINY_SIZE, nested_model, tiny_backbone, tiny_model


def photos(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, TINY_SIZE, TINY_SIZE, 3), dtype=np.uint8)


@keras.saving.register_keras_serializable("tests")
class Counting(keras.layers.Layer):
    """Hands its input on, and counts how often Python passes through it: once for each trace."""

    calls = 0

    def call(self, inputs):
        Counting.calls += 1
        return inputs


def test_each_layer_is_what_keras_itself_computes():
    model = tiny_model()
    images = photos(3)
    values = activations.infer_layers(tiny_backbone(model, preprocessing="tf"), images, ["conv1", "bn1", "pool"])
    scaled = images.astype(np.float32) / 127.5 - 1
    assert list(values) == ["conv1", "bn1", "pool"]
    for layer, value in values.items():
        plain = keras.Model(model.inputs[0], model.get_layer(layer).output)(scaled, training=False)
        assert value.dtype == np.float32
        np.testing.assert_allclose(value, plain, rtol=1e-5, atol=1e-5)


def test_a_nested_model_answers_as_its_inner_model_called_by_hand():
    model = nested_model()
    images = photos(2).astype(np.float32)
    values = activations.infer_layers(
        tiny_backbone(model), images, ["inner/inner_conv", "inner/inner_bn", "outer_predictions"]
    )
    inner = model.get_layer("inner")
    scaled = images * 2
    for layer in ("inner_conv", "inner_bn"):
        plain = keras.Model(inner.inputs[0], inner.get_layer(layer).output)(scaled, training=False)
        np.testing.assert_allclose(values[f"inner/{layer}"], plain, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(values["outer_predictions"], model(images, training=False), rtol=1e-5, atol=1e-5)


def test_floats_and_integers_of_the_same_photo_give_the_same_and_are_left_as_they_are():
    backbone = tiny_backbone(preprocessing="caffe")
    images = photos(1)
    as_floats = images.astype(np.float32)
    from_integers = activations.infer_layers(backbone, images, ["conv2"])["conv2"]
    from_floats = activations.infer_layers(backbone, as_floats, ["conv2"])["conv2"]
    np.testing.assert_array_equal(from_integers, from_floats)
    np.testing.assert_array_equal(as_floats, images)


def test_the_graph_is_traced_once_for_any_number_of_photos():
    inputs = keras.Input((TINY_SIZE, TINY_SIZE, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 3, name="conv")(Counting()(inputs)))
    backbone = tiny_backbone(model)
    activations.infer_layers(backbone, photos(2), ["conv"])
    activations.infer_layers(backbone, photos(1), ["conv"])  # the first look at one photo goes layer by layer
    traced = Counting.calls
    for count in (1, 2, 5):
        assert activations.infer_layers(backbone, photos(count), ["conv"])["conv"].shape[0] == count
    assert Counting.calls == traced


def test_the_first_look_and_those_after_it_agree():
    backbone, images = tiny_backbone(preprocessing="tf"), photos(1)
    first, second, third = (activations.infer_layers(backbone, images, ["bn1", "predictions"]) for _ in range(3))
    for layer in ("bn1", "predictions"):
        np.testing.assert_allclose(first[layer], second[layer], rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(second[layer], third[layer])


def test_an_unknown_layer_is_named_in_the_error():
    with pytest.raises(UserError, match="conv9"):
        activations.infer_layers(tiny_backbone(), photos(1), ["conv9"])


@pytest.mark.parametrize("activation", ["softmax", None])
def test_probabilities_of_a_classifier_and_of_logits_are_the_same(activation):
    images = photos(4)
    expected = tiny_model(activation="softmax")(images.astype(np.float32), training=False)
    given = activations.class_probabilities(tiny_backbone(tiny_model(activation=activation)), images)
    np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(given.sum(axis=1), 1, rtol=1e-5)


def test_the_softmax_is_found_behind_layers_that_change_no_value():
    model = tiny_model()
    outputs = keras.layers.Activation("linear", dtype="float32")(keras.layers.Flatten()(model.output))
    given = activations.class_probabilities(tiny_backbone(keras.Model(model.inputs, outputs)), photos(2))
    np.testing.assert_allclose(given, model(photos(2).astype(np.float32)), rtol=1e-5, atol=1e-6)


def test_one_sigmoid_unit_is_two_classes():
    model = tiny_model(classes=1, activation="sigmoid")
    given = activations.class_probabilities(tiny_backbone(model), photos(3))
    yes = np.asarray(model(photos(3).astype(np.float32)))
    np.testing.assert_allclose(given, np.concatenate([1 - yes, yes], axis=1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layer", ["conv2", "pool"])
def test_a_model_without_classes_makes_no_predictions(layer):
    model = tiny_model()
    headless = keras.Model(model.inputs[0], model.get_layer(layer).output)
    with pytest.raises(UserError, match="classes"):
        activations.class_probabilities(tiny_backbone(headless), photos(1))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model = tiny_model(classes=6)
    path = tmp_path_factory.mktemp("model") / "tiny.keras"
    model.save(path)
    return model, ModelRef(str(path))


def test_predictions_come_best_first(saved):
    model, ref = saved
    photo = Photo.of(photos(1)[0])
    predictions = activations.predict(PredictRequest(ref, photo, top=4))
    probabilities = np.asarray(model(loading.load(ref).preprocessing(photo.pixels[None])))[0]
    assert [prediction.index for prediction in predictions] == np.argsort(-probabilities)[:4].tolist()
    assert [prediction.name for prediction in predictions] == [f"class {p.index}" for p in predictions]
    np.testing.assert_allclose([p.probability for p in predictions], np.sort(probabilities)[::-1][:4], rtol=1e-4)
    assert len(activations.predict(PredictRequest(ref, photo, top=100))) == 6


def test_a_photo_of_any_size_is_fitted_and_shown_as_the_network_saw_it(saved):
    model, ref = saved
    photo = Photo.of(np.random.default_rng(1).integers(0, 256, (50, 70, 3), dtype=np.uint8))
    answer = activations.infer(ActivationsRequest(ref, photo, ("conv1", "pool")))
    assert answer.seen.shape == (TINY_SIZE, TINY_SIZE, 3)
    assert answer.seen.dtype == np.uint8
    assert answer.values["conv1"].shape == (TINY_SIZE, TINY_SIZE, 6)
    plain = keras.Model(model.inputs[0], model.get_layer("pool").output)(
        loading.load(ref).preprocessing(answer.seen[None])
    )
    np.testing.assert_allclose(answer.values["pool"], plain[0], rtol=1e-5, atol=1e-4)
    assert answer.origin == loading.load(ref).origin


def test_two_photos_one_after_the_other_are_not_mixed_up(saved):
    _, ref = saved
    first, second = (Photo.of(photos(1, seed)[0]) for seed in (3, 4))
    answers = [activations.infer(ActivationsRequest(ref, photo, ("conv1",))) for photo in (first, second, first)]
    np.testing.assert_allclose(answers[0].values["conv1"], answers[2].values["conv1"], rtol=1e-5, atol=1e-4)
    assert np.abs(answers[0].values["conv1"] - answers[1].values["conv1"]).max() > 1
    np.testing.assert_array_equal(answers[1].seen, second.pixels)
