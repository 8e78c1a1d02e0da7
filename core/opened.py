"""The networks that a person has opened from files: which they are, and what was said about each.

What is said about a file is remembered beside the copy that is kept of it, under the same digest: who opens the same
file again is asked nothing. Among many people a link says too which of what was said it means: the last to speak about
a file must not rename its classes for all.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

from core import storage
from core.backbones import answers
from core.backbones.answers import Answers
from core.errors import UserError
from core.messages import ModelRef

SUFFIXES = (".keras", ".h5", ".hdf5")
# What other programs save networks as: taken in only to say in a sentence what to do with it.
OTHERS = (".zip", ".pb", ".tflite", ".onnx", ".pt", ".pth", ".ckpt", ".safetensors", ".pkl", ".mat", ".json")
_FOLDER = "opened"
_MAX_BYTES = 4 * 1024**2
_ID_DIGITS = 12


@dataclass(frozen=True)
class Opened:
    """A file that is kept at `path`, and what is said about it, under the name `digest` (`answers.keep`)."""

    path: str
    said: Answers
    digest: str | None

    @property
    def name(self) -> str:
        return self.said.title or Path(self.path).name

    @property
    def ref(self) -> ModelRef:
        return ModelRef(self.path, answers=self.digest)

    @property
    def id(self) -> str:
        """How a link says it: never by a path."""
        return id_of(self.path)

    @property
    def link(self) -> str:
        """The same, with what is said about it."""
        return f"{self.id}.{self.digest}" if self.digest else self.id

    @property
    def is_here(self) -> bool:
        """False where the copy has gone: the oldest make room for new ones."""
        return Path(self.path).is_file()


def id_of(path: str) -> str:
    """The link's name for the copy at `path`, the first digits of its digest."""
    return f"file-{Path(path).stem[:_ID_DIGITS]}"


def id_in(link: str) -> str:
    """The `Opened.id` in an `Opened.link`."""
    return link.partition(".")[0]


def suffix_of(name: str) -> str:
    """The suffix of a file's `name` under which its copy is kept; empty where it is none that we know."""
    suffix = Path(name.lower()).suffix
    return suffix if suffix in (*SUFFIXES, *OTHERS) else ""


def opened(path: Path | str, title: str, said: Answers | None = None) -> Opened:
    """The copy at `path` under the name that its person gave it, with what is `said`, else all that was said about the
    file before."""
    return _kept(str(path), replace(_recalled(path) if said is None else said, title=title))


def say(model: Opened, **changes: object) -> Opened:
    """`model` with some answers changed; not yet remembered. Raises `UserError` where they cannot be kept."""
    return _kept(model.path, replace(model.said, **changes))


def remember(model: Opened) -> None:
    """From now on these answers go with the file."""
    note = _note(model.path)
    storage.write_bytes(note, json.dumps({"answers": model.digest}).encode())
    storage.trim(note.parent, _MAX_BYTES)


def forget(path: Path | str) -> None:
    """Remove the upload's copy and what was said about it, as far as that is possible; a file of a run's stays."""
    own = [Path(path)] if Path(path).parent == storage.folder("uploads") else []
    for file in (*own, _note(path)):
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)


def find(link: str) -> Opened | None:
    """The upload that an `Opened.id` or `Opened.link` means, if it is still here and was once accepted; a name that
    leads to no other."""
    if not re.fullmatch(rf"file-[0-9a-f]{{{_ID_DIGITS}}}(\.[0-9a-f]{{24}})?", link):
        return None
    digits, _, said = link.removeprefix("file-").partition(".")
    folder = storage.folder("uploads")
    paths = [path for suffix in SUFFIXES for path in folder.glob(f"{digits}*{suffix}") if _note(path).is_file()]
    return _as_said(paths[0], said) if paths else None


def _as_said(path: Path, name: str) -> Opened:
    said = None
    with contextlib.suppress(UserError):
        said = answers.read(name) if name else None
    said = said or _recalled(path)
    return opened(path, said.title or path.name, said)


def _kept(path: str, said: Answers) -> Opened:
    return Opened(path, said, answers.keep(said))


def _recalled(path: Path | str) -> Answers:
    try:
        found = json.loads(_note(path).read_bytes())
        return answers.read(found["answers"])
    except (OSError, ValueError, KeyError, TypeError, UserError):
        return answers.NONE


def _note(path: Path | str) -> Path:
    return storage.folder(_FOLDER) / f"{Path(path).stem}.json"
