"""What the pages ask of the workers, and what comes back.

All of it is frozen, picklable and free of TensorFlow, so that it can cross from one process to the other. Two requests
that are equal have the same `repr`, and the engine computes them once: bulky data (pixels) is therefore kept out of
`repr` and `==`, with a digest in its place.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np


def digest_of(data: bytes) -> str:
    """A short name for `data`: the first 24 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(data).hexdigest()[:24]


@dataclass(frozen=True)
class Photo:
    """A checked photograph: `uint8[H, W, 3]`, RGB, upright. Read-only, because caches share it."""

    digest: str
    pixels: np.ndarray = field(compare=False, repr=False)

    @classmethod
    def of(cls, pixels: np.ndarray) -> Photo:
        pixels = np.ascontiguousarray(pixels)
        pixels.setflags(write=False)
        return cls(digest_of(f"{pixels.shape}".encode() + pixels.tobytes()), pixels)


@dataclass(frozen=True)
class ModelRef:
    """Which model: a catalogue name, or the path of a `.keras`/`.h5` file.

    `weights` is "imagenet", `None` for random (untrained) weights, or the path of a `.weights.h5`/`.h5` file of
    weights. A model file brings its own, unless `weights` is `None`.

    `preprocessing`, a key of `backbones.preprocessing.PREPROCESSING`, takes the place of the right one: to show what
    wrong preprocessing does. `answers` is the name under which `backbones.answers` keeps what a person says about a
    file. `size` (height, width), where it is not the network's own, takes the layers to photos of another size, as far
    as they can be computed there: up to a flattening, usually.
    """

    name: str
    weights: str | None = "imagenet"
    preprocessing: str | None = None
    answers: str | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class LayerInfo:
    """One layer of a model. `output_shape` leaves out the batch axis; a size that is not fixed is `None`.

    The rest holds for one photo of the model's input size. `multiply_adds` counts the multiplications of convolutions
    and dense layers (each comes with an addition). `receptive_field` is (height, width) in pixels of what one cell in
    the middle can see, borders or not; `None` where that is the whole photo whatever its size (behind a global pooling
    or a dense layer). `stride` is (down, across): so many pixels lie between what neighbouring cells see. `inputs` are
    the layers that this one computes with.
    """

    name: str
    type: str
    output_shape: tuple[int | None, ...]
    parameters: int
    multiply_adds: int = 0
    receptive_field: tuple[int, int] | None = None
    stride: tuple[float, float] | None = None
    inputs: tuple[str, ...] = ()

    @property
    def channels(self) -> int | None:
        return self.output_shape[-1] if self.output_shape else None

    @property
    def is_spatial(self) -> bool:
        """True where the layer gives maps (height, width, channels) and not a vector."""
        return len(self.output_shape) == 3

    @property
    def kind(self) -> str:
        """What there is to see, by rank: "vector" (units), "steps" (steps × units), "maps" (height × width × channels)
        or "volume" (depth × height × width × channels); "other" for what has more axes or none."""
        kinds = {1: "vector", 2: "steps", 3: "maps", 4: "volume"}
        return kinds.get(len(self.output_shape), "other")


@dataclass(frozen=True)
class Openings:
    """What a person may choose about a file's network. `inputs` and `outputs` are their names, where there are several;
    `channels` is how many the photo's input has; `words` how many token numbers a network that reads text knows.

    `range_known` says whether it is known what the pixels should be; else `ModelInfo.preprocessing` is a guess.
    `names_known` says the same of the names of classes, `words_known` of the words of the tokens.

    `as_it_is` says whether it takes a photo in three colours with nothing made of it first, `channels_first` whether
    its channels come before height and width in the file.
    """

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    channels: int = 3
    words: int = 0
    range_known: bool = True
    names_known: bool = True
    words_known: bool = True
    as_it_is: bool = True
    channels_first: bool = False


@dataclass(frozen=True)
class ModelInfo:
    """What a page needs to know of a loaded model.

    `reads` is "photo" or "text". `notes` are sentences about what is odd in it, or was made to fit. `own_size` is the
    size that the file fixes, (height, width), where `ref.size` is another. `openings` is there for files only.
    """

    ref: ModelRef
    title: str
    origin: str  # "trained on ImageNet", "random (untrained)", "from the file cats.keras"
    input_size: tuple[int, int]  # height, width
    parameters: int
    preprocessing: str  # in words: "(x − 127) / 128"
    class_names: tuple[str, ...] | None
    layers: tuple[LayerInfo, ...]
    tells_classes: bool = True  # whether its output can be read as a prediction
    reads: str = "photo"
    notes: tuple[str, ...] = ()
    openings: Openings | None = None
    own_size: tuple[int, int] | None = None
    sizes_fixed: bool = False  # whether its answer can only be computed at its own size
    answer: str = ""  # the layer that gives its prediction; others may come after it


@dataclass(frozen=True)
class Progress:
    """How far a task is; `fraction` is `None` where nobody can know."""

    words: str
    fraction: float | None = None


@dataclass(frozen=True)
class DeviceInfo:
    """What computes. `words` is how the pages say it: "CPU, float32"."""

    kind: str  # "CPU" | "GPU"
    name: str
    count: int
    precision: str
    memory_bytes: int

    @property
    def words(self) -> str:
        return f"{self.count} × {self.name}, {self.precision}" if self.count > 1 else f"{self.name}, {self.precision}"


@dataclass(frozen=True)
class PredictRequest:
    model: ModelRef
    photo: Photo
    top: int = 5


@dataclass(frozen=True)
class Prediction:
    index: int
    name: str
    probability: float


@dataclass(frozen=True)
class ActivationsRequest:
    model: ModelRef
    photo: Photo
    layers: tuple[str, ...]


@dataclass(frozen=True)
class Activations:
    """`values` maps a layer's name to `float32[H, W, C]`, or `float32[C]` for a vector. `seen` is the photograph as the
    network got it: `uint8[h, w, 3]`, resized and cropped to the input size, grey where it takes one channel, before
    preprocessing."""

    values: dict[str, np.ndarray]
    seen: np.ndarray
    origin: str


@dataclass(frozen=True)
class JourneyRequest:
    """From pixels to prediction: the `top` first channels of each of `layers` in the order of `by`, which is one of
    `channels.By`: "mean" for the strongest, "variance" for those whose maps show most."""

    model: ModelRef
    photo: Photo
    layers: tuple[str, ...]
    top: int = 8
    by: str = "mean"


@dataclass(frozen=True)
class JourneyRow:
    """One layer's first channels, best first: `maps` is `float32[k, H, W]`, or `float32[k]` for a vector."""

    layer: str
    channels: tuple[int, ...]
    maps: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class Journey:
    rows: tuple[JourneyRow, ...]
    seen: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class Region:
    """A rectangle of the photo as the network sees it, in pixels, half open. It may reach beyond the photo's borders,
    into the padding."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass(frozen=True)
class CellRequest:
    """One cell of one channel's map; for a vector `y` and `x` are 0."""

    model: ModelRef
    photo: Photo
    layer: str
    channel: int
    y: int = 0
    x: int = 0


@dataclass(frozen=True)
class Source:
    """What a layer computes with: another layer by its name, or "" for the photo after preprocessing; `None` for
    something between layers that has no name. `shape` is without the batch axis; `channels` are the channels' names
    where they have any (the colours).

    `y`, `x` and `channel` are the one of its cells that matters most for the cell in question.
    """

    name: str | None
    shape: tuple[int, ...]
    channels: tuple[str, ...] = ()
    y: int = 0
    x: int = 0
    channel: int = 0


@dataclass(frozen=True)
class Products:
    """A weighted sum. `patch` and `kernel` are `float32[k, l, C]`: number by number they are multiplied, and all
    products are added. For a dense layer k and l are 1.

    `rows` (k) and `columns` (l) say where on the input's maps the patch lies, `channels` (C) on which of them; where
    `inside` (`bool[k, l]`) is false it is padding, which counts as 0. `each` says that the sum is taken for each
    channel, and goes on as the next step's patch.
    """

    patch: np.ndarray = field(repr=False)
    kernel: np.ndarray = field(repr=False)
    rows: np.ndarray = field(repr=False)
    columns: np.ndarray = field(repr=False)
    channels: np.ndarray = field(repr=False)
    inside: np.ndarray = field(repr=False)
    each: bool = False

    @property
    def products(self) -> np.ndarray:
        """`float64[k, l, C]`."""
        return self.patch.astype(np.float64) * self.kernel

    @property
    def sums(self) -> np.ndarray:
        """What each channel adds: `float64[C]`."""
        return self.products.sum(axis=(0, 1))

    @property
    def result(self) -> float:
        return float(self.products.sum())


@dataclass(frozen=True)
class Pooled:
    """The largest or the mean of one channel's cells: `patch` `float32[k, l]` at `rows` and `columns`.

    Where `inside` is false there are none, and nothing counts. `winner` is the place of the largest in the patch.
    """

    kind: str  # "max" | "mean"
    patch: np.ndarray = field(repr=False)
    rows: np.ndarray = field(repr=False)
    columns: np.ndarray = field(repr=False)
    inside: np.ndarray = field(repr=False)
    result: float

    @property
    def winner(self) -> tuple[int, int]:
        best = np.argmax(np.where(self.inside, self.patch, -np.inf))
        return tuple(int(index) for index in np.unravel_index(best, self.patch.shape))


@dataclass(frozen=True)
class Formula:
    """One line of calculation: `expression` in the names of `given` (name, value), and its result.

    `words` says what it is, in one sentence.
    """

    expression: str
    given: tuple[tuple[str, float], ...]
    result: float
    words: str = ""


@dataclass(frozen=True)
class Arithmetic:
    """How one cell's value comes about, computed anew by NumPy: each step goes on from the one before.

    Where that cannot be said in steps there are none, and `note` says so in one sentence. `scale` is the size of the
    numbers that were added up: float32 cannot be more exact than a millionth or so of it.
    """

    kind: str  # of layer: "Conv2D"
    sources: tuple[Source, ...]
    steps: tuple[Products | Pooled | Formula, ...]
    scale: float = 1.0
    note: str = ""

    @property
    def result(self) -> float | None:
        return self.steps[-1].result if self.steps else None


@dataclass(frozen=True)
class Cell:
    """One cell: its `value` as the network computes it, what it can see and what it does see, and the arithmetic.

    `region` is `None` where it can see the whole photo. `influence` is `float32[h, w]` for the pixels of `seen`: by how
    much the value changes with the pixel, for a change by one of 255 in each colour, whatever its sign.
    """

    value: float
    region: Region | None
    influence: np.ndarray = field(repr=False)
    seen: np.ndarray = field(repr=False)
    arithmetic: Arithmetic


@dataclass(frozen=True)
class EffectsRequest:
    """How much each channel of `layer` matters for class `target`; the `exact` first are really switched off."""

    model: ModelRef
    photo: Photo
    layer: str
    target: int
    exact: int = 16


@dataclass(frozen=True)
class ExactEffect:
    """What the class loses when one channel is off (negative: it gains)."""

    channel: int
    logit: float
    probability: float


@dataclass(frozen=True)
class Effects:
    """`approximate` is `float32[C]`: gradient × activation summed over the map, which estimates by how much the class's
    logit falls when the channel is switched off. `exact` are those with the largest estimates in size, measured."""

    target: int
    logit: float
    probability: float
    approximate: np.ndarray = field(repr=False)
    exact: tuple[ExactEffect, ...]


@dataclass(frozen=True)
class WhatIfRequest:
    """The prediction when channels of `layer` are multiplied: `factors` holds (channel, factor); 0 switches off.

    Class `watch` is among the answers whatever its place.
    """

    model: ModelRef
    photo: Photo
    layer: str
    factors: tuple[tuple[int, float], ...]
    top: int = 5
    watch: int | None = None


@dataclass(frozen=True)
class WhatIf:
    """The classes that are among the best before or after, in the order of before; both tuples name the same ones."""

    before: tuple[Prediction, ...]
    after: tuple[Prediction, ...]


@dataclass(frozen=True)
class WhyRequest:
    """Which places of the photo speak for class `target`. `method` is a key of `attribution_choices.METHODS`.

    `layer` is for the methods that look at one layer's maps; `None` is the last one that gives maps.
    """

    model: ModelRef
    photo: Photo
    target: int
    method: str
    layer: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class Why:
    """An attribution so far (`step` of `steps`). `heat` is `float32[h, w]`, one value for each pixel of `seen`.

    It is at least 0, or `signed`: then what is below 0 speaks against the class. `score` is the class's logit.
    """

    method: str
    target: int
    layer: str | None
    heat: np.ndarray = field(repr=False)
    signed: bool
    seen: np.ndarray = field(repr=False)
    score: float
    probability: float
    step: int
    steps: int


@dataclass(frozen=True)
class HidingRequest:
    """What class `target` loses when the `share` of the photo's pixels that `heat` (`float32[h, w]`, of the size that
    the network sees) calls most important is hidden, and when as much is hidden at `trials` random places."""

    model: ModelRef
    photo: Photo
    target: int
    digest: str
    heat: np.ndarray = field(compare=False, repr=False)
    share: float = 0.2
    trials: int = 8
    seed: int = 0

    @classmethod
    def of(cls, model: ModelRef, photo: Photo, target: int, heat: np.ndarray) -> HidingRequest:
        return cls(model, photo, target, digest_of(heat.tobytes()), heat)


@dataclass(frozen=True)
class Hiding:
    """The class's logits and probabilities: of the whole photo, with the important part hidden, and then with as much
    hidden at each of the random places. `hidden` and `elsewhere` (the first of those) are `uint8[h, w, 3]`."""

    share: float
    scores: tuple[float, ...]
    probabilities: tuple[float, ...]
    hidden: np.ndarray = field(repr=False)
    elsewhere: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class ExcitingRequest:
    """Which photos excite the channels of `layer` most. `photos` is "samples", or the path of a ZIP or folder."""

    model: ModelRef
    layer: str
    photos: str = "samples"


@dataclass(frozen=True)
class Exciting:
    """All channels' answers to many photos, so far (`done` of `total` files), from one batched pass.

    `peaks` is `float32[N, C]`, the strongest answer anywhere; `places` is `int16[N, C, 2]`, the cell (y, x) where it
    was found, on maps of `map_size`; of a vector, all (0, 0). `thumbnails` are WebP pictures of what the network saw.
    `left_out` is (file, why); `beyond` are the files that were not looked at because there are too many.
    """

    layer: str
    names: tuple[str, ...]
    thumbnails: tuple[bytes, ...] = field(repr=False)
    peaks: np.ndarray = field(repr=False)
    places: np.ndarray = field(repr=False)
    map_size: tuple[int, int]
    left_out: tuple[tuple[str, str], ...]
    done: int
    total: int
    beyond: int = 0


@dataclass(frozen=True)
class RenderRequest:
    """Which filters to draw, and how. Sizes in pixels; `learning_rate` in units of the image's value range per step.

    `steps` and `learning_rate` of `None` are the method's own. `precision` is "float32", "bfloat16" or "auto", the
    faster one there. `objective` is "channel", "neuron" (the middle of the map) or "class" (of a classifier).
    """

    model: ModelRef
    layer: str
    filters: tuple[int, ...]
    method: str = "textbook"
    size: int = 200
    steps: int | None = None
    learning_rate: float | None = None
    seed: int = 0
    precision: str = "auto"
    objective: str = "channel"


def own_size(method: str) -> int:
    """The side in pixels at which `method` draws (maco: its one picture) where no other is asked for."""
    return {"lucid": 128, "maco": 512}.get(method, RenderRequest.size)


@dataclass(frozen=True)
class Trust:
    """How strongly a filter answers, at the strongest place of its map, to its own tile (shown to the network like any
    photo: 8 bits a colour, its own preprocessing), to noise, and to the sample photo that excites it most."""

    tile: float
    noise: float
    photo: float
    photo_name: str

    @property
    def level(self) -> str:
        """ "strong" above noise and every photo, "fair" above noise alone, "weak" where noise does as well."""
        if not (math.isfinite(self.tile) and self.tile > max(self.noise, 0.0)):
            return "weak"
        return "strong" if self.tile > self.photo else "fair"


@dataclass(frozen=True)
class Mosaic:
    """A mosaic so far. `picture` is the stitched WebP; `png` the same without loss, only in the last snapshot.

    `scores` are each tile's objective at `step`; in the last snapshot they are evaluated in float32. At step 0 the
    tiles are a first look: smaller pictures of the same scale, of which the real ones will show more. `silent` are the
    filters that did not answer to anything.
    """

    layer: str
    filters: tuple[int, ...]
    step: int
    steps: int
    scores: tuple[float, ...]
    picture: bytes = field(repr=False)
    width: int
    height: int
    tile: int  # side of a tile
    margin: int  # between tiles; there is none around them
    columns: int
    seconds: float
    seconds_left: float | None
    seconds_to_first_picture: float
    precision: str
    batch: int
    origin: str
    png: bytes | None = field(default=None, repr=False)
    silent: tuple[int, ...] = ()
    trust: tuple[Trust, ...] = ()  # of each filter, in the last snapshot

    @property
    def file_name(self) -> str:
        """The textbook's name for the saved picture; a `/` in the layer's name becomes `.`."""
        return f"filters_for_layer_{self.layer.replace('/', '.')}.png"


@dataclass(frozen=True)
class PortraitRequest:
    """One filter (or class, with the objective "class"), drawn large, every stage of it kept for a slider.

    `size` in pixels is that of the image which is changed. `steps` and `learning_rate` of `None` are the method's own.
    """

    model: ModelRef
    layer: str
    filter: int
    method: str = "lucid"  # any of METHODS, "maco" too
    size: int = 256
    steps: int | None = None
    learning_rate: float | None = None
    seed: int = 0
    objective: str = "channel"
    precision: str = "auto"


@dataclass(frozen=True)
class Frame:
    """The picture after `step` steps (WebP, square) and its score then."""

    step: int
    score: float
    picture: bytes = field(repr=False)


@dataclass(frozen=True)
class Portrait:
    """A portrait so far. `frames` are all stages up to now, at least one; `png` is the last one without loss, in the
    last snapshot only; it is transparent where the filter does not care, if the method knows that (maco)."""

    layer: str
    filter: int
    step: int
    steps: int
    side: int  # of each picture, in pixels
    frames: tuple[Frame, ...]
    seconds: float
    seconds_left: float | None
    precision: str
    origin: str
    png: bytes | None = field(default=None, repr=False)
    silent: bool = False
    trust: Trust | None = None


@dataclass(frozen=True)
class FacesRequest:
    """Several pictures of one filter, as unlike each other as it allows; `diversity` weighs that against its score."""

    model: ModelRef
    layer: str
    filter: int
    faces: int = 4
    size: int = 128
    steps: int | None = None
    seed: int = 0
    diversity: float = 1.0


@dataclass(frozen=True)
class Faces:
    """The faces so far, one WebP each; scores leave out the diversity. `png`: all side by side, at the end."""

    layer: str
    filter: int
    step: int
    steps: int
    side: int
    pictures: tuple[bytes, ...] = field(repr=False)
    scores: tuple[float, ...]
    seconds: float
    seconds_left: float | None
    origin: str
    png: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class DreamRequest:
    """DeepDream: `photo` changed so that `layers` (name, weight) answer more to whatever they see in it already.

    `size` is the longer side of the result in pixels; each octave is `octave_scale` times as large as the one before,
    and gets `steps` steps whose length is `learning_rate` (the mean absolute change of a pixel in [0, 255]).
    """

    model: ModelRef
    photo: Photo
    layers: tuple[tuple[str, float], ...]
    size: int = 448
    octaves: int = 4
    octave_scale: float = 1.4
    steps: int = 16
    learning_rate: float = 2.0
    seed: int = 0


@dataclass(frozen=True)
class Dream:
    """A dream so far: `step` of `steps` over all octaves. `png` is the last picture without loss, at the end.

    `score` says how many times as strongly as to the photo itself the layers answer.
    """

    step: int
    steps: int
    octave: int  # counted from 1
    octaves: int
    picture: bytes = field(repr=False)  # WebP
    width: int
    height: int
    score: float
    seconds: float
    seconds_left: float | None
    origin: str
    png: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class JobSnapshot:
    """What a viewer can know of a job: `state` is "queued", "running", "done", "cancelled" or "failed".

    `latest` is the newest snapshot that the task yielded (for a cancelled job: the last one, which is kept), `result`
    the returned value, or the last snapshot of a generator. `error` is a sentence for the person.
    """

    state: str
    place: int | None = None  # in the queue; 1 is next
    latest: Any = field(default=None, repr=False)
    wait_seconds: float | None = None  # until it begins, about
    result: Any = field(default=None, repr=False)
    error: str | None = None
    attempt: int = 1  # 2 and more: a worker died and the work is being done again

    @property
    def over(self) -> bool:
        return self.state in ("done", "cancelled", "failed")


# --- Networks that read text ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Token:
    """One step of a text as the network gets it: the word and its number; `known` is false for a word that is not in
    the vocabulary, `is_padding` true for what only fills the text up."""

    word: str
    number: int
    known: bool = True
    is_padding: bool = False


@dataclass(frozen=True)
class TextRequest:
    """The answers of `layers` to `text`; no layers for the prediction alone."""

    model: ModelRef
    text: str
    layers: tuple[str, ...] = ()
    top: int = 5


@dataclass(frozen=True)
class TextAnswer:
    """`values` maps a layer's name to `float32[T, U]` (steps × units), `float32[U]`, or whatever its rank is.

    `steps` says for each layer with steps which tokens each of its steps stands on: pairs [first, last) of places in
    `tokens`; `None` for a layer whose steps cannot be told to stand on certain ones. `notes` are sentences about what
    of the text could not be read.
    """

    tokens: tuple[Token, ...]
    predictions: tuple[Prediction, ...]
    values: dict[str, np.ndarray] = field(repr=False)
    steps: dict[str, tuple[tuple[int, int], ...] | None] = field(default_factory=dict)
    origin: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class WordSaliencyRequest:
    """How much each word of `text` matters for class `target`, or, with `layer` and `unit`, for that unit's greatest
    value over the steps."""

    model: ModelRef
    text: str
    target: int | None = None
    layer: str | None = None
    unit: int = 0


@dataclass(frozen=True)
class WordSaliency:
    """For each of `tokens`: `gradient`, `float32[T]`, the gradient × embedding summed over its units (signed), and
    `without`, `float32[T]`, by how much the score falls when the word is taken out (replaced by padding).

    `score` is the class's logit, or the unit's value, of the whole text; `probability` that of the class, or `None`.
    """

    tokens: tuple[Token, ...]
    score: float
    gradient: np.ndarray = field(repr=False)
    without: np.ndarray = field(repr=False)
    probability: float | None = None


@dataclass(frozen=True)
class FavouriteWordsRequest:
    """The words that excite each unit of `layer` most, each alone: all of the vocabulary, up to `most` tried."""

    model: ModelRef
    layer: str
    top: int = 12
    most: int = 20_000


@dataclass(frozen=True)
class FavouriteWords:
    """A unit's: `highest` and `lowest` are (word, value) pairs, most extreme first; `tried` is how many words were."""

    highest: tuple[tuple[str, float], ...]
    lowest: tuple[tuple[str, float], ...]
    tried: int
    without: float  # the unit's value for padding alone


# --- What a network expects of its pixels -----------------------------------------------------------------------------


@dataclass(frozen=True)
class RangesRequest:
    """What becomes of the photo under each preprocessing that the network might expect."""

    model: ModelRef
    photo: Photo


@dataclass(frozen=True)
class RangeSeen:
    """`preprocessing` is its key. `maps` is a picture, `uint8[h, w, 3]`, of the liveliest channels of `layer`, the
    first convolution (or, without any, the first layer that learns); `silent` is the share of its channels that are 0
    everywhere, `strongest` its largest value, whatever the sign (NaN where it has no number). `prediction` is the best
    guess, or `None`."""

    preprocessing: str
    words: str
    layer: str
    maps: np.ndarray | None = field(repr=False)
    silent: float
    strongest: float
    prediction: Prediction | None
