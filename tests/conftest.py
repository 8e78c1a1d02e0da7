"""Nothing that a person has drawn, trained or uploaded on this machine is used or changed by the tests."""

from __future__ import annotations

import gc
import os
import signal
import tempfile

_home = tempfile.TemporaryDirectory(prefix="layerscope-tests-", ignore_cleanup_errors=True)
os.environ["LAYERSCOPE_HOME"] = _home.name
os.environ["LAYERSCOPE_DRAWINGS"] = "0"  # what one test has drawn is to be drawn again by the next

# A shell that starts the tests in the background has them ignore Ctrl-C, and with them the processes whose
# interruption they test.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish():
    """The tests' modules have loaded TensorFlow: a full collection need not walk through its millions of objects."""
    gc.collect()
    gc.freeze()
