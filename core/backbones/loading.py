"""From a name to a `Backbone`: building, weights, progress, and one shared copy for everybody."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from core import storage
from core.backbones import (
    answers,
    efficientnet_lite,
    faults,
    graph,
    imported,
    limits,
    receptive,
    sizes,
    understanding,
)
from core.backbones.backbone import Backbone
from core.backbones.catalogue import CatalogueEntry, find, imagenet_class_names, weights_path
from core.backbones.fresh_thread import in_fresh_thread
from core.backbones.preprocessing import PREPROCESSING
from core.errors import UserError
from core.messages import ModelInfo, ModelRef, Progress

_KEPT = 4  # models; four of the large ones are about 2 GB
_SEED = 0
_CHUNK = 1 << 20
_REACH_SECONDS = 1.0
_STALL_SECONDS = 30.0

_DRAWN = (  # a layer's weight, and what draws it
    ("kernel", "kernel_initializer"),
    ("kernel", "depthwise_initializer"),
    ("depthwise_kernel", "depthwise_initializer"),
    ("pointwise_kernel", "pointwise_initializer"),
    ("bias", "bias_initializer"),
    ("gamma", "gamma_initializer"),
    ("beta", "beta_initializer"),
    ("moving_mean", "moving_mean_initializer"),
    ("moving_variance", "moving_variance_initializer"),
    ("alpha", "alpha_initializer"),
)

_loaded: OrderedDict[Any, Backbone] = OrderedDict()
_locks: dict[Any, threading.Lock] = {}
_guard = threading.Lock()  # of the two dictionaries; never held while a model is being built


def load(name_or_ref: str | ModelRef, *, weights: str | None = "imagenet") -> Backbone:
    """The backbone of that name, path or reference; shared by everyone in this process, so never modify its model.

    `weights` is "imagenet", `None` (random, always the same) or the path of a file of weights. Raises `UserError` where
    the name is unknown, the weights are not here and cannot be fetched, or a file is refused.
    """
    ref = name_or_ref if isinstance(name_or_ref, ModelRef) else ModelRef(name_or_ref, weights)
    return _last(load_steps(ref))


def describe(ref: ModelRef) -> Iterator[Progress | ModelInfo]:
    """`load_steps` for those who only want to know what is in the model: the last item is its `ModelInfo`."""
    for step in load_steps(ref):
        yield step.info() if isinstance(step, Backbone) else step


def load_steps(ref: ModelRef) -> Iterator[Progress | Backbone]:
    """Load the model and say how far it is; the last item is the `Backbone`. Concurrent callers load it once.

    The four models used last are kept. A file that has changed on disk is read anew. Another preprocessing than the
    right one is another way to use the same model, and one for another photo size shares its weights.
    """
    _check_preprocessing(ref)
    key, plain = identity(ref), replace(ref, preprocessing=None)
    with _guard:
        lock = _locks.setdefault(key, threading.Lock())
    while not lock.acquire(timeout=0.5):
        yield Progress("Somebody else is loading this model already; waiting for it")
    try:
        with _guard:
            backbone = _loaded.get(key)
        if backbone is None:
            for step in _steps(plain):
                if isinstance(step, Backbone):
                    backbone = step
                else:
                    yield step
        _keep(key, backbone)
    finally:
        lock.release()
    if ref.preprocessing is not None:
        yield _preprocessed(backbone, ref)
    else:
        yield backbone if backbone.ref == ref else replace(backbone, ref=ref)


def _steps(ref: ModelRef) -> Iterator[Progress | Backbone]:
    if ref.size is not None:
        yield from _resized(ref)
    else:
        yield from _from_file(ref) if is_model_file(ref.name) else _from_catalogue(ref)


def _resized(ref: ModelRef) -> Iterator[Progress | Backbone]:
    for step in load_steps(replace(ref, size=None)):
        if not isinstance(step, Backbone):
            yield step
            continue
        yield Progress(f"Fitting {step.title} to photos of {' × '.join(str(side) for side in ref.size)} pixels")
        yield replace(in_fresh_thread(lambda own=step: sizes.at_size(own, ref.size)), ref=ref)


def headless(ref: ModelRef, input_shape: tuple[int | None, int | None, int]) -> keras.Model:
    """A new model without the classifier: `[B, *input_shape]` -> the last maps `[B, h, w, C]`. The caller owns it.

    Its weights are a copy of `load(ref)`'s. For a person's file it is what comes before global pooling (or flattening),
    its own preprocessing included; of a network without maps it is what its last layer takes, `[B, n]` most often. The
    input is to be preprocessed as `load(ref).preprocessing` says. Raises
    `UserError` where the network cannot be built for that size.
    """
    height, width = input_shape[:2]
    try:
        if is_model_file(ref.name):
            return in_fresh_thread(_in_scope(lambda: _headless_file(ref, input_shape)))
        source = load(replace(ref, size=None))
        model = in_fresh_thread(_in_scope(lambda: _build(find(ref.name), input_shape, include_top=False)))
    except (ValueError, TypeError, ArithmeticError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{ref.name} cannot be built for images of {height}×{width} pixels; try its own size or a larger one."
        ) from error
    last = model.outputs[0]._keras_history.operation
    if last.weights and last.name not in source.tensors:
        # ConvNeXt without its top normalises the maps, by a layer that the whole network has behind the pooling.
        model = keras.Model(model.inputs[0], last.input, name=model.name)
    _copy_weights(source.tensors, graph.flatten(model)[1])
    return model


def _in_scope(build: Callable[[], keras.Model]) -> Callable[[], keras.Model]:
    """`build` for another thread, in the scope of this thread's strategy: there its variables are to be made."""
    if not tf.distribute.has_strategy():
        return build
    strategy = tf.distribute.get_strategy()

    def scoped() -> keras.Model:
        with strategy.scope():
            return build()

    return scoped


def skeleton(name: str, input_shape: tuple[int | None, int | None, int]) -> keras.Model:
    """The catalogue's network `name` without its classifier and without any numbers: to count, not to compute with.

    Raises `UserError` where there is none of that name, `ValueError` where it cannot be built for that size.
    """

    def build() -> keras.Model:
        with keras.StatelessScope(initialize_variables=False):
            return _build(find(name), input_shape, include_top=False)

    return in_fresh_thread(build)


def is_model_file(name: str) -> bool:
    """Whether `name` means a file and not an entry of the catalogue."""
    return name.lower().endswith(imported.SUFFIXES)


def identity(ref: ModelRef) -> Any:
    """What must be equal for two references to mean the same model: files count with their time and size."""
    if is_model_file(ref.name):
        kind = "random file" if ref.weights is None else "file"
        return kind, *_file_identity(ref.name), _lists_beside(Path(ref.name).expanduser()), ref.answers, ref.size
    name = find(ref.name).name
    if ref.weights in (None, "imagenet"):
        return "catalogue", name, ref.weights, ref.size
    return "weights", name, *_file_identity(ref.weights), ref.size


def _last(steps: Iterator[Any]) -> Any:
    result = None
    for step in steps:
        result = step
    return result


def _check_preprocessing(ref: ModelRef) -> None:
    if ref.preprocessing is not None and ref.preprocessing not in PREPROCESSING:
        raise UserError(
            f"There is no preprocessing named {ref.preprocessing!r}. There are: {', '.join(PREPROCESSING)}."
        )


def _preprocessed(backbone: Backbone, ref: ModelRef) -> Backbone:
    """The same loaded model, given pixels as `ref.preprocessing` says; its `origin` says so if that is wrong."""
    given = PREPROCESSING[ref.preprocessing]
    if given == backbone.preprocessing:
        return replace(backbone, ref=ref)
    origin = f"{backbone.origin}; wrong preprocessing: {given.words.partition(';')[0]}"
    return replace(backbone, ref=ref, preprocessing=given, origin=origin)


def _file_identity(name: str) -> tuple[str, int | str, int, int]:
    """The same for a file and a hard link to it of the same name: a run has its own to a file that others use too."""
    path = Path(name).expanduser()
    try:
        status = path.stat()
    except OSError as error:
        raise UserError(f"There is no file {name}: {error.strerror}.") from error
    where = status.st_ino or str(path.resolve())
    return path.name, where, status.st_mtime_ns, status.st_size


def _lists_beside(path: Path) -> tuple[tuple[str, int, int], ...]:
    """What `answers.beside` may find for the file: each list counts with its time and size."""
    found = []
    for name in (*answers.CLASS_FILES, *answers.VOCABULARY_FILES):
        for candidate in (path.with_name(f"{path.stem}.{name}"), path.with_name(name)):
            with contextlib.suppress(OSError):
                status = candidate.stat()
                found.append((candidate.name, status.st_mtime_ns, status.st_size))
    return tuple(found)


def _keep(key: Any, backbone: Backbone) -> None:
    with _guard:
        _loaded[key] = backbone
        _loaded.move_to_end(key)
        while len(_loaded) > _KEPT:
            _loaded.popitem(last=False)
        for stale in [other for other, lock in _locks.items() if other not in _loaded and not lock.locked()]:
            del _locks[stale]


def _from_catalogue(ref: ModelRef) -> Iterator[Progress | Backbone]:
    entry = find(ref.name)
    path = None
    if ref.weights not in (None, "imagenet"):
        path, origin = Path(ref.weights).expanduser(), f"weights from the file {Path(ref.weights).name}"
        _check_numbers(entry, path)
    elif ref.weights is None:
        origin = "random (untrained)"
    else:
        origin = "trained on ImageNet"
        if not entry.embedded:
            path = weights_path(entry)
            yield from _provide(entry, path)
    yield Progress(f"Building {entry.title}")

    def build() -> tuple[Any, Any]:
        model = _build(entry, (*entry.input_size, 3), include_top=True, embedded=ref.weights == "imagenet")
        if path is not None:
            _load_weights(model, path, entry)
        flat, tensors = graph.flatten(model)
        if ref.weights is None:
            _draw_weights(tensors)
        return flat, tensors

    flat, tensors = in_fresh_thread(build)
    yield Backbone(
        ref=ref,
        title=entry.title,
        model=flat,
        tensors=tensors,
        layers=receptive.describe_layers(flat, tensors, entry.input_size),
        input_size=entry.input_size,
        preprocessing=PREPROCESSING[entry.preprocessing],
        class_names=imagenet_class_names(),
        origin=origin,
        sizes_fixed=understanding.needs_its_size(flat),
    )


def _build(entry: CatalogueEntry, input_shape: Any, *, include_top: bool, embedded: bool = False) -> keras.Model:
    if entry.embedded:
        weights = "imagenet" if embedded else None
        return efficientnet_lite.build(weights, input_shape=input_shape, include_top=include_top)
    builder = getattr(keras.applications, entry.builder)
    return builder(weights=None, input_shape=input_shape, include_top=include_top, **entry.kwargs)


def _check_numbers(entry: CatalogueEntry, path: Path) -> None:
    """Keras sometimes only warns of weights that it does not find, and leaves them random: count them."""
    if imported.check_weights_file(path) < entry.parameters:
        raise _does_not_fit(entry, path)


def _does_not_fit(entry: CatalogueEntry, path: Path) -> UserError:
    return UserError(
        f"The weights in {path} do not fit {entry.title}, or the file is damaged: it must be a file of weights of the "
        "whole model, classifier included, saved by Keras."
    )


def _load_weights(model: keras.Model, path: Path, entry: CatalogueEntry) -> None:
    try:
        model.load_weights(str(path))
    # Keras and HDF5 raise many kinds of errors here, with texts that mislead.
    except Exception as error:
        raise _does_not_fit(entry, path) from error


def _draw_weights(tensors: dict[str, Any]) -> None:
    """Draw the random weights anew, by the layers' own initialisers, with a seed for each: the same every time.

    The model must have been built just now: what does not depend on chance, BatchNorm's statistics for instance, is as
    its initialisers have left it.
    """
    drawn: set[int] = set()
    for tensor in tensors.values():
        operation = graph.operation_of(tensor)
        if not isinstance(operation, keras.layers.Layer):
            continue
        for layer in operation._flatten_layers():  # itself, and what it wraps
            if id(layer) not in drawn:
                drawn.add(id(layer))
                _draw_layer(layer, len(drawn))


def _draw_layer(layer: keras.layers.Layer, place: int) -> None:
    for name, initialiser in _DRAWN:
        variable, draw = getattr(layer, name, None), getattr(layer, initialiser, None)
        if isinstance(variable, keras.Variable) and draw is not None and "seed" in draw.get_config():
            seed = _SEED + 10 * place + len(initialiser)
            seeded = type(draw).from_config({**draw.get_config(), "seed": seed})
            variable.assign(seeded(variable.shape, dtype=variable.dtype))


def _copy_weights(source: dict[str, Any], target: dict[str, Any]) -> None:
    for name, tensor in target.items():
        layer = graph.operation_of(tensor)
        if isinstance(layer, keras.layers.Layer) and layer.weights:
            layer.set_weights(graph.operation_of(source[name]).get_weights())


def _from_file(ref: ModelRef) -> Iterator[Progress | Backbone]:
    """The file's network with its own weights, or the same network built anew, with random ones."""
    path = Path(ref.name).expanduser()
    random, said = ref.weights is None, answers.read(ref.answers)
    title = said.title or path.name
    yield Progress(f"Checking and opening {title}")

    def open_it() -> tuple[Any, ...]:
        opened = _opened(path, trained=not random)
        found = understanding.understand(opened.model, opened.facts, said, beside=answers.beside(path))
        if random:
            _draw_weights(found.tensors)
            return found
        return replace(found, notes=(*found.notes, *faults.report(found.tensors)))

    found = in_fresh_thread(open_it)
    yield Backbone(
        ref=ref,
        title=title,
        model=found.flat,
        tensors=found.tensors,
        layers=receptive.describe_layers(found.flat, found.tensors, found.input_size),
        input_size=found.input_size,
        preprocessing=found.preprocessing,
        class_names=found.class_names,
        origin="random (untrained)" if random else f"from the file {title}",
        reads=found.reads,
        notes=found.notes,
        openings=found.openings,
        sizes_fixed=found.sizes_fixed,
        tokeniser=found.tokeniser,
    )


def _opened(path: Path, *, trained: bool) -> imported.OpenedModel:
    try:
        return imported.open_model(path, trained=trained)
    except limits.NoRoom as error:
        if not _loaded:
            raise
        raise MemoryError(str(error)) from error  # a fresh process, without all that is loaded here, may have the room


def _headless_file(ref: ModelRef, input_shape: Any) -> keras.Model:
    trained = ref.weights is not None
    path = Path(ref.name).expanduser()
    opened = _opened(path, trained=trained)
    said, beside = answers.read(ref.answers), answers.beside(path)
    found = understanding.understand(opened.model, opened.facts, said, beside=beside, rename=True)
    flat = found.flat
    if not trained:
        _draw_weights(found.tensors)
    if found.reads == "text":
        raise UserError(f"{path.name} reads text: photos cannot be taught to it.")
    features = keras.Model(flat.inputs[0], graph.last_features(flat))
    inputs = keras.Input(input_shape, name=flat.inputs[0]._keras_history.operation.name)
    return keras.Model(inputs, _features_of(features, inputs, path.name), name=flat.name)


def _features_of(features: keras.Model, inputs: Any, title: str) -> Any:
    """What `features` gives for photos of another size, which are brought to the network's own where it can compute
    nothing else, and made as oblong as those where they are."""
    own, output = tuple(features.inputs[0].shape[1:3]), features.outputs[0]
    if None in own or own[0] == own[1] or inputs.shape[1] != inputs.shape[2]:
        found = sizes.computed(features, inputs).get(id(output))
        if found is not None and sizes.has_its_channels(output, found):
            return found
    if None in own:
        raise UserError(f"Photos of {inputs.shape[1]} × {inputs.shape[2]} pixels are too small for {title}.")
    resized = keras.layers.Resizing(*own, antialias=True, name=f"{graph.PREFIX}resized")
    return graph.rerun(features, resized(inputs))


def _provide(entry: CatalogueEntry, path: Path) -> Iterator[Progress]:
    """See to it that `path` holds the entry's ImageNet weights: checked where they are here, else downloaded."""
    if path.is_file():
        yield from _verify(entry, path)
        return
    if not _reachable(entry.url):
        raise UserError(_offline(entry, path))
    yield from _download(entry, path)


def _offline(entry: CatalogueEntry, path: Path) -> str:
    return (
        f"The ImageNet weights of {entry.title} are not on this computer and cannot be downloaded now: put the file "
        f"{path.name} into {path.parent}, choose random weights (--weights none), or use efficientnet_lite0, whose "
        "weights are installed."
    )


def _verify(entry: CatalogueEntry, path: Path) -> Iterator[Progress]:
    """Hold the file against its checksum; where none is known, at least look through the HDF5."""
    if entry.checksum is None:
        _check_numbers(entry, path)
        return
    digest, done, total = _hasher(entry), 0, max(1, path.stat().st_size)
    with path.open("rb") as file:
        while chunk := file.read(16 * _CHUNK):
            digest.update(chunk)
            done += len(chunk)
            yield Progress(f"Checking the weights of {entry.title}", min(1.0, done / total))
    if digest.hexdigest() != entry.checksum:
        raise UserError(
            f"The file {path} is not the one that belongs to {entry.title}, or it is damaged (its checksum differs): "
            "delete it, so that it can be downloaded again."
        )


def _hasher(entry: CatalogueEntry) -> Any:
    if entry.checksum is not None and len(entry.checksum) == 64:
        return hashlib.sha256()
    return hashlib.md5(usedforsecurity=False)


def _reachable(url: str) -> bool:
    """Whether the server of `url`, or the proxy on the way to it, answers within a second.

    Looking up its name has no time limit of its own, hence the thread, which is left to itself.
    """
    parts = urllib.parse.urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
    address = (parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443))
    answered = threading.Event()

    def knock() -> None:
        try:
            socket.create_connection(address, timeout=_REACH_SECONDS).close()
        except OSError:
            return
        answered.set()

    thread = threading.Thread(target=knock, daemon=True, name="knock")
    thread.start()
    thread.join(_REACH_SECONDS)
    return answered.is_set()


def _download(entry: CatalogueEntry, path: Path) -> Iterator[Progress]:
    """Fetch the weights to `path`; whole and with the right checksum, or not at all."""
    temporary = storage.beside(path.with_suffix(".part"))
    try:
        _remove_old_parts(path.parent)
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = _hasher(entry)
        yield from _fetch(entry, temporary, digest)
        if entry.checksum is not None and digest.hexdigest() != entry.checksum:
            raise UserError(f"The download of {entry.title} arrived damaged (its checksum differs): try again.")
        temporary.replace(path)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise UserError(_offline(entry, path)) from error
    except OSError as error:
        raise UserError(
            f"The weights of {entry.title} cannot be written to {path.parent}: {error.strerror}."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _remove_old_parts(folder: Path) -> None:
    """Of downloads whose process was killed; the folder is Keras' own, and nothing else in it is our affair."""
    for part in folder.glob(".*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > storage.LEFT_BEHIND:
                part.unlink()


def _fetch(entry: CatalogueEntry, temporary: Path, digest: Any) -> Iterator[Progress]:
    with urllib.request.urlopen(entry.url, timeout=_STALL_SECONDS) as answer:
        stated = int(answer.headers.get("Content-Length") or 0)
        total, done = stated or entry.download_bytes, 0
        if stated > storage.free_bytes(temporary.parent):
            raise UserError(
                f"There is not enough room on the disk for the weights of {entry.title} ({stated:,} bytes)."
            )
        with temporary.open("wb") as file:
            while chunk := answer.read(_CHUNK):
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                words = f"Downloading {entry.title}: {done / 1e6:.0f} of about {total / 1e6:.0f} MB"
                yield Progress(words, min(1.0, done / max(1, total)))
    if stated and done != stated:
        raise ConnectionError("the connection was cut")
