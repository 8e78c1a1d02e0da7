"""A network's build as a strip of blocks that can be clicked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from core.architecture import KINDS, Block, cost_words, sees_words, shape_words, side
from core.plots.style import FONT, ORANGE, plain

STRIP_HEIGHT = 90
_LEGEND_HEIGHT = 26
_LEGEND_FROM = 0.35  # of the strip's width: further right the legend may lie above low blocks
_GAP = 0.35  # between blocks, in the units of their widths
_LOWEST = 0.12  # so that what has no maps can be hit


@dataclass(frozen=True)
class StripBlock:
    """Where a block lies: `left` and `width` in units of the strip, `height` in shares of the highest."""

    block: Block
    left: float
    width: float
    height: float


def strip_blocks(blocks: Sequence[Block]) -> tuple[StripBlock, ...]:
    """Side by side: the width grows with the logarithm of the channels, the height with the root of the maps' side."""
    sides = [side(block.layer) or 1.0 for block in blocks]
    largest = max(sides, default=1.0)
    found, left = [], 0.0
    for block, its_side in zip(blocks, sides, strict=True):
        width = 1 + math.log2(max(2, block.layer.channels or 2))
        found.append(StripBlock(block, left, width, max(_LOWEST, math.sqrt(its_side / largest))))
        left += width + _GAP * max(1.0, width / 6)
    return tuple(found)


def architecture_strip(blocks: Sequence[StripBlock], chosen: str) -> go.Figure:
    """One bar for each block in the colour of its kind; a click on it reports the name of its layer as `customdata`.

    The block that has layer `chosen` is outlined.
    """
    end = blocks[-1].left + blocks[-1].width if blocks else 1
    # Most networks' maps shrink to the right: there is room above them.
    room = all(each.height <= 0.52 for each in blocks if each.left + each.width > _LEGEND_FROM * end)
    axis = {"visible": False, "fixedrange": True}
    # As one: Plotly looks through all of a figure at each addition.
    return go.Figure(
        [
            _bars(same, words, colour)
            for kind, (words, colour) in KINDS.items()
            if (same := [each for each in blocks if each.block.kind == kind])
        ],
        {
            "shapes": [_outline(each) for each in blocks if chosen in each.block],
            "xaxis": {**axis, "range": [-0.01 * end, 1.01 * end]},
            "yaxis": {**axis, "range": [-0.53, 0.53]},
            "height": STRIP_HEIGHT + (0 if room else _LEGEND_HEIGHT),
            "margin": {"l": 0, "r": 0, "t": 0 if room else _LEGEND_HEIGHT, "b": 0},
            "font": FONT,
            "plot_bgcolor": "rgba(0,0,0,0)",
            "barmode": "overlay",
            "dragmode": False,
            "clickmode": "event+select",
            "hoverlabel": {"align": "left", "font": {"size": 15}},
            "showlegend": True,
            "legend": {
                "orientation": "h",
                "y": 1.0,
                "yanchor": "top" if room else "bottom",
                "x": 1 if room else 0,
                "xanchor": "right" if room else "left",
                "bgcolor": "rgba(0,0,0,0)",
                "itemclick": False,
                "itemdoubleclick": False,
                "font": {"size": 14},
            },
        },
    )


def _outline(each: StripBlock) -> dict:
    ends = {"x0": each.left, "x1": each.left + each.width, "y0": -each.height / 2, "y1": each.height / 2}
    return {"type": "rect", **ends, "line": {"color": ORANGE, "width": 4}}


def _bars(blocks: Sequence[StripBlock], words: str, colour: str) -> dict:
    return {
        "type": "bar",
        "x": [each.left for each in blocks],
        "offset": 0,
        "width": [each.width for each in blocks],
        "y": [each.height for each in blocks],
        "base": [-each.height / 2 for each in blocks],
        "marker": {"color": colour, "line": {"width": 0}},
        "name": words,
        "customdata": [each.block.layer.name for each in blocks],
        "hovertext": [_hover(each.block) for each in blocks],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "selected": {"marker": {"opacity": 1}},
        "unselected": {"marker": {"opacity": 1}},
    }


def _hover(block: Block) -> str:
    layer = block.layer
    if len(block.layers) <= 4:
        made_of = " + ".join(plain(each.type) for each in block.layers)
    else:
        made_of = f"{len(block.layers)} layers: {plain(block.name)}"
    return "<br>".join(
        filter(None, [f"<b>{plain(layer.name)}</b>", made_of, shape_words(layer), cost_words(block), sees_words(layer)])
    )
