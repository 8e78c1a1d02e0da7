"""Results -> Plotly figures. Each picture is two functions: one finds the facts, one draws them. This is the door."""

from core.plots.bars import prediction_bars, trust_bars, unit_bars
from core.plots.maps import (
    PAGE,
    ColourRange,
    Grid,
    channel_grid,
    channel_over_photo,
    colour_range,
    stitch_channels,
)
from core.plots.mosaics import TRUST_WORDS, Tile, mosaic_figure, mosaic_tiles, score_curve
from core.plots.style import FONT, FONT_SIZE, plain, shortened
from core.plots.training import confusion_matrix, training_curves

__all__ = [
    "FONT",
    "FONT_SIZE",
    "PAGE",
    "TRUST_WORDS",
    "ColourRange",
    "Grid",
    "Tile",
    "channel_grid",
    "channel_over_photo",
    "colour_range",
    "confusion_matrix",
    "mosaic_figure",
    "mosaic_tiles",
    "plain",
    "prediction_bars",
    "score_curve",
    "shortened",
    "stitch_channels",
    "training_curves",
    "trust_bars",
    "unit_bars",
]
