"""The forms of the six chess pieces, as signed distances.

A piece stands at the origin on the plane y = 0, y up, one unit to a square of the board. `Shape.distance(x, y, z)`
is negative inside, and never more than the true distance outside, as sphere tracing needs it (Hart, "Sphere tracing:
a geometric method for the antialiased ray tracing of implicit surfaces", 1996). Turned parts are a profile r(y) of
which the distance is tabulated once and looked up at (sqrt(x² + z²), y); crenellations, the mitre's cut, the coronet,
the cross and the knight's head are combined with it as solids.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

PIECES = ("bishop", "king", "knight", "pawn", "queen", "rook")
DESIGNS = 8  # chess sets that the pieces come from

Distance = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
Points = list[tuple[float, float]]

_CELL = 0.008  # of the tables of distances: about a pixel of a picture


@dataclass(frozen=True)
class Shape:
    """A piece inside the upright cylinder of `radius` and `height`."""

    height: float
    radius: float
    distance: Distance


@lru_cache(maxsize=len(PIECES) * DESIGNS)
def shape(piece: str, design: int) -> Shape:
    """The form of `piece` (one of `PIECES`) in the set number `design` (0 to `DESIGNS` - 1)."""
    rng = np.random.default_rng((design, 7))
    slim, tall = rng.uniform(0.86, 1.14), rng.uniform(0.92, 1.1)  # alike for all the pieces of one set
    width = dict(zip(PIECES, (0.94, 1.04, 0.98, 0.87, 1.0, 0.95), strict=True))[piece]
    foot = _foot(rng.uniform(0.34, 0.38) * width, int(rng.integers(3)))
    makers = {"bishop": _bishop, "king": _king, "knight": _knight, "pawn": _pawn, "queen": _queen, "rook": _rook}
    made = makers[piece](foot, slim, np.random.default_rng((design, PIECES.index(piece), 11)))
    return _stretched(made, tall)


def bilinear(table: np.ndarray, row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """`table[H, W]` at fractional places; beyond the border, the border's value."""
    height, width = table.shape
    row = np.minimum(np.maximum(row, 0), height - 1.001)
    column = np.minimum(np.maximum(column, 0), width - 1.001)
    i, j = row.astype(np.int32), column.astype(np.int32)
    row -= i
    column -= j
    i *= width
    i += j
    flat = table.ravel()
    here, below = flat.take(i), flat.take(i + width)
    i += 1
    here += (flat.take(i) - here) * column
    i += width
    below += (flat.take(i) - below) * column
    below -= here
    below *= row
    here += below
    return here


def _stretched(made: Shape, tall: float) -> Shape:
    """Taller by the factor `tall`; distances shrink by at most the same factor."""
    inner, safe = made.distance, min(1.0, tall)
    return Shape(made.height * tall, made.radius, lambda x, y, z: inner(x, y / tall, z) * safe)


# Profiles: outlines on which every corner is rounded, save where a point stands twice.


def _rounded(points: Points, times: int = 3) -> np.ndarray:
    """Corner cutting of a closed outline (Chaikin 1974): `float[N, 2]`."""
    outline = np.array(points)
    for _ in range(times):
        after = np.roll(outline, -1, axis=0)
        outline = np.stack([0.75 * outline + 0.25 * after, 0.25 * outline + 0.75 * after], axis=1).reshape(-1, 2)
        apart = np.abs(outline - np.roll(outline, 1, axis=0)).sum(axis=1) > 1e-6
        outline = outline[apart]
    return outline


def _tabulate(outline: np.ndarray, low: tuple[float, float], high: tuple[float, float]) -> Callable:
    """The signed distance to a closed outline in the plane, tabulated between `low` and `high`."""
    columns = np.arange(low[0], high[0] + _CELL, _CELL, dtype=np.float32)
    rows = np.arange(low[1], high[1] + _CELL, _CELL, dtype=np.float32)
    x, y = np.meshgrid(columns, rows)
    nearest = np.full(x.shape, np.inf, np.float32)
    inside = np.zeros(x.shape, bool)
    for (ax, ay), (bx, by) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        ex, ey, px, py = float(bx - ax), float(by - ay), x - float(ax), y - float(ay)
        along = np.clip((px * ex + py * ey) / max(ex * ex + ey * ey, 1e-12), 0, 1)
        np.minimum(nearest, (px - ex * along) ** 2 + (py - ey * along) ** 2, out=nearest)
        if ay != by:
            inside ^= ((ay > y) != (by > y)) & (px < (y - float(ay)) * (ex / ey))
    table = np.where(inside, -1, 1).astype(np.float32) * np.sqrt(nearest)
    x0, y0 = float(low[0]), float(low[1])
    return lambda u, v: bilinear(table, (v - y0) / _CELL, (u - x0) / _CELL)


def _turned(profile: Points) -> tuple[Distance, float]:
    """A solid of revolution from its half outline (radius, height), foot to tip, and its height."""
    mirrored = [(-r, y) for r, y in reversed(profile)]
    outline = _rounded(profile + mirrored)
    top = float(outline[:, 1].max())
    table = _tabulate(outline, (0.0, -0.05), (0.5, top + 0.05))
    return lambda x, y, z: table(np.sqrt(x * x + z * z), y), top


def _twice(*points: tuple[float, float]) -> Points:
    return [point for point in points for _ in range(2)]


def _ring(radius: float, low: float, high: float) -> Points:
    """A collar with a round edge."""
    middle = (low + high) / 2
    return [
        *_twice((radius * 0.8, low)),
        (radius, low),
        (radius * 1.04, middle),
        (radius, high),
        *_twice((radius * 0.8, high)),
    ]


def _ball(radius: float, middle: float, start: float = -60, end: float = 90) -> Points:
    """An arc of a circle about the axis, by degrees of latitude."""
    angles = np.radians(np.linspace(start, end, 9))
    return [(float(radius * np.cos(a)), float(middle + radius * np.sin(a))) for a in angles]


def _foot(radius: float, style: int) -> Points:
    """From the felt up to where the stem begins, at about y = 0.26."""
    start = [(0.0, 0.0), *_twice((radius * 0.96, 0.0)), (radius, 0.01), (radius, 0.06)]
    if style == 0:
        steps = [(radius * 0.97, 0.09), *_twice((radius * 0.86, 0.1)), (radius * 0.92, 0.13), (radius * 0.88, 0.18)]
        return [*start, *steps, *_twice((radius * 0.74, 0.2)), (radius * 0.72, 0.22)]
    if style == 1:
        return [*start, (radius, 0.1), *_twice((radius * 0.93, 0.11)), (radius * 0.93, 0.16), (radius * 0.8, 0.22)]
    bulge = [(radius * 0.9, 0.09), *_twice((radius * 0.84, 0.1)), (radius * 0.95, 0.12), (radius * 0.95, 0.17)]
    return [*start, *bulge, (radius * 0.8, 0.2), *_twice((radius * 0.7, 0.205)), (radius * 0.7, 0.23)]


def _stem(foot: Points, waist: float, top: float) -> Points:
    """The concave sweep from the foot to a waist of radius `waist` below `top`."""
    wide = foot[-1][0]
    return [
        (wide * 0.8, 0.27),
        (waist + (wide - waist) * 0.25, 0.27 + (top - 0.27) * 0.3),
        (waist, top - 0.08),
        (waist, top),
    ]


# Pieces.


def _pawn(foot: Points, slim: float, rng: np.random.Generator) -> Shape:
    neck, head = rng.uniform(0.5, 0.58), rng.uniform(0.15, 0.18)
    collar = _ring(rng.uniform(0.19, 0.23) * slim, neck, neck + 0.045)
    profile = [
        *foot,
        *_stem(foot, 0.11 * slim, neck),
        *collar,
        (0.1, neck + 0.06),
        *_ball(head, neck + 0.045 + head * 0.9),
    ]
    distance, top = _turned(profile)
    return Shape(top, 0.42, distance)


def _rook(foot: Points, slim: float, rng: np.random.Generator) -> Shape:
    neck, wall = rng.uniform(0.6, 0.7), rng.uniform(0.24, 0.28)
    top = neck + rng.uniform(0.28, 0.36)
    tower = [*_twice((wall * 0.85, neck + 0.07)), (wall * 0.87, neck + 0.16), *_twice((wall, neck + 0.17), (wall, top))]
    hollow = _twice((wall * 0.68, top), (wall * 0.66, top - 0.1), (0.0, top - 0.1))
    profile = [*foot, *_stem(foot, 0.19 * slim, neck), *_ring(wall, neck, neck + 0.05), *tower, *hollow]
    solid, top = _turned(profile)
    notches, half, sill = int(rng.integers(4, 7)), rng.uniform(0.03, 0.042), top - rng.uniform(0.08, 0.1)

    def distance(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        across, along = _folded(x, z, notches)
        notch = np.maximum(np.maximum(np.abs(across) - half, sill - y), 0.05 - along)
        return np.maximum(solid(x, y, z), -notch)

    return Shape(top, 0.42, distance)


def _bishop(foot: Points, slim: float, rng: np.random.Generator) -> Shape:
    neck, belly = rng.uniform(0.72, 0.82), rng.uniform(0.165, 0.2)
    rings = [*_ring(0.2 * slim, neck, neck + 0.045), *_ring(0.15 * slim, neck + 0.05, neck + 0.08), (0.09, neck + 0.1)]
    mitre = [(belly * 0.8, neck + 0.12), (belly, neck + 0.2), (belly * 0.98, neck + 0.27), (belly * 0.6, neck + 0.4)]
    tip = neck + 0.46
    profile = [
        *foot,
        *_stem(foot, 0.1 * slim, neck),
        *rings,
        *mitre,
        (0.03, tip),
        *_ball(rng.uniform(0.035, 0.05), tip + 0.04),
    ]
    solid, top = _turned(profile)
    slope, half = np.radians(rng.uniform(35, 55)), rng.uniform(0.014, 0.022)
    across, up, middle = float(np.sin(slope)), float(np.cos(slope)), neck + 0.29

    def distance(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        slab = np.abs((y - middle) * up - x * across + 0.02) - half
        return np.maximum(solid(x, y, z), -np.maximum(slab, 0.02 - x))

    return Shape(top, 0.42, distance)


def _crowned(foot: Points, slim: float, neck: float, rim: float, rim_height: float) -> Points:
    """What king and queen share: stem, three collars and a flaring head up to its rim."""
    rings = [*_ring(0.24 * slim, neck, neck + 0.05), *_ring(0.18 * slim, neck + 0.055, neck + 0.095)]
    head = [(0.12, neck + 0.12), (0.125, neck + 0.16), ((0.12 + rim) * 0.48, rim_height - 0.14)]
    return [*foot, *_stem(foot, 0.125 * slim, neck), *rings, *head]


def _queen(foot: Points, slim: float, rng: np.random.Generator) -> Shape:
    neck, rim = rng.uniform(0.92, 1.02), rng.uniform(0.23, 0.265)
    edge = neck + rng.uniform(0.38, 0.44)
    crown = _twice((rim, edge), (rim * 0.84, edge), (rim * 0.66, edge - 0.07))
    dome = [(rim * 0.6, edge - 0.03), (rim * 0.45, edge + 0.02), (0.04, edge + 0.04)]
    ball = rng.uniform(0.05, 0.065)
    profile = [*_crowned(foot, slim, neck, rim, edge), *crown, *dome, *_ball(ball, edge + 0.04 + ball * 0.8)]
    solid, top = _turned(profile)
    points = int(rng.integers(7, 11))
    bite = float(rim * np.sin(np.pi / points) * rng.uniform(0.66, 0.8))

    def distance(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        across, along = _folded(x, z, points)
        scallop = np.sqrt(across * across + (y - edge - bite * 0.25) ** 2) - bite
        return np.maximum(solid(x, y, z), -np.maximum(scallop, rim * 0.7 - along))

    return Shape(top, 0.42, distance)


def _king(foot: Points, slim: float, rng: np.random.Generator) -> Shape:
    neck, rim = rng.uniform(0.98, 1.1), rng.uniform(0.225, 0.26)
    edge = neck + rng.uniform(0.36, 0.42)
    lid = [
        *_twice((rim, edge - 0.02)),
        (rim, edge + 0.03),
        *_twice((rim * 0.88, edge + 0.035)),
        (rim * 0.7, edge + 0.09),
    ]
    profile = [*_crowned(foot, slim, neck, rim, edge), *lid, (0.06, edge + 0.12), *_ball(0.05, edge + 0.15)]
    solid, top = _turned(profile)
    tall, arm, thick = rng.uniform(0.22, 0.28), rng.uniform(0.08, 0.11), rng.uniform(0.026, 0.034)
    flare, middle = rng.uniform(0.0, 0.25), top - 0.03 + tall * 0.58

    def distance(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        away, side, deep = y - middle, np.abs(x), np.abs(z) - thick
        post = _box(side - thick - flare * np.abs(away), np.abs(away) - tall * 0.44, deep)
        beam = _box(np.abs(away) - thick - flare * side, side - arm, deep)
        return np.minimum(solid(x, y, z), np.minimum(post, beam) * 0.95 - 0.008)

    return Shape(middle + tall * 0.46, 0.42, distance)


def _box(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    return np.maximum(np.maximum(a, b), c)


def _folded(x: np.ndarray, z: np.ndarray, times: int) -> tuple[np.ndarray, np.ndarray]:
    """The place relative to the nearest of `times` spokes around the axis: (across, along)."""
    spoke = np.float32(2 * np.pi / times)
    angle = np.arctan2(z, x)
    angle -= spoke * np.round(angle / spoke)
    radius = np.sqrt(x * x + z * z)
    return radius * np.sin(angle), radius * np.cos(angle)


# The knight: a horse's head cut from a board, rounded, on a turned foot. It looks along +x.

_HORSE: Points = [
    *[(-0.22, 0.18), (-0.26, 0.34), (-0.285, 0.5), (-0.275, 0.65), (-0.235, 0.8), (-0.165, 0.93), (-0.085, 1.02)],
    *[(-0.05, 1.05), (-0.04, 1.1), *_twice((-0.005, 1.19)), (0.035, 1.1), (0.055, 1.05)],  # ear
    *[(0.12, 1.0), (0.185, 0.915), (0.24, 0.82), (0.3, 0.745), (0.35, 0.68)],  # forehead, bridge of the nose
    *[(0.365, 0.63), (0.345, 0.585), (0.3, 0.575), *_twice((0.215, 0.615)), (0.28, 0.55), (0.29, 0.525)],  # mouth
    *[(0.265, 0.49), (0.21, 0.495), (0.15, 0.53), (0.09, 0.545), *_twice((0.02, 0.51))],  # chin, jaw, throat
    *[(0.06, 0.44), (0.135, 0.38), (0.19, 0.3), (0.2, 0.18)],  # breast
]


def _smooth_max(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    """The larger, with the edge rounded over `width` (Quilez, "smooth minimum")."""
    blend = np.maximum(width - np.abs(a - b), 0) * (1 / width)
    return np.maximum(a, b) + blend * blend * (width * 0.25)


def _smooth_min(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    return -_smooth_max(-a, -b, width)


def _knight(foot: Points, slim: float, rng: np.random.Generator) -> Shape:
    base, _ = _turned([*foot, *_twice((0.27, 0.24)), (0.25, 0.27), *_twice((0.0, 0.27))])
    lean, long = rng.uniform(-0.06, 0.08), rng.uniform(0.92, 1.1)
    points = [(x * (long if x > 0.1 else 1) + lean * (y - 0.3), y + rng.normal(0, 0.004)) for x, y in _HORSE]
    outline = _rounded(points)
    table = _tabulate(outline, (-0.42, 0.1), (0.5, 1.3))
    broad, strands, depth = rng.uniform(0.13, 0.16) * slim, rng.uniform(38, 60), rng.uniform(0.008, 0.014)

    def distance(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        side = np.abs(z)
        flat = table(x, y)
        thickness = broad - 0.16 * np.clip(x - 0.05, 0, 0.3) - 0.06 * np.clip(y - 0.6, 0, 0.6)
        head = _smooth_max(flat, side - thickness, 0.12)
        face = x - lean * (y - 0.3)
        cheek = np.sqrt((face - 0.08) ** 2 + (y - 0.655) ** 2 + (side * 1.6 - 0.1) ** 2) - 0.115
        head = _smooth_min(head, cheek * 0.7, 0.05)
        mane = np.clip(0.06 - face - 0.1 * np.abs(y - 0.8), 0, 0.06) * np.clip(flat + 0.15, 0, 0.1) * (1 / 0.006)
        head += mane * depth * (0.6 + np.sin(y * strands - face * 22))
        eye = np.sqrt((face - 0.125) ** 2 + (y - 0.87) ** 2 + (side - 0.07) ** 2)
        head = np.minimum(np.maximum(head, 0.042 - eye), eye - 0.031)
        nostril = np.sqrt((face - 0.32 * long) ** 2 + (y - 0.645) ** 2 + (side - 0.085) ** 2) - 0.026
        ears = np.maximum(side - 0.022, 1.06 - y)
        head = np.maximum(np.maximum(head, -nostril), -ears)
        return np.minimum(base(x, y, z), head * 0.8)

    return Shape(1.21, 0.46, distance)
