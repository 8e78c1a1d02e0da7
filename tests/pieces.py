"""Chess pieces to find where the app keeps its own, in seconds: the real 360 take both processors a minute or two."""

from __future__ import annotations

import numpy as np
from PIL import Image

from core import chessman, samples, storage
from core.images import encode_jpeg

SCENES = 2  # that are really drawn for each piece; the others are these, moved about


def lay_out() -> None:
    """Put Chessman's files where `core.samples.chessman` finds them; no two are equal."""
    place = storage.folder("samples") / f"chessman-{samples.CHESSMAN_VERSION}"
    rng = np.random.default_rng(0)
    for piece in chessman.PIECES:
        (place / piece).mkdir(parents=True, exist_ok=True)
        scenes = [Image.fromarray(chessman.draw(piece, index, 96)).resize((192, 192)) for index in range(SCENES)]
        for index in range(samples.CHESSMAN_PER_CLASS):
            moved = _moved(scenes[index % SCENES], rng)
            (place / piece / f"{piece}_{index:02}.jpg").write_bytes(encode_jpeg(moved, quality=80))


def _moved(scene: Image.Image, rng: np.random.Generator) -> np.ndarray:
    turned = scene.rotate(rng.uniform(-15, 15), Image.Resampling.BILINEAR)
    left, top = rng.integers(0, 32, 2)
    pixels = np.asarray(turned.crop((left, top, left + 160, top + 160)).resize((192, 192)), np.float32)
    pixels = pixels if rng.random() < 0.5 else pixels[:, ::-1]
    tint, noise = rng.uniform(0.6, 1.3, 3), rng.normal(0, 6, pixels.shape)
    return np.clip(pixels * tint + noise, 0, 255).astype(np.uint8)
