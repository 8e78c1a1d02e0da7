"""Short runs that help to choose: the learning-rate finder, and what the graph is worth."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import UserError
from core.messages import ModelRef
from core.transfer import classifier, finder, graph_worth, trial
from core.transfer.requests import FinderRequest, GraphWorthRequest, TrainingConfig
from tests.core.transfer.conftest import tiny_backbone

CURVES = np.array([0.1, 1.0, 10.0])  # of a bowl: gradient descent leaves it where the rate is above 2 / 10
LIMIT = 2 / CURVES.max()


class Bowl:
    """0.5 Σ c w², by gradient descent."""

    def __init__(self):
        self.place = np.ones(3)

    def learn(self, rate: float) -> float:
        loss = 0.5 * float(np.sum(CURVES * self.place**2))
        self.place = self.place - rate * CURVES * self.place
        return loss

    def after(self, steps: int, rate: float) -> float:
        for _ in range(steps):
            self.learn(rate)
        return self.learn(0.0)


@pytest.fixture
def tiny(monkeypatch):
    """Trials with a tiny network in the place of a real one."""

    def build(ref, classes, config):
        return classifier.build(ref, classes, config, backbone=tiny_backbone())

    monkeypatch.setattr(trial, "build", build)
    monkeypatch.setattr(trial.loading, "load_steps", lambda ref: iter(()))


def config(folder, **more) -> TrainingConfig:
    return TrainingConfig(str(folder), ModelRef("tiny"), "", **{"size": 16, "batch_size": 8, "dropout": 0.0, **more})


# --- The finder ------------------------------------------------------------------------------------------------------


def test_on_a_bowl_the_suggestion_learns_and_the_end_explodes():
    *_, (rates, losses) = finder.rising(Bowl().learn, np.geomspace(1e-6, 10, 100))
    suggested = finder.suggest(rates, losses)
    start = Bowl().learn(0.0)
    assert Bowl().after(50, suggested) < 0.5 * start
    assert suggested < LIMIT < rates[-1]
    assert len(rates) < 100  # it did not go on to the last rate
    assert Bowl().after(50, rates[-1]) > 100 * start


def test_a_loss_that_never_falls_has_no_suggestion():
    *_, (rates, losses) = finder.rising(lambda rate: 1.0, np.geomspace(1e-6, 10, 100))
    assert len(rates) == 100
    assert finder.suggest(rates, losses) is None
    assert finder.suggest(rates, np.linspace(1, 3, 100)) is None
    assert finder.suggest((), ()) is None


def test_the_smoothed_loss_of_a_constant_is_the_constant():
    *_, (_, losses) = finder.rising(lambda rate: 0.7, np.geomspace(1e-6, 10, 30))
    np.testing.assert_allclose(losses, 0.7)


def test_what_is_no_number_ends_the_run():
    values = iter([1.0, 0.9, float("nan"), 0.5])
    *_, (rates, losses) = finder.rising(lambda rate: next(values), [1e-3, 1e-2, 1e-1, 1.0])
    assert len(rates) == len(losses) == 2


def test_the_steepest_fall_is_found_where_it_is():
    rates = np.geomspace(1e-6, 10, 100)
    losses = 1 / (1 + np.exp((np.arange(100) - 60) / 4))  # falls most steeply at step 60
    assert finder.suggest(rates, losses) == pytest.approx(rates[60], rel=1e-6)


def test_the_finder_streams_and_repeats_itself(tiny, folder):
    request = FinderRequest(config(folder), steps=40)
    first, again = list(finder.run(request)), list(finder.run(request))
    steps = [found.step for found in first]
    assert steps == sorted(steps)
    assert len(set(steps)) > 20
    assert first[-1].losses == again[-1].losses
    assert min(first[-1].losses) < first[-1].losses[0]
    assert first[-1].rates[0] == pytest.approx(request.lowest)


def test_from_scratch_the_whole_network_is_tried(tiny, folder):
    wanted = config(folder, from_scratch=True, augmentation=None)
    *_, found = trial.prepare(wanted)
    first = found.classifier.backbone.layers[1].kernel
    before = first.numpy()
    finder.learner(found, found.photos)(0.1)
    assert np.abs(first.numpy() - before).max() > 1e-3


def test_rates_that_do_not_rise_are_refused(tiny, folder):
    with pytest.raises(UserError, match="must rise"):
        list(finder.run(FinderRequest(config(folder), lowest=1.0, highest=0.1)))


# --- What the graph is worth -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", graph_worth.PHASES)
def test_the_graph_s_step_is_the_faster_one_once_it_is_traced(tiny, folder, phase):
    *_, worth = graph_worth.run(GraphWorthRequest(config(folder), phase, steps=8))
    assert len(worth.eager) == len(worth.compiled) == worth.steps == 8
    assert np.median(worth.compiled) < np.median(worth.eager) < worth.tracing


def test_both_steps_learn_the_same(tiny, folder):
    """Eager and compiled are two ways to run one step: from the same numbers they come to the same numbers."""
    results = []
    for eager in (True, False):
        *_, found = trial.prepare(config(folder, seed=1))
        *_, inputs = trial.features(found)
        request = GraphWorthRequest(found.config, "head")
        graph_worth._step(found, inputs, request, eager)()
        results.append([variable.numpy() for variable in found.classifier.head.trainable_variables])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_an_unknown_phase_is_refused(tiny, folder):
    with pytest.raises(UserError, match="no phase named 'tail'"):
        list(graph_worth.run(GraphWorthRequest(config(folder), "tail")))


def test_a_trial_keeps_some_photos_of_all_classes(tiny, folder):
    *_, found = trial.prepare(config(folder), most=6)
    assert found.photos.shape == (6, 16, 16, 3)
    assert set(found.labels) == {0, 1, 2}
