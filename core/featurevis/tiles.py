"""From rendered images to what a person sees: contrast, border, and a word on a filter that never fires."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core.backbones.backbone import Backbone
from core.featurevis.fitting import at_tile
from core.featurevis.methods import Method
from core.featurevis.rescue import never_fires

_CROP = 25  # pixels a side, where the image's border shows
_SMALLEST_WITH_FULL_CROP = 100
_STANDSTILL = 1e-3  # relative change of a score that is no change


def shown(images: np.ndarray, method: Method) -> np.ndarray:
    """Images of `method`, `float32[N, H, W, 3]`, as a person sees them, `uint8[N, h, w, 3]`.

    As they are where the method keeps them in [0, 1], else by `deprocess`.
    """
    if method.preprocess:
        return (np.clip(np.nan_to_num(images, nan=0.5), 0, 1) * 255 + 0.5).astype(np.uint8)
    return deprocess(images)


def deprocess(images: np.ndarray) -> np.ndarray:
    """Rendered images, `float32[N, H, W, 3]` -> `uint8[N, h, w, 3]`, each with its own contrast, without the border.

    Mean 128, standard deviation 64, clipped; 25 pixels a side are cut off, an eighth of images smaller than 100 pixels.
    Source: Chollet, *Deep Learning with Python*, 2nd ed., section 9.4.2.
    """
    return np.stack([_deprocess_one(image) for image in images])


def _deprocess_one(image: np.ndarray) -> np.ndarray:
    image = np.nan_to_num(image, posinf=0.0, neginf=0.0)
    image = image - image.mean()
    spread = image.std()
    image = np.clip(image / (spread if spread > 0 else 1) * 64 + 128, 0, 255).astype(np.uint8)
    crop = _crop(len(image))
    return image[crop:-crop, crop:-crop]


def _crop(size: int) -> int:
    return _CROP if size >= _SMALLEST_WITH_FULL_CROP else size // 8


def silent_places(
    backbone: Backbone,
    layer: str,
    method: Method,
    targets: tuple[int, ...],
    images: np.ndarray,
    scores: np.ndarray,
    first_scores: np.ndarray,
) -> list[int]:
    """The places of the targets that answer to nothing; looked at where a score is not above 0, or has stood still."""
    moved = np.abs(scores - first_scores) > _STANDSTILL * np.abs(first_scores)
    doubtful = np.flatnonzero(~((scores > 0) & moved)).tolist()
    if not doubtful:
        return []
    images = images[doubtful]
    if method.preprocess:
        images = backbone.preprocessing(images * 255)
    model = at_tile(backbone, layer, images.shape[1])
    dead = never_fires(model, [targets[place] for place in doubtful], images)
    return [place for place, is_dead in zip(doubtful, dead, strict=True) if is_dead]


def mark(tiles: np.ndarray, places: list[int]) -> None:
    """Write on these tiles, in place, that their filters never fire."""
    side = tiles.shape[1]
    font = ImageFont.load_default(max(8, side // 8))
    words = "never fires" if side >= 64 else "never\nfires"  # on a small tile there is no room for both side by side
    for place in places:
        tile = Image.fromarray(tiles[place] // 2 + 64)
        ImageDraw.Draw(tile).text((side / 2, side / 2), words, "white", font, anchor="mm", spacing=1)
        tiles[place] = np.asarray(tile)
