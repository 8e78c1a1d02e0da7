"""Toy tasks for the engine's tests: they need nothing but a worker."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from core.errors import TooLarge, UserError
from core.messages import Progress


@dataclass(frozen=True)
class Count:
    """Count to `to`, `pause` seconds a step; each run leaves a line in `diary`, and one more when it is closed."""

    diary: str
    to: int = 5
    pause: float = 0.02
    note: str = ""


def _write(diary: str, line: str) -> None:
    with Path(diary).open("a") as file:
        file.write(line + "\n")


def count(request: Count) -> Iterator[int]:
    _write(request.diary, f"started {os.getpid()}")
    try:
        for number in range(1, request.to + 1):
            yield number
            time.sleep(request.pause)
    except GeneratorExit:
        _write(request.diary, "told to stop")
        raise
    finally:
        _write(request.diary, "closed")


def double(request: int) -> int:
    return 2 * request


def process(_request: object) -> tuple[int, int]:
    """The worker's process id and its niceness."""
    return os.getpid(), os.nice(0) if hasattr(os, "nice") else 0


def refuse(request: str) -> None:
    raise UserError(f"{request} is not a picture.")


def stumble(request: str) -> None:
    raise KeyError(f"secret {request}")


def starve(request: str) -> Iterator[int]:
    """Never has enough memory; `request` is a diary."""
    _write(request, f"started {os.getpid()}")
    yield os.getpid()
    raise MemoryError(request)


class ResourceExhaustedError(Exception):
    """Called as TensorFlow's."""


def starve_once(request: str) -> Iterator[object]:
    """Too little memory in the first process; `request` is a diary, and beside it the file "go" lets the second end."""
    _write(request, f"started {os.getpid()}")
    yield Progress("beginning")
    if len(Path(request).read_text().splitlines()) == 1:
        yield "a picture"
        raise ResourceExhaustedError("OOM when allocating tensor")
    while not Path(request).with_name("go").exists():
        time.sleep(0.02)
    yield "all of it"


def shrink(request: tuple[str, int]) -> Iterator[int]:
    """Halves what it tries (16 at first) after each failure; at most `request[1]` fit. `request[0]` is a diary."""
    diary, most = request
    _write(diary, f"started {os.getpid()}")
    size = 16 >> len(Path(diary).read_text().splitlines()) - 1
    yield size
    if size > most:
        raise TooLarge(f"{size} are too many.")


def hang(request: str) -> None:
    """Does not come to an end, and nothing else in its process goes on; `request` is a diary."""
    _write(request, f"started {os.getpid()}")
    if os.name == "posix":
        ctypes.PyDLL(None).sleep(600)  # as a library in C that does not let go of Python
    while True:
        time.sleep(60)


def stumble_after(request: int) -> Iterator[int]:
    yield request
    raise KeyError("secret")


def die(request: str) -> None:
    """Takes its worker along, as the kernel does when memory is short."""
    os._exit(9)


def die_once(request: str) -> Iterator[str]:
    """Dies in the middle of its stream the first time; `request` is the file that remembers."""
    yield "before"
    time.sleep(0.4)
    if not Path(request).exists():
        Path(request).touch()
        os._exit(9)
    yield "after"


def has_module(request: str) -> bool:
    return request in sys.modules


def hold(request: str) -> Iterator[str]:
    """Yields once, then waits until the file `request` is there."""
    yield "holding"
    while not Path(request).exists():
        time.sleep(0.02)
    yield "let go"


@dataclass(frozen=True)
class Sum:
    """Add up `numbers`; each run leaves a line in `diary` when it starts, when it is told to stop and when it ends.

    Nobody comes to an end before the file "go" is beside the diary. 13 brings bad luck at once.
    """

    diary: str
    numbers: tuple[int, ...]
    asked: int = 0


def ask(request: Sum) -> Iterator[object]:
    yield Progress("asking")
    yield replace(request, asked=1)


def add(request: Sum) -> Iterator[int]:
    _write(request.diary, f"started {os.getpid()} {request.numbers} {request.asked}")
    try:
        yield 0
        if 13 in request.numbers:
            raise UserError("13 brings bad luck.")
        while not Path(request.diary).with_name("go").exists():
            yield 0
            time.sleep(0.02)
        yield sum(request.numbers)
    finally:
        _write(request.diary, f"ended {os.getpid()}")
