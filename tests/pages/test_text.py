"""A network that reads text, without a browser: every control of its pages, on a network whose numbers are known."""

from __future__ import annotations

import base64
import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from core import opened, plots, storage, text_files
from core.backbones import answers
from core.backbones.answers import Answers
from core.messages import Token, WordSaliency
from pages.explorer import text_box, text_common, text_compare, text_why
from tests.text_model import CLASSES, number_model, saved, text_model

EXPLORER = "activation_explorer"
TEXT = "the film was not good"


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> bytes:
    """The network's file; what its classes are called has been said before, so that nothing is asked."""
    data = saved(text_model(), tmp_path_factory.mktemp("text"))
    said = Answers(class_names=CLASSES, title="moods.keras")
    opened.remember(opened.Opened(str(storage.keep_upload(data, ".keras")), said, answers.keep(said)))
    return data


def upload(page, data: bytes, name: str = "moods.keras", where: str = "explorer"):
    page.widget("file_uploader", f"{where}.model_file").upload(name, data, "application/octet-stream")
    return page.run()


@pytest.fixture(scope="module")
def reading(engine, file):
    """One visit for all tests of the Explorer: each says what it needs."""
    from tests.pages.conftest import App

    return upload(App(engine, EXPLORER, text="bad <b>", view="maps", unit_order="sideways", text2="x" * 9999), file)


def write(page, text: str, view: str = "words", **choices):
    page.widget("text_input", "explorer.text").set_value(text)
    page.widget("segmented_control", "explorer.view").set_value(view)
    page.run()
    for name, value in choices.items():
        page.widget("selectbox", f"explorer.{name}").set_value(value)
        page.run()
    return page


def spec(page, key: str) -> dict:
    return json.loads(page.figure(key).proto.spec)


def address(page, name: str) -> str | None:
    value = page.at.query_params.get(name)
    return value[0] if isinstance(value, list) else value


def html(page) -> str:
    return "\n".join(str(each.proto.body) for each in page.at.get("html"))


def rows(page, key: str) -> list[str]:
    return spec(page, key)["layout"]["yaxis"]["ticktext"]


# --- The text --------------------------------------------------------------------------------------------------------


def test_a_link_restores_the_text_and_nonsense_is_dropped(reading):
    assert reading.widget("text_input", "explorer.text").value == "bad <b>"
    assert reading.widget("segmented_control", "explorer.view").value == "words"
    assert "**1 of 2 words** are in its vocabulary" in reading.words()


def test_there_are_examples_of_its_own_words(reading):
    example = reading.widget("selectbox", "explorer.example")
    other = example.options[0]
    assert {"good", "bad"} <= set(other.split())
    example.set_value(other)
    reading.run()
    assert reading.widget("text_input", "explorer.text").value == other
    assert reading.widget("selectbox", "explorer.example").value is None
    assert address(reading, "text") == other


def test_what_it_says_follows_the_words(reading):
    assert "The network says **glad (98" in write(reading, "the film was good").words()
    assert "The network says **sad (98" in write(reading, TEXT).words()


def test_unknown_and_hostile_words_are_shown_letter_for_letter(reading):
    hostile = "<img/src=x> ![a](http:b) **b** <b>bold</b> good"
    page = write(reading, hostile)
    assert "**2 of 5 words** are in its vocabulary. Those marked" in page.words()
    shown = html(page)
    assert "<img" not in shown and "&lt;img/src=x&gt;<sup" in shown and "![a](http:b)" in shown
    write(page, hostile, "layers")
    assert not any("<" in label for label in rows(page, "word_heatmap"))


def test_nothing_is_asked_without_words(reading):
    assert "Write a sentence above" in write(reading, "   ").words()
    assert address(reading, "text") is None
    write(reading, TEXT)


def test_a_text_that_is_too_long_is_said(reading):
    page = write(reading, "the film was good " * 40)
    assert "The network takes 12 tokens; the last 148 of the text are left out" in page.words().replace("\\", "")
    assert address(page, "text") is None  # more than a link bears
    write(page, TEXT)


# --- Words -----------------------------------------------------------------------------------------------------------


def test_the_words_that_matter_are_coloured_by_what_they_do(reading):
    page = write(reading, TEXT)
    assert "What speaks for its best guess?" in page.widget("selectbox", "explorer.class").options
    bars = [trace for trace in spec(page, "word_effects")["data"] if trace["type"] == "bar"]
    assert rows(page, "word_effects") == TEXT.split()
    assert len(bars) == 2
    assert "would **sad** rise" in page.words()
    assert "matters most" in page.words() or "changes most" in page.words()
    page.widget("selectbox", "explorer.class").set_value("1")
    page.run()
    assert "would **glad** rise" in page.words()
    assert address(page, "class") == "1"
    page.widget("selectbox", "explorer.class").set_value("best")
    page.run()
    assert address(page, "class") is None


def test_both_measures_agree_with_the_networks_own_numbers(reading):
    """Only "bad" says anything here: both measures give all of it to that word, none to the others."""
    from pages.shared.resources import engine

    page = write(reading, "the film was bad")
    job = next(job for job in reversed(engine().jobs()) if job.task == "core.text:saliency")
    found = job.result()
    assert "“bad” matters most" in page.words()
    assert found.gradient[3] == pytest.approx(2, abs=0.1) and found.without[3] == pytest.approx(2, abs=0.1)
    assert np.abs(found.gradient[:3]).max() < 0.2


# --- Layers ----------------------------------------------------------------------------------------------------------


def test_a_row_for_each_word_and_a_column_for_each_unit(reading):
    page = write(reading, TEXT, "layers", layer="embedding", unit_order="index")
    assert rows(page, "word_heatmap") == TEXT.split()
    drawn = spec(page, "word_heatmap")
    assert drawn["layout"]["xaxis"]["ticktext"] == [str(unit) for unit in range(20)]
    values = {(each[0], each[2]): float(each[1]) for each in drawn["data"][1]["customdata"]}
    assert values[("good", 0)] == 1 and values[("not", 2)] == 1 and values[("was", 1)] == 0
    page.widget("selectbox", "explorer.page").set_value(2)
    page.run()
    assert spec(page, "word_heatmap")["layout"]["xaxis"]["ticktext"] == ["20", "21", "22", "23"]
    assert address(page, "page") == "2"
    page.widget("selectbox", "explorer.unit_order").set_value("peak")
    page.run()
    assert address(page, "page") is None and address(page, "unit_order") == "peak"
    assert spec(page, "word_heatmap")["layout"]["xaxis"]["ticktext"][:2] == ["0", "2"]  # good and not
    page.widget("selectbox", "explorer.unit_order").set_value("variance")
    page.run()


def test_a_step_on_two_words_is_named_by_both_and_padding_comes_when_asked(reading):
    page = write(reading, TEXT, "layers", layer="pairs")
    assert rows(page, "word_heatmap") == ["the", "the film", "film was", "was not", "not good", "good"]
    assert "Each step stands on 2 words" in page.words()
    page.widget("toggle", "explorer.padding").set_value(True)
    page.run()
    assert rows(page, "word_heatmap")[-1] == "(padding)" and len(rows(page, "word_heatmap")) == 12
    assert address(page, "padding") == "yes"
    page.widget("toggle", "explorer.padding").set_value(False)
    page.run()


def test_a_click_chooses_a_unit_and_every_part_is_about_it(reading):
    page = write(reading, TEXT, "layers", layer="pairs")
    page.at.session_state["explorer.channel"] = 2
    page.widget("segmented_control", "explorer.about").set_value("curve")
    page.run()
    assert address(page, "channel") == "2"
    curve = spec(page, "word_curve")["data"][0]
    assert numbers_of(curve["x"]) == pytest.approx([0, 0, 0, 0, 1, 0], abs=0.05)
    assert "answers most to “not good”" in page.words()
    page.widget("segmented_control", "explorer.about").set_value("favourites")
    page.run()
    assert "Each of 8 words" in page.words()
    page.widget("segmented_control", "explorer.about").set_value("why")
    page.run()
    assert "Its greatest value is 1" in page.words()
    page.widget("segmented_control", "explorer.about").set_value("curve")
    page.run()


def numbers_of(values) -> list[float]:
    """Numbers of a figure's JSON, where they may be packed."""
    if isinstance(values, dict):
        return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"]).astype(float).tolist()
    return [float(value) for value in values]


def test_a_list_of_units_is_bars_with_the_classes_names(reading):
    page = write(reading, TEXT, "layers", layer="mood")
    assert rows(page, "word_units") == ["sad", "glad"]
    page.widget("selectbox", "explorer.unit_order").set_value("peak")
    page.at.session_state["explorer.channel"] = 1
    page.run()
    assert "Unit 1: glad" in page.words()
    assert {"good", "bad"} <= set(rows(page, "favourites"))
    assert rows(page, "favourites")[0] == "good"
    page.at.session_state["explorer.layer"] = "strongest"
    page.run()
    assert len(rows(page, "word_units")) == 3


# --- Two texts -------------------------------------------------------------------------------------------------------


def test_the_other_text_begins_without_the_word_that_matters_most(reading):
    reading.at.session_state["explorer.text2"] = ""
    page = write(reading, "the film was bad", "compare")
    assert page.widget("text_input", "explorer.text2").value == "the film was"
    assert "**sad** falls from 98" in page.words()
    page.widget("text_input", "explorer.text2").set_value("the film was good")
    page.run()
    assert "the network now says **glad**" in page.words()
    assert address(page, "text2") == "the film was good"
    assert html(page).count("outline:3px") == 1
    page.at.session_state["explorer.layer"] = "pairs"
    page.run()
    drawn = spec(page, "two_texts")
    assert drawn["layout"]["yaxis"]["ticktext"] == ["the", "the film", "film was", "was bad → was good", "bad → good"]
    page.at.session_state["explorer.layer"] = "strongest"
    page.run()
    first, second = spec(page, "two_texts")["data"]
    assert sorted(first["x"] + second["x"]) == pytest.approx([0, 0, 0, 0, 1, 1], abs=0.05)
    page.widget("text_input", "explorer.text2").set_value("")
    page.run()
    assert page.widget("text_input", "explorer.text2").value == "the film was"


# --- The other pages -------------------------------------------------------------------------------------------------


def test_the_visualizer_shows_each_units_favourite_words_instead_of_pictures(reading):
    page = write(reading, TEXT, "layers", layer="mood")
    page.widget("segmented_control", "explorer.about").set_value("favourites")
    page.run()
    next(each for each in page.at.button if each.key == "to_visualizer").click()
    page.finish()
    page.at.switch_page("pages/filter_visualizer.py")  # the test bench has not noticed where the button led
    page.run()
    assert page.widget("selectbox", "visualizer.layer").value == "mood"
    assert "between two words there is nothing" in page.words()
    assert not any(each.key == "draw" for each in page.at.button)
    assert "**Unit 0: sad**" in page.words() and "8 words were tried" in page.words()
    assert rows(page, "favourites_0")[0] == "bad" and rows(page, "favourites_1")[0] == "good"
    page.widget("selectbox", "visualizer.layer").set_value("embedding")
    page.run()
    page.widget("selectbox", "visualizer.first").set_value(12)
    page.run()
    assert "**Unit 23**" in page.words() and address(page, "first") == "12"
    next(each for each in page.at.button if each.key == "to_explorer").click()
    page.finish()
    page.at.switch_page(f"pages/{EXPLORER}.py")
    page.run()
    assert page.widget("selectbox", "explorer.layer").value == "embedding"
    assert "Point at a cell" in page.words()
    assert page.widget("text_input", "explorer.text").value == TEXT


def test_the_trainer_says_that_it_needs_photos(app, file):
    page = upload(app("transfer_trainer", data="zip"), file, where="trainer")
    assert any("This network reads text" in each.value for each in page.at.warning)
    assert page.widget("button", "trainer.start").disabled


def test_a_network_that_knows_numbers_only_says_what_to_write(app, tmp_path):
    page = upload(app(EXPLORER), saved(number_model(), tmp_path), "numbers.keras")
    write(page, "3 7 19", "layers", layer="embedding")
    assert rows(page, "word_heatmap") == ["3", "7", "19"]
    write(page, "a word")
    assert any("write numbers such as" in each.value for each in page.at.error)
    vocabulary, padding, use = (of(page, name) for name in ("vocabulary file", "padding", "use vocabulary"))
    page.widget("file_uploader", vocabulary).upload("words.txt", b"\xff\xfe\x00", "text/plain")
    page.widget("button", use).click()
    said = [each.value.replace("\\", "") for each in page.run().at.error]
    assert any("words.txt cannot be read as words" in each for each in said), said
    page.widget("file_uploader", vocabulary).upload("words.txt", "\n".join(WORDS).encode(), "text/plain")
    page.widget("button", use).click()
    page.run()
    assert "Its vocabulary: 7 words." in page.words()
    write(page, "good <b> film", "layers")
    assert "All 2 words are in its vocabulary. The network has no number for b" in page.words()
    assert rows(page, "word_heatmap") == ["good", "film"]
    assert numbers_read(page) == [0, 0, 0, 0, 5, 2]
    page.widget("selectbox", padding).set_value("after")
    page.run()
    assert numbers_read(page) == [5, 2, 0, 0, 0, 0]
    model = opened.find(opened.id_of(page.widget("selectbox", "explorer.model").value))
    assert (model.said.vocabulary, model.said.padding) == (WORDS, "after")  # remembered with the file


WORDS = ("", "the", "film", "was", "not", "good", "bad")


def of(page, name: str) -> str:
    """The key of a control of the network on show."""
    return f"explorer.{name} of {opened.id_of(page.widget('selectbox', 'explorer.model').value)}"


def numbers_read(page) -> list[int]:
    """What the network was given when it read the text last."""
    job = next(job for job in reversed(page.engine.jobs()) if job.task == "core.text:answer")
    return [token.number for token in job.result().tokens]


# --- Taking home -----------------------------------------------------------------------------------------------------

TOKENS = (Token("=1+1", 3), Token("good", 4), Token("zebra", 1, known=False), Token("", 0, is_padding=True))


def table(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))


def test_no_word_becomes_a_formula_and_no_number_a_word():
    steps = [plots.Step(place, word) for place, word in enumerate(("=1+1", " @x", "-a", "good"))]
    values = np.array([[-1.5, np.nan], [2, 0], [0, 0], [1e-9, np.inf]], np.float32)
    assert table(text_files.heatmap_csv(values, steps)) == [
        ["words", "unit 0", "unit 1"],
        ["'=1+1", "-1.5", ""],
        ["' @x", "2", "0"],
        ["'-a", "0", "0"],
        ["good", "1e-09", ""],
    ]
    found = WordSaliency(TOKENS, 1.0, np.array([1, -2, 0, 9], np.float32), np.array([0.5, 0, 0, 9], np.float32))
    head, *lines = table(text_files.saliency_csv(found, "+glad"))
    assert head[3] == "gradient x embedding, for +glad"
    assert lines == [["'=1+1", "3", "yes", "1", "0.5"], ["good", "4", "yes", "-2", "0"], ["zebra", "1", "no", "0", "0"]]
    assert table(text_files.units_csv(np.array([1.0, 2.0]), ["@a", "b"]))[1] == ["0", "'@a", "1"]


def test_the_picture_has_a_cell_for_each_word_and_unit():
    steps = [plots.Step(0, "good"), plots.Step(2, "bad")]
    values = np.array([[1, -1], [9, 9], [0, 1]], np.float32)
    picture = np.asarray(Image.open(io.BytesIO(text_files.heatmap_png(values, steps, [1, 0]))))
    cell = text_files.CELL
    left = int(np.argmax(picture[cell + 2, :, 0] < 250))  # above the word
    reds = [[picture[cell + row * cell + 2, left + column * cell + 2, 0] for column in range(2)] for row in range(2)]
    assert reds[0][0] < reds[1][1] and reds[0][1] == reds[1][0]  # blue below white; red is red


# --- Words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gradient", "without", "words"),
    [
        ([1, -3, 0, 9], [0.5, 2, 0, 9], "Both ways find that “good” matters most."),
        ([1, 3, 0, 0], [9, 2, 0, 0], "Taking out"),
    ],
)
def test_the_sentence_names_the_words_and_no_padding(gradient, without, words):
    found = WordSaliency(TOKENS, 1.0, np.array(gradient, np.float32), np.array(without, np.float32))
    assert words in text_why.in_words(found, "**glad**")


def test_when_nothing_matters_that_is_said():
    found = WordSaliency(TOKENS, 1.0, np.zeros(4, np.float32), np.zeros(4, np.float32))
    assert "No single word changes anything" in text_why.in_words(found, "**glad**")


def test_links_are_bounded_and_on_one_line():
    assert text_box.in_link("a\nb\u202ec") == "a b c"
    assert len(text_box.in_link("x" * 9999)) <= text_box.MOST_IN_LINK


def test_chips_hold_no_markup_of_a_persons():
    chip = text_common._chip(Token('<script>"', 1, known=False), "", "+1")
    assert "<script" not in chip and "&lt;script&gt;&quot;" in chip


def test_changed_words_are_found_behind_one_that_was_put_in():
    first = (Token("a", 2), Token("b", 3), Token("", 0, is_padding=True))
    second = (Token("new", 4), Token("a", 2), Token("c", 5))
    assert text_compare.changed_words(first, second) == [0, 2]
