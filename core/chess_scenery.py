"""What stands around a chess piece in a photograph: the board, the table, the room, and what the room reflects.

Colours are linear light, `float32[N, 3]`. One unit is one square; the board's top is the plane y = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.chess_shapes import bilinear

EDGE = 4.6  # from the board's middle to its edge, with the rim around the 8 × 8 squares
THICKNESS = 0.28

Color = tuple[float, float, float]


class Noise:
    """Smooth noise of the plane in -1..1, periodic over `SIDE` (value noise; Perlin 1985 for the sum of octaves)."""

    SIDE = 128

    def __init__(self, rng: np.random.Generator):
        table = rng.uniform(-1, 1, (self.SIDE, self.SIDE)).astype(np.float32)
        self._table = np.pad(table, ((0, 1), (0, 1)), mode="wrap")

    def __call__(self, u: np.ndarray, v: np.ndarray, octaves: int = 1) -> np.ndarray:
        total, weight = np.zeros_like(u), 1.0
        for octave in range(octaves):
            fine = 2.03**octave
            total += (
                bilinear(self._table, np.mod(u * fine + 17.3 * octave, self.SIDE), np.mod(v * fine, self.SIDE)) * weight
            )
            weight *= 0.5
        return total


def mix(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Colours `a` and `b`, `share` (`float[N]`) of `b`."""
    share = np.asarray(share, np.float32)[:, None]
    return np.float32(a) * (1 - share) + np.float32(b) * share


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def wood(noise: Noise, along: np.ndarray, across: np.ndarray, deep: np.ndarray, strength: float) -> np.ndarray:
    """The brightness of wood, about 1: slow figure, rings and pores, drawn out `along` the trunk."""
    figure = noise(along * 0.9 + deep * 5, across * 3.1, 2)
    rings = np.sin((across * 19 + noise(along * 0.6, across * 1.7 + deep * 3) * 4) * 1.6)
    pores = noise(along * 4, across * 60 + deep * 11)
    return np.clip(1 + strength * (0.22 * figure + 0.1 * rings + 0.12 * pores), 0.3, 2)


@dataclass(frozen=True)
class Window:
    """A bright rectangle in the room, seen in `direction` (unit); half sizes are tangents of angles."""

    direction: np.ndarray
    width: float
    height: float
    color: np.ndarray

    def light(self, directions: np.ndarray, blur: float) -> np.ndarray:
        """What arrives from `directions[N, 3]`, its edges softened over `blur`."""
        right = np.cross(self.direction, (0.0, 1.0, 0.0))
        right /= np.linalg.norm(right) + 1e-6
        up = np.cross(right, self.direction)
        ahead = directions @ np.float32(self.direction)
        depth = np.maximum(ahead, 0.05)
        inside = np.where(ahead > 0.05, np.float32(1), np.float32(0))
        for axis, half in ((right, self.width), (up, self.height)):
            inside *= 1 - smoothstep(half - blur * 0.5, half + blur, np.abs(directions @ np.float32(axis)) / depth)
        spread = self.width * self.height / ((self.width + blur * 0.5) * (self.height + blur * 0.5))
        return inside[:, None] * np.float32(self.color) * np.float32(spread)


@dataclass(frozen=True)
class Room:
    """The light that comes from everywhere: floor, horizon and ceiling, and some windows."""

    floor: np.ndarray
    horizon: np.ndarray
    ceiling: np.ndarray
    windows: tuple[Window, ...]

    def reflected(self, directions: np.ndarray, blur: float) -> np.ndarray:
        """The room in a mirror: `directions[N, 3]` -> `float32[N, 3]`."""
        height = directions[:, 1]
        color = mix(self.horizon, self.ceiling, smoothstep(0.0, 0.9, height))
        color = mix(color, self.floor, 1 - smoothstep(-0.12 - blur, 0.02 + blur, height))
        for window in self.windows:
            color += window.light(directions, 0.04 + blur)
        return color

    def ambient(self, normals: np.ndarray) -> np.ndarray:
        """The light on a matt surface that faces `normals[N, 3]`."""
        color = mix(self.floor, (np.float32(self.horizon) + self.ceiling) / 2, 0.5 + 0.5 * normals[:, 1])
        for window in self.windows:
            facing = np.maximum(normals @ np.float32(window.direction) * 0.75 + 0.25, 0)
            color += (facing * window.width * window.height * 0.3)[:, None] * np.float32(window.color)
        return color


def random_room(rng: np.random.Generator, warmth: np.ndarray, floor: np.ndarray) -> Room:
    """A room lit with light of the colour `warmth` over a board and table of the mean colour `floor`."""
    level = rng.uniform(0.12, 0.45)
    tint = 1 + rng.normal(0, 0.08, 3)
    windows = []
    for _ in range(int(rng.integers(1, 4))):
        turn, high = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.9)
        direction = np.array((np.cos(turn) * np.cos(high), np.sin(high), np.sin(turn) * np.cos(high)))
        color = np.array((0.9, 0.97, 1.06)) if rng.random() < 0.5 else warmth
        windows.append(Window(direction, rng.uniform(0.12, 0.5), rng.uniform(0.2, 0.6), color * rng.uniform(1.2, 5.0)))
    horizon = level * tint * rng.uniform(0.5, 1.1)
    return Room(np.float32(floor * level * 1.2), np.float32(horizon), np.float32(level * tint * 1.3), tuple(windows))


_BOARDS: tuple[tuple[str, Color, Color, Color], ...] = (  # kind, light squares, dark squares, rim
    ("wood", (0.68, 0.47, 0.26), (0.19, 0.085, 0.04), (0.16, 0.07, 0.035)),  # maple and walnut
    ("wood", (0.75, 0.6, 0.38), (0.33, 0.16, 0.07), (0.33, 0.17, 0.08)),  # sycamore and mahogany
    ("wood", (0.6, 0.4, 0.22), (0.07, 0.045, 0.035), (0.06, 0.04, 0.03)),  # beech and ebony
    ("wood", (0.62, 0.44, 0.25), (0.36, 0.2, 0.1), (0.5, 0.32, 0.16)),  # olive, little contrast
    ("plain", (0.78, 0.76, 0.62), (0.06, 0.2, 0.1), (0.78, 0.76, 0.62)),  # green vinyl
    ("plain", (0.8, 0.78, 0.72), (0.13, 0.2, 0.36), (0.8, 0.78, 0.72)),  # blue vinyl
    ("plain", (0.75, 0.7, 0.6), (0.25, 0.13, 0.08), (0.75, 0.7, 0.6)),  # brown vinyl
    ("plain", (0.75, 0.74, 0.7), (0.035, 0.035, 0.04), (0.04, 0.04, 0.045)),  # black and white card
    ("stone", (0.72, 0.7, 0.66), (0.1, 0.11, 0.11), (0.3, 0.3, 0.29)),  # marble
    ("stone", (0.7, 0.62, 0.5), (0.2, 0.09, 0.06), (0.2, 0.09, 0.06)),  # onyx
)


def _from_line(x: np.ndarray) -> np.ndarray:
    """How far from the nearest edge of a square."""
    return np.abs(x - np.round(x))


@dataclass(frozen=True)
class Ground:
    """The board and the table under it."""

    kind: str
    light: np.ndarray
    dark: np.ndarray
    rim: np.ndarray
    table: np.ndarray
    table_kind: str
    table_size: float
    round_table: bool
    gloss: float
    tints: np.ndarray  # [10, 10], one for each square
    noise: Noise

    @property
    def mean(self) -> np.ndarray:
        return (self.light + self.dark) / 2

    def board(self, x: np.ndarray, z: np.ndarray, blur: np.ndarray) -> np.ndarray:
        """The board's own colour at (x, z), its lines softened over `blur`: `float32[N, 3]`."""
        column = np.clip(np.floor(x) + 5, 0, 9).astype(np.int32)
        row = np.clip(np.floor(z) + 5, 0, 9).astype(np.int32)
        tint = self.tints[row, column]
        sign = 1 - 2 * ((row + column) % 2)
        clear = np.minimum(_from_line(x) / blur, 1) * np.minimum(_from_line(z) / blur, 1)
        color = mix(self.light, self.dark, 0.5 - 0.5 * sign * clear)
        away = np.maximum(np.abs(x), np.abs(z))
        color = mix(color, self.rim, np.clip((away - 4) / blur + 0.5, 0, 1))
        line = np.clip((0.018 - np.abs(away - 4.1)) / blur + 0.5, 0, 1)
        color = mix(color, self.light, line)
        return color * (self._figure(x, z, tint) * (1 + 0.14 * tint))[:, None]

    def on_table(self, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Whether the table is under (x, z)."""
        if self.round_table:
            return np.hypot(x, z) < self.table_size
        return (np.abs(x) < self.table_size * 1.4) & (np.abs(z) < self.table_size * 0.9)

    def _figure(self, x: np.ndarray, z: np.ndarray, tint: np.ndarray) -> np.ndarray:
        if self.kind == "wood":
            return wood(self.noise, x + tint * 40, z + tint * 70, tint, 1.0)
        if self.kind == "stone":
            bent = self.noise(x * 1.5, z * 1.5, 3)
            veins = 1 - np.abs(self.noise(x * 1.1 + bent * 1.5 + tint * 30, z * 1.1 + bent))
            return 0.8 + 0.35 * veins**6 + 0.08 * bent
        return 1 + 0.03 * self.noise(x * 40, z * 40) + 0.03 * self.noise(x * 2, z * 2)

    def below(self, x: np.ndarray, z: np.ndarray) -> np.ndarray:
        """The table's colour."""
        if self.table_kind == "wood":
            plank = np.floor(z / 2.3)
            shade = wood(self.noise, x * 0.5 + plank * 9, z * 0.6, plank * 0.37, 1.2)
            shade = shade * (1 - 0.6 * (np.abs(z / 2.3 - np.round(z / 2.3)) < 0.012))
        elif self.table_kind == "cloth":
            shade = 1 + 0.12 * np.sin(x * 70) * np.sin(z * 70) + 0.14 * self.noise(x * 0.7, z * 0.7, 3)
        else:
            shade = 1 + 0.08 * self.noise(x * 0.5, z * 0.5, 2) + 0.05 * self.noise(x * 30, z * 30)
        return self.table * shade[:, None].astype(np.float32)


def random_ground(rng: np.random.Generator) -> Ground:
    kind, light, dark, rim = _BOARDS[int(rng.integers(len(_BOARDS)))]
    vary = 1 + rng.normal(0, 0.06, 3)
    tables = (
        *((0.3, 0.16, 0.08), (0.5, 0.36, 0.22), (0.08, 0.05, 0.035), (0.2, 0.1, 0.05), (0.42, 0.28, 0.16)),
        *((0.4, 0.38, 0.35), (0.05, 0.08, 0.06), (0.22, 0.05, 0.045), (0.1, 0.12, 0.17), (0.6, 0.58, 0.54)),
    )
    table = np.array(tables[int(rng.integers(len(tables)))]) * rng.uniform(0.7, 1.3)
    gloss = {"wood": rng.uniform(0.1, 0.9), "stone": rng.uniform(0.5, 1.0), "plain": rng.uniform(0.0, 0.3)}[kind]
    tints = rng.normal(0, 1, (10, 10)).clip(-2, 2) * (0.3 if kind == "plain" else 1)
    colors = [np.float32(np.clip(np.array(color) * vary, 0.02, 0.85)) for color in (light, dark, rim)]
    table_kind = ("wood", "cloth", "plain")[int(rng.integers(3))]
    return Ground(
        kind,
        *colors,
        np.float32(table),
        table_kind,
        rng.uniform(6.5, 14),
        rng.random() < 0.4,
        gloss,
        tints.astype(np.float32),
        Noise(rng),
    )


def backdrop(rng: np.random.Generator, size: int, room: Room, warmth: np.ndarray) -> np.ndarray:
    """The far end of the room, sharp, before the lens blurs it: `float32[size, size, 3]`."""
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) / size
    base = room.horizon * rng.uniform(0.6, 1.8)
    picture = (
        base
        * (1.15 - 0.5 * rows[..., None] * rng.uniform(0, 1))
        * (1 + rng.normal(0, 0.3) * (columns[..., None] - 0.5))
    )
    kind = int(rng.integers(5))
    if kind == 0:
        _shelves(rng, picture)
    elif kind == 1:
        _blinds(rng, picture, warmth)
    elif kind == 2:
        _foliage(rng, picture)
    if kind != 4:
        _furniture(rng, picture, int(rng.integers(1, 6)))
    for _ in range(int(rng.integers(0, 12)) if rng.random() < 0.5 else 0):
        x, y, r = rng.uniform(0, 1), rng.uniform(0, 0.7), rng.uniform(0.008, 0.02)
        lamp = (columns - x) ** 2 + (rows - y) ** 2 < r * r
        picture[lamp] = warmth * rng.uniform(2, 12)
    return picture.astype(np.float32)


def _shelves(rng: np.random.Generator, picture: np.ndarray) -> None:
    """Books in rows."""
    size = len(picture)
    top = 0
    while top < size:
        tall = int(size * rng.uniform(0.16, 0.28))
        left = 0
        while left < size:
            wide = int(size * rng.uniform(0.015, 0.06)) + 1
            low = top + int(tall * rng.uniform(0.05, 0.35))
            picture[low : top + tall, left : left + wide] = rng.uniform(0.02, 0.4) * rng.uniform(0.3, 1.2, 3)
            left += wide
        picture[top + tall : top + tall + max(size // 50, 1)] = (0.25, 0.15, 0.08)
        top += tall + max(size // 50, 1)


def _blinds(rng: np.random.Generator, picture: np.ndarray, warmth: np.ndarray) -> None:
    """A bright window with a frame."""
    size = len(picture)
    left, wide = int(size * rng.uniform(-0.1, 0.7)), int(size * rng.uniform(0.2, 0.5))
    low = int(size * rng.uniform(0.4, 0.9))
    window = picture[:low, max(left, 0) : left + wide]
    window[:] = np.float32((0.85, 0.95, 1.1)) * np.float32(rng.uniform(1.0, 3.0))
    window[:, :: max(size // 5, 1)] = warmth * 0.1
    if rng.random() < 0.5:
        window[(np.arange(len(window)) % max(size // 24, 2)) < size // 60] *= 0.3


def _foliage(rng: np.random.Generator, picture: np.ndarray) -> None:
    """A garden: green blots with sky between."""
    size = len(picture)
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) / size
    noise = Noise(rng)
    leaves = noise(rows * 9, columns * 9, 4)
    green = np.float32((0.12, 0.3, 0.06)) * (1 + 0.6 * noise(rows * 20 + 50, columns * 20, 2))[..., None]
    sky = np.float32((0.7, 0.85, 1.0)) * np.float32(rng.uniform(0.6, 1.6))
    share = smoothstep(0.1, 0.5, leaves - rows + 0.35)[..., None]
    picture[:] = green * (1 - share) + sky * share


def _furniture(rng: np.random.Generator, picture: np.ndarray, count: int) -> None:
    """Things with straight edges: door, chair, picture, person's shirt."""
    size = len(picture)
    for _ in range(count):
        left, top = (int(size * value) for value in rng.uniform((-0.2, 0.0), (0.95, 0.8)))
        wide, tall = (int(size * value) for value in rng.uniform((0.05, 0.1), (0.4, 0.7)))
        color = rng.uniform(0.03, 0.5) * rng.uniform(0.4, 1.2, 3)
        picture[max(top, 0) : top + tall, max(left, 0) : left + wide] = color
