"""Responses that callers do not read, and bodies that the server does not read."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

GET = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n"


def asking(port: int, requests: int) -> socket.socket:
    """Return a connection with requests for documents that nobody reads."""
    connection = socket.socket()
    # The kernel keeps less.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(30)
    connection.connect(("localhost", port))
    connection.sendall(GET * requests)
    return connection


@pytest.mark.slow
def test_a_caller_that_does_not_read_is_disconnected(
    run_server: Callable[..., Any], eventually: Callable[..., None]
) -> None:
    server = run_server(http_port=0, receive_seconds=0.5, host="127.0.0.1").server
    with closing(asking(server.http_port, 300)) as connection:
        connections = server._http._port._server.server_state.connections
        eventually(lambda: len(connections) == 1)
        eventually(lambda: not connections)
        received = b""
        while part := connection.recv(65536):
            received += part

    assert received.count(b"HTTP/1.1 200 OK") < 300


@pytest.mark.slow
def test_a_caller_that_reads_gets_everything(run_server: Callable[..., Any]) -> None:
    server = run_server(http_port=0, receive_seconds=0.5, host="127.0.0.1").server
    with closing(asking(server.http_port, 100)) as connection:
        connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        parts = []
        while part := connection.recv(65536):
            parts.append(part)

    assert b"".join(parts).count(b"HTTP/1.1 200 OK") == 101


@pytest.mark.parametrize("path", ["/v1/classify", "/nothing", "/healthz", "/v2/models/colors/infer"])
def test_a_refusal_is_read_though_the_body_is_long(
    run_server: Callable[..., Any], callers: Callable[[Any], Any], path: str
) -> None:
    caller = callers(run_server(http_port=0, max_image_bytes=1000))

    assert caller.post(path, b"x" * 5_000_000).status in (404, 405, 413)
    # The same connection goes on.
    assert caller.get("/healthz").status == 200


def test_a_body_that_nobody_waits_for_ends_in_time(run_server: Callable[..., Any]) -> None:
    server = run_server(http_port=0, receive_seconds=0.3).server
    with closing(socket.create_connection(("localhost", server.http_port), 30)) as connection:
        connection.sendall(b"POST /nothing HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n")
        connection.sendall(b"x" * 1000)
        received = b""
        while part := connection.recv(65536):
            received += part

    assert received.count(b"HTTP/1.1") == 1 and received.startswith(b"HTTP/1.1 404 ")
