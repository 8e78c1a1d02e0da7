"""Any network that a person brings: saved, opened, and held against itself as its maker would call it."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from core.backbones import classes, loading
from core.messages import ModelRef
from tests.core.any_models import SHAPES, Shape


@pytest.fixture(scope="module", params=SHAPES)
def brought(request, tmp_path_factory):
    """The shape, the network itself, and what the app makes of its file."""
    shape: Shape = SHAPES[request.param]
    path, model = shape.save(tmp_path_factory.mktemp(shape.name))
    return shape, model, loading.load(ModelRef(str(path)))


def _photos(shape: Shape, count: int = 2) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, *shape.size, 3)).astype(np.float32)


def test_what_it_answers_is_what_its_maker_gets(brought):
    shape, model, backbone = brought
    assert backbone.input_size == shape.size
    pixels = backbone.preprocessing(_photos(shape))
    expected = shape.answers(model, pixels)
    answers = np.asarray(backbone.model(pixels, training=False), np.float32)
    assert np.isfinite(expected).all() == shape.finite
    scale = max(1.0, float(np.nanmax(np.abs(expected), initial=0.0)))
    np.testing.assert_allclose(answers, expected, rtol=0, atol=shape.close * scale)


def test_every_layer_listed_gives_what_is_announced(brought):
    shape, _, backbone = brought
    names = [layer.name for layer in backbone.layers]
    model = keras.Model(backbone.model.inputs[0], [backbone.tensor(name) for name in names])
    values = model(backbone.preprocessing(_photos(shape, 1)), training=False)
    assert len(names) >= 2
    for layer, value in zip(backbone.layers, values, strict=True):
        found = np.asarray(value, np.float32)[0]
        announced = layer.output_shape
        assert len(found.shape) == len(announced)
        assert all(wanted in (None, size) for wanted, size in zip(announced, found.shape, strict=True)), layer
        assert np.isfinite(found).all() or not shape.finite, layer


def test_it_is_known_whether_it_tells_classes(brought):
    shape, _, backbone = brought
    assert (classes.activation_of(backbone.model) is not None) == shape.classes


def test_it_takes_the_colours_of_a_photo(brought):
    backbone = brought[2]
    assert tuple(backbone.model.inputs[0].shape)[-1] == 3
    assert len(backbone.model.inputs) == len(backbone.model.outputs) == 1
