"""Building models where Keras remembers nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def in_fresh_thread(task: Callable[[], T]) -> T:
    """`task()`'s result, computed in a thread of its own; what it raises is raised here.

    Keras keeps its memory per thread. It counts automatic layer names ("conv2d_12") and holds a dtype policy: in a
    fresh thread a model has the same names and precision every time, whatever has been built before. And it notes
    variables that were made without memory, to give them memory at the next opportunity: those of a model that was only
    to be counted are forgotten with the thread.
    """
    outcome: list[Any] = [None, None]

    def run() -> None:
        try:
            outcome[0] = task()
        except BaseException as error:  # it is raised again below, in the thread that asked
            outcome[1] = error

    thread = threading.Thread(target=run, name="build-model")
    thread.start()
    thread.join()
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]
