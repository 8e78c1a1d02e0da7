"""The Trainer's recipe: every setting, presets, and what helps to choose."""

from __future__ import annotations

import json

import pytest

from core.messages import ModelRef
from core.transfer import presets, requests
from core.transfer.presets import PRESETS
from core.transfer.requests import Augmentation, TrainingConfig
from pages.trainer import finder_panel, graph_panel, recipe, recipe_choices, recipe_view
from tests.pages.conftest import App
from tests.zips import zip_of

PAGE = "transfer_trainer"
COLOURS = {"red": (200, 40, 40), "green": (40, 180, 40)}
# Each control of each group, and a value that is not its own.
CONTROLS = {
    "photos": {
        "size": ("select_slider", 128),
        "per_class": ("select_slider", 5),
        "flip": ("button_group", "both"),
        "rotation": ("slider", 90),
        "zoom": ("slider", 30),
        "shift": ("slider", 20),
        "shear": ("slider", 25),
        "brightness": ("slider", 40),
        "fill": ("selectbox", "wrap"),
        "validation": ("slider", 50),
        "variants": ("button_group", 0),
        "seed": ("number_input", 7),
        "augment": ("toggle", False),
    },
    "head": {
        "pooling": ("button_group", "flatten"),
        "dense": ("selectbox", "512, 256"),
        "dropout": ("slider", 50),
    },
    "learning": {
        "epochs": ("slider", 12),
        "rate": ("select_slider", 0.01),
        "batch": ("select_slider", 16),
        "optimizer": ("selectbox", "sgd"),
        "loss": ("selectbox", "focal"),
        "weights_by_class": ("toggle", True),
        "schedule": ("selectbox", "cosine"),
        "patience": ("select_slider", 3),
        "smoothing": ("slider", 10),
        "eager": ("toggle", True),
    },
    "fine": {
        "fine": ("slider", 5),
        "fine_share": ("slider", 60),
        "fine_from": ("selectbox", "block10_expand_conv"),
        "fine_rate": ("select_slider", 1e-4),
        "fine_optimizer": ("selectbox", "sgd"),
        "scratch": ("toggle", True),
    },
}
SWITCHES = ("augment", "loss", "fine_from", "scratch")  # they switch others off, which keep their values
ALL = {name: value for group in CONTROLS.values() for name, (_, value) in group.items()}


def visit(engine, **query) -> App:
    """The recipe for twelve small photos."""
    page = App(engine, PAGE, data="zip", **query)
    page.widget("file_uploader", "trainer.zip").upload("mine.zip", zip_of(COLOURS), "application/zip")
    page.run()
    return put(page, "button_group", "view", "recipe")


@pytest.fixture(scope="module")
def page(engine):
    """One visit for the tests of single controls."""
    return visit(engine, size=96)


def address(page, name: str) -> str | None:
    value = page.at.query_params.get(name)
    return value[0] if isinstance(value, list) else value


def chosen(page, name: str):
    return page.at.session_state[f"trainer.{name}"]


def put(page, kind: str, name: str, value):
    page.widget(kind, f"trainer.{name}").set_value(value)
    return page.run()


def press(page, name: str):
    page.widget("button", f"trainer.{name}").click()
    return page.run()


def words(page) -> str:
    """Without Markdown's escapes."""
    return page.words().replace("\\", "")


# --- Each setting ----------------------------------------------------------------------------------------------------


def test_every_setting_has_a_control():
    """The preset has its own tests, and folders that split the photos are asked about beside the photos."""
    assert set(ALL) == set(recipe.SETTINGS) - {"preset", "own_splits"}


@pytest.mark.parametrize("group", CONTROLS)
def test_the_controls_of_a_group_are_explained_and_kept_in_the_link(page, group):
    put(page, "button_group", "group", group)
    for name, (kind, value) in CONTROLS[group].items():
        widget = page.widget(kind, f"trainer.{name}")
        assert widget.proto.help, name
        assert widget.value != value, name
        if name not in SWITCHES:
            widget.set_value(value)
    page.run()
    for name in [each for each in SWITCHES if each in CONTROLS[group]]:
        kind, value = CONTROLS[group][name]
        put(page, kind, name, value)
    for name, (_, value) in CONTROLS[group].items():
        assert chosen(page, name) == value
        assert recipe.SETTINGS[name].parse(address(page, name)) == value
    assert "Changed from *Quick*" in words(page)
    press(page, "back to preset")
    assert [name for name in CONTROLS[group] if address(page, name)] == []
    assert "Just as in the recipe *Quick*" in words(page)


def test_every_setting_of_a_link_reaches_the_run(engine, monkeypatch):
    seen = []
    monkeypatch.setattr(recipe_view, "show", lambda bench: seen.append(bench.config))
    App(
        engine,
        PAGE,
        view="recipe",
        **{**ALL, "augment": True, "scratch": False, "loss": "crossentropy", "dense": "9,8"},
    )
    assert seen[-1] == TrainingConfig(
        data="chessman",
        backbone=ModelRef("efficientnet_lite0"),
        out="",
        size=128,
        epochs=12,
        fine_tune_epochs=5,
        validation=0.5,
        batch_size=16,
        learning_rate=0.01,
        fine_tune_learning_rate=1e-4,
        dropout=0.5,
        augmentation=Augmentation("both", 0.25, 0.3, 0.25, 0.2, 0.4, "wrap"),
        per_class=5,
        seed=7,
        pooling="flatten",
        dense=(9, 8),
        label_smoothing=0.1,
        class_weights=True,
        optimizer="sgd",
        schedule="cosine",
        fine_tune_optimizer="sgd",
        fine_tune_share=0.6,
        fine_tune_from="block10_expand_conv",
        variants=0,
        patience=3,
        eager=True,
        preset="quick",
    )


def test_all_that_a_run_can_be_is_offered():
    for name in ("FLIPS", "POOLINGS", "LOSSES", "OPTIMIZERS", "SCHEDULES"):
        assert set(getattr(recipe_choices, name)) == set(getattr(requests, name)), name
    assert set(recipe_choices.FILLS) == set(requests.FILL_MODES)


# --- Presets ---------------------------------------------------------------------------------------------------------


def test_what_a_link_says_wins_over_its_preset_and_can_be_taken_back(engine):
    page = visit(engine, preset="accurate", epochs=3, size=96)
    assert (chosen(page, "epochs"), chosen(page, "schedule")) == (3, "cosine")
    assert "Changed from *Accurate*: photo size 224 → 96, epochs 20 → 3" in words(page)
    assert [address(page, name) for name in ("preset", "epochs", "schedule")] == ["accurate", "3", None]
    press(page, "back to preset")
    assert "Just as in the recipe *Accurate*" in words(page)
    assert (chosen(page, "epochs"), address(page, "epochs")) == (20, None)


def test_a_preset_sets_the_settings_and_the_network(engine):
    page = App(engine, PAGE, view="training")
    put(page, "selectbox", "preset", "textbook")
    assert (chosen(page, "model"), chosen(page, "weights"), address(page, "model")) == (
        *("resnet152v2", "random"),  # its trained weights are not here
        "resnet152v2",
    )
    assert [chosen(page, name) for name in ("size", "pooling", "dense", "shear")] == [150, "flatten", "512, 256", 20]
    put(page, "selectbox", "preset", "scratch")
    assert (chosen(page, "model"), chosen(page, "weights")) == ("efficientnet_lite0", "imagenet")  # as before
    assert (chosen(page, "scratch"), chosen(page, "dense"), address(page, "preset")) == (True, "none", "scratch")
    put(page, "selectbox", "preset", "quick")
    assert (chosen(page, "scratch"), address(page, "preset")) == (False, None)


def test_a_link_to_the_textbook_s_recipe_means_its_network(engine):
    page = App(engine, PAGE, view="training", preset="textbook")
    assert chosen(page, "model") == "resnet152v2"
    assert chosen(App(engine, PAGE, view="training", preset="textbook", model="vgg16"), "model") == "vgg16"


def test_every_preset_stands_on_values_that_the_sliders_have():
    for name in PRESETS:
        config = presets.apply(name, TrainingConfig("", ModelRef(""), ""))
        for setting, each in recipe.SETTINGS.items():
            if each.allowed is not None:
                assert each.of(config) in each.allowed, (name, setting)
        if config.augmentation is not None:
            assert config.augmentation.rotation == round(360 * config.augmentation.rotation) / 360


# --- Dense layers of one's own ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["many", "0", "512, 5000", "1, 2, 3, 4, 5", "-3", "64,,32"])
def test_what_is_no_list_of_layers_is_refused(bad):
    with pytest.raises(ValueError):
        recipe.dense_of(bad)


def test_dense_layers_of_ones_own_are_put_in_order_or_refused_in_a_sentence(page):
    page.at.session_state["trainer.dense"] = "64+32"
    page.run()
    assert chosen(page, "dense") == "64, 32"
    page.at.session_state["trainer.dense"] = "many"
    page.run()
    assert len(page.at.error) == 1
    assert "“many” is no list of layers" in words(page)
    assert chosen(page, "dense") == "64, 32"
    press(page, "back to preset")
    assert (chosen(page, "dense"), len(page.at.error)) == ("none", 0)


# --- What helps to choose --------------------------------------------------------------------------------------------


def test_the_preview_is_drawn_anew_when_a_slider_moves(page):
    put(page, "button_group", "group", "photos")
    assert not page.at.error, page.at.error
    first = pictures(page)
    put(page, "slider", "rotation", 120)
    turned = pictures(page)
    press(page, "shake again")
    other = pictures(page)
    assert address(page, "shake") == "1"
    assert len(first) == 3
    assert len({first, turned, other}) == 3
    press(page, "back to preset")


def pictures(page) -> tuple[str, ...]:
    return tuple(image.url for each in page.at.get("image") for image in each.proto.imgs)


def test_a_rate_is_found_and_used(page, engine):
    put(page, "button_group", "group", "learning")
    put(page, "select_slider", "rate", 1e-5)  # nothing that would be suggested
    press(page, "find rate")
    assert json.loads(page.figure("finder").proto.spec)["layout"]["shapes"], "no suggestion is marked"
    press(page, "use rate")
    assert chosen(page, "rate") > 1e-4
    assert page.widget("button", "trainer.use rate").disabled
    # With the rate that is used now it is not looked for again.
    assert sum(job.task == finder_panel.TASK for job in engine.jobs()) == 1
    put(page, "select_slider", "rate", 0.003)


@pytest.mark.slow
def test_the_graph_s_worth_is_measured(page):
    put(page, "button_group", "group", "learning")
    put(page, "button_group", "tool", "graph")
    press(page, "measure graph")
    assert "ms** as a graph" in words(page)
    assert all(text.endswith(" ms") for text in json.loads(page.figure("step times").proto.spec)["data"][0]["text"])
    assert (address(page, "tool"), address(page, "worth")) == ("graph", None)
    put(page, "button_group", "worth", "network")
    assert page.widget("button", "trainer.measure graph")
    assert address(page, "worth") == "network"
    put(page, "button_group", "group", "photos")
    assert (address(page, "tool"), address(page, "worth")) == (None, None)


def test_a_rate_between_two_steps_of_the_slider_is_the_lower_one():
    assert [recipe.step_of_slider(rate) for rate in (0.0123, 0.01, 0.00999, 1e-9)] == [0.01, 0.01, 0.007, 1e-7]


def test_the_same_trial_is_asked_for_whatever_does_not_concern_it():
    config = TrainingConfig("photos", ModelRef("efficientnet_lite0"), "", epochs=8)
    same = TrainingConfig("photos", ModelRef("efficientnet_lite0"), "", epochs=3, patience=2, preset="quick")
    other = TrainingConfig("photos", ModelRef("efficientnet_lite0"), "", batch_size=8)
    assert finder_panel.request_of(config) == finder_panel.request_of(same) != finder_panel.request_of(other)
    head = [graph_panel.request_of(each, "head") for each in (config, same, other)]
    assert head[0] == head[1] != head[2]
