"""Which device computes: GPUs where TensorFlow finds them, the CPU otherwise."""

from __future__ import annotations

import logging
import os
import subprocess
import threading

import psutil
import tensorflow as tf

from core.messages import DeviceInfo

log = logging.getLogger(__name__)

_lock = threading.Lock()
_prepared = False


def prepare() -> None:
    """Sets TensorFlow up for this process; the second call and all later ones do nothing.

    Memory growth is on, so that the workers share a GPU; the threads are those of the cores that this process may
    use, or as many as `LAYERSCOPE_THREADS` says. Both can be set only before TensorFlow computes for the first time:
    where that has happened, what is there stays, and the log says so.
    """
    global _prepared
    with _lock:
        if _prepared:
            return
        _prepared = True
        threads = int(os.environ.get("LAYERSCOPE_THREADS") or _cores())
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(max(2, min(threads, 4)))
            for gpu in tf.config.list_physical_devices("GPU"):
                tf.config.experimental.set_memory_growth(gpu, True)
        except (RuntimeError, ValueError) as error:
            log.warning("TensorFlow was in use before it was set up, so it keeps its own settings: %s", error)


def describe(_request: object = None) -> DeviceInfo:
    """The device that computes here. `count` is that of the logical devices (a strategy uses all of them),
    `memory_bytes` that of the machine or of all its GPUs together, 0 where it is not known.

    The precision is the one that models are loaded in. Starts TensorFlow.
    """
    prepare()
    gpus = tf.config.list_logical_devices("GPU")
    if gpus:
        return DeviceInfo("GPU", _gpu_name(), len(gpus), "float32", _gpu_memory())
    count = len(tf.config.list_logical_devices("CPU"))
    return DeviceInfo("CPU", "CPU", count, "float32", psutil.virtual_memory().total)


def free_bytes() -> int:
    """Of the machine, or of what the cluster lets this worker have: beyond that its nanny ends it."""
    free = psutil.virtual_memory().available
    limit = int(os.environ.get("LAYERSCOPE_LIMIT") or 0)
    return min(free, limit - psutil.Process().memory_info().rss) if limit else free


def _cores() -> int:
    """Of a container or a pinned process, only those that it may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _gpu_name() -> str:
    details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
    return details.get("device_name", "GPU")


def _gpu_memory() -> int:
    """In bytes, from NVIDIA's own tool: TensorFlow only tells what it has taken so far."""
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
        return sum(int(line) for line in answer.split()) * 2**20
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0
