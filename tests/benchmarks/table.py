"""What we hold ourselves to, as ratios of two things run alternately in one process; medians.

`python -m core bench` prints the table; `--full` takes all 64 filters and more rounds. Random weights: they cost the
same time as trained ones.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from core.backbones import graph, loading
from core.backbones.backbone import Backbone
from core.featurevis import mosaic, tuning
from core.featurevis.methods import METHODS
from core.featurevis.objectives import channel
from core.featurevis.parameterisations import pixels
from core.featurevis.render import RenderStep, bytes_per_image, render
from core.messages import ModelRef, Mosaic, RenderRequest
from tests.benchmarks import explorer, training
from tests.benchmarks.rows import Row, alternately
from tests.benchmarks.textbook import Textbook

LAYER = "block3_sepconv1"
SIZE = 200
ROOT = Path(__file__).parents[2]


def measure(*, full: bool, progress: Callable[[str], None]) -> Iterator[Row]:
    """All rows, one after the other."""
    for rows in (
        _against_the_textbook,
        _scores_on_real_weights,
        _first_pictures,
        _against_tf_keras_vis,
        _embedded_model,
        _memory,
        explorer.against_plain_keras,
        explorer.first_look,
        explorer.bytes_of_a_page,
        explorer.to_the_picture,
        training.against_fit,
        training.against_eager,
    ):
        progress(f"Measuring: {rows.__name__.strip('_').replace('_', ' ')}")
        for row in rows(full):
            progress(f"{row.what}: {row.found}")
            yield row


def draw(backbone: Backbone, filters: range, method: str, precision: str, layer: str = LAYER) -> RenderStep:
    how = METHODS[method]
    steps = how.steps_at(graph.depth(backbone, layer))
    objective = channel(layer)
    total, largest = bytes_per_image(backbone, objective, SIZE, precision)
    *_, end = render(
        backbone,
        objective,
        filters,
        parameterisation=pixels(SIZE),
        optimiser=how.optimiser,
        steps=steps,
        learning_rate=how.learning_rate,
        report_every=steps,
        batch=tuning.batch(backbone, layer, SIZE, total, len(filters), largest_bytes=largest),
        precision=precision,
    )
    return end


def _against_the_textbook(full: bool) -> Iterator[Row]:
    backbone = loading.load("xception", weights=None)
    extractor = graph.at_size(backbone, LAYER, SIZE)
    book, filters = Textbook(extractor), range(64 if full else 16)
    starts = pixels(SIZE).initial(filters, 0)
    theirs: dict[int, np.ndarray] = {}
    turn = iter(range(10**6))

    def as_printed() -> None:  # a new filter each time, as in the book's loop: each is traced
        for _ in range(len(filters) if full else 4):
            index = next(turn)
            theirs[index % len(filters)] = book.generate_filter_pattern(index, starts[index % len(filters)][None])

    kinds = [(method, precision) for method in ("textbook", "fast") for precision in ("float32", "bfloat16")]
    kinds = [kind for kind in kinds if kind[1] == "float32" or tuning.has_bfloat16()]
    ends: dict[tuple[str, str], RenderStep] = {}

    def ours(kind: tuple[str, str]) -> Callable[[], None]:
        return lambda: ends.update({kind: draw(backbone, filters, *kind)})

    printed, *times = alternately(3, as_printed, *map(ours, kinds))
    printed /= len(filters) if full else 4
    goals = {
        ("textbook", "float32"): 1.7,
        ("textbook", "bfloat16"): 4,
        ("fast", "float32"): 5,
        ("fast", "bfloat16"): 12,
    }
    images = {index: book.generate_filter_pattern(index, starts[index][None]) for index in filters}
    book_scores = [_score(extractor, images[index], index) for index in filters]
    for kind, seconds in zip(kinds, times, strict=True):
        share = ends[kind].scores / np.array(book_scores)
        words = (
            f"{printed / (seconds / len(filters)):.1f}×, score median {np.median(share):.2f}, worst {share.min():.2f}"
        )
        yield Row(f"mosaic, {kind[0]}, {kind[1]}", "the textbook as printed", f"≥ {goals[kind]}×", words)


def _score(extractor, image: np.ndarray, index: int) -> float:
    return float(tf.reduce_mean(extractor(image[None], training=False)[:, 2:-2, 2:-2, index]))


def _scores_on_real_weights(full: bool) -> Iterator[Row]:
    """The textbook's own scores, by its method and by the fast one; no times."""
    backbone = loading.load("efficientnet_lite0")
    filters = range(16 if full else 4)
    for block in ("block1", "block3", "block5", "block9", "block13") if full else ("block5",):
        layer = f"{block}_project_bn"
        share = np.divide(
            *(draw(backbone, filters, method, "float32", layer).scores for method in ("fast", "textbook"))
        )
        steps = METHODS["fast"].steps_at(graph.depth(backbone, layer))
        words = f"median {np.median(share):.2f}, worst {share.min():.2f} after {steps} steps"
        yield Row(f"score, fast, EfficientNet-Lite0 {layer}", "the textbook's 30 steps", "≥ 1, ≥ 0.9", words)


def _first_pictures(full: bool) -> Iterator[Row]:
    backbone = loading.load("xception", weights=None)
    book = Textbook(graph.at_size(backbone, LAYER, SIZE))
    request = RenderRequest(ModelRef("xception", None), LAYER, tuple(range(64)), size=SIZE)
    turn = iter(range(10**6))

    def first() -> None:
        next(shot for shot in mosaic.run(request) if isinstance(shot, Mosaic))

    printed, ours = alternately(3, lambda: book.generate_filter_pattern(next(turn)), first)
    yield Row("first picture of 64 tiles", "the textbook's 64", "≤ 1/50", f"1/{64 * printed / ours:.0f}")


def _against_tf_keras_vis(full: bool) -> Iterator[Row]:
    from tests.benchmarks import keras_vis

    backbone = loading.load("vgg16", weights=None)
    steps, filters = 8, range(8)

    def ours() -> None:
        *_, _end = render(
            backbone,
            channel("block3_conv1", 0),
            filters,
            parameterisation=pixels(224),
            steps=steps,
            report_every=steps,
            batch=2,  # as `tuning.batch` says
            precision=precision,
        )

    for precision in ("float32", "bfloat16") if tuning.has_bfloat16() else ("float32",):
        theirs = keras_vis.ascent(graph.at_size(backbone, "block3_conv1", 224), filters, steps)
        vis, own = alternately(3, theirs, ours)
        yield Row(f"a step, VGG16 block3_conv1, {precision}", "tf-keras-vis", "≥ 2×", f"{vis / own:.1f}×")


def _embedded_model(full: bool) -> Iterator[Row]:
    for layer in ("block1_project_bn", "block5_project_bn", "block10_project_bn") if full else ("block5_project_bn",):
        request = RenderRequest(ModelRef("efficientnet_lite0"), layer, tuple(range(64)), method="lucid", size=128)
        *_, end = mosaic.run(request)
        words = f"{end.seconds_to_first_picture:.1f} s, {end.seconds:.1f} s"
        yield Row(f"EfficientNet-Lite0 {layer}, first, all", "–", "≤ 3 s, ≤ 40 s", words)


_PEAK = """
import resource, sys
from core.featurevis import mosaic
from core.messages import ModelRef, RenderRequest
count, size = map(int, sys.argv[1:])
request = RenderRequest(ModelRef("xception", None), "block4_sepconv1", tuple(range(count)), "fast", size, steps=2)
for shot in mosaic.run(request):
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _memory(full: bool) -> Iterator[Row]:
    size = SIZE if full else 128
    few, many = (
        int(subprocess.run([sys.executable, "-c", _PEAK, str(count), str(size)], **_QUIET).stdout.split()[-1])
        for count in (8, 512)
    )
    yield Row("memory of 512 filters", "8 filters", "≤ 1.2×", f"{many / few:.2f}×")


_QUIET = {"cwd": ROOT, "text": True, "check": True, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}

_ROWS = (
    *(_against_the_textbook, _scores_on_real_weights, _first_pictures),
    *(_against_tf_keras_vis, _embedded_model, _memory),
)
