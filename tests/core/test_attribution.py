"""Why: known answers, independent implementations, and the test by hiding."""

import keras
import numpy as np
import pytest

from core import activations
from core import images as pictures
from core.attribution import attribute, cams, explain, hide, hiding, slopes
from core.attribution.network import Network, last_maps
from core.attribution_choices import METHODS, WINDOWS, seconds
from core.errors import UserError
from core.messages import HidingRequest, LayerInfo, ModelRef, Photo, WhyRequest
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


def last(parts):
    *_, found = parts
    return found


def why(backbone, method, target=1, image=None, **more):
    return last(attribute(backbone, photo() if image is None else image, method, target, **more))


def small_network(activation: str | None = "softmax", classes: int = 3) -> keras.Model:
    """Two layers of maps that ReLUs keep at zero or above."""
    inputs = keras.Input((TINY_SIZE, TINY_SIZE, 3), name="photo")
    x = keras.layers.Rescaling(1 / 100, name="scaled")(inputs)
    x = keras.layers.Conv2D(6, 3, padding="same", activation="relu", name="first")(x)
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="second")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return with_seeded_weights(keras.Model(inputs, keras.layers.Dense(classes, activation=activation, name="out")(x)))


def left_redness() -> keras.Model:
    """Class 1's logit is the mean redness of the photo's left half, in hundredths; class 0's is 0."""
    redness = redness_model()
    left = keras.layers.Cropping2D(((0, 0), (0, TINY_SIZE // 2)), name="left")(redness.outputs[0])
    pool = keras.layers.GlobalAveragePooling2D(name="pool")(left)
    model = keras.Model(redness.inputs, keras.layers.Dense(2, activation="softmax", name="out")(pool))
    model.get_layer("out").set_weights([np.array([[0, 0.01], [0, 0]], np.float32), np.zeros(2, np.float32)])
    return model


def one_red_patch() -> np.ndarray:
    """Grey, with red at the left of the middle, and as much red on the right, where it does not count."""
    image = np.full((TINY_SIZE, TINY_SIZE, 3), 120, np.uint8)
    image[8:14, 3:9] = image[8:14, 15:21] = (230, 40, 40)
    return image


# --- Known answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_what_speaks_for_redness_on_the_left_is_red_and_on_the_left(method):
    backbone = tiny_backbone(left_redness())
    # The maps of the layer before the crop: after it nothing is left of the right half.
    found = why(backbone, method, image=one_red_patch(), layer="redness" if METHODS[method].of_layer else None)
    assert found.heat.shape == (TINY_SIZE, TINY_SIZE) and found.signed == METHODS[method].signed
    halves = np.abs(found.heat[:, :12]).sum(), np.abs(found.heat[:, 12:]).sum()
    if method in ("gradcam", "gradcampp", "scorecam"):  # one weight for a whole map cannot tell left from right
        assert np.unravel_index(found.heat.argmax(), found.heat.shape)[0] in range(8, 14)
        return
    assert halves[0] > 5 * halves[1]
    if method not in ("saliency", "smoothgrad"):  # the slope of a linear score is the same all over the left
        red = found.heat[8:14, 3:9].mean()
        assert red > 2 * np.delete(found.heat[:, :12], slice(5, 17), axis=0).mean() and red > 0


def test_integrated_gradients_of_a_linear_score_are_known_by_hand():
    backbone = tiny_backbone(left_redness())
    image = photo()
    found = why(backbone, "integrated", image=image).heat
    away = image - image.mean(axis=(0, 1))
    by_hand = 0.01 * (away @ np.array([1.0, -0.5, -0.5])) / (TINY_SIZE * TINY_SIZE / 2)
    by_hand[:, TINY_SIZE // 2 :] = 0
    np.testing.assert_allclose(found, by_hand, atol=1e-6)


def test_the_gradient_of_a_linear_score_is_known_by_hand():
    found = why(tiny_backbone(left_redness()), "saliency").heat
    expected = np.zeros_like(found)
    expected[:, : TINY_SIZE // 2] = 0.01 / (TINY_SIZE * TINY_SIZE / 2)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_grad_cam_of_a_pooled_network_is_the_first_class_activation_map():
    """Where pooling and a dense layer follow, Grad-CAM's weights are the dense layer's (Zhou et al. 2016)."""
    model = small_network()
    backbone = tiny_backbone(model)
    maps = activations.infer_layers(backbone, photo()[None], ["second"])["second"][0]
    cam = np.maximum(maps @ model.get_layer("out").get_weights()[0][:, 1], 0)
    look = Network(backbone).look(backbone.preprocessing(photo()[None]), "second", 1)
    np.testing.assert_allclose(cams.grad_cam(look) * maps[..., 0].size, cam, rtol=1e-3, atol=1e-5)


# --- Independent implementations -------------------------------------------------------------------------------------


def the_plain_score(model: keras.Model, images: np.ndarray, target: int) -> np.ndarray:
    return np.asarray(model(images.astype(np.float32), training=False))[:, target]


def test_integrated_gradients_are_those_of_a_plain_loop_and_complete():
    import tensorflow as tf

    model = small_network(activation=None)
    image = photo().astype(np.float32)
    found = why(tiny_backbone(model), "integrated").heat
    base, steps = np.broadcast_to(image.mean(axis=(0, 1)), image.shape), 400
    x = tf.constant(np.stack([base + (step + 0.5) / steps * (image - base) for step in range(steps)]), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        score = model(x, training=False)[:, 1]
    loop = (tape.gradient(score, x).numpy().mean(axis=0) * (image - base)).sum(axis=-1)
    np.testing.assert_allclose(found, loop, atol=0.02 * np.abs(loop).max())
    gained = the_plain_score(model, image[None], 1) - the_plain_score(model, base[None], 1)
    assert found.sum() == pytest.approx(gained[0], rel=5e-3)


def test_occlusion_is_what_a_plain_loop_finds():
    model = small_network(activation=None)
    found = why(tiny_backbone(model), "occlusion")
    image = photo().astype(np.float32)
    score, mean = the_plain_score(model, image[None], 1)[0], image.mean(axis=(0, 1))
    total, count = np.zeros((2, TINY_SIZE, TINY_SIZE))
    window = round(2 * TINY_SIZE / (WINDOWS + 1))
    places = sorted({round(step * (TINY_SIZE - window) / (WINDOWS - 1)) for step in range(WINDOWS)})
    corners = [(top, left) for top in places for left in places]
    hidden = np.stack([image] * len(corners))
    for each, (top, left) in zip(hidden, corners, strict=True):
        each[top : top + window, left : left + window] = mean
    for fall, (top, left) in zip(score - the_plain_score(model, hidden, 1), corners, strict=True):
        total[top : top + window, left : left + window] += fall
        count[top : top + window, left : left + window] += 1
    assert count.min() >= 1
    np.testing.assert_allclose(found.heat, total / count, atol=1e-4)
    assert found.score == pytest.approx(score, rel=1e-5)


def largest_is_one(heat: np.ndarray) -> np.ndarray:
    return heat / (np.abs(heat).max() or 1)


def peer_cam(kind, model, image, target, layer, **more):
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
    from tf_keras_vis.layercam import Layercam
    from tf_keras_vis.scorecam import Scorecam
    from tf_keras_vis.utils.scores import CategoricalScore

    peers = {"gradcam": Gradcam, "gradcampp": GradcamPlusPlus, "layercam": Layercam, "scorecam": Scorecam}
    peer = peers[kind](model, clone=False)
    given = {
        "penultimate_layer": layer,
        "seek_penultimate_conv_layer": False,
        "expand_cam": False,
        "normalize_cam": False,
        **more,
    }
    return np.asarray(peer(CategoricalScore(target), image, **given))[0]


def check_against_peers(backbone, model, image, target, layer, monkeypatch) -> set[str]:
    """The methods that found anything; a ReLU may leave nothing of a class that all maps speak against."""
    import tf_keras_vis.scorecam as peers_scorecam

    # It enlarges so that the corners' middles meet the photo's corners; ours keeps cells' places.
    monkeypatch.setattr(
        peers_scorecam, "zoom", lambda maps, factor, **_: cams.enlarged(np.asarray(maps)[0], image.shape[1:3])[None]
    )
    network = Network(backbone)
    look = network.look(image, layer, target)
    ours = {name: formula(look) for name, formula in cams.FORMULAS.items()}
    ours["scorecam"] = last(cams.score_cam(network, image, look, target))[2]
    for name, heat in ours.items():
        more = {"max_N": 64} if name == "scorecam" and look.maps.shape[-1] > 64 else {}
        theirs = peer_cam(name, model, image, target, layer, **more)
        np.testing.assert_allclose(largest_is_one(heat), largest_is_one(theirs), atol=2e-3, err_msg=name)
    return {name for name, heat in ours.items() if heat.max() > 0}


def check_pixels_against_peer(backbone, model, image, target, monkeypatch, atol):
    from tf_keras_vis.saliency import Saliency
    from tf_keras_vis.utils.scores import CategoricalScore

    peer = Saliency(model, clone=False)
    network = Network(backbone)
    theirs = np.asarray(peer(CategoricalScore(target), image, normalize_map=False))[0]
    ours = last(slopes.saliency(network, image, target))[2]
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.999
    np.testing.assert_allclose(largest_is_one(ours), largest_is_one(theirs), atol=atol)
    copies = 6
    noise = np.empty((copies, *image.shape), np.float32)
    rng = np.random.default_rng(5)
    for batch in network.batches(copies, of_slopes=True):
        noise[batch, 0] = rng.standard_normal((len(batch), *image.shape[1:]), np.float32)
    monkeypatch.setattr(np.random, "normal", lambda mean, spread, shape: noise * np.asarray(spread))
    more = {"smooth_samples": copies, "smooth_noise": slopes.NOISE, "gradient_modifier": None}
    raw = peer(CategoricalScore(target), image, keepdims=True, normalize_map=False, **more)
    theirs = np.abs(np.asarray(raw)[0]).max(axis=-1)
    ours = last(slopes.smooth_grad(network, image, target, 5, copies))[2]
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.999
    np.testing.assert_allclose(largest_is_one(ours), largest_is_one(theirs), atol=atol)


@pytest.mark.parametrize("layer", ["first", "second"])
def test_class_activation_maps_are_those_of_tf_keras_vis(layer, monkeypatch):
    backbone, plain = tiny_backbone(small_network()), small_network(activation=None)
    image, found = photo()[None].astype(np.float32), set()
    for target in range(3):
        found |= check_against_peers(backbone, plain, image, target, layer, monkeypatch)
    assert found == {"gradcam", "gradcampp", "layercam", "scorecam"}


def test_gradients_are_those_of_tf_keras_vis(monkeypatch):
    backbone = tiny_backbone(small_network())
    check_pixels_against_peer(
        backbone, small_network(activation=None), photo()[None].astype(np.float32), 2, monkeypatch, 1e-3
    )


# --- Networks of every kind ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
def test_the_score_is_the_logit_and_the_probability_the_networks_own(activation):
    model = small_network(activation)
    backbone = tiny_backbone(model)
    found = why(backbone, "gradcam", target=2)
    expected = activations.class_probabilities(backbone, photo()[None])[0, 2]
    assert found.probability == pytest.approx(expected, rel=1e-4)
    pooled = activations.infer_layers(backbone, photo()[None], ["pool"])["pool"][0]
    kernel, bias = model.get_layer("out").get_weights()
    assert found.score == pytest.approx(pooled @ kernel[:, 2] + bias[2], rel=1e-4)
    assert why(backbone, "saliency", target=2).score == pytest.approx(found.score, rel=1e-5)


def test_a_single_sigmoid_is_two_classes_that_speak_against_each_other():
    backbone = tiny_backbone(small_network("sigmoid", classes=1))
    no, yes = (why(backbone, "integrated", target=target) for target in (0, 1))
    np.testing.assert_allclose(no.heat, -yes.heat, atol=1e-6)
    assert no.probability + yes.probability == pytest.approx(1)
    assert no.score == pytest.approx(-yes.score)


def test_a_softmax_that_is_a_layer_of_its_own_before_a_reshape():
    inputs = keras.Input((TINY_SIZE, TINY_SIZE, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="maps")(keras.layers.Rescaling(1 / 100)(inputs))
    x = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = keras.layers.Activation("softmax")(keras.layers.Conv2D(3, 1, name="logits")(x))
    backbone = tiny_backbone(with_seeded_weights(keras.Model(inputs, keras.layers.Reshape((3,))(x))))
    expected = activations.infer_layers(backbone, photo()[None], ["logits"])["logits"][0, 0, 0]
    found = why(backbone, "gradcam", target=0)
    assert found.score == pytest.approx(expected[0], rel=1e-4)
    assert found.layer == "maps"


def test_a_nested_network_is_looked_at_inside():
    backbone = tiny_backbone(nested_model())
    assert last_maps(backbone) == "inner/inner_bn"
    assert why(backbone, "layercam", layer="inner/inner_conv").layer == "inner/inner_conv"


def test_a_layer_that_the_class_does_not_depend_on_says_nothing():
    inputs = keras.Input((TINY_SIZE, TINY_SIZE, 3))
    seen = keras.layers.Conv2D(4, 3, activation="relu", name="seen")(inputs)
    x = keras.layers.Concatenate()([keras.layers.GlobalAveragePooling2D()(seen)])
    model = with_seeded_weights(keras.Model(inputs, keras.layers.Dense(3)(x)))
    model.layers[-1].set_weights([np.zeros((4, 3)), np.ones(3)])
    for method in METHODS:
        assert np.abs(why(tiny_backbone(model), method, layer="seen").heat).max() < (
            1e9 if method == "scorecam" else 1e-6
        )


def test_what_cannot_be_explained_is_one_sentence():
    backbone = tiny_backbone(small_network())
    for words, given in (
        ("no class 3", {"target": 3}),
        ("no class -1", {"target": -1}),
        ("no method 'magic'", {"method": "magic"}),
        ("no layer named 'nowhere'", {"layer": "nowhere"}),
        ("gives no maps", {"layer": "pool"}),
    ):
        with pytest.raises(UserError, match=words):
            why(backbone, **{"method": "gradcam", **given})
    with pytest.raises(UserError, match="does not end in a list of classes"):
        why(tiny_backbone(redness_model()), "saliency")


def test_a_network_without_maps_can_still_be_explained_by_its_pixels():
    inputs = keras.Input((TINY_SIZE, TINY_SIZE, 3))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten(name="flat")(inputs)))
    backbone = tiny_backbone(with_seeded_weights(model))
    assert np.abs(why(backbone, "integrated").heat).max() > 0
    assert np.abs(why(backbone, "occlusion").heat).max() > 0


# --- Snapshots, batches, traces --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_the_map_grows_and_the_last_snapshot_does_not_depend_on_the_batches(method, monkeypatch):
    backbone = tiny_backbone(small_network())
    whole = why(backbone, method)
    monkeypatch.setattr("core.attribution.network._MOST_IMAGES", 3)
    parts = list(attribute(backbone, photo(), method, 1))
    steps = [part.step for part in parts]
    assert steps == sorted(set(steps)) and steps[-1] == parts[-1].steps
    assert all(np.isfinite(part.heat).all() and part.heat.dtype == np.float32 for part in parts)
    assert len(parts) == (1 if METHODS[method].passes <= 3 else -(-parts[-1].steps // 3))
    if method != "smoothgrad":  # whose noise is drawn batch by batch
        np.testing.assert_allclose(parts[-1].heat, whole.heat, atol=1e-4 * np.abs(whole.heat).max())


def test_smooth_grad_is_the_same_for_the_same_seed():
    backbone = tiny_backbone(small_network())
    one, same, other = (why(backbone, "smoothgrad", seed=seed).heat for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-4 * one.max()


def test_nothing_is_traced_again_for_another_class_photo_or_seed():
    inputs = keras.Input((TINY_SIZE, TINY_SIZE, 3))
    x = keras.layers.Conv2D(6, 3, name="conv")(CountingTraces()(inputs))
    x = keras.layers.GlobalAveragePooling2D()(x)
    backbone = tiny_backbone(keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x)))
    for method in METHODS:
        why(backbone, method, target=0)
    traced = CountingTraces.calls
    for method in METHODS:
        why(backbone, method, target=2, image=photo(3), seed=4)
    assert CountingTraces.calls == traced


def test_several_methods_on_one_layer_look_once(monkeypatch):
    backbone = tiny_backbone(small_network())
    looks = []
    compile_look = Network._compile_look

    def counted(self, layer):
        run = compile_look(self, layer)
        return lambda *given: (looks.append(layer), run(*given))[1]

    monkeypatch.setattr(Network, "_compile_look", counted)
    for method in ("gradcam", "gradcampp", "layercam", "scorecam"):
        why(backbone, method)
    assert looks == ["second"]


def test_what_a_method_costs_is_told_beforehand():
    layers = [LayerInfo("a", "Conv2D", (1, 1, 1), 0, multiply_adds=10**9)]
    assert seconds("occlusion", layers) > seconds("gradcam", layers) > 0
    assert seconds("gradcam", [LayerInfo("a", "Conv2D", (1, 1, 1), 0)]) > 0  # nobody has counted
    sizes = (224, 299, 331, 24)
    assert all(len(hiding._corners((side, side), WINDOWS)[0]) == METHODS["occlusion"].passes for side in sizes)


# --- Hiding ----------------------------------------------------------------------------------------------------------


def test_the_most_important_part_is_that_of_the_highest_values():
    heat = np.arange(20.0).reshape(4, 5)
    mask = hiding.most_important(heat, 0.25)
    assert mask.sum() == 5 and set(heat[mask]) == {15, 16, 17, 18, 19}
    assert hiding.most_important(np.zeros((4, 5)), 0.2).sum() == 4


def test_shifted_masks_hide_as_much_elsewhere():
    mask = np.zeros((20, 20), bool)
    mask[5:9, 5:9] = True
    places = hiding.shifted(mask, 6, seed=1)
    assert all(each.sum() == 16 and not (each & mask).any() for each in places)
    assert len({each.tobytes() for each in places}) > 1


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "left.keras"
    left_redness().save(path)
    return ModelRef(str(path))


def test_hiding_the_red_patch_lowers_the_score_by_what_it_gave(saved):
    image = one_red_patch()
    heat = np.zeros((TINY_SIZE, TINY_SIZE), np.float32)
    heat[8:14, 3:9] = 1
    request = HidingRequest(saved, Photo.of(image), 1, "d", heat, share=36 / heat.size)
    found = hide(request)
    np.testing.assert_array_equal(found.hidden[8:14, 3:9], np.broadcast_to(np.rint(image.mean((0, 1))), (6, 6, 3)))
    mean = np.rint(image.mean(axis=(0, 1)))
    scale = 36 / (24 * 12) / 255  # a file that does not say what its pixels should be gets 0 … 1
    score = 0.01 * 190 * scale
    left = 0.01 * (mean @ [1, -0.5, -0.5]) * scale
    assert found.scores[:2] == pytest.approx((score, left), rel=1e-3)
    assert found.probabilities[0] == pytest.approx(1 / (1 + np.exp(-score)), rel=1e-4)
    assert len(found.scores) == 2 + request.trials and min(found.scores[2:]) > found.scores[1]
    assert found.share == pytest.approx(36 / heat.size)


def test_the_task_looks_at_the_photo_as_the_network_sees_it(saved):
    big = Photo.of(np.random.default_rng(3).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    found = last(explain(WhyRequest(saved, big, 1, "integrated")))
    np.testing.assert_array_equal(found.seen, pictures.fit(big.pixels, (TINY_SIZE, TINY_SIZE)))
    assert found.target == 1 and found.method == "integrated" and found.layer is None


def test_tiny_models_of_the_other_tests_work_too():
    assert why(tiny_backbone(tiny_model()), "gradcam").layer == "conv2"
