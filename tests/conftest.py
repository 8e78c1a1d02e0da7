"""Nothing that a person has drawn, trained or uploaded on this machine is used or changed by the tests."""

from __future__ import annotations

import os
import tempfile

_home = tempfile.TemporaryDirectory(prefix="layerscope-tests-", ignore_cleanup_errors=True)
os.environ["LAYERSCOPE_HOME"] = _home.name
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
