"""TensorFlow can be set up only once per process, so each of these asks a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def ask(script: str, **environment: str) -> dict:
    run = subprocess.run(
        [sys.executable, "-c", "import json\nfrom core import device\nimport tensorflow as tf\n" + script],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_logical_devices_are_counted_and_threads_are_as_asked():
    answer = ask(
        """
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
info = device.describe()
threads = tf.config.threading.get_intra_op_parallelism_threads()
print(json.dumps([info.kind, info.words, info.count, info.memory_bytes, threads]))
""",
        LAYERSCOPE_THREADS="3",
    )
    kind, words, count, memory, threads = answer
    assert (kind, words, count, threads) == ("CPU", "2 × CPU, float32", 2, 3)
    assert memory > 2**28


def test_preparing_twice_or_too_late_does_no_harm():
    answer = ask(
        """
tf.constant(1.0) + 1.0
device.prepare()
device.prepare()
info = device.describe()
print(json.dumps([info.words, float(tf.reduce_sum(tf.ones((2, 2))))]))
"""
    )
    assert answer == ["CPU, float32", 4.0]
