import sys

import keras
import numpy as np
import pytest
from keras.src.utils import file_utils

from core.backbones import understanding
from core.backbones.catalogue import CATALOGUE, availability, find, imagenet_class_names, weights_path
from core.backbones.fresh_thread import in_fresh_thread
from core.backbones.preprocessing import PREPROCESSING
from core.errors import UserError

KERAS = [entry for entry in CATALOGUE.values() if not entry.embedded]
SMALL = (
    "mobilenet_0.25_128 mobilenetv2_0.35_96 mobilenetv3small_0.75 mobilenetv3large_minimalistic xception vgg16 "
    "resnet50v2 efficientnetb0 efficientnetv2b0 convnexttiny"
)


class Asked(BaseException):
    """Not an Exception, so that nothing on the way catches it."""


def asked_for(entry, monkeypatch):
    """The file, address and checksum that Keras' own builder asks for when it wants the ImageNet weights."""

    def note(fname=None, origin=None, file_hash=None, **_):
        raise Asked(fname, origin, file_hash)

    monkeypatch.setattr(file_utils, "get_file", note)
    with pytest.raises(Asked) as asked:
        built(entry, "imagenet")
    return asked.value.args


def built(entry, weights):
    """The model without memory for its weights."""

    def build():
        with keras.StatelessScope(initialize_variables=False):
            builder = getattr(keras.applications, entry.builder)
            return builder(weights=weights, input_shape=(*entry.input_size, 3), **entry.kwargs)

    return in_fresh_thread(build)


def hold_against_keras(entry, monkeypatch):
    model = built(entry, None)
    assert model.count_params() == entry.parameters
    assert understanding.needs_its_size(model) == (entry.family == "VGG")  # the only one that flattens its maps
    assert entry.download_bytes == 4 * entry.parameters
    assert asked_for(entry, monkeypatch) == (entry.weights_file, entry.url, entry.checksum)


@pytest.mark.parametrize("name", SMALL.split())
def test_parameters_and_files_are_those_of_keras(name, monkeypatch):
    hold_against_keras(find(name), monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("entry", KERAS, ids=lambda entry: entry.name)
def test_all_parameters_and_files_are_those_of_keras(entry, monkeypatch):
    hold_against_keras(entry, monkeypatch)


def test_every_builder_of_keras_is_there():
    builders = {name for name in dir(keras.applications) if name[0].isupper()}
    assert {entry.builder for entry in KERAS} == builders


@pytest.mark.parametrize("entry", KERAS, ids=lambda entry: entry.name)
def test_preprocessing_is_that_of_keras(entry):
    module = sys.modules[getattr(keras.applications, entry.builder).__module__]
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 5, 4, 3)).astype(np.float32)
    expected = module.preprocess_input(pixels.copy())
    np.testing.assert_allclose(PREPROCESSING[entry.preprocessing](pixels), expected, atol=1e-4)


def test_preprocessing_leaves_its_input_alone():
    pixels = np.full((1, 2, 2, 3), 200.0, np.float32)
    for preprocessing in PREPROCESSING.values():
        preprocessing(pixels)
    assert (pixels == 200).all()


def test_the_embedded_model_comes_first_and_the_plain_names_are_the_defaults():
    assert next(iter(CATALOGUE)) == "efficientnet_lite0"
    for name in ("mobilenet", "mobilenetv2"):
        assert find(name).input_size == (224, 224)
        assert find(name).kwargs == {"alpha": 1.0}
    assert find("mobilenet_0.50_160").kwargs == {"alpha": 0.5}
    assert find("mobilenet_0.50_160").input_size == (160, 160)


def test_no_two_models_share_a_file():
    files = [entry.weights_file for entry in KERAS]
    assert len(set(files)) == len(files) == 80


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("Inception_V3", "inceptionv3"),
        ("mobilenetv2_1.00_224", "mobilenetv2"),
        ("efficientnetv2-b0", "efficientnetv2b0"),
        ("nasnet_mobile", "nasnetmobile"),
        ("ResNet152V2", "resnet152v2"),
    ],
)
def test_keras_own_spelling_is_understood(theirs, ours):
    assert find(theirs).name == ours


def test_an_unknown_name_is_answered_with_near_misses():
    with pytest.raises(UserError, match="resnet50"):
        find("reznet50")


def test_availability_follows_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    entry = find("xception")
    path = weights_path(entry)
    assert path == tmp_path / "models" / "xception_weights_tf_dim_ordering_tf_kernels.h5"
    assert availability(entry) == "download"
    path.parent.mkdir()
    path.write_bytes(b"x")
    assert availability(entry) == "local"
    assert availability(find("efficientnet_lite0")) == "embedded"


def test_class_names_are_in_the_networks_order():
    names = imagenet_class_names()
    assert len(names) == len({name for name in names if name}) == 1000
    assert [names[i] for i in (282, 285, 665, 967, 985)] == ["tiger cat", "Egyptian cat", "moped", "espresso", "daisy"]
