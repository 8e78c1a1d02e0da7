"""The table of runs: what it says, two of them side by side, and what can be done with one.

No photos are chosen, so that none have to be drawn for a look at the recipe.
"""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from core import opened, runs, storage
from core.messages import ModelRef
from core.runs import Run
from core.transfer import evaluation, report, settings
from core.transfer.requests import Augmentation, EpochRow, TrainingConfig, TrainingReport
from pages.trainer import runs_view
from tests.core.tiny import tiny_model

CONFIG = TrainingConfig("chessman", ModelRef("efficientnet_lite0"), "out", preset="quick")
REPORT = TrainingReport(
    classes=("green", "=1+1"),
    images=50,
    training_images=40,
    validation_images=10,
    left_out=(),
    validation_accuracy=0.8,
    majority_accuracy=0.5,
    confusion=((4, 1), (1, 4)),
    epochs=2,
    stopped=False,
    seconds=12.0,
    model_path="",
    backbone="efficientnet_lite0",
    origin="",
)
ROWS = (EpochRow(1, "head", 1.0, 0.5, 1.1, 0.6, 1.0), EpochRow(2, "head", 0.5, 0.9, 0.7, 0.8, 1.0))


def kept(config: TrainingConfig | None, ended: TrainingReport | None, *, checkpoint: bool = False) -> str:
    """A run on disk; its name."""
    folder = runs.new_run()
    if config is not None:
        runs.write_config(folder, replace(config, out=str(folder)))
    if ended is not None:
        report.write(ended, ROWS, folder)
    if checkpoint:
        (folder / runs.CHECKPOINT).write_bytes(b"x")
    return folder.name


@pytest.fixture
def others():
    names = [
        kept(replace(CONFIG, epochs=20, fine_tune_epochs=5, dropout=0.5), REPORT),
        kept(CONFIG, replace(REPORT, stopped=True, validation_accuracy=0.3)),
        kept(CONFIG, None, checkpoint=True),
    ]
    yield names
    for name in names:
        runs.delete(name)


def in_link(page, name: str) -> str:
    value = page.at.query_params[name]
    return value if isinstance(value, str) else value[0]


def table(page):
    (found,) = page.at.dataframe
    return found.value


def test_all_runs_are_in_the_table_the_newest_first(app, trained, others):
    page = app("transfer_trainer", data="zip", view="runs")
    found = table(page)
    assert len(found) == len(runs.all_runs()) and found["begun"].is_monotonic_decreasing
    states = dict(zip([run.name for run in runs.all_runs()], found["state"], strict=True))
    assert [states[name] for name in (*others, trained)] == ["finished", "stopped", "can go on", "finished"]
    row = found[found["epochs"] == "20 + 5"].iloc[0]
    share = evaluation.share(8, 10)
    assert row["accuracy"] == 80 and row["always the same"] == 50 and row["photos"] == 50 and row["seconds"] == 12
    assert row["95 %"] == f"{100 * share.low:.0f} – {100 * share.high:.0f} %"
    assert (row["network"], row["recipe"], row["size"], row["rate"]) == ("EfficientNet-Lite0", "Quick", 160, "0.003")
    assert "Tick one run" in page.words()


def test_two_runs_side_by_side(app, others):
    page = app("transfer_trainer", data="zip", view="runs", compare=",".join(others[:2]))
    words = page.words()
    assert "settings differ" in words
    assert "| Fine-tuning epochs | none | 5 |" in words.replace("\\", "")  # the newer one first
    assert "| Dropout | 20 % | 50 % |" in words.replace("\\", "").replace("\u00a0", " ")
    assert page.figure("compared_curves") and page.figure("compared_accuracies")
    assert "overlap" in words
    # The address keeps them; another tick is another choice.
    assert set(in_link(page, "compare").split(",")) == set(others[:2])
    names = [run.name for run in runs.all_runs()]
    page.at.session_state[runs_view.table_key(names)] = {
        "selection": {"rows": [names.index(others[2])], "columns": [], "cells": []}
    }
    page.run()
    assert in_link(page, "compare") == others[2]
    assert "no result yet" in page.words()


def test_its_results_are_a_click_away(app, trained, others):
    page = app("transfer_trainer", data="zip", view="runs", compare=trained)
    assert page.figure("run_curves")
    page.widget("button", f"trainer.results {trained}").click()
    page.run()
    assert page.widget("segmented_control", "trainer.view").value == "results"
    assert in_link(page, "run") == trained


def test_a_recipe_is_used_again(app, others):
    config = replace(
        CONFIG,
        backbone=ModelRef("mobilenetv2", None),
        size=128,
        epochs=12,
        learning_rate=0.0033,
        dropout=0.35,
        augmentation=Augmentation(flip="none", rotation=0.25, zoom=0.0),
        loss="focal",
        dense=(64, 32),
        patience=4,
        seed=9,
        fine_tune_epochs=3,
        fine_tune_from="block_1_expand",
        class_weights=True,
    )
    name = kept(config, REPORT)
    try:
        page = app("transfer_trainer", data="zip", view="runs", compare=name)
        page.widget("button", f"trainer.recipe {name}").click()
        page.run()
        assert page.widget("segmented_control", "trainer.view").value == "recipe"
        state = page.at.session_state
        assert state["trainer.model"] == "mobilenetv2" and state["trainer.weights"] == "random"
        found = {each: state[f"trainer.{each}"] for each in ("size", "epochs", "dropout", "rotation", "flip", "loss")}
        assert found == {"size": 128, "epochs": 12, "dropout": 35, "rotation": 90, "flip": "none", "loss": "focal"}
        assert (state["trainer.dense"], state["trainer.patience"], state["trainer.seed"]) == ("64, 32", 4, 9)
        assert state["trainer.rate"] == 0.003  # the slider's nearest
        assert state["trainer.fine_from"] == "block_1_expand" and state["trainer.weights_by_class"]
    finally:
        runs.delete(name)


def test_a_recipe_of_a_persons_own_network_is_used_again_when_its_upload_is_gone(app, tmp_path):
    tiny_model().save(tmp_path / "x.keras")
    brought = opened.opened(storage.keep_upload((tmp_path / "x.keras").read_bytes(), ".keras"), "mine.keras")
    ref = runs.keep_backbone(runs.new_run(), brought.ref)
    name = kept(replace(CONFIG, backbone=ref, size=64), REPORT)
    opened.forget(brought.path)
    page = app("transfer_trainer", data="zip", view="runs", compare=name)
    assert "mine.keras" in page.words().replace("\\", "")
    page.widget("button", f"trainer.recipe {name}").click()
    page.run()
    assert page.at.session_state["trainer.model"] == ref.name
    assert page.widget("selectbox", "trainer.model").format_func(ref.name) == "★ mine.keras"
    assert not page.at.error
    runs.delete(name)


def test_deleting_asks_first_and_says_what_is_lost(app, others):
    name = kept(CONFIG, REPORT)
    page = app("transfer_trainer", data="zip", view="runs", compare=name, run=name)
    assert "the trained network, here and on the other two pages" in page.words()
    assert runs.find(name) is not None
    page.widget("button", f"trainer.delete {name}").click()
    page.run()
    assert runs.find(name) is None and len(table(page)) == len(runs.all_runs())
    assert "run" not in page.at.query_params and "compare" not in page.at.query_params


def test_a_running_run_cannot_be_deleted(app, others, monkeypatch):
    monkeypatch.setattr(runs_view, "is_running", lambda name: name == others[2])
    page = app("transfer_trainer", data="zip", view="runs", compare=others[2])
    assert page.widget("button", f"trainer.running {others[2]}").disabled
    assert f"trainer.delete {others[2]}" not in {each.key for each in page.at.button}
    assert "running" in list(table(page)["state"])
    page.widget("button", f"trainer.training {others[2]}").click()
    page.run()
    assert page.widget("segmented_control", "trainer.view").value == "training"


# ---- without a page


def run_of(config=CONFIG, ended=REPORT, *, can_go_on=False) -> Run:
    return Run("2026-11-24-0123456789ab", None, datetime(2026, 11, 24, tzinfo=timezone.utc), config, ended, can_go_on)


def test_the_saved_table_has_every_setting_and_no_formulas():
    hostile = replace(CONFIG, backbone=ModelRef("/x/=cmd().keras"))
    text = runs_view.table_csv([run_of(), run_of(hostile, None), run_of(None, replace(REPORT, classes=("=1+1", "@x")))])
    assert text.startswith(b"\xef\xbb\xbf")
    lines = list(csv.DictReader(io.StringIO(text.decode("utf-8-sig"))))
    assert [line["accuracy"] for line in lines] == ["80.0", "", "80.0"]
    assert lines[0]["classes"] == "green, =1+1" and lines[2]["classes"] == "'=1+1, @x"
    assert lines[0]["Dropout"] == "20 %" and lines[1]["network"] == "'=cmd().keras"
    assert set(settings.told(CONFIG)) <= set(lines[0])


@pytest.mark.parametrize(
    ("right", "words"), [((9, 9), "equally often"), ((5, 8), "may be luck"), ((1, 10), "beyond luck")]
)
def test_a_comparison_is_called_luck_where_it_may_be(right, words):
    shares = [evaluation.share(each, 10) for each in right]
    assert words in runs_view.say_comparison(shares, True)
    assert "different photos" in runs_view.say_comparison(shares, False)
    assert "no result yet" in runs_view.say_comparison(shares[:1], True)


def test_settings_that_differ_are_found_in_both_directions():
    other = replace(CONFIG, fine_tune_epochs=2, label_smoothing=0.1, out="elsewhere", data="x.zip")
    found = settings.differing(CONFIG, other)
    assert found["Label smoothing"] == ("–", "0.1") and found["Fine-tuning epochs"] == ("none", "2")
    assert settings.differing(other, CONFIG)["Label smoothing"] == ("0.1", "–")
    assert settings.differing(CONFIG, replace(CONFIG, out="elsewhere")) == {}


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (run_of(), "8"),
        (run_of(replace(CONFIG, fine_tune_epochs=5), replace(REPORT, stopped=True, epochs=3)), "3 of 8 + 5"),
        (run_of(None), "2"),
        (run_of(CONFIG, None), "8"),
    ],
)
def test_epochs_in_words(run, words):
    assert runs_view.epochs_words(run) == words


def test_a_setting_between_two_steps_takes_the_nearest():
    assert runs_view.nearest(0.0033, (0.001, 0.003, 0.01)) == 0.003
    assert runs_view.nearest("x", (1, 2)) is None and runs_view.nearest(True, (1, 2)) is None
