"""Results -> Plotly figures. Each picture is two functions: one finds the facts, one draws them. This is the door."""

from core.plots.bars import all_units, prediction_bars, trust_bars, unit_bars, unit_name
from core.plots.channel import Histogram, histogram, histogram_bars
from core.plots.compare import (
    Comparison,
    Likeness,
    compare_maps,
    compare_units,
    compared_grid,
    grouped_bars,
)
from core.plots.effects import EffectRow, effect_bars, effect_rows
from core.plots.maps import (
    PAGE,
    ColourRange,
    Grid,
    channel_grid,
    channel_over_photo,
    colour_range,
    grid_of,
    range_words,
)
from core.plots.mosaics import TRUST_WORDS, Tile, mosaic_figure, mosaic_tiles, score_curve
from core.plots.photos import (
    Fired,
    PhotoTile,
    exciting_photos,
    exciting_size,
    exciting_tiles,
    piece_of_photo,
    strongest_cell,
    where_it_fires,
)
from core.plots.style import FONT, FONT_SIZE, plain, shortened
from core.plots.training import confusion_matrix, training_curves

__all__ = [
    "FONT",
    "FONT_SIZE",
    "PAGE",
    "TRUST_WORDS",
    "ColourRange",
    "Comparison",
    "EffectRow",
    "Fired",
    "Grid",
    "Histogram",
    "Likeness",
    "PhotoTile",
    "Tile",
    "all_units",
    "channel_grid",
    "channel_over_photo",
    "colour_range",
    "compare_maps",
    "compare_units",
    "compared_grid",
    "confusion_matrix",
    "effect_bars",
    "effect_rows",
    "exciting_photos",
    "exciting_size",
    "exciting_tiles",
    "grid_of",
    "grouped_bars",
    "histogram",
    "histogram_bars",
    "mosaic_figure",
    "mosaic_tiles",
    "piece_of_photo",
    "plain",
    "prediction_bars",
    "range_words",
    "score_curve",
    "shortened",
    "strongest_cell",
    "training_curves",
    "trust_bars",
    "unit_bars",
    "unit_name",
    "where_it_fires",
]
