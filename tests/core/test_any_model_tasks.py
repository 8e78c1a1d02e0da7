"""Every task of core on networks of many shapes: it works, or it says in one sentence why not.

A few networks are looked at by default, all others with `-m slow`.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from core import activations, attribution, cells, exciting, explorer_code, interventions, journey
from core.attribution_choices import METHODS as WAYS
from core.backbones import graph, loading
from core.backbones.folding import FoldedNetwork
from core.errors import UserError
from core.featurevis import dream, faces, mosaic, portrait
from core.featurevis import keras_code as drawing_code
from core.featurevis.fitting import at_tile
from core.featurevis.methods import METHODS
from core.messages import (
    ActivationsRequest,
    CellRequest,
    DreamRequest,
    EffectsRequest,
    ExcitingRequest,
    FacesRequest,
    HidingRequest,
    JourneyRequest,
    ModelRef,
    Photo,
    PortraitRequest,
    PredictRequest,
    RenderRequest,
    WhatIfRequest,
    WhyRequest,
)
from core.transfer import training
from core.transfer.requests import TrainingConfig
from tests.core.any_models import SHAPES
from tests.core.transfer.conftest import coloured, write

FEW = {
    *("digits", "five_bands", "channels_before_sides", "two_outputs", "photo_and_facts", "mlp", "vision_transformer"),
    *("u_net", "oblong", "equal_names", "recurrent", "volume", "half_precision", "bytes_in", "not_numbers"),
}
PHOTO = Photo.of(np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8))


def over(*few: str) -> pytest.MarkDecorator:
    """On `few` by default, else on all."""
    names = [pytest.param(name, marks=() if name in few else pytest.mark.slow) for name in SHAPES]
    return pytest.mark.parametrize("brought", names, indirect=True)


@pytest.fixture(scope="module")
def brought(request, tmp_path_factory):
    """The shape, a reference to its file, and the network that was opened."""
    shape = SHAPES[request.param]
    path, _ = shape.save(tmp_path_factory.mktemp(shape.name))
    ref = ModelRef(str(path))
    return shape, ref, loading.load(ref)


def last(steps):
    for result in steps:  # noqa: B007
        pass
    return result


def _sentence(error: pytest.ExceptionInfo) -> None:
    words = str(error.value)
    assert words.endswith(".")
    assert "\n" not in words
    assert len(words) < 250


def _works_or_says_why(task):
    """What `task()` gives, or `None` where it says in a sentence why it cannot be."""
    try:
        return task()
    except UserError as error:
        assert str(error).endswith(".")
        assert len(str(error)) < 250
        return None


def _telling(backbone, count: int):
    """So many of the layers, evenly spread, the first and the last among them."""
    places = np.unique(np.linspace(0, len(backbone.layers) - 1, count).round().astype(int))
    return [backbone.layers[place] for place in places]


@over(*FEW)
def test_layers_and_the_journey(brought):
    shape, ref, backbone = brought
    names = tuple(layer.name for layer in backbone.layers)
    found = activations.infer(ActivationsRequest(ref, PHOTO, names))
    assert found.seen.shape == (*shape.size, 3)
    for layer in backbone.layers:
        values = found.values[layer.name]
        assert values.dtype == np.float32
        assert len(values.shape) == len(layer.output_shape)
    for by in ("mean", "variance"):
        rows = journey.travel(JourneyRequest(ref, PHOTO, names, top=2, by=by)).rows
        for row in rows:
            expected = np.moveaxis(found.values[row.layer], -1, 0)[list(row.channels)]
            np.testing.assert_allclose(row.maps, expected, rtol=1e-4, atol=1e-4)


@over(*FEW)
def test_predictions(brought):
    shape, ref, _ = brought
    request = PredictRequest(ref, PHOTO, top=99)
    if not shape.classes:
        with pytest.raises(UserError) as error:
            activations.predict(request)
        _sentence(error)
        return
    found = activations.predict(request)
    if shape.finite and shape.name != "many_labels":
        assert sum(each.probability for each in found) == pytest.approx(1.0, abs=1e-3)


@over(*FEW)
def test_the_folded_network_gives_the_same(brought):
    shape, _, backbone = brought
    names = [layer.name for layer in backbone.layers]
    model = graph.truncated(backbone, names)
    photos = np.random.default_rng(2).integers(0, 256, (2, *shape.size, 3))
    pixels = tf.constant(backbone.preprocessing(photos))
    expected = [np.asarray(tf.cast(each, tf.float32)) for each in keras.tree.flatten(model(pixels, training=False))]
    folded = FoldedNetwork(model)
    targets = tf.constant([0, 1])
    for name, whole, values in zip(names, folded(pixels), expected, strict=True):
        atol = max(2e-5, 5 * shape.close) * max(1.0, float(np.nanmax(np.abs(values), initial=0.0)))
        np.testing.assert_allclose(whole, values, rtol=0, atol=atol, err_msg=name)
    for layer in _telling(backbone, 4):
        if layer.channels > 1:
            (one,) = FoldedNetwork(graph.truncated(backbone, [layer.name])).channel(pixels, targets)
            values = expected[names.index(layer.name)]
            wanted = np.stack([values[0, ..., :1], values[1, ..., 1:2]])
            atol = max(2e-5, 5 * shape.close) * max(1.0, float(np.nanmax(np.abs(values), initial=0.0)))
            known = np.isfinite(wanted)  # at the border TensorFlow multiplies what is no number by the padding's zeros
            np.testing.assert_allclose(one[known], wanted[known], rtol=0, atol=atol, err_msg=layer.name)


def _cell_of(ref, layer):
    """The middle of the last channel."""
    sides = [side or 1 for side in layer.output_shape]
    y, x = [*(side // 2 for side in sides[:-1]), 0, 0][:2]
    return CellRequest(ref, PHOTO, layer.name, sides[-1] - 1, y, x)


def _look_at_cells(brought, layers) -> None:
    shape, ref, _ = brought
    for layer in layers:
        found = _works_or_says_why(lambda layer=layer: cells.look(_cell_of(ref, layer)))
        assert found is not None or layer.kind in ("volume", "other"), layer
        if found is None:
            continue
        assert np.isfinite(found.value) or not shape.finite
        assert found.arithmetic.steps or found.arithmetic.note.endswith(".")
        if found.arithmetic.steps and np.isfinite(found.value):
            far = 5 * shape.close + 1e-5
            scale = max(found.arithmetic.scale, abs(found.value))
            assert found.arithmetic.result == pytest.approx(found.value, abs=far * scale), layer


@over("digits", "two_outputs", "volume")
def test_cells(brought):
    _look_at_cells(brought, _telling(brought[2], 3))


@over()
def test_a_cell_of_every_layer(brought):
    _look_at_cells(brought, brought[2].layers)


def _odds(predictions) -> dict[int, float]:
    return {each.index: each.probability for each in predictions}


def _intervene(brought, layers) -> None:
    shape, ref, _ = brought
    for layer in layers:
        if not shape.classes:
            with pytest.raises(UserError) as error:
                interventions.effects(EffectsRequest(ref, PHOTO, layer.name, 0))
            _sentence(error)
            continue
        effects = interventions.effects(EffectsRequest(ref, PHOTO, layer.name, 0, exact=1))
        assert effects.approximate.shape == (layer.channels,)
        nothing = interventions.what_if(WhatIfRequest(ref, PHOTO, layer.name, ((0, 1.0),), top=99))
        if shape.finite:
            assert _odds(nothing.after) == pytest.approx(_odds(nothing.before), abs=1e-5)
            predicted = _odds(activations.predict(PredictRequest(ref, PHOTO, top=99)))
            assert _odds(nothing.before) == pytest.approx(predicted, abs=1e-5 + shape.close)


@over("digits", "channels_before_sides", "photo_and_facts")
def test_what_if(brought):
    _intervene(brought, _telling(brought[2], 3)[:-1][:1])


@over()
def test_what_if_of_every_layer(brought):
    _intervene(brought, brought[2].layers)


def _explain(brought, ways) -> None:
    shape, ref, _ = brought
    for way in ways:
        found = _works_or_says_why(lambda way=way: last(attribution.explain(WhyRequest(ref, PHOTO, 0, way))))
        assert (found is not None) >= (shape.classes and not WAYS[way].of_layer), way
        if found is not None:
            assert found.heat.shape == shape.size
            assert np.isfinite(found.heat).all() or not shape.finite


@over("digits", "mlp", "u_net")
def test_why(brought):
    shape, _, backbone = brought
    _explain(brought, ("gradcam", "saliency"))
    if shape.classes:
        seen = np.zeros((*shape.size, 3), np.uint8)
        assert attribution.attribute_simply(backbone, seen, 0).heat.shape == shape.size


@over()
def test_why_in_all_ways(brought):
    shape, ref, backbone = brought
    _explain(brought, WAYS)
    for layer in backbone.layers:
        _works_or_says_why(
            lambda layer=layer: last(attribution.explain(WhyRequest(ref, PHOTO, 0, "gradcam", layer.name)))
        )
    if shape.classes:
        heat = np.random.default_rng(0).random(shape.size, np.float32)
        assert len(attribution.hide(HidingRequest.of(ref, PHOTO, 0, heat)).scores) == 10


def _find_exciting(brought, layers) -> None:
    _, ref, _ = brought
    for layer in layers:
        found = last(exciting.rank(ExcitingRequest(ref, layer.name)))
        assert found.peaks.shape == (len(found.names), layer.channels)
        assert np.isfinite(found.peaks).all()


@over("five_bands", "mlp", "recurrent")
def test_exciting_photos(brought):
    _find_exciting(brought, brought[2].layers[:1])


@over()
def test_exciting_photos_of_every_layer(brought):
    _find_exciting(brought, brought[2].layers)


def _draw(ref, layer, method: str, size: int, objective: str = "channel"):
    return last(mosaic.run(RenderRequest(ref, layer.name, (0,), method, size=size, steps=2, objective=objective)))


def _drawable(layer) -> bool:
    return layer.kind != "other"


def _filter_layer(backbone):
    """The first that has something to learn."""
    return next(layer for layer in backbone.layers if layer.parameters and _drawable(layer))


@over("digits", "mlp", "channels_before_sides")
def test_a_filter_is_drawn(brought):
    _, ref, backbone = brought
    found = _draw(ref, _filter_layer(backbone), "fast", 32)
    assert found.png is not None
    assert len(found.trust) == 1


@pytest.mark.parametrize("method", [name for name in METHODS if name != "maco"])
@over()
def test_filters_of_every_layer_are_drawn(brought, method):
    _, ref, backbone = brought
    for layer in backbone.layers:
        for size in (32, 45):
            found = _works_or_says_why(lambda layer=layer, size=size: _draw(ref, layer, method, size))
            # What the photo is made into, or maps smaller than nothing: that may be said.
            assert found is None or found.png is not None
            assert found is not None or not layer.parameters, layer


@over()
def test_the_other_pictures(brought):
    shape, ref, backbone = brought
    layer, answer = _filter_layer(backbone), backbone.layers[-1]
    for method in METHODS:
        request = PortraitRequest(ref, layer.name, 0, method=method, size=48, steps=2)
        assert last(portrait.run(request)).png is not None
    assert last(faces.run(FacesRequest(ref, layer.name, 0, 2, size=32, steps=2))).png is not None
    of_class = PortraitRequest(ref, backbone.answer or answer.name, 0, size=32, steps=2, objective="class")
    found = _works_or_says_why(lambda: last(portrait.run(of_class)))
    assert (found is not None) == (shape.classes or shape.name == "regression")
    maps = [layer for layer in backbone.layers if layer.is_spatial]
    if maps:
        request = DreamRequest(ref, PHOTO, ((maps[0].name, 1.0),), size=64, octaves=2, steps=2)
        found = _works_or_says_why(lambda: last(dream.run(request)))
        assert (found is not None) == (shape.name not in ("digits_reshaped", "film"))  # which take one size only


@over(*FEW)
def test_the_code_to_take_home(brought, tmp_path, monkeypatch):
    """It is run here, and gives our numbers."""
    shape, ref, backbone = brought
    layer = _telling(backbone, 3)[1]
    code = _works_or_says_why(lambda: explorer_code.activations_code(ref, layer.name, backbone.info()))
    if code is None:
        return
    monkeypatch.chdir(tmp_path)
    (tmp_path / ref.name.rpartition("/")[2]).symlink_to(ref.name)
    from PIL import Image

    Image.fromarray(PHOTO.pixels).save("photo.png")
    monkeypatch.setattr("sys.argv", ["script.py"])
    exec(compile(code, "script.py", "exec"), {"__name__": "__main__"})
    (saved,) = tmp_path.glob("*.npz")
    expected = activations.infer(ActivationsRequest(ref, PHOTO, (layer.name,))).values[layer.name]
    with np.load(saved) as found:
        atol = max(1e-5, 5 * shape.close) * max(1.0, float(np.nanmax(np.abs(expected), initial=0.0)))
        np.testing.assert_allclose(found["values"], expected, rtol=0, atol=atol)


@over()
def test_the_code_that_draws(brought, tmp_path, monkeypatch):
    shape, ref, backbone = brought
    wanted = [(_filter_layer(backbone).name, "channel"), (backbone.answer, "class" if shape.classes else "channel")]
    monkeypatch.chdir(tmp_path)
    (tmp_path / ref.name.rpartition("/")[2]).symlink_to(ref.name)
    for layer, objective in wanted:
        request = RenderRequest(ref, layer, (0,), "fast", size=32, steps=2, objective=objective)
        code = _works_or_says_why(lambda request=request: drawing_code.mosaic_code(request, backbone.info()))
        if code is not None:
            exec(compile(code, "script.py", "exec"), {"__name__": "__main__"})
            assert (tmp_path / f"filters_for_layer_{layer.replace('/', '.')}.png").is_file()


_TRAINED = ("digits", "mlp")
_TRAINED_TOO = (
    *(
        "channels_before_sides",
        "flexible",
        "vision_transformer",
        "photo_and_facts",
        "two_outputs",
        "recurrent",
        "u_net",
    ),
    *("volume", "equal_names", "oblong", "half_precision", "bytes_in", "five_bands", "regression", "nested_mobilenet"),
)


@pytest.mark.parametrize("name", [*_TRAINED, *(pytest.param(name, marks=pytest.mark.slow) for name in _TRAINED_TOO)])
def test_the_trainer_builds_on_it_and_what_it_saves_opens_with_nothing_asked(name, tmp_path):
    path, _ = SHAPES[name].save(tmp_path)
    config = TrainingConfig(
        data=str(write(tmp_path / "colours", coloured(6))),
        backbone=ModelRef(str(path)),
        out=str(tmp_path / "out"),
        size=32,
        epochs=2,
        batch_size=8,
        augmentation=None,
    )
    report = last(training.run(config)).report
    ref = ModelRef(report.model_path)
    opened = loading.load(ref)
    assert opened.openings.range_known and opened.openings.names_known
    assert opened.class_names == report.classes == ("blue", "green", "red")
    photos = np.random.default_rng(3).integers(0, 256, (2, 32, 32, 3)).astype(np.float32)
    plain = keras.saving.load_model(report.model_path)(photos, training=False)
    np.testing.assert_allclose(activations.class_probabilities(opened, photos), plain, atol=1e-5)
    assert attribution.attribute_simply(opened, photos[0].astype(np.uint8), 0).heat.shape == (32, 32)


@pytest.mark.parametrize("name", ["digits", *(pytest.param(name, marks=pytest.mark.slow) for name in SHAPES)])
def test_at_another_size_what_is_there_can_be_looked_at(name, tmp_path):
    """Each layer that is left gives the maps announced; the prediction, where it is left, is one."""
    path, _ = SHAPES[name].save(tmp_path)
    ref = ModelRef(str(path), size=(36, 44))
    opened = _works_or_says_why(lambda: loading.load(ref))
    if opened is None:
        first = loading.load(ModelRef(str(path))).layers[0]
        assert first.kind != "maps" or first.type == "Reshape"
        return
    assert opened.own_size == SHAPES[name].size
    names = tuple(layer.name for layer in opened.layers)
    found = activations.infer(ActivationsRequest(ref, PHOTO, names))
    assert found.seen.shape == (36, 44, 3)
    for layer in opened.layers:
        given = found.values[layer.name].shape
        assert all(wanted in (None, side) for wanted, side in zip(layer.output_shape, given, strict=True)), layer
    predictions = _works_or_says_why(lambda: activations.predict(PredictRequest(ref, PHOTO)))
    assert predictions is None or SHAPES[name].classes
    _works_or_says_why(lambda: last(attribution.explain(WhyRequest(ref, PHOTO, 0, "gradcam"))))
    _works_or_says_why(lambda: interventions.effects(EffectsRequest(ref, PHOTO, names[0], 0, exact=1)))
    assert _works_or_says_why(lambda: cells.look(_cell_of(ref, opened.layers[0]))) is not None or name in (
        "volume",
        "film",
    )
    assert _draw(ref, opened.layers[0], "fast", 32).png is not None


@pytest.mark.parametrize(
    "name, layer, size, shape",
    [
        ("u_net", "skip", 45, (46, 46, 10)),  # halved and doubled again, 45 would be 44
        ("u_net", "skip", 46, (46, 46, 10)),
        ("oblong", "classes", 64, (3,)),
        ("oblong", "conv", 64, (32, 32, 3)),
        ("recurrent", "lstm", 64, (12, 5)),
        ("film", "conv_lstm", 64, (8, 8, 4)),
        ("mlp", "hidden1", 200, (16,)),
    ],
)
def test_a_tile_of_any_size_is_brought_to_one_that_the_layer_can_be_computed_at(name, layer, size, shape, tmp_path):
    path, _ = SHAPES[name].save(tmp_path)
    model = at_tile(loading.load(ModelRef(str(path))), layer, size)
    assert model.input_shape == (None, size, size, 3)
    assert model(np.zeros((1, size, size, 3), np.float32)).shape == (1, *shape)
