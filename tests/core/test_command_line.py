"""The command line: its results, its files, its errors and its exit statuses, as a script would rely on them."""

import json
import os
import shlex
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from core import images
from core.__main__ import EXAMPLES, _parser, _render_request, channels_picture, kind_of
from core.backbones import loading
from core.errors import TooLarge
from core.messages import ModelRef, RenderRequest

ROOT = Path(__file__).parents[2]
LITE = ("--model", "efficientnet_lite0")
TINY_CHANNELS = 5
PROGRESS = ("Loading ", "Building ", "Checking and opening ", "Preparing ")


@pytest.fixture
def refusal(core):
    """Run a command that must fail: its one sentence."""

    def run(*arguments):
        status, out, err = core(*arguments)
        lines = [line for line in err.splitlines() if not line.startswith(PROGRESS)]
        assert (status, out) == (2, "")
        assert len(lines) == 1 and "Traceback" not in err
        return lines[0]

    return run


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A small classifier around a nested network, saved as a person would."""
    import keras

    keras.utils.set_random_seed(1)  # no filter that is drawn may be silent by chance
    inner = keras.Sequential(
        [keras.Input((24, 24, 3)), keras.layers.Conv2D(TINY_CHANNELS, 3, activation="relu", name="conv")], name="inner"
    )
    inputs = keras.Input((24, 24, 3))
    outputs = keras.layers.GlobalAveragePooling2D(name="pool")(inner(inputs))
    outputs = keras.layers.Dense(3, activation="softmax", name="classes")(outputs)
    path = tmp_path_factory.mktemp("models") / "tiny.keras"
    keras.Model(inputs, outputs).save(path)
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two classes that anybody can tell apart: red noise and blue noise."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for channel, name in ((0, "red"), (2, "blue")):
        (root / name).mkdir()
        for index in range(10):
            pixels = rng.integers(0, 60, (48, 48, 3), dtype=np.uint8)
            pixels[..., channel] += 150
            (root / name / f"{index}.png").write_bytes(images.encode_png(pixels))
    return root


def in_a_process(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "core", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, **options
    )


# ---- the program itself


@pytest.mark.parametrize(
    "command", [(), ("models",), ("layers",), ("activations",), ("predict",), ("why",), ("mosaic",), ("dream",)]
)
def test_help_is_there_for_every_command(core, command):
    status, out, _ = core(*command, "--help")
    assert status == 0 and out.startswith("usage: python -m core")


def test_the_examples_can_be_run(core):
    layers = {row["name"] for row in json.loads(core("layers", *LITE, "--json")[1])}
    lines = [shlex.split(line) for line in EXAMPLES.splitlines() if line.startswith("  python -m core ")]
    for words in lines:
        assert _parser().parse_args(words[3:])
        if "--layer" in words:
            assert words[words.index("--layer") + 1] in layers
    assert len(lines) == 12


def test_help_and_the_list_of_models_need_no_tensorflow():
    lines = (
        "import sys; from core.__main__ import main\n"
        "main(['models'])\n"
        "try: main(['--help'])\n"
        "finally: print(sorted({'tensorflow', 'keras'} & set(sys.modules)), file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", lines], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0 and found.stderr.strip() == "[]"


def test_a_process_prints_results_alone():
    found = in_a_process("predict", *LITE, "--image", "cat", "--top", "3", "--json")
    assert found.returncode == 0
    assert len(json.loads(found.stdout)) == 3
    assert found.stderr.splitlines()[0] == "Loading efficientnet_lite0"
    assert all(line.startswith(PROGRESS) for line in found.stderr.splitlines())


def test_a_process_ends_with_status_2_and_one_sentence():
    found = in_a_process("predict", *LITE, "--image", "no such file.png")
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.count("\n") == 1 and "no such file.png" in found.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows interrupts a process in another way")
def test_an_interruption_is_no_traceback(tmp_path, folders):
    arguments = ["train", "--data", folders, "--backbone", "efficientnet_lite0", "--epochs", "9999", "--out", tmp_path]
    process = subprocess.Popen(
        [sys.executable, "-m", "core", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr.readline().startswith("TensorFlow")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err and err.endswith("Interrupted.\n")


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe of POSIX")
def test_whoever_reads_may_stop_reading():
    read, write = os.pipe()
    os.close(read)
    found = subprocess.run([sys.executable, "-m", "core", "models"], cwd=ROOT, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (found.returncode, found.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "COMMAND"),
        (("paint",), "paint"),
        (("layers",), "--model"),
        (("predict", *LITE, "--image", "cat", "--top", "0"), "--top"),
        (("predict", *LITE, "--image", "cat", "--top", "many"), "many"),
        (("mosaic", *LITE, "--layer", "stem", "--out", "x", "--filters", "a:b"), "0:64"),
        (("mosaic", *LITE, "--layer", "stem", "--out", "x", "--filters", "1:2:0"), "0:64"),
        (("mosaic", *LITE, "--layer", "stem", "--out", "x", "--steps", "-1"), "--steps"),
        (("train", "--data", "chessman", "--backbone", "xception", "--out", "x", "--validation", "half"), "half"),
    ],
)
def test_wrong_arguments_are_one_sentence(refusal, arguments, words):
    assert words in refusal(*arguments)


# ---- models and layers


def test_models_are_listed(core):
    status, out, _ = core("models", "--json")
    rows = json.loads(out)
    assert status == 0
    assert all(set(row) == {"name", "family", "parameters", "input_size", "weights"} for row in rows)
    by_name = {row["name"]: row for row in rows}
    assert len(by_name) == len(rows) >= 70
    assert by_name["efficientnet_lite0"]["weights"] == "embedded"
    assert by_name["xception"]["input_size"] == [299, 299]
    assert {row["weights"] for row in rows} <= {"embedded", "local", "download"}
    _, text, _ = core("models")
    assert len(text.splitlines()) == len(rows) + 1 and "resnet152v2" in text


def test_layers_are_listed(core):
    status, out, _ = core("layers", *LITE, "--json")
    rows = json.loads(out)
    assert status == 0
    facts = {"name", "type", "output_shape", "parameters", "multiply_adds", "receptive_field", "stride"}
    assert all(set(row) == facts for row in rows)
    assert rows[0]["multiply_adds"] == 112 * 112 * 32 * 3 * 3 * 3
    assert (rows[0]["receptive_field"], rows[0]["stride"]) == ([3, 3], [2, 2])
    assert rows[-1]["receptive_field"] is None  # all of the photo
    assert sum(row["parameters"] for row in rows) == 4_694_024
    assert rows[0]["output_shape"] == [112, 112, 32] and rows[-1]["output_shape"] == [1000]
    _, text, _ = core("layers", *LITE)
    assert len(text.splitlines()) == len(rows) + 1
    assert "3 × 3" in text.splitlines()[1] and text.splitlines()[-1].endswith("whole photo")


def test_layers_of_a_file_and_of_random_weights(core, tiny):
    names = [row["name"] for row in json.loads(core("layers", "--model", tiny, "--json")[1])]
    assert "inner/conv" in names and "classes" in names
    status, out, _ = core("layers", "--model", "mobilenetv2", "--weights", "none", "--json")
    assert status == 0 and sum(row["parameters"] for row in json.loads(out)) == 3_538_984


@pytest.mark.parametrize(
    ("model", "words"), [("xceptoin", "xception"), ("none.keras", "none.keras"), ("efficientnet", "models")]
)
def test_a_model_that_is_not_there(refusal, model, words):
    assert words in refusal("layers", "--model", model)


def test_weights_that_are_not_there(refusal, tmp_path):
    assert "none.weights.h5" in refusal("layers", *LITE, "--weights", tmp_path / "none.weights.h5")


# ---- predict


def test_the_cat_is_a_cat(core):
    status, out, _ = core("predict", *LITE, "--image", "cat", "--json")
    rows = json.loads(out)
    assert status == 0 and len(rows) == 5
    assert all(set(row) == {"index", "name", "probability"} for row in rows)
    assert rows[0]["index"] in (282, 285) and "cat" in rows[0]["name"].lower()
    chances = [row["probability"] for row in rows]
    assert chances == sorted(chances, reverse=True) and 0 < sum(chances) <= 1 + 1e-5
    _, text, _ = core("predict", *LITE, "--image", "cat", "--top", "1")
    assert rows[0]["name"] in text and len(text.splitlines()) == 1


def test_a_file_is_seen_as_its_content_says(core, tmp_path):
    from core import samples

    path = tmp_path / "a dog.txt"
    path.write_bytes(images.encode_png(samples.photograph("coffee").pixels))
    rows = json.loads(core("predict", *LITE, "--image", path, "--json")[1])
    assert rows[0]["index"] == 967


def test_images_that_are_none(refusal, tmp_path):
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    for image, words in [("text.png", "not a picture"), ("empty.png", "empty"), ("none.png", "sample"), (".", "file")]:
        assert words in refusal("predict", *LITE, "--image", tmp_path / image)


# ---- activations


def test_activations_are_saved(core, tiny, tmp_path):
    out = tmp_path / "new" / "folder"
    status, printed, _ = core("activations", "--model", tiny, "--image", "cat", "--layer", "inner/conv", "--out", out)
    assert status == 0
    assert printed.split() == [str(out / "inner.conv.npz"), str(out / "inner.conv.png")]
    assert sorted(path.name for path in out.iterdir()) == ["inner.conv.npz", "inner.conv.png"]
    with np.load(out / "inner.conv.npz") as file:
        assert file.files == ["activations"]
        values = file["activations"]
    assert values.dtype == np.float32 and values.shape == (22, 22, TINY_CHANNELS) and values.min() >= 0 < values.max()
    with Image.open(out / "inner.conv.png") as picture:
        assert picture.format == "PNG" and picture.mode == "RGB"
        assert (np.asarray(picture) == channels_picture(values)).all()


def test_activations_agree_with_the_network_itself(core, tiny, tmp_path):
    import keras

    from core import samples
    from core.backbones import imported

    core("activations", "--model", tiny, "--image", "coffee", "--layer", "classes", "--out", tmp_path)
    values = np.load(tmp_path / "classes.npz")["activations"]
    seen = imported.examine(tiny).understood.preprocessing(images.fit(samples.photograph("coffee").pixels, (24, 24)))
    assert values.shape == (3,)
    assert np.allclose(values, keras.models.load_model(tiny)(seen[None]).numpy()[0], atol=1e-5)
    assert (tmp_path / "classes.png").is_file()


def test_a_layer_that_is_not_there(refusal, tmp_path):
    text = refusal("activations", *LITE, "--image", "cat", "--layer", "stem_con", "--out", tmp_path / "x")
    assert "stem_conv" in text
    assert not list((tmp_path / "x").glob("*"))


def test_a_folder_that_cannot_be_made(refusal, tmp_path):
    (tmp_path / "file").write_text("in the way")
    arguments = ("activations", *LITE, "--image", "cat", "--layer", "stem_conv")
    assert "--out" in refusal(*arguments, "--out", tmp_path / "file")
    assert "--out" in refusal(*arguments, "--out", tmp_path / "file" / "below")


def test_channels_share_one_scale():
    values = np.zeros((40, 40, 4), np.float32)
    values[..., 1], values[..., 3] = 1, 2
    picture = channels_picture(values)
    assert picture.shape == (82, 82, 3)
    colours = images.colourise(np.array([[0.0, 1.0], [0.0, 2.0]]), 0, 2)
    assert (picture[::42, ::42][:2, :2] == colours).all()


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 7, 10), (3, 90, 2), (1000,), (1,)])
def test_channels_of_any_size_make_a_picture(shape):
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    values.flat[0] = np.nan
    picture = channels_picture(values)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3 and max(picture.shape) >= 16


# ---- mosaic


def small_mosaic(out, *more):
    return ("mosaic", *LITE, "--layer", "stem_conv", "--size", 48, "--steps", 2, "--out", out, *more)


def test_a_mosaic_is_saved(core, tmp_path):
    status, printed, _ = core(*small_mosaic(tmp_path, "--filters", "0:3,7"))
    picture, facts = tmp_path / "filters_for_layer_stem_conv.png", tmp_path / "filters_for_layer_stem_conv.json"
    assert status == 0 and printed.split() == [str(picture), str(facts)]
    found = json.loads(facts.read_text(encoding="utf-8"))
    assert set(found) == {"filters", "scores", "seconds", "seconds_to_first_picture", "precision", "batch"}
    assert found["filters"] == [0, 1, 2, 7] and len(found["scores"]) == 4
    assert 0 < found["seconds_to_first_picture"] <= found["seconds"]
    with Image.open(picture) as image:
        assert image.format == "PNG" and image.size[0] > image.size[1]


def test_a_mosaic_is_the_same_for_the_same_seed(core, tmp_path):
    pixels = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        core(*small_mosaic(tmp_path / name, "--filters", "0:2", "--seed", seed))
        pixels.append(images.decode((tmp_path / name / "filters_for_layer_stem_conv.png").read_bytes()))
    assert (pixels[0] == pixels[1]).all() and (pixels[0] != pixels[2]).any()


@pytest.mark.parametrize(("method", "size"), [("lucid", 128), ("textbook", 200), ("fast", 200)])
def test_the_filters_that_are_drawn_are_those_that_the_page_asks_for(method, size):
    backbone, layer = loading.load("efficientnet_lite0"), "block5_project_bn"
    words = ("mosaic", *LITE, "--layer", layer, "--method", method, "--out", "x")
    asked = RenderRequest(ModelRef("efficientnet_lite0"), layer, tuple(range(64)), method, size)
    assert repr(_render_request(_parser().parse_args(words), backbone, layer)) == repr(asked)


def test_what_was_drawn_before_is_saved_at_once(core, tmp_path, monkeypatch):
    monkeypatch.setenv("LAYERSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LAYERSCOPE_DRAWINGS")
    for name in ("a", "b"):
        assert core(*small_mosaic(tmp_path / name, "--filters", "0:2"))[0] == 0
    names = ("filters_for_layer_stem_conv.png", "filters_for_layer_stem_conv.json")  # how many seconds it took, too
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)


def test_a_range_beyond_the_filters_takes_those_there_are(core, tiny, tmp_path):
    status, _, _ = core(
        "mosaic", "--model", tiny, "--layer", "inner/conv", "--size", 40, "--steps", 1, "--out", tmp_path
    )
    facts = json.loads((tmp_path / "filters_for_layer_inner.conv.json").read_text(encoding="utf-8"))
    assert status == 0 and facts["filters"] == list(range(TINY_CHANNELS))


def test_several_layers_are_drawn_one_after_the_other(core, tmp_path):
    more = ("--filters", "0:2", "--method", "fast", "--precision", "float32", "--layer", "block0_project_bn")
    status, printed, _ = core(*small_mosaic(tmp_path, *more))
    files = [
        f"filters_for_layer_{layer}.{suffix}"
        for layer in ("stem_conv", "block0_project_bn")
        for suffix in ("png", "json")
    ]
    assert status == 0 and printed.split() == [str(tmp_path / name) for name in files]
    assert all((tmp_path / name).stat().st_size for name in files)


def test_maco_draws_each_filter_as_one_large_transparent_picture(core, tiny, tmp_path):
    arguments = ("--layer", "inner/conv", "--method", "maco", "--filters", "3,1", "--size", 40, "--steps", 2)
    status, printed, _ = core("mosaic", "--model", tiny, *arguments, "--out", tmp_path)
    files = [f"filter_{number}_of_layer_inner.conv.{suffix}" for number in (3, 1) for suffix in ("png", "json")]
    assert status == 0 and printed.split() == [str(tmp_path / name) for name in files]
    for number in (3, 1):
        with Image.open(tmp_path / f"filter_{number}_of_layer_inner.conv.png") as image:
            assert (image.mode, image.size) == ("RGBA", (40, 40))
        facts = json.loads((tmp_path / f"filter_{number}_of_layer_inner.conv.json").read_text(encoding="utf-8"))
        assert (facts["filter"], facts["steps"]) == (number, 2)
        assert set(facts["trust"]) == {"tile", "noise", "photo", "photo_name"}


def test_maco_draws_the_first_filter_large_where_nothing_else_is_asked_for():
    backbone = loading.load("efficientnet_lite0")
    asked = {"maco": ((0,), 512), "lucid": (tuple(range(32)), 128)}
    for method, expected in asked.items():
        args = _parser().parse_args(["mosaic", *LITE, "--layer", "stem_conv", "--method", method, "--out", "out"])
        request = _render_request(args, backbone, "stem_conv")
        assert (request.filters, request.size) == expected


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--filters", "32"), "32"),
        (("--filters", "40:50"), "0 to 31"),
        (("--filters", "5:5"), "0 to 31"),
        (("--method", "magic"), "magic"),
        (("--method", "maco", "--filters", "32"), "32"),
        (("--method", "maco", "--learning-rate", "nan"), "learning rate"),
        (("--objective", "magic"), "neuron"),
        (("--objective", "class"), "last layer"),
        (("--precision", "float12"), "bfloat16"),
        (("--size", 1), "size"),
        (("--learning-rate", "nan"), "learning rate"),
        (("--layer", "stem"), "stem_conv"),
    ],
)
def test_what_cannot_be_drawn(refusal, tmp_path, more, words):
    assert words in refusal(*small_mosaic(tmp_path, *more))
    assert not list(tmp_path.iterdir())


# ---- dream


def test_a_dream_is_saved(core, tmp_path, tiny):
    words = ("--size", 64, "--octaves", 2, "--steps", 1, "--layer", "inner/conv:0.5", "--out", tmp_path)
    status, printed, _ = core("dream", "--model", tiny, "--image", "coffee", *words)
    assert (status, printed.split()) == (0, [str(tmp_path / "dream_coffee.png")])
    assert Image.open(tmp_path / "dream_coffee.png").size == (64, 43)


def test_a_dream_finds_its_layers_by_itself(core, tmp_path):
    words = ("--image", "cat", "--size", 96, "--octaves", 1, "--steps", 1, "--out", tmp_path)
    assert core("dream", *LITE, *words)[0] == 0
    assert (tmp_path / "dream_cat.png").is_file()


def test_a_dreams_weights_are_numbers(refusal, tmp_path):
    words = ("--image", "cat", "--layer", "block10_add:much", "--out", tmp_path)
    assert "block10_add:0.5" in refusal("dream", *LITE, *words)


# ---- train


def test_a_training_run_leaves_a_model_that_predicts(core, folders, tmp_path):
    out = tmp_path / "run"
    arguments = ("--size", 32, "--epochs", 2, "--validation", 0.3, "--seed", 3)
    status, printed, _ = core("train", "--data", folders, "--backbone", "efficientnet_lite0", *arguments, "--out", out)
    assert status == 0 and "validation accuracy" in printed
    assert {"model.keras", "history.csv", "report.json"} <= {path.name for path in out.iterdir()}
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert sorted(report["classes"]) == ["blue", "red"] and report["images"] == 20
    assert 0 <= report["validation_accuracy"] <= 1 and report["seconds"] > 0
    assert len((out / "history.csv").read_text(encoding="utf-8").splitlines()) == 3
    status, found, _ = core("check", out / "model.keras", "--json")
    assert status == 0 and json.loads(found)["kind"] == "model"
    image = folders / "red" / "0.png"
    rows = json.loads(core("predict", "--model", out / "model.keras", "--image", image, "--json")[1])
    assert {row["name"] for row in rows} == {"red", "blue"}


@pytest.mark.parametrize(
    ("more", "words"),
    [(("--data", "nowhere"), "nowhere"), (("--validation", 1.5), "validation"), (("--size", 1), "size")],
)
def test_what_cannot_be_trained(core, folders, tmp_path, more, words):
    arguments = ("train", "--data", folders, "--backbone", "efficientnet_lite0", "--out", tmp_path / "run", *more)
    status, out, err = core(*arguments)
    assert (status, out) == (2, "") and words in err.splitlines()[-1] and "Traceback" not in err


# ---- check


@pytest.fixture
def checked(core):
    def run(path):
        status, out, _ = core("check", path, "--json")
        found = json.loads(out)
        assert set(found) == {"file", "kind", "accepted", "reason"} and found["file"] == str(path)
        assert status == (0 if found["accepted"] else 2)
        assert found["reason"] and "\n" not in found["reason"]
        return found["kind"], found["accepted"]

    return run


def test_good_files_are_accepted_whatever_they_are_called(checked, tiny, folders, tmp_path):
    picture = tmp_path / "picture.zip"
    picture.write_bytes(images.encode_webp(np.zeros((9, 9, 3), np.uint8)))
    archive = tmp_path / "archive.png"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folders.rglob("*.png")):
            file.write(path, path.relative_to(folders))
    assert checked(picture) == ("image", True)
    assert checked(archive) == ("zip", True)
    assert checked(tiny) == ("model", True)


def test_bad_files_are_refused_and_named_for_what_they_are(checked, tiny, tmp_path):
    def file(name, data):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    assert checked(file("half.jpg", images.encode_png(np.zeros((99, 99, 3), np.uint8))[:60])) == ("image", False)
    assert checked(file("drawing.png", b"<svg/>")) == ("image", False)
    assert checked(file("notes.doc", b"hello")) == ("unknown", False)
    assert checked(file("names.txt", b"\xff\xfe")) == ("names", False)
    assert checked(file("empty.png", b"")) == ("image", False)
    assert checked(file("empty.zip", b"")) == ("zip", False)
    assert checked(file("empty.keras", b"")) == ("model", False)
    assert checked(file("half.keras", tiny.read_bytes()[:500])) == ("model", False)
    assert checked(file("weights.bin", b"\x89HDF\r\n\x1a\n" + bytes(200))) == ("model", False)
    with zipfile.ZipFile(tmp_path / "texts.zip", "w") as archive:
        archive.writestr("a.txt", "no photo")
    assert checked(tmp_path / "texts.zip") == ("zip", False)


def test_the_kind_of_a_repacked_model(tmp_path, tiny):
    with zipfile.ZipFile(tiny) as source, zipfile.ZipFile(tmp_path / "x.zip", "w") as target:
        for name in reversed(source.namelist()):
            target.writestr(name, source.read(name))
    assert kind_of(tmp_path / "x.zip") == "model"


def test_a_file_that_is_not_there_cannot_be_checked(refusal, tmp_path):
    assert "none.png" in refusal("check", tmp_path / "none.png")


def test_folders_and_lists_of_names(checked, folders, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("cat\ndog\n")
    assert checked(names) == ("names", True)
    assert checked(folders) == ("folder", True)
    assert checked(tmp_path) == ("folder", False)
    (tmp_path / "saved_model.pb").touch()
    assert checked(tmp_path) == ("model", False)


def test_check_says_it_in_words_too(core, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(images.encode_png(np.zeros((9, 7, 3), np.uint8)))
    assert core("check", path)[1] == f"{path}: image, accepted. A picture of 7 × 9 pixels.\n"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TooLarge("batch"), "Run it again: it takes half"),
        (MemoryError(), "more memory than there is"),
        (tf.errors.ResourceExhaustedError(None, None, "OOM"), "more memory than there is"),
    ],
)
def test_too_little_memory_is_one_sentence(core, monkeypatch, tmp_path, error, words):
    def run(request):
        raise error
        yield

    monkeypatch.setattr("core.featurevis.mosaic.run", run)
    status, out, err = core("mosaic", *LITE, "--layer", "stem_conv", "--filters", "0", "--out", tmp_path)
    assert (status, out) == (2, "")
    assert words in err.splitlines()[-1] and "Traceback" not in err
