import io
import itertools
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

from core.errors import UserError
from core.featurevis import portrait, trust
from core.messages import ModelRef, Portrait, PortraitRequest, Progress
from tests.core.tiny import redness_model, tiny_model


@pytest.fixture(scope="module")
def request_(tmp_path_factory) -> PortraitRequest:
    path = tmp_path_factory.mktemp("model") / "tiny.keras"
    tiny_model(size=None).save(path)
    return PortraitRequest(ModelRef(str(path)), "conv2", 5, size=48, steps=30, precision="float32")


@pytest.fixture(scope="module")
def shots(request_) -> list[Progress | Portrait]:
    return list(portrait.run(request_))


def end_of(request: PortraitRequest) -> Portrait:
    *_, end = portrait.run(request)
    return end


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_words_come_first_then_portraits_and_the_last_is_the_result(shots):
    kinds = [type(shot) for shot in shots]
    assert kinds == sorted(kinds, key=lambda kind: kind is Portrait)
    drawn = [shot for shot in shots if isinstance(shot, Portrait)]
    assert drawn[0].step == 1 and drawn[-1].step == drawn[-1].steps == 30
    assert [each.png is not None for each in drawn] == [False] * (len(drawn) - 1) + [True]
    assert [each.trust is not None for each in drawn] == [False] * (len(drawn) - 1) + [True]
    assert all(before.seconds <= after.seconds for before, after in itertools.pairwise(drawn))
    assert drawn[0].seconds_left is None and drawn[-1].seconds_left == 0
    assert all(each.seconds_left > 0 for each in drawn[1:-1])


def test_all_stages_are_kept(shots):
    end = shots[-1]
    assert [frame.step for frame in end.frames] == portrait.kept_steps(30)
    assert end.frames[-1].score > end.frames[0].score
    for before, after in itertools.pairwise(shot for shot in shots if isinstance(shot, Portrait)):
        assert after.frames[: len(before.frames)] == before.frames
        assert len(after.frames) == len(before.frames) + 1 and after.frames[-1].step == after.step
    for frame in end.frames:
        assert pixels(frame.picture).shape == (end.side, end.side, 3) == (48, 48, 3)
    assert np.abs(pixels(end.png).astype(int) - pixels(end.frames[-1].picture)).mean() < 15


@pytest.mark.parametrize("steps", [1, 2, 10, 24, 30, 160, 5000])
def test_about_two_dozen_frames_more_of_them_early(steps):
    kept = portrait.kept_steps(steps)
    assert kept[0] == 1 and kept[-1] == steps
    assert len(kept) == len(set(kept)) and min(steps, 10) <= len(kept) <= 24
    gaps = np.diff(kept)
    assert len(gaps) < 2 or gaps[0] <= gaps[-1]


def test_trust_is_measured_on_the_picture_itself(shots, request_):
    from core.backbones import loading

    end = shots[-1]
    (expected,) = trust.measure(loading.load(request_.model), "conv2", (5,), pixels(end.png)[None])
    assert end.trust == expected


def test_the_same_request_gives_the_same_picture_and_another_seed_another(shots, request_):
    again = pixels(end_of(request_).png)
    np.testing.assert_allclose(again.astype(int), pixels(shots[-1].png).astype(int), atol=2)
    assert np.abs(pixels(end_of(replace(request_, seed=1)).png).astype(int) - pixels(shots[-1].png)).max() > 20


@pytest.mark.parametrize(("method", "side"), [("textbook", 36), ("fast", 36), ("lucid", 48)])
def test_every_method_has_its_own_steps_and_raises_the_score(request_, method, side):
    end = end_of(replace(request_, method=method, steps=None))
    assert end.steps == portrait.recipe(replace(request_, method=method, steps=None), depth=2).steps
    assert end.frames[-1].score > end.frames[0].score
    assert end.side == side and pixels(end.png).shape == (side, side, 3)


def test_maco_is_transparent_where_the_filter_does_not_care(request_):
    end = end_of(replace(request_, method="maco", steps=6))
    picture = pixels(end.png)
    assert picture.shape == (48, 48, 4)
    assert picture[..., 3].min() == 0 and picture[..., 3].max() == 255
    over_white = np.asarray(Image.alpha_composite(Image.new("RGBA", (48, 48), "white"), Image.fromarray(picture)))
    assert np.abs(over_white[..., :3].astype(int) - pixels(end.frames[-1].picture)).mean() < 15
    assert [frame.step for frame in end.frames] == [1, 2, 3, 4, 5, 6]
    assert end.precision == "float32"


def test_a_class_is_drawn_before_its_softmax(request_):
    request = replace(request_, layer="predictions", filter=2, objective="class", steps=None)
    assert portrait.recipe(request, 2).steps > portrait.recipe(replace(request, objective="channel"), 2).steps
    end = end_of(replace(request, steps=12))
    assert not all(0 < frame.score < 1 for frame in end.frames) or end.trust.tile > 1
    assert end.frames[-1].score > end.frames[0].score


def test_the_middle_of_the_map_can_be_drawn_alone(request_):
    end = end_of(replace(request_, objective="neuron", steps=10))
    assert end.frames[-1].score > end.frames[0].score


def test_a_filter_that_never_fires_says_so_on_its_portrait(tmp_path):
    model = tiny_model(size=None)
    kernel, bias = model.get_layer("conv2").get_weights()
    kernel[..., 3], bias[3] = 0, -1
    model.get_layer("conv2").set_weights([kernel, bias])
    model.save(tmp_path / "dead.keras")
    request = PortraitRequest(ModelRef(str(tmp_path / "dead.keras")), "conv2", 3, size=96, steps=2)
    for method in ("lucid", "maco"):
        end = end_of(replace(request, method=method))
        assert end.silent and end.trust.level == "weak"
        picture = pixels(end.png)[..., :3]
        assert (picture > 195).any() and (picture >= 64).all()  # white letters on a dimmed picture


def test_a_filter_that_stands_still_is_freed(tmp_path):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(2, 1, activation="relu", name="dark")(inputs)
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1, name="after")(x))
    model.get_layer("dark").set_weights([np.ones((1, 1, 3, 2), np.float32), np.full(2, -2.4, np.float32)])
    model.get_layer("after").set_weights([np.ones((1, 1, 2, 2), np.float32), np.zeros(2, np.float32)])
    model.save(tmp_path / "dark.keras")  # the start image, at most 0.6 a colour, gives 1.8 at most
    end = end_of(PortraitRequest(ModelRef(str(tmp_path / "dark.keras")), "after", 0, "fast", size=48))
    assert end.frames[-1].score > 0 and not end.silent
    assert [frame.step for frame in end.frames] == portrait.kept_steps(end.steps)


def test_red_is_drawn_for_a_filter_that_loves_red(tmp_path):
    redness_model(size=None).save(tmp_path / "red.keras")
    end = end_of(PortraitRequest(ModelRef(str(tmp_path / "red.keras")), "redness", 0, size=32))
    red, green, blue = pixels(end.png).mean(axis=(0, 1))
    assert red > max(green, blue) + 40
    assert end.trust.level != "weak"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layer": "conv9"}, "conv9"),
        ({"filter": 8}, "no filter 8"),
        ({"filter": -1}, "no filter -1"),
        ({"size": 7}, "size"),
        ({"size": 100_000}, "size"),
        ({"steps": 0}, "steps"),
        ({"seed": -1}, "seed"),
        ({"learning_rate": float("nan")}, "learning rate"),
        ({"method": "magic"}, "magic"),
        ({"objective": "magic"}, "magic"),
        ({"objective": "class"}, "last layer"),
        ({"precision": "float12"}, "float12"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_words(request_, change, words):
    with pytest.raises(UserError, match=words):
        end_of(replace(request_, **change))
