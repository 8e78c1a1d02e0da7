"""What is done in a namespace without a network: `unshare -n python -m tests.offline quick|commands|pages swallow|cut`.

"cut" leaves loopback alone; "swallow" adds a network that takes every packet and answers none, as a firewall does. What
was done is printed as JSON: seconds for each action, the sentence of what was refused, and whom this process tried to
reach outside.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
ELSEWHERE = "mobilenetv2"  # whose weights are not here
EMBEDDED = ("--model", "efficientnet_lite0")
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_network: Any = None
asked: list[str] = []


def cut_off() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def swallow() -> None:
    """A device with the route to everywhere, that nobody reads from."""
    import fcntl

    global _network
    cut_off()
    _network = Path("/dev/net/tun").open("r+b", buffering=0)  # noqa: SIM115 it is there until the process ends
    fcntl.ioctl(_network, TUNSETIFF, struct.pack("16sH", b"nowhere", IFF_TUN | IFF_NO_PI))
    for words in ("addr add 10.9.9.2/24 dev nowhere", "link set nowhere up", "route add default dev nowhere"):
        subprocess.run(["ip", *words.split()], check=True)


def listen(event: str, arguments: tuple) -> None:
    """Note whom this process wants to reach outside of this machine."""
    host = {"socket.connect": lambda: arguments[1], "socket.getaddrinfo": lambda: arguments}.get(event)
    if host is not None:
        place = host()
        name = place[0] if isinstance(place, tuple) else place
        name = name.decode() if isinstance(name, bytes) else name
        inside = isinstance(place, str) or name in (None, "", "localhost", "::1", "::", "0.0.0.0", "192.0.2.1")
        if not inside and not str(name).startswith("127."):
            asked.append(str(name))


def command(*words: str) -> tuple[int, str]:
    """Its exit status and what it said on stderr."""
    from core.__main__ import main

    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        status = main(list(words))
    return status, said.getvalue().strip()


def quick(folder: Path) -> dict[str, Any]:
    return done_alone({"predict": lambda: command("predict", *EMBEDDED, "--image", "cat")})


def commands(folder: Path) -> dict[str, Any]:
    from tests.zips import zip_of

    photos, out = folder / "photos.zip", str(folder / "out")
    photos.write_bytes(zip_of({"red": (200, 40, 40), "green": (40, 180, 40)}, 8))
    mosaic = ("mosaic", *EMBEDDED, "--layer", "stem_conv", "--filters", "0:2", "--steps", "2", "--out", out)
    training = ("train", "--data", str(photos), "--backbone", EMBEDDED[1], "--epochs", "1", "--out", out)
    found = {
        "models": lambda: command("models"),
        "why": lambda: command("why", *EMBEDDED, "--image", "cat", "--out", out),
    }
    return done_alone(found | {"mosaic": lambda: command(*mosaic), "train": lambda: command(*training)})


def done_alone(actions: dict[str, Callable[[], tuple[int, str]]]) -> dict[str, Any]:
    """The actions, then one that needs the network, while TensorFlow is there already."""
    done = {name: timed(action) for name, action in actions.items()}
    done["embedded asked"] = list(asked)
    done["elsewhere"] = timed(lambda: command("predict", "--model", ELSEWHERE, "--image", "cat"))
    return done


def timed(action: Callable[[], Any]) -> dict[str, Any]:
    began = time.monotonic()
    result = action()
    seconds = time.monotonic() - began
    print(f"{seconds:.1f} s", file=sys.stderr, flush=True)
    return {"result": result, "seconds": seconds}


def pages(folder: Path) -> dict[str, Any]:
    from pages.shared.resources import engine
    from tests import pieces
    from tests.pages.conftest import App

    pieces.lay_out()
    computing = engine()
    try:
        computing.submit("core.device:describe", None, kind="interactive").result(300)
        done = {}
        for page in ("welcome", "activation_explorer", "filter_visualizer", "transfer_trainer"):
            choices = {"size": 64, "steps": 2, "count": 4} if page == "filter_visualizer" else {}
            done[page] = timed(lambda page=page, choices=choices: App(computing, page, **choices).words()[:200])
        for view in ("journey", "why", "what_if", "compare"):
            done[view] = timed(lambda view=view: App(computing, "activation_explorer", view=view).words()[:200])
        done["embedded asked"] = list(asked)
        elsewhere = timed(lambda: App(computing, "activation_explorer", model=ELSEWHERE))
        done["elsewhere"] = elsewhere | {"result": [each.value for each in elsewhere["result"].at.error]}
        return done
    finally:
        computing.close()


if __name__ == "__main__":
    what, network = sys.argv[1:]
    {"cut": cut_off, "swallow": swallow}[network]()
    sys.addaudithook(listen)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as made:  # a thread may still write there
        os.environ |= {"LAYERSCOPE_HOME": f"{made}/home", "KERAS_HOME": f"{made}/keras"}
        found = {"quick": quick, "commands": commands, "pages": pages}[what](Path(made))
    print(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)
