"""The forms in which a finished run can be taken home, and which of them lie ready. Free of TensorFlow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from core import runs, storage
from core.transfer.requests import Exported, ExportRequest

VERSION = 1  # of what is made here: what an earlier version made is made again


@dataclass(frozen=True)
class Form:
    """`words` say what it is for, `takes` how long it takes to make; a form without it lies ready when a run ends."""

    title: str
    file_name: str
    mime: str
    words: str
    takes: str = ""


FORMS = {
    "keras": Form(
        "Keras model",
        "model.keras",
        "application/octet-stream",
        "For Python with Keras, and for the other pages here.",
    ),
    "labels": Form(
        "Class names",
        "labels.txt",
        "text/plain",
        "One name a line, in the order of the network's answers.",
    ),
    "history": Form(
        "Curves as numbers",
        "history.csv",
        "text/csv",
        "Loss and accuracy of every epoch, for a spreadsheet.",
    ),
    "report": Form(
        "Report",
        "report.html",
        "text/html",
        "All results with photos in one page, to read offline or print.",
        "about 10 seconds",
    ),
    "savedmodel": Form(
        "TensorFlow SavedModel",
        "savedmodel.zip",
        "application/zip",
        "For servers, and programs with TensorFlow but without Keras.",
        "about 15 seconds",
    ),
    "tflite": Form(
        "LiteRT (TensorFlow Lite)",
        "model.tflite",
        "application/octet-stream",
        "For phones, browsers and small computers (Raspberry Pi).",
        "about half a minute",
    ),
}
MADE = tuple(name for name, form in FORMS.items() if form.takes)


def wanted(run: Path, form: str) -> ExportRequest:
    """What asks for `form` of the run in the folder `run`, as that run is now."""
    return ExportRequest(str(run), form, runs.ended(run))


def made(run: Path, form: str) -> Exported | None:
    """`form` of the run in the folder `run` where it was made before and the run has not gone on since."""
    about = FORMS[form]
    try:
        facts = json.loads(_note(run, form).read_text(encoding="utf-8"))
        fresh = facts["ended"] == runs.ended(run) and facts["version"] == VERSION
        if not fresh or not (run / about.file_name).is_file():
            return None
        return Exported(str(run / about.file_name), about.file_name, about.mime, str(facts["words"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def note(request: ExportRequest, words: str) -> Exported:
    """Remember that the file was made, of which state of the run, and how it was checked."""
    run, about = Path(request.run), FORMS[request.form]
    facts = {"version": VERSION, "ended": request.ended, "words": words}
    storage.write_bytes(_note(run, request.form), json.dumps(facts, ensure_ascii=False).encode())
    return Exported(str(run / about.file_name), about.file_name, about.mime, words)


def _note(run: Path, form: str) -> Path:
    return run / f"{FORMS[form].file_name}.json"
