"""The command line: `python -m core`, thin over the functions that the pages use.

Results alone go to stdout, progress to stderr. An error is one sentence and exit status 2; an interruption 130.
TensorFlow is imported inside the commands that need it, so that `--help` is there at once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core import archives, images, model_command, serve_command, storage, text_command, training_command
from core.attribution_choices import METHODS as WHY
from core.backbones import answers, mistaken, model_archive
from core.backbones.catalogue import CATALOGUE, availability
from core.dream_choices import suggested_layers
from core.errors import OUT_OF_MEMORY, TooLarge, UserError
from core.messages import (
    ActivationsRequest,
    Dream,
    DreamRequest,
    ModelRef,
    Mosaic,
    Photo,
    Portrait,
    PortraitRequest,
    PredictRequest,
    Progress,
    RenderRequest,
    WhyRequest,
    own_size,
)
from core.training_command import whole
from core.transfer import checks
from core.transfer.requests import TrainingSnapshot

if TYPE_CHECKING:
    from core.backbones.backbone import Backbone

REFUSED, INTERRUPTED = 2, 130
KERAS_MEMBERS = (b"metadata.json", b"config.json", b"model.weights.h5")
SUFFIXES = {
    "image": (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".heif", ".avif", ".svg"),
    "zip": (".zip",),
    "model": (*model_command.SUFFIXES, *mistaken.SUFFIXES),
    "names": (".txt", ".csv", ".json"),
}
SMALLEST_MAP = 32
VECTOR_SQUARE = 16
EXAMPLES = """\
examples:
  python -m core models
  python -m core layers --model efficientnet_lite0
  python -m core predict --model efficientnet_lite0 --image cat
  python -m core activations --model efficientnet_lite0 --image cat.jpg --layer block3_expand_activation --out results
  python -m core why --model efficientnet_lite0 --image cat --class 282 --method gradcam --out results
  python -m core why --model moods.keras --text "not bad at all"
  python -m core mosaic --model efficientnet_lite0 --layer block5_project_bn --filters 0:16 --out results
  python -m core dream --model efficientnet_lite0 --image cat --out results
  python -m core dream --model efficientnet_lite0 --image cat --layer block9_add --layer block10_add:2 --out results
  python -m core train --data chessman --backbone efficientnet_lite0 --epochs 5 --out results
  python -m core check photos.zip
  python -m core serve --class --name labpc

A model is a name from `models` or the path of a .keras or .h5 file. Weights that are not here are downloaded where
there is a network; `--weights none` takes random (untrained) ones. An image is a file or the name of a sample photo.
"""


@dataclass(frozen=True)
class Answer:
    """What a command found: `lines` for people, `data` for `--json`, and the exit status."""

    lines: tuple[str, ...]
    data: Any = None
    status: int = 0


def main(argv: list[str] | None = None) -> int:
    """Run one command and return the exit status; argparse itself exits with 2 where the arguments are wrong."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a Windows console may lack a sign
    args = _parser().parse_args(argv)
    progress = _ProgressLine()
    try:
        # Keras reports its downloads on stdout, which belongs to the results.
        with contextlib.redirect_stdout(sys.stderr):
            answer = args.run(args, progress)
        progress.clear()
        print(_json(answer.data) if getattr(args, "json", False) else "\n".join(answer.lines), flush=True)
        return answer.status
    except UserError as error:
        progress.clear()
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read the results has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except TooLarge:
        progress.clear()
        print("There is too little memory for so many images at once. Run it again: it takes half.", file=sys.stderr)
        return 2
    except Exception as error:
        # TensorFlow's own error is not known here without loading it.
        if not isinstance(error, MemoryError) and type(error).__name__ != "ResourceExhaustedError":
            raise
        progress.clear()
        print(OUT_OF_MEMORY, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        progress.clear()
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED


def list_models(args: argparse.Namespace, progress: _ProgressLine) -> Answer:
    rows = [
        {
            "name": entry.name,
            "family": entry.family,
            "parameters": entry.parameters,
            "input_size": entry.input_size,
            "weights": availability(entry),
        }
        for entry in CATALOGUE.values()
    ]
    return Answer(_table(rows), rows)


def list_layers(args: argparse.Namespace, progress: _ProgressLine) -> Answer:
    backbone = _load(model_command.chosen(args), progress)
    rows = [
        {
            "name": layer.name,
            "type": layer.type,
            "output_shape": layer.output_shape,
            "parameters": layer.parameters,
            "multiply_adds": layer.multiply_adds,
            "receptive_field": layer.receptive_field,
            "stride": layer.stride,
        }
        for layer in backbone.layers
    ]
    shown = [
        {
            **row,
            "receptive_field": row["receptive_field"] or "whole photo",
            "stride": "" if row["stride"] is None else tuple(f"{each:g}" for each in row["stride"]),
        }
        for row in rows
    ]
    if backbone.reads == "text":
        shown = [dict(list(row.items())[:4]) for row in shown]  # the rest is about photos
    return Answer(_table(shown), rows)


def predict(args: argparse.Namespace, progress: _ProgressLine) -> Answer:
    if args.text is not None:
        return Answer(*text_command.predict(_load_reader(args, progress), args, progress.note))
    photo = _photo(args.image)
    backbone = _load_reader(args, progress)
    from core import activations

    found = activations.predict(PredictRequest(backbone.ref, photo, args.top))
    rows = [{"index": each.index, "name": each.name, "probability": each.probability} for each in found]
    return Answer(tuple(f"{each.probability:7.2%}  {each.name} ({each.index})" for each in found), rows)


def save_activations(args: argparse.Namespace, progress: _ProgressLine) -> Answer:
    out = _out(args.out)
    if args.text is not None:
        backbone = _load_reader(args, progress)
        return Answer(text_command.save_activations(backbone, args, out, progress.note, channels_picture))
    photo = _photo(args.image)
    backbone = _load_reader(args, progress)
    backbone.layer(args.layer)
    from core import activations

    values = activations.infer(ActivationsRequest(backbone.ref, photo, (args.layer,))).values[args.layer]
    stem = args.layer.replace("/", ".")
    numbers, picture = out / f"{stem}.npz", out / f"{stem}.png"
    storage.write_atomically(numbers, lambda path: np.savez(path, activations=values), needs=values.nbytes)
    storage.write_bytes(picture, images.encode_png(channels_picture(values)))
    return Answer((str(numbers), str(picture)))


def save_why(args: argparse.Namespace, progress: _ProgressLine) -> Answer:
    out = None if args.out is None else _out(args.out)
    if args.text is not None:
        return Answer(text_command.save_why(_load_reader(args, progress), args, out, progress.note))
    if out is None:
        raise UserError("Say with --out which folder the results go to.")
    photo = _photo(args.image)
    if args.method not in WHY:
        raise UserError(f"--method must be one of {', '.join(WHY)}, not {args.method}.")
    backbone = _load_reader(args, progress)
    from core import activations, plots
    from core.attribution import explain

    target = args.target
    if target is None:
        target = activations.predict(PredictRequest(backbone.ref, photo, 1))[0].index
    for why in explain(WhyRequest(backbone.ref, photo, target, args.method, args.layer, args.seed)):
        progress(f"Step {why.step} of {why.steps}")
    stem = f"why_{Path(args.image).stem}_{target}_{args.method}"
    numbers, picture = out / f"{stem}.npz", out / f"{stem}.png"
    found = {"heat": why.heat, "seen": why.seen, "target": target, "score": why.score, "probability": why.probability}
    storage.write_atomically(numbers, lambda path: np.savez(path, **found), needs=why.heat.nbytes + why.seen.nbytes)
    drawn = plots.heat_picture(plots.heat_look(why.heat, why.signed), why.seen, strength=0.8)
    storage.write_bytes(picture, images.encode_png(drawn))
    said = f"{activations.class_name(backbone, target)} ({target}): {why.probability:.2%}, score {why.score:.3f}"
    return Answer((said, str(numbers), str(picture)))


def save_mosaic(args: argparse.Namespace, progress: _ProgressLine) -> Answer:
    out = _out(args.out)
    backbone = _load_reader(args, progress)
    requests = [_render_request(args, backbone, layer) for layer in dict.fromkeys(args.layer)]
    if args.method == "maco":
        return _save_portraits(requests, out, progress)
    from core.featurevis import mosaic

    files: list[str] = []
    for place, request in enumerate(requests):
        which = f"{request.layer} ({place + 1} of {len(requests)}): " if len(requests) > 1 else ""
        for snapshot in mosaic.run(request):
            progress(f"{which}{_step_words(snapshot)}")
        stem = mosaic.file_stem(request.layer)
        picture, facts = out / f"{stem}.png", out / f"{stem}.json"
        names = ("filters", "scores", "seconds", "seconds_to_first_picture", "precision", "batch")
        storage.write_bytes(picture, snapshot.png)
        storage.write_bytes(facts, f"{_json({name: getattr(snapshot, name) for name in names})}\n".encode())
        files += [str(picture), str(facts)]
    return Answer(tuple(files))


def _save_portraits(requests: list[RenderRequest], out: Path, progress: _ProgressLine) -> Answer:
    """Each filter as one large picture: its method is not for mosaics."""
    from core.featurevis import portrait

    wanted = [(request, number) for request in requests for number in request.filters]
    names = ("method", "size", "seed", "precision", "objective", "steps", "learning_rate")
    files: list[str] = []
    for place, (request, number) in enumerate(wanted):
        given = {name: getattr(request, name) for name in names}
        for snapshot in portrait.run(PortraitRequest(request.model, request.layer, number, **given)):
            progress(f"Filter {number} of {request.layer} ({place + 1} of {len(wanted)}): {_step_words(snapshot)}")
        stem = portrait.file_stem(request.layer, number)
        picture, facts = out / f"{stem}.png", out / f"{stem}.json"
        found = {"filter": number, "score": snapshot.frames[-1].score, "trust": asdict(snapshot.trust)}
        found |= {name: getattr(snapshot, name) for name in ("steps", "seconds", "precision")}
        storage.write_bytes(picture, snapshot.png)
        storage.write_bytes(facts, f"{_json(found)}\n".encode())
        files += [str(picture), str(facts)]
    return Answer(tuple(files))


def _render_request(args: argparse.Namespace, backbone: Backbone, layer: str) -> RenderRequest:
    filters = args.filters or ((0,) if args.method == "maco" else (slice(64),))
    return RenderRequest(
        model=backbone.ref,
        layer=layer,
        filters=_chosen(filters, backbone.layer(layer).channels or 0),
        method=args.method,
        size=args.size or own_size(args.method),
        steps=args.steps,
        learning_rate=args.learning_rate,
        seed=args.seed,
        precision=args.precision,
        objective=args.objective,
    )


def save_dream(args: argparse.Namespace, progress: _ProgressLine) -> Answer:
    photo, out = _photo(args.image), _out(args.out)
    backbone = _load_reader(args, progress)
    layers = tuple(_weighted(text, backbone) for text in args.layer or ()) or suggested_layers(backbone.info())
    from core.featurevis import dream

    request = DreamRequest(
        model=backbone.ref,
        photo=photo,
        layers=layers,
        size=args.size,
        octaves=args.octaves,
        octave_scale=args.octave_scale,
        steps=args.steps,
        learning_rate=args.learning_rate,
        seed=args.seed,
    )
    for snapshot in dream.run(request):
        progress(_step_words(snapshot))
    picture = out / f"dream_{Path(args.image).stem}.png"
    storage.write_bytes(picture, snapshot.png)
    return Answer((str(picture),))


def _weighted(text: str, backbone: Backbone) -> tuple[str, float]:
    """ "block10_add" or "block10_add:0.5"; a colon may also belong to a layer's name."""
    name, colon, weight = text.rpartition(":")
    if not colon or any(layer.name == text for layer in backbone.layers):
        return text, 1.0
    try:
        return name, float(weight)
    except ValueError as error:
        raise UserError(
            f"--layer must be a layer's name, or its name:weight such as {name}:0.5, not {text}."
        ) from error


def bench(args: argparse.Namespace, progress: _ProgressLine) -> Answer:
    os.environ["LAYERSCOPE_DRAWINGS"] = "0"  # what is found was not drawn, and tells nothing of how long that takes
    _start_tensorflow()
    try:
        from tests.benchmarks import table
    except ImportError as error:
        raise UserError(
            f"The benchmarks need {error.name}: run them in Layerscope's own folder, after "
            "`pip install -r tests/requirements.txt`."
        ) from error
    rows = [row.facts() for row in table.measure(full=args.full, progress=progress)]
    return Answer(_table(rows), rows)


def train(args: argparse.Namespace, progress: _ProgressLine) -> Answer:
    out = _out(args.out)
    # A slip of the pen is told before TensorFlow has started.
    name = training_command.backbone_of(args)
    config = training_command.config_of(
        args, model_command.with_answers(model_command.ref_of(name, args.weights), args), str(out)
    )
    checks.check(config)
    progress("TensorFlow is starting")
    devices = training_command.devices_of(args)
    _load(config.backbone, progress)
    from core.transfer import training

    for snapshot in training.run(config, strategy=devices.strategy, writes=devices.is_chief):
        progress(_training_words(snapshot))
    if not devices.is_chief:
        return Answer(("Trained; the results are with the chief.",))
    files = [str(out / name) for name in ("model.keras", "history.csv", "report.json")]
    report = snapshot.report
    test = "" if report.test_accuracy is None else f", test accuracy {report.test_accuracy:.1%}"
    return Answer((f"validation accuracy {report.validation_accuracy:.1%}{test}", *report.notes, *files))


def serve(args: argparse.Namespace, progress: _ProgressLine) -> Answer:
    serve_command.serve(args)


def check(args: argparse.Namespace, progress: _ProgressLine) -> Answer:
    path, called = Path(args.file), archives.clean(args.file, 4096)
    if not path.is_file() and not path.is_dir():
        raise UserError(f"There is no file {called}. Give the path of a picture, a ZIP, a folder, a model or a list.")
    progress(f"Looking into {archives.clean(path.name)}")
    kind = kind_of(path)
    try:
        accepted, reason = True, _inspect(path, kind)
    except UserError as error:
        accepted, reason = False, str(error)
    facts = {"file": args.file, "kind": kind, "accepted": accepted, "reason": reason}
    line = f"{called}: {kind}, {'accepted' if accepted else 'refused'}. {reason}"
    return Answer((line,), facts, status=0 if accepted else REFUSED)


def kind_of(path: Path) -> str:
    """ "image", "zip", "model", "names" or "folder" by what is in it; where that says nothing, by its name; else
    "unknown"."""
    if path.is_dir():
        return "model" if (path / "saved_model.pb").exists() else "folder"
    head = _head(path)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "model"
    if head.startswith(b"PK"):
        first = head[30 : 30 + int.from_bytes(head[26:28], "little")]
        is_model = first in KERAS_MEMBERS or path.suffix.lower() == ".keras" or model_archive.kind(path) is not None
        return "model" if is_model else "zip"
    if images.looks_like_picture(head):
        return "image"
    return next((kind for kind, suffixes in SUFFIXES.items() if path.suffix.lower() in suffixes), "unknown")


def channels_picture(values: np.ndarray) -> np.ndarray:
    """A layer's answer, `float[H, W, C]`, `float[C]`, `float[T, C]` or `float[D, H, W, C]`, as one picture:
    `uint8[h, w, 3]`.

    The channels lie side by side, row by row, all on one scale from the least value to the greatest; of a sequence
    there is a row for each step and a column for each unit, of a volume a row of slices for each channel. Maps smaller
    than 32 pixels are enlarged by whole numbers; each number of a vector becomes a square of 16 pixels.
    """
    if values.ndim not in (1, 2, 3, 4):
        raise UserError(f"This layer's output has the shape {list(values.shape)}, which cannot be drawn.")
    maps, columns = _as_maps(values)
    side = VECTOR_SQUARE if values.ndim == 1 else SMALLEST_MAP
    times = max(1, math.ceil(side / max(maps.shape[:2])))
    finite = maps[np.isfinite(maps)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    tiles = [
        images.colourise(np.kron(maps[:, :, channel], np.ones((times, times))), low, high)
        for channel in range(maps.shape[2])
    ]
    return images.stitch(np.stack(tiles), columns=columns, margin=2, background=255)


def _as_maps(values: np.ndarray) -> tuple[np.ndarray, int]:
    """The maps to be drawn, `float[H, W, n]`, and how many of them stand in a row."""
    if values.ndim == 2:
        return values[:, :, None], 1
    if values.ndim == 4:
        depth, height, width, channels = values.shape
        return values.transpose(1, 2, 3, 0).reshape(height, width, channels * depth), depth
    maps = values.reshape((1, 1, -1)) if values.ndim == 1 else values
    return maps, math.ceil(math.sqrt(maps.shape[2]))


class _ProgressLine:
    """Says on stderr what is happening: on one line of a terminal, else a line a second at most."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._said = ""
        self._when = -math.inf

    def __call__(self, words: str) -> None:
        if self._is_terminal:
            words = words[: shutil.get_terminal_size().columns - 1]
            print(f"\r{words.ljust(len(self._said))}", end="", file=sys.stderr, flush=True)
            self._said = words
        elif words != self._said and time.monotonic() - self._when >= 1:
            print(words, file=sys.stderr, flush=True)
            self._said, self._when = words, time.monotonic()

    def note(self, words: str) -> None:
        """A sentence that stays."""
        self.clear()
        print(words, file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._is_terminal and self._said:
            print(f"\r{' ' * len(self._said)}\r", end="", file=sys.stderr, flush=True)
            self._said = ""


def _load(ref: ModelRef, progress: _ProgressLine) -> Backbone:
    progress(f"Loading {ref.name}")
    _start_tensorflow()
    from core.backbones import loading

    for step in loading.load_steps(ref):
        if isinstance(step, Progress):
            progress(step.words)
    for note in step.notes:
        progress.note(note)
    return step


def _load_reader(args: argparse.Namespace, progress: _ProgressLine) -> Backbone:
    """The network of `args`, which must read what it is given."""
    backbone = _load(model_command.chosen(args), progress)
    text_command.check(backbone, args)
    for note in model_command.guesses(backbone, names=args.run in (predict, save_why)):
        progress.note(note)
    return backbone


def _start_tensorflow() -> None:
    """Import TensorFlow and find the devices, in silence.

    It notes on the process's own stderr, past `sys.stderr` and whatever `TF_CPP_MIN_LOG_LEVEL` says, which GPU it has
    not found.
    """
    with _silence():
        import tensorflow as tf

        from core import device

        device.prepare()
        tf.config.list_logical_devices()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _photo(image: str) -> Photo:
    from core import samples

    if Path(image).exists():
        return images.photo(images.read(Path(image)), image)
    names = [sample.name for sample in samples.PHOTOGRAPHS]
    if image in names:
        return samples.photograph(image)
    raise UserError(f"There is no image {image}. Give a file, or a sample photo: {', '.join(names)}.")


def _out(folder: str) -> Path:
    """The folder for the results, made before the work begins and not after it."""
    path = Path(folder).expanduser()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"The folder {folder} cannot be made. Give another one with --out.") from error
    if not os.access(path, os.W_OK):
        raise UserError(f"The folder {folder} may not be written to. Give another one with --out.")
    return path


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except OSError as error:
        raise UserError(f"{path} cannot be read. Check who may read it.") from error


def _inspect(path: Path, kind: str) -> str:
    """What an accepted file holds, in a sentence; raises `UserError` with the reason for one that is refused."""
    if kind in ("zip", "folder"):
        from core.transfer import datasets

        return datasets.inspect(path)
    if kind == "model":
        _start_tensorflow()
        from core.backbones import imported

        return imported.inspect(path)
    if kind == "names":
        names = answers.read_names(path, "class names")
        return f"A list of {len(names):,} names: {', '.join(names[:5])}{' …' if len(names) > 5 else ''}"
    with _silence():  # libtiff complains past Python
        height, width, _ = images.decode(images.read(path), path.name).shape
    return f"A picture of {width} × {height} pixels."


def _chosen(parts: Sequence[int | slice], channels: int) -> tuple[int, ...]:
    numbers: list[int] = []
    for part in parts:
        numbers += range(channels)[part] if isinstance(part, slice) else [part]
    if channels and not numbers:
        raise UserError(f"--filters chooses none of this layer's {channels} filters, 0 to {channels - 1}.")
    return tuple(numbers)


def _step_words(snapshot: Progress | Mosaic | Portrait | Dream) -> str:
    if isinstance(snapshot, Progress):
        return snapshot.words
    return f"Step {snapshot.step} of {snapshot.steps}{_left(snapshot.seconds_left)}"


def _training_words(snapshot: TrainingSnapshot) -> str:
    if snapshot.phase not in ("head", "fine-tuning", "scratch"):
        return snapshot.words
    loss = f", loss {snapshot.batch_losses[-1]:.3f}" if snapshot.batch_losses else ""
    return f"{snapshot.words}, step {snapshot.step} of {snapshot.steps}{loss}{_left(snapshot.seconds_left)}"


def _left(seconds: float | None) -> str:
    return f", about {seconds:.0f} s left" if seconds else ""


def _table(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    """The rows in columns under their names; numbers to the right."""
    lines = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    right = [isinstance(value, int) for value in rows[0].values()]
    return tuple(
        "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def _cell(value: Any) -> str:
    if isinstance(value, tuple):
        return " × ".join("?" if part is None else str(part) for part in value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _json(data: Any) -> str:
    return json.dumps(_finite(data), indent=2, allow_nan=False)


def _finite(data: Any) -> Any:
    """JSON has no NaN and no infinity: `null` stands for them."""
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


class _Parser(argparse.ArgumentParser):
    """Says in one sentence what is wrong with the arguments."""

    def error(self, message: str) -> None:
        self.exit(2, f"{message[0].upper()}{message[1:]}. `{self.prog} --help` explains the arguments.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m core",
        description="What a convolutional network has learned: its layers' answers, its filters, and training it anew.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Command, summary: str, *options: Callable[[argparse.ArgumentParser], None]) -> _Parser:
        added = commands.add_parser(name, help=summary, description=summary)
        added.set_defaults(run=run)
        for option in options:
            option(added)
        return added

    command("models", list_models, "List the models there are, and where their weights are.", _json_option)
    model = model_command.add_options
    command("layers", list_layers, "List a model's layers.", model, _json_option)
    reads = text_command.add_input
    added = command("predict", predict, "Say what is in a photo, or what a text is.", model, reads, _json_option)
    added.add_argument("--top", type=whole(1), default=5, metavar="N", help="how many classes (default: %(default)s)")
    options = (model, reads, _layer_option, _out_option)
    words = "Save a layer's answer to a photo as L.npz and L.png, to a text also as L.csv."
    command("activations", save_activations, words, *options)
    options = (model, reads, _why_options)
    words = "Save which places speak for a class: why_IMAGE_CLASS_METHOD.png and .npz; or say which words do."
    added = command("why", save_why, words, *options)
    added.add_argument("--out", metavar="DIR", help="the folder for the results; made if need be; not needed for text")
    options = (model, _layers_option, _mosaic_options, _out_option)
    command("mosaic", save_mosaic, "Draw what a layer's filters look for: filters_for_layer_L.png and .json.", *options)
    options = (model, _image_option, _dream_options, _out_option)
    command("dream", save_dream, "Have a network exaggerate what it sees in a photo: dream_IMAGE.png.", *options)
    command("train", train, "Train a classifier: model.keras, history.csv, report.json.", _train_options, _out_option)
    added = command("bench", bench, "Measure ourselves against the textbook's code and tf-keras-vis.", _json_option)
    added.add_argument("--full", action="store_true", help="all rows, with all filters: half an hour")
    command("serve", serve, "Serve the app: to this machine alone, or to a class.", serve_command.add_options)
    added = command("check", check, "Say what a file is, and whether it is accepted (exit 0) or not (2).", _json_option)
    words = "a picture, a ZIP or folder of class folders, a .keras or .h5 model, or a list of classes' names"
    added.add_argument("file", metavar="FILE", help=words)
    return parser


def _json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _image_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--image", required=True, metavar="FILE", help="a photo, or the name of a sample such as cat")


def _layer_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--layer", required=True, metavar="L", help="a name from `layers`")


def _layers_option(parser: argparse.ArgumentParser) -> None:
    words = "a name from `layers`; several times for several layers, one after the other"
    parser.add_argument("--layer", required=True, action="append", metavar="L", help=words)


def _out_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, metavar="DIR", help="the folder for the results; made if need be")


def _why_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    words = "the class's number, as `predict` tells it (default: the most probable one)"
    add("--class", dest="target", type=whole(0), metavar="N", help=words)
    add("--method", default="gradcam", metavar="M", help=f"one of {', '.join(WHY)} (default: %(default)s)")
    add("--layer", metavar="L", help="whose maps, for gradcam, gradcampp, layercam and scorecam (default: the last)")
    add("--seed", type=whole(0), default=WhyRequest.seed, metavar="N", help="of smoothgrad's noise")


def _mosaic_options(parser: argparse.ArgumentParser) -> None:
    add, default = parser.add_argument, " (default: %(default)s)"
    words = "such as 0:64 or 3,5,9 (default: 0:64; for maco, which draws each one large, 0)"
    add("--filters", type=_filters, metavar="0:64", help=words)
    add("--method", default=RenderRequest.method, metavar="textbook|fast|lucid|maco", help="the recipe" + default)
    words = "channel, neuron (the middle of the map) or class (of the last layer)"
    add("--objective", default=RenderRequest.objective, metavar="O", help=words + default)
    words = "float32, bfloat16, or auto: the faster one here"
    add("--precision", default=RenderRequest.precision, metavar="P", help=words + default)
    words = "side of a picture in pixels (default: the method's own: lucid 128, maco 512, else 200)"
    add("--size", type=whole(1), metavar="N", help=words)
    add("--steps", type=whole(1), metavar="N", help="steps uphill (default: the method's own)")
    add("--learning-rate", type=float, metavar="X", help="step length (default: the method's own)")
    add("--seed", type=whole(0), default=RenderRequest.seed, metavar="N", help="of the random start" + default)


def _dream_options(parser: argparse.ArgumentParser) -> None:
    add, default, request = parser.add_argument, " (default: %(default)s)", DreamRequest
    words = "a layer to excite and how strongly; several times for several (default: what suits the model)"
    add("--layer", action="append", metavar="L[:WEIGHT]", help=words)
    add("--size", type=whole(1), default=request.size, metavar="N", help="longer side in pixels" + default)
    add("--octaves", type=whole(1), default=request.octaves, metavar="N", help="sizes, small to full" + default)
    add("--octave-scale", type=float, default=request.octave_scale, metavar="X", help="from one to the next" + default)
    add("--steps", type=whole(1), default=request.steps, metavar="N", help="steps uphill in each octave" + default)
    add("--learning-rate", type=float, default=request.learning_rate, metavar="X", help="mean change a step" + default)
    add("--seed", type=whole(0), default=request.seed, metavar="N", help="of the random shifts" + default)


def _train_options(parser: argparse.ArgumentParser) -> None:
    training_command.add_options(parser)
    model_command.add_weights_option(parser)
    model_command.add_answers(parser)


def _filters(text: str) -> tuple[int | slice, ...]:
    """ "0:64" or "3,5,9" or both: numbers, and ranges as Python writes them."""
    try:
        return tuple(_filter_part(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be like 0:64 or 3,5,9, not {text!r}") from error


def _filter_part(part: str) -> int | slice:
    if ":" not in part:
        return int(part)
    limits = [int(limit) if limit.strip() else None for limit in part.split(":")]
    if len(limits) > 3 or limits[2:] == [0]:
        raise ValueError(part)
    return slice(*limits)


Command = Callable[[argparse.Namespace, _ProgressLine], Answer]

if __name__ == "__main__":
    sys.exit(main())
