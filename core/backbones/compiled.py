"""Compiled functions of a model, kept as long as the model lives."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import keras


class CompiledPerModel:
    """At most `most` compiled functions for each model; the least recently used go first.

    They must not refer to the model that they are kept under (but may to its layers), or it would never be freed.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.RLock()
        self._functions: weakref.WeakKeyDictionary[keras.Model, OrderedDict[Hashable, Any]] = (
            weakref.WeakKeyDictionary()
        )

    def get(self, model: keras.Model, key: Hashable, build: Callable[[], Any]) -> Any:
        """What `build()` gave when `key` was new. Threads that ask at once wait: tracing twice would take longer."""
        with self._lock:
            functions = self._functions.setdefault(model, OrderedDict())
            if key not in functions:
                functions[key] = build()
            functions.move_to_end(key)
            while len(functions) > self._most:
                functions.popitem(last=False)
            return functions[key]
