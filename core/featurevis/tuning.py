"""How to compute a layer fastest on this device: found by trying once, then remembered.

bfloat16 halves the time of plain and 1×1 convolutions where the processor has it, and doubles that of depthwise ones;
so one step of each candidate is timed, once for each model, layer and device. What was found is kept in the process and
in a small file, with the batch that has once been too large: memory that has run out is known to the next attempt even
where the process was killed for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import tensorflow as tf

from core import device, storage
from core.backbones.backbone import Backbone
from core.errors import TooLarge, UserError
from core.messages import digest_of

PRECISIONS = ("auto", "float32", "bfloat16")
LARGEST_BATCH = {"CPU": 8, "GPU": 32}  # larger is no faster on a CPU, and costs memory in proportion
_SHARE_OF_MEMORY = 0.25
# Above this glibc asks the system for every array anew, which hands it out page by page and emptied: a ReLU took six
# times as long, a 1×1 convolution twice.
_LARGEST_ARRAY = 32 * 2**20
_PASSES = 3  # forward, backward, and what lies between
_KEPT = 500

_lock = threading.RLock()
_known: OrderedDict[str, Any] | None = None


def precision(backbone: Backbone, layer: str, asked: str, seconds: Callable[[str], float]) -> str:
    """ "float32" or "bfloat16": what was asked for, or for "auto" the one with fewer `seconds(precision)`.

    Timed only where the device may have bfloat16, and once. A precision that the device cannot compute in is left out.
    """
    if asked != "auto":
        return asked
    candidates = ["float32", "bfloat16"] if has_bfloat16() else ["float32"]
    return fastest(_key("precision", backbone, layer), candidates, seconds)


def xla(backbone: Backbone, layer: str, method: str, precision: str, seconds: Callable[[bool], float]) -> bool:
    """Whether XLA makes fewer `seconds(jit)` of a step: tried on a GPU, once for each method too, since not every
    transform can be compiled. On a processor never: its convolutions took eight times as long."""
    candidates = [False, True] if device_kind() == "GPU" else [False]
    return fastest(_key("xla", backbone, layer, method, precision), candidates, seconds)


def fastest(key: str, candidates: Sequence[Any], seconds: Callable[[Any], float]) -> Any:
    """The candidate with the fewest seconds, remembered under `key`. One that cannot be computed is left out."""
    if len(candidates) == 1:
        return candidates[0]
    with _lock:
        found = recall(key)
        if found not in candidates:
            times = {candidate: _seconds_or_none(seconds, candidate) for candidate in candidates}
            possible = [candidate for candidate in candidates if times[candidate] is not None] or candidates[:1]
            found = min(possible, key=lambda candidate: times[candidate] or 0.0)
            remember(key, found)
        return found


def _seconds_or_none(seconds: Callable[[Any], float], candidate: Any) -> float | None:
    try:
        return seconds(candidate)
    except (tf.errors.UnimplementedError, tf.errors.InvalidArgumentError, tf.errors.NotFoundError, TypeError):
        return None


def batch(
    backbone: Backbone, layer: str, size: int, bytes_per_image: int, images: int, *, largest_bytes: int = 0
) -> int:
    """How many images to compute at once: a power of two, so that a few graphs serve any number of images.

    At most what a quarter of the free memory holds, and less than what has once been too much. On a processor no array
    of the whole batch is to be larger than `_LARGEST_ARRAY`, where an image's largest has `largest_bytes`.
    """
    _read_notes(backbone, layer, size)
    most = min(LARGEST_BATCH[device_kind()], recall(_key("batch", backbone, layer, size)) or 1 << 20)
    if device_kind() == "CPU":
        most = min(most, int(device.free_bytes() * _SHARE_OF_MEMORY // (_PASSES * bytes_per_image)))
        most = min(most, max(1, _LARGEST_ARRAY // max(1, largest_bytes)))
    wanted = 1 << (images - 1).bit_length()
    return min(wanted, 1 << (max(1, most).bit_length() - 1))


def too_large(backbone: Backbone, layer: str, size: int, batch: int) -> None:
    """Remember that `batch` images of this size do not fit, for whoever tries next: in this process or another."""
    remember(_key("batch", backbone, layer, size), max(1, batch // 2))


@contextlib.contextmanager
def trying(backbone: Backbone, layer: str, size: int, batch: int) -> Iterator[None]:
    """Around the drawing with `batch`. Where memory runs out, whoever tries next takes half of it.

    Raises `TooLarge` then, if there is a half. A process that is killed for its memory says nothing, so a note is on
    disk meanwhile; it counts where the same parent has started another process in its place, as Dask's nannies do.
    """
    note = _notes(backbone, layer, size) / f"{os.getpid()}.json"
    words = {"batch": batch, "process": _identity(os.getpid()), "parent": _identity(os.getppid())}
    with contextlib.suppress(UserError, OSError):
        note.parent.mkdir(exist_ok=True)
        storage.write_bytes(note, json.dumps(words).encode())
    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        too_large(backbone, layer, size, batch)
        if batch == 1 or device_kind() == "GPU":  # on a GPU every smaller batch has been tried
            raise
        raise TooLarge(f"{batch} images of {size} pixels at a time need more memory than there is.") from error
    finally:
        with contextlib.suppress(OSError):
            note.unlink(missing_ok=True)
            note.parent.rmdir()


def _read_notes(backbone: Backbone, layer: str, size: int) -> None:
    """Processes that are gone have left a note only if they were killed; a killed app is not a batch too large."""
    for note in _notes(backbone, layer, size).glob("[!.]*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            words = json.loads(note.read_text(encoding="utf-8"))
            if words["process"] == _identity(words["process"][0]):
                continue
            note.unlink()
            if words["parent"] == _identity(os.getppid()):
                too_large(backbone, layer, size, words["batch"])


def _notes(backbone: Backbone, layer: str, size: int) -> Path:
    return storage.folder("tuning") / f"trying-{digest_of(_key('batch', backbone, layer, size).encode())}"


def _identity(pid: int) -> list[float] | None:
    """Of a living process: its number, which others get later, and when it began."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else [pid, process.create_time()]
    except psutil.Error:
        return None


def device_kind() -> str:
    return "GPU" if tf.config.list_logical_devices("GPU") else "CPU"


def has_bfloat16() -> bool:
    """Whether it is worth trying. A processor without it emulates it, hundreds of times slower."""
    if device_kind() == "GPU":
        return True
    with contextlib.suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        return any(flag in flags for flag in ("avx512_bf16", "amx_bf16", "avx_ne_convert", " bf16"))
    return False


def recall(key: str) -> Any:
    """What was remembered under `key`, here or by another process before this one started; else `None`."""
    with _lock:
        return _memory().get(key)


def remember(key: str, value: Any) -> None:
    """Keep `value` (JSON) in the process and, where the disk allows it, for others; the oldest of 500 go."""
    with _lock:
        known = _memory()
        known.update(_read())  # others have learned meanwhile
        known[key] = value
        known.move_to_end(key)
        while len(known) > _KEPT:
            known.popitem(last=False)
        with contextlib.suppress(UserError, OSError):
            storage.write_bytes(_file(), json.dumps(known).encode())


def _memory() -> OrderedDict[str, Any]:
    global _known
    if _known is None:
        _known = OrderedDict(_read())
    return _known


def _read() -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError, UserError):
        read = json.loads(_file().read_text(encoding="utf-8"))
        return read if isinstance(read, dict) else {}
    return {}


def _file() -> Path:
    return storage.folder("tuning") / "found.json"


def _key(*parts: Any) -> str:
    what, backbone, *rest = parts
    device = f"{device_kind()} {platform.node()} {platform.processor()} tensorflow {tf.__version__}"
    return f"{what} {backbone.ref!r} {rest} on {device}"
