"""A finished run in forms for elsewhere: SavedModel, LiteRT, a report. Each model is checked before it is offered."""

from __future__ import annotations

import contextlib
import math
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from core import runs, storage
from core.backbones import imported
from core.backbones.fresh_thread import in_fresh_thread
from core.errors import UserError
from core.messages import Progress
from core.transfer import forms, reporting
from core.transfer.finished import finished
from core.transfer.requests import Exported, ExportRequest

PROBES = 8  # photos on which two forms of a network are compared
MOST_APART = 1e-3  # of a probability, between two ways of computing the same network
ROOM = 6  # times the size of the network's file, while it is written, packed and compared
Answers = Callable[[np.ndarray], np.ndarray]


def run(request: ExportRequest) -> Iterator[Progress | Exported]:
    """Make `request.form` of a run and keep it in the run's folder, whole or not at all.

    Networks must give the `.keras` file's probabilities first. Raises `UserError` for an unknown form, and where the
    run, or room on the disk, is missing.
    """
    if request.form not in forms.MADE:
        raise UserError(f"There is no form named {request.form!r}. Choose one of {', '.join(forms.MADE)}.")
    folder = Path(request.run)
    if not (folder / runs.MODEL).is_file():
        raise UserError("This run has no trained network on this machine any more. Train it again to have it back.")
    made = reporting.make(folder) if request.form == "report" else _network(folder, request.form)
    yield forms.note(request, (yield from made))


def _network(folder: Path, form: str) -> Iterator[Progress]:
    """Write the network in another form; returns how it was checked."""
    yield Progress("Opening the network", 0.05)
    needs = ROOM * (folder / runs.MODEL).stat().st_size
    if storage.free_bytes(folder) < needs:
        raise UserError(f"There is no room on the disk: {needs / 1e6:,.0f} MB are needed for a while. Make room.")
    model = imported.open_model(folder / runs.MODEL).model
    yield Progress("Reading a few of its photos", 0.1)
    photos, whose = probes(folder, model.input_shape[1:3])
    expected = np.asarray(model(tf.constant(photos), training=False))
    words = forms.FORMS[form].title
    yield Progress(f"Writing it as {words}; this takes {forms.FORMS[form].takes}", 0.2)
    with _workshop(folder) as temporary:
        write, answers = _WAYS[form]
        file = in_fresh_thread(lambda: write(model, temporary, folder))
        yield Progress("Comparing its answers with the network's", 0.85)
        apart = largest_difference(answers(file)(photos), expected, words)
        yield Progress("Keeping it", 0.95)
        _keep(file, folder / forms.FORMS[form].file_name)
    same = f"the same probabilities, to within {rounded_up(apart)}" if apart else "exactly the same probabilities"
    return f"Checked: for {whose} it gives {same}."


@contextlib.contextmanager
def _workshop(folder: Path) -> Iterator[Path]:
    """A folder beside what is being made, gone afterwards. Raises `UserError` where the disk fills up meanwhile, which
    TensorFlow's errors call a lack of resources, as they do a lack of memory."""
    temporary = storage.beside(folder / "export")
    try:
        temporary.mkdir(mode=0o700)
        yield temporary
    except (OSError, tf.errors.OpError) as error:
        if storage.free_bytes(folder) >= storage.LITTLE:
            raise
        raise UserError(f"The disk with {folder} is full. Make room there, and ask for the file again.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def probes(folder: Path, size: tuple[int, int]) -> tuple[np.ndarray, str]:
    """A few of the run's validation photos, `float32[N, H, W, 3]`, or noise where they are gone; and what they are."""
    try:
        splits = finished(folder).splits
        photos = splits.dataset.photos[splits.validation[:PROBES]].astype(np.float32)
        if photos.shape[1:3] == tuple(size):
            return photos, f"{len(photos)} validation photos"
    except UserError:
        pass  # the photos of a run may be gone, and its network is worth as much
    noise = np.random.default_rng(0).integers(0, 256, (PROBES, *size, 3)).astype(np.float32)
    return noise, f"{PROBES} pictures of noise (its photos are no longer here)"


def largest_difference(got: np.ndarray, expected: np.ndarray, words: str) -> float:
    """The largest difference of two `float[N, C]`; raises `UserError` where it is more than rounding can explain."""
    apart = float(np.max(np.abs(got - expected))) if got.shape == expected.shape else float("inf")
    if not apart <= MOST_APART:
        raise UserError(
            f"As {words} this network gives other answers than before, so it is not offered. "
            "Take the Keras model home instead."
        )
    return apart


def rounded_up(difference: float) -> str:
    """A small number above 0 with one digit, never too small: 2.1e-7 -> "0.0000003"."""
    places = max(1, -math.floor(math.log10(difference)))
    return f"{math.ceil(difference * 10**places) / 10**places:.{places}f}"


def _write_saved_model(model: keras.Model, temporary: Path, run_folder: Path) -> Path:
    """A folder with the model and the names of its classes."""
    target = temporary / "savedmodel"
    model.export(str(target), format="tf_saved_model", verbose=False)
    names = runs.read_report(run_folder)
    if names is not None:
        (target / runs.LABELS).write_text("\n".join(names.classes) + "\n", encoding="utf-8")
    return target


def _saved_model_answers(folder: Path) -> Answers:
    loaded = tf.saved_model.load(str(folder))
    return lambda photos: loaded.serve(tf.constant(photos)).numpy()


def _write_lite(model: keras.Model, temporary: Path, run_folder: Path) -> Path:
    target = temporary / "model.tflite"
    model.export(str(target), format="litert", verbose=False)
    return target


def _lite_answers(file: Path) -> Answers:
    interpreter = _interpreter(file)
    where, answer = (details[0]["index"] for details in _details(interpreter))

    def answers(photos: np.ndarray) -> np.ndarray:
        interpreter.resize_tensor_input(where, photos.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(where, photos)
        interpreter.invoke()
        return interpreter.get_tensor(answer)

    return answers


def _details(interpreter: tf.lite.Interpreter) -> tuple[list, list]:
    return interpreter.get_input_details(), interpreter.get_output_details()


def _interpreter(file: Path) -> tf.lite.Interpreter:
    """TensorFlow's own, as long as it has one; it is moving to a package of its own."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        Interpreter = tf.lite.Interpreter
    return Interpreter(model_path=str(file))


_WAYS = {"savedmodel": (_write_saved_model, _saved_model_answers), "tflite": (_write_lite, _lite_answers)}


def _keep(made: Path, target: Path) -> None:
    """Put a file, or a folder as a ZIP, in its place."""
    files = sorted(path for path in made.rglob("*") if path.is_file()) if made.is_dir() else [made]
    needs = sum(path.stat().st_size for path in files)

    def write(path: Path) -> None:
        if made.is_dir():
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                for file in files:
                    archive.write(file, file.relative_to(made.parent))
        else:
            made.replace(path)

    storage.write_atomically(target, write, needs=needs)
