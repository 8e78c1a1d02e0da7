"""What the pages ask about photos and training runs, and what comes back.

Frozen, picklable and free of TensorFlow, like everything in `core.messages`, whose rules hold here too.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from core.messages import ModelRef, Photo

POOLINGS = ("average", "max", "flatten")
LOSSES = ("crossentropy", "focal", "huber")
OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop")
SCHEDULES = ("constant", "cosine", "exponential")
FILL_MODES = ("reflect", "nearest", "wrap", "constant")
FLIPS = ("none", "horizontal", "vertical", "both")


@dataclass(frozen=True)
class Augmentation:
    """Random changes to each training photo; factors as Keras' layers take them (rotation in turns, shift and shear in
    shares of the side, brightness in shares of the range)."""

    flip: str = "horizontal"  # one of FLIPS
    rotation: float = 0.05
    zoom: float = 0.1
    shear: float = 0.0
    shift: float = 0.0
    brightness: float = 0.0
    fill_mode: str = "reflect"  # one of FILL_MODES


@dataclass(frozen=True)
class DataRequest:
    """A data set to look at before training: a folder or ZIP of class folders, or "chessman"."""

    data: str


@dataclass(frozen=True)
class Finding:
    """What the data doctor says about some photos, in one to three sentences that may quote a person's words.

    `level` is "attend" (something should be done), "note" or "good". `rows` are about files, under the names
    `columns`; `picture` is a WebP picture of a few of them.
    """

    kind: str
    level: str
    words: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = field(default=(), repr=False)
    picture: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class DataPreview:
    """What is in a data set. `thumbnails` holds one WebP picture of a few photos for each of the first classes.

    `parts` are, for each class, the photos that folders keep for training, validation and test; empty where there are
    no such folders.
    """

    classes: tuple[str, ...]
    counts: tuple[int, ...]
    left_out: tuple[tuple[str, str], ...]  # (file, why)
    thumbnails: tuple[bytes, ...] = field(repr=False)
    parts: tuple[tuple[int, int, int], ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class TrainingConfig:
    """A training run: all that it depends on. `data` is a folder or ZIP of class folders, or "chessman"; `out` is where
    the results go. Two runs of the same configuration give the same curves.

    The head is `pooling`, then the `dense` layers (units, each with ReLU and dropout), then softmax. It is trained for
    `epochs` on the frozen backbone; then, for `fine_tune_epochs`, the backbone's last layers with it: those from the
    layer `fine_tune_from` on, or the last `fine_tune_share` of them. `from_scratch` trains everything from the first
    epoch on, BatchNorm included, for `epochs`; it is meant for random weights.
    """

    data: str
    backbone: ModelRef
    out: str
    size: int = 160
    epochs: int = 8
    fine_tune_epochs: int = 0
    validation: float = 0.2
    batch_size: int = 32
    learning_rate: float = 3e-3
    fine_tune_learning_rate: float = 1e-5  # of the backbone's layers; the head goes on at a tenth of its own
    dropout: float = 0.2
    augmentation: Augmentation | None = Augmentation()
    per_class: int | None = None  # at most so many photos of each class, for a quick look
    seed: int = 0
    loss: str = "crossentropy"  # one of LOSSES
    pooling: str = "average"  # one of POOLINGS
    dense: tuple[int, ...] = ()
    label_smoothing: float = 0.0  # of cross-entropy
    class_weights: bool = False  # rare classes weigh as much as frequent ones
    optimizer: str = "adam"  # one of OPTIMIZERS; for the head in all phases
    schedule: str = "constant"  # one of SCHEDULES: of the learning rate, over all steps of a phase
    fine_tune_optimizer: str = "adam"  # for the backbone's layers
    fine_tune_share: float = 0.3
    fine_tune_from: str | None = None
    from_scratch: bool = False
    variants: int = 4  # cached ones of each photo with augmentation, itself among them; 0 augments at every step
    patience: int | None = None  # epochs without improvement after which a phase ends
    eager: bool = False  # without tf.function, to see what the graph is worth
    own_splits: bool = True  # use train/, valid/ and test/ folders as they are, where there are such
    preset: str = ""  # the name of the preset that it began as, for the table of runs


@dataclass(frozen=True)
class EpochRow:
    """One line of history.csv. Precision, recall and macro-F1 are of the validation photos."""

    epoch: int
    phase: str  # "head" | "fine-tuning" | "scratch"
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    seconds: float
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    learning_rate: float | None = None  # after the epoch's last step


@dataclass(frozen=True)
class TrainingReport:
    """What is known when a run has ended; `report.json` holds the same. Accuracies are fractions."""

    classes: tuple[str, ...]
    images: int
    training_images: int
    validation_images: int
    left_out: tuple[tuple[str, str], ...]  # (file, why)
    validation_accuracy: float
    majority_accuracy: float  # of always answering the most frequent class
    confusion: tuple[tuple[int, ...], ...]  # rows: true class, columns: predicted; of the validation photos
    epochs: int
    stopped: bool  # by the person, before the last epoch
    seconds: float  # of computing, resumed parts included, loading the model excluded
    model_path: str
    backbone: str
    origin: str
    precision: float | None = None  # the mean over the classes, as are the next two
    recall: float | None = None
    f1: float | None = None
    best_epoch: int | None = None
    test_images: int = 0  # of a test/ folder, never looked at before the end
    test_accuracy: float | None = None
    step_seconds: float | None = None  # the median of one step of the last phase
    batch_size: int | None = None  # as it was at the end: halved where memory was short
    notes: tuple[str, ...] = ()  # sentences: what was resumed, halved, could not be kept


@dataclass(frozen=True)
class Watched:
    """A validation photo that is looked at after every epoch; `said` and `probability` are one per epoch."""

    file: str
    thumbnail: bytes = field(repr=False)
    true: int
    said: tuple[int, ...] = ()
    probability: tuple[float, ...] = ()  # of the true class


@dataclass(frozen=True)
class TrainingSnapshot:
    """A training run so far, complete in itself."""

    words: str  # "Reading the photos", "Epoch 3 of 8 (head)", ...
    phase: str  # "preparing" | "head" | "fine-tuning" | "scratch" | "saving" | "done"
    epoch: int = 0
    epochs: int = 0
    step: int = 0  # within the epoch
    steps: int = 0
    history: tuple[EpochRow, ...] = ()
    batch_losses: tuple[float, ...] = ()  # the training loss of each batch so far
    batch_epochs: tuple[float, ...] = ()  # when each of them was: 2.5 is in the middle of the third epoch
    seconds: float = 0.0
    seconds_left: float | None = None
    report: TrainingReport | None = None
    classes: tuple[str, ...] = ()
    watched: tuple[Watched, ...] = ()
    notes: tuple[str, ...] = ()  # sentences: what was resumed, halved, could not be kept


@dataclass(frozen=True)
class AugmentRequest:
    """A few photos of `data`, each changed at random `variants` times, to see what an augmentation does."""

    data: str
    augmentation: Augmentation
    size: int = 160
    photos: int = 3
    variants: int = 4
    seed: int = 0


@dataclass(frozen=True)
class Augmented:
    """One WebP picture for each photo: the photo itself, a gap, and its variants in a row."""

    rows: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True)
class OutlineRequest:
    """What `backbone` makes of photos of `size` × `size` pixels."""

    backbone: ModelRef
    size: int


@dataclass(frozen=True)
class Outline:
    """`maps` is the shape (h, w, C), or (C,), of what the backbone gives to a head. `layers` are those that have
    numbers, from the first to the last: (name, how many, whether it is a BatchNorm). `problem` is the sentence that
    says why it cannot be built for photos of that size; then there is nothing else.
    """

    maps: tuple[int, ...] = ()
    layers: tuple[tuple[str, int, bool], ...] = field(default=(), repr=False)
    problem: str | None = None


@dataclass(frozen=True)
class FinderRequest:
    """The learning-rate finder: a run of the head on its features with a rate that rises at every step."""

    config: TrainingConfig
    lowest: float = 1e-6
    highest: float = 10.0
    steps: int = 100


@dataclass(frozen=True)
class Finder:
    """The finder so far: the smoothed loss at each rate; at the end the `suggestion`, where there is one."""

    words: str
    rates: tuple[float, ...] = ()
    losses: tuple[float, ...] = ()
    step: int = 0
    steps: int = 0
    suggestion: float | None = None


@dataclass(frozen=True)
class GraphWorthRequest:
    """How long one step of `config` takes with tf.function and without, run by turns.

    `phase` says which step: the "head" on cached features, or the whole "network".
    """

    config: TrainingConfig
    phase: str = "head"
    steps: int = 10


@dataclass(frozen=True)
class GraphWorth:
    """Seconds of each step so far: eager, compiled, and those of the first compiled step, in which it is traced."""

    words: str
    phase: str = ""
    eager: tuple[float, ...] = ()
    compiled: tuple[float, ...] = ()
    tracing: float | None = None
    steps: int = 0


@dataclass(frozen=True)
class PhotosRequest:
    """These photos of a finished run (their names in its data), as the network sees them, `side` pixels large.

    With `why` also where the network looks (Grad-CAM): for the class that it said, or for those in `targets`, one for
    each photo. `version` tells the networks of one run apart, which has another one when it has gone on.
    """

    run: str
    files: tuple[str, ...]
    why: bool = False
    targets: tuple[int, ...] = ()
    side: int = 224
    version: int = 0


@dataclass(frozen=True)
class RunPhoto:
    """`picture` and `heat` (the same with Grad-CAM over it) are WebP pictures."""

    file: str
    picture: bytes = field(repr=False)
    heat: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class RepeatedRequest:
    """The head trained anew on `splits` other random splits of the run's photos, on features of the frozen backbone.

    Here and below `run` is the folder of a run that has ended, and `ended` says when (any number): a run that went on
    afterwards is another one.
    """

    run: str
    ended: int = 0
    splits: int = 10


@dataclass(frozen=True)
class Repeated:
    """Validation accuracies so far, and those of always answering the most frequent class: one for each split.

    `own` is what the same training reaches on the run's own split, on unchanged photos too: the mean of a few heads.
    """

    words: str
    own: float | None = None
    accuracies: tuple[float, ...] = ()
    majority: tuple[float, ...] = ()
    splits: int = 0


@dataclass(frozen=True)
class LearningCurveRequest:
    """The head trained on 2, 5, 10 ... photos of each class, several times, on features of the frozen backbone."""

    run: str
    ended: int = 0
    repeats: int = 5


@dataclass(frozen=True)
class LearningCurve:
    """So far: for each number of photos per class, the validation accuracy of each repeat.

    The last number is that of the largest class; a class that has fewer photos gives all that it has. `majority` is the
    accuracy of always answering the most frequent class.
    """

    words: str
    photos: tuple[int, ...] = ()
    accuracies: tuple[tuple[float, ...], ...] = ()
    majority: float = 0.0
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class ShortcutRequest:
    """Does the network look at the subject or at what is around it? Grad-CAM of at most `photos` validation photos."""

    run: str
    ended: int = 0
    photos: int = 60
    border: float = 0.15  # the width of the frame, in shares of the photo's side


@dataclass(frozen=True)
class Shortcut:
    """What is known so far. `files` are the photos looked at, most attention on the border first.

    `on_border` is the share of Grad-CAM on the frame, for each of `files`; the frame's own share of the area is `area`.
    `tested` photos were shown whole, with only the middle left, and with only the frame left: `accuracy`,
    `without_border` and `without_middle`; `by_class` holds the three for each class (`None` for one without photos).
    `example` is one photo in the three states, `most` are those with the most attention on the frame, Grad-CAM over
    them.
    """

    words: str
    classes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    on_border: tuple[float, ...] = ()
    area: float = 0.0
    cells: tuple[int, int] = (0, 0)  # of Grad-CAM's map: (down, across)
    tested: int = 0
    accuracy: float | None = None
    without_border: float | None = None
    without_middle: float | None = None
    majority: float | None = None
    by_class: tuple[tuple[float, float, float] | None, ...] = ()
    example: tuple[bytes, ...] = field(default=(), repr=False)
    most: tuple[RunPhoto, ...] = field(default=(), repr=False)
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class UnknownRequest:
    """How far the run's validation photos, and photos of other things, lie from what was learned from."""

    run: str
    ended: int = 0


@dataclass(frozen=True)
class Unknown:
    """Distances in the network's feature space to the `neighbours`-th nearest training photo: of the validation photos
    (by file), and of the sample photos that come with the app (by name). `threshold` lets 95 % of the validation photos
    pass. `auroc` is the probability that a sample photo lies farther away than a validation photo."""

    known: tuple[tuple[str, float], ...]
    others: tuple[tuple[str, float], ...]
    threshold: float
    neighbours: int
    auroc: float


@dataclass(frozen=True)
class TryRequest:
    """A new photo for the network of a finished run."""

    run: str
    photo: Photo
    ended: int = 0


@dataclass(frozen=True)
class Neighbour:
    """A training photo: its place in the run's classes, its distance, and itself as a WebP picture."""

    file: str
    label: int
    distance: float
    picture: bytes = field(repr=False)


@dataclass(frozen=True)
class Tried:
    """`probabilities` are in the order of the run's classes; `distance` is that of `Unknown`; `picture` is what the
    network sees of the photo, `heat` the same with Grad-CAM for the likeliest class over it (WebP pictures)."""

    probabilities: tuple[float, ...]
    distance: float
    picture: bytes = field(repr=False)
    heat: bytes = field(repr=False)
    nearest: tuple[Neighbour, ...] = ()


@dataclass(frozen=True)
class ExportRequest:
    """A finished run in another form: a key of `core.transfer.forms.MADE`. `run` is its folder, `ended` as above."""

    run: str
    form: str
    ended: int = 0


@dataclass(frozen=True)
class Exported:
    """The file, and in `words` how it was checked."""

    path: str
    file_name: str
    mime: str
    words: str
