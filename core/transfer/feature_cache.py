"""Features on disk, so that another head, learning rate or split of the same photos need not look at them again.

A file holds either every photo of a data set, unchanged, whatever the split; or one variant of those that are trained
on. Its name is a digest of all that it depends on. Whatever fails here costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from core import storage
from core.backbones import loading
from core.errors import UserError
from core.messages import digest_of
from core.transfer.requests import TrainingConfig

MAX_BYTES = 2 * 1000**3
FORMAT = 1  # to be raised when the same settings give other features than before


def path(config: TrainingConfig, digests: Sequence[str], variant: int = 0) -> Path:
    """Where the features of the photos `digests`, in that order, belong: unchanged ones, or those of a `variant`."""
    facts = {
        "format": FORMAT,
        "backbone": loading.identity(config.backbone),
        "preprocessing": config.backbone.preprocessing,
        "size": config.size,
        "pooling": config.pooling,
        "photos": digest_of("\n".join(digests).encode()),
    }
    if variant:
        facts |= {"augmentation": asdict(config.augmentation), "seed": config.seed, "variant": variant}
    return storage.home() / "features" / f"{digest_of(json.dumps(facts).encode())}.npz"


def read(file: Path, photos: int) -> np.ndarray | None:
    """The features `float32[photos, F]` in `file`, or `None` where it is absent or damaged."""
    found = storage.read_arrays(file, "features")
    if found is None:
        return None
    with contextlib.suppress(OSError):
        os.utime(file)  # used just now: the last to be removed
    (values,) = found
    fits = values.dtype == np.float32 and values.ndim == 2 and len(values) == photos
    return values if fits else None


def keep(file: Path, values: np.ndarray) -> None:
    """Write `values` to `file`, if there is room."""
    with contextlib.suppress(OSError, UserError):
        storage.write_atomically(file, lambda temporary: np.savez(temporary, features=values), needs=values.nbytes)
        storage.trim(file.parent, MAX_BYTES)
