"""Looking into files in a process apart: on some damaged ones HDF5's library never comes back, or it crashes.

One helper is started when it is first needed and kept: it answers within milliseconds. Where it does not answer in
time, or dies, it is the file's fault, and the next file gets another helper.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
_HELPER = "import sys; sys.path[:1] = [sys.argv[1]]; from core.backbones.hdf5_check import serve; serve()"
_START_SECONDS = 30.0  # a busy machine


class NoAnswer(Exception):
    """The helper has died over the question, or did not come to an end."""


class _Helper:
    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _HELPER, str(_ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, name="file-helper", daemon=True).start()
        try:
            self._next_answer(_START_SECONDS)  # that it is there
        except NoAnswer:
            self.close()
            raise

    def ask(self, question: dict[str, Any], seconds: float) -> dict[str, Any]:
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise NoAnswer from error
        return self._next_answer(seconds)

    def has_died(self) -> bool:
        return self._process.poll() is not None

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError, ValueError):
                pipe.close()

    def _next_answer(self, seconds: float) -> dict[str, Any]:
        try:
            return json.loads(self._answers.get(timeout=seconds))
        except (queue.Empty, ValueError) as error:
            raise NoAnswer from error

    def _listen(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in self._process.stdout:
                self._answers.put(line)
        self._answers.put("")  # it has died


_lock = threading.Lock()
_helper: _Helper | None = None


def ask(question: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The helper's answer to `question`. Raises `NoAnswer` where there is none within `seconds`."""
    global _helper
    with _lock:
        if _helper is not None and _helper.has_died():
            _forget()
        if _helper is None:
            _helper = _Helper()
        try:
            return _helper.ask(question, seconds)
        except NoAnswer:
            _forget()
            raise


def _forget() -> None:
    global _helper
    helper, _helper = _helper, None
    if helper is not None:
        helper.close()


atexit.register(_forget)
