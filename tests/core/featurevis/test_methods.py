"""The methods, and the parts of the grammar put together by `render`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from core.backbones import graph
from core.featurevis import mosaic, objectives
from core.featurevis.methods import METHODS
from core.featurevis.optimisers import Normalised
from core.featurevis.parameterisations import faces, fourier, pixels
from core.featurevis.render import RenderStep, render
from core.messages import ModelRef, RenderRequest
from tests.core.tiny import TINY_SIZE, tiny_backbone

SIZE = 20


def draw(backbone, objective, targets, **settings) -> list[RenderStep]:
    return list(
        render(backbone, objective, targets, **{"steps": 8, "report_every": 8, "precision": "float32", **settings})
    )


def dead_model(bias: float) -> keras.Model:
    inputs = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(2, 1, activation="relu", name="dead")(inputs)
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1, name="after")(x))
    model.get_layer("dead").set_weights([np.ones((1, 1, 3, 2), np.float32), np.full(2, bias, np.float32)])
    model.get_layer("after").set_weights([np.ones((1, 1, 2, 2), np.float32), np.zeros(2, np.float32)])
    return model


def test_the_textbooks_numbers_are_the_textbooks():
    method = METHODS["textbook"]
    assert (method.steps, method.learning_rate, method.optimiser) == (30, 10.0, Normalised())
    assert (method.transforms, method.rescue_steps, method.preprocess, method.border) == ((), 0, False, 2)
    assert method.parameterisation(200) == pixels(200)


def test_the_fast_method_takes_fewer_steps_than_the_textbook_and_more_for_deeper_layers():
    fast, textbook = METHODS["fast"], METHODS["textbook"]
    assert [fast.steps_at(depth) for depth in (0, 4, 12, 40)] == [7, 9, 13, 27]
    assert textbook.steps_at(0) == textbook.steps_at(40) == 30


def test_methods_can_be_told_apart_and_share_graphs():
    assert set(METHODS) >= {"textbook", "fast", "lucid", "maco"}
    assert len(set(METHODS.values())) == len(METHODS)
    for name, method in METHODS.items():
        assert method.name == name


def test_a_network_of_dead_relus_moves_when_rescued_and_not_otherwise():
    backbone = tiny_backbone(dead_model(bias=-1.8))  # grey gives 1.5: a little more light, and it answers
    recipe = {"parameterisation": fourier(SIZE), "learning_rate": 3.0, "steps": 20, "preprocess": False}
    (*_, plain) = draw(backbone, objectives.channel("after"), [0], **recipe)
    (*_, rescued) = draw(backbone, objectives.channel("after"), [0], **recipe, rescue_steps=16)
    np.testing.assert_array_equal(plain.images, fourier(SIZE).to_image(fourier(SIZE).initial([0], 0)))
    assert plain.scores[0] == 0
    assert rescued.scores[0] > 0.1


def test_a_class_is_drawn_by_its_logit():
    backbone = tiny_backbone()
    first, *_, last = draw(
        backbone,
        objectives.class_logit("predictions"),
        [0, 1, 2],
        parameterisation=fourier(TINY_SIZE),
        learning_rate=3.0,
    )
    assert (last.scores > first.scores).all()
    assert last.scores.min() < 0  # no probability is


@pytest.mark.parametrize(
    "objective",
    [
        objectives.neuron("conv2"),
        objectives.layer("conv1"),
        objectives.direction("conv2", [1, -1, 0, 0, 2, 0, 0, 0]),
        objectives.channel("conv2") - 0.5 * objectives.channel("conv1"),
        objectives.channel("conv2", border=None),
    ],
)
def test_the_score_of_every_objective_rises(objective):
    first, *_, last = draw(tiny_backbone(), objective, [1, 3], parameterisation=fourier(SIZE), learning_rate=3.0)
    assert (last.scores >= first.scores).all() and (last.scores > first.scores).any()


def test_diversity_makes_the_faces_of_a_filter_unlike_one_another():
    backbone, plain = tiny_backbone(), objectives.channel("conv2")
    model = graph.at_size(backbone, "conv2", SIZE)
    unlike = {}
    for weight in (0.0, 5.0):
        (*_, last) = draw(
            backbone,
            plain + weight * objectives.diversity("conv2"),
            [4, 4, 4],
            parameterisation=faces(fourier(SIZE)),
            learning_rate=3.0,
            steps=25,
            batch=3,
        )
        activations = tf.nest.flatten(model(last.images))[0]
        unlike[weight] = (
            objectives.diversity("conv2").score({"conv2": activations}, tf.zeros(3, tf.int32)).numpy().mean()
        )
    assert unlike[5.0] > unlike[0.0]


def test_a_tile_that_stands_still_is_marked_and_one_below_zero_that_lights_up_somewhere_is_not(tmp_path):
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", name="conv")(inputs)
    model = keras.Model(inputs, x)
    kernel = np.zeros((3, 3, 3, 4), np.float32)
    kernel[..., 0] = 1  # brightness
    kernel[1, 1, :, 2], kernel[0, 1, :, 2] = 1, -1  # an edge, hardly ever in the mean
    model.get_layer("conv").set_weights([kernel, np.array([0, 0.5, -0.1, -0.5], np.float32)])  # 1 and 3 see nothing
    model.save(tmp_path / "some.keras")
    request = RenderRequest(
        ModelRef(str(tmp_path / "some.keras")), "conv", (0, 1, 2, 3), method="lucid", size=48, steps=3
    )
    *_, end = mosaic.run(request)
    assert end.scores[1] > 0
    assert set(end.silent) == {1, 3}
