import numpy as np
import pytest

from core.messages import Effects, ExactEffect
from core.plots import effect_bars, effect_rows

FOUND = Effects(
    target=3,
    logit=4.0,
    probability=0.5,
    approximate=np.float32([0.1, -2.0, 1.0, 0.0, 3.0]),
    exact=(ExactEffect(4, 0.5, 0.2), ExactEffect(1, -1.0, -0.1)),
)


def test_the_largest_effects_first_what_the_class_needs():
    rows = effect_rows(FOUND, most=3)
    # Channel 2 is only estimated, at 1.0; channel 4 was measured to matter half as much.
    assert [row.channel for row in rows] == [2, 4, 1]
    assert [row.score for row in rows] == [None, 0.5, -1.0]
    assert [row.estimate for row in rows] == [1.0, 3.0, -2.0]
    assert len(effect_rows(FOUND, most=50)) == 4  # the fifth does nothing


def test_pointing_tells_what_is_lost_and_what_is_won():
    measured = effect_bars(effect_rows(FOUND, most=3)).data[0]
    assert "score %{customdata[1]:+.3g}" in measured.hovertemplate
    lost, won = measured.customdata[1], measured.customdata[2]
    assert list(lost) == pytest.approx([4, -0.5, -20]) and list(won) == pytest.approx([1, 1.0, 10])


def test_two_bars_for_each_channel_and_pale_ones_for_those_that_are_off():
    measured, _, estimated, _ = effect_bars(effect_rows(FOUND, most=3), off={4}).data
    assert list(measured.y) == [None, 0.5, -1.0]
    assert list(estimated.y) == [1.0, 3.0, -2.0]
    assert [each[0] for each in measured.customdata] == [2, 4, 1]
    assert [colour.endswith(",0.3)") for colour in measured.marker.color] == [False, True, False]


def test_without_measurements_there_are_only_estimates():
    bare = Effects(0, 1.0, 0.5, FOUND.approximate, ())
    figure = effect_bars(effect_rows(bare))
    assert [trace.name for trace in figure.data if trace.name] == ["estimated"]
