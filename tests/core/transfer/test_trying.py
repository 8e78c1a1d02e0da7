"""A new photo for a finished network."""

from __future__ import annotations

import numpy as np
import pytest

from core.images import decode
from core.messages import Photo
from core.transfer import trying, unknown
from core.transfer.finished import finished
from core.transfer.requests import TryRequest

from .conftest import coloured, write
from .finished_runs import SIZE, written_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("trying")
    return written_run(place / "run", write(place / "colours", coloured()))


def test_a_photo_that_it_learned_from_is_its_own_nearest(run):
    opened = finished(run)
    row = int(opened.splits.training[7])
    pixels = opened.splits.dataset.photos[row]
    *_, found = trying.run(TryRequest(str(run), Photo.of(pixels)))
    assert found.nearest[0].file == opened.splits.dataset.files[row]
    assert found.nearest[0].label == opened.splits.dataset.labels[row]
    assert found.nearest[0].distance < 0.05
    assert [each.distance for each in found.nearest] == sorted(each.distance for each in found.nearest)
    assert len(found.nearest) == 6
    assert np.abs(decode(found.nearest[0].picture)[::4, ::4].astype(int) - pixels).mean() < 20


def test_it_says_what_the_network_says_and_measures_as_the_meter_does(run):
    opened = finished(run)
    wide = np.random.default_rng(0).integers(0, 255, (SIZE, 2 * SIZE, 3)).astype(np.uint8)
    *_, found = trying.run(TryRequest(str(run), Photo.of(wide)))
    middle = wide[:, SIZE // 2 : -SIZE // 2]  # cut as the run's photos were
    expected = np.asarray(opened.network.model(middle[None].astype(np.float32)))[0]
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
    *_, bank = unknown.banked(opened)
    features, _ = unknown.answers(opened.network, middle[None])
    assert found.distance == pytest.approx(float(bank.distance(features)[0]))
    assert found.distance == pytest.approx(found.nearest[4].distance)  # the fifth
    assert decode(found.picture).shape == decode(found.heat).shape
