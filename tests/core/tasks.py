"""Toy tasks for the engine's tests: they need nothing but a worker."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.errors import UserError


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
    yield os.getpid()
    raise MemoryError(request)


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
