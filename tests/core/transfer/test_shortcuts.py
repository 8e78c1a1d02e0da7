"""Data sets with and without a shortcut, made so that one knows where the class is told."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest

from core.images import decode
from core.messages import Progress
from core.transfer import shortcuts, verdicts
from core.transfer.requests import Shortcut
from core.transfer.shortcuts import frame_of, on_frame, spread
from tests.core.tiny import tiny_backbone

from .finished_runs import made_run

SIDE = 24
BORDER = 0.17  # four pixels
COUNT = 240


def photos_of(labels: np.ndarray, *, told_by: str) -> np.ndarray:
    """Noise; the class is told by the colour of the frame, by the direction of a bar in the middle, or by both."""
    rng = np.random.default_rng(0)
    photos = rng.normal(128, 25, (len(labels), SIDE, SIDE, 3))
    frame = frame_of((SIDE, SIDE), BORDER)
    tint = labels if told_by in ("frame", "both") else rng.integers(0, 2, len(labels))
    photos[:, frame, 0] += np.where(tint, 60, -60)[:, None]
    bars = labels if told_by in ("middle", "both") else rng.integers(0, 2, len(labels))
    for photo, upright in zip(photos, bars, strict=True):
        across, down = rng.integers(5, 17, 2)
        box = (slice(5, 19), slice(across, across + 2)) if upright else (slice(down, down + 2), slice(5, 19))
        photo[box] = 250
    return np.clip(photos, 0, 255).astype(np.uint8)


def network_of(kernel: np.ndarray, bias: tuple[float, float]) -> keras.Model:
    """A detector for each of two classes, everywhere on the photo; the class is that of the stronger one on average."""
    inputs = keras.Input((SIDE, SIDE, 3))
    maps = keras.layers.Conv2D(2, kernel.shape[:2], padding="same", activation="relu", name="detectors")(inputs)
    outputs = keras.layers.Dense(2, activation="softmax")(keras.layers.GlobalAveragePooling2D()(maps))
    model = keras.Model(inputs, outputs)
    model.set_weights([kernel, np.float32(bias), np.eye(2), np.zeros(2)])
    return model


def by_colour() -> keras.Model:
    """More red than the middle grey, or less: it does not ask where."""
    kernel = np.zeros((1, 1, 3, 2), np.float32)
    kernel[0, 0, 0] = -1, 1
    return network_of(kernel, (128, -128))


def by_bars() -> keras.Model:
    """A bright line between two dark ones, lying or upright."""
    lying = np.tile(np.array([0, -1, 1, 1, -1, 0], np.float32)[:, None] / 36, (1, 6))
    kernel = np.repeat(np.stack([lying, lying.T], axis=-1)[:, :, None], 3, axis=2)
    return network_of(kernel, (-50, -50))


def looked_at(told_by: str, network: keras.Model) -> tuple[list, Shortcut]:
    labels = np.tile([0, 1], COUNT // 2)
    run = made_run(labels, photos_of(labels, told_by=told_by), tiny_backbone(network, input_size=(SIDE, SIDE)))
    told = list(shortcuts.look(run, 12, BORDER))
    return told, told[-1]


def test_a_class_told_by_the_frame_is_detected():
    told, found = looked_at("frame", by_colour())
    assert found.accuracy > 0.9 and found.without_middle > 0.9 and found.without_border < 0.7
    assert verdicts.shortcut(found).kind == "background"
    assert np.mean(found.on_border) > found.area
    assert verdicts.attention(found).kind == "more"
    check_what_is_told(told, found)


def test_a_class_told_in_the_middle_is_not():
    _, found = looked_at("middle", by_bars())
    assert found.accuracy > 0.9
    assert verdicts.shortcut(found).kind == "subject"
    assert verdicts.attention(found).kind == "less"


def test_a_class_told_everywhere_is_said_to_be_so():
    _, found = looked_at("both", by_bars())
    assert verdicts.shortcut(found).kind == "subject"  # this network does not use the frame, though it could
    labels = np.tile([0, 1], 20)
    photos = np.full((40, SIDE, SIDE, 3), 128, np.uint8)
    photos[..., 0] = np.where(labels, 148, 108)[:, None, None]
    *_, found = shortcuts.look(made_run(labels, photos, tiny_backbone(by_colour(), input_size=(SIDE, SIDE))), 2, BORDER)
    assert (found.accuracy, found.without_border, found.without_middle) == (1, 1, 1)
    assert verdicts.shortcut(found).kind == "everywhere"


def check_what_is_told(told: list, found: Shortcut) -> None:
    """Progress first, then the three accuracies, then Grad-CAM photo by photo."""
    assert isinstance(told[0], Progress)
    seen = [each for each in told if isinstance(each, Shortcut)]
    assert [each.done for each in seen] == list(range(13))
    assert all(each.accuracy == found.accuracy for each in seen)
    assert found.on_border == tuple(sorted(found.on_border, reverse=True)) and len(found.on_border) == 12
    assert found.tested == 60 and found.cells == (SIDE, SIDE) and found.majority == 0.5
    whole = [each[0] for each in found.by_class]
    assert np.mean(whole) == pytest.approx(found.accuracy)
    assert [photo.file for photo in found.most] == list(found.files[:6])
    whole, middle, frame = (decode(picture).astype(int) for picture in found.example)
    assert np.abs(whole[110:140, 110:140] - middle[110:140, 110:140]).mean() < 8
    assert np.abs(whole[:20] - frame[:20]).mean() < 8
    assert frame[110:140, 110:140].std(axis=(0, 1)).max() < 8  # one colour
    assert middle[:20].std(axis=(0, 1)).max() < 8


@pytest.mark.parametrize(("size", "border", "area"), [((100, 100), 0.15, 0.51), ((40, 20), 0.25, 0.75)])
def test_the_frame_has_the_area_that_it_should(size, border, area):
    frame = frame_of(size, border)
    assert frame.mean() == pytest.approx(area)
    assert frame[0].all() and frame[:, -1].all() and not frame[size[0] // 2, size[1] // 2]


def test_attention_is_counted_where_it_is():
    frame = frame_of((20, 20), 0.25)
    assert on_frame(np.ones((20, 20)), frame) == frame.mean()
    assert on_frame(np.where(frame, 0.0, 2.0), frame) == 0
    assert on_frame(np.where(frame, 2.0, 0.0), frame) == 1
    assert np.isnan(on_frame(np.zeros((20, 20)), frame))


def test_a_few_of_many_photos_are_of_all_classes():
    np.testing.assert_array_equal(spread(np.arange(7), 10), np.arange(7))
    labels = np.repeat([0, 1, 2, 3], 100)
    np.testing.assert_array_equal(np.bincount(labels[spread(np.arange(400), 20)]), [5, 5, 5, 5])


def made(whole: float, middle: float, border: float, chance: float = 0.25, tested: int = 100) -> Shortcut:
    return Shortcut("", accuracy=whole, without_border=middle, without_middle=border, majority=chance, tested=tested)


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (made(0.90, 0.30, 0.78), "background"),
        (made(0.90, 0.85, 0.78), "everywhere"),
        (made(0.90, 0.85, 0.45), "partly"),
        (made(0.90, 0.85, 0.30), "subject"),
        (made(0.90, 0.40, 0.30), "whole"),
        (made(0.30, 0.25, 0.25), "nothing"),
        (made(0.90, 0.85, 0.60, tested=4), "subject"),  # three of four photos are no proof: 0.60 < 0.25 + 2 · 0.22
        (made(1.00, 1.00, 1.00, chance=1.0), "nothing"),
    ],
)
def test_the_verdict_follows_its_rule(found, kind):
    assert verdicts.shortcut(found).kind == kind


def test_the_verdict_says_the_number_that_it_rests_on():
    assert "Even without the subject it is right in 78\u00a0%" in verdicts.shortcut(made(0.9, 0.3, 0.78)).words


def test_without_any_attention_nothing_is_claimed():
    assert verdicts.attention(replace(made(0.9, 0.9, 0.3), area=0.5)).kind == "none"
