import dataclasses
import functools
import hashlib
import http.server
import itertools
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from core.backbones import graph, imported, loading
from core.backbones.backbone import Backbone
from core.backbones.catalogue import find, weights_path
from core.backbones.logits import with_logits
from core.backbones.preprocessing import PREPROCESSING
from core.errors import UserError
from core.messages import ModelInfo, ModelRef, Progress

SMALL = "mobilenet_0.25_128"


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """An empty KERAS_HOME, nothing loaded yet, and a proxy that nobody answers at: this computer is offline."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
    loading._loaded.clear()


@pytest.fixture
def server(tmp_path):
    """A real web server; gives its folder and its address."""
    folder = tmp_path / "server"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def small_model():
    return keras.applications.MobileNet(weights=None, alpha=0.25, input_shape=(128, 128, 3))


def images(size):
    return np.random.default_rng(0).uniform(-1, 1, (1, size, size, 3)).astype(np.float32)


def test_the_embedded_model_needs_nothing():
    *progress, backbone = loading.load_steps(ModelRef("efficientnet_lite0"))
    assert progress
    assert all(isinstance(step, Progress) for step in progress)
    assert backbone.origin == "trained on ImageNet"
    assert backbone.input_size == (224, 224)
    assert backbone.info().parameters == 4_694_024
    assert backbone.class_names[985] == "daisy"


def test_describe_ends_with_what_the_pages_need():
    *progress, info = loading.describe(ModelRef(SMALL, None))
    assert isinstance(info, ModelInfo)
    assert info.origin == "random (untrained)"
    assert info.input_size == (128, 128)
    assert info.parameters == find(SMALL).parameters
    assert info.layers[-1].output_shape == (1000,)
    assert not any(isinstance(step, Backbone) for step in progress)


@pytest.mark.parametrize("name", [SMALL, "mobilenetv3small", "efficientnet_lite0", "xception"])
def test_random_weights_and_layer_names_are_the_same_each_time(name):
    first = loading.load(name, weights=None)
    expected = [weight.numpy() for weight in first.model.weights]
    names = [layer.name for layer in first.layers]
    loading._loaded.clear()
    keras.random.normal((3,))  # whatever else has drawn or built meanwhile
    small_model()
    again = loading.load(name, weights=None)
    assert again.model is not first.model
    assert [layer.name for layer in again.layers] == names
    for weight, value in zip(again.model.weights, expected, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)


def test_random_weights_differ_from_layer_to_layer():
    kernels = [w.numpy() for w in loading.load(SMALL, weights=None).model.weights if w.shape == (3, 3, 128, 1)]
    assert len(kernels) > 3
    assert not any(np.array_equal(a, b) for a, b in itertools.pairwise(kernels))


def test_random_weights_leave_the_global_generators_alone():
    state = np.random.get_state()[1].copy()
    loading.load(SMALL, weights=None)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_concurrent_callers_get_one_model():
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(loading.load(ModelRef(SMALL, None)).model)) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len({id(model) for model in found}) == 1


def test_an_abandoned_load_does_not_lock_the_others_out():
    steps = loading.load_steps(ModelRef(SMALL, None))
    next(steps)
    steps.close()
    assert loading.load(SMALL, weights=None).name == SMALL


def test_four_models_are_kept():
    names = [f"mobilenet_0.25_{side}" for side in (128, 160, 192, 224)] + ["mobilenetv2_0.35_96"]
    models = {name: loading.load(name, weights=None).model for name in names}
    assert len(loading._loaded) == loading._KEPT == 4
    assert loading.load(names[-1], weights=None).model is models[names[-1]]
    assert loading.load(names[0], weights=None).model is not models[names[0]]


def test_offline_says_which_file_where_and_what_works():
    with pytest.raises(UserError) as refused:
        loading.load("xception")
    words = str(refused.value)
    for part in (
        "xception_weights_tf_dim_ordering_tf_kernels.h5",
        str(weights_path(find("xception")).parent),
        "--weights none",
        "efficientnet_lite0",
    ):
        assert part in words


def test_an_unknown_name_and_a_missing_file_are_said():
    with pytest.raises(UserError, match="xception"):
        loading.load("xceptoin")
    with pytest.raises(UserError, match=r"absent\.keras"):
        loading.load("/nowhere/absent.keras")
    with pytest.raises(UserError, match=r"absent\.h5"):
        loading.load("xception", weights="/nowhere/absent.h5")


def test_weights_in_keras_own_folder_are_found():
    model = small_model()
    path = weights_path(find(SMALL))
    path.parent.mkdir(parents=True)
    model.save(path)  # HDF5 with the layers' names, as the published files are
    backbone = loading.load(SMALL)
    assert backbone.origin == "trained on ImageNet"
    np.testing.assert_allclose(backbone.model(images(128)), model(images(128), training=False), atol=1e-6)


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"<html>not found</html>"])
def test_damaged_weights_in_keras_own_folder_are_refused(damage):
    path = weights_path(find(SMALL))
    path.parent.mkdir(parents=True)
    small_model().save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=path.name):
        loading.load(SMALL)


def test_the_checksum_of_a_found_file_is_held():
    path = weights_path(find("mobilenetv3small"))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    with pytest.raises(UserError, match="checksum"):
        loading.load("mobilenetv3small")


def test_weights_from_a_file_of_ones_own(tmp_path):
    model = small_model()
    path = tmp_path / "mine.weights.h5"
    model.save_weights(path)
    backbone = loading.load(SMALL, weights=str(path))
    assert backbone.origin == "weights from the file mine.weights.h5"
    np.testing.assert_allclose(backbone.model(images(128)), model(images(128), training=False), atol=1e-6)
    with pytest.raises(UserError, match=r"mine\.weights\.h5 do not fit"):
        loading.load("mobilenetv2_0.35_96", weights=str(path))


def test_a_download_is_fetched_checked_and_reported(server):
    folder, address = server
    data = np.random.default_rng(0).bytes(3_000_000)
    (folder / "weights.h5").write_bytes(data)
    entry = dataclasses.replace(
        find(SMALL), url=f"{address}/weights.h5", checksum=hashlib.md5(data).hexdigest(), download_bytes=3_000_000
    )
    path = weights_path(entry)
    steps = list(loading._provide(entry, path))
    assert path.read_bytes() == data
    fractions = [step.fraction for step in steps]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("trouble", ["checksum", "missing", "stopped"])
def test_a_download_that_fails_leaves_nothing(server, trouble):
    folder, address = server
    (folder / "weights.h5").write_bytes(bytes(3_000_000))
    file = "absent.h5" if trouble == "missing" else "weights.h5"
    entry = dataclasses.replace(find(SMALL), url=f"{address}/{file}", checksum="0" * 32)
    path = weights_path(entry)
    steps = loading._provide(entry, path)
    if trouble == "stopped":
        next(steps)
        steps.close()
    else:
        with pytest.raises(UserError):
            list(steps)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("name", [SMALL, "mobilenetv3small", "efficientnet_lite0", "efficientnetv2b0", "convnexttiny"])
def test_headless_models_are_the_same_network_without_its_top(name):
    weights = "imagenet" if name == "efficientnet_lite0" else None
    backbone = loading.load(name, weights=weights)
    height, width = backbone.input_size
    headless = loading.headless(backbone.ref, (height, width, 3))
    expected = keras.Model(backbone.model.inputs[0], graph.last_maps(backbone.model))
    pixels = backbone.preprocessing(np.random.default_rng(0).uniform(0, 255, (1, height, width, 3)))
    np.testing.assert_allclose(headless(pixels, training=False), expected(pixels), atol=1e-4, rtol=1e-4)
    assert not {id(weight) for weight in headless.weights} & {id(weight) for weight in backbone.model.weights}


def test_headless_models_take_other_sizes():
    assert loading.headless(ModelRef(SMALL, None), (96, 160, 3)).output_shape == (None, 3, 5, 256)
    assert loading.headless(ModelRef(SMALL, None), (None, None, 3)).output_shape[-1] == 256
    with pytest.raises(UserError, match="8×8"):
        loading.headless(ModelRef("xception", None), (8, 8, 3))


def trained(backbone, preprocess, path, classes=("cat", "dog", "owl")):
    """What the trainer saves: preprocessing -> headless backbone -> pooling -> dropout -> softmax, with its facts."""
    inputs = keras.Input((96, 96, 3), name="photo")
    x = loading.headless(backbone.ref, (96, 96, 3))(preprocess(inputs), training=False)
    x = keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, keras.layers.Dense(len(classes), activation="softmax", name="answer")(x))
    model.save(path)
    imported.write_facts(path, classes, (96, 96))
    return model


@pytest.mark.parametrize(
    "preprocess",
    [keras.layers.Rescaling(1 / 127.5, -1), keras.layers.Conv2D(3, 1, name="caffe")],
    ids=["rescaling", "convolution"],
)
def test_a_trained_model_opens_with_all_its_layers(tmp_path, preprocess):
    backbone = loading.load("efficientnet_lite0")
    model = trained(backbone, preprocess, tmp_path / "owls.keras")
    opened = loading.load(str(tmp_path / "owls.keras"))
    assert opened.origin == "from the file owls.keras"
    assert opened.class_names == ("cat", "dog", "owl")
    assert opened.input_size == (96, 96)
    names = {layer.name for layer in opened.layers}
    inner = {f"efficientnet_lite0/{layer.name}" for layer in backbone.layers[:-2]}
    assert inner <= names
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 96, 96, 3)).astype(np.float32)
    np.testing.assert_array_equal(opened.preprocessing(pixels), pixels)
    np.testing.assert_allclose(opened.model(pixels), model(pixels, training=False), atol=1e-6)
    cut = graph.at_size(opened, "efficientnet_lite0/block5_project_bn", 64)
    assert cut(np.zeros((1, 64, 64, 3), np.float32)).shape == (1, 4, 4, 80)


def test_a_trained_model_can_be_trained_on(tmp_path):
    path = tmp_path / "first.keras"
    trained(loading.load("efficientnet_lite0"), keras.layers.Rescaling(1 / 128, -127 / 128), path)
    again = loading.headless(ModelRef(str(path)), (64, 64, 3))
    assert again.output_shape == (None, 2, 2, 1280)
    second = tmp_path / "second.keras"
    trained_again = trained(loading.load(str(path)), keras.layers.Identity(), second, ("a", "b"))
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 96, 96, 3)).astype(np.float32)
    opened = loading.load(str(second))
    np.testing.assert_allclose(opened.model(pixels), trained_again(pixels, training=False), atol=1e-6)


def test_a_changed_file_is_read_anew(tmp_path):
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)]).save(path)
    assert loading.load(str(path)).layers[-1].channels == 2
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(21, 3)]).save(path)
    assert loading.load(str(path)).layers[-1].channels == 21


def test_a_runs_own_link_is_the_same_loaded_network(tmp_path):
    path, own = tmp_path / "model.keras", tmp_path / "run" / "model.keras"
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)]).save(path)
    own.parent.mkdir()
    own.hardlink_to(path)
    first, second = loading.load(str(path)), loading.load(str(own))
    assert second.model is first.model and second.ref.name == str(own)
    path.unlink()
    assert loading.load(str(own)).model is first.model
    assert loading.headless(second.ref, (16, 16, 3)).output_shape == (None, 14, 14, 2)


# --- Wrong preprocessing ---------------------------------------------------------------------------------------------


def test_another_preprocessing_is_the_same_loaded_model():
    right = loading.load("efficientnet_lite0")
    wrong = loading.load(ModelRef("efficientnet_lite0", preprocessing="caffe"))
    assert wrong.model is right.model
    assert len(loading._loaded) == 1
    assert wrong.preprocessing == PREPROCESSING["caffe"]
    assert wrong.origin == f"trained on ImageNet; wrong preprocessing: {PREPROCESSING['caffe'].words}"
    assert wrong.info().ref.preprocessing == "caffe"
    again = loading.load("efficientnet_lite0")
    assert again.preprocessing == PREPROCESSING["lite"]
    assert again.origin == "trained on ImageNet"


def test_the_wrong_preprocessing_first_leaves_no_trace():
    wrong = with_logits(loading.load(ModelRef(SMALL, None, "caffe")))
    right = with_logits(loading.load(SMALL, weights=None))
    assert wrong.model is right.model
    assert (wrong.preprocessing, right.preprocessing) == (PREPROCESSING["caffe"], PREPROCESSING["tf"])
    assert right.origin == "random (untrained)"


def test_the_right_preprocessing_by_its_name_is_not_called_wrong():
    assert loading.load(ModelRef(SMALL, None, "tf")).origin == "random (untrained)"


def test_an_unknown_preprocessing_is_named():
    with pytest.raises(UserError, match=r"'upside down'.*caffe"):
        loading.load(ModelRef(SMALL, None, "upside down"))


# --- A model file's network with random weights ----------------------------------------------------------------------


def file_of_everything(path) -> keras.Model:
    """Weights of many kinds, all of them "learned": nothing is as any initialiser would leave it."""
    inner_in = keras.Input((16, 16, 3))
    x = keras.layers.SeparableConv2D(6, 3, name="separable")(inner_in)
    x = keras.layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = keras.layers.BatchNormalization(name="bn")(x)
    inner = keras.Model(inner_in, keras.layers.PReLU(name="prelu")(x), name="inner")
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(3, 1, name="first", bias_initializer=keras.initializers.RandomNormal())(inputs)
    x = inner(x)
    x = keras.layers.Reshape((-1, 6), name="cells")(x)
    x = keras.layers.TimeDistributed(keras.layers.Dense(5), name="each")(x)
    x = keras.layers.MultiHeadAttention(2, 4, name="attention")(x, x)
    x = keras.layers.GlobalAveragePooling1D(name="pool")(x)
    model = keras.Model(inputs, keras.layers.Dense(4, activation="softmax", name="out")(x))
    for weight in model.weights:
        weight.assign(np.full(weight.shape, 7.0))
    model.save(path)
    return model


def test_a_files_network_can_be_shown_untrained(tmp_path):
    path = tmp_path / "learned.keras"
    model = file_of_everything(path)
    learned, random = loading.load(str(path)), loading.load(str(path), weights=None)
    assert random.origin == "random (untrained)"
    assert (learned.origin, learned.title) == ("from the file learned.keras", random.title)
    assert [layer.name for layer in random.layers] == [layer.name for layer in learned.layers]
    assert len(random.model.weights) == len(model.weights)
    for weight in random.model.weights:
        value = weight.numpy()
        assert not np.any(value == 7), weight.path
        if weight.name in ("gamma", "moving_variance"):
            np.testing.assert_array_equal(value, 1)
        elif weight.name in ("beta", "moving_mean", "alpha"):
            np.testing.assert_array_equal(value, 0)
        elif weight.name.endswith("kernel"):
            assert value.std() > 0.01, weight.path
    for weight in learned.model.weights:
        np.testing.assert_array_equal(weight.numpy(), 7)
    assert loading.load(str(path)).model is learned.model


def test_the_random_weights_of_a_file_are_the_same_each_time_and_differ_between_layers(tmp_path):
    path = tmp_path / "learned.keras"
    file_of_everything(path)
    first = [weight.numpy() for weight in loading.load(str(path), weights=None).model.weights]
    loading._loaded.clear()
    keras.random.normal((3,))
    again = [weight.numpy() for weight in loading.load(str(path), weights=None).model.weights]
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    numbers = [round(float(value.ravel()[0]), 6) for value in first if value.std() > 0]
    assert len(set(numbers)) == len(numbers)


def test_training_can_start_from_a_files_network_with_random_weights(tmp_path):
    path = tmp_path / "small.keras"
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x)))
    model.get_layer("conv").set_weights([np.full((3, 3, 3, 4), 7.0), np.zeros(4)])
    model.save(path)
    untrained = loading.headless(ModelRef(str(path), None), (32, 32, 3)).get_layer("conv").get_weights()[0]
    np.testing.assert_array_equal(
        untrained, loading.load(str(path), weights=None).model.get_layer("conv").get_weights()[0]
    )
    assert np.abs(untrained).max() < 1
    np.testing.assert_array_equal(
        loading.headless(ModelRef(str(path)), (32, 32, 3)).get_layer("conv").get_weights()[0], 7
    )


def test_a_headless_model_belongs_to_the_strategy_in_whose_scope_it_is_made():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model = loading.headless(ModelRef("efficientnet_lite0"), (32, 32, 3))
    assert all(strategy.extended.variable_created_in_scope(variable.value) for variable in model.variables)
