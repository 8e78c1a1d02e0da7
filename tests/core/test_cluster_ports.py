"""What other machines, and other people on this one, can do with the workers' ports: nothing."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time

import psutil
import pytest

from core.cluster import OwnCluster

SECONDS = 60


def listening(host: psutil.Process) -> set[tuple[str, int]]:
    """Where the process and its children answer: (address, port), TCP."""
    found = set()
    for process in [host, *host.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            connections = process.net_connections("tcp")
            found |= {tuple(each.laddr) for each in connections if each.status == psutil.CONN_LISTEN}
    return found


@pytest.fixture(scope="module")
def ports():
    """Of the scheduler, a nanny and a worker; and of the HTTP servers of the first and the last."""
    cluster = OwnCluster(warm_up=False)
    cluster.start()
    try:
        deadline = time.monotonic() + SECONDS
        while len(found := listening(psutil.Process(cluster._process.pid))) < 5:
            assert time.monotonic() < deadline, f"only {found} answer"
            time.sleep(0.2)
        yield found
    finally:
        cluster.close()


def test_they_are_on_loopback_alone(ports):
    assert {address for address, _ in ports} == {"127.0.0.1"}


def test_who_has_no_credentials_of_this_server_is_told_nothing(ports):
    silent = [port for port in ports if not speaks_http(port)]
    assert len(silent) == 3
    for port in silent:
        assert answer(port, b"\0" * 64) == b""
        with pytest.raises((ssl.SSLError, ConnectionError)):
            assert over_tls(port) == b""
            raise ConnectionError


def test_what_speaks_http_has_nothing_to_say(ports):
    """Dask lists there what it serves."""
    for port in filter(speaks_http, ports):
        assert answer(port, asking("/sitemap.json")).endswith(b'{"paths": ["/sitemap.json"]}')
        assert b" 404 " in answer(port, asking("/status")).partition(b"\r\n")[0]


def speaks_http(port: tuple[str, int]) -> bool:
    return answer(port, asking("/")).startswith(b"HTTP/")


def asking(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()


def answer(port: tuple[str, int], words: bytes) -> bytes:
    """All that comes back until the other side hangs up."""
    received = b""
    with socket.create_connection(port, timeout=10) as caller, contextlib.suppress(ConnectionError):
        caller.sendall(words)
        while part := caller.recv(4096):
            received += part
    return received


def over_tls(port: tuple[str, int]) -> bytes:
    """The same with encryption, but without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(port, timeout=10) as caller, context.wrap_socket(caller) as secret:
        secret.sendall(b"\0" * 64)
        return secret.recv(100)
