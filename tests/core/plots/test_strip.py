import pytest

from core import plots
from core.architecture import KINDS, blocks
from core.messages import LayerInfo
from core.plots.style import ORANGE


def layer(name, type="Conv2D", shape=(28, 28, 8), **facts):
    return LayerInfo(name, type, shape, 10, **facts)


LAYERS = (
    layer("conv", shape=(64, 64, 16), receptive_field=(3, 3), stride=(2.0, 2.0)),
    layer("pool", "MaxPooling2D", (16, 16, 16)),
    layer("<b>wide</b>", shape=(16, 16, 256), multiply_adds=1_000_000),
    layer("flat", "Flatten", (65536,)),
    layer("answer", "Dense", (10,)),
)


def test_heights_follow_the_maps_and_widths_the_channels():
    conv, pool, wide, flat, answer = plots.strip_blocks(blocks(LAYERS))
    assert conv.height == 1 and pool.height == wide.height == pytest.approx(0.5)  # the root of a quarter
    assert 0 < flat.height == answer.height < pool.height  # small, but there
    assert wide.width - conv.width == pytest.approx(4)  # 16 times as many channels
    assert pool.width == conv.width
    for before, after in zip([conv, pool, wide, flat], [pool, wide, flat, answer], strict=True):
        assert after.left > before.left + before.width


def test_a_bar_for_each_block_in_the_colour_of_its_kind():
    figure = plots.architecture_strip(plots.strip_blocks(blocks(LAYERS)), "pool")
    found = {trace.name: (trace.marker.color, list(trace.customdata)) for trace in figure.data}
    assert found == {
        KINDS["convolution"][0]: (KINDS["convolution"][1], ["conv", "<b>wide</b>"]),
        KINDS["pooling"][0]: (KINDS["pooling"][1], ["pool"]),
        KINDS["dense"][0]: (KINDS["dense"][1], ["answer"]),
        KINDS["other"][0]: (KINDS["other"][1], ["flat"]),
    }
    assert len({colour for _, colour in KINDS.values()}) == len(KINDS)


def test_the_chosen_layers_block_is_outlined():
    strip = plots.strip_blocks(blocks(LAYERS))
    (outline,) = plots.architecture_strip(strip, "pool").layout.shapes
    assert outline.line.color == ORANGE
    assert (outline.x0, outline.x1) == (strip[1].left, strip[1].left + strip[1].width)
    assert plots.architecture_strip(strip, "not there").layout.shapes == ()


def test_hover_says_what_it_is_and_shows_names_as_they_are():
    figure = plots.architecture_strip(plots.strip_blocks(blocks(LAYERS)), "pool")
    conv, wide = figure.data[0].hovertext
    assert all(words in conv for words in ("Conv2D", "16 channels of 64 × 64", "10 parameters", "sees 3 × 3 pixels"))
    assert "&lt;b&gt;wide" in wide and "1 M multiply-adds" in wide


def test_hover_says_what_a_block_is_made_of():
    names = [f"block{number}_{part}" for number in range(40) for part in ("conv", "bn", "relu")]
    types = ("Conv2D", "BatchNormalization", "ReLU")
    layers = tuple(layer(name, types[place % 3]) for place, name in enumerate(names))
    (trace,) = plots.architecture_strip(plots.strip_blocks(blocks(layers)), "none").data
    assert trace.hovertext[5].startswith("<b>block5_relu</b><br>Conv2D + BatchNormalization + ReLU<br>")
    assert "30 parameters" in trace.hovertext[5]


def test_it_is_small_however_many_layers_there_are():
    many = tuple(layer(f"layer{number}") for number in range(1500))
    figure = plots.architecture_strip(plots.strip_blocks(blocks(many)), "layer3")
    assert len(figure.to_json()) < 60_000
    assert len(figure.layout.shapes) == 1
    assert figure.layout.height <= 140
    assert plots.architecture_strip((), "none").data == ()
