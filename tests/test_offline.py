"""With no network everything embedded works, and nothing waits for one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PATIENCE = 3.0  # seconds for a sentence: one for the network, the rest for a busy machine


def alone(what: str, network: str) -> dict:
    """What `tests.offline` tells, out of a namespace of its own."""
    if (
        shutil.which("unshare") is None
        or subprocess.run(["unshare", "-n", "ip", "link"], capture_output=True).returncode
    ):
        pytest.skip("No network namespace can be made here (Linux, as root).")
    if network == "swallow" and not Path("/dev/net/tun").exists():
        pytest.skip("There is no /dev/net/tun.")
    words = ["unshare", "-n", sys.executable, "-m", "tests.offline", what, network]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("what", ["quick", pytest.param("commands", marks=pytest.mark.slow)])
def test_the_command_line_needs_no_network_and_waits_for_none(what):
    found = alone(what, "swallow")
    embedded = found.keys() - {"embedded asked", "elsewhere"}
    assert {name: found[name]["result"][0] for name in embedded} == dict.fromkeys(embedded, 0)
    assert found["embedded asked"] == []
    status, words = found["elsewhere"]["result"]
    assert status == 2 and words.splitlines()[-1].startswith("The ImageNet weights of")
    assert found["elsewhere"]["seconds"] < PATIENCE


@pytest.mark.slow
@pytest.mark.timeout(1300)
@pytest.mark.parametrize("network", ["cut", "swallow"])
def test_pages_need_no_network_and_wait_for_none(network):
    found = alone("pages", network)
    assert found["embedded asked"] == []
    for name in ("welcome", "activation_explorer", "filter_visualizer", "transfer_trainer"):
        assert found[name]["result"], name
    (words,) = found["elsewhere"]["result"]
    assert "cannot be downloaded now" in words.replace("\\", "")
    assert found["elsewhere"]["seconds"] < 30  # several runs of the page, on a machine that may be busy
