import csv
import io

import numpy as np
import pytest

from core import statistics
from core.statistics import CONSTANT, NO_NUMBERS, SILENT


def maps() -> np.ndarray:
    values = np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)
    values[:, :, 1], values[:, :, 2], values[:, :, 3] = 0, 7, np.nan
    values[0, 0, 4], values[1, 2, 4], values[1, 3, 4] = np.inf, np.nan, 9
    values[:2, :, 5] = 0
    return values


def test_numbers_are_those_of_each_map():
    values = maps()
    found = statistics.of_channels(values)
    assert found.mean[0] == pytest.approx(values[:, :, 0].mean(), rel=1e-5)
    assert found.std[0] == pytest.approx(values[:, :, 0].std(), rel=1e-5)
    assert (found.low[0], found.high[0]) == (values[:, :, 0].min(), values[:, :, 0].max())
    assert values[(*found.peak[0], 0)] == values[:, :, 0].max()
    assert found.zeros[5] == pytest.approx(0.5)
    assert (*found.peak[4], found.high[4]) == (1, 3, 9)  # what is not a number does not count
    assert np.isnan(found.mean[3]) and found.peak[3].tolist() == [-1, -1]


def test_what_is_wrong_with_a_channel():
    expected = ("", SILENT, CONSTANT, NO_NUMBERS, "", "")
    assert statistics.of_channels(maps()).states == expected
    assert statistics.states(maps()) == expected


def test_a_vector_is_no_constant_map():
    vector = np.array([0, 2.5, np.nan, -np.inf], np.float32)
    assert statistics.states(vector) == (SILENT, "", NO_NUMBERS, NO_NUMBERS)
    assert statistics.of_channels(vector).mean[1] == 2.5


def test_the_table_can_be_read_back():
    found = statistics.of_channels(maps())
    rows = list(csv.DictReader(io.StringIO(statistics.to_csv(found).decode())))
    assert [int(row["channel"]) for row in rows] == list(range(6))
    assert [float(row["mean"]) for row in rows if row["state"] != NO_NUMBERS] == pytest.approx(
        found.mean[[0, 1, 2, 4, 5]].tolist(), rel=1e-5
    )
    assert rows[3]["mean"] == rows[3]["peak y"] == ""
    assert [row["state"] for row in rows] == list(found.states)


@pytest.mark.parametrize("shape", [(7, 4), (3, 4, 5, 4)])
def test_steps_and_volumes_have_cells_as_maps_have(shape):
    values = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    values[..., 2] = 0
    found = statistics.of_channels(values)
    assert found.states == statistics.states(values) == ("", "", SILENT, "")
    assert values[(*found.peak[3], 3)] == values[..., 3].max()
    rows = list(csv.DictReader(io.StringIO(statistics.to_csv(found, len(shape) - 1).decode())))
    last = "peak step" if len(shape) == 2 else "peak x"
    assert int(rows[1][last]) == found.peak[1][-1]
    assert ("peak depth" in rows[0]) == (len(shape) == 4)
