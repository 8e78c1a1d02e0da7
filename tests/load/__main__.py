"""A class of N people on one server: `python -m tests.load --people 30`.

Starts a server of its own on a fresh home, has everybody click, look, draw and train, prints what it found as a table,
and ends all that it started. `--minutes 30 --only walk` is a soak. Times depend on the machine: nothing else should
run on it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from tests import pieces
from tests.benchmarks.rows import Row
from tests.browser.conftest import Server, find_browser, start_server, stop_server
from tests.load import browsers, together, walk
from tests.load.ledger import Ledger
from tests.load.person import Person
from tests.load.processes import Processes

PARTS = ("together", "walk")


def main() -> int:
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started ends with this process
    if options.address:
        complaints = take(Server(options.address.rstrip("/"), listening(options.address), Path(os.devnull)), options)
    else:
        with tempfile.TemporaryDirectory(prefix="layerscope-load-", ignore_cleanup_errors=True) as home:
            complaints = with_a_server_of_its_own(home, options)
    say(f"{len(complaints)} complaints" + "".join(f"\n  {words}" for words in complaints[:40]))
    return 1 if complaints else 0


def with_a_server_of_its_own(home: str, options: argparse.Namespace) -> list[str]:
    os.environ["LAYERSCOPE_HOME"] = home
    pieces.lay_out()
    server, left = start_server(Path(home) / "log.txt"), []
    tell(f"A server of its own at {server.url}.")
    try:
        complaints = take(server, options)
    finally:
        left = stop(server)
        if options.log:
            Path(options.log).write_text(server.log.read_text())
    return [*complaints, *server.complaints(), *left]


def take(server: Server, options: argparse.Namespace) -> list[str]:
    """The lesson on this server; prints its rows and returns what went wrong."""
    ledger = Ledger()
    for row in asyncio.run(lesson(server, options, ledger)):
        say(line(row))
    return ledger.complaints


def listening(address: str) -> psutil.Process:
    """The process of this machine that answers there."""
    port = urlsplit(address).port
    for each in psutil.net_connections("tcp"):
        if each.status == psutil.CONN_LISTEN and each.laddr.port == port and each.pid:
            return psutil.Process(each.pid)
    raise SystemExit(f"No process of this machine listens at {address}. The address looks like http://127.0.0.1:8501.")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--address", help="of a server on this machine, instead of one of its own; nothing is killed there"
    )
    parser.add_argument("--people", type=int, default=30, help="tabs at once (30)")
    parser.add_argument("--minutes", type=float, default=5, help="of the free lesson (5)")
    parser.add_argument("--thinking", type=float, default=6, help="seconds between two actions of one person (6)")
    parser.add_argument("--browsers", type=int, default=0, help="real browser tabs beside them (0)")
    parser.add_argument("--only", choices=PARTS, help="one part; both without it")
    parser.add_argument("--log", help="keep the server's log here")
    return parser.parse_args()


async def lesson(server: Server, options: argparse.Namespace, ledger: Ledger) -> list[Row]:
    processes, rows = Processes(server.process.pid), []
    people = [Person(number, server.url, ledger) for number in range(options.people)]
    try:
        if options.only != "walk":
            async for row in together.measure(server.url, people, ledger, processes, kill=not options.address):
                tell(line(row))
                rows.append(row)
        if options.only != "together":
            rows.append(await free_lesson(server, people, options, ledger, processes))
    finally:
        for person in people:
            await person.leave()
    return [*ledger.rows(together.GOALS), *rows]


async def free_lesson(
    server: Server, people: list[Person], options: argparse.Namespace, ledger: Ledger, processes: Processes
) -> Row:
    for person in people:
        if person.tab is None:
            await person.arrive("activation_explorer")
    tell(f"A lesson of {options.minutes:g} minutes: {processes.memory().words()}")
    others = []
    if options.browsers and find_browser() is not None:
        others.append(
            browsers.browse(server.url, find_browser(), options.browsers, options.minutes, options.thinking, ledger)
        )
    found, *_ = await asyncio.gather(
        walk.keep_weighing(processes, options.minutes, tell),
        walk.walk(people, options.minutes, options.thinking),
        *others,
    )
    return Row(
        f"memory after {options.minutes:g} minutes of {len(people)} people", "minute 2", "≤ +10 %", walk.growth(found)
    )


def stop(server: Server) -> list[str]:
    """End the server; a complaint for each process of it that did not end."""
    children = psutil.Process(server.process.pid).children(recursive=True) if server.process.poll() is None else []
    stop_server(server)
    _, alive = psutil.wait_procs(children, timeout=15)
    for process in alive:
        process.kill()
    return [f"Process {process.pid} was left behind." for process in alive]


def line(row: Row) -> str:
    return f"{row.what} | {row.against} | {row.goal} | {row.found}"


def say(words: str) -> None:
    print(words, flush=True)


def tell(words: str) -> None:
    """How far it is; not a part of the table."""
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
