"""Pictures, ZIPs, lists, checkpoints and models that are not what they seem: read rightly, or refused in a sentence,
within seconds and a bounded memory, and nothing in them runs. They are made in `tests/hostile`, and looked at in a
process of its own, which a finding may take down."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from core import text_files
from core.__main__ import main
from core.transfer import report
from tests.hostile import Case, archives, checkpoints, fuzz, labels, pictures

ROOT = Path(__file__).parents[2]
SECONDS, MEGABYTES = 5, 1000
Found = list[tuple[str, Case]]


@pytest.fixture
def canary(tmp_path) -> Path:
    (tmp_path / "cage").mkdir()
    return tmp_path / "cage" / "canary"


def everything(canary: Path) -> Found:
    made = {
        "picture": pictures.cases(canary),
        "archive": archives.cases(canary),
        "names": labels.cases(),
        "checkpoint": checkpoints.cases(canary),
    }
    return [(kind, case) for kind, cases in made.items() for case in cases]


def looked_at(folder: Path, found: Found, *doors: str) -> Iterable[tuple[str, Case, dict]]:
    """What the process apart has to say about each file through each door: "function" or "command"."""
    for place, (kind, case) in enumerate(found):
        (folder / f"{place:04} {kind}").mkdir(parents=True)
        (folder / f"{place:04} {kind}" / case.file).write_bytes(case.data)
    before = set(folder.rglob("*"))
    ran = subprocess.run(
        [sys.executable, "-m", "tests.hostile.child", str(folder), *doors],
        cwd=ROOT,
        env={**os.environ, "LAYERSCOPE_HOME": str(folder.with_name("home")), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    answers = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.returncode == 0 and answers and answers[-1]["place"] == len(found) - 1, ran.stderr[-2000:]
    assert set(folder.rglob("*")) == before  # nothing was written beside them
    return [(*found[answer["place"]], answer) for answer in answers]


def complaint(case: Case, answer: dict) -> str | None:
    """What is wrong with an answer; `None` where nothing is."""
    words = answer["words"]
    if answer["read"] is not case.read or case.says.casefold() not in words.casefold():
        return f"{'read' if answer['read'] else 'not read'}, {words!r} instead of {case.says!r}"
    if not words.isprintable() or len(words) > 700 or "Traceback" in words:
        return f"no sentence: {words!r}"
    if answer["seconds"] > SECONDS or answer["megabytes"] > MEGABYTES:
        return f"took {answer['seconds']:.1f} s and {answer['megabytes']:.0f} MB"
    return None


def complaints(answers: Iterable[tuple[str, Case, dict]]) -> dict[str, str]:
    found = {f"{kind}, {case.name}, by {answer['door']}": complaint(case, answer) for kind, case, answer in answers}
    return {name: words for name, words in found.items() if words}


def test_they_are_read_or_refused_in_a_sentence_and_nothing_runs(tmp_path, canary):
    found = [(kind, case) for kind, case in everything(canary) if not case.dear]
    assert {kind: sum(each == kind for each, _ in found) >= 20 for kind, _ in found} == dict.fromkeys(
        ("picture", "archive", "names", "checkpoint"), True
    )
    assert complaints(looked_at(tmp_path / "files", found, "function", "command")) == {}
    assert list(canary.parent.iterdir()) == []


def test_no_name_becomes_a_formula():
    for name in labels.FORMULAS:
        table = text_files.units_csv(np.zeros(1), [name]).decode("utf-8-sig")
        (row,) = list(csv.reader(table.splitlines()))[1:]
        assert row[1] == f"'{name}" == report.cell(name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes among the files of this system")
def test_a_folder_with_pipes_loops_and_names_in_no_encoding(tmp_path, capsys):
    for name, data in archives.good().items():
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    cats = tmp_path / "photos" / "cats"
    os.mkfifo(cats / "pipe.png")
    (cats / "loop").symlink_to(tmp_path / "photos")
    (cats / "itself.png").symlink_to(cats / "itself.png")
    (cats / "one\ntwo\x1b[31m.png").write_bytes(b"no photo")
    Path(os.fsdecode(os.fsencode(cats) + b"/\xff\xfe.png")).write_bytes(archives.photo(9))
    assert main(["check", str(tmp_path / "photos")]) == 0
    line = capsys.readouterr().out.removesuffix("\n")
    assert line.isprintable() and "7 photos in 2 classes: cats (4), dogs (3). 3 files were left out" in line


def models(canary: Path) -> Found:
    from tests.core.backbones import test_hostile_models as makers

    files = {
        **{f"keras: {name}": (".keras", data) for name, data in makers.keras_files(canary).items()},
        **{f"h5: {name}": (".h5", data) for name, data in makers.h5_files(canary).items()},
    }
    return [("model", Case(name, f"hostile{suffix}", data, "hostile.")) for name, (suffix, data) in files.items()]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_all_of_them_through_both_doors(tmp_path, canary):
    found = [(kind, case) for kind, case in everything(canary) if case.dear] + models(canary)
    assert len(found) > 100
    assert complaints(looked_at(tmp_path / "files", found, "function", "command")) == {}
    assert list(canary.parent.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_command_line_itself(tmp_path, canary):
    """`python -m core check FILE` in a process of its own: 0 or 2, one line, and nothing else on either stream."""
    wrong = {}
    some = models(canary)[::20]
    for kind, case in [*((kind, case) for kind, case in everything(canary) if kind != "checkpoint"), *some]:
        path = tmp_path / "given" / case.file
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(case.data)
        command = [sys.executable, "-m", "core", "check", "--", str(path)]
        environment = {**os.environ, "LAYERSCOPE_HOME": str(tmp_path / "home")}
        ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", timeout=120)
        path.unlink()
        line, noise = ran.stdout.removesuffix("\n"), ran.stderr.splitlines()
        if (
            ran.returncode != (0 if case.read else 2)
            or not line.isprintable()
            or case.says.casefold() not in line.casefold()
        ):
            wrong[f"{kind}, {case.name}"] = (ran.returncode, ran.stdout, ran.stderr)
        if [words for words in noise if not words.startswith("Looking into")]:
            wrong[f"{kind}, {case.name}, beside"] = noise
    assert wrong == {}
    assert list(canary.parent.iterdir()) == [] and list((tmp_path / "given").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", fuzz.SUFFIXES)
def test_damaged_files_for_a_minute(tmp_path, kind):
    command = [sys.executable, "-m", "tests.hostile.fuzz", kind, "60", str(tmp_path / "found")]
    environment = {**os.environ, "LAYERSCOPE_HOME": str(tmp_path / "home")}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8")
    found = json.loads(ran.stdout)
    assert found["runs"] > 0 and found["findings"] == [] and not found["deaths"], found
