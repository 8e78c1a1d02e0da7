"""How to compute a layer fastest on this device: found by trying once, then remembered.

bfloat16 halves the time of plain and 1×1 convolutions where the processor has it, and doubles that of depthwise ones;
so one step of each candidate is timed, once for each model, layer and device. What was found is kept in the process and
in a small file, with the batch that has once been too large.
"""

from __future__ import annotations

import contextlib
import json
import platform
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import tensorflow as tf

from core import storage
from core.backbones.backbone import Backbone
from core.errors import UserError

PRECISIONS = ("auto", "float32", "bfloat16")
LARGEST_BATCH = {"CPU": 8, "GPU": 32}  # larger is no faster on a CPU, and costs memory in proportion
_SHARE_OF_MEMORY = 0.25
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


def batch(backbone: Backbone, layer: str, size: int, bytes_per_image: int, images: int) -> int:
    """How many images to compute at once: a power of two, so that a few graphs serve any number of images.

    At most what a quarter of the free memory holds, and less than what has once been too much.
    """
    most = min(LARGEST_BATCH[device_kind()], recall(_key("batch", backbone, layer, size)) or 1 << 20)
    if device_kind() == "CPU":
        most = min(most, int(psutil.virtual_memory().available * _SHARE_OF_MEMORY // (_PASSES * bytes_per_image)))
    wanted = 1 << (images - 1).bit_length()
    return min(wanted, 1 << (max(1, most).bit_length() - 1))


def too_large(backbone: Backbone, layer: str, size: int, batch: int) -> None:
    """Remember that `batch` images of this size do not fit, for whoever tries next: in this process or another."""
    remember(_key("batch", backbone, layer, size), max(1, batch // 2))


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
        known[key] = value
        known.move_to_end(key)
        while len(known) > _KEPT:
            known.popitem(last=False)
        with contextlib.suppress(UserError, OSError):
            storage.write_bytes(_file(), json.dumps(known).encode())


def _memory() -> OrderedDict[str, Any]:
    global _known
    if _known is None:
        _known = OrderedDict()
        with contextlib.suppress(OSError, ValueError, UserError):
            read = json.loads(_file().read_text(encoding="utf-8"))
            _known.update(read if isinstance(read, dict) else {})
    return _known


def _file() -> Path:
    return storage.folder("tuning") / "found.json"


def _key(*parts: Any) -> str:
    what, backbone, *rest = parts
    device = f"{device_kind()} {platform.node()} {platform.processor()} tensorflow {tf.__version__}"
    return f"{what} {backbone.ref!r} {rest} on {device}"
