import io
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from core.backbones import loading
from core.errors import UserError
from core.featurevis import faces, objectives, trust
from core.messages import Faces, FacesRequest, ModelRef, Progress
from tests.core.tiny import tiny_model


@pytest.fixture(scope="module")
def model():
    return tiny_model(size=None)


@pytest.fixture(scope="module")
def request_(model, tmp_path_factory) -> FacesRequest:
    path = tmp_path_factory.mktemp("model") / "tiny.keras"
    model.save(path)
    return FacesRequest(ModelRef(str(path)), "conv2", 4, faces=3, size=40, steps=30)


@pytest.fixture(scope="module")
def shots(request_) -> list[Progress | Faces]:
    return list(faces.run(request_))


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def tiles(end: Faces) -> np.ndarray:
    """The faces, cut out of the picture without loss."""
    return np.stack(np.split(np.pad(pixels(end.png), ((0, 0), (0, faces.MARGIN), (0, 0))), len(end.scores), axis=1))[
        :, :, : end.side
    ]


def conv2(model, pictures: np.ndarray) -> np.ndarray:
    """The oracle: Keras' own answer of the layer."""
    x = model.get_layer("bn1")(model.get_layer("conv1")(pictures.astype(np.float32)), training=False)
    return np.asarray(model.get_layer("conv2")(x))


def likeness(activations: np.ndarray) -> float:
    """The mean cosine between the Gram matrices of two of the pictures."""
    cells = activations.reshape(len(activations), -1, activations.shape[-1])
    gram = np.einsum("nkc,nkd->ncd", cells, cells).reshape(len(cells), -1)
    gram /= np.linalg.norm(gram, axis=1, keepdims=True)
    return float((gram @ gram.T)[~np.eye(len(gram), dtype=bool)].mean())


def test_words_come_first_then_faces_and_the_last_is_the_result(shots):
    kinds = [type(shot) for shot in shots]
    assert kinds == sorted(kinds, key=lambda kind: kind is Faces)
    drawn = [shot for shot in shots if isinstance(shot, Faces)]
    assert drawn[0].step == 1 and drawn[-1].step == drawn[-1].steps == 30 and len(drawn) > 5
    assert [each.png is not None for each in drawn] == [False] * (len(drawn) - 1) + [True]
    assert drawn[0].seconds_left is None and drawn[-1].seconds_left == 0
    for each in drawn:
        assert len(each.pictures) == len(each.scores) == 3
        assert pixels(each.pictures[2]).shape == (each.side, each.side, 3) == (40, 40, 3)


def test_the_picture_is_the_faces_side_by_side(shots):
    assert pixels(shots[-1].png).shape == (40, 3 * 40 + 2 * faces.MARGIN, 3)
    for tile, picture in zip(tiles(shots[-1]), shots[-1].pictures, strict=True):
        assert np.abs(tile.astype(int) - pixels(picture)).mean() < 15


def test_every_face_of_a_trained_filter_excites_it_clearly_more_than_noise_does():
    request = FacesRequest(ModelRef("efficientnet_lite0"), "block3_project_bn", 7, faces=2, size=64, steps=24)
    *_, end = faces.run(request)
    for found in trust.measure(loading.load(request.model), request.layer, (7, 7), tiles(end)):
        assert found.tile > 1.3 * max(found.noise, 0)


def test_the_scores_rise(shots):
    first, *_, last = (shot for shot in shots if isinstance(shot, Faces))
    assert all(after > before for before, after in zip(first.scores, last.scores, strict=True))


def test_faces_are_less_alike_the_more_diversity_counts(shots, request_, model):
    alike = {}
    for diversity in (0.0, 4.0):
        *_, end = faces.run(replace(request_, diversity=diversity))
        alike[diversity] = likeness(conv2(model, tiles(end)))
    assert alike[4.0] < alike[0.0]


def test_the_value_is_the_score_alone_and_the_gradient_has_both():
    rng = np.random.default_rng(0)
    activation = tf.constant(rng.uniform(0, 1, (3, 5, 5, 4)), tf.float32)
    targets = tf.constant([1, 1, 1])

    def gradient(objective, activation) -> tuple[np.ndarray, np.ndarray]:
        with tf.GradientTape() as tape:
            tape.watch(activation)
            scores = objective.score({"some": activation}, targets)
            total = tf.reduce_sum(scores)
        return scores.numpy(), tape.gradient(total, activation).numpy()

    plain, along = gradient(objectives.channel("some", border=None), activation)
    _, apart = gradient(objectives.diversity("some"), activation)
    scores, both = gradient(faces.unlike("some", 2.0), activation)
    np.testing.assert_allclose(scores, plain, rtol=1e-6)
    assert np.abs(both - along).max() > 1e-4
    # Each cosine belongs to two images, so the parts of an image's gradient that come from others' terms have others'
    # worth; with equal scores it would be the sum itself.
    np.testing.assert_allclose(both, along + 2 * plain.mean() * apart, atol=0.2 * np.abs(apart).max() * plain.mean())
    # A layer that answers a hundred times as strongly is weighed the same.
    _, larger = gradient(faces.unlike("some", 2.0), 100 * activation)
    np.testing.assert_allclose(larger, both, rtol=1e-3, atol=1e-6)


def test_the_same_request_gives_the_same_faces(shots, request_):
    *_, again = faces.run(request_)
    np.testing.assert_allclose(tiles(again).astype(int), tiles(shots[-1]).astype(int), atol=2)


def test_a_class_has_faces_before_its_softmax(request_):
    *_, end = faces.run(replace(request_, layer="predictions", filter=1, steps=4))
    assert len(end.scores) == 3 and sum(end.scores) != pytest.approx(1, abs=0.5)
    assert faces.recipe(replace(request_, steps=None), of_class=True).steps > faces.recipe(request_).steps


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"faces": 1}, "faces"),
        ({"faces": 100}, "faces"),
        ({"diversity": -1.0}, "diversity"),
        ({"diversity": float("nan")}, "diversity"),
        ({"layer": "conv9"}, "conv9"),
        ({"filter": 8}, "no filter 8"),
        ({"size": 7}, "size"),
        ({"steps": 0}, "steps"),
        ({"seed": -1}, "seed"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_words(request_, change, words):
    with pytest.raises(UserError, match=words):
        list(faces.run(replace(request_, **change)))
