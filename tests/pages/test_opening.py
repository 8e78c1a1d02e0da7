"""A person's own network, from the file to the pictures: every control of the way in, without a browser."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import keras
import pytest
from streamlit.testing.v1 import AppTest

from core import opened, storage
from core.messages import JobSnapshot, Progress
from pages.shared import opening, pixels
from tests.core.tiny import tiny_model, with_seeded_weights

ROOT = Path(__file__).parents[2]
EXPLORER = "activation_explorer"


def bytes_of(model: keras.Model, folder: Path, suffix: str = ".keras") -> bytes:
    path = folder / f"model{suffix}"
    model.save(path)
    return path.read_bytes()


def hostile(data: bytes) -> bytes:
    """The same file, asking for a class that would run code."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["config"]["layers"][1]["class_name"] = "Lambda"
                content = json.dumps(config).encode()
            new.writestr(name, content)
    return file.getvalue()


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> bytes:
    return bytes_of(tiny_model(), tmp_path_factory.mktemp("tiny"))


def upload(page, data: bytes, name: str, key: str = "explorer.model_file"):
    page.widget("file_uploader", key).upload(name, data, "application/octet-stream")
    page.at.run()
    page.widget("file_uploader", key).set_value(None)  # else the test bench would send it again at each run
    return page.finish()


def chosen(page, where: str = "explorer") -> str:
    return Path(page.widget("selectbox", f"{where}.model").value).stem


def button(page, words: str):
    found = [each for each in page.at.button if each.label == words]
    assert found, f"no button {words!r} among {[each.label for each in page.at.button]}"
    return found[0]


def press(page, words: str):
    button(page, words).click()
    return page.run()


def of(page, name: str, where: str = "explorer") -> str:
    """The key of a control of the network on show."""
    return f"{where}.{name} of {opened.id_of(page.widget('selectbox', f'{where}.model').value)}"


def errors(page) -> list[str]:
    return [each.value.replace("\\", "") for each in page.at.error]


def test_a_file_comes_in_is_named_and_forgotten(app, file):
    page = upload(app(EXPLORER), file, "../cats <b>.keras")
    digest = storage.digest_of(file)
    assert chosen(page) == digest and not errors(page)
    assert "★ ../cats <b>.keras" in page.widget("selectbox", "explorer.model").options
    words = page.words().replace("\\", "")
    assert "from the file ../cats <b>.keras" in words and "659 parameters" in words, words
    assert page.at.query_params["model"] in (f"file-{digest[:12]}", [f"file-{digest[:12]}"])
    page.at.query_params["data"] = "zip"
    page.at.switch_page("pages/transfer_trainer.py")
    page.run()
    assert "★ ../cats <b>.keras" in page.widget("selectbox", "trainer.model").options
    page.at.switch_page(f"pages/{EXPLORER}.py")
    press(page.run(), "Forget this network")
    assert chosen(page) == "efficientnet_lite0"
    assert not any("cats" in option for option in page.widget("selectbox", "explorer.model").options)
    assert not (storage.folder("uploads") / f"{digest}.keras").exists()


def test_what_is_refused_says_why_once_and_the_network_stays(app, file):
    page = upload(app(EXPLORER), file, "good.keras")
    upload(page, hostile(file), "evil.keras")
    assert len(errors(page)) == 1 and errors(page)[0].startswith("evil.keras is refused"), errors(page)
    assert chosen(page) == storage.digest_of(file)
    assert not (storage.folder("uploads") / f"{storage.digest_of(hostile(file))}.keras").exists()
    upload(page, b"ONNX", "net.onnx")
    assert len(errors(page)) == 1 and "net.onnx" in errors(page)[0] and ".keras" in errors(page)[0]
    upload(page, b"", "empty.h5")
    assert len(errors(page)) == 1 and "empty.h5" in errors(page)[0]
    assert chosen(page) == storage.digest_of(file)
    page.widget("selectbox", "explorer.model").set_value("efficientnet_lite0")
    assert not errors(page.run())


def test_what_its_pixels_should_be_is_asked_with_pictures(app, tmp_path):
    file = bytes_of(grey_model(), tmp_path)
    page = upload(app(EXPLORER, photo="coffee"), file, "grey.keras")
    words = page.words().replace("\\", "")
    assert "What should its pixels be?" in words and "a guess" in words
    assert [each.label for each in page.at.button].count("This one") == 3  # colours mean nothing to it
    assert "The photo is turned grey" in words
    said = words.index("The network says")
    page.at.button(key=f"explorer.none for {file_id(page)}").click()
    page.run()
    assert page.words()[said : said + 40] != words[said : said + 40]  # the pixels have changed
    assert "What should its pixels be?" not in page.words()
    assert page.widget("selectbox", of(page, "pixels")).value == "none"
    page.widget("selectbox", of(page, "pixels")).set_value("unit")
    assert page.run().widget("selectbox", of(page, "pixels")).value == "unit"
    press(page, "See what each does")
    assert "You said: **0 … 1**" in page.words().replace("\\", "") and button(page, "Chosen")
    press(page, "Close")
    assert "You said" not in page.words()
    # The same file, opened by somebody who comes later.
    again = upload(app(EXPLORER), file, "other name.keras")
    assert "What should its pixels be?" not in again.words()
    assert "★ other name.keras" in again.widget("selectbox", "explorer.model").options
    assert again.widget("selectbox", of(again, "pixels")).value == "unit"


def test_the_question_can_wait_and_the_names_have_their_turn(app, tmp_path):
    page = upload(app(EXPLORER), bytes_of(grey_model(seed=1), tmp_path), "later.keras")
    press(page, "Decide later")
    assert "What should its pixels be?" not in page.words()
    assert page.widget("selectbox", of(page, "pixels")).value == pixels.GUESS
    assert "What are its classes called?" in page.words() and "class " in page.words()
    page.widget("text_area", of(page, "names asked")).set_value("zero\none")
    button(page, "Use these names").click()
    page.run()
    assert errors(page) == ["The list has 2 names, but the network tells 4 classes."]
    assert page.at.main.error and not page.at.sidebar.error  # beside the form
    for text in ("", '["a", {}]'):
        page.widget("text_area", of(page, "names asked")).set_value(text)
        button(page, "Use these names").click()
        page.run()
        assert len(errors(page)) == 1 and "class names" in errors(page)[0], errors(page)
    page.widget("text_area", of(page, "names asked")).set_value("zero\none\n<b>two</b>\nthree")
    button(page, "Use these names").click()
    page.run()
    words = page.words().replace("\\", "")
    assert not errors(page) and "What are its classes called?" not in words
    assert "Its classes: zero, one, <b>two</b>, three" in words and "class 0" not in words
    page.widget("file_uploader", of(page, "names file about")).upload("n.csv", b"0,a\n1,b\n2,c\n3,d", "text/csv")
    button(page, "Use these names").click()
    assert "Its classes: a, b, c, d" in page.run().words().replace("\\", "")
    page.widget("file_uploader", of(page, "names file about")).set_value(None)
    page.widget("file_uploader", of(page, "names file about")).upload("n.txt", b"\xff\xfe\x00", "text/plain")
    button(page, "Use these names").click()
    assert "must be text in UTF-8" in errors(page.run())[0]


def test_numbers_may_stay_numbers(app, tmp_path):
    page = upload(app(EXPLORER), bytes_of(tiny_model(classes=5), tmp_path), "numbers.keras")
    if "What should its pixels be?" in page.words():
        press(page, "Decide later")
    press(page, "Leave the numbers")
    assert "What are its classes called?" not in page.words() and "class " in page.words()
    assert page.widget("text_area", of(page, "names about"))


def test_which_input_output_and_channels(app, tmp_path):
    page = upload(app(EXPLORER), bytes_of(odd_model(), tmp_path), "odd.keras")
    words = page.words().replace("\\", "")
    assert "other input “right” gets zeros" in words and "“kind” is taken for its prediction" in words
    assert page.widget("selectbox", of(page, "output")).value == "kind"
    page.widget("text_area", of(page, "names about")).set_value("a\nb\nc\nd")
    button(page, "Use these names").click()
    page.run()
    page.widget("selectbox", of(page, "output")).set_value("mood")
    page.run()
    assert page.widget("selectbox", of(page, "output")).value == "mood" and not errors(page)
    assert "Its classes" not in page.words()  # they were the other output's
    page.widget("selectbox", of(page, "source")).set_value("right")
    page.run()
    assert "other input “left” gets zeros" in page.words().replace("\\", "")
    for colour, band in (("red", 4), ("green", 4)):
        page.widget("selectbox", of(page, colour)).set_value(band)
    button(page, "Use these channels").click()
    page.run()
    assert errors(page)[0] == "Each colour needs a channel of its own."
    page.widget("selectbox", of(page, "green")).set_value(2)
    page.widget("selectbox", of(page, "blue")).set_value(0)
    button(page, "Use these channels").click()
    page.run()
    assert "numbers 5, 3 and 1 get the photo's red, green and blue" in page.words().replace("\\", "")


def test_weights_that_cannot_be_right_are_a_warning(app, tmp_path):
    model = tiny_model()
    model.get_layer("conv2").set_weights([float("nan") * each for each in model.get_layer("conv2").get_weights()])
    page = upload(app(EXPLORER), bytes_of(model, tmp_path), "broken.keras")
    assert any("not numbers" in each.value for each in page.at.warning)
    assert "nan" not in page.words()


def test_the_trainer_takes_it_as_its_backbone(app, tmp_path):
    page = app("transfer_trainer", data="zip", view="recipe")
    upload(page, bytes_of(tiny_model(32), tmp_path), "own.keras", "trainer.model_file")
    assert chosen(page, "trainer") != "efficientnet_lite0" and not errors(page)
    words = page.words().replace("\\", "")
    assert "★ own.keras" in page.widget("selectbox", "trainer.model").options
    assert "from the file own.keras" in words and "What should its pixels be?" in words
    press(page, "Decide later")
    assert page.widget("selectbox", of(page, "pixels", "trainer")).value == pixels.GUESS
    press(page, "Forget this network")
    assert chosen(page, "trainer") == "efficientnet_lite0"


class Endless:
    """A job that does not end by itself."""

    id, cancelled = "endless", False

    def join(self, viewer: str | None) -> None:
        """Whoever looks, it goes on."""

    leave = join

    def snapshot(self) -> JobSnapshot:
        return JobSnapshot("cancelled" if self.cancelled else "running", latest=Progress("Checking the file", 0.4))

    def wait(self, seconds: float) -> JobSnapshot:
        return self.snapshot()

    def cancel(self) -> None:
        self.cancelled = True


def test_what_takes_too_long_can_be_cancelled_while_the_page_goes_on(app, file, monkeypatch):
    job = Endless()
    monkeypatch.setattr(opening, "_open", lambda model: job)
    page = upload(app(EXPLORER), file, "slow.keras")
    assert chosen(page) == "efficientnet_lite0" and page.figure("grid")
    press(page, "Cancel")
    assert job.cancelled and not errors(page)
    assert not [each for each in page.at.button if each.label == "Cancel"]
    assert chosen(page) == "efficientnet_lite0"


def test_a_teacher_may_switch_it_off(app, monkeypatch):
    monkeypatch.setattr("core.serving.models_allowed", lambda *_: False)
    page = app(EXPLORER)
    assert "switched off on this server" in page.words()
    assert not [each for each in page.at.get("file_uploader") if each.key == "explorer.model_file"]


def test_a_link_to_somebodys_file_says_what_to_do(engine):
    at = AppTest.from_file(str(ROOT / "dashboard.py"), default_timeout=120).run()
    at.query_params["model"] = "file-0123456789ab"
    at.switch_page(f"pages/{EXPLORER}.py").run()
    assert any("somebody opened from a file" in each.value for each in at.info)
    assert at.selectbox(key="explorer.model").value == "efficientnet_lite0"


def test_a_copy_that_has_gone_is_no_error(app, file):
    page = upload(app(EXPLORER), file, "cats.keras")
    (storage.folder("uploads") / f"{storage.digest_of(file)}.keras").unlink()
    page.run()
    assert chosen(page) == "efficientnet_lite0" and not errors(page)


def file_id(page) -> str:
    return opened.id_of(page.widget("selectbox", "explorer.model").value)


def grey_model(seed: int = 0) -> keras.Model:
    """28 × 28, grey, without a word about its pixels or its classes."""
    inputs = keras.Input((28, 28, 1))
    x = keras.layers.Conv2D(6, 5, activation="relu", name="conv")(inputs)
    x = keras.layers.Flatten()(keras.layers.MaxPooling2D(4)(x))
    return with_seeded_weights(keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(x)), seed)


def odd_model() -> keras.Model:
    """Two inputs of six channels, two outputs."""
    left, right = keras.Input((24, 24, 6), name="left"), keras.Input((24, 24, 6), name="right")
    x = keras.layers.Rescaling(1 / 255)(keras.layers.Concatenate()([left, right]))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, activation="relu")(x))
    kind = keras.layers.Dense(4, activation="softmax", name="kind")(x)
    mood = keras.layers.Dense(2, activation="softmax", name="mood")(x)
    return with_seeded_weights(keras.Model([left, right], [kind, mood]))
