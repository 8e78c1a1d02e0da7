"""What is made of a photo, held against NumPy; compiled, in half precision, at other sizes, saved and opened again."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as L

from core.backbones import entrance, graph
from core.backbones.answers import NONE, Answers
from core.backbones.folding import FoldedNetwork
from core.errors import UserError
from core.messages import Openings
from tests.core.tiny import tiny_backbone

GREY = np.array([0.299, 0.587, 0.114])


def photos(height, width, count=2):
    return np.random.default_rng(0).uniform(0, 1, (count, height, width, 3)).astype(np.float32)


def taken(*shapes, answers=NONE, bgr=False, **named):
    """A network that gives what it is given, one output for each input; and the way into it."""
    sources = [keras.Input(shape, name=f"in{place}", **named) for place, shape in enumerate(shapes)]
    model = keras.Model(sources, [L.Identity(name=f"out{place}")(each) for place, each in enumerate(sources)])
    way = entrance.prepare(model, answers, bgr=bgr)
    flat, tensors = graph.flatten(model, entrance=way)
    assert set(tensors) == {f"out{place}" for place in range(len(shapes))}  # nothing of ours is a layer
    return flat, way


def given(flat, pixels):
    return np.asarray(keras.tree.flatten(flat(pixels, training=False))[0], np.float64)


def frames(pixels):
    return np.stack([np.roll(pixels, -shift, axis=2) for shift in range(4)], axis=1)


CASES = {
    "grey": ((8, 10, 1), (8, 10), lambda x: (x @ GREY)[..., None]),
    "two channels": ((8, 10, 2), (8, 10), lambda x: x[..., :2]),
    "five channels": ((8, 10, 5), (8, 10), lambda x: np.pad(x, [(0, 0)] * 3 + [(0, 2)])),
    "rows": ((8, 10), (8, 10), lambda x: x @ GREY),
    "grey numbers": ((64,), (8, 8), lambda x: (x @ GREY).reshape(len(x), -1)),
    "numbers of an oblong": ((20,), (4, 5), lambda x: (x @ GREY).reshape(len(x), -1)),
    "coloured numbers": ((192,), (8, 8), lambda x: x.reshape(len(x), -1)),
    "frames": ((4, 8, 10, 3), (8, 10), frames),
    "grey frames": ((4, 8, 10, 1), (8, 10), lambda x: frames((x @ GREY)[..., None])),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_network_takes_is_made_of_the_photo(case):
    shape, size, expected = CASES[case]
    flat, way = taken(shape)
    assert flat.inputs[0].shape == (None, *size, 3)
    pixels = photos(*size)
    np.testing.assert_allclose(given(flat, pixels), expected(pixels.astype(np.float64)), atol=1e-6)
    assert way.notes and all(note.endswith(".") for note in way.notes)


@pytest.mark.parametrize(("case", "colours"), [("grey", 1), ("two channels", 2), ("coloured numbers", 3), ("rows", 1)])
def test_what_is_shown_of_the_photo_is_what_gets_in(case, colours):
    shape, size, _ = CASES[case]
    flat, way = taken(shape)
    seen = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    shown = replace(tiny_backbone(), openings=Openings(channels=way.channels)).taken_of(seen)
    assert shown.dtype == np.uint8 and shown.shape == seen.shape
    np.testing.assert_allclose(*(given(flat, each[None].astype(np.float32)) for each in (shown, seen)), atol=0.51)
    assert {1: np.ptp(shown, axis=-1).max() == 0, 2: not shown[..., 2].any(), 3: (shown == seen).all()}[colours]


@pytest.mark.parametrize("case", ["grey", "five channels", "rows", "coloured numbers", "frames"])
def test_it_can_be_compiled_folded_saved_and_opened_again(case, tmp_path):
    shape, size, expected = CASES[case]
    flat, _ = taken(shape)
    pixels = photos(*size)
    wanted = expected(pixels.astype(np.float64))
    compiled = tf.function(flat, jit_compile=True, autograph=False)(tf.constant(pixels))
    np.testing.assert_allclose(keras.tree.flatten(compiled)[0], wanted, atol=1e-6)
    np.testing.assert_allclose(tf.cast(FoldedNetwork(flat, "float16")(pixels)[0], "float32"), wanted, atol=4e-3)
    flat.save(tmp_path / "flat.keras")
    again = keras.models.load_model(tmp_path / "flat.keras")
    np.testing.assert_allclose(given(again, pixels), wanted, atol=1e-6)
    assert graph.flatten(again)[1].keys() == {"out0"}


def test_the_gradient_comes_through_to_the_pixels():
    flat, _ = taken((8, 10, 1))
    pixels = tf.constant(photos(8, 10))
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        total = tf.reduce_sum(keras.tree.flatten(flat(pixels))[0])
    np.testing.assert_allclose(tape.gradient(total, pixels)[0, 0, 0], GREY, atol=1e-6)


def test_grey_of_a_photo_in_blue_green_red_is_the_same():
    pixels = photos(8, 10)
    plain, turned = taken((8, 10, 1))[0], taken((8, 10, 1), bgr=True)[0]
    np.testing.assert_allclose(given(turned, pixels[..., ::-1]), given(plain, pixels), atol=1e-6)


def test_a_person_says_which_channels_get_the_colours():
    flat, way = taken((8, 10, 6), answers=Answers(bands=(4, 2, 0)))
    pixels = photos(8, 10)
    found = given(flat, pixels)
    np.testing.assert_array_equal(found[..., [4, 2, 0]], pixels)
    assert not found[..., [1, 3, 5]].any()
    assert "5, 3 and 1" in way.notes[0]
    for bands in ((0, 1, 6), (0, 0, 1), (-1, 0, 1)):
        with pytest.raises(UserError, match="6 channels"):
            taken((8, 10, 6), answers=Answers(bands=bands))


def test_the_other_inputs_get_zeros_of_their_shape_and_kind():
    photo, meta, second = keras.Input((8, 10, 3)), keras.Input((None, 5), name="meta"), keras.Input((8, 10, 3))
    ids = keras.Input((4,), dtype="int32", name="ids")
    model = keras.Model([meta, photo, second, ids], [L.Identity()(each) for each in (meta, photo, second)] + [ids + 1])
    way = entrance.prepare(model)
    flat, _ = graph.flatten(model, entrance=way)
    pixels = photos(8, 10)
    numbers, seen, other, counted = (np.asarray(each) for each in flat(pixels))
    assert numbers.shape[0] == 2 and numbers.shape[2] == 5 and not numbers.any()
    np.testing.assert_array_equal(seen, pixels)
    assert other.shape == pixels.shape and not other.any()
    assert counted.shape == (2, 4) and (counted == 1).all() and counted.dtype == np.int32
    assert "“meta”" in way.notes[-1] and way.names[0] == "meta"


def test_a_person_says_which_input_gets_the_photo():
    flat, way = taken((8, 10, 3), (6, 6, 3), answers=Answers(source="in1"))
    assert flat.inputs[0].shape == (None, 6, 6, 3)
    assert "“in0”" in way.notes[-1]
    with pytest.raises(UserError, match="in0, in1"):
        taken((8, 10, 3), (6, 6, 3), answers=Answers(source="photo"))


def test_a_network_may_use_the_names_that_keras_gives_ours():
    inputs = keras.Input((8, 8, 1))
    x = keras.ops.multiply(L.Conv2D(2, 3, name="get_item")(inputs), 2.0)
    model = keras.Model(inputs, L.Add(name="entrance_1")([x, x]))
    flat, _ = graph.flatten(model, entrance=entrance.prepare(model))
    pixels = photos(8, 8)
    np.testing.assert_allclose(given(flat, pixels), model((pixels @ GREY)[..., None].astype(np.float32)), atol=1e-5)


def test_whole_numbers_keep_their_gradient():
    inputs = keras.Input((8, 8, 3), dtype="uint8")
    model = keras.Model(inputs, L.GlobalAveragePooling2D()(L.Rescaling(1 / 255)(inputs)))
    flat, _ = graph.flatten(model, entrance=entrance.prepare(model))
    pixels = tf.constant(photos(8, 8) * 255)
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        total = tf.reduce_sum(flat(pixels))
    assert np.abs(tape.gradient(total, pixels)).min() > 0


def test_what_no_photo_can_be_made_into_is_said():
    with pytest.raises(UserError, match="any length"):
        taken((None,))
    inputs = keras.Input((2, 2, 2, 2, 2))
    with pytest.raises(UserError, match="2 × 2 × 2 × 2 × 2"):
        entrance.prepare(keras.Model(inputs, L.Flatten()(inputs)))
