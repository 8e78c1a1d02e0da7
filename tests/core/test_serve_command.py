"""`python -m core serve`: what it starts, says and refuses. Nothing is served here but in the last test."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from core import serve_command, serving, shared_data, storage
from core.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def plan(free_port, monkeypatch):
    """The options (by name; those that are given several times as a list), the environment and the words."""
    monkeypatch.setattr(serve_command, "addresses", lambda: ["192.168.1.20", "10.0.0.7"])
    for variable in (serving.CLASS, serving.VARIABLE, shared_data.VARIABLE):
        monkeypatch.delenv(variable, raising=False)

    def planned(*words: str):
        parser = argparse.ArgumentParser()
        serve_command.add_options(parser)
        flags, environment, lines = serve_command.plan(parser.parse_args([f"--port={free_port}", *words]))
        options: dict[str, list[str]] = {}
        for flag in flags:
            name, _, value = flag.removeprefix("--").partition("=")
            options.setdefault(name, []).append(value)
        return options, environment, "\n".join(lines)

    return planned


def test_without_a_word_it_is_for_this_machine_alone(plan, monkeypatch):
    monkeypatch.setenv(serving.CLASS, "1")  # left over from another time
    options, environment, words = plan()
    assert options["server.address"] == ["127.0.0.1"] and options["browser.serverAddress"] == ["localhost"]
    assert "server.allowedHosts" not in options  # those of the settings
    assert serving.CLASS not in environment and "this machine alone" in words


def test_a_class_finds_it_at_the_address_of_this_machine(plan, free_port):
    options, environment, words = plan("--class")
    assert options["server.address"] == ["0.0.0.0"]
    assert options["browser.serverAddress"] == ["192.168.1.20"]
    assert {"192.168.1.20", "10.0.0.7", "localhost"} <= set(options["server.allowedHosts"])
    assert "*" not in "".join(options["server.allowedHosts"])
    assert options["browser.gatherUsageStats"] == ["false"] and options["client.showErrorDetails"] == ["none"]
    assert environment[serving.CLASS] == "1" and environment[serving.VARIABLE] == "0"
    assert f"http://192.168.1.20:{free_port}" in words and "all of this network" in words


def test_a_class_finds_it_by_names(plan, free_port):
    options, _, words = plan("--class", "--name", "labpc", "--name", "labpc.school.example")
    assert options["browser.serverAddress"] == ["labpc"]
    assert {"labpc", "labpc.school.example", "192.168.1.20"} <= set(options["server.allowedHosts"])
    assert words.index(f"http://labpc:{free_port}") < words.index(f"or  http://labpc.school.example:{free_port}")


def test_behind_a_proxy_it_answers_to_this_machine_and_is_for_a_class_all_the_same(plan):
    options, environment, words = plan("--class", "--behind-proxy", "--name", "labpc")
    assert options["server.address"] == ["127.0.0.1"] and "labpc" in options["server.allowedHosts"]
    assert serving.is_for_class("127.0.0.1", environment)
    assert not serving.models_allowed("127.0.0.1", ["dashboard.py"], environment)
    assert "the proxy asks for it" in words


def test_models_and_photos_are_let_in_where_it_is_said(plan, tmp_path):
    _, environment, words = plan("--class", "--allow-models", "--data", str(tmp_path))
    assert serving.models_allowed("0.0.0.0", ["dashboard.py"], environment)
    assert environment[shared_data.VARIABLE] == str(tmp_path.resolve())
    assert "students can open their own" in words and str(tmp_path) in words


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--name", "labpc"], "add --class"),
        (["--allow-models"], "`--allow-models` is for a class"),
        (["--data", "."], "add --class"),
        (["--behind-proxy"], "`--behind-proxy` is for a class"),
        (["--class", "--name", "http://labpc"], "alone"),
        (["--class", "--name", "labpc:8501"], "alone"),
        (["--class", "--name", "*"], "alone"),
        (["--class", "--name", "localhost"], "Nobody reaches"),
        (["--class", "--behind-proxy"], "needs --name"),
        (["--class", "--data", "no such folder"], "There is no folder"),
        (["--class", "--data", "/"], "cannot be shared"),
        (["--port", "0"], "between 1 and 65535"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(plan, words, part):
    with pytest.raises(UserError, match=part) as refusal:
        plan(*words)
    assert "\n" not in str(refusal.value)


def test_layerscopes_own_folder_is_not_shared(plan):
    with pytest.raises(UserError, match="cannot be shared"):
        plan("--class", "--data", str(storage.folder("runs")))


def test_a_port_that_is_taken_is_told(plan):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UserError, match="is taken"):
            plan("--port", str(taken.getsockname()[1]))


def test_a_machine_in_no_network_is_told(plan, monkeypatch):
    monkeypatch.setattr(serve_command, "addresses", list)
    with pytest.raises(UserError, match="in no network"):
        plan("--class")


def test_the_addresses_are_this_machines_and_none_is_its_own_alone():
    for address in serve_command.addresses():
        with socket.socket() as probe:
            probe.bind((address, 0))  # only one's own address can be bound
        assert not serving.is_own_machine(address)


def test_the_server_starts_with_what_was_planned(free_port, tmp_path):
    """A real one, behind a proxy, as it were: other hosts' names are refused, and no TensorFlow is in it."""
    log = tmp_path / "log.txt"
    command = ["-m", "core", "serve", "--class", "--behind-proxy", "--name", "lab.example", f"--port={free_port}"]
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, "LAYERSCOPE_HOME": str(tmp_path / "home")},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        assert _status(free_port, "/_stcore/health", "lab.example", patience=60) == 200
        assert _websocket(free_port, "lab.example") == 101
        assert _websocket(free_port, "evil.example") != 101
        assert "http://lab.example" in log.read_text() and "Traceback" not in log.read_text()
        if sys.platform == "linux":
            assert "tensorflow" not in Path(f"/proc/{process.pid}/maps").read_text()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _status(port: int, path: str, host: str, patience: float = 0, **headers: str) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": host, **headers})
    deadline = time.monotonic() + patience
    while True:
        try:
            with DIRECT.open(request, timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _websocket(port: int, host: str) -> int:
    """The status that a browser's handshake is answered with; 101 where it is let in."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        lines = (
            "GET /_stcore/stream HTTP/1.1",
            f"Host: {host}",
            f"Origin: http://{host}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        )
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return int(connection.recv(1024).split()[1])
