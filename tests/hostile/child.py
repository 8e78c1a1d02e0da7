"""A process that looks at hostile files one after the other, and tells how long and how much memory each one took.

`python -m tests.hostile.child FOLDER`: FOLDER holds a folder for each file, called "000 kind". Each line of the output
is one answer. The process has no more memory than it may take, so that what goes wrong goes wrong here.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

GIVEN_UP_SECONDS = 60  # on a busy machine; what a file may take is measured in the processor's time
MOST_MEMORY = 5 * 1024**3  # of the process, so that a mistake does not take the machine


def say_picture(path: Path) -> str:
    from core import images

    data = images.read(path)
    small = images.photo(data, path.name).pixels
    height, width, _ = images.decode(data, path.name).shape
    assert max(small.shape) <= 1280
    return f"{width} × {height}"


def say_archive(path: Path) -> str:
    from core.transfer import datasets

    return datasets.read(str(path), 32).words


def say_names(path: Path) -> str:
    from core.backbones import answers

    names = answers.read_names(path, "class names")
    return f"{len(names)} names: {', '.join(names)[:80]}"


def say_checkpoint(path: Path) -> str:
    from core.backbones import checkpoint

    found = checkpoint.read_checkpoint(path)
    return f"{len(found)} tensor"


def say_model(path: Path) -> str:
    from core.backbones import imported

    imported.open_model(path)
    return imported.inspect(path)


KINDS: dict[str, Callable[[Path], str]] = {
    "picture": say_picture,
    "archive": say_archive,
    "names": say_names,
    "checkpoint": say_checkpoint,
    "model": say_model,
}


def by_function(kind: str, path: Path) -> dict[str, Any]:
    from core.errors import UserError

    try:
        return {"read": True, "words": KINDS[kind](path)}
    except UserError as error:
        if ran_out_of_memory(error):  # where there is more, it would take it
            raise
        return {"read": False, "words": str(error)}


def ran_out_of_memory(error: BaseException | None) -> bool:
    return error is not None and (isinstance(error, MemoryError) or ran_out_of_memory(error.__cause__))


def by_command(kind: str, path: Path) -> dict[str, Any]:
    """What `python -m core check` says, without starting Python anew."""
    from core.__main__ import main

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()) as noise:
        status = main(["check", "--", str(path)])
    words = printed.getvalue() or noise.getvalue()
    assert status in (0, 2), f"status {status}"
    return {"read": status == 0, "words": words.removesuffix("\n")}


def peak_bytes() -> int:
    """The most memory since `forget_peak`; 0 where the system does not say."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
    return 0


def forget_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def processor_seconds() -> float:
    """Of this process and of those that it has ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def look(door: Callable[[str, Path], dict[str, Any]], kind: str, path: Path) -> dict[str, Any]:
    forget_peak()
    memory, seconds, began = peak_bytes(), processor_seconds(), time.monotonic()
    signal.alarm(GIVEN_UP_SECONDS)
    try:
        answer = door(kind, path)
    except BaseException as error:  # whatever it is, it is the finding
        answer = {"read": None, "words": f"{type(error).__name__}: {error}"[:500]}
    signal.alarm(0)
    answer["seconds"] = processor_seconds() - seconds
    answer["waited"] = time.monotonic() - began
    answer["megabytes"] = (peak_bytes() - memory) / 1e6
    return answer


def give_up(*_: object) -> None:
    raise TimeoutError(f"no answer in {GIVEN_UP_SECONDS} s")


def main(folder: Path, doors: list[str]) -> None:
    signal.signal(signal.SIGALRM, give_up)
    found = sorted(folder.iterdir())
    kinds = {each.name.split()[1] for each in found}
    from core import images  # noqa: F401
    from core.transfer import datasets  # noqa: F401

    if "model" in kinds:
        from core.__main__ import _start_tensorflow

        _start_tensorflow()
        from core.backbones import apart, imported  # noqa: F401

        with contextlib.suppress(apart.NoAnswer):
            apart.ask({"path": "", "vectors_of_text": True, "seconds": 9}, 30)
    else:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    for each in found:
        place, kind = each.name.split()
        (path,) = each.iterdir()
        for door in doors if kind != "checkpoint" else ["function"]:  # the command line has no use for checkpoints
            answer = look({"function": by_function, "command": by_command}[door], kind, path)
            print(json.dumps({"place": int(place), "door": door, **answer}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
