"""The "none of these" meter."""

from __future__ import annotations

import os

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from core import runs, storage
from core.errors import UserError
from core.samples import PHOTOGRAPHS
from core.transfer import unknown, verdicts
from core.transfer.finished import finished
from core.transfer.requests import Unknown, UnknownRequest
from core.transfer.unknown import Bank, auroc, banked, normalised, threshold

from .conftest import coloured, write
from .finished_runs import written_run

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("unknown")
    return written_run(place / "run", write(place / "colours", coloured()), dense=(10,))


def test_distances_are_those_of_scikit_learn():
    training, queries = RNG.normal(0, 1, (40, 6)), RNG.normal(0, 1, (9, 6))
    bank = Bank(normalised(training).astype(np.float16), np.arange(40))
    oracle = NearestNeighbors(n_neighbors=5).fit(training / np.linalg.norm(training, axis=1, keepdims=True))
    expected, _ = oracle.kneighbors(queries / np.linalg.norm(queries, axis=1, keepdims=True))
    np.testing.assert_allclose(bank.distance(queries), expected[:, -1], atol=2e-3)
    np.testing.assert_allclose(bank.distance(100 * queries), bank.distance(queries), atol=1e-6)


def test_with_hardly_any_photos_there_are_fewer_neighbours():
    bank = Bank(np.eye(2, 4, dtype=np.float16), np.arange(2))
    assert bank.distance(np.eye(4, dtype=np.float32)[2:]) == pytest.approx([2**0.5, 2**0.5])


def test_auroc_is_that_of_scikit_learn():
    known, others = RNG.normal(0, 1, 50).round(1), RNG.normal(1, 1, 20).round(1)  # rounded: some are equal
    truth = np.repeat([0, 1], (50, 20))
    assert auroc(known, others) == pytest.approx(roc_auc_score(truth, np.concatenate([known, others])))


@pytest.mark.parametrize("count", [1, 7, 20, 100])
def test_the_threshold_is_the_least_that_lets_enough_pass(count):
    known = RNG.normal(0, 1, count)
    limit = threshold(known)
    assert np.mean(known <= limit) >= 0.95
    assert np.mean(known < limit) < 0.95


def test_the_meter_of_a_run(run):
    *_, found = unknown.measure(UnknownRequest(str(run)))
    assert len(found.known) == 6 and {name.partition("/")[0] for name, _ in found.known} == {"blue", "green", "red"}
    assert {name for name, _ in found.others} == {sample.name for sample in PHOTOGRAPHS}
    assert found.neighbours == 5 and 0 <= found.auroc <= 1
    assert all(0 <= distance <= 2 for _, distance in (*found.known, *found.others))
    assert verdicts.let_through(found, found.threshold)[0] == 6
    opened = finished(run)
    features, outputs = unknown.answers(opened.network, opened.splits.dataset.photos[:3])
    assert features.shape == (3, 10)  # of the dense layer before the last
    np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-5)


def test_the_bank_is_kept_and_found_again(run):
    opened = finished(run)
    *_, first = banked(opened)
    assert (run / runs.BANK).is_file() and first.features.dtype == np.float16
    told = list(banked(opened))
    assert len(told) == 1  # nothing had to be looked at
    np.testing.assert_array_equal(told[0].features, first.features)
    np.testing.assert_array_equal(told[0].rows, opened.splits.training)


def test_a_bank_of_another_network_or_a_damaged_one_is_made_anew(run):
    opened = finished(run)
    list(banked(opened))
    os.utime(run / runs.MODEL, ns=(1, 1))
    assert unknown.read(opened) is None
    *_, bank = banked(opened)
    assert unknown.read(opened) is not None
    (run / runs.BANK).write_bytes(b"PK\x03\x04 damaged")
    assert unknown.read(opened) is None
    *_, again = banked(opened)
    np.testing.assert_array_equal(again.features, bank.features)


def test_a_full_disk_does_not_hide_the_meter(run, monkeypatch):
    opened = finished(run)
    (run / runs.BANK).unlink(missing_ok=True)

    def full(*_, **__):
        raise UserError("the disk is full")

    monkeypatch.setattr(storage, "write_atomically", full)
    *_, bank = banked(opened)
    assert len(bank.rows) == 18 and not (run / runs.BANK).exists()


def test_the_bank_is_bounded(run, monkeypatch):
    opened = finished(run)
    (run / runs.BANK).unlink(missing_ok=True)
    monkeypatch.setattr(unknown, "BANK_MAX_BYTES", 2 * 10 * 6)
    *_, bank = banked(opened)
    np.testing.assert_array_equal(np.bincount(opened.splits.dataset.labels[bank.rows]), [2, 2, 2])


@pytest.mark.parametrize(("area", "kind"), [(1.0, "good"), (0.8, "fair"), (0.5, "poor")])
def test_how_good_the_meter_is_is_said(area, kind):
    verdict = verdicts.meter(Unknown((), (), 1.0, 5, area))
    assert verdict.kind == kind and f"{area:.2f}" in verdict.words
