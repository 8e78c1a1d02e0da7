from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, confusion_matrix

from core.transfer import report
from core.transfer.requests import EpochRow, TrainingReport

ROWS = [EpochRow(1, "head", 1.5, 0.25, 1.25, 0.5, 0.1), EpochRow(2, "fine-tuning", 1.0, 0.5, 0.75, 0.75, 2.0)]


def a_report(**changes) -> TrainingReport:
    facts = {
        "classes": ("été", "=HYPERLINK()"),
        "images": 10,
        "training_images": 8,
        "validation_images": 2,
        "left_out": (("a.txt", "why"),),
        "validation_accuracy": 0.5,
        "majority_accuracy": 0.5,
        "confusion": ((1, 0), (1, 0)),
        "epochs": 2,
        "stopped": False,
        "seconds": 1.5,
        "model_path": "model.keras",
        "backbone": "tiny",
        "origin": "random (untrained)",
    }
    return TrainingReport(**{**facts, **changes})


def test_confusion_and_accuracy_are_scikit_learns():
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 4, 60), rng.integers(0, 5, 60)
    matrix = report.confusion_matrix(true, predicted, 5)
    np.testing.assert_array_equal(matrix, confusion_matrix(true, predicted, labels=range(5)))
    assert report.accuracy(matrix) == pytest.approx(accuracy_score(true, predicted))


def test_majority_is_the_dummys():
    training, validation = np.array([2, 2, 0, 1, 2]), np.array([2, 0, 0, 2, 1, 2])
    dummy = DummyClassifier(strategy="most_frequent").fit(training[:, None], training)
    assert report.majority_accuracy(training, validation) == dummy.score(validation[:, None], validation)


def test_files_say_what_the_report_says(tmp_path):
    report.write(a_report(), ROWS, tmp_path)
    assert json.loads((tmp_path / "report.json").read_text("utf-8")) == json.loads(json.dumps(asdict(a_report())))
    lines = list(csv.DictReader((tmp_path / "history.csv").open(encoding="utf-8")))
    assert [line["phase"] for line in lines] == ["head", "fine-tuning"]
    assert [float(line["validation_loss"]) for line in lines] == [1.25, 0.75]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.csv", "report.json"]


@pytest.mark.parametrize("sign", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1"])
def test_no_cell_is_a_formula(sign):
    text = report.history_csv([EpochRow(1, sign, 0, 0, 0, 0, 0)])
    assert list(csv.reader(io.StringIO(text)))[1][1] == f"'{sign}"


def test_a_report_is_strict_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        report.write(a_report(validation_accuracy=float("nan")), ROWS, tmp_path)
