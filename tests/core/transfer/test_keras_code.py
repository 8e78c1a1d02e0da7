"""The program that repeats a training run: what it does is held against what we do."""

import ast
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from core.errors import UserError
from core.messages import ModelRef
from core.transfer import classifier, datasets, losses, optimisers, weights
from core.transfer.classifier import augment
from core.transfer.keras_code import training_code, usage_code
from core.transfer.requests import Augmentation, TrainingConfig, TrainingReport
from tests.core.transfer.conftest import COLOURS, coloured, photo, tiny_backbone, zip_of

LITE = TrainingConfig("photos.zip", ModelRef("efficientnet_lite0"), "out", size=64, epochs=2)
ALL_OF_IT = replace(
    LITE,
    augmentation=Augmentation("both", 0.1, 0.2, 0.3, 0.1, 0.2, "nearest"),
    loss="focal",
    dense=(32, 16),
    pooling="max",
    class_weights=True,
    patience=2,
    schedule="cosine",
    optimizer="sgd",
    fine_tune_epochs=1,
    fine_tune_optimizer="adamw",
    per_class=5,
)
RECIPES = {
    "quick": LITE,
    "all of it": ALL_OF_IT,
    "live": replace(LITE, variants=0, label_smoothing=0.1, schedule="exponential"),
    "plain": replace(LITE, augmentation=None, pooling="flatten", fine_tune_epochs=1, fine_tune_from="head_conv"),
    "scratch": replace(
        LITE, backbone=ModelRef("mobilenetv2", None), from_scratch=True, loss="huber", optimizer="rmsprop"
    ),
    "bgr": replace(LITE, backbone=ModelRef("vgg16")),
    "own scaling": replace(LITE, backbone=ModelRef("mobilenetv3small")),
    "a file": replace(LITE, backbone=ModelRef("/some/where/mine.keras")),
}


def report_of(classes=tuple(COLOURS), **changes) -> TrainingReport:
    count = len(classes)
    known = {
        "classes": tuple(classes),
        "images": 24,
        "training_images": 18,
        "validation_images": 6,
        "left_out": (),
        "validation_accuracy": 1.0,
        "majority_accuracy": 1 / count,
        "confusion": tuple((0,) * count for _ in range(count)),
        "epochs": 2,
        "stopped": False,
        "seconds": 1.0,
        "model_path": "",
        "backbone": "",
        "origin": "",
    }
    return TrainingReport(**known | changes)


def names_of(code: str, **others) -> dict:
    """What the script defines; nothing is run."""
    names = {"__name__": "script", **others}
    exec(compile(code, "script.py", "exec"), names)
    return names


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A folder with photos.zip, in which scripts run."""
    zip_of(tmp_path / "photos.zip", {**coloured(), "blue/broken.png": b"none", "__MACOSX/blue/._1.png": b"x"})
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("recipe", RECIPES)
def test_scripts_say_all_that_they_need_and_nothing_of_ours(recipe):
    code = training_code(RECIPES[recipe], report_of())
    tree = ast.parse(code)
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    assert imported <= set(sys.stdlib_module_names) | {"keras", "tensorflow", "numpy", "PIL"}
    assert not re.search(r"\bcore\b|UserError|PREPROCESSING|requirements\.txt|_LINES|_BEGINS|BACKBONE_OPT", code)
    assert max(map(len, code.splitlines())) <= 120
    assert not re.search(r"\n{4}|[ \t]\n", code)
    # Every name that is used is defined; every setting and function is used.
    defined = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    defined |= {
        name.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for name in ast.walk(node.targets[0])
        if isinstance(name, ast.Name)
    }
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    bare = code.partition("# ---- EfficientNet-Lite0")[0]
    ours = {name for name in defined if re.search(rf"^({name} =|def {name}\(|class {name}\b)", bare, re.M)}
    assert ours - used == set()
    names_of(code)


def test_it_reads_the_same_pixels_and_holds_back_the_same_photos(here):
    names = names_of(training_code(replace(LITE, validation=0.3, seed=7), report_of()))
    photos, labels, files = names["read_photos"]()
    dataset = datasets.read("photos.zip", 64)
    assert files == dataset.files
    np.testing.assert_array_equal(photos, dataset.photos)
    np.testing.assert_array_equal(labels, dataset.labels)
    ours = datasets.split(dataset, 0.3, 7)
    for theirs, expected in zip(names["split"](labels, files), (ours.training, ours.validation), strict=True):
        np.testing.assert_array_equal(theirs, expected)


def test_it_takes_the_same_few_of_each_class_and_leaves_out_the_same(here):
    names = names_of(training_code(replace(LITE, per_class=3), report_of()))
    assert names["read_photos"]()[2] == datasets.read("photos.zip", 64, 3).files
    told = report_of(left_out=(("red/01.png", "is the same photo as red/00.png"),))
    assert "red/01.png" not in names_of(training_code(LITE, told))["read_photos"]()[2]


@pytest.mark.parametrize("parts", [("train", "valid"), ("train", "test"), ("train", "val", "test")])
def test_it_follows_the_folders_of_a_data_set_that_is_split_already(here, parts):
    pictures = [
        (f"{part}/{name}/{index}.png", photo(colour, seed=100 * place + 10 * where + index))
        for where, part in enumerate(parts)
        for place, (name, colour) in enumerate(COLOURS.items())
        for index in range(5)
    ]
    zip_of(here / "photos.zip", dict(pictures))
    dataset = datasets.read("photos.zip", 64)
    ours = datasets.split(dataset, LITE.validation, LITE.seed)
    held_back = [dataset.files[place] for place in ours.validation]
    names = names_of(training_code(LITE, report_of(), held_back))
    _, labels, files = names["read_photos"]()
    training, validation = names["split"](labels, files)
    assert {files[place] for place in training} == {dataset.files[place] for place in ours.training}
    assert {files[place] for place in validation} == set(held_back)


@pytest.mark.parametrize(
    ("name", "smoothing"), [("crossentropy", 0), ("crossentropy", 0.1), ("focal", 0), ("huber", 0)]
)
def test_its_loss_is_ours(name, smoothing):
    rng = np.random.default_rng(0)
    labels, said = rng.integers(0, 3, 50), rng.dirichlet([0.3] * 3, 50).astype(np.float32)
    code = training_code(replace(LITE, loss=name, label_smoothing=smoothing), report_of())
    theirs = names_of(code)["loss_of"](tf.constant(labels), tf.constant(said))
    np.testing.assert_allclose(theirs, losses.named(name, smoothing)(labels, said), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", optimisers.OPTIMIZERS)
@pytest.mark.parametrize("schedule", optimisers.SCHEDULES)
def test_its_optimiser_is_ours(name, schedule):
    code = training_code(replace(LITE, optimizer=name, schedule=schedule), report_of())
    theirs, ours = names_of(code)["new_optimizer"](0.01, 40), optimisers.named(name, 0.01, schedule, 40)
    variables = [keras.Variable(np.ones(3, np.float32)) for _ in range(2)]
    for _ in range(3):
        for optimizer, variable in zip((theirs, ours), variables, strict=True):
            optimizer.apply([tf.constant([0.5, -1.0, 2.0])], [variable])
    np.testing.assert_array_equal(variables[0].numpy(), variables[1].numpy())
    assert float(theirs.learning_rate) == float(ours.learning_rate)


def test_its_weights_and_its_augmentation_are_ours():
    names = names_of(training_code(ALL_OF_IT, report_of()))
    labels = np.array([0, 0, 0, 1, 2, 2])
    np.testing.assert_allclose(names["weights_of"](labels), weights.balanced(labels, 3)[labels])

    def told(layers):
        without = ("name", "seed", "dtype", "trainable")
        return [(type(each), {k: v for k, v in each.get_config().items() if k not in without}) for each in layers]

    theirs = names["random_changes"]().layers
    assert told(theirs) == told(augment(ALL_OF_IT.augmentation, 0).layers)
    assert len({each.get_config()["seed"] for each in theirs}) == len(theirs)  # else one chance would decide all


def test_an_augmentation_that_changes_nothing_is_none():
    nothing = Augmentation("none", 0, 0, 0, 0, 0)
    code = training_code(replace(LITE, augmentation=nothing), report_of())
    assert code == training_code(replace(LITE, augmentation=None), report_of())


@pytest.mark.parametrize("changes", [{"fine_tune_share": 0.5}, {"fine_tune_from": "conv2"}])
def test_it_lets_the_same_layers_learn(changes):
    config = replace(LITE, fine_tune_epochs=1, **changes)
    mine, theirs = tiny_backbone(), tiny_backbone()
    built = classifier.build(ModelRef("tiny"), tuple(COLOURS), replace(config, size=16), backbone=mine)
    classifier.unfreeze(built, config.fine_tune_share, config.fine_tune_from)
    names_of(training_code(config, report_of()))["unfreeze"](theirs)
    learning = [[weight.name for layer in each.layers for weight in layer.trainable_weights] for each in (mine, theirs)]
    assert learning[0] == learning[1] and learning[0]


def test_the_whole_program_teaches_a_persons_own_network(here, capsys):
    inputs = keras.Input((24, 24, 3))  # another size than the run's
    maps = tiny_backbone(24)(keras.layers.Rescaling(1 / 255)(inputs))
    keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(maps))).save(here / "mine.keras")
    config = replace(
        ALL_OF_IT,
        backbone=ModelRef("/some/where/mine.keras"),
        size=32,
        epochs=8,
        variants=2,
        pooling="average",
        dense=(),
        dropout=0.0,
        batch_size=8,
        loss="crossentropy",
        optimizer="adam",
        learning_rate=0.1,
        schedule="constant",
        patience=None,
        per_class=None,
        augmentation=Augmentation(rotation=0, zoom=0),
    )
    names_of(training_code(config, report_of()), __name__="__main__")
    told = capsys.readouterr().out
    assert "head, epoch 8 of 8" in told and "fine-tuning, epoch 1 of 1" in told
    said = float(re.search(r"([\d.]+)% of the 6 photos held back are recognised", told)[1])
    assert said >= 80  # three colours, told apart at a glance
    dataset = datasets.read("photos.zip", 32)
    held_back = datasets.split(dataset, config.validation, config.seed).validation
    saved = keras.models.load_model("model.keras").predict(dataset.photos[held_back], verbose=0).argmax(axis=-1)
    assert 100 * np.mean(saved == dataset.labels[held_back]) == pytest.approx(said, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["quick", "bgr"])
def test_it_runs_on_its_own(recipe, here):
    config = RECIPES[recipe]
    if recipe == "bgr":
        config = replace(config, backbone=ModelRef("resnet50", None), size=32)
    (here / "script.py").write_text(training_code(config, report_of()), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-I", "script.py"], cwd=here, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = float(re.search(r"([\d.]+)% of the 6 photos", done.stdout)[1])
    assert said >= (80 if recipe == "quick" else 0)
    assert keras.models.load_model(here / "model.keras").output_shape == (None, 3)


def test_no_name_gets_out_of_its_string():
    evil = ('"""\nimport os\nos.abort()\n"""', "'); import os; ('", "a\\", "{SIZE}")
    code = training_code(
        replace(LITE, backbone=ModelRef(f"{evil[0]}.keras"), fine_tune_epochs=1, fine_tune_from=evil[1]),
        report_of(evil, left_out=tuple((name, "broken") for name in evil)),
    )
    tree = ast.parse(code)
    assert not any(name.name == "os" for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names)
    values = {node.targets[0].id: node.value for node in tree.body if isinstance(node, ast.Assign)}
    assert ast.literal_eval(values["CLASSES"]) == ast.literal_eval(values["LEFT_OUT"]) == list(evil)
    assert ast.literal_eval(values["FINE_TUNE_FROM"]) == evil[1].partition(":")[0]


def test_an_unknown_network_is_said():
    with pytest.raises(UserError, match="Did you mean"):
        training_code(replace(LITE, backbone=ModelRef("mobilenetv22")), report_of())


@pytest.mark.parametrize("form", ["keras", "savedmodel", "tflite"])
def test_lines_that_use_the_network_can_be_read_as_python(form):
    code = usage_code(form, 96)
    ast.parse(code)
    assert "resize((96, 96))" in code and len(code.splitlines()) < 12
