import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from core.backbones import graph
from core.featurevis.objectives import Objective, channel
from core.featurevis.parameterisations import pixels
from core.featurevis.render import RenderStep, render
from core.featurevis.transforms import jitter
from tests.core.tiny import redness_model, tiny_backbone

ROOT = Path(__file__).parents[3]
SIZE = 20


def last(backbone, objective, targets, **settings) -> RenderStep:
    *_, end = render(backbone, objective, targets, **{"parameterisation": pixels(SIZE), "steps": 6, **settings})
    return end


def textbook(extractor, index: int, start: np.ndarray, iterations: int, learning_rate: float) -> np.ndarray:
    """Chollet, *Deep Learning with Python*, 2nd ed., listings 9.16 to 9.18, with the start image given."""

    def compute_loss(image, filter_index):
        activation = extractor(image)
        filter_activation = activation[:, 2:-2, 2:-2, filter_index]
        return tf.reduce_mean(filter_activation)

    def gradient_ascent_step(image, filter_index, learning_rate):
        with tf.GradientTape() as tape:
            tape.watch(image)
            loss = compute_loss(image, filter_index)
        grads = tape.gradient(loss, image)
        grads = tf.math.l2_normalize(grads)
        image += learning_rate * grads
        return image

    image = tf.constant(start[None])
    for _ in range(iterations):
        image = gradient_ascent_step(image, filter_index=index, learning_rate=learning_rate)
    return image[0].numpy()


def test_it_is_the_textbooks_recipe_number_for_number():
    backbone = tiny_backbone()
    end = last(backbone, channel("conv2"), [4, 0, 7], steps=30, learning_rate=10.0, report_every=7, batch=2, seed=5)
    extractor = graph.at_size(backbone, "conv2", SIZE)
    starts = pixels(SIZE).initial([4, 0, 7], seed=5).numpy()
    for index, start, image in zip([4, 0, 7], starts, end.images, strict=True):
        np.testing.assert_allclose(image, textbook(extractor, index, start, 30, 10.0), rtol=1e-3, atol=1e-3)
    assert np.abs(end.images - starts).max() > 0.5  # it has gone somewhere


@pytest.mark.parametrize(
    ("steps", "report_every", "expected"),
    [(1, 5, [1]), (2, 5, [1, 2]), (12, 5, [1, 6, 11, 12]), (11, 5, [1, 6, 11]), (3, 1, [1, 2, 3])],
)
def test_it_reports_after_the_first_step_then_regularly_and_at_the_end(steps, report_every, expected):
    reports = render(
        tiny_backbone(), channel("conv1"), [1], parameterisation=pixels(SIZE), steps=steps, report_every=report_every
    )
    assert [report.step for report in reports] == expected


def test_how_often_it_reports_changes_no_number():
    backbone = tiny_backbone()
    rarely = last(backbone, channel("conv2"), [1, 2], report_every=100)
    often = last(backbone, channel("conv2"), [1, 2], report_every=1)
    np.testing.assert_allclose(often.images, rarely.images, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(often.scores, rarely.scores, rtol=1e-5)


def test_the_scores_are_those_of_the_images_beside_them_and_rise():
    backbone = tiny_backbone()
    model = graph.at_size(backbone, "conv2", SIZE)
    reports = list(
        render(backbone, channel("conv2"), range(8), parameterisation=pixels(SIZE), steps=20, report_every=5, batch=4)
    )
    for report in reports:
        of_images = model(report.images, training=False).numpy()[:, 2:-2, 2:-2, :].mean(axis=(1, 2))
        np.testing.assert_allclose(report.scores, np.diag(of_images), rtol=1e-4, atol=1e-5)
    for before, after in itertools.pairwise(reports):
        assert (after.scores >= before.scores).all()
    assert (reports[-1].scores > reports[0].scores).sum() >= 4  # of the filters that are not dead on this input


def test_what_a_redness_filter_wants_is_red():
    backbone = tiny_backbone(redness_model())
    start = pixels(SIZE).initial([0], seed=0).numpy()[0]
    end = last(backbone, channel("redness"), [0], steps=5, learning_rate=10.0)
    # The score is linear, so every step is the same: its gradient is (1, -1/2, -1/2) at each pixel within the border.
    step = np.zeros((SIZE, SIZE, 3))
    step[2:-2, 2:-2] = [1, -0.5, -0.5]
    np.testing.assert_allclose(end.images[0], start + 5 * 10 * step / np.sqrt((step**2).sum()), rtol=1e-4, atol=1e-4)
    inside = end.images[0, 2:-2, 2:-2]
    np.testing.assert_allclose(end.scores[0], (inside @ [1, -0.5, -0.5]).mean(), rtol=1e-4)


def test_the_same_request_gives_the_same_images_and_another_seed_others():
    backbone = tiny_backbone()
    once = last(backbone, channel("conv2"), [0, 3], transforms=[jitter(2)])
    again = last(backbone, channel("conv2"), [0, 3], transforms=[jitter(2)])
    np.testing.assert_array_equal(once.images, again.images)
    assert np.abs(once.images - last(backbone, channel("conv2"), [0, 3], seed=1).images).max() > 0.01


@pytest.mark.parametrize("transforms", [(), (jitter(3),)])
def test_a_filters_image_does_not_depend_on_its_company(transforms):
    backbone = tiny_backbone()
    together = last(backbone, channel("conv2"), [6, 1, 4, 0, 2], batch=4, transforms=transforms)
    alone = last(backbone, channel("conv2"), [4], batch=1, transforms=transforms)
    reordered = last(backbone, channel("conv2"), [4, 6], batch=2, transforms=transforms)
    assert together.images.shape == (5, SIZE, SIZE, 3)
    for other in (alone, reordered):
        np.testing.assert_allclose(together.images[2], other.images[0], rtol=1e-4, atol=1e-4)


def test_one_trace_serves_every_filter_and_every_setting_of_a_layer():
    traces = []
    plain = channel("conv2")

    def counting(activations, targets):
        traces.append(None)
        return plain.score(activations, targets)

    backbone = tiny_backbone()
    objective = Objective("counted", ("conv2",), counting)
    last(backbone, objective, [0], batch=2)
    once = len(traces)
    for targets in ([1], [2, 3], [4, 5, 6, 7, 0]):
        last(backbone, objective, targets, batch=2, steps=3, learning_rate=3.0, report_every=2, seed=9)
    assert len(traces) == once


def test_stopping_early_leaves_nothing_behind():
    backbone = tiny_backbone()
    weights = [weight.numpy() for weight in backbone.model.weights]
    whole = last(backbone, channel("conv2"), [1, 2], report_every=1)
    stopped = render(backbone, channel("conv2"), [1, 2], parameterisation=pixels(SIZE), steps=6, report_every=1)
    first = next(stopped)
    kept = first.images.copy()
    stopped.close()
    np.testing.assert_array_equal(last(backbone, channel("conv2"), [1, 2], report_every=1).images, whole.images)
    np.testing.assert_array_equal(first.images, kept)
    for before, after in zip(weights, backbone.model.weights, strict=True):
        np.testing.assert_array_equal(before, after)


def test_snapshots_do_not_change_as_the_render_goes_on():
    reports = render(tiny_backbone(), channel("conv2"), [1], parameterisation=pixels(SIZE), steps=4, report_every=1)
    first = next(reports)
    kept = first.images.copy()
    list(reports)
    np.testing.assert_array_equal(first.images, kept)


def test_a_filter_that_never_fires_keeps_its_noise():
    model = redness_model()
    model.get_layer("redness").set_weights([np.zeros((1, 1, 3, 2), np.float32)])
    end = last(tiny_backbone(model), channel("redness"), [0, 1])
    np.testing.assert_array_equal(end.images, pixels(SIZE).initial([0, 1], seed=0))
    np.testing.assert_array_equal(end.scores, 0)


def test_a_gradient_that_is_no_number_spoils_neither_its_tile_nor_the_others():
    def blows_up_for_the_first(activations, targets):
        means = tf.reduce_mean(activations["redness"], axis=[1, 2, 3])
        return tf.where(targets == 0, tf.sqrt(means * 0.0), means)  # the gradient of sqrt at 0 is infinite

    end = last(tiny_backbone(redness_model()), Objective("bad", ("redness",), blows_up_for_the_first), [0, 1])
    assert np.isfinite(end.images).all()
    assert end.images[1].mean() > 0.55


def runs_out_of_memory_above(batch: int, allowed: int = 0) -> Objective:
    """An objective that fits only with at most `batch` images; in the first `allowed` passes any number fits."""
    passes = []

    def check(scores: np.ndarray) -> np.ndarray:
        passes.append(None)
        if len(scores) > batch and len(passes) > allowed:
            raise MemoryError  # which TensorFlow turns into its ResourceExhaustedError
        return scores

    def score(activations, targets):
        scores = channel("conv2").score(activations, targets)

        @tf.custom_gradient
        def checked(scores):
            return tf.ensure_shape(tf.numpy_function(check, [scores], tf.float32), scores.shape), lambda change: change

        return checked(scores)

    return Objective(f"fits {batch}, after {allowed}", ("conv2",), score)


@pytest.mark.parametrize("allowed", [0, 5])
def test_on_a_gpu_a_batch_that_is_too_large_is_halved_and_the_work_goes_on(monkeypatch, allowed):
    backbone = tiny_backbone()
    plain = last(backbone, channel("conv2"), range(7), report_every=2)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["a GPU"])
    end = last(backbone, runs_out_of_memory_above(2, allowed), range(7), report_every=2, batch=8)
    np.testing.assert_allclose(end.images, plain.images, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(end.scores, plain.scores, rtol=1e-3, atol=1e-4)


def test_on_a_cpu_and_for_a_single_image_it_is_an_error(monkeypatch):
    with pytest.raises(tf.errors.ResourceExhaustedError):
        last(tiny_backbone(), runs_out_of_memory_above(2), range(7))
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["a GPU"])
    with pytest.raises(tf.errors.ResourceExhaustedError):
        last(tiny_backbone(), runs_out_of_memory_above(0), range(7))


def test_several_devices_share_the_batches_and_draw_the_same():
    script = """
import numpy as np
import tensorflow as tf
[cpu] = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration() for _ in range(3)])
from core.featurevis import render
from core.featurevis.objectives import channel
from core.featurevis.transforms import jitter
from tests.core.featurevis.test_render import last
from tests.core.tiny import tiny_backbone

results, weights = set(), {}
plain = render._advance

def watched(backbone, recipe, batch, device):
    climb = plain(backbone, recipe, batch, device)
    weights[device[-5:]] = {each.device[-5:] for each in climb.captured_inputs}

    def advance(*inputs):
        outputs = climb(*inputs)
        results.add((device[-5:], outputs[0].device[-5:]))
        return outputs

    return advance

backbone = tiny_backbone()
settings = {"batch": 2, "steps": 5, "report_every": 2, "transforms": [jitter(2)]}
render._advance = watched
on_all = last(backbone, channel("conv2"), [5, 0, 3, 1, 7, 2, 6], **settings)
assert results == {("CPU:0", "CPU:0"), ("CPU:1", "CPU:1"), ("CPU:2", "CPU:2")}, results
assert weights == {"CPU:0": {"CPU:0"}, "CPU:1": {"CPU:1"}, "CPU:2": {"CPU:2"}}, weights
render._advance = plain
render._devices = lambda: [None]
on_one = last(backbone, channel("conv2"), [5, 0, 3, 1, 7, 2, 6], **settings)
np.testing.assert_array_equal(on_all.images, on_one.images)
np.testing.assert_array_equal(on_all.scores, on_one.scores)
"""
    outcome = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert outcome.returncode == 0, outcome.stderr


def test_bfloat16_climbs_too_and_its_scores_are_of_float32():
    backbone = tiny_backbone()
    exact = last(backbone, channel("conv2"), range(8), steps=20)
    end = last(backbone, channel("conv2"), range(8), steps=20, precision="bfloat16")
    of_images = graph.at_size(backbone, "conv2", SIZE)(end.images).numpy()[:, 2:-2, 2:-2].mean(axis=(1, 2))
    np.testing.assert_allclose(end.scores, np.diag(of_images), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(end.scores, exact.scores, rtol=0.05, atol=0.01)


def test_a_filter_behind_closed_relus_is_rescued():
    model = redness_model()
    inputs = tf.keras.Input((SIZE, SIZE, 3))
    outputs = tf.keras.layers.ReLU(name="closed")(model.get_layer("redness")(inputs) - 0.2)
    backbone = tiny_backbone(tf.keras.Model(inputs, outputs), input_size=(SIZE, SIZE))
    settings = {"steps": 12, "learning_rate": 10.0}
    assert last(backbone, channel("closed"), [0], **settings).scores[0] < 0.01
    assert last(backbone, channel("closed"), [0], rescue_steps=4, **settings).scores[0] > 0.1


def test_the_network_gets_what_it_was_trained_on():
    backbone = tiny_backbone(preprocessing="caffe")
    start = pixels(SIZE).initial([0, 1], 0).numpy()
    end = last(backbone, channel("conv1", 0), [0, 1], steps=1, learning_rate=0.0, preprocess=True)
    given = backbone.preprocessing(start * 255)
    expected = graph.at_size(backbone, "conv1", SIZE)(given).numpy().mean(axis=(1, 2))
    np.testing.assert_allclose(end.scores, [expected[0, 0], expected[1, 1]], rtol=1e-4, atol=1e-4)


def test_an_objective_of_several_layers():
    backbone = tiny_backbone()
    both = channel("conv1") + channel("conv2")
    end = last(backbone, both, [1, 2])
    parts = graph.at_size(backbone, ("conv1", "conv2"), SIZE)(end.images)
    expected = sum(part.numpy()[:, 2:-2, 2:-2].mean(axis=(1, 2)) for part in (parts[0][..., :6], parts[1][..., :6]))
    np.testing.assert_allclose(end.scores, [expected[0, 1], expected[1, 2]], rtol=1e-4, atol=1e-4)
