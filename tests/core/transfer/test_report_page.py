"""The report of a run, as one page; what it says and what it never does."""

import re
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser

import numpy as np
import pytest

from core import images
from core.messages import ModelRef
from core.transfer import svg
from core.transfer.report_page import Content, Mistake, page, percent
from core.transfer.requests import EpochRow, TrainingConfig, TrainingReport
from tests.core.transfer.conftest import COLOURS

HOSTILE = ('<img src="http://x/y.png" onerror="alert(1)">', "</title><script>alert(1)</script>", "a\u202eb &amp; 'c'")
VOID = {"meta", "img", "br"}


def picture(colour=(200, 40, 40)) -> bytes:
    return images.encode_webp(np.full((8, 8, 3), colour, np.uint8))


def content(classes=tuple(COLOURS), **changes) -> Content:
    count = len(classes)
    confusion = 5 * np.eye(count, dtype=int)
    confusion[0, :2] = 4, 1
    report = TrainingReport(
        classes=classes,
        images=20 * count,
        training_images=15 * count,
        validation_images=5 * count,
        left_out=(("broken.jpg", "is not a picture"),),
        validation_accuracy=(5 * count - 1) / (5 * count),
        majority_accuracy=1 / count,
        confusion=tuple(map(tuple, confusion.tolist())),
        epochs=2,
        stopped=False,
        seconds=12.0,
        model_path="",
        backbone="efficientnet_lite0",
        origin="",
        **changes,
    )
    rows = (EpochRow(1, "head", 1.0, 0.5, 1.2, 0.4, 1.0), EpochRow(2, "fine-tuning", 0.5, 1.0, 0.6, 0.9, 1.0))
    config = TrainingConfig("chessman", ModelRef("efficientnet_lite0"), "out", epochs=1, fine_tune_epochs=1)
    mistake = Mistake(f"{classes[0]}/1.png", classes[0], classes[1], 0.87, picture(), picture((0, 0, 9)))
    samples = tuple((picture(),) for _ in classes)
    return Content(datetime(2026, 11, 24, 12, 0).astimezone(), config, report, rows, samples, (mistake,))


class Reader(HTMLParser):
    """Tags must be closed in their order; texts and addresses are kept."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.tags, self.addresses, self.texts, self.ids = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_startendtag(self, tag, attributes):
        self.note(tag, attributes)

    def handle_starttag(self, tag, attributes):
        self.note(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def note(self, tag, attributes):
        self.tags.append(tag)
        assert not any(name.startswith("on") for name, _ in attributes)
        self.addresses += [
            value for name, value in attributes if name in ("src", "href", "xlink:href", "action", "data")
        ]
        assert not any("url(" in (value or "") for name, value in attributes if name == "style")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.mark.parametrize("classes", [tuple(COLOURS), HOSTILE, tuple(f"class {place}" for place in range(40))])
def test_the_page_is_well_formed_and_refers_to_nothing_outside(classes):
    text = page(content(classes))
    read = Reader(text)
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & set(read.tags)
    assert read.addresses and all(each.startswith("data:image/webp;base64,") for each in read.addresses)
    assert read.tags.count("img") == len(classes) + 2
    style = re.search(r"<style>(.*?)</style>", text, re.S)[1]
    assert "url(" not in style and "@import" not in style
    assert "default-src 'none'" in text


def test_names_are_shown_letter_for_letter():
    read = Reader(page(content(HOSTILE)))
    for name in HOSTILE:
        shown = name.replace("\u202e", "")  # what turns the direction of a text is no letter
        assert read.texts.count(shown) >= 3  # class by class, and twice in the matrix
    assert not any("\u202e" in each for each in read.texts)


def test_it_tells_the_accuracy_its_interval_and_what_there_is_to_beat():
    text = "".join(Reader(page(content())).texts).replace("\u00a0", " ")
    # Wilson's interval of 14 of 15, by hand: (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n).
    assert "93 % of the photos that it had not learned from are recognised: 14 of 15." in text
    assert "lies between 70 % and 99 % with 95 % confidence" in text
    assert "would reach 33 %; the network is above that" in text
    assert "broken.jpg" in text and "is not a picture" in text
    assert "blue, taken for green (87 %)" in text
    assert "epoch 2, validation: 90" in text
    assert "Fine-tuning rate" in text and "0.00001" in text


def test_an_accuracy_that_may_be_luck_is_said_to_be():
    poor = content()
    poor = replace(poor, report=replace(poor.report, validation_accuracy=5 / 15))
    assert "the network is not clearly above that" in page(poor)


def test_a_test_folder_and_notes_are_told():
    told = page(content(test_images=10, test_accuracy=0.8, notes=("The batch was halved <b>.",)))
    assert "On the 10 photos of the test folder" in told and "(49\u00a0% to 94\u00a0%)" in told
    assert "The batch was halved &lt;b&gt;." in told


def test_many_classes_come_as_a_list_of_what_is_mixed_up():
    text = page(content(tuple(f"class {place}" for place in range(40))))
    assert "matrix" not in re.sub(r"<style>.*?</style>", "", text, flags=re.S)
    assert "<bdi>class 0</bdi> taken for <bdi>class 1</bdi>: 1 times" in text


def test_without_history_or_mistakes_there_is_no_empty_chapter():
    bare = replace(content(), history=(), mistakes=(), samples=())
    bare = replace(bare, report=replace(bare.report, validation_accuracy=1.0, left_out=()))
    text = page(bare)
    assert "While it learned" not in text and "What was left out" not in text
    assert "It made none." in text
    Reader(text)


def test_no_share_is_no_number():
    assert percent(None) == "–" and percent(0.125, 1) == "12.5\u00a0%"


@pytest.mark.parametrize(("top", "step"), [(100, 20), (1, 0.2), (2.3, 0.5), (0.07, 0.02), (7, 2)])
def test_marks_stand_at_round_numbers(top, step):
    assert svg.nice_step(top) == pytest.approx(step)


def test_curves_stand_where_their_values_are():
    drawn = svg.lines(svg.Chart("accuracy", [1, 2, 3], {"one": [0.0, 100.0, float("nan")]}, top=100.0))
    points = re.search(r'points="([^"]*)"', drawn)[1].split()
    assert points == [
        f"{svg.LEFT:.1f},{svg.HEIGHT - svg.BOTTOM:.1f}",
        f"{(svg.LEFT + svg.WIDTH - svg.RIGHT) / 2:.1f},{svg.TOP:.1f}",
    ]
