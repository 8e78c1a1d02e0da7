"""`python -m core serve`: the app for this machine alone, or, on purpose, for a class."""

from __future__ import annotations

import argparse
import errno
import os
import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import psutil

from core import serving, shared_data, storage
from core.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
EVERY_ADDRESS, LOOPBACK = "0.0.0.0", "127.0.0.1"
PORT = 8501
FOR_CLASS = ("name", "data", "allow_models", "behind_proxy")  # options that say nothing without --class
_HOST = re.compile(r"(?!.*\.\.)[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--class", dest="for_class", action="store_true", help="open it to everybody on this network, on purpose")
    words = "this machine's name or address, as students type it; several times for several (default: its address)"
    add("--name", action="append", metavar="labpc", help=words)
    add("--port", type=int, default=PORT, metavar="N", help="(default: %(default)s)")
    add("--data", metavar="FOLDER", help="share the photos in it: its folders and ZIPs are offered to the class")
    add("--allow-models", action="store_true", help="let the class open model files of their own")
    add(
        "--behind-proxy", action="store_true", help="answer to a proxy on this machine alone, which asks for a password"
    )


def serve(args: argparse.Namespace) -> NoReturn:
    """Become the server; ends with it. Raises `UserError` where the options make no sense, or it cannot start."""
    options, environment, lines = plan(args)
    print("\n".join(lines), file=sys.stderr, flush=True)
    _become([sys.executable, "-m", "streamlit", "run", "dashboard.py", *options], environment)


def plan(args: argparse.Namespace) -> tuple[list[str], dict[str, str], list[str]]:
    """(Streamlit's options, the environment, what is said) for these arguments."""
    address = EVERY_ADDRESS if args.for_class and not args.behind_proxy else LOOPBACK
    _check(args)
    _check_port(address, args.port)
    environment = {name: value for name, value in os.environ.items() if name != serving.CLASS}
    options = {"server.address": address, "server.port": args.port, "browser.gatherUsageStats": "false"}
    if not args.for_class:
        words = f"Layerscope is open to this machine alone, at http://localhost:{args.port}"
        return _flags(options | {"browser.serverAddress": "localhost"}), environment, [words]
    names = args.name or addresses()
    if not names:
        raise UserError("This machine is in no network: connect it, or give the address that it will have with --name.")
    environment[serving.CLASS] = "1"
    environment[serving.VARIABLE] = "1" if args.allow_models else "0"
    if args.data is not None:
        environment[shared_data.VARIABLE] = str(Path(args.data).expanduser().resolve())
    options |= {
        "browser.serverAddress": names[0],
        "server.headless": "true",
        "client.showErrorDetails": "none",
        "logger.hideWelcomeMessage": "true",
    }
    hosts = dict.fromkeys([*names, *addresses(), "localhost", LOOPBACK, "::1"])
    flags = [*_flags(options), *(f"--server.allowedHosts={host}" for host in hosts)]
    return flags, environment, _say(args, names, environment.get(shared_data.VARIABLE))


def addresses() -> list[str]:
    """This machine's addresses in its networks (IPv4), the one that it would go out by first. Asks nobody."""
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    found = [
        each.address
        for name, at in psutil.net_if_addrs().items()
        if name in up
        for each in at
        if each.family == socket.AF_INET and not each.address.startswith(("127.", "169.254."))
    ]
    outward = _outward()
    return sorted(found, key=lambda address: address != outward)


def _outward() -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation; connecting UDP sends nothing
        except OSError:
            return None
        return probe.getsockname()[0]


def _check(args: argparse.Namespace) -> None:
    without = [name for name in FOR_CLASS if getattr(args, name)]
    if without and not args.for_class:
        option = without[0].replace("_", "-")
        raise UserError(f"`--{option}` is for a class: add --class, or leave it out on your own machine.")
    for name in args.name or ():
        if not _HOST.fullmatch(name):
            raise UserError(f"`--name` takes a name or an address alone, such as labpc or 192.168.1.20, got {name!r}.")
        if serving.is_own_machine(name) and not args.behind_proxy:
            raise UserError(f"Nobody reaches this machine as {name}: give the name that the others know it by.")
    if args.behind_proxy and not args.name:
        raise UserError("`--behind-proxy` needs --name, the name or address that the proxy is known by.")
    if args.data is not None:
        _check_data(Path(args.data).expanduser())


def _check_data(data: Path) -> None:
    if not data.is_dir():
        raise UserError(f"There is no folder {data}: `--data` takes the folder whose photos the class may use.")
    folder, home = data.resolve(), storage.home().resolve()
    if home.is_relative_to(folder) or folder.is_relative_to(home):
        raise UserError(
            f"{data} cannot be shared: what Layerscope keeps of everybody lies in the same place, {home}. "
            "Give `--data` a folder that holds photos alone."
        )


def _check_port(address: str, port: int) -> None:
    if not 1 <= port <= 65535:
        raise UserError(f"`--port` must be between 1 and 65535, got {port}.")
    with socket.socket() as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except PermissionError as error:
            raise UserError(f"Port {port} is the system's: choose one from 1024 on with --port.") from error
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise UserError(f"Port {port} is taken by another program: end that, or choose another --port.") from error


def _flags(options: dict[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in options.items()]


def _say(args: argparse.Namespace, names: Sequence[str], data: str | None) -> list[str]:
    port = "" if args.behind_proxy else f":{args.port}"
    first, *others = [f"http://{name}{port}" for name in names]
    rule = "─" * (len(first) + 8)
    lines = [
        *("", "Layerscope is open to the class. Students type:", ""),
        *(f"  ┌{rule}┐", f"  │    {first}    │", f"  └{rule}┘"),
        *(f"       or  {other}" for other in others),
        "",
    ]
    password = "the proxy asks for it, and passes on to " if args.behind_proxy else "none: all of this network get in"
    facts = {
        "Password": f"{password}{LOOPBACK}:{args.port}" if args.behind_proxy else password,
        "Model files": "on: students can open their own" if args.allow_models else "off (on with --allow-models)",
        "Shared photos": "off (on with --data FOLDER)" if data is None else f"on: what lies in {data}",
        "Others' work": "off: each sees their own runs and uploads, and those they have a link to",
        "Statistics": "off: nothing is sent anywhere",
    }
    return [*lines, *(f"  {name:<14} {words}" for name, words in facts.items()), "", "  Ctrl+C ends it.", ""]


def _become(command: list[str], environment: dict[str, str]) -> NoReturn:
    os.chdir(ROOT)  # there the settings are
    if os.name == "posix":
        os.execve(command[0], command, environment)
    try:
        sys.exit(subprocess.run(command, env=environment, check=False).returncode)
    except KeyboardInterrupt:
        sys.exit(0)
