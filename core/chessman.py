"""Photographs of chess pieces that were never taken: six classes to train on, with nothing downloaded.

`draw` sets up a scene from the class and the index alone (a piece of one of several sets, its material, a board, a
room, a light, a camera), traces it with NumPy, and sends the picture through a lens and a sensor. Pieces are solids
traced as signed distances (`core.chess_shapes`) and shaded with one soft key light, the room's ambient light with
occlusion, and the room's reflection by Fresnel's law in Schlick's approximation (1994).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from PIL import Image

from core.chess_scenery import (
    EDGE,
    THICKNESS,
    Ground,
    Noise,
    Room,
    backdrop,
    mix,
    random_ground,
    random_room,
    wood,
)
from core.chess_shapes import DESIGNS, PIECES, Shape, bilinear, shape

__all__ = ["PIECES", "draw"]

_OVERSAMPLING = 4 / 3  # traced pixels for each pixel of the picture, along each side
_STEPS = 40  # of sphere tracing at most


def draw(piece: str, index: int, size: int = 192) -> np.ndarray:
    """Picture number `index` of `piece` (one of `PIECES`): `uint8[size, size, 3]`, the same every time."""
    if piece not in PIECES:
        raise ValueError(f"`piece` must be one of {', '.join(PIECES)}, got {piece!r}.")
    scene = _random_scene(piece, np.random.default_rng((PIECES.index(piece), index, 2)))
    light = _expose(scene, round(size * _OVERSAMPLING))
    return _develop(light, size, scene.rng)


@dataclass(frozen=True)
class Material:
    """`grain` is the strength of wood's figure, `polish` the sharpness of reflections (0 matt, 1 mirror)."""

    color: np.ndarray
    grain: float
    polish: float
    metal: bool = False
    veins: float = 0.0


@dataclass(frozen=True)
class Standing:
    """A piece on the board: where, turned by `turn` radians about its axis, `scale` times its size."""

    shape: Shape
    material: Material
    x: float
    z: float
    turn: float
    scale: float

    def inwards(self, vectors: np.ndarray) -> np.ndarray:
        """Directions `[N, 3]` of the room as the piece sees them."""
        return _turned(vectors, self.turn)

    def outwards(self, vectors: np.ndarray) -> np.ndarray:
        return _turned(vectors, -self.turn)

    def beside(self, points: np.ndarray) -> np.ndarray:
        """Points `[N, 3]` of the room relative to the piece and in its scale, but not turned with it."""
        return (points - np.float32((self.x, 0, self.z))) / np.float32(self.scale)


def _turned(vectors: np.ndarray, turn: float) -> np.ndarray:
    x, y, z = vectors.T
    c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    return np.stack([c * x + s * z, y, c * z - s * x], axis=1)


@dataclass(frozen=True)
class Camera:
    """A pinhole at `eye`; `axes` are right, up, ahead; `focal` in half heights of the picture; `blur` the aperture."""

    eye: np.ndarray
    axes: np.ndarray
    focal: float
    center: tuple[float, float]
    focus: float
    blur: float

    def rays(self, side: int) -> np.ndarray:
        """Unit directions through the middles of `side`² pixels: `float32[side², 3]`."""
        steps = ((np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1) / np.float32(self.focal)
        across, down = np.meshgrid(steps - self.center[0] / self.focal, steps - self.center[1] / self.focal)
        rays = np.stack([across.ravel(), -down.ravel(), np.ones(side * side, np.float32)], axis=1) @ np.float32(
            self.axes
        )
        return (rays / np.linalg.norm(rays, axis=1, keepdims=True)).astype(np.float32)

    def screen(self, point: np.ndarray) -> tuple[float, float, float]:
        """Where a point of the room falls: across and down in -1..1, and its depth."""
        right, up, ahead = self.axes @ (point - self.eye)
        return self.focal * right / ahead + self.center[0], -self.focal * up / ahead + self.center[1], float(ahead)

    def circle(self, depth: np.ndarray | float) -> np.ndarray | float:
        """The radius of the blur at `depth`, as a share of the picture's side."""
        return self.blur * abs(1 - self.focus / np.maximum(depth, 0.3))


@dataclass(frozen=True)
class Scene:
    main: Standing
    others: tuple[Standing, ...]
    ground: Ground
    room: Room
    sun: np.ndarray  # the direction of the key light
    sunlight: np.ndarray  # its colour
    softness: float
    warmth: np.ndarray
    camera: Camera
    rng: np.random.Generator


# Setting the scene.

_WOODS = (
    (0.66, 0.42, 0.19),
    (0.55, 0.3, 0.12),
    (0.74, 0.54, 0.3),
    (0.24, 0.08, 0.035),
    (0.12, 0.045, 0.025),
    (0.035, 0.026, 0.022),
)
_PLASTICS = (
    (0.75, 0.7, 0.56),
    (0.82, 0.8, 0.75),
    (0.02, 0.02, 0.022),
    (0.03, 0.028, 0.026),
    (0.4, 0.03, 0.025),
    (0.62, 0.5, 0.34),
)
_METALS = ((0.9, 0.68, 0.34), (0.62, 0.6, 0.57), (0.75, 0.45, 0.3), (0.28, 0.28, 0.3))


def _random_material(rng: np.random.Generator) -> Material:
    kind = rng.choice(4, p=(0.5, 0.3, 0.08, 0.12))
    colors = (_WOODS, _PLASTICS, _METALS, ((0.75, 0.72, 0.68), (0.08, 0.085, 0.08), (0.3, 0.12, 0.08)))[kind]
    color = np.clip(
        np.array(colors[int(rng.integers(len(colors)))]) * (1 + rng.normal(0, 0.08, 3)) * rng.uniform(0.8, 1.15),
        0.015,
        0.9,
    )
    polish = (rng.uniform(0.25, 0.9), rng.uniform(0.3, 0.95), rng.uniform(0.6, 0.9), rng.uniform(0.6, 0.95))[kind]
    grain = rng.uniform(0.5, 1.3) if kind == 0 else 0.0
    return Material(
        np.float32(color), grain, polish, metal=kind == 2, veins=rng.uniform(0.2, 0.7) if kind == 3 else 0.0
    )


def _random_camera(rng: np.random.Generator, target: np.ndarray, height: float) -> Camera:
    """Looks at `target` so that a piece of `height` fills between two fifths and nine tenths of the picture."""
    focal = rng.uniform(1.8, 4.5)
    distance = focal * height / (2 * rng.uniform(0.4, 0.85)) + 0.3
    rise = np.radians(np.clip(rng.gamma(3.0, 8.0) + 4, 4, 62))
    turn = rng.uniform(0, 2 * np.pi)
    back = np.array((np.cos(turn) * np.cos(rise), np.sin(rise), np.sin(turn) * np.cos(rise)))
    roll = np.radians(rng.normal(0, 3))
    right = np.cross((0.0, 1.0, 0.0), back)
    right /= np.linalg.norm(right)
    up = np.cross(back, right)
    right, up = right * np.cos(roll) + up * np.sin(roll), up * np.cos(roll) - right * np.sin(roll)
    center = tuple(float(value) for value in rng.normal(0, (0.14, 0.08)).clip(-0.3, 0.3))
    axes = np.stack([right, up, -back])
    return Camera(target + back * distance, axes, focal, center, distance, float(rng.uniform(0.01, 0.06)))


def _random_scene(piece: str, rng: np.random.Generator) -> Scene:
    design = int(rng.integers(DESIGNS))
    form = shape(piece, design)
    x, z = (rng.integers(-4, 4, 2) + 0.5 + rng.normal(0, 0.06, 2)).tolist()
    main = Standing(form, _random_material(rng), x, z, rng.uniform(0, 2 * np.pi), rng.uniform(0.9, 1.1))
    camera = _random_camera(rng, np.array((x, form.height * main.scale * rng.uniform(0.42, 0.55), z)), form.height)
    kelvin = rng.uniform(-1, 1)  # lamp to overcast sky
    warmth = np.array((1 + 0.18 * kelvin, 1.0, 1 - 0.28 * kelvin))
    ground = random_ground(rng)
    turn, high = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(28, 75))
    sun = np.float32((np.cos(turn) * np.cos(high), np.sin(high), np.sin(turn) * np.cos(high)))
    others = _random_others(rng, main, camera, design)
    room = random_room(rng, warmth, ground.mean)
    sunlight = np.float32(warmth * np.exp(rng.uniform(-1.2, 1.0)))
    return Scene(main, others, ground, room, sun, sunlight, float(np.exp(rng.uniform(1.0, 3.3))), warmth, camera, rng)


def _random_others(rng: np.random.Generator, main: Standing, camera: Camera, design: int) -> tuple[Standing, ...]:
    """Other pieces of the set, on squares where they do not stand before the main one; farthest first."""
    wanted = int(rng.choice(7, p=(0.35, 0.12, 0.13, 0.12, 0.1, 0.1, 0.08)))
    materials = (main.material, _random_material(rng))
    found: list[tuple[float, Standing]] = []
    for _ in range(30):
        x, z = (rng.integers(-4, 4, 2) + 0.5 + rng.normal(0, 0.06, 2)).tolist()
        other = shape(PIECES[int(rng.integers(len(PIECES)))], design)
        standing = Standing(other, materials[int(rng.integers(2))], x, z, rng.uniform(0, 2 * np.pi), main.scale)
        free = all(np.hypot(x - o.x, z - o.z) > 0.8 for _, o in found) and np.hypot(x - main.x, z - main.z) > 0.8
        across, down, depth = camera.screen(np.array((x, other.height / 2, z)))
        before = depth < camera.focus + 0.3
        beside = abs(across - camera.center[0]) > 1.0 * camera.focal / max(depth, 1)
        if (
            free
            and depth > 1
            and abs(across) < 1.2
            and abs(down) < 1.4
            and (beside or not before)
            and len(found) < wanted
        ):
            found.append((depth, standing))
    return tuple(standing for _, standing in sorted(found, key=lambda pair: -pair[0]))


# Tracing.


def _column(standing: Standing, eyes: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which rays (beside the piece) meet its bounding cylinder, and where they enter and leave it."""
    radius, height = standing.shape.radius, standing.shape.height + 0.01
    a = np.maximum(rays[:, 0] ** 2 + rays[:, 2] ** 2, 1e-8)
    b = eyes[:, 0] * rays[:, 0] + eyes[:, 2] * rays[:, 2]
    root = b * b - a * (eyes[:, 0] ** 2 + eyes[:, 2] ** 2 - radius * radius)
    width = np.sqrt(np.maximum(root, 0))
    rise = np.where(np.abs(rays[:, 1]) < 1e-6, np.float32(1e-6), rays[:, 1])
    low, high = -eyes[:, 1] / rise, (height - eyes[:, 1]) / rise
    near = np.maximum(np.maximum((-b - width) / a, np.minimum(low, high)), 0)
    far = np.minimum((-b + width) / a, np.maximum(low, high))
    met = np.flatnonzero((root > 0) & (far > near))
    return met, near[met].astype(np.float32), far[met].astype(np.float32)


def _march(
    distance, eyes: np.ndarray, rays: np.ndarray, near: np.ndarray, far: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sphere tracing: which rays hit, and how far along."""
    along, hit = near.copy(), np.zeros(len(near), bool)
    alive, t, end = np.arange(len(near)), near, far
    ways = [np.ascontiguousarray(axis) for axis in (*eyes.T, *rays.T)]
    for step in range(_STEPS):
        ex, ey, ez, rx, ry, rz = ways
        d = distance(ex + rx * t, ey + ry * t, ez + rz * t)
        t = t + d * 0.95
        close = d < 0.0015
        close &= t < end + 0.01
        over = close | (t > end)
        if np.count_nonzero(over) * 6 < len(over) and step < _STEPS - 1:
            continue  # a ray that is over stays where it is: its distance is next to nothing, or nobody asks for it
        along[alive], hit[alive] = t, close
        going = ~over
        alive, t, end = alive[going], t[going], end[going]
        ways = [values[going] for values in ways]
        if not len(alive):
            break
    return hit, along


def _normals(form: Shape, points: np.ndarray) -> np.ndarray:
    """Gradients from four corners of a tetrahedron."""
    normals = np.zeros_like(points)
    for corner in ((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1)):
        moved = points + np.float32(corner) * np.float32(0.005)
        normals += form.distance(*np.ascontiguousarray(moved.T))[:, None] * np.float32(corner)
    return normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-8)


def _lit(form: Shape, points: np.ndarray, sun: np.ndarray, softness: float) -> np.ndarray:
    """How much of the key light reaches `points` past `form`, 0 to 1, with a penumbra (Quilez, "soft shadows")."""
    free = np.ones(len(points), np.float32)
    t = 0.02
    px, py, pz = np.ascontiguousarray(points.T)
    for _ in range(22):
        d = form.distance(px + sun[0] * t, py + sun[1] * t, pz + sun[2] * t)
        free = np.minimum(free, 0.5 + 0.5 * softness * d / t)
        t += 0.03 + t * 0.1
        if t * sun[1] > form.height:
            break
    free = np.clip(free, 0, 1)
    return free * free * (3 - 2 * free)


def _open(form: Shape, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Ambient occlusion from the distances met along the normal; the board counts as a surface too."""
    shut = np.zeros(len(points), np.float32)
    for reach, weight in ((0.03, 1.0), (0.08, 0.8), (0.18, 0.6), (0.35, 0.4)):
        moved = points + normals * np.float32(reach)
        d = np.minimum(form.distance(*np.ascontiguousarray(moved.T)), np.maximum(moved[:, 1], 0))
        shut += np.maximum(reach - d, 0) * (weight / reach * 0.42)
    return np.clip(1 - shut, 0.06, 1)


def _own_color(material: Material, points: np.ndarray, noise: Noise) -> np.ndarray:
    x, y, z = points.T
    shade = 1 + 0.03 * noise(x * 25 + z * 17, y * 25)
    if material.grain:
        shade = shade * wood(noise, y * 1.6, x * 2.2 + 3, z * 0.9, material.grain)
    if material.veins:
        bent = noise(x * 5 + z * 3, y * 5, 3)
        shade = (
            shade + material.veins * (1 - np.abs(noise(x * 4 + bent, y * 4 + z * 3))) ** 8 * 2 - material.veins * 0.2
        )
    return material.color * np.clip(shade, 0.3, 2.5)[:, None]


def _shade(scene: Scene, standing: Standing, points: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """The light that leaves `points[N, 3]` of a piece (in its own frame) against `rays[N, 3]`: `float32[N, 3]`."""
    form, material = standing.shape, standing.material
    normals = _normals(form, points)
    sun = standing.inwards(scene.sun[None])[0]
    facing = normals @ sun
    lit = np.zeros(len(points), np.float32)
    turned = np.flatnonzero(facing > 0)
    lit[turned] = _lit(form, points[turned] + normals[turned] * np.float32(0.01), sun, scene.softness)
    openness = _open(form, points, normals)
    outward = standing.outwards(normals)
    color = _own_color(material, points, scene.ground.noise)
    wrapped = np.clip(facing * 0.92 + 0.08, 0, 1) * lit
    diffuse = color * (scene.room.ambient(outward) * openness[:, None] + wrapped[:, None] * scene.sunlight)

    cosine = np.clip(-(normals * rays).sum(axis=1), 0, 1)
    mirrored = rays + 2 * cosine[:, None] * normals
    rough = 1 - material.polish
    reflected = scene.room.reflected(standing.outwards(mirrored), 0.02 + 0.8 * rough) * openness[:, None]
    sharp = 12 * 60 ** (material.polish * 1.2)
    glint = np.clip(mirrored @ sun, 0, 1) ** sharp * lit * (sharp + 8) / 60
    reflected += np.minimum(glint, 14)[:, None] * scene.sunlight
    grazing = (1 - cosine) ** 5
    if material.metal:
        return reflected * 1.4 * mix(color, np.ones(3), grazing) + diffuse * 0.12
    fresnel = (0.045 + (0.9 - 0.6 * rough) * grazing) * (1 - 0.55 * rough)
    return diffuse * (1 - fresnel)[:, None] + reflected * fresnel[:, None]


def _seen(scene: Scene, standing: Standing, eyes: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of the rays see the piece, and its light there."""
    eyes = standing.beside(eyes)
    met, near, far = _column(standing, eyes, rays)
    eyes, rays = standing.inwards(eyes[met]), standing.inwards(rays[met])
    hit, along = _march(standing.shape.distance, eyes, rays, near, far)
    points, rays = eyes[hit] + rays[hit] * along[hit, None], rays[hit]
    return met[hit], _shade(scene, standing, points, rays)


# The board's shadows.


def _contact(scene: Scene, standing: Standing, x: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How much key light and how much ambient light the piece leaves to the board at (x, z): two `float32[N]`."""
    throw = standing.scale * standing.shape.height / scene.sun[1] * scene.sun[[0, 2]]
    middle = np.array((standing.x, standing.z)) + throw * 0.4
    half, side = float(np.hypot(*throw)) * 0.6 + 0.7, 72
    steps = np.linspace(-half, half, side, dtype=np.float32)
    grid_x, grid_z = np.meshgrid(steps + middle[0], steps + middle[1])
    plane = np.stack([grid_x.ravel(), np.zeros(side * side), grid_z.ravel()], axis=1).astype(np.float32)
    points = standing.inwards(standing.beside(plane))
    form = standing.shape
    lit = _lit(form, points, standing.inwards(scene.sun[None])[0], scene.softness)
    ambient = np.ones_like(lit)
    for reach in (0.06, 0.15, 0.35, 0.6):
        d = form.distance(points[:, 0], points[:, 1] + reach, points[:, 2])
        ambient -= np.clip(1 - d / reach, 0, 1) * 0.19
    row, column = (
        (values - start + half) / (2 * half) * (side - 1) for values, start in ((z, middle[1]), (x, middle[0]))
    )
    tables = lit.reshape(side, side), ambient.reshape(side, side)
    inside = np.flatnonzero((row >= 0) & (row <= side - 1) & (column >= 0) & (column <= side - 1))
    results = []
    for table in tables:
        values = np.ones(len(x), np.float32)
        values[inside] = bilinear(table, row[inside], column[inside])
        results.append(values)
    return results[0], results[1]


def _surroundings(scene: Scene, rays: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Board, table and room without the pieces, in focus everywhere: light `[side², 3]` and depth `[side²]`."""
    eye = np.float32(scene.camera.eye)
    light = _resized(backdrop(scene.rng, side // 2, scene.room, scene.warmth), side).reshape(-1, 3)
    depth = np.full(len(rays), 60, np.float32)
    falling = np.minimum(rays[:, 1], -1e-4)
    top = -eye[1] / falling
    x, z = eye[0] + rays[:, 0] * top, eye[2] + rays[:, 2] * top
    on_board = (np.maximum(np.abs(x), np.abs(z)) < EDGE) & (rays[:, 1] < -1e-3)
    low = (-THICKNESS - eye[1]) / falling
    low_x, low_z = eye[0] + rays[:, 0] * low, eye[2] + rays[:, 2] * low
    on_table = ~on_board & (rays[:, 1] < -1e-3) & scene.ground.on_table(low_x, low_z)

    at = np.flatnonzero(on_board)
    light[at] = _board_light(scene, x[at], z[at], rays[at], top[at] / (scene.camera.focal * side))
    depth[at] = top[at]
    at = np.flatnonzero(on_table)
    away = np.maximum(np.maximum(np.abs(low_x[at]), np.abs(low_z[at])) - EDGE, 0)
    shelter = 1 - 0.75 * np.exp(-away * 3)
    up = np.float32([[0, 1, 0]])
    arriving = scene.room.ambient(up) + scene.sunlight * scene.sun[1] * 0.9
    light[at] = scene.ground.below(low_x[at], low_z[at]) * arriving * shelter[:, None]
    depth[at] = low[at]
    return light, depth


def _board_light(scene: Scene, x: np.ndarray, z: np.ndarray, rays: np.ndarray, pixel: np.ndarray) -> np.ndarray:
    """The light from the board at (x, z) against `rays`; `pixel` is half the width of a pixel there."""
    up = np.float32([[0, 1, 0]])
    lit, ambient = np.ones_like(x), np.ones_like(x)
    for standing in (scene.main, *scene.others):
        sun, sky = _contact(scene, standing, x, z)
        lit, ambient = np.minimum(lit, sun), ambient * sky
    own = scene.ground.board(x, z, pixel / np.sqrt(np.maximum(-rays[:, 1], 0.05)))
    diffuse = own * (scene.room.ambient(up) * ambient[:, None] + scene.sunlight * (scene.sun[1] * lit)[:, None])
    mirrored = rays * np.float32((1, -1, 1))
    fresnel = (0.04 + 0.9 * (1 - mirrored[:, 1]) ** 5) * scene.ground.gloss
    reflected = scene.room.reflected(mirrored, 0.1 + 0.7 * (1 - scene.ground.gloss)) * ambient[:, None]
    eyes = np.stack([x, np.full_like(x, 1e-3), z], axis=1)
    if scene.ground.gloss > 0.35:
        for standing in (*scene.others, scene.main):
            met, color = _seen(scene, standing, eyes, mirrored)
            reflected[met] = color
    return diffuse * (1 - fresnel)[:, None] + reflected * fresnel[:, None]


# Lens and sensor.


def _blurred(picture: np.ndarray, radius: float) -> np.ndarray:
    """`picture[H, H, C]` through a round aperture that spreads each point over a disc of `radius` pixels.

    Wide discs are drawn on a smaller picture, where a disc of under three pixels' radius is enough.
    """
    side = len(picture)
    small = max(round(side * min(1.0, 2.7 / radius)), 8)
    radius *= small / side
    shrunk = _resized(picture, small) if small < side else picture
    reach = int(np.ceil(radius + 0.5))
    padded = np.pad(shrunk, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    total, weights = np.zeros_like(shrunk), 0.0
    for down in range(-reach, reach + 1):
        for across in range(-reach, reach + 1):
            weight = min(max(radius + 0.5 - float(np.hypot(down, across)), 0.0), 1.0)
            if weight:
                total += padded[reach + down :, reach + across :][:small, :small] * np.float32(weight)
                weights += weight
    total /= np.float32(weights)
    return _resized(total, side) if small < side else total


def _out_of_focus(light: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Blurs each pixel by its own `radius[H, W]`, between ready blurs of doubling size."""
    sizes = (0.0, 1.7, 4.0, 8.0, 16.0)
    result = before = light
    for low, high in itertools.pairwise(sizes):
        if radius.max() <= low:
            break
        after = _blurred(light, high)
        share = np.clip((radius - low) / (high - low), 0, 1)[..., None]
        result = np.where(share > 0, before + (after - before) * share, result)
        before = after
    return result


def _piece_layer(scene: Scene, standing: Standing, side: int) -> np.ndarray:
    """A piece alone: `float32[side, side, 4]`, light times coverage, and coverage."""
    rays = scene.camera.rays(side)
    eyes = np.broadcast_to(np.float32(scene.camera.eye), rays.shape)
    met, color = _seen(scene, standing, eyes, rays)
    layer = np.zeros((side * side, 4), np.float32)
    layer[met, :3] = color
    layer[met, 3] = 1
    return layer.reshape(side, side, 4)


def _resized(layer: np.ndarray, side: int) -> np.ndarray:
    """Bilinear, channel by channel, in floating point."""
    bands = [
        Image.fromarray(layer[..., band]).resize((side, side), Image.Resampling.BILINEAR)
        for band in range(layer.shape[2])
    ]
    return np.stack([np.asarray(band) for band in bands], axis=2)


def _expose(scene: Scene, side: int) -> np.ndarray:
    """The light on the sensor: `float32[side, side, 3]`."""
    camera = scene.camera
    light, depth = _surroundings(scene, camera.rays(side), side)
    light = _out_of_focus(light.reshape(side, side, 3), camera.circle(depth).reshape(side, side) * side)
    layers = []
    for standing in scene.others:
        far = camera.screen(np.array((standing.x, standing.shape.height / 2, standing.z)))[2]
        radius = float(camera.circle(far)) * side
        layer = _resized(_piece_layer(scene, standing, side // 2), side)
        layers.append((far, _blurred(layer, max(radius, 1.5))))
    layers.append((camera.focus, _piece_layer(scene, scene.main, side)))
    for _, layer in sorted(layers, key=lambda pair: -pair[0]):
        light = light * (1 - layer[..., 3:]) + layer[..., :3]
    return light


def _develop(light: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """From light on the sensor to a picture: vignette, exposure, white balance, film curve, sharpness, noise."""
    side = len(light)
    steps = np.linspace(-1, 1, side, dtype=np.float32)
    corner = (steps[:, None] ** 2 + steps[None, :] ** 2) / 2
    light = light * (1 - rng.uniform(0.0, 0.45) * corner)[..., None]
    light = _resized(np.minimum(light + _blurred(np.maximum(light - 1.2, 0), side * 0.03) * 0.25, 30), size)
    middle = light[size // 6 : -size // 6, size // 6 : -size // 6].mean(axis=2)
    target = np.exp(rng.uniform(-2.1, -1.15))
    light *= target / (0.5 * np.median(middle) + 0.5 * middle.mean() + 0.02)
    light *= np.float32(1 + rng.normal(0, 0.035, 3))
    soft = rng.uniform(0.3, 0.85)
    light = light * (1 - soft) + _blurred(light, 1.0) * soft
    noise = rng.normal(0, 1, light.shape).astype(np.float32)
    noise = noise * 0.6 + _blurred(noise, 1) * 0.9
    light += noise * np.sqrt(np.maximum(light, 0) + 0.01) * np.float32(rng.gamma(2.0, 0.006))
    light = np.maximum(light, 0)
    curve = light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14)  # Narkowicz 2015, after ACES
    tone = np.clip(curve, 0, 1) ** np.float32(1 / 2.2)
    grey = tone.mean(axis=2, keepdims=True)
    tone = grey + (tone - grey) * np.float32(rng.uniform(0.8, 1.1))
    return (np.clip(tone, 0, 1) * 255 + 0.5).astype(np.uint8)
