import numpy as np
import pytest
import tensorflow as tf

from core.errors import UserError
from core.featurevis import maco, objectives
from core.featurevis.maco import MacoStep, render_one
from core.featurevis.parameterisations import phases
from tests.core.tiny import TINY_SIZE, redness_model, tiny_backbone, with_seeded_weights

SIZE = 33


def run(backbone, objective, target=0, **settings) -> list[MacoStep]:
    return list(render_one(backbone, objective, target, **{"size": SIZE, "steps": 12, "crops": 4, **settings}))


def test_what_a_redness_filter_wants_is_red_where_it_is_opaque():
    steps = run(tiny_backbone(redness_model()), objectives.channel("redness"), steps=30, report_every=10)
    assert [step.step for step in steps] == [1, 10, 20, 30]
    first, last = steps[0], steps[-1]

    def redness(step: MacoStep) -> float:
        return float(np.average(step.image @ [1, -0.5, -0.5], weights=step.alpha))

    assert redness(last) > redness(first) + 0.1
    assert last.score > first.score
    for step in steps:
        assert step.image.shape == (SIZE, SIZE, 3) and step.alpha.shape == (SIZE, SIZE)
        assert step.image.min() >= 0 and step.image.max() <= 1
        assert step.alpha.min() == 0 and step.alpha.max() == 1


def test_it_begins_at_the_targets_own_phases():
    backbone = tiny_backbone()
    slow = run(backbone, objectives.channel("conv2"), 3, steps=1, learning_rate=1e-9, seed=4)[-1]
    start = phases(SIZE).to_image(phases(SIZE).initial([3], seed=4))[0]
    np.testing.assert_allclose(slow.image, start, atol=1e-5)


def test_the_same_request_gives_the_same_picture_however_often_it_reports():
    backbone = tiny_backbone()
    once = run(backbone, objectives.channel("conv2"), 3)[-1]
    again = run(backbone, objectives.channel("conv2"), 3, report_every=5)[-1]
    np.testing.assert_allclose(once.image, again.image, atol=1e-4)
    np.testing.assert_allclose(once.alpha, again.alpha, atol=1e-3)
    other = run(backbone, objectives.channel("conv2"), 3, seed=1)[-1]
    assert np.abs(once.image - other.image).max() > 0.1


@pytest.mark.parametrize("objective", [objectives.layer("conv2"), objectives.class_logit("predictions")])
def test_other_objectives_rise_too(objective):
    steps = run(tiny_backbone(preprocessing="tf"), objective, 1, steps=40, report_every=10, crops=8)
    assert max(step.score for step in steps[2:]) > steps[0].score


def test_the_class_objective_reads_logits_and_not_probabilities():
    model = with_seeded_weights(tiny_backbone().model)  # of full size, so that logits lie far outside [0, 1]
    (step,) = run(tiny_backbone(model), objectives.class_logit("predictions"), 2, steps=1)
    scores = [
        run(tiny_backbone(model), objectives.class_logit("predictions"), each, steps=1)[0].score for each in (0, 1)
    ]
    assert not all(0 <= score <= 1 for score in (*scores, step.score))


def test_crops_lie_within_the_image_and_shrink():
    ramp = tf.tile(tf.linspace(0.2, 0.8, 101)[None, :, None, None], [1, 1, 101, 3])
    wide = []
    for done in (0.0, 1.0):
        cut = maco._crops(ramp, tf.constant([3, 4], tf.int64), tf.constant(done), 64, 20).numpy().mean(axis=(2, 3))
        assert cut.min() > 0.2 - 0.1 and cut.max() < 0.8 + 0.1  # the mean of 60 draws of noise; outside would be 0
        wide.append(np.median(cut[:, -1] - cut[:, 0]) / 0.6)
    assert wide[0] > wide[1] > 0.1


def test_opacity_is_high_where_the_influence_is():
    influence = np.full((64, 64), 1.0)
    influence[20:30, 40:50] = 50
    alpha = maco._opacity(influence)
    assert alpha[25, 45] == 1 and alpha[60, 5] == 0
    assert np.isfinite(maco._opacity(np.zeros((64, 64)))).all()


def test_over_shows_the_background_where_it_is_clear():
    step = MacoStep(1, np.full((4, 4, 3), 0.5, np.float32), np.eye(4, dtype=np.float32), 0.0)
    shown = maco.over(step)
    np.testing.assert_array_equal(shown[~np.eye(4, dtype=bool)], 255)
    np.testing.assert_array_equal(shown[np.eye(4, dtype=bool)], 128)


def test_a_size_that_the_network_cannot_take_is_refused_in_words():
    with pytest.raises(UserError, match="conv9"):
        run(tiny_backbone(), objectives.channel("conv9"), input_size=TINY_SIZE)
