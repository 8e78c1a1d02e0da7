import keras
import numpy as np
import pytest

from core import activations, interventions
from core import images as pictures
from core.backbones.batches import bytes_per_photo
from core.errors import UserError
from core.messages import EffectsRequest, ModelRef, Photo, WhatIfRequest
from tests.core.tiny import (
    TINY_SIZE,
    CountingTraces,
    nested_model,
    redness_model,
    tiny_backbone,
    tiny_model,
    with_seeded_weights,
)


def photo(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (TINY_SIZE, TINY_SIZE, 3), dtype=np.uint8)


def calm(model: keras.Model) -> keras.Model:
    """Pixels of 0..255 would drive the softmax to 0 and 1."""
    for weight in model.layers[-1].weights:
        weight.assign(weight / 100)
    return model


def residual_model() -> keras.Model:
    """Two blocks with shortcuts of both kinds (added, concatenated), and a layer that is called twice."""
    inputs = keras.Input((TINY_SIZE, TINY_SIZE, 3))
    x = keras.layers.Rescaling(1 / 50, name="scaled")(inputs)
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="stem")(x)
    shared = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="shared")
    y = shared(x)
    y = shared(y)
    x = keras.layers.Add(name="add")([x, y])
    z = keras.layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(x)
    x = keras.layers.Concatenate(name="both")([x, z])
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dense(5, activation="relu", name="hidden")(x)
    return with_seeded_weights(keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="out")(x)))


def linear_model() -> keras.Model:
    inputs = keras.Input((TINY_SIZE, TINY_SIZE, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return calm(with_seeded_weights(keras.Model(inputs, keras.layers.Dense(3, name="out")(x))))


class Times(keras.layers.Layer):
    def __init__(self, factors):
        super().__init__()
        self.factors = factors

    def call(self, inputs):
        return inputs * self.factors


def the_plain_way(backbone, layer: str, factors: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The probabilities of a model rebuilt with a layer that multiplies, one run for each row of factors."""
    history = backbone.tensor(layer)._keras_history
    own = {id(node) for level in backbone.model._nodes_by_depth.values() for node in level}
    calls = [node for node in history.operation._inbound_nodes if id(node) in own]
    which = calls.index(history.operation._inbound_nodes[history.node_index])  # of a shared layer's calls
    found = []
    for row in factors:
        met = []

        def call(operation, *arguments, row=row, met=met, **named):
            outputs = operation(*arguments, **named)
            if operation is history.operation:
                met.append(operation)
                return Times(row)(outputs) if len(met) == which + 1 else outputs
            return outputs

        inputs = keras.Input(image.shape)
        outputs = backbone.model._run_through_graph([inputs], call_fn=call)
        found.append(np.asarray(keras.Model(inputs, outputs)(backbone.preprocessing(image[None]), training=False))[0])
    return np.stack(found)


LAYERS = ["stem", "shared", "shared:2", "add", "depthwise", "both", "pool", "hidden"]


@pytest.mark.parametrize("layer", LAYERS)
def test_switching_and_turning_up_is_what_a_rebuilt_model_computes(layer):
    backbone = tiny_backbone(residual_model())
    channels = backbone.layer(layer).channels
    factors = np.random.default_rng(1).uniform(0, 3, (3, channels)).astype(np.float32)
    factors[0, 0] = 0
    logits = interventions.intervened(backbone, photo(), layer, factors)
    expected = the_plain_way(backbone, layer, factors, photo())
    assert np.ptp(expected, axis=0).max() > 1e-3  # the factors do something
    np.testing.assert_allclose(activations.probabilities_of(backbone, logits), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layer", ["rescale", "inner/inner_conv", "inner/inner_bn", "outer_pool"])
def test_a_nested_model_is_changed_inside(layer):
    backbone = tiny_backbone(calm(nested_model()))
    factors = np.random.default_rng(1).uniform(0, 3, (2, backbone.layer(layer).channels)).astype(np.float32)
    logits = interventions.intervened(backbone, photo(), layer, factors)
    expected = the_plain_way(backbone, layer, factors, photo())
    np.testing.assert_allclose(activations.probabilities_of(backbone, logits), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
def test_factors_of_one_change_nothing(activation):
    backbone = tiny_backbone(tiny_model(activation=activation))
    logits = interventions.intervened(backbone, photo(), "bn1", np.ones((2, 6), np.float32))
    expected = activations.class_probabilities(backbone, photo()[None])
    np.testing.assert_allclose(
        activations.probabilities_of(backbone, logits), np.repeat(expected, 2, axis=0), rtol=1e-4, atol=1e-6
    )


def test_all_channels_off_is_a_network_that_sees_nothing():
    model = tiny_model()
    backbone = tiny_backbone(model)
    logits = interventions.intervened(backbone, photo(), "conv2", np.zeros((1, 8), np.float32))
    bias = model.get_layer("predictions").get_weights()[1]
    np.testing.assert_allclose(logits[0], bias, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", ["conv", "pool"])
def test_in_a_linear_network_the_estimate_is_exact_and_known_by_hand(layer):
    model = linear_model()
    backbone = tiny_backbone(model)
    found = interventions.channel_effects(backbone, photo(), layer, target=2, exact=4)
    pooled = activations.infer_layers(backbone, photo()[None], ["pool"])["pool"][0]
    by_hand = pooled * model.get_layer("out").get_weights()[0][:, 2]
    np.testing.assert_allclose(found.approximate, by_hand, rtol=1e-4, atol=1e-5)
    for each in found.exact:
        assert each.logit == pytest.approx(found.approximate[each.channel], rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("layer", ["shared", "depthwise", "hidden"])
def test_exact_effects_are_losses_of_the_class_largest_estimates_first(layer):
    backbone = tiny_backbone(residual_model())
    channels = backbone.layer(layer).channels
    found = interventions.channel_effects(backbone, photo(), layer, target=1, exact=3)
    order = np.argsort(-np.abs(found.approximate), kind="stable")
    assert [each.channel for each in found.exact] == order[:3].tolist()
    before = activations.class_probabilities(backbone, photo()[None])[0, 1]
    assert found.probability == pytest.approx(before, rel=1e-4)
    for each in found.exact:
        off = np.ones((1, channels), np.float32)
        off[0, each.channel] = 0
        after = the_plain_way(backbone, layer, off, photo())[0, 1]
        assert each.probability == pytest.approx(before - after, rel=1e-3, abs=1e-6)


def test_the_estimate_is_the_derivative_by_the_factor():
    backbone = tiny_backbone(residual_model())
    found = interventions.channel_effects(backbone, photo(), "add", target=0, exact=0)
    assert found.exact == ()
    nudge = 1e-2
    factors = np.concatenate([1 + nudge * np.eye(4), 1 - nudge * np.eye(4)]).astype(np.float32)
    logits = interventions.intervened(backbone, photo(), "add", factors)[:, 0]
    np.testing.assert_allclose(found.approximate, (logits[:4] - logits[4:]) / (2 * nudge), rtol=0.02, atol=2e-3)


def red_or_not() -> keras.Model:
    """Says "red" by the redness of the photo alone; channel 1, brightness, counts for nothing."""
    redness = redness_model()
    x = keras.layers.GlobalAveragePooling2D(name="pool")(redness.outputs[0])
    model = keras.Model(redness.inputs, keras.layers.Dense(1, activation="sigmoid", name="red")(x))
    model.get_layer("red").set_weights([np.array([[0.02], [0.0]], np.float32), np.array([-1.0], np.float32)])
    return model


def test_a_red_photo_is_red_because_of_redness():
    backbone = tiny_backbone(red_or_not())
    image = np.full((TINY_SIZE, TINY_SIZE, 3), (200, 50, 50), np.uint8)  # redness 150, logit 0.02 * 150 − 1 = 2
    yes = interventions.channel_effects(backbone, image, "redness", target=1, exact=2)
    assert yes.logit == pytest.approx(2, rel=1e-4)
    assert yes.probability == pytest.approx(1 / (1 + np.exp(-2)), rel=1e-4)
    np.testing.assert_allclose(yes.approximate, [3, 0], rtol=1e-4)
    assert yes.exact[0].probability == pytest.approx(1 / (1 + np.exp(-2)) - 1 / (1 + np.exp(1)), rel=1e-3)
    no = interventions.channel_effects(backbone, image, "redness", target=0, exact=0)
    np.testing.assert_allclose(no.approximate, [-3, 0], rtol=1e-4)


def test_a_very_certain_network_still_has_effects():
    """A probability of 1 has no slope left; the logit has."""
    model = red_or_not()
    model.get_layer("red").set_weights([np.array([[5.0], [0.0]], np.float32), np.zeros(1, np.float32)])
    image = np.full((TINY_SIZE, TINY_SIZE, 3), (200, 50, 50), np.uint8)
    found = interventions.channel_effects(tiny_backbone(model), image, "redness", target=1, exact=1)
    assert found.probability == 1
    assert found.approximate[0] == pytest.approx(750, rel=1e-4)


def test_nothing_is_traced_again_for_another_channel_class_or_photo():
    inputs = keras.Input((TINY_SIZE, TINY_SIZE, 3))
    x = keras.layers.Conv2D(6, 3, name="conv")(CountingTraces()(inputs))
    x = keras.layers.GlobalAveragePooling2D()(x)
    backbone = tiny_backbone(keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x)))
    interventions.channel_effects(backbone, photo(), "conv", target=0, exact=2)
    traced = CountingTraces.calls
    for seed, target, exact in ((1, 2, 6), (2, 1, 1)):
        interventions.channel_effects(backbone, photo(seed), "conv", target=target, exact=exact)
        interventions.intervened(backbone, photo(seed), "conv", np.full((exact, 6), seed, np.float32))
    assert CountingTraces.calls == traced


@pytest.mark.parametrize("batch", [1, 2])
def test_a_model_of_fixed_batch_size_has_by_ways_too(batch):
    """It was made for so many photos at once; here it gets one, and as many rows of factors as are asked for."""

    def build(size: int | None) -> keras.Model:
        inputs = keras.Input((TINY_SIZE, TINY_SIZE, 3), batch_size=size)
        x = keras.layers.Conv2D(4, 3, padding="same", name="conv")(inputs)
        y = keras.layers.Conv2D(4, 3, padding="same", name="behind")(x)
        x = keras.layers.GlobalAveragePooling2D()(keras.layers.Concatenate()([x, y]))
        return calm(with_seeded_weights(keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))))

    factors = np.random.default_rng(1).uniform(0, 2, (3, 4)).astype(np.float32)
    found, expected = (
        interventions.intervened(tiny_backbone(build(size)), photo(), "behind", factors) for size in (batch, None)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_many_rows_go_in_parts(monkeypatch):
    backbone = tiny_backbone(residual_model())
    factors = np.random.default_rng(1).uniform(0, 2, (7, 4)).astype(np.float32)
    whole = interventions.intervened(backbone, photo(), "shared", factors)
    monkeypatch.setattr(interventions, "BATCH_BYTES", 3 * max(bytes_per_photo(backbone)))
    parts = interventions.intervened(tiny_backbone(residual_model()), photo(), "shared", factors)
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model = residual_model()
    path = tmp_path_factory.mktemp("model") / "residual.keras"
    model.save(path)
    return model, ModelRef(str(path))


def test_what_if_names_the_best_before_and_after_in_the_order_of_before(saved):
    model, ref = saved
    big = Photo.of(np.random.default_rng(3).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    answer = interventions.what_if(WhatIfRequest(ref, big, "hidden", ((0, 0.0), (2, 40.0)), top=1))
    seen = pictures.fit(big.pixels, (TINY_SIZE, TINY_SIZE))[None].astype(np.float32)
    before = np.asarray(model(seen, training=False))[0]
    assert [each.index for each in answer.before] == [each.index for each in answer.after]
    shown = [each.index for each in answer.before]
    assert shown == sorted(shown, key=lambda index: -before[index])
    assert shown[0] == before.argmax()
    np.testing.assert_allclose([each.probability for each in answer.before], before[shown], rtol=1e-4)
    head = model.get_layer("out").get_weights()
    hidden = np.asarray(keras.Model(model.inputs[0], model.get_layer("hidden").output)(seen))[0]
    scores = (hidden * np.array([0, 1, 40, 1, 1])) @ head[0] + head[1]
    after = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    np.testing.assert_allclose([each.probability for each in answer.after], after[shown], rtol=1e-3, atol=1e-6)
    assert after.argmax() in shown


def test_nothing_changed_is_the_prediction_itself(saved):
    _, ref = saved
    answer = interventions.what_if(WhatIfRequest(ref, Photo.of(photo()), "add", ()))
    assert answer.before == answer.after


def test_the_class_that_is_watched_is_among_the_answers(saved):
    _, ref = saved
    for watched in range(3):
        answer = interventions.what_if(WhatIfRequest(ref, Photo.of(photo()), "add", (), top=1, watch=watched))
        assert watched in [each.index for each in answer.after]
        assert len(answer.after) <= 2


@pytest.mark.parametrize(
    ("request_of", "words"),
    [
        (lambda ref, p: interventions.what_if(WhatIfRequest(ref, p, "add", (), watch=-1)), "no class -1"),
        (lambda ref, p: interventions.what_if(WhatIfRequest(ref, p, "add", ((4, 0.0),))), "no channel 4"),
        (lambda ref, p: interventions.what_if(WhatIfRequest(ref, p, "add", ((0, float("nan")),))), "nan"),
        (lambda ref, p: interventions.what_if(WhatIfRequest(ref, p, "addd", ())), "addd"),
        (lambda ref, p: interventions.effects(EffectsRequest(ref, p, "add", 3)), "no class 3"),
    ],
)
def test_what_is_not_there_is_named(saved, request_of, words):
    _, ref = saved
    with pytest.raises(UserError, match=words):
        request_of(ref, Photo.of(photo()))


def test_a_network_without_classes_says_so():
    with pytest.raises(UserError, match="list of classes"):
        interventions.channel_effects(tiny_backbone(redness_model()), photo(), "redness", 0, 1)
